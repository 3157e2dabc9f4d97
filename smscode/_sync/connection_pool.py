# Generated from smscode/_async/connection_pool.py by `nox -s generate`: change that file, not this one.

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
from typing import Any, cast

import httpcore
import httpx

from .._concurrency import Caller, Runtime
from .._http import environment, failures, messages
from .._http.connection import KEEPALIVE_EXPIRY, HttpConnection, RequestHandler
from ..core.api.call import Response
from ..core.decoding.body import BodyReader
from ..core.effects import Failure, HeldUp, Send
from ..core.settings import Settings
from ..core.timeouts import Timeouts
from ..errors import SmscodeError
from .semaphore import FairSemaphore

_CLOSING_GRACE = 1.0


class OwnTransportLane:
    """A caller's own transport."""

    bounded = False

    def __init__(self, transport: httpx.BaseTransport) -> None:
        self._transport = transport

    def handle_request(self, request: httpcore.Request) -> httpcore.Response:
        """Send the request as httpx would."""
        response = self._transport.handle_request(messages.for_caller(request))
        return messages.from_caller(response)

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
            messages.for_caller(request), stream=True, auth=None, follow_redirects=False
        )
        return messages.from_caller(response)

    def close(self) -> None:
        """Do nothing: whoever made the client closes it."""


