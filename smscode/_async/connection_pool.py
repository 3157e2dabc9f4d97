"""The connections of a client: one request in, one response or one normalised failure out.

httpx's pool scans all its connections for every request and loses slots to cancellation, so it is
not used. Each connection here is one of the HTTP stack; a fair semaphore in front lets as many requests
through as there are connections, in their order. A connection whose exchange did not end cleanly is
closed and forgotten.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from typing import Any, cast

from .._concurrency import AsyncCaller, AsyncRuntime
from .._http import failures, messages
from .._http.families import KEEPALIVE_EXPIRY
from .._http.protocols import AsyncHttpResponse, AsyncRequestHandler, AsyncStackConnection
from .._http.stack_errors import PoolTimeout
from .._http.stacks import AsyncStack
from ..core.api.call import Response
from ..core.decoding.body import BodyReader
from ..core.effects import Failure, HeldUp, Send
from ..core.settings import Settings
from ..core.timeouts import Timeouts
from ..errors import SmscodeError
from .semaphore import AsyncFairSemaphore

_CLOSING_GRACE = 1.0
_NO_LIMIT = contextlib.nullcontext()


class AsyncConnectionPool:
    """Sends requests, at most ``size`` at once, in the order they came."""

    def __init__(
        self,
        settings: Settings,
        timeouts: Timeouts,
        runtime: AsyncRuntime,
        *,
        size: int,
        stack: AsyncStack | None,
        shared: AsyncRequestHandler | None = None,
    ) -> None:
        """Set up without connecting. Connections are of a ``stack``, or ``shared`` is used for all."""
        self._base_url = settings.base_url
        self._stack = stack
        user_agent = None if stack is None else stack.user_agent
        self._translate = messages.Translator(settings, timeouts, user_agent)
        self._runtime = runtime
        self._semaphore = AsyncFairSemaphore(size, runtime)
        self._shared = shared
        self._idle: list[tuple[float, AsyncStackConnection]] = []  # those idle for longest first
        self._unwanted: dict[AsyncRequestHandler, AsyncCaller | None] = {}  # and who is closing it
        self._lock = threading.RLock()
        self._closed = False
        self._connect: Callable[[Callable[[], float]], AsyncStackConnection] | None = None

    async def send(self, effect: Send, caller: AsyncCaller) -> Response | Failure | HeldUp:
        """Send a request and read its answer, all before its deadline; a `Response` is to be released."""
        if not await self._semaphore.enter(caller, effect.deadline - self._runtime.now()):
            return Failure("not sent", "No connection became free in time.", timed_out=True)
        answer = None
        try:
            lease = effect.lease
            if effect.ban is not None and effect.ban.error(self._runtime.now()) is not None:
                return HeldUp()
            if lease is not None and lease.limiter.paused(self._runtime.clock()):
                return HeldUp()
            progress = failures.SendProgress(effect.doubt, effect.lease, self._translate.origin)
            try:
                if self._shared is not None:
                    caller.check()
                    progress.begin(reports=False)
                    answer = await self._exchange(self._shared, effect, progress)
                else:
                    progress.begin(reports=True)
                    answer = await self._on_lane(effect, progress, caller)
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
                self._semaphore.leave(caller)

    async def release(self, caller: AsyncCaller, *, keep: bool) -> None:
        """Release what a call holds: its connection, to be used again or closed, and its turn.

        A connection is kept from others until its answer was read: one whose server has sent an answer too
        many, or a proxy's page, would give the next call the answer to this one. Repeating it does nothing.
        """
        try:
            if (connection := _connection_of(caller)) is not None:
                if keep:
                    self._put_back(caller, connection, self._runtime.now())
                else:
                    self._give_up(caller)
            if self._unwanted:
                await self._close_unwanted(caller)
        finally:
            self._semaphore.leave(caller)

    def give_back(self, caller: AsyncCaller) -> None:
        """Release what an interrupted call holds; its connection is closed by the next call that ends."""
        if caller.connection is not None:
            self._give_up(caller)
        self._semaphore.leave(caller)

    def break_off(self, caller: AsyncCaller) -> None:
        """End the exchange that a call in another thread has under way."""
        with self._lock:
            if (connection := _connection_of(caller)) is not None and connection.owner is caller:
                connection.break_off()

    async def _on_lane(self, effect: Send, progress: failures.SendProgress, caller: AsyncCaller) -> Response:
        """Send a request on a connection of its own, which is the caller's until it is released."""
        try:
            connection = self._take(caller, fresh=effect.fresh)
            connection.until(effect.deadline)
            caller.check()  # whoever interrupts it from now on finds its connection
            return await self._exchange(connection, effect, progress)
        except BaseException:
            self._give_up(caller)
            await self._close_unwanted(caller)
            raise

    async def _exchange(
        self, connection: AsyncRequestHandler, effect: Send, progress: failures.SendProgress
    ) -> Response:
        async def trace(event: str, info: Mapping[str, object]) -> None:
            progress.note(event, info)

        remaining = effect.deadline - self._runtime.now()
        if remaining <= 0:
            raise PoolTimeout("the time was over before anything could be sent")
        bounded = connection.bounded
        with _NO_LIMIT if bounded else self._runtime.fail_after(remaining):
            response = await connection.handle_async_request(
                self._translate.request(effect.request, remaining, trace, bounded=bounded)
            )
            progress.answered = True
            return await self._read(response, effect.deadline)

    async def _read(self, response: AsyncHttpResponse, deadline: float) -> Response:
        """Read the whole body, at most `LARGEST_BODY`, looking at the clock for threads' sake."""
        try:
            headers = messages.headers_of(response.headers)
            body = BodyReader(headers.get("content-encoding", ""), messages.LARGEST_BODY)
            async for chunk in response.stream:
                body.feed(chunk)
                if self._runtime.now() >= deadline:
                    raise TimeoutError
            return self._translate.response(
                response.status, headers, body.finish(), self._runtime.wall_clock()
            )
        finally:
            await response.aclose()

    def _take(self, caller: AsyncCaller, *, fresh: bool) -> AsyncStackConnection:
        """Return the idle connection used last, or a new one; from now on it is the caller's."""
        while not fresh:
            with self._lock:
                if not self._idle:
                    break
                connection = self._idle[-1][1]
                free = connection.owner is None  # else an interrupted call took it and got no further
                if free:
                    caller.connection = connection
                    connection.owner = caller
                self._idle.pop()
            if free and not connection.gone:
                return connection
            self._give_up(caller)
        caller.connection = connection = self._open()
        connection.owner = caller
        return connection

    def _open(self) -> AsyncStackConnection:
        """Make a new connection; it connects with its first request."""
        with self._lock:
            if self._connect is None:
                assert self._stack is not None, "a connection without a stack"
                self._connect = self._stack.connector(self._base_url, self._translate.origin)
        return self._connect(self._runtime.now)

    def _put_back(self, caller: AsyncCaller, connection: AsyncStackConnection, now: float) -> None:
        """Keep a usable connection for the next request; give up others, and those idle for too long."""
        with self._lock:
            if self._closed or not connection.clean:
                self._give_up(caller)
            else:
                self._idle.append((now, connection))
                connection.owner = None
                caller.connection = None
            while self._idle and self._idle[0][0] < now - KEEPALIVE_EXPIRY:
                self._unwanted[self._idle[0][1]] = None
                self._idle.pop(0)

    def _give_up(self, caller: AsyncCaller) -> None:
        """Mark the connection of a call to be closed, if it has one."""
        with self._lock:
            connection = _connection_of(caller)
            if connection is not None and connection.owner is caller:
                self._unwanted[connection] = None
            caller.connection = None

    async def _close_unwanted(self, caller: AsyncCaller) -> None:
        """Close the connections that are not used again, also where the call is just being cancelled."""
        for connection, closer in tuple(self._unwanted.items()):
            if caller.over:  # its event loop was closed, and it is garbage: nothing can be waited for
                return
            if closer is None or closer.over:
                self._unwanted[connection] = caller
                with self._runtime.shield(_CLOSING_GRACE):
                    await connection.aclose()
                self._unwanted.pop(connection, None)

    async def aclose(self) -> None:
        """Close the connections that are not in use, or the shared one; the others as soon as they are free.

        That is done also where everything is being cancelled, or is cancelled or interrupted meanwhile.
        """
        with self._lock:
            self._closed = True
            while self._idle:
                if self._idle[0][1].owner is None:
                    self._unwanted[self._idle[0][1]] = None
                self._idle.pop(0)
        interrupted: BaseException | None = None
        for connection in tuple(self._unwanted) if self._shared is None else (self._shared,):
            try:
                with self._runtime.shield(_CLOSING_GRACE):
                    await connection.aclose()
                self._unwanted.pop(connection, None)
            except BaseException as error:  # whatever it is, the others are closed
                interrupted = interrupted or error
        if interrupted is not None:
            raise interrupted


def _connection_of(caller: AsyncCaller) -> AsyncStackConnection | None:
    connection: AsyncStackConnection | None = cast(Any, caller.connection)
    return connection
