"""A handler: one connection of httpx's stack, without its pool. By hand in both flavours with equal names."""

from __future__ import annotations

import contextlib
import math
import socket
import ssl
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol, cast

import httpcore
import httpx
from httpcore._backends.sync import SyncStream

from . import messages, mocking, tcp

KEEPALIVE_EXPIRY: Final = 30.0
"""Seconds that a connection is kept without use: longer than a poll interval, so that polling does not
reconnect each time."""

_LIMITS = httpx.Limits(keepalive_expiry=KEEPALIVE_EXPIRY)


class AsyncRequestHandler(Protocol):
    """A way for requests. One that is ``bounded`` can be left at the deadline, whatever it does just then."""

    @property
    def bounded(self) -> bool:
        """Whether a request needs no limits of its own to end at the deadline."""
        ...

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        """Send the request; the response's body is still to be read."""
        ...

    async def aclose(self) -> None:
        """Return up its connections."""
        ...


class RequestHandler(Protocol):
    """A way for requests. One that is ``bounded`` looks at the deadline by itself."""

    @property
    def bounded(self) -> bool:
        """Whether a request needs no limits of its own to end at the deadline."""
        ...

    def handle_request(self, request: httpcore.Request) -> httpcore.Response:
        """Send the request; the response's body is still to be read."""
        ...

    def close(self) -> None:
        """Return up its connections."""
        ...


class AsyncHandlerTransport(httpx.AsyncBaseTransport):
    """A transport of this package that has a lane below, which is used without httpx's values between."""

    handler: AsyncRequestHandler


class HandlerTransport(httpx.BaseTransport):
    """A transport of this package that has a lane below, which is used without httpx's values between."""

    handler: RequestHandler


class AsyncHttpConnection:
    """One connection, for one request at a time.

    ``owner`` is the call that uses it, or that lost it; None while it is free.
    """

    bounded = True

    def __init__(
        self, origin: httpcore.Origin, context: ssl.SSLContext, proxy: str | None, now: Callable[[], float]
    ) -> None:
        # The transport knows how to get through each kind of proxy; its pool is only asked to make the
        # connection, and never sees a request.
        self.owner: object = None
        self._transport = httpx.AsyncHTTPTransport(verify=context, proxy=proxy, limits=_LIMITS)
        # httpx has no argument for the network backend of the pool that it makes.
        pool: Any = self._transport._pool
        self._backend = pool._network_backend = _AsyncBackend(pool._network_backend)
        self._connection = self._transport._pool.create_connection(origin)
        self._mocked = False

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        """Send the request; the response's body is still to be read."""
        if mocking.async_mocked():
            self._mocked = True
            response = await self._transport.handle_async_request(messages.for_caller(request))
            return messages.from_caller(response)
        return await self._connection.handle_async_request(request)

    def until(self, deadline: float) -> None:
        """Do nothing: whoever sends on this lane is cancelled at its deadline."""

    def break_off(self) -> None:
        """Do nothing: a task that is to stop is cancelled."""

    @property
    def clean(self) -> bool:
        """Whether the exchange ended so that a next request gets its own answer and no other."""
        return self._connection.is_idle() and not _left_over(self._connection)

    @property
    def gone(self) -> bool:
        """Whether the server closed the connection, or it was not used for long."""
        return self._connection.has_expired()

    async def aclose(self) -> None:
        """Close the connection."""
        await self._connection.aclose()
        if self._backend.stream is not None:
            await self._backend.stream.aclose()
        if self._mocked:  # a stand-in may let a request pass, on a connection of the transport's pool
            await self._transport.aclose()


