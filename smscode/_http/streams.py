"""Network streams of httpcore that keep to the deadline of their connection, and what connects them."""

from __future__ import annotations

import asyncio
import contextlib
import math
import selectors
import socket
import ssl
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias, cast

from .._platform import LONGEST_WAIT
from . import tcp
from .families import Family
from .stack_errors import ConnectTimeout, ReadTimeout, WriteTimeout

# Of the kinds that take no file of their own.
_Selector: type[selectors.BaseSelector] = getattr(selectors, "PollSelector", selectors.SelectSelector)
_MOST = 256 * 1024  # bytes that are kept for the next reads; then reading pauses
_HANDSHAKE = 3600.0  # seconds: the call's own deadline ends it before


LATE: Final = "the deadline of the call has passed"
Left: TypeAlias = Callable[[float | None, type[Exception]], float | None]


class Deadline:
    """The deadline of a connection, by a monotonic clock, and its socket once it is connected."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.at = math.inf
        self.socket: socket.socket | None = None
        self._now = now

    def break_off(self) -> None:
        """End what is under way on the socket, from another thread."""
        self.at = -math.inf  # for steps that begin after this
        if self.socket is not None:
            # Not the method of the SSL socket, after which the connection would go on in plain text.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self.socket, socket.SHUT_RDWR)

    def left(self, timeout: float | None, error: type[Exception]) -> float | None:
        """Return the seconds that one step may take, None for any; raises ``error`` after the deadline."""
        remaining = self.remaining(error)
        if remaining == math.inf:
            return timeout
        return remaining if timeout is None else min(timeout, remaining)

    def countdown(self, timeout: float | None) -> Callable[[], float]:
        """Return a function that returns what is left of a ``timeout`` from now on, and of the deadline."""
        until = math.inf if timeout is None else self._now() + timeout

        def left() -> float:
            remaining = min(self.remaining(ConnectTimeout), until - self._now())
            if remaining <= 0:
                raise ConnectTimeout("no connection in time")
            return remaining

        return left

    def remaining(self, error: type[Exception]) -> float:
        """Return the seconds until the deadline; raises ``error`` after it."""
        remaining = self.at - self._now()
        if remaining <= 0:
            raise error(LATE)
        return remaining


class _TimedConnection:
    """What every connection has, whichever the HTTP stack: a deadline, and a call that uses it.

    ``owner`` is that call, or one that was interrupted while it used it; None while it is free.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.owner: object = None
        self._now = now
        self._deadline = Deadline(now)

    def until(self, deadline: float) -> None:
        """Set the deadline, by the runtime's clock, of everything on this connection."""
        self._deadline.at = deadline


class AsyncTimedConnection(_TimedConnection):
    """The base of the connections of a task."""

    def break_off(self) -> None:
        """Do nothing: a task that is to stop is cancelled."""


class TimedConnection(_TimedConnection):
    """The base of the connections of a thread.

    httpx limits each read, so a server that sends byte by byte could hold a thread for any time; here every
    read may take only what is left until the deadline.
    """

    bounded = True

    def break_off(self) -> None:
        """End the exchange under way, from another thread; it fails as if the connection broke."""
        self._deadline.break_off()


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
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
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


def holds_a_record(stream: Any) -> bool:
    """Return True if an idle stream of trio has a TLS record that was read, but not decrypted yet."""
    tls = stream.get_extra_info("ssl_object")
    if tls is None:
        return False
    try:
        tls.read(1)
    except ssl.SSLError as error:
        return not isinstance(error, ssl.SSLWantReadError)
    return True


def readiness(connected: Any) -> Callable[[], bool]:
    """Return a function that returns True if a socket has something to read: bytes, or its end."""
    selector = _Selector()
    selector.register(connected, selectors.EVENT_READ)
    return lambda: bool(selector.select(0))


class AsyncNetwork:
    """Remembers the stream of a connection, which httpcore loses if the TLS handshake is cancelled."""

    def __init__(self, backend: Any, deadline: Deadline, family: Family) -> None:
        self.stream: Any = None
        self._backend = backend
        self._deadline = deadline
        self._family = family

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> Any:
        stream = await self._backend.connect_tcp(host, port, timeout, local_address, socket_options)
        self.stream = taken_over(stream, self._family.core, self._deadline.left)
        return self.stream


class DeadlineStream:
    """A stream of httpcore, each step of which takes at most what is left until the deadline."""

    def __init__(self, stream: Any, deadline: Deadline, core: Any) -> None:
        self._stream = stream
        self._read: Callable[[int, float | None], bytes] = stream.read
        self._core = core  # the httpcore that the stream is of
        self._deadline = deadline
        deadline.socket = stream.get_extra_info("socket")

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        while True:
            left = self._deadline.left(timeout, ReadTimeout)
            if left is None or left <= LONGEST_WAIT:
                return self._read(max_bytes, left)
            with contextlib.suppress(self._core.ReadTimeout):  # on Windows, where Ctrl-C does not end a read
                return self._read(max_bytes, LONGEST_WAIT)
            timeout = left - LONGEST_WAIT

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.left(timeout, WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> DeadlineStream:
        left = self._deadline.left(timeout, ConnectTimeout)
        if isinstance(self._deadline.socket, ssl.SSLSocket):
            # A handshake inside the TLS of a proxy takes many reads, to each of which httpcore gives the
            # whole limit. So the socket's `recv` has to check the deadline. The socket exists already, so its
            # class is replaced; that is allowed, because both classes have the same slots, and only adds
            # `deadline`.
            self._deadline.socket.__class__ = DeadlineSocket
            cast(DeadlineSocket, self._deadline.socket).deadline = self._deadline
        secured = self._stream.start_tls(ssl_context, server_hostname, left)
        return DeadlineStream(secured, self._deadline, self._core)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class DeadlineSocket(ssl.SSLSocket):
    """An SSL socket, each read of which takes at most what is left until the deadline."""

    deadline: Deadline

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        self.settimeout(self.deadline.left(self.gettimeout(), TimeoutError))
        return super().recv(buflen, flags)


class Network:
    """Connects within the deadline, over all addresses of a host together."""

    def __init__(self, deadline: Deadline, family: Family) -> None:
        self._deadline = deadline
        self._family = family

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> DeadlineStream:
        """Connect; ``local_address`` is ignored, as this package never sets it."""
        connected = tcp.connect(host, port, self._deadline.countdown(timeout), socket_options or ())
        return DeadlineStream(self._family.sync_stream(connected), self._deadline, self._family.core)
