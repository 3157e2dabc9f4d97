"""Clients of a sandbox for which time passes only when somebody waits, so that no wait takes any.

A wait moves the sandbox's time on to its own end. Where several wait at once, whichever ends first
does so, as if the time had passed.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import anyio.lowlevel
import httpx

from ... import AsyncClient, Client
from ..._concurrency import AsyncEvent, AsyncRuntime, Event, Runtime
from ..http.waiting import AnswerPace
from ..sandbox import Sandbox
from .transport import SandboxTransport

_TURNS = 5
"""For how many turns of the event loop, or looks by a thread, nothing has to happen before time moves."""
_LOOK = 0.0005  # seconds of real time between two looks by a thread


class VirtualTime(AnswerPace):
    """The time of a sandbox and its clients.

    It moves when nothing else is going on: no request is under way, and nobody came to a wait or left
    one for a few turns of the event loop or, with threads, a moment.
    """

    first_nap: float = math.inf
    longest_nap: float = math.inf

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._lock = threading.RLock()
        self._waits: list[float] = []
        self._now = 1000.0
        self._busy = 0
        self._happened = 0

    def now(self) -> float:
        """Return the seconds since some time before it began."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Wait for an answer, in a thread."""
        with self._count(-1):
            self.wait(seconds)

    async def sleep_async(self, seconds: float) -> None:
        """Wait for an answer, on an event loop."""
        with self._count(-1):
            await self.wait_async(seconds)

    def request(self) -> AbstractContextManager[None]:
        """Stop the time while the block runs, but where it waits for an answer."""
        return self._count(1)

    def wait(self, seconds: float, event: Event | None = None) -> None:
        """Wait, in a thread, until an event is set if there is one."""
        with self._waiting(seconds) as moved:
            while not moved() and not (event is not None and event.is_set()):
                time.sleep(_LOOK)

    async def wait_async(self, seconds: float, event: AsyncEvent | None = None) -> None:
        """Wait, on an event loop, until an event is set if there is one."""
        with self._waiting(seconds) as moved:
            await anyio.lowlevel.checkpoint()
            while not moved() and not (event is not None and event.is_set()):
                await anyio.lowlevel.checkpoint()

    @contextmanager
    def _count(self, change: int) -> Generator[None]:
        with self._lock:
            self._busy += change
            self._happened += 1
        try:
            yield
        finally:
            with self._lock:
                self._busy -= change
                self._happened += 1

    @contextmanager
    def _waiting(self, seconds: float) -> Generator[Callable[[], bool]]:
        """Wait for a time; calling what this gives tells whether it has come, and may bring it about."""
        until = self._now + seconds
        with self._lock:
            self._waits.append(until)
            self._happened += 1
        seen, quiet = -1, 0

        def moved() -> bool:
            nonlocal seen, quiet
            with self._lock:
                quiet = quiet + 1 if seen == self._happened and not self._busy else 0
                seen = self._happened
                if quiet > _TURNS and self._now < until == min(self._waits):
                    passed, self._now = until - self._now, until
                    self._happened += 1
                    self._sandbox.advance(passed)
                return self._now >= until

        try:
            yield moved
        finally:
            with self._lock:
                self._waits.remove(until)
                self._happened += 1


class VirtualTransport(SandboxTransport):
    """Leads to a sandbox on whose time its clients live."""

    def __init__(self, sandbox: Sandbox, shared: VirtualTime) -> None:
        super().__init__(sandbox.transport().app, shared)
        self.origin: str = sandbox.transport().origin
        self._time = shared

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request of a sync client."""
        with self._time.request():
            return super().handle_request(request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request of an async client."""
        with self._time.request():
            return await super().handle_async_request(request)


class _AsyncVirtualRuntime(AsyncRuntime):
    def __init__(self, shared: VirtualTime) -> None:
        self._time = shared
        self.clock = shared.now

    def now(self) -> float:
        return self._time.now()

    async def sleep(self, seconds: float) -> None:
        await self._time.wait_async(seconds)

    async def wait(self, event: AsyncEvent, seconds: float) -> bool:
        if math.isinf(seconds):  # somebody else ends it
            return await super().wait(event, seconds)
        await self._time.wait_async(seconds, event)
        return event.is_set()


class _VirtualRuntime(Runtime):
    def __init__(self, shared: VirtualTime) -> None:
        self._time = shared
        self.clock = shared.now

    def now(self) -> float:
        return self._time.now()

    def sleep(self, seconds: float) -> None:
        self._time.wait(seconds)

    def wait(self, event: Event, seconds: float) -> bool:
        if math.isinf(seconds):  # somebody else ends it
            return super().wait(event, seconds)
        self._time.wait(seconds, event)
        return event.is_set()


class AsyncVirtualClient(AsyncClient):
    """An `AsyncClient` of a sandbox, on whose time it lives; its other arguments are as usual."""

    def __init__(self, sandbox: Sandbox, shared: VirtualTime, **options: Any) -> None:
        self._time = shared
        options.setdefault("transport", VirtualTransport(sandbox, shared))
        super().__init__(sandbox.token, **options)

    def _runtime(self) -> AsyncRuntime:
        return _AsyncVirtualRuntime(self._time)

    def leave(self) -> None:
        """Close it from outside of any event loop: a sandbox has no connections to close."""
        self._driver._closed = True


class VirtualClient(Client):
    """A `Client` of a sandbox, on whose time it lives; its other arguments are as usual."""

    def __init__(self, sandbox: Sandbox, shared: VirtualTime, **options: Any) -> None:
        self._time = shared
        options.setdefault("transport", VirtualTransport(sandbox, shared))
        super().__init__(sandbox.token, **options)

    def _runtime(self) -> Runtime:
        return _VirtualRuntime(self._time)
