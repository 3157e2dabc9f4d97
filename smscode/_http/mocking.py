"""Detects test libraries that replace methods of httpx, such as respx and pytest-httpx.

This package sends on connections of httpx's stack, not through its clients, so a mock of those would not see
its requests: a test that is meant to be offline would buy.
"""

from __future__ import annotations

import httpcore
import httpx

from ..errors import ConfigurationError

_OWN = ("httpx", "httpcore")

NOT_THROUGH_HERE = (
    "A library for tests (pytest-httpx, respx, aioresponses or the like) replaces the network, but cannot "
    "see the requests of this client. Nothing is sent: use another of its modes, or give the client "
    "transport= or http_client=."
)


def replaced(method: object, packages: tuple[str, ...] = _OWN) -> bool:
    """Return True if a method does not come from its own package.

    A method wrapped by an instrumentation counts as its package's own: it keeps the ``__module__``.
    """
    module: object = getattr(method, "__module__", None)
    return not (isinstance(module, str) and module.partition(".")[0] in packages)


def async_mocked() -> bool:
    """Return True if async requests have to pass through httpx's transport, so that a mock sees them.

    Raises `ConfigurationError` if the mock would not see them there either.
    """
    _check(httpx.AsyncClient)
    return replaced(httpx.AsyncHTTPTransport.handle_async_request) or replaced(
        httpcore.AsyncConnectionPool.handle_async_request
    )


def sync_mocked() -> bool:
    """Return True if requests have to pass through httpx's transport, so that a mock sees them.

    Raises `ConfigurationError` if the mock would not see them there either.
    """
    _check(httpx.Client)
    return replaced(httpx.HTTPTransport.handle_request) or replaced(httpcore.ConnectionPool.handle_request)


def _check(client: type[httpx.Client | httpx.AsyncClient]) -> None:
    # The methods that respx with using="httpx" and some versions of vcrpy replace.
    for name in ("_transport_for_url", "_send_single_request"):
        if replaced(getattr(client, name, client.__init__)):
            raise ConfigurationError(NOT_THROUGH_HERE)
