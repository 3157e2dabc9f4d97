"""All waiting of the package, written by hand in both flavours with equal names.

The asynchronous classes use anyio, for asyncio and trio; the others use threads. The generator of the sync
twins only renames, so everything that differs between the flavours is here.
"""

from __future__ import annotations

import anyio

from .blocks import AsyncBlock, Block
from .callers import AsyncCaller, Caller
from .entering import AsyncEnter, AsyncEntering, Enter, Entering
from .events import Alarm, AsyncAlarm, AsyncEvent, AsyncSignal, AsyncWakes, Event, Signal, Wakes
from .helpers import AsyncHelpers, Helpers
from .loop_affinity import AsyncLoopAffinity, LoopAffinity
from .runtime import AsyncRuntime, Runtime

__all__ = [
    "STREAM_ERRORS",
    "Alarm",
    "AsyncAlarm",
    "AsyncBlock",
    "AsyncCaller",
    "AsyncEnter",
    "AsyncEntering",
    "AsyncEvent",
    "AsyncHelpers",
    "AsyncLoopAffinity",
    "AsyncRuntime",
    "AsyncSignal",
    "AsyncWakes",
    "Block",
    "Caller",
    "Enter",
    "Entering",
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
"""Exceptions of anyio's streams that httpcore does not convert to its own."""
