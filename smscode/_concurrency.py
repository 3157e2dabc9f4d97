"""Every wait of the package, by hand in both flavours with equal names.

The asynchronous classes stand on anyio, so they serve asyncio and trio; the others on threads. The
generator only renames, so everything that differs between the flavours is here.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import math
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Generic, TypeVar, TypeVarTuple

import anyio
import anyio.lowlevel
import anyio.to_thread

from .errors import ClientStateError

T = TypeVar("T")
R = TypeVar("R")
Ts = TypeVarTuple("Ts")

STREAM_ERRORS: tuple[type[Exception], ...] = (
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    anyio.EndOfStream,
)
"""What can escape from a broken stream below httpx, unmapped."""


class AsyncEvent:
    """Set once, seen by all who wait.

    On asyncio it is by hand: thousands may wait at once, and anyio's event and its limits of time are made
    of many more objects, all of which the garbage collector looks at again and again.
    """

    def __init__(self) -> None:
        self._set = False
        self._waiters: list[asyncio.Future[None]] = []
        self._on_trio: anyio.Event | None = None

    def set(self) -> None:
        """Wake all who wait, now and later."""
        self._set = True
        if self._on_trio is not None:
            self._on_trio.set()
        for waiter in self._waiters:
            _end(waiter)
        self._waiters.clear()

    def is_set(self) -> bool:
        """Tell whether it was set."""
        return self._set

    async def wait(self, seconds: float) -> bool:
        """Wait until it is set, at most so long; tell whether it was."""
        if self._set:
            await anyio.lowlevel.checkpoint()
        elif _trio_lowlevel() is not None:
            await self._wait_on_trio(seconds)
        else:
            loop = asyncio.get_running_loop()
            waiter = loop.create_future()
            self._waiters.append(waiter)
            alarm = None if math.isinf(seconds) else loop.call_later(seconds, _end, waiter)
            try:
                await waiter
            finally:
                if alarm is not None:
                    alarm.cancel()
                if not self._set:
                    self._waiters.remove(waiter)
        return self._set

    async def _wait_on_trio(self, seconds: float) -> None:
        self._on_trio = self._on_trio or anyio.Event()
        with anyio.move_on_after(seconds):
            await self._on_trio.wait()


def _end(waiter: asyncio.Future[None]) -> None:
    """End a wait, unless it was cancelled or ended before."""
    if not waiter.done():
        waiter.set_result(None)


class AsyncSignal(AsyncEvent):
    """An event that any thread may set, and that can stop something."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()
        self._call_there = _run_soon()
        self._stopped: anyio.CancelScope | None = None

    def set(self) -> None:
        """Wake all who wait, now and later, and stop what is to be stopped."""
        super().set()
        if self._stopped is not None:
            self._stopped.cancel()

    def wake(self) -> bool:
        """Set it, from anywhere; tell whether its event loop is still there to see it."""
        try:
            if threading.get_ident() == self._thread:
                self.set()
            else:
                self._call_there(self.set)
        except RuntimeError:  # also trio.RunFinishedError
            return False
        return True

    @contextlib.contextmanager
    def stopping(self) -> Generator[None]:
        """Leave the block as soon as this is set, wherever it waits."""
        with anyio.CancelScope() as scope:
            self._stopped = scope
            if self.is_set():
                scope.cancel()
            try:
                yield
            finally:
                self._stopped = None


def _trio_lowlevel() -> Any:
    """Give the part of trio that knows what runs, None outside of it."""
    trio = sys.modules.get("trio")
    return trio.lowlevel if trio is not None and trio.lowlevel.in_trio_task() else None


def _run_soon() -> Callable[[Callable[[], None]], object]:
    """Give the function that lets other threads run something in this event loop."""
    trio = _trio_lowlevel()
    if trio is None:
        return asyncio.get_running_loop().call_soon_threadsafe
    soon: Callable[[Callable[[], None]], object] = trio.current_trio_token().run_sync_soon
    return soon


