"""Detects test libraries that replace methods of the HTTP stacks, such as respx and pytest-httpx.

This package sends on connections of httpx's stack, not through its clients, so a mock of those would not see
its requests: a test that is meant to be offline would buy.
"""

from __future__ import annotations

import functools
import sys

from ..errors import ConfigurationError
from .families import CORES, NAMES, Family, family, family_of

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
    return _mocked(own, "AsyncClient", "AsyncHTTPTransport", "AsyncConnectionPool", "handle_async_request")


def sync_mocked(own: Family) -> bool:
    """Return True if requests have to pass through the transport of a family, so that a mock sees them.

    Raises `ConfigurationError` if a mock would not see them there either.
    """
    return _mocked(own, "Client", "HTTPTransport", "ConnectionPool", "handle_request")


def _mocked(own: Family | None, client: str, transport: str, pool: str, method: str) -> bool:
    """Look at the modules that the program has imported: nothing can be replaced in others."""
    mocked = False
    for name in NAMES:
        if (module := sys.modules.get(name)) is not None:
            found = family_of(module)
            class_ = getattr(found.http, client)
            # The methods that respx with using="httpx" and some versions of vcrpy replace.
            for replaceable in ("_transport_for_url", "_send_single_request"):
                if replaced(getattr(class_, replaceable, class_), found.packages):
                    raise ConfigurationError(NOT_THROUGH_HERE)
            through = replaced(getattr(getattr(found.http, transport), method), found.packages)
        elif sys.modules.get(CORES[name]) is not None:
            found, through = family(name), False
        else:
            continue
        if through or replaced(getattr(getattr(found.core, pool), method), found.packages):
            if found is not own:
                raise ConfigurationError(NOT_THROUGH_HERE)
            mocked = True
    return mocked
