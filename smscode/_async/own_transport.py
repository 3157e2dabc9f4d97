"""A caller's own transport or client, of httpx or of httpx2, as it sends the requests of a client."""

from __future__ import annotations

from .._http import families, messages
from .._http.messages import HttpRequest
from .._http.protocols import AsyncHttpClient, AsyncHttpResponse, AsyncRequestHandler, AsyncTransport
from ..core.api import arguments


class AsyncOwnTransport:
    """A caller's own transport."""

    bounded = False

    def __init__(self, family: families.Family, transport: AsyncTransport) -> None:
        self._family = family
        self._transport = transport

    async def handle_async_request(self, request: HttpRequest) -> AsyncHttpResponse:
        """Send the request as httpx would."""
        made = messages.for_caller(request, self._family)
        return messages.CallersResponse(await self._transport.handle_async_request(made))

    async def aclose(self) -> None:
        """Close the transport."""
        await self._transport.aclose()


class AsyncOwnClient:
    """A caller's own httpx client, used as it is but for redirects and authentication."""

    bounded = False

    def __init__(self, family: families.Family, http_client: AsyncHttpClient) -> None:
        self._family = family
        self._http_client = http_client

    async def handle_async_request(self, request: HttpRequest) -> AsyncHttpResponse:
        """Send the request through the client's pool, hooks and proxies."""
        made = messages.for_caller(request, self._family)
        return messages.CallersResponse(
            await self._http_client.send(made, stream=True, auth=None, follow_redirects=False)
        )

    async def aclose(self) -> None:
        """Do nothing: the client belongs to the caller, who closes it."""


def own_handler(transport: AsyncTransport | None, http_client: AsyncHttpClient | None) -> AsyncRequestHandler:
    """Return what sends through a caller's own transport or client, of which one is given.

    Raises `InvalidArgumentError` if it is not of httpx or httpx2, of the other flavour, or closed.
    """
    if transport is not None:
        if (family := families.of(transport, families.AsyncKinds.TRANSPORT)) is None:
            raise arguments.wrong("transport", "a transport of httpx or httpx2 of this flavour", transport)
        return AsyncOwnTransport(family, transport)
    family = families.of(http_client, families.AsyncKinds.CLIENT)
    if http_client is None or family is None or getattr(http_client, "is_closed", True):
        raise arguments.wrong("http_client", "an open client of httpx or httpx2 of this flavour", http_client)
    return AsyncOwnClient(family, http_client)