class Event:
    """Set once, seen by all who wait."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Wake all who wait, now and later."""
        self._event.set()

    def is_set(self) -> bool:
        """Tell whether it was set."""
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait until it is set, at most so long; tell whether it was."""
        return self._event.wait(min(seconds, threading.TIMEOUT_MAX))


class Signal(Event):
    """An event that any thread may set, as all events of threads."""

    def wake(self) -> bool:
        """Set it; tell whether somebody is there to see it."""
        self.set()
        return True


class AsyncAhead(Generic[T]):
    """Fetches things one by one, each while the one before is used; None is the end of them."""

    def __init__(self, fetch: Callable[[], Coroutine[object, object, T | None]]) -> None:
        self._fetch = fetch
        self._next: _Fetched[T] | None = None

    async def __aenter__(self) -> None:
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._begin()

    def _begin(self) -> None:
        self._next = _Fetched()
        self._tasks.start_soon(self._run, self._next)

    async def _run(self, fetched: _Fetched[T]) -> None:
        try:
            fetched.value = await self._fetch()
        except Exception as error:
            fetched.error = error
        fetched.done.set()

    async def take(self) -> T | None:
        """Wait for the next thing, and begin with the one after it. Raises what its fetching raised."""
        if self._next is None:
            return None
        await self._next.done.wait()
        fetched, self._next = self._next, None
        if fetched.error is not None:
            raise fetched.error
        if fetched.value is not None:
            self._begin()
        return fetched.value

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._next = None
        self._tasks.cancel_scope.cancel()
        # The block's own exception goes on by itself: given to the task group, it would come out in a group.
        await self._tasks.__aexit__(None, None, None)


class _Fetched(Generic[T]):
    """What came of a fetch that was begun."""

    def __init__(self) -> None:
        self.done = anyio.Event()
        self.value: T | None = None
        self.error: Exception | None = None


class Ahead(Generic[T]):
    """Fetches things one by one, each while the one before is used; None is the end of them."""

    def __init__(self, fetch: Callable[[], T | None]) -> None:
        self._fetch = fetch
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="smscode-ahead")
        self._next: Future[T | None] | None = None

    def __enter__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._next = self._thread.submit(contextvars.copy_context().run, self._fetch)

    def take(self) -> T | None:
        """Wait for the next thing, and begin with the one after it. Raises what its fetching raised."""
        if self._next is None:
            return None
        fetched, self._next = self._next, None
        value = fetched.result()
        if value is not None:
            self._begin()
        return value

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._next = None
        self._thread.shutdown(cancel_futures=True)  # and wait: a thread cannot be interrupted


_FORKED = "This client was used before the process forked: make a new one after the fork."


class AsyncHome:
    """The event loop and process that a client belongs to from its first use on.

    Connections do not survive a change of either: in another loop they fail, and a forked process
    would share them with its parent and read its answers.
    """

    def __init__(self) -> None:
        self._process: int | None = None
        self._run: object = None

    def check(self) -> None:
        """Raise `ClientStateError` anywhere else."""
        trio = _trio_lowlevel()
        run = asyncio.get_running_loop() if trio is None else trio.current_trio_token()
        if self._process is None:
            self._process, self._run = os.getpid(), run
        if self._process != os.getpid():
            raise ClientStateError(_FORKED)
        if self._run is not run:
            raise ClientStateError("This client belongs to another event loop: make one for each.")


class Home:
    """The process that a client belongs to from its first use on.

    Connections do not survive a fork: the new process would share them and read its parent's answers.
    """

    def __init__(self) -> None:
        self._process: int | None = None

    def check(self) -> None:
        """Raise `ClientStateError` anywhere else."""
        if self._process is None:
            self._process = os.getpid()
        if self._process != os.getpid():
            raise ClientStateError(_FORKED)


class _Limit:
    """The same as `anyio.fail_after`, in half the time: it is around every exchange."""

    def __init__(self, scope: anyio.CancelScope) -> None:
        self._scope = scope

    def __enter__(self) -> None:
        self._scope.__enter__()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._scope.__exit__(exc_type, exc_value, traceback)
        if self._scope.cancelled_caught:
            raise TimeoutError


class AsyncRuntime:
    """Time, waiting and chance. Tests replace it to have time under control."""

    chance: Callable[[], float] = staticmethod(random.random)
    clock: Callable[[], float] = staticmethod(time.monotonic)  # the same for all loops and threads

    # A client belongs to one event loop: its clock and its scopes need not be found out for every call.
    _loop_time: Callable[[], float] | None = None
    _scope: type[anyio.CancelScope] = anyio.CancelScope

    def now(self) -> float:
        """Give the seconds of a clock that only goes forward."""
        return self._loop_now()

    def _loop_now(self) -> float:
        """Give the time of the event loop."""
        if self._loop_time is None:
            trio = _trio_lowlevel()
            self._loop_time = asyncio.get_running_loop().time if trio is None else anyio.current_time
        return self._loop_time()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await anyio.sleep(seconds)

    async def wait(self, event: AsyncEvent, seconds: float) -> bool:
        """Wait for an event, at most so long; tell whether it was set."""
        return await event.wait(seconds)

    def today(self) -> datetime:
        """Give the date and time, for servers that do not send theirs."""
        return datetime.now(UTC)

    def limit(self, seconds: float) -> AbstractContextManager[object]:
        """Raise TimeoutError out of the block when it takes longer."""
        scope = self._scope(deadline=self._loop_now() + seconds)
        self._scope = type(scope)
        return _Limit(scope)

    def unless(self, event: AsyncSignal) -> AbstractContextManager[object]:
        """Leave the block as soon as the event is set."""
        return event.stopping()

    def shield(self, seconds: float) -> AbstractContextManager[object]:
        """Keep cancellation out of the block, for at most so long."""
        return anyio.move_on_after(seconds, shield=True)

    async def in_thread(self, function: Callable[[*Ts], R], *arguments: *Ts) -> R:
        """Run something that blocks, without blocking the event loop; it is always run to its end."""
        return await anyio.to_thread.run_sync(function, *arguments)

    async def for_each(
        self, function: Callable[[T], Coroutine[object, object, None]], items: Sequence[T]
    ) -> None:
        """Do something with every item, all at once; return when all of it is done."""
        async with anyio.create_task_group() as tasks:
            for item in items:
                tasks.start_soon(function, item)


class Runtime:
    """Time, waiting and chance. Tests replace it to have time under control."""

    chance: Callable[[], float] = staticmethod(random.random)
    clock: Callable[[], float] = staticmethod(time.monotonic)  # the same for all loops and threads

    def now(self) -> float:
        """Give the seconds of a clock that only goes forward."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def wait(self, event: Event, seconds: float) -> bool:
        """Wait for an event, at most so long; tell whether it was set."""
        return event.wait(seconds)

    def today(self) -> datetime:
        """Give the date and time, for servers that do not send theirs."""
        return datetime.now(UTC)

    def limit(self, seconds: float) -> AbstractContextManager[object]:
        """Do nothing: a thread cannot be interrupted, so it looks at the clock itself."""
        return contextlib.nullcontext()

    def unless(self, event: Signal) -> AbstractContextManager[object]:
        """Do nothing: a thread cannot be interrupted."""
        return contextlib.nullcontext()

    def shield(self, seconds: float) -> AbstractContextManager[object]:
        """Do nothing: a thread cannot be cancelled."""
        return contextlib.nullcontext()

    def in_thread(self, function: Callable[[*Ts], R], *arguments: *Ts) -> R:
        """Run something that blocks."""
        return function(*arguments)

    def for_each(self, function: Callable[[T], None], items: Sequence[T]) -> None:
        """Do something with every item, all at once; return when all of it is done."""
        with ThreadPoolExecutor(max_workers=max(len(items), 1)) as threads:
            list(threads.map(function, items))
