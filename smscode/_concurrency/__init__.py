"""Every wait of the package, by hand in both flavours with equal names.

The asynchronous classes stand on anyio, so they serve asyncio and trio; the others on threads. The
generator only renames, so everything that differs between the flavours is here.
"""

from __future__ import annotations

import anyio

from .callers import AsyncCaller, Caller
from .events import AsyncEvent, AsyncSignal, AsyncWakes, Event, Signal, Wakes
from .helpers import AsyncHelpers, Helpers
from .loop_affinity import AsyncLoopAffinity, LoopAffinity
from .runtime import AsyncRuntime, Runtime

__all__ = [
    "STREAM_ERRORS",
    "AsyncCaller",
    "AsyncEvent",
    "AsyncHelpers",
    "AsyncLoopAffinity",
    "AsyncRuntime",
    "AsyncSignal",
    "AsyncWakes",
    "Caller",
    "Event",
    "Helpers",
    "LoopAffinity",
    "Runtime",
    "Signal",
    "Wakes",
]

STREAM_ERRORS: tuple[type[Exception], ...] = (
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    anyio.EndOfStream,
)
"""What can escape from a broken stream below httpx, unmapped."""
