"""Clocks, waits, time limits and random numbers, in both flavours."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import TypeVar, TypeVarTuple

import anyio
import anyio.to_thread

from .._clock import RealTime
from .backend import trio_lowlevel
from .callers import Caller, heal
from .crew import LOOK, Crew, InterruptedCall, Shield, here
from .events import AsyncEvent, AsyncSignal, Event, Signal
from .helpers import AsyncHelpers, Helpers

T = TypeVar("T")
R = TypeVar("R")
Ts = TypeVarTuple("Ts")

_HEAL = 1.0  # seconds between two checks, in a waiting thread, for what interrupted calls still hold
_ASYNCIO_TIME = asyncio.BaseEventLoop.time  # which a test may replace
_SETTLING = 1.0  # seconds for helper threads to finish their calls after an interrupt


class AsyncRuntime:
    """Clocks, waits and random numbers of a client. Tests replace it to control the time."""

    random: Callable[[], float] = staticmethod(random.random)
    clock: Callable[[], float] = staticmethod(RealTime.monotonic)  # the same for all loops and threads

    # A client belongs to one event loop, so the loop's clock is looked up once.
    _loop_time: Callable[[], float] | None = None

    def now(self) -> float:
        """Return the time of the event loop: seconds of a monotonic clock."""
        if self._loop_time is None:
            self._loop_time = _loop_time()
        return self._loop_time()

    async def sleep(self, seconds: float) -> None:
        """Wait for some seconds."""
        await anyio.sleep(seconds)

    def wait(self, event: AsyncEvent, seconds: float) -> Awaitable[bool]:
        """Wait for an event, at most ``seconds``; return True if it was set."""
        return event.wait(seconds)

    async def wait_for_disk(self, event: AsyncEvent, seconds: float) -> bool:
        """Wait for the event of a journal's thread, at most ``seconds``; return True if it was set.

        Apart from `wait`, because the disk takes real time: tests with virtual time really wait here.
        """
        return await event.wait(seconds)

    def wall_clock(self) -> datetime:
        """Return the date and time in UTC, for answers without a ``Date`` header."""
        return datetime.now(UTC)

    def fail_after(self, seconds: float) -> AbstractContextManager[object]:
        """Cancel the block after ``seconds``, which then raises TimeoutError."""
        # Not `asyncio.timeout`: up to CPython 3.11.2 it raises CancelledError in a task that was cancelled
        # before, as one is that gives a number back.
        return anyio.fail_after(seconds)

    def cancel_on(self, event: AsyncSignal) -> AbstractContextManager[object]:
        """Cancel the block as soon as the event is set, and go on after it."""
        return event.stopping()

    def shield(self, seconds: float) -> AbstractContextManager[object]:
        """Protect the block from cancellation, for at most ``seconds``."""
        return anyio.move_on_after(seconds, shield=True)

    async def in_thread(self, function: Callable[[*Ts], R], *arguments: *Ts) -> R:
        """Run a blocking function in a thread and wait for its end, also when this task is cancelled."""
        return await anyio.to_thread.run_sync(function, *arguments)

    def helpers(self) -> AsyncHelpers:
        """Return a context manager that runs functions in tasks beside its block."""
        return AsyncHelpers()

    async def for_each(
        self, function: Callable[[T], Coroutine[object, object, None]], items: Sequence[T]
    ) -> None:
        """Call a function for every item, all at once in tasks; return when all have ended."""
        async with anyio.create_task_group() as tasks:
            for item in items:
                tasks.start_soon(function, item)


def _loop_time() -> Callable[[], float]:
    """Return the clock of the event loop."""
    if trio_lowlevel() is not None:
        return anyio.current_time
    time_of_loop = asyncio.get_running_loop().time
    # That of asyncio's own loops returns the monotonic clock; a call looks at it some twenty times.
    own = getattr(time_of_loop, "__func__", None) is _ASYNCIO_TIME
    return RealTime.monotonic if own else time_of_loop


class Runtime:
    """Clocks, waits and random numbers of a client. Tests replace it to control the time."""

    random: Callable[[], float] = staticmethod(random.random)
    clock: Callable[[], float] = staticmethod(RealTime.monotonic)  # the same for all loops and threads

    def now(self) -> float:
        """Return the time: seconds of a monotonic clock."""
        return RealTime.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait for some seconds.

        Raises `InterruptedCall` in a helper thread as soon as the thread that it works for is interrupted.
        """
        if here.crew is None:
            time.sleep(seconds)
        else:
            here.crew.sleep(seconds)

    def wait(self, event: Event, seconds: float) -> bool:
        """Wait for an event, at most ``seconds``; return True if it was set.

        Every second it gives back what interrupted calls still hold, since this one may wait for just that.
        Raises `InterruptedCall` in a helper thread as soon as the thread that it works for is interrupted.
        """
        crew = here.crew
        look = _HEAL if crew is None else LOOK
        until = RealTime.monotonic() + seconds
        while not event.wait(min(seconds, look)):
            if crew is not None:
                crew.check()
            seconds = until - RealTime.monotonic()
            if seconds <= 0:
                return False
            heal()
        return True

    def wait_for_disk(self, event: Event, seconds: float) -> bool:
        """Wait for the event of a journal's thread, at most ``seconds``; return True if it was set.

        Apart from `wait`, because the disk takes real time: tests with virtual time really wait here.
        """
        return Runtime.wait(self, event, seconds)

    def wall_clock(self) -> datetime:
        """Return the date and time in UTC, for answers without a ``Date`` header."""
        return datetime.now(UTC)

    def fail_after(self, seconds: float) -> AbstractContextManager[object]:
        """Do nothing: a thread cannot be cancelled, so the connection checks the deadline itself."""
        return contextlib.nullcontext()

    def cancel_on(self, event: Signal) -> AbstractContextManager[object]:
        """Do nothing: a thread cannot be cancelled."""
        return contextlib.nullcontext()

    def shield(self, seconds: float) -> AbstractContextManager[object]:
        """Allow a helper thread to finish the block although its caller was interrupted."""
        return contextlib.nullcontext() if here.crew is None else Shield()

    def in_thread(self, function: Callable[[*Ts], R], *arguments: *Ts) -> R:
        """Run a blocking function, in this thread."""
        return function(*arguments)

    def helpers(self) -> Helpers:
        """Return a context manager that runs functions in threads beside its block."""
        return Helpers()

    def for_each(self, function: Callable[[T], None], items: Sequence[T]) -> None:
        """Call a function for every item, each in a thread of its own; return when all have ended.

        An interrupt of this thread shuts the connections of the others, which then have a second to finish
        their calls. The first exception of a thread, by the order of the items, is raised after all have
        ended.
        """
        crew = Crew()
        errors: dict[int, BaseException] = {}
        left = deque(enumerate(items))

        def work() -> None:
            while True:
                try:
                    number, item = left.popleft()
                except IndexError:  # every item has been taken
                    return
                crew.check()
                try:
                    function(item)
                except InterruptedCall:
                    raise
                except BaseException as error:
                    errors[number] = error

        caller = Caller(lambda _: crew.interrupt())
        try:
            _start(crew, work, len(items))
            while not crew.join(LOOK):
                caller.check()
        except BaseException:
            crew.interrupt()
            crew.join(_SETTLING)
            raise
        finally:
            caller.finish()
        if errors:
            raise errors[min(errors)]


def _start(crew: Crew, work: Callable[[], None], count: int) -> None:
    """Start ``count`` threads, or as many as the system allows; the first one must start."""
    for number in range(count):
        try:
            crew.start(work)
        except RuntimeError:
            if number == 0:
                raise
            return
