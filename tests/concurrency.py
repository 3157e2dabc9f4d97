"""What the flavours' tests need by hand: time under control, in both flavours with equal names."""

from __future__ import annotations

import math
import threading

import anyio.lowlevel

from smscode import AsyncClient, Client
from smscode._concurrency import AsyncEvent, AsyncRuntime, Event, Runtime
from smscode.sandbox import Sandbox


class AsyncVirtualRuntime(AsyncRuntime):
    """Time that passes only when somebody waits for it, in step with a sandbox.

    A wait with an end moves time on; one without an end really waits, for another task to end it.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.slept: list[float] = []
        self._now = 1000.0

    def chance(self) -> float:  # type: ignore[override]  # a method where the real one has a function
        return 0.5

    def now(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._pass(seconds)
        await anyio.lowlevel.checkpoint()

    async def wait(self, event: AsyncEvent, seconds: float) -> bool:
        await anyio.lowlevel.checkpoint()
        if math.isinf(seconds):
            return await super().wait(event, seconds)
        if not event.is_set():
            self._pass(seconds)
        return event.is_set()

    def _pass(self, seconds: float) -> None:
        self._now += seconds
        self.sandbox.advance(seconds)


class VirtualRuntime(Runtime):
    """Time that passes only when somebody waits for it, in step with a sandbox.

    A wait with an end moves time on; one without an end really waits, for another thread to end it.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.slept: list[float] = []
        self._now = 1000.0
        self._lock = threading.Lock()

    def chance(self) -> float:  # type: ignore[override]  # a method where the real one has a function
        return 0.5

    def now(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._pass(seconds)

    def wait(self, event: Event, seconds: float) -> bool:
        if math.isinf(seconds):
            return super().wait(event, seconds)
        if not event.is_set():
            self._pass(seconds)
        return event.is_set()

    def _pass(self, seconds: float) -> None:
        with self._lock:
            self._now += seconds
            self.sandbox.advance(seconds)


class AsyncVirtualClient(AsyncClient):
    """A client on a sandbox whose time is virtual."""

    def __init__(self, sandbox: Sandbox, **options: object) -> None:
        self.runtime = AsyncVirtualRuntime(sandbox)
        super().__init__(sandbox.token, transport=sandbox.transport(), **options)  # type: ignore[arg-type]  # as given

    def _runtime(self) -> AsyncRuntime:
        return self.runtime


class VirtualClient(Client):
    """A client on a sandbox whose time is virtual."""

    def __init__(self, sandbox: Sandbox, **options: object) -> None:
        self.runtime = VirtualRuntime(sandbox)
        super().__init__(sandbox.token, transport=sandbox.transport(), **options)  # type: ignore[arg-type]  # as given

    def _runtime(self) -> Runtime:
        return self.runtime
