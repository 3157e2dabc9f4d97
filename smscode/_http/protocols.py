"""What sends requests, and what comes back, whichever HTTP stack is below."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Sequence
from typing import Any, Protocol

from .messages import HttpRequest


class AsyncHttpResponse(Protocol):
    """A response whose body is still to be read."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """The headers as they came."""
        ...

    @property
    def stream(self) -> AsyncIterable[bytes]:
        """The chunks of the body."""
        ...

    async def aclose(self) -> None:
        """Stop reading."""
        ...


class HttpResponse(Protocol):
    """A response whose body is still to be read."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """The headers as they came."""
        ...

    @property
    def stream(self) -> Iterable[bytes]:
        """The chunks of the body."""
        ...

    def close(self) -> None:
        """Stop reading."""
        ...


class AsyncRequestHandler(Protocol):
    """What sends requests: a connection, or the caller's own transport or client."""

    @property
    def bounded(self) -> bool:
        """Whether it ends at the deadline by itself, so that a request needs no time limits."""
        ...

    async def handle_async_request(self, request: HttpRequest) -> AsyncHttpResponse:
        """Send the request and return the response, whose body is still to be read."""
        ...

    async def aclose(self) -> None:
        """Close its connections."""
        ...


class RequestHandler(Protocol):
    """What sends requests: a connection, or the caller's own transport or client."""

    @property
    def bounded(self) -> bool:
        """Whether it ends at the deadline by itself, so that a request needs no time limits."""
        ...

    def handle_request(self, request: HttpRequest) -> HttpResponse:
        """Send the request and return the response, whose body is still to be read."""
        ...

    def close(self) -> None:
        """Close its connections."""
        ...


class _Lane(Protocol):
    """What both flavours of a connection have.

    ``owner`` is the call that uses it, or was interrupted while it did; None while it is free.
    """

    owner: object

    def until(self, deadline: float) -> None:
        """Set the deadline, by the runtime's clock, of everything on this connection."""
        ...

    def break_off(self) -> None:
        """End the exchange under way, from another thread; it fails as if the connection broke."""
        ...

    @property
    def clean(self) -> bool:
        """Whether the exchange ended completely, so that the next request gets its own response."""
        ...

    @property
    def gone(self) -> bool:
        """Whether the connection can no longer be used, as far as that can be seen without waiting."""
        ...


class AsyncStackConnection(AsyncRequestHandler, _Lane, Protocol):
    """One connection of any stack, for one request at a time."""


class StackConnection(RequestHandler, _Lane, Protocol):
    """One connection of any stack, for one request at a time."""


class AsyncTransport(Protocol):
    """A transport of httpx or httpx2."""

    async def handle_async_request(self, request: Any) -> Any:
        """Send a request of its own library and return the response."""
        ...

    async def aclose(self) -> None:
        """Close its connections."""
        ...


class Transport(Protocol):
    """A transport of httpx or httpx2."""

    def handle_request(self, request: Any) -> Any:
        """Send a request of its own library and return the response."""
        ...

    def close(self) -> None:
        """Close its connections."""
        ...


class AsyncHttpClient(Protocol):
    """A client of httpx or httpx2."""

    async def send(self, request: Any, *, stream: bool, auth: None, follow_redirects: bool) -> Any:
        """Send a request of its own library and return the response."""
        ...


class HttpClient(Protocol):
    """A client of httpx or httpx2."""

    def send(self, request: Any, *, stream: bool, auth: None, follow_redirects: bool) -> Any:
        """Send a request of its own library and return the response."""
        ...
