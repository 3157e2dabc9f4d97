"""The connections of a client: one request in, one response or one normalised failure out.

httpx's pool scans all its connections for every request and loses slots to cancellation, so it is
not used as a pool. Each lane here is an httpx transport of one connection; a gate in front lets as
many requests through as there are lanes, in their order. A lane whose exchange did not end cleanly
is closed and forgotten.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import AsyncIterable, Mapping
from typing import Protocol, cast

import httpx

from .. import _http
from .._concurrency import AsyncRuntime
from ..core.flow import Failure
from ..core.inflate import Body
from ..core.settings import Settings
from ..core.timeouts import Timeouts
from ..core.wire import Request, Response
from .gate import AsyncGate

_CLOSING_GRACE = 1.0


class AsyncLane(Protocol):
    """A way for one request at a time."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request; the response's body is still to be read."""
        ...

    async def aclose(self) -> None:
        """Give up its connection."""
        ...


class AsyncClientLane:
    """A caller's own httpx client, used as it is but for redirects and authentication."""

    def __init__(self, http_client: httpx.AsyncClient) -> None:
        self._http_client = http_client

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request through the client's pool, hooks and proxies."""
        return await self._http_client.send(request, stream=True, auth=None, follow_redirects=False)

    async def aclose(self) -> None:
        """Do nothing: whoever made the client closes it."""


class AsyncConnections:
    """Sends requests, at most ``size`` at once, in the order they came."""

    def __init__(
        self,
        settings: Settings,
        timeouts: Timeouts,
        runtime: AsyncRuntime,
        *,
        size: int,
        shared: AsyncLane | None = None,
    ) -> None:
        """Set up without connecting; ``shared`` is used for everything instead of own lanes."""
        self._base_url = settings.base_url
        self._requests = _http.RequestFactory(settings, timeouts)
        self._runtime = runtime
        self._gate = AsyncGate(size, runtime)
        self._shared = shared
        self._lock = threading.Lock()
        self._closed = False
        self._idle: list[AsyncLane] = []
        self._ssl_context: ssl.SSLContext | None = None
        self._proxy: str | None = None

    async def send(self, request: Request, deadline: float) -> Response | Failure:
        """Send a request and read its answer, all before ``deadline``."""
        if not await self._gate.enter(deadline - self._runtime.now()):
            return Failure("not_sent", "No connection became free in time.", timed_out=True)
        progress = _http.Progress()
        try:
            return await self._exchange(request, deadline, progress)
        except _http.BROKEN as error:
            return progress.failure(error)
        finally:
            self._gate.leave()

    async def _exchange(self, request: Request, deadline: float, progress: _http.Progress) -> Response:
        """Send a request on a lane, and keep the lane only if that ended cleanly."""

        async def trace(event: str, info: Mapping[str, object]) -> None:
            progress.note(event, info)

        lane = self._take()
        try:
            remaining = deadline - self._runtime.now()
            with self._runtime.limit(remaining):
                response = await lane.handle_async_request(self._requests.make(request, remaining, trace))
                answer = await self._read(response, deadline)
        except BaseException:
            await self._discard(lane)
            raise
        await self._keep(lane)
        return answer

    async def _read(self, response: httpx.Response, deadline: float) -> Response:
        """Read the whole body, at most `LARGEST_BODY`, looking at the clock for threads' sake."""
        try:
            body = Body(response.headers.get("content-encoding", ""), _http.LARGEST_BODY)
            async for chunk in cast(AsyncIterable[bytes], response.stream):
                body.feed(chunk)
                if self._runtime.now() >= deadline:
                    raise TimeoutError
            return _http.response_of(response, body.finish(), self._runtime.today())
        finally:
            await response.aclose()

    def _take(self) -> AsyncLane:
        """Give a lane: the shared one, or the idle one used last, or a new one."""
        if self._shared is not None:
            return self._shared
        with self._lock:
            if self._idle:
                return self._idle.pop()
            if self._ssl_context is None:
                self._ssl_context = _http.ssl_context(self._base_url)
                self._proxy = _http.environment_proxy(self._base_url)
        limits = httpx.Limits(
            max_connections=1, max_keepalive_connections=1, keepalive_expiry=_http.KEEPALIVE_EXPIRY
        )
        return httpx.AsyncHTTPTransport(verify=self._ssl_context, proxy=self._proxy, limits=limits)

    async def _keep(self, lane: AsyncLane) -> None:
        """Put a lane back, unless all are closed by now."""
        with self._lock:
            closed = self._closed
            if not closed and lane is not self._shared:
                self._idle.append(lane)
        if closed:
            await self._discard(lane)

    async def _discard(self, lane: AsyncLane) -> None:
        if lane is not self._shared:
            with self._runtime.shield(_CLOSING_GRACE):
                await lane.aclose()

    async def aclose(self) -> None:
        """Close the lanes that are not in use, or the shared one."""
        with self._lock:
            self._closed = True
            lanes, self._idle = self._idle, []
        for lane in lanes if self._shared is None else [self._shared]:
            await lane.aclose()
