"""httpx and its successor httpx2: two packages with the same interface, each over an httpcore of its own.

Neither is imported before something of it is needed.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any, Final

from .._concurrency.backend import trio_lowlevel

KEEPALIVE_EXPIRY: Final = 30.0
"""Seconds that an idle connection is kept: longer than a poll interval, so that polls share one."""

NAMES: Final = ("httpx", "httpx2")
CORES: Final = {"httpx": "httpcore", "httpx2": "httpcore2"}


class AsyncKinds:
    """What a caller may bring, by the names of the classes."""

    TRANSPORT: Final = "AsyncBaseTransport"
    CLIENT: Final = "AsyncClient"


class Kinds:
    """What a caller may bring, by the names of the classes."""

    TRANSPORT: Final = "BaseTransport"
    CLIENT: Final = "Client"


class Family:
    """One of the two, by its name. Each of its modules is imported when something of it is needed.

    A connection without a proxy needs httpcore alone; httpx would be a tenth of a first call.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.packages = (name, CORES[name])

    @functools.cached_property
    def http(self) -> Any:
        """Its main module."""
        return importlib.import_module(self.name)  # waits, where another thread is importing it

    @functools.cached_property
    def limits(self) -> Any:
        """The limits of the transports that are made here."""
        return self.http.Limits(keepalive_expiry=KEEPALIVE_EXPIRY)

    @functools.cached_property
    def core(self) -> Any:
        """The httpcore of the family, which a caller's own transport may do without."""
        return importlib.import_module(CORES[self.name])

    def async_backend(self) -> Any:
        """Return what makes its network streams in the event loop that runs."""
        core = self.core
        return core.AnyIOBackend() if trio_lowlevel() is None else core.TrioBackend()

    @functools.cached_property
    def sync_stream(self) -> Any:
        """The class of its streams over a socket."""
        return importlib.import_module(f"{CORES[self.name]}._backends.sync").SyncStream


_family = functools.cache(Family)


@functools.cache
def family_of(http: ModuleType) -> Family:
    """Return the family of a module: by what it is, as `httpx2.alias_httpx` lets httpx stand for httpx2."""
    return _family(http.__name__)


def family(name: str) -> Family:
    """Return a family by its name. Raises ImportError if it is not installed."""
    if (module := sys.modules.get(name)) is not None:
        return family_of(module)
    if importlib.util.find_spec(name) is None:
        raise ImportError(f"{name} is not installed", name=name)
    return _family(name)


def of(value: object, class_name: str) -> Family | None:
    """Return the family of an object that is an instance of a class of it, None if it is of neither."""
    loaded = [family(name) for name in NAMES if sys.modules.get(name) is not None]
    return next((one for one in loaded if isinstance(value, getattr(one.http, class_name))), None)
