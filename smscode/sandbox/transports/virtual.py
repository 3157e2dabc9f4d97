"""Clients of a sandbox whose time passes only while they wait, so that a wait takes no real time.

A wait advances the sandbox's time to its own end. Of several waits at once, the one that ends first
does, as if the time had passed.
"""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import anyio.lowlevel
import httpx

from ... import AsyncClient, Client
from ..._clock import RealTime
from ..._concurrency import AsyncEvent, AsyncRuntime, Event, Runtime
from ..http.waiting import AnswerTiming
from ..sandbox import Sandbox
from .transport import SandboxTransport

_TURNS = 5
"""For how many turns of the event loop, or checks by a thread, nothing may happen before time moves."""
_CONNECTION = frozenset(
    (
        *("base_url", "allow_http", "transport", "http_client"),
        *("http", "proxy", "trust_env", "ssl_context", "user_agent"),
    )
)
_CHECK_EVERY = 0.0005  # seconds of real time between two checks by a thread
_LONGEST_WORK = 1.0  # seconds of real time for which a call that does not wait can stop the time
_PACKAGE = str(Path(__file__).parents[2]) + os.sep
_WORK = tuple(f"{_PACKAGE}{part}{os.sep}" for part in ("_async", "_sync", "core"))


class VirtualTime(AnswerTiming):
    """The time of a sandbox and its clients.

    It moves when nothing else happens: no request is in progress, no thread is at work in a call, and no wait
    began or ended for a few turns of the event loop or, with threads, a few checks. What a program does
    between two calls does not stop it: a thread that starts late may find that it is later.
    """

    first_sleep: float = math.inf
    longest_sleep: float = math.inf

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._lock = threading.RLock()
        self._waits: list[float] = []
        self._now = 1000.0
        self._busy = 0
        self._changes = 0

    def now(self) -> float:
        """Return the seconds of a monotonic clock."""
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
        """Stop the time in a ``with`` block, except where it waits for an answer."""
        return self._count(1)

    def wait(self, seconds: float, event: Event | None = None) -> None:
        """Wait, in a thread, until the time has come or an event is set."""
        with self._waiting(seconds) as moved:
            while not moved() and not (event is not None and event.is_set()):
                time.sleep(_CHECK_EVERY)

    async def wait_async(self, seconds: float, event: AsyncEvent | None = None) -> None:
        """Wait, on an event loop, until the time has come or an event is set."""
        with self._waiting(seconds) as moved:
            await anyio.lowlevel.checkpoint()
            while not moved() and not (event is not None and event.is_set()):
                await anyio.lowlevel.checkpoint()

    @contextmanager
    def _count(self, change: int) -> Generator[None]:
        with self._lock:
            self._busy += change
            self._changes += 1
        try:
            yield
        finally:
            with self._lock:
                self._busy -= change
                self._changes += 1

    @contextmanager
    def _waiting(self, seconds: float) -> Generator[Callable[[], bool]]:
        """Start a wait; yield a function that returns True when its time has come, and may move the time."""
        until = self._now + seconds
        with self._lock:
            self._waits.append(until)
            self._changes += 1
        seen, quiet, since = -1, 0, 0.0

        def moved() -> bool:
            nonlocal seen, quiet, since
            with self._lock:
                if seen != self._changes or self._busy:
                    seen, quiet, since = self._changes, 0, RealTime.monotonic()
                else:
                    quiet += 1
                mine = quiet > _TURNS and self._now < until == min(self._waits)
                if mine and (not _others_work() or RealTime.monotonic() - since > _LONGEST_WORK):
                    passed, self._now = until - self._now, until
                    self._changes += 1
                    self._sandbox.advance(passed)
                return self._now >= until

        try:
            yield moved
        finally:
            with self._lock:
                self._waits.remove(until)
                self._changes += 1


def _others_work() -> bool:
    """Return True if another thread is in a call of a client and does not wait there: it is about to."""
    own = threading.get_ident()
    return any(_works(frame) for thread, frame in sys._current_frames().items() if thread != own)


def _works(frame: FrameType | None) -> bool:
    """Return True if the innermost function of this package is at work; all waiting is in `_concurrency`."""
    while frame is not None and not frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename.startswith(_WORK)


class VirtualTransport(SandboxTransport):
    """A transport to a sandbox whose clients share its time."""

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


class _VirtualClock:
    def __init__(self, shared: VirtualTime) -> None:
        self._time = shared
        self.clock = shared.now

    def now(self) -> float:
        return self._time.now()


class _AsyncVirtualRuntime(_VirtualClock, AsyncRuntime):
    async def sleep(self, seconds: float) -> None:
        await self._time.wait_async(seconds)

    async def wait(self, event: AsyncEvent, seconds: float) -> bool:
        if math.isinf(seconds):  # only the event ends it
            return await super().wait(event, seconds)
        await self._time.wait_async(seconds, event)
        return event.is_set()


class _VirtualRuntime(_VirtualClock, Runtime):
    def sleep(self, seconds: float) -> None:
        self._time.wait(seconds)

    def wait(self, event: Event, seconds: float) -> bool:
        if math.isinf(seconds):  # only the event ends it
            return super().wait(event, seconds)
        self._time.wait(seconds, event)
        return event.is_set()


class AsyncVirtualClient(AsyncClient):
    """An `AsyncClient` that uses a sandbox and its time; the other arguments are those of the base."""

    def __init__(self, sandbox: Sandbox, shared: VirtualTime, **options: Any) -> None:
        self._time = shared
        options.setdefault("transport", VirtualTransport(sandbox, shared))
        super().__init__(sandbox.token, **options)

    def _runtime(self) -> AsyncRuntime:
        return _AsyncVirtualRuntime(self._time)

    def leave(self) -> None:
        """Close it outside of any event loop: with a sandbox there are no connections to close."""
        self._driver._closed = True


class VirtualClient(Client):
    """A `Client` that uses a sandbox and its time; the other arguments are those of the base."""

    def __init__(self, sandbox: Sandbox, shared: VirtualTime, **options: Any) -> None:
        self._time = shared
        options.setdefault("transport", VirtualTransport(sandbox, shared))
        super().__init__(sandbox.token, **options)

    def _runtime(self) -> Runtime:
        return _VirtualRuntime(self._time)


def client_class(sandbox: Sandbox, shared: VirtualTime, usual: Mapping[str, Any]) -> type[Client]:
    """Return a class to put in place of `Client` in a program; see `async_client_class`."""

    class SandboxClient(VirtualClient):
        def __init__(self, token: str | None = None, **given: Any) -> None:
            super().__init__(sandbox, shared, **_without_connection({**usual, **given}))

    return SandboxClient


def async_client_class(sandbox: Sandbox, shared: VirtualTime, usual: Mapping[str, Any]) -> type[AsyncClient]:
    """Return a class to put in place of `AsyncClient` in a program: its clients use a sandbox and its time.

    ``usual`` are arguments of its clients that the program may override.
    """

    class AsyncSandboxClient(AsyncVirtualClient):
        def __init__(self, token: str | None = None, **given: Any) -> None:
            super().__init__(sandbox, shared, **_without_connection({**usual, **given}))

    return AsyncSandboxClient


def _without_connection(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a client that do not say where and how it connects."""
    return {name: value for name, value in options.items() if name not in _CONNECTION}
