"""One connection of httpx or httpx2 through a proxy. By hand in both flavours, with equal names."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

from .._concurrency import AsyncRuntime
from . import messages, mocking
from .families import Family
from .messages import Content, HttpRequest, Origin
from .protocols import AsyncHttpResponse, HttpResponse
from .stack_errors import ConnectTimeout
from .streams import (
    AsyncioStream,
    AsyncNetwork,
    AsyncTimedConnection,
    Network,
    TimedConnection,
    holds_a_record,
)


class AsyncProxiedConnection(AsyncTimedConnection):
    """One connection, for one request at a time."""

    def __init__(
        self,
        family: Family,
        origin: Origin,
        context: ssl.SSLContext,
        proxy: str,
        now: Callable[[], float],
    ) -> None:
        super().__init__(now)
        self._family = family
        self._scheme, self._host, self._port = origin
        # The transport knows each kind of proxy. Its pool only makes the connection object, and never gets a
        # request.
        self._transport = family.http.AsyncHTTPTransport(verify=context, proxy=proxy, limits=family.limits)
        # httpx has no argument for the network backend of its pool.
        pool = self._transport._pool
        self._backend = pool._network_backend = AsyncNetwork(pool._network_backend, self._deadline, family)
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
        return isinstance(self._backend.stream, AsyncioStream)

    @property
    def clean(self) -> bool:
        """Whether the exchange ended completely, so that the next request gets its own response."""
        return bool(self._connection.is_idle()) and not _left_over(self._connection)

    @property
    def gone(self) -> bool:
        """Whether the server closed the connection, or it was idle for longer than `KEEPALIVE_EXPIRY`."""
        if self.bounded:
            return bool(self._connection.has_expired())
        return self._connection.has_expired() or holds_a_record(_innermost(self._connection)._network_stream)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._connection.aclose()
        if self._backend.stream is not None:
            await self._backend.stream.aclose()
        if self._mocked:  # a mock may have let requests pass, on connections of the pool
            await self._transport.aclose()


class ProxiedConnection(TimedConnection):
    """One connection, for one request at a time, that keeps to a deadline by itself."""

    def __init__(
        self,
        family: Family,
        origin: Origin,
        context: ssl.SSLContext,
        proxy: str,
        now: Callable[[], float],
    ) -> None:
        super().__init__(now)
        self._family = family
        self._scheme, self._host, self._port = origin
        self._transport = family.http.HTTPTransport(verify=context, proxy=proxy, limits=family.limits)
        self._mocked = False
        # httpx has no argument for the network backend of its pool.
        pool = self._transport._pool
        pool._network_backend = Network(self._deadline, family)
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
    return bool(_innermost(connection)._h11_state.trailing_data[0])


def _innermost(connection: Any) -> Any:
    """Return the connection that speaks HTTP to the service, within those to a proxy."""
    while not hasattr(connection, "_h11_state"):
        connection = connection._connection
    return connection
