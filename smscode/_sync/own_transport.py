# Generated from smscode/_async/own_transport.py by `nox -s generate`: change that file, not this one.

"""A caller's own transport or client, of httpx or of httpx2, as it sends the requests of a client."""

from __future__ import annotations

from .._http import families, messages
from .._http.messages import HttpRequest
from .._http.protocols import HttpClient, HttpResponse, RequestHandler, Transport
from ..core.api import arguments


class OwnTransport:
    """A caller's own transport."""

    bounded = False

    def __init__(self, family: families.Family, transport: Transport) -> None:
        self._family = family
        self._transport = transport

    def handle_request(self, request: HttpRequest) -> HttpResponse:
        """Send the request as httpx would."""
        made = messages.for_caller(request, self._family)
        return messages.CallersResponse(self._transport.handle_request(made))

    def close(self) -> None:
        """Close the transport."""
        self._transport.close()


class OwnClient:
    """A caller's own httpx client, used as it is but for redirects and authentication."""

    bounded = False

    def __init__(self, family: families.Family, http_client: HttpClient) -> None:
        self._family = family
        self._http_client = http_client

    def handle_request(self, request: HttpRequest) -> HttpResponse:
        """Send the request through the client's pool, hooks and proxies."""
        made = messages.for_caller(request, self._family)
        return messages.CallersResponse(
            self._http_client.send(made, stream=True, auth=None, follow_redirects=False)
        )

    def close(self) -> None:
        """Do nothing: the client belongs to the caller, who closes it."""


def own_handler(transport: Transport | None, http_client: HttpClient | None) -> RequestHandler:
    """Return what sends through a caller's own transport or client, of which one is given.

    Raises `InvalidArgumentError` if it is not of httpx or httpx2, of the other flavour, or closed.
    """
    if transport is not None:
        if (family := families.of(transport, families.Kinds.TRANSPORT)) is None:
            raise arguments.wrong("transport", "a transport of httpx or httpx2 of this flavour", transport)
        return OwnTransport(family, transport)
    family = families.of(http_client, families.Kinds.CLIENT)
    if http_client is None or family is None or getattr(http_client, "is_closed", True):
        raise arguments.wrong("http_client", "an open client of httpx or httpx2 of this flavour", http_client)
    return OwnClient(family, http_client)
