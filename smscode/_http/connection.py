"""One connection of httpx or httpx2 without a proxy. By hand in both flavours, with equal names.

The network streams are those of its httpcore, and HTTP/1.1 is spoken by h11, as below every client of httpx.
What lies between, a pool of one connection that checks each request once more, would take a third of a call.
"""

from __future__ import annotations

import math
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, Self

from .._concurrency import AsyncRuntime
from . import messages, mocking
from .families import KEEPALIVE_EXPIRY, Family
from .http11 import READ, Http11
from .messages import HttpRequest, Origin
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


class AsyncHttpConnection(AsyncTimedConnection):
    """One connection, for one request at a time.

    ``bounded`` is True once it is connected by a stream that keeps to the deadline.
    """

    bounded = False

    def __init__(
        self, family: Family, origin: Origin, context: ssl.SSLContext, now: Callable[[], float]
    ) -> None:
        super().__init__(now)
        self._family = family
        self._origin = origin
        self._context = context
        self._network = AsyncNetwork(family.async_backend(), self._deadline, family)
        self._stream: Any = None
        self._http11 = Http11()
        self._limit: float | None = None
        self._expires = math.inf
        self._mock: Any = None

    async def handle_async_request(self, request: HttpRequest) -> AsyncHttpResponse:
        """Send the request and return the response, whose body is still to be read."""
        if mocking.async_mocked(self._family):
            if self._mock is None:
                self._mock = self._family.http.AsyncHTTPTransport(
                    verify=self._context, limits=self._family.limits
                )
            made = messages.for_caller(request, self._family)
            with AsyncRuntime().fail_after(self._deadline.remaining(ConnectTimeout)):
                return messages.CallersResponse(await self._mock.handle_async_request(made))
        limits = request.extensions.get("timeout", {})
        trace = request.extensions.get("trace", _ignore_async)
        if self._stream is None:
            self._stream = await self._connect(limits.get("connect"), trace)
        self._limit = limits.get("read")
        head = self._http11.request(request)
        await trace(messages.FIRST_BYTE, {})
        try:
            await self._stream.write(head, limits.get("write"))
        except self._family.core.WriteError:
            self._http11.cut()
        while (answer := self._http11.head()) is None:
            self._http11.receive(await self._stream.read(READ, self._limit))
        return _Answer(*answer, self)

    async def _connect(
        self, timeout: float | None, trace: Callable[[str, Mapping[str, object]], Awaitable[None]]
    ) -> Any:
        scheme, host, port = self._origin.scheme, self._origin.host.decode("ascii"), self._origin.port
        await trace(messages.CONNECTING, {"host": host, "port": port})
        stream = await self._network.connect_tcp(host, port, timeout)
        self.bounded = isinstance(stream, AsyncioStream)
        if scheme != b"https":
            return stream
        self._context.set_alpn_protocols(["http/1.1"])
        return await stream.start_tls(self._context, host, timeout)

    def __aiter__(self) -> Self:
        """Iterate over the body of the last answer."""
        return self

    async def __anext__(self) -> bytes:
        while (chunk := self._http11.body()) is None:
            self._http11.receive(await self._stream.read(READ, self._limit))
        if chunk:
            return chunk
        self._expires = self._now() + KEEPALIVE_EXPIRY
        raise StopAsyncIteration

    @property
    def clean(self) -> bool:
        """Whether the exchange ended completely, so that the next request gets its own response."""
        return self._http11.clean

    @property
    def gone(self) -> bool:
        """Whether the server closed the connection, or it was idle for longer than `KEEPALIVE_EXPIRY`."""
        if self._now() > self._expires or self._stream.get_extra_info("is_readable"):
            return True
        return not self.bounded and holds_a_record(self._stream)

    async def aclose(self) -> None:
        """Close the connection."""
        for stream in dict.fromkeys((self._stream, self._network.stream)):  # one may lie below the other
            if stream is not None:
                await stream.aclose()
        if self._mock is not None:  # it may have let requests pass, on connections of its own
            await self._mock.aclose()


class HttpConnection(TimedConnection):
    """One connection, for one request at a time, that keeps to a deadline by itself."""

    def __init__(
        self, family: Family, origin: Origin, context: ssl.SSLContext, now: Callable[[], float]
    ) -> None:
        super().__init__(now)
        self._family = family
        self._origin = origin
        self._context = context
        self._network = Network(self._deadline, family)
        self._stream: Any = None
        self._http11 = Http11()
        self._limit: float | None = None
        self._expires = math.inf
        self._mock: Any = None

    def handle_request(self, request: HttpRequest) -> HttpResponse:
        """Send the request and return the response, whose body is still to be read."""
        if mocking.sync_mocked(self._family):
            if self._mock is None:
                self._mock = self._family.http.HTTPTransport(verify=self._context, limits=self._family.limits)
            made = messages.for_caller(request, self._family)
            return messages.CallersResponse(self._mock.handle_request(made))
        limits = request.extensions.get("timeout", {})
        trace = request.extensions.get("trace", _ignore)
        if self._stream is None:
            self._stream = self._connect(limits.get("connect"), trace)
        self._limit = limits.get("read")
        head = self._http11.request(request)
        trace(messages.FIRST_BYTE, {})
        try:
            self._stream.write(head, limits.get("write"))
        except self._family.core.WriteError:
            self._http11.cut()
        while (answer := self._http11.head()) is None:
            self._http11.receive(self._stream.read(READ, self._limit))
        return _Answer(*answer, self)

    def _connect(self, timeout: float | None, trace: Callable[[str, Mapping[str, object]], None]) -> Any:
        scheme, host, port = self._origin.scheme, self._origin.host.decode("ascii"), self._origin.port
        trace(messages.CONNECTING, {"host": host, "port": port})
        stream = self._network.connect_tcp(host, port, timeout)
        if scheme != b"https":
            return stream
        self._context.set_alpn_protocols(["http/1.1"])
        return stream.start_tls(self._context, host, timeout)

    def __iter__(self) -> Self:
        """Iterate over the body of the last answer."""
        return self

    def __next__(self) -> bytes:
        while (chunk := self._http11.body()) is None:
            self._http11.receive(self._stream.read(READ, self._limit))
        if chunk:
            return chunk
        self._expires = self._now() + KEEPALIVE_EXPIRY
        raise StopIteration

    @property
    def clean(self) -> bool:
        """Whether the exchange ended completely, so that the next request gets its own response."""
        return self._http11.clean

    @property
    def gone(self) -> bool:
        """Whether the server closed the connection, or it was idle for longer than `KEEPALIVE_EXPIRY`."""
        return self._now() > self._expires or bool(self._stream.get_extra_info("is_readable"))

    def close(self) -> None:
        """Close the connection."""
        if self._stream is not None:
            self._stream.close()
        if self._deadline.socket is not None:  # also if the time was over before TLS began
            self._deadline.socket.close()
        if self._mock is not None:  # it may have let requests pass, on connections of its own
            self._mock.close()


class _Answer(NamedTuple):
    """An answer whose body is still to be read, from its connection."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    stream: Any

    def close(self) -> None:
        """Do nothing: a connection whose body was not read to its end is not used again."""

    async def aclose(self) -> None:
        """Do nothing: a connection whose body was not read to its end is not used again."""


async def _ignore_async(event: str, info: Mapping[str, object]) -> None:
    """Ignore the events of a request without a trace."""


def _ignore(event: str, info: Mapping[str, object]) -> None:
    """Ignore the events of a request without a trace."""
