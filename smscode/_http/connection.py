"""One connection of httpx or httpx2, without its pool. By hand in both flavours, with equal names."""

from __future__ import annotations

import contextlib
import math
import socket
import ssl
from collections.abc import Callable, Iterable
from typing import Any, cast

from .._concurrency import AsyncRuntime
from .._platform import LONGEST_WAIT
from . import asyncio_stream, messages, mocking, tcp
from .deadline import Deadline
from .families import Family
from .messages import Content, HttpRequest, Origin
from .protocols import AsyncHttpResponse, HttpResponse
from .stack_errors import ConnectTimeout, ReadTimeout, WriteTimeout


class AsyncHttpConnection:
    """One connection, for one request at a time.

    ``owner`` is the call that uses it, or was interrupted while it did; None while it is free.
    """

    def __init__(
        self,
        family: Family,
        origin: Origin,
        context: ssl.SSLContext,
        proxy: str | None,
        now: Callable[[], float],
    ) -> None:
        self._deadline = Deadline(now)
        # The transport knows each kind of proxy. Its pool only makes the connection object, and never gets a
        # request.
        self.owner: object = None
        self._family = family
        self._scheme, self._host, self._port = origin
        self._transport = family.http.AsyncHTTPTransport(verify=context, proxy=proxy, limits=family.limits)
        # httpx has no argument for the network backend of its pool.
        pool = self._transport._pool
        self._backend = pool._network_backend = _AsyncBackend(pool._network_backend, self._deadline, family)
        self._connection = pool.create_connection(family.core.Origin(*origin))
        self._mocked = False

    async def handle_async_request(self, request: HttpRequest) -> AsyncHttpResponse:
        """Send the request and return the response, whose body is still to be read."""
        if mocking.async_mocked(self._family):
            self._mocked = True
            made = messages.for_caller(request, self._family)
            with AsyncRuntime().fail_after(self._deadline.remaining(ConnectTimeout)):
                return messages.CallersResponse(await self._transport.handle_async_request(made))
        core = self._family.core
        made = core.Request(
            request.method,
            core.URL(scheme=self._scheme, host=self._host, port=self._port, target=request.target),
            headers=request.headers,
            content=Content(request.body),
            extensions=request.extensions,
        )
        response: AsyncHttpResponse = await self._connection.handle_async_request(made)
        return response

    @property
    def bounded(self) -> bool:
        """Whether it is connected by a stream that keeps to the deadline."""
        return isinstance(self._backend.stream, asyncio_stream.AsyncioStream)

    def until(self, deadline: float) -> None:
        """Set the deadline, by the runtime's clock, of everything on this connection."""
        self._deadline.at = deadline

    def break_off(self) -> None:
        """Do nothing: a task that is to stop is cancelled."""

    @property
    def clean(self) -> bool:
        """Whether the exchange ended completely, so that the next request gets its own response."""
        return bool(self._connection.is_idle()) and not _left_over(self._connection)

    @property
    def gone(self) -> bool:
        """Whether the server closed the connection, or it was idle for longer than `KEEPALIVE_EXPIRY`."""
        return bool(self._connection.has_expired())

    async def aclose(self) -> None:
        """Close the connection."""
        await self._connection.aclose()
        if self._backend.stream is not None:
            await self._backend.stream.aclose()
        if self._mocked:  # a mock may have let requests pass, on connections of the pool
            await self._transport.aclose()


