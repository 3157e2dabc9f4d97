"""Something that is waited for, set once."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
from collections import deque
from collections.abc import Callable, Generator

import anyio
import anyio.lowlevel

from .backend import trio_lowlevel


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
        """Return True if it was set."""
        return self._set

    async def wait(self, seconds: float) -> bool:
        """Wait until it is set, at most so long; tell whether it was."""
        if self._set:
            await anyio.lowlevel.checkpoint()
        elif trio_lowlevel() is not None:
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
        self.call_there: Callable[[Callable[[], None]], object] = _run_soon()
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
                self.call_there(self.set)
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


class AsyncWakes:
    """Sets signals from another thread, a few in each turn of the event loop.

    A commit of the journal can end hundreds of waits at once. If all of them went on in one turn, the loop
    would have no time for anything else until they wait again.
    """

    _AT_ONCE = 8

    def __init__(self) -> None:
        self._signals: deque[AsyncSignal] = deque()
        self._scheduled = False

    def wake(self, signal: AsyncSignal) -> None:
        """Set a signal soon. Raises RuntimeError if its event loop is closed."""
        self._signals.append(signal)
        if not self._scheduled:
            self._scheduled = True
            signal.call_there(self._set_some)

    def _set_some(self) -> None:
        for _ in range(min(len(self._signals), self._AT_ONCE)):
            self._signals.popleft().set()
        self._scheduled = bool(self._signals)
        # Another thread may have added one before it could see that nothing is scheduled any more.
        if self._signals:
            self._scheduled = True
            self._signals[0].call_there(self._set_some)


def _run_soon() -> Callable[[Callable[[], None]], object]:
    """Return the function that lets other threads run something in this event loop."""
    trio = trio_lowlevel()
    if trio is None:
        return asyncio.get_running_loop().call_soon_threadsafe
    soon: Callable[[Callable[[], None]], object] = trio.current_trio_token().run_sync_soon
    return soon


class Event:
    """Set once, seen by all who wait.

    It stands on a bare lock, which is taken as long as the event is not set. A `threading.Event` has a
    condition inside, whose lock stays taken for ever if `KeyboardInterrupt` is raised at the wrong moment.
    """

    def __init__(self) -> None:
        self._set = False
        self._closed = threading.Lock()
        self._closed.acquire()

    def set(self) -> None:
        """Wake all who wait, now and later."""
        self._set = True
        self._open()

    def _open(self) -> None:
        with contextlib.suppress(RuntimeError):  # it was open
            self._closed.release()

    def is_set(self) -> bool:
        """Return True if it was set."""
        return self._set

    def wait(self, seconds: float) -> bool:
        """Wait until it is set, at most so long; return True if it was."""
        seconds = min(max(seconds, 0.0), threading.TIMEOUT_MAX)
        if not self._set and self._closed.acquire(timeout=seconds):
            self._open()  # for the next one who waits
        return self._set


class Wakes:
    """Sets signals from another thread: threads go on by themselves."""

    def wake(self, signal: Signal) -> None:
        """Set a signal."""
        signal.set()


class Signal(Event):
    """An event that any thread may set, as all events of threads."""

    def wake(self) -> bool:
        """Set it; tell whether somebody is there to see it."""
        self.set()
        return True
