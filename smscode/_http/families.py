"""httpx and its successor httpx2: two packages with the same interface, each over an httpcore of its own.

Neither is imported before it is asked for.
"""

from __future__ import annotations

import functools
import importlib
import sys
from types import ModuleType
from typing import Any, Final

from .._concurrency.backend import trio_lowlevel

KEEPALIVE_EXPIRY: Final = 30.0
"""Seconds that an idle connection is kept: longer than a poll interval, so that polls share one."""

NAMES: Final = ("httpx", "httpx2")
_CORES = {"httpx": "httpcore", "httpx2": "httpcore2"}


class AsyncKinds:
    """What a caller may bring, by the names of the classes."""

    TRANSPORT: Final = "AsyncBaseTransport"
    CLIENT: Final = "AsyncClient"


class Kinds:
    """What a caller may bring, by the names of the classes."""

    TRANSPORT: Final = "BaseTransport"
    CLIENT: Final = "Client"


class Family:
    """The modules of one of the two, and what is made of them once."""

    def __init__(self, http: ModuleType) -> None:
        # By what the module is, as `httpx2.alias_httpx` lets the name httpx stand for httpx2.
        self.name: str = http.__name__
        self.http: Any = importlib.import_module(self.name)  # waits, where another thread is importing it
        self.limits = self.http.Limits(keepalive_expiry=KEEPALIVE_EXPIRY)
        self.packages = (self.name, _CORES[self.name])

    @functools.cached_property
    def core(self) -> Any:
        """The httpcore of the family, which a caller's own transport may do without."""
        return importlib.import_module(_CORES[self.name])

    def async_backend(self) -> Any:
        """Return what makes its network streams in the event loop that runs."""
        core = self.core
        return core.AnyIOBackend() if trio_lowlevel() is None else core.TrioBackend()

    @functools.cached_property
    def sync_stream(self) -> Any:
        """The class of its streams over a socket."""
        return importlib.import_module(f"{_CORES[self.name]}._backends.sync").SyncStream


@functools.cache
def family_of(http: ModuleType) -> Family:
    """Return the family of a module, httpx or httpx2."""
    return Family(http)


def family(name: str) -> Family:
    """Return a family by its name, importing it. Raises ImportError if it is not installed."""
    return family_of(importlib.import_module(name))


def of(value: object, class_name: str) -> Family | None:
    """Return the family of an object that is an instance of a class of it, None if it is of neither."""
    loaded = [family(name) for name in NAMES if sys.modules.get(name) is not None]
    return next((one for one in loaded if isinstance(value, getattr(one.http, class_name))), None)
