"""Events that are set once, and signals that any thread may set."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
from collections import deque
from collections.abc import Callable, Generator

import anyio
import anyio.lowlevel

from .._platform import LONGEST_WAIT
from .backend import trio_lowlevel


class AsyncEvent:
    """An event that is set once, and waited for with a time limit.

    On asyncio it is written by hand: thousands may wait at once, and anyio's events and time limits consist
    of many more objects, which the garbage collector would have to visit again and again.
    """

    _alarm: AsyncAlarm | None = None

    def __init__(self) -> None:
        self._set = False
        self._waiters: list[asyncio.Future[None]] = []
        self._on_trio: anyio.Event | None = None

    def set(self) -> None:
        """Set the event and end all waits for it."""
        self._set = True
        if self._on_trio is not None:
            self._on_trio.set()
        for waiter in self._waiters:
            _end(waiter)
        self._waiters.clear()

    def is_set(self) -> bool:
        """Return True if the event was set."""
        return self._set

    async def wait(self, seconds: float) -> bool:
        """Wait for the event, at most ``seconds``; return True if it was set."""
        if self._set:
            await anyio.lowlevel.checkpoint()
        elif trio_lowlevel() is not None:
            await self._wait_on_trio(seconds)
        else:
            loop = asyncio.get_running_loop()
            waiter = loop.create_future()
            self._waiters.append(waiter)
            timer = None
            if self._alarm is not None:
                self._alarm.set(waiter, loop.time() + seconds)
            elif not math.isinf(seconds):
                timer = loop.call_later(seconds, _end, waiter)
            try:
                await waiter
            finally:
                if self._alarm is not None:
                    self._alarm.unset(waiter)
                elif timer is not None:
                    timer.cancel()
                if not self._set:
                    self._waiters.remove(waiter)
        return self._set

    async def _wait_on_trio(self, seconds: float) -> None:
        self._on_trio = self._on_trio or anyio.Event()
        with anyio.move_on_after(seconds):
            await self._on_trio.wait()


def _end(waiter: asyncio.Future[None]) -> None:
    """End a wait that was not cancelled and has not ended; one of a closed event loop never ends."""
    if not (waiter.done() or waiter.get_loop().is_closed()):
        waiter.set_result(None)


class AsyncAlarm:
    """Ends the waits for many events when their time is over, by one timer.

    Each timer of asyncio consists of four objects, and the more there are, the longer it takes to add one.
    """

    def __init__(self) -> None:
        self._waits: dict[asyncio.Future[None], float] = {}  # until when, by the clock of the event loop
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = math.inf

    def event(self) -> AsyncEvent:
        """Return an event whose waits it ends."""
        event = AsyncEvent()
        event._alarm = self
        return event

    def set(self, waiter: asyncio.Future[None], until: float) -> None:
        """End a wait at a time, never at infinity."""
        self._waits[waiter] = until
        if until < self._rings_at:
            self._stop()
            self._ring_at(until)

    def unset(self, waiter: asyncio.Future[None]) -> None:
        """Forget a wait."""
        self._waits.pop(waiter, None)
        if not self._waits:
            self._stop()

    def _ring_at(self, until: float) -> None:
        self._rings_at = until
        self._timer = asyncio.get_running_loop().call_at(until, self._ring, until)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._rings_at = None, math.inf

    def _ring(self, due: float) -> None:
        """End all waits whose time has come; that of the timer itself may have been forgotten meanwhile."""
        self._stop()
        now = max(due, asyncio.get_running_loop().time())  # a timer may be a little early
        # A garbage collection can end an abandoned wait, and so forget it, at any point.
        for waiter in list(self._waits):
            if self._waits.get(waiter, math.inf) <= now:
                _end(waiter)
                self._waits.pop(waiter, None)
        if (earliest := min(self._waits.values(), default=math.inf)) < math.inf:
            self._ring_at(earliest)


class AsyncSignal(AsyncEvent):
    """An event that any thread may set, and that can cancel a block."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()
        self.call_there: Callable[[Callable[[], None]], object] = _run_soon()
        self._stopped: anyio.CancelScope | None = None

    def set(self) -> None:
        """Set the event, end all waits for it, and cancel the block of `stopping`."""
        super().set()
        if self._stopped is not None:
            self._stopped.cancel()

    def wake(self) -> bool:
        """Set the event, from any thread; return False if its event loop is closed."""
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
        """Cancel the block as soon as the event is set, and go on after it."""
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

    One commit of a journal can end hundreds of waits. If all of them went on in one turn, the loop could
    serve nothing else until they wait again.
    """

    _AT_ONCE = 8  # signals in one turn

    def __init__(self) -> None:
        self._signals: deque[AsyncSignal] = deque()
        self._scheduled = False

    def wake(self, signal: AsyncSignal) -> None:
        """Set a signal in one of the next turns. Raises RuntimeError if its event loop is closed."""
        self._signals.append(signal)
        if not self._scheduled:
            self._scheduled = True
            signal.call_there(self._set_some)

    def _set_some(self) -> None:
        for _ in range(min(len(self._signals), self._AT_ONCE)):
            self._signals.popleft().set()
        self._scheduled = bool(self._signals)
        # Another thread may have added a signal before it could see that no turn is scheduled any more.
        if self._signals:
            self._scheduled = True
            self._signals[0].call_there(self._set_some)


def _run_soon() -> Callable[[Callable[[], None]], object]:
    """Return the function by which other threads run a function in this event loop."""
    trio = trio_lowlevel()
    if trio is None:
        return asyncio.get_running_loop().call_soon_threadsafe
    soon: Callable[[Callable[[], None]], object] = trio.current_trio_token().run_sync_soon
    return soon


class Event:
    """An event that is set once, and waited for with a time limit.

    It is a bare lock, which is held as long as the event is not set. A `threading.Event` contains a
    condition, whose lock stays taken for ever if `KeyboardInterrupt` is raised at the wrong moment.
    """

    def __init__(self) -> None:
        self._set = False
        self._closed = threading.Lock()
        self._closed.acquire()

    def set(self) -> None:
        """Set the event and end all waits for it."""
        self._set = True
        self._open()

    def _open(self) -> None:
        with contextlib.suppress(RuntimeError):  # it is released already
            self._closed.release()

    def is_set(self) -> bool:
        """Return True if the event was set."""
        return self._set

    def wait(self, seconds: float) -> bool:
        """Wait for the event, at most ``seconds``; return True if it was set."""
        while not self._set:
            if self._closed.acquire(timeout=min(max(seconds, 0.0), LONGEST_WAIT)):
                self._open()  # lets the next waiting thread go on, too
            seconds -= LONGEST_WAIT
            if seconds <= 0:
                break
        return self._set


class Alarm:
    """Makes events. That of a thread ends its waits by itself, so there is nothing else to do."""

    def event(self) -> Event:
        """Return an event."""
        return Event()


class Wakes:
    """Sets signals from another thread, at once, as waiting threads go on by themselves."""

    def wake(self, signal: Signal) -> None:
        """Set a signal."""
        signal.set()


class Signal(Event):
    """An event that any thread may set, like all events of threads."""

    def wake(self) -> bool:
        """Set the event and return True: its thread goes on."""
        self.set()
        return True