class ConnectionPool:
    """Sends requests, at most ``size`` at once, in the order they came."""

    def __init__(
        self,
        settings: Settings,
        timeouts: Timeouts,
        runtime: Runtime,
        *,
        size: int,
        shared: RequestHandler | None = None,
    ) -> None:
        """Set up without connecting; ``shared`` is used for everything instead of own lanes."""
        self._base_url = settings.base_url
        self._translate = messages.Translator(settings, timeouts)
        self._runtime = runtime
        self._gate = FairSemaphore(size, runtime)
        self._shared = shared
        self._idle: deque[tuple[float, HttpConnection]] = deque()
        self._unwanted: dict[RequestHandler, Caller | None] = {}  # and who is closing it
        self._lock = threading.RLock()
        self._closed = False
        self._ssl_context: ssl.SSLContext | None = None
        self._proxy: str | None = None

    def send(self, effect: Send, caller: Caller) -> Response | Failure | HeldUp:
        """Send a request and read its answer, all before its deadline; a `Response` is to be released."""
        if not self._gate.enter(caller, effect.deadline - self._runtime.now()):
            return Failure("not sent", "No connection became free in time.", timed_out=True)
        answer = None
        try:
            lease = effect.lease
            if effect.banned() or (lease is not None and lease.limiter.paused(self._runtime.clock())):
                return HeldUp()
            progress = failures.SendProgress(effect.doubt, effect.lease, self._translate.origin)
            try:
                if self._shared is not None:
                    caller.check()
                    progress.begin(reports=False)
                    answer = self._exchange(self._shared, effect, progress)
                else:
                    progress.begin(reports=True)
                    answer = self._on_lane(effect, progress, caller)
                return answer
            except SmscodeError as error:
                return progress.refused(error)
            except Exception as error:
                return progress.failure(error)
            except BaseException as cancelled:
                failures.forget_frames(cancelled)
                raise
        finally:
            if answer is None:
                self._gate.leave(caller)

    def release(self, caller: Caller, *, keep: bool) -> None:
        """Release what a call holds: its lane, to be used again or closed, and its place in the gate.

        A lane is kept from others until its answer was read: one whose server has sent an answer too many,
        or a proxy's page, would give the next call the answer to this one. A second time changes nothing.
        """
        try:
            if (lane := _lane_of(caller)) is not None:
                if keep:
                    self._put_back(caller, lane, self._runtime.now())
                else:
                    self._give_up(caller)
            self._close_unwanted(caller)
        finally:
            self._gate.leave(caller)

    def give_back(self, caller: Caller) -> None:
        """Release what an interrupted call holds; its lane is closed by the next call that ends."""
        if caller.connection is not None:
            self._give_up(caller)
        self._gate.leave(caller)

    def break_off(self, caller: Caller) -> None:
        """End the exchange that a call in another thread has under way."""
        with self._lock:
            if (lane := _lane_of(caller)) is not None and lane.owner is caller:
                lane.break_off()

    def _on_lane(self, effect: Send, progress: failures.SendProgress, caller: Caller) -> Response:
        """Send a request on a lane of its own, which is the caller's until it is released."""
        try:
            lane = self._take(caller, fresh=effect.fresh)
            lane.until(effect.deadline)
            caller.check()  # whoever interrupts it from now on finds its lane
            return self._exchange(lane, effect, progress)
        except BaseException:
            self._give_up(caller)
            self._close_unwanted(caller)
            raise

    def _exchange(
        self, lane: RequestHandler, effect: Send, progress: failures.SendProgress
    ) -> Response:
        def trace(event: str, info: Mapping[str, object]) -> None:
            progress.note(event, info)

        remaining = effect.deadline - self._runtime.now()
        if remaining <= 0:
            raise httpx.PoolTimeout("the time was over before anything could be sent")
        request = self._translate.request(effect.request, remaining, trace, bounded=lane.bounded)
        with self._runtime.fail_after(remaining):
            response = lane.handle_request(request)
            messages.extensions_of(request).pop("trace")  # the rest of it tells nothing new
            return self._read(response, effect.deadline)

    def _read(self, response: httpcore.Response, deadline: float) -> Response:
        """Read the whole body, at most `LARGEST_BODY`, looking at the clock for threads' sake."""
        try:
            headers = messages.headers_of(response)
            body = BodyReader(headers.get("content-encoding", ""), messages.LARGEST_BODY)
            for chunk in cast(Iterable[bytes], response.stream):
                body.feed(chunk)
                if self._runtime.now() >= deadline:
                    raise TimeoutError
            return self._translate.response(
                response.status, headers, body.finish(), self._runtime.wall_clock()
            )
        finally:
            response.close()

    def _take(self, caller: Caller, *, fresh: bool) -> HttpConnection:
        """Return the idle lane used last, or a new one; from now on it is the caller's."""
        while not fresh:
            with self._lock:
                if not self._idle:
                    break
                lane = self._idle[-1][1]
                free = lane.owner is None  # else an interrupted call took it, and did not get any further
                if free:
                    caller.connection = lane
                    lane.owner = caller
                self._idle.pop()
            if free and not lane.gone:
                return lane
            self._give_up(caller)
        caller.connection = lane = self._open()
        lane.owner = caller
        return lane

    def _open(self) -> HttpConnection:
        """Make a new lane; it connects with its first request."""
        with self._lock:
            if self._ssl_context is None:
                # The proxy comes first: once the context is there, no later call looks at the proxy again.
                self._proxy = environment.environment_proxy(self._base_url)
                self._ssl_context = environment.ssl_context(self._base_url)
        return HttpConnection(self._translate.origin, self._ssl_context, self._proxy, self._runtime.now)

    def _put_back(self, caller: Caller, lane: HttpConnection, now: float) -> None:
        """Keep a lane for the next request, or give it up if it is of no use; so with those idle for long."""
        with self._lock:
            if self._closed or not lane.clean:
                self._give_up(caller)
            else:
                self._idle.append((now, lane))
                lane.owner = None
                caller.connection = None
            while self._idle and self._idle[0][0] < now - KEEPALIVE_EXPIRY:
                self._unwanted[self._idle[0][1]] = None
                self._idle.popleft()

    def _give_up(self, caller: Caller) -> None:
        """Mark the lane of a call to be closed, if it has one."""
        with self._lock:
            lane = _lane_of(caller)
            if lane is not None and lane.owner is caller:
                self._unwanted[lane] = None
            caller.connection = None

    def _close_unwanted(self, caller: Caller) -> None:
        """Close the lanes that are not used again, also where the call is just being cancelled."""
        for lane, closer in tuple(self._unwanted.items()):
            if closer is None or closer.over:
                self._unwanted[lane] = caller
                with self._runtime.shield(_CLOSING_GRACE):
                    lane.close()
                self._unwanted.pop(lane, None)

    def close(self) -> None:
        """Close the lanes that are not in use, or the shared one; the others as soon as they are free.

        That is done also where everything is being cancelled, or is cancelled or interrupted meanwhile.
        """
        with self._lock:
            self._closed = True
            while self._idle:
                if self._idle[0][1].owner is None:
                    self._unwanted[self._idle[0][1]] = None
                self._idle.popleft()
        interrupted: BaseException | None = None
        for lane in tuple(self._unwanted) if self._shared is None else (self._shared,):
            try:
                with self._runtime.shield(_CLOSING_GRACE):
                    lane.close()
                self._unwanted.pop(lane, None)
            except BaseException as error:  # whatever it is, the others are closed
                interrupted = interrupted or error
        if interrupted is not None:
            raise interrupted


def _lane_of(caller: Caller) -> HttpConnection | None:
    lane: HttpConnection | None = cast(Any, caller.connection)
    return lane
