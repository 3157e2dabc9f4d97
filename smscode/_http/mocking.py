"""Detects test libraries that replace methods of the HTTP stacks, such as respx and pytest-httpx.

This package sends on connections of httpx's stack, not through its clients, so a mock of those would not see
its requests: a test that is meant to be offline would buy.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator

from ..errors import ConfigurationError
from .families import NAMES, Family, family_of

NOT_THROUGH_HERE = (
    "A library for tests (pytest-httpx, respx, aioresponses or the like) replaces the network, but cannot "
    "see the requests of this client. Nothing is sent: use another of its modes, or give the client "
    "transport= or http_client=."
)


@functools.lru_cache(maxsize=64)  # each call asks again, mostly about the same methods
def replaced(method: object, packages: tuple[str, ...]) -> bool:
    """Return True if a method does not come from its own package.

    A method wrapped by an instrumentation counts as its package's own: it keeps the ``__module__``.
    """
    module: object = getattr(method, "__module__", None)
    return not (isinstance(module, str) and module.partition(".")[0] in packages)


def async_mocked(own: Family | None) -> bool:
    """Return True if async requests have to pass through the transport of a family, so that a mock sees them.

    Raises `ConfigurationError` if a mock would not see them there either: one of the family's client, or of
    the other family, whose requests a test believes to be the only ones.
    """
    mocked = False
    for family in _loaded("AsyncClient"):
        if replaced(family.http.AsyncHTTPTransport.handle_async_request, family.packages) or replaced(
            family.core.AsyncConnectionPool.handle_async_request, family.packages
        ):
            mocked = _seen(family, own)
    return mocked


def sync_mocked(own: Family) -> bool:
    """Return True if requests have to pass through the transport of a family, so that a mock sees them.

    Raises `ConfigurationError` if a mock would not see them there either.
    """
    mocked = False
    for family in _loaded("Client"):
        if replaced(family.http.HTTPTransport.handle_request, family.packages) or replaced(
            family.core.ConnectionPool.handle_request, family.packages
        ):
            mocked = _seen(family, own)
    return mocked


def _loaded(client: str) -> Iterator[Family]:
    """Yield the families that the program has imported; raise if a mock has replaced a method of a client."""
    for name in NAMES:
        if (module := sys.modules.get(name)) is not None:
            family = family_of(module)
            class_ = getattr(family.http, client)
            # The methods that respx with using="httpx" and some versions of vcrpy replace.
            for method in ("_transport_for_url", "_send_single_request"):
                if replaced(getattr(class_, method, class_), family.packages):
                    raise ConfigurationError(NOT_THROUGH_HERE)
            yield family


def _seen(mocked: Family, own: Family | None) -> bool:
    if mocked is not own:
        raise ConfigurationError(NOT_THROUGH_HERE)
    return True