class HttpConnection:
    """One connection, for one request at a time, that keeps to a deadline by itself.

    httpx's time limits are for each read, so a server that drips can hold a thread for as long as it
    likes; here every read may take only what is left of the whole.

    ``owner`` is the call that uses it, or that lost it; None while it is free.
    """

    bounded = True

    def __init__(
        self, origin: httpcore.Origin, context: ssl.SSLContext, proxy: str | None, now: Callable[[], float]
    ) -> None:
        self.owner: object = None
        self._deadline = _Deadline(now)
        self._transport = httpx.HTTPTransport(verify=context, proxy=proxy, limits=_LIMITS)
        self._mocked = False
        # httpx has no argument for the network backend of the pool that it makes.
        pool: Any = self._transport._pool
        pool._network_backend = _DeadlineBackend(self._deadline)
        self._connection = self._transport._pool.create_connection(origin)

    def handle_request(self, request: httpcore.Request) -> httpcore.Response:
        """Send the request; the response's body is still to be read."""
        if mocking.sync_mocked():
            self._mocked = True
            response = self._transport.handle_request(messages.for_caller(request))
            return messages.from_caller(response)
        return self._connection.handle_request(request)

    def until(self, deadline: float) -> None:
        """Limit everything on this connection than until then."""
        self._deadline.at = deadline

    def break_off(self) -> None:
        """End the exchange under way, from another thread: it fails as if the connection broke."""
        self._deadline.at = -math.inf  # also for what is only begun after this
        connected = self._deadline.socket
        if connected is not None:
            # Not by the method of an SSL socket, which would go on in plain text.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connected, socket.SHUT_RDWR)

    @property
    def clean(self) -> bool:
        """Whether the exchange ended so that a next request gets its own answer and no other."""
        return self._connection.is_idle() and not _left_over(self._connection)

    @property
    def gone(self) -> bool:
        """Whether the server closed the connection, or it was not used for long."""
        return self._connection.has_expired()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
        if self._deadline.socket is not None:  # httpcore loses it when the time is over before TLS begins
            self._deadline.socket.close()
        if self._mocked:  # a stand-in may let a request pass, on a connection of the transport's pool
            self._transport.close()


def _left_over(connection: object) -> bool:
    """Return True if bytes came after the end of an answer.

    A server or proxy that sends one answer too many would otherwise answer the next request with it.
    """
    inner: Any = connection
    while not hasattr(inner, "_h11_state"):
        inner = inner._connection
    return bool(inner._h11_state.trailing_data[0])


class _AsyncBackend(httpcore.AsyncNetworkBackend):
    """Keeps the stream that a connection stands on: httpcore loses it when the TLS handshake is cancelled."""

    def __init__(self, backend: httpcore.AsyncNetworkBackend) -> None:
        self.stream: httpcore.AsyncNetworkStream | None = None
        self._backend = backend

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        stream = await self._backend.connect_tcp(host, port, timeout, local_address, socket_options)
        self.stream = stream
        return stream


class _Deadline:
    """When a connection has to be done with what it does, and the socket that it uses by now."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.at = math.inf
        self.socket: socket.socket | None = None
        self._now = now

    def left(self, timeout: float | None, error: type[Exception]) -> float | None:
        """Return the seconds that one step may take, None for no limit."""
        remaining = self._remaining(error)
        if remaining == math.inf:
            return timeout
        return remaining if timeout is None else min(timeout, remaining)

    def countdown(self, timeout: float | None) -> Callable[[], float]:
        """Return a function for the seconds left of a ``timeout`` that begins now, and of the call."""
        until = math.inf if timeout is None else self._now() + timeout

        def left() -> float:
            remaining = min(self._remaining(httpcore.ConnectTimeout), until - self._now())
            if remaining <= 0:
                raise httpcore.ConnectTimeout("no connection in time")
            return remaining

        return left

    def _remaining(self, error: type[Exception]) -> float:
        remaining = self.at - self._now()
        if remaining <= 0:
            raise error("the deadline of the call has passed")
        return remaining


class _DeadlineStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, deadline: _Deadline) -> None:
        self._stream = stream
        self._deadline = deadline
        deadline.socket = stream.get_extra_info("socket")

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = self._deadline.left(timeout, httpcore.ConnectTimeout)
        if isinstance(self._deadline.socket, ssl.SSLSocket):
            # TLS within that of a proxy is made of many reads, for which httpcore has one limit each. The
            # class of the socket can be exchanged, because the other one has no slots of its own.
            self._deadline.socket.__class__ = _DeadlineSocket
            cast(_DeadlineSocket, self._deadline.socket).deadline = self._deadline
        return _DeadlineStream(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _DeadlineSocket(ssl.SSLSocket):
    deadline: _Deadline

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        self.settimeout(self.deadline.left(self.gettimeout(), TimeoutError))
        return super().recv(buflen, flags)


class _DeadlineBackend(httpcore.NetworkBackend):
    def __init__(self, deadline: _Deadline) -> None:
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect; ``local_address`` is never set here."""
        connected = tcp.connect(host, port, self._deadline.countdown(timeout), socket_options or ())
        return _DeadlineStream(SyncStream(connected), self._deadline)
