"""Clients of a sandbox whose time passes only while they wait, so that a wait takes no real time.

A wait advances the sandbox's time to its own end. Of several waits at once, the one that ends first
does, as if the time had passed.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
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


class VirtualTime(AnswerTiming):
    """The time of a sandbox and its clients.

    It moves when nothing else happens: no request is in progress, and no wait began or ended for a few turns
    of the event loop or, with threads, a few checks. Another thread of the test that does not wait may be
    about to, or to start one that does: it is given ``patience`` seconds of real time for that.
    """

    first_sleep: float = math.inf
    longest_sleep: float = math.inf

    def __init__(self, sandbox: Sandbox, patience: float = 0.05) -> None:
        self._sandbox = sandbox
        self._patience = patience
        self._older = set(threading.enumerate()) - {threading.current_thread()}
        self._lock = threading.RLock()
        self._waits: list[tuple[float, int]] = []  # until when, and in which thread
        self._settled: object = None  # the threads, and those that did not wait, when they had had their time
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
        with self._waiting(seconds, self._patience) as moved:
            while not moved() and not (event is not None and event.is_set()):
                time.sleep(_CHECK_EVERY)

    async def wait_async(self, seconds: float, event: AsyncEvent | None = None) -> None:
        """Wait, on an event loop, until the time has come or an event is set."""
        with self._waiting(seconds, 0.0) as moved:
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
    def _waiting(self, seconds: float, patience: float) -> Generator[Callable[[], bool]]:
        """Start a wait; yield a function that returns True when its time has come, and may move the time."""
        with self._lock:
            until = self._now + seconds
            wait = until, threading.get_ident()
            self._waits.append(wait)
            self._changes += 1
        seen, quiet, since = -1, 0, 0.0

        def moved() -> bool:
            nonlocal seen, quiet, since
            with self._lock:
                if seen != self._changes or self._busy:
                    seen, quiet, since = self._changes, 0, RealTime.monotonic()
                else:
                    quiet += 1
                mine = quiet > _TURNS and self._now < until == min(self._waits)[0]
                if mine and (not patience or self._others_wait(RealTime.monotonic() - since >= patience)):
                    passed, self._now = until - self._now, until
                    self._changes += 1
                    self._sandbox.advance(passed)
                return self._now >= until

        try:
            yield moved
        finally:
            with self._lock:
                self._waits.remove(wait)
                self._changes += 1

    def _others_wait(self, had_time: bool) -> bool:
        """Return True if all threads of the test wait, or the others had their time since one began or ended.

        Daemons, like the journal's thread, do not count.
        """
        waiting = {thread for _, thread in self._waits}
        there = {thread for thread in threading.enumerate() if not thread.daemon} - self._older
        others = {thread for thread in there if thread.ident not in waiting}
        if others and had_time:
            self._settled = there, others
        return not others or self._settled == (there, others)


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
