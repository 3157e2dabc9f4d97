"""Time, waiting and chance."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from types import TracebackType
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

_HEAL = 1.0  # seconds between two looks, in a thread that waits, at what interrupted calls left taken
_SETTLING = 1.0  # seconds for helper threads to settle their calls after an interrupt


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
    clock: Callable[[], float] = staticmethod(RealTime.monotonic)  # the same for all loops and threads

    # A client belongs to one event loop: its clock and its scopes need not be found out for every call.
    _loop_time: Callable[[], float] | None = None
    _scope: type[anyio.CancelScope] = anyio.CancelScope

    def now(self) -> float:
        """Return the seconds of a clock that only goes forward."""
        return self._loop_now()

    def _loop_now(self) -> float:
        """Return the time of the event loop."""
        if self._loop_time is None:
            trio = trio_lowlevel()
            self._loop_time = asyncio.get_running_loop().time if trio is None else anyio.current_time
        return self._loop_time()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await anyio.sleep(seconds)

    async def wait(self, event: AsyncEvent, seconds: float) -> bool:
        """Wait for an event, at most so long; tell whether it was set."""
        return await event.wait(seconds)

    async def wait_for_disk(self, event: AsyncEvent, seconds: float) -> bool:
        """Wait for another thread's event, at most so long; return whether it was set.

        Tests whose time is virtual really wait here.
        """
        return await event.wait(seconds)

    def today(self) -> datetime:
        """Return the date and time, for servers that do not send theirs."""
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

    def helpers(self) -> AsyncHelpers:
        """Return what runs functions beside a block, for as long as it lasts."""
        return AsyncHelpers()

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
    clock: Callable[[], float] = staticmethod(RealTime.monotonic)  # the same for all loops and threads

    def now(self) -> float:
        """Return the seconds of a clock that only goes forward."""
        return RealTime.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait. A helper thread whose caller is interrupted ends the wait by `InterruptedCall`."""
        if here.crew is None:
            time.sleep(seconds)
        else:
            here.crew.sleep(seconds)

    def wait(self, event: Event, seconds: float) -> bool:
        """Wait for an event, at most so long; return True if it was set.

        Now and then it is looked whether an interrupted call of another thread is what this one waits for.
        A helper thread whose caller is interrupted ends the wait by `InterruptedCall`.
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
        """Wait for another thread's event, at most so long; return whether it was set.

        Tests whose time is virtual really wait here.
        """
        return Runtime.wait(self, event, seconds)

    def today(self) -> datetime:
        """Return the date and time, for servers that do not send theirs."""
        return datetime.now(UTC)

    def limit(self, seconds: float) -> AbstractContextManager[object]:
        """Do nothing: a thread cannot be interrupted, so it looks at the clock itself."""
        return contextlib.nullcontext()

    def unless(self, event: Signal) -> AbstractContextManager[object]:
        """Do nothing: a thread cannot be interrupted."""
        return contextlib.nullcontext()

    def shield(self, seconds: float) -> AbstractContextManager[object]:
        """Allow a helper thread to finish the block although its caller was interrupted."""
        return contextlib.nullcontext() if here.crew is None else Shield()

    def in_thread(self, function: Callable[[*Ts], R], *arguments: *Ts) -> R:
        """Run something that blocks."""
        return function(*arguments)

    def helpers(self) -> Helpers:
        """Return what runs functions beside a block, for as long as it lasts."""
        return Helpers()

    def for_each(self, function: Callable[[T], None], items: Sequence[T]) -> None:
        """Do something with every item, each in a thread of its own; return when all of it is done.

        An interrupt of this thread breaks off what the others do: they have a second to settle their
        calls. What a thread raised is raised here, after all have ended.
        """
        crew = Crew()
        errors: dict[int, BaseException] = {}
        left = deque(enumerate(items))

        def work() -> None:
            while True:
                try:
                    number, item = left.popleft()
                except IndexError:  # all of it is begun
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
    """Start so many threads, or as many as can be; they share the work."""
    for number in range(count):
        try:
            crew.start(work)
        except RuntimeError:
            if number == 0:
                raise
            return
