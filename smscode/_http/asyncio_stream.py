"""A network stream of httpcore over a transport of asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import selectors
from collections import deque
from collections.abc import Callable
from ssl import SSLContext
from typing import Any, TypeAlias, cast

# Of the kinds that take no file of their own.
_Selector: type[selectors.BaseSelector] = getattr(selectors, "PollSelector", selectors.SelectSelector)
_MOST = 256 * 1024  # bytes that are kept for the next reads; then reading pauses
_HANDSHAKE = 3600.0  # seconds: the call's own deadline ends it before


Left: TypeAlias = Callable[[float | None, type[Exception]], float | None]


class AsyncioStream(asyncio.Protocol):
    """A connected transport of asyncio, as a network stream of httpcore.

    httpcore's own is a stream of anyio. That returns to the event loop at each read and write, begins and
    stops to read each time, and makes a cancel scope for every time limit, also for none, which is a quarter
    of the CPU of a call. Here the event loop reads what comes at once, up to some size.
    """

    def __init__(self, transport: asyncio.Transport, core: Any, left: Left) -> None:
        """Take over a transport from the protocol of anyio.

        ``core`` is the httpcore that uses it. ``left`` returns how long a step may take, of which it gets the
        limit and the error to raise if the time is over.
        """
        earlier = cast(Any, transport.get_protocol())
        self._core = core
        self._left = left
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._chunks: deque[bytes] = deque(earlier.read_queue)
        self._size = sum(map(len, self._chunks))
        self._paused = False
        self._ended = getattr(earlier, "is_at_eof", False) or transport.is_closing()
        self._error: Exception | None = earlier.exception
        self._came: asyncio.Future[None] | None = None
        self._written: asyncio.Future[None] | None = None
        self._readable: Callable[[], bool] | None = None
        transport.set_protocol(self)
        transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Keep what came for the next read."""
        self._chunks.append(bytes(data))  # some event loops give another kind of bytes
        self._size += len(data)
        if self._size > _MOST and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        _wake(self._came)

    def eof_received(self) -> None:
        """Note that nothing more comes; the transport closes itself."""
        self._ended = True
        _wake(self._came)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the connection ended, and why."""
        self._ended = True
        self._error = exc
        _wake(self._came)
        _wake(self._written)

    def pause_writing(self) -> None:
        """Make the writer wait."""
        self._written = self._loop.create_future()

    def resume_writing(self) -> None:
        """End the wait of the writer."""
        _wake(self._written)
        self._written = None

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return bytes as soon as there are some, b"" after the last."""
        left = self._left(timeout, self._core.ReadTimeout)
        if self._chunks:
            await asyncio.sleep(0)  # who sends much must not hold up other tasks, or a deadline
        elif not self._ended:
            self._came = self._loop.create_future()
            try:
                await self._wait(self._came, left, self._core.ReadTimeout)
            finally:
                self._came = None
        if not self._chunks:
            if self._error is not None:
                raise self._core.ReadError(str(self._error)) from self._error
            return b""
        chunk = self._chunks.popleft()
        if len(chunk) > max_bytes:
            self._chunks.appendleft(chunk[max_bytes:])
            chunk = chunk[:max_bytes]
        self._size -= len(chunk)
        if self._paused and self._size <= _MOST:
            self._paused = False
            self._transport.resume_reading()
        return chunk

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write bytes, and wait until the system has taken them."""
        if not buffer:
            return
        left = self._left(timeout, self._core.WriteTimeout)
        if not self._transport.is_closing():
            self._transport.write(buffer)
            if self._written is not None:
                await self._wait(self._written, left, self._core.WriteTimeout)
        if self._transport.is_closing():
            raise self._core.WriteError("the connection is closed") from self._error

    async def _wait(self, waiter: asyncio.Future[None], timeout: float | None, late: type[Exception]) -> None:
        """Wait until the waiter is woken; raise ``late`` after ``timeout`` seconds."""
        alarm = None if timeout is None else self._loop.call_later(timeout, _fail, waiter, late)
        try:
            await waiter
        finally:
            if alarm is not None:
                alarm.cancel()

    async def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> AsyncioStream:
        """Secure the connection."""
        if self._chunks:  # they would be read as if they had come by TLS
            raise self._core.ConnectError("the server sent something before TLS")
        try:
            secured = await self._loop.start_tls(
                self._transport,
                self,
                ssl_context,
                server_hostname=server_hostname,
                ssl_handshake_timeout=_HANDSHAKE if timeout is None else timeout,
            )
        except OSError as error:
            # asyncio's own, after the time of the handshake, has no number.
            late = isinstance(error, ConnectionAbortedError) and error.errno is None
            kind = self._core.ConnectTimeout if late else self._core.ConnectError
            raise kind(str(error)) from error
        assert secured is not None
        self._transport = secured
        return self

    async def aclose(self) -> None:
        """Close the connection at once: there is nothing that is still to be written."""
        self._transport.abort()
        await asyncio.sleep(0)  # the event loop closes the socket in its next turn

    def get_extra_info(self, info: str) -> Any:
        """Return what httpcore asks for: the socket, the TLS object, or whether something can be read."""
        if info != "is_readable":
            return self._transport.get_extra_info(info)
        if self._chunks or self._ended:
            return True
        if self._readable is None:
            self._readable = readiness(self._transport.get_extra_info("socket"))
        return self._readable()


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


def _fail(waiter: asyncio.Future[None], late: type[Exception]) -> None:
    with contextlib.suppress(asyncio.InvalidStateError):  # it was woken just now
        waiter.set_exception(late("not in time"))


def taken_over(stream: Any, core: Any, left: Left) -> Any:
    """Return a stream of httpcore as one of this module, where it runs on asyncio; else as it is."""
    # Neither httpcore nor anyio gives the transport away otherwise.
    transport: Any = getattr(getattr(stream, "_stream", None), "_transport", None)
    return AsyncioStream(transport, core, left) if hasattr(transport, "set_protocol") else stream


def readiness(connected: Any) -> Callable[[], bool]:
    """Return a function that returns True if a socket has something to read: bytes, or its end."""
    selector = _Selector()
    selector.register(connected, selectors.EVENT_READ)
    return lambda: bool(selector.select(0))