class HttpConnection:
    """One connection, for one request at a time, that keeps to a deadline by itself.

    httpx limits each read, so a server that sends byte by byte could hold a thread for any time; here every
    read may take only what is left until the deadline.

    ``owner`` is the call that uses it, or was interrupted while it did; None while it is free.
    """

    bounded = True

    def __init__(
        self,
        family: Family,
        origin: Origin,
        context: ssl.SSLContext,
        proxy: str | None,
        now: Callable[[], float],
    ) -> None:
        self.owner: object = None
        self._family = family
        self._scheme, self._host, self._port = origin
        self._deadline = Deadline(now)
        self._transport = family.http.HTTPTransport(verify=context, proxy=proxy, limits=family.limits)
        self._mocked = False
        # httpx has no argument for the network backend of its pool.
        pool = self._transport._pool
        pool._network_backend = _DeadlineBackend(self._deadline, family)
        self._connection = pool.create_connection(family.core.Origin(*origin))

    def handle_request(self, request: HttpRequest) -> HttpResponse:
        """Send the request and return the response, whose body is still to be read."""
        if mocking.sync_mocked(self._family):
            self._mocked = True
            made = messages.for_caller(request, self._family)
            return messages.CallersResponse(self._transport.handle_request(made))
        core = self._family.core
        made = core.Request(
            request.method,
            core.URL(scheme=self._scheme, host=self._host, port=self._port, target=request.target),
            headers=request.headers,
            content=Content(request.body),
            extensions=request.extensions,
        )
        response: HttpResponse = self._connection.handle_request(made)
        return response

    def until(self, deadline: float) -> None:
        """Set the deadline, by the runtime's clock, of everything on this connection."""
        self._deadline.at = deadline

    def break_off(self) -> None:
        """End the exchange under way, from another thread; it fails as if the connection broke."""
        self._deadline.at = -math.inf  # for steps that begin after this
        connected = self._deadline.socket
        if connected is not None:
            # Not the method of the SSL socket, after which the connection would go on in plain text.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connected, socket.SHUT_RDWR)

    @property
    def clean(self) -> bool:
        """Whether the exchange ended completely, so that the next request gets its own response."""
        return bool(self._connection.is_idle()) and not _left_over(self._connection)

    @property
    def gone(self) -> bool:
        """Whether the server closed the connection, or it was idle for longer than `KEEPALIVE_EXPIRY`."""
        return bool(self._connection.has_expired())

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
        if self._deadline.socket is not None:  # httpcore loses it if the time is over before TLS begins
            self._deadline.socket.close()
        if self._mocked:  # a mock may have let requests pass, on connections of the pool
            self._transport.close()


def _left_over(connection: Any) -> bool:
    """Return True if bytes came after the end of a response.

    If a server or proxy sent one response too many, the next request would get it.
    """
    while not hasattr(connection, "_h11_state"):
        connection = connection._connection
    return bool(connection._h11_state.trailing_data[0])


class _AsyncBackend:
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
        self.stream = asyncio_stream.taken_over(stream, self._family.core, self._deadline.left)
        return self.stream


class _DeadlineStream:
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
    ) -> _DeadlineStream:
        left = self._deadline.left(timeout, ConnectTimeout)
        if isinstance(self._deadline.socket, ssl.SSLSocket):
            # A handshake inside the TLS of a proxy takes many reads, to each of which httpcore gives the
            # whole limit. So the socket's `recv` has to check the deadline. The socket exists already, so its
            # class is replaced; that is allowed, because both classes have the same slots, and only adds
            # `deadline`.
            self._deadline.socket.__class__ = _DeadlineSocket
            cast(_DeadlineSocket, self._deadline.socket).deadline = self._deadline
        secured = self._stream.start_tls(ssl_context, server_hostname, left)
        return _DeadlineStream(secured, self._deadline, self._core)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _DeadlineSocket(ssl.SSLSocket):
    """An SSL socket, each read of which takes at most what is left until the deadline."""

    deadline: Deadline

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        self.settimeout(self.deadline.left(self.gettimeout(), TimeoutError))
        return super().recv(buflen, flags)


class _DeadlineBackend:
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
    ) -> _DeadlineStream:
        """Connect; ``local_address`` is ignored, as this package never sets it."""
        connected = tcp.connect(host, port, self._deadline.countdown(timeout), socket_options or ())
        return _DeadlineStream(self._family.sync_stream(connected), self._deadline, self._family.core)
