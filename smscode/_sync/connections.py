# Generated from smscode/_async/connections.py by `nox -s generate`: change that file, not this one.

"""The connections of a client: one request in, one response or one normalised failure out.

httpx's pool scans all its connections for every request and loses slots to cancellation, so it is
not used. Each lane here is one connection of httpx's stack; a gate in front lets as many requests
through as there are lanes, in their order. A lane whose exchange did not end cleanly is closed and
forgotten.
"""

from __future__ import annotations

import ssl
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from typing import cast

import httpcore
import httpx

from .. import _http
from .._concurrency import Runtime
from .._lanes import KEEPALIVE_EXPIRY, Lane, TransportLane
from ..core.flow import Failure, HeldUp, Send
from ..core.inflate import Body
from ..core.settings import Settings
from ..core.timeouts import Timeouts
from ..core.wire import Response
from ..errors import SmscodeError
from .gate import Gate

_CLOSING_GRACE = 1.0


class OwnTransportLane:
    """A caller's own transport."""

    bounded = False

    def __init__(self, transport: httpx.BaseTransport) -> None:
        self._transport = transport

    def handle_request(self, request: httpcore.Request) -> httpcore.Response:
        """Send the request as httpx would."""
        response = self._transport.handle_request(_http.for_caller(request))
        return _http.LaneResponse(response.status_code, response.headers.raw, response.stream)

    def close(self) -> None:
        """Close the transport."""
        self._transport.close()


class ClientLane:
    """A caller's own httpx client, used as it is but for redirects and authentication."""

    bounded = False

    def __init__(self, http_client: httpx.Client) -> None:
        self._http_client = http_client

    def handle_request(self, request: httpcore.Request) -> httpcore.Response:
        """Send the request through the client's pool, hooks and proxies."""
        response = self._http_client.send(
            _http.for_caller(request), stream=True, auth=None, follow_redirects=False
        )
        return _http.LaneResponse(response.status_code, response.headers.raw, response.stream)

    def close(self) -> None:
        """Do nothing: whoever made the client closes it."""


class Connections:
    """Sends requests, at most ``size`` at once, in the order they came."""

    def __init__(
        self,
        settings: Settings,
        timeouts: Timeouts,
        runtime: Runtime,
        *,
        size: int,
        shared: Lane | None = None,
    ) -> None:
        """Set up without connecting; ``shared`` is used for everything instead of own lanes."""
        self._base_url = settings.base_url
        self._translate = _http.Translator(settings, timeouts)
        self._runtime = runtime
        self._gate = Gate(size, runtime)
        self._shared = shared
        self._idle: deque[tuple[float, TransportLane]] = deque()
        self._lock = threading.Lock()
        self._closed = False
        self._ssl_context: ssl.SSLContext | None = None
        self._proxy: str | None = None

    def send(self, effect: Send) -> Response | Failure | HeldUp:
        """Send a request and read its answer, all before its deadline."""
        if not self._gate.enter(effect.deadline - self._runtime.now()):
            return Failure("not sent", "No connection became free in time.", timed_out=True)
        lease = effect.lease
        if effect.banned() or (lease is not None and lease.bucket.paused(self._runtime.clock())):
            self._gate.leave()
            return HeldUp()
        progress = _http.Progress(effect.doubt, effect.lease, self._translate.origin)
        try:
            if self._shared is not None:
                progress.begin(reports=False)
                return self._exchange(self._shared, effect, progress)
            progress.begin(reports=True)
            return self._on_lane(effect, progress)
        except SmscodeError as error:
            return progress.refused(error)
        except Exception as error:
            return progress.failure(error)
        except BaseException as cancelled:
            _http.forget_frames(cancelled)
            raise
        finally:
            self._gate.leave()

    def _on_lane(self, effect: Send, progress: _http.Progress) -> Response:
        """Send a request on a lane of its own, and keep the lane only if that ended cleanly."""
        lane = self._take(fresh=effect.fresh)
        try:
            lane.until(effect.deadline)
            answer = self._exchange(lane, effect, progress)
        except BaseException:
            self._close(lane)
            raise
        self._give_back(lane)
        return answer

    def _exchange(self, lane: Lane, effect: Send, progress: _http.Progress) -> Response:
        def trace(event: str, info: Mapping[str, object]) -> None:
            progress.note(event, info)

        remaining = effect.deadline - self._runtime.now()
        if remaining <= 0:
            raise httpx.PoolTimeout("the time was over before anything could be sent")
        request = self._translate.request(effect.request, remaining, trace, bounded=lane.bounded)
        with self._runtime.limit(remaining):
            response = lane.handle_request(request)
            _http.extensions_of(request).pop("trace")  # the rest of it tells nothing new
            return self._read(response, effect.deadline)

    def _read(self, response: httpcore.Response, deadline: float) -> Response:
        """Read the whole body, at most `LARGEST_BODY`, looking at the clock for threads' sake."""
        try:
            headers = _http.headers_of(response)
            body = Body(headers.get("content-encoding", ""), _http.LARGEST_BODY)
            for chunk in cast(Iterable[bytes], response.stream):
                body.feed(chunk)
                if self._runtime.now() >= deadline:
                    raise TimeoutError
            return self._translate.response(response.status, headers, body.finish(), self._runtime.today())
        finally:
            response.close()

    def _take(self, *, fresh: bool) -> TransportLane:
        """Give the idle lane used last, or a new one."""
        while not fresh:
            with self._lock:
                if not self._idle:
                    break
                _, lane = self._idle.pop()
            if not lane.gone:
                return lane
            self._close(lane)
        return self._open()

    def _open(self) -> TransportLane:
        """Make a new lane; it connects with its first request."""
        with self._lock:
            if self._ssl_context is None:
                # The proxy comes first: once the context is there, no later call looks at the proxy again.
                self._proxy = _http.environment_proxy(self._base_url)
                self._ssl_context = _http.ssl_context(self._base_url)
        return TransportLane(self._translate.origin, self._ssl_context, self._proxy, self._runtime.now)

    def _close(self, lane: TransportLane) -> None:
        """Close a lane, also where the call is just being cancelled."""
        with self._runtime.shield(_CLOSING_GRACE):
            lane.close()

    def _give_back(self, lane: TransportLane) -> None:
        """Keep a lane for the next request, and close those that nobody needs."""
        for unwanted in self._sort_out(lane, self._runtime.now()):
            self._close(unwanted)

    def _sort_out(self, lane: TransportLane, now: float) -> list[TransportLane]:
        """Put a lane back; give those to close: this one if it is of no use, others idle for long."""
        unwanted: list[TransportLane] = []
        with self._lock:
            if self._closed or not lane.clean:
                unwanted.append(lane)
            else:
                self._idle.append((now, lane))
            while self._idle and self._idle[0][0] < now - KEEPALIVE_EXPIRY:
                unwanted.append(self._idle.popleft()[1])
        return unwanted

    def close(self) -> None:
        """Close the lanes that are not in use, or the shared one; the others as soon as they are free."""
        with self._lock:
            self._closed = True
            lanes: list[Lane] = [lane for _, lane in self._idle]
            self._idle.clear()
        if self._shared is not None:
            lanes.append(self._shared)
        for lane in lanes:
            lane.close()
