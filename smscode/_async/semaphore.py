"""A semaphore that serves its callers in the order of their arrival."""

from __future__ import annotations

import threading

from .._concurrency import AsyncAlarm, AsyncCaller, AsyncEvent, AsyncRuntime


class AsyncFairSemaphore:
    """A fair semaphore. State changes under a lock; waiting happens outside it.

    A caller in `_inside` has a place, whatever else an interrupted change left undone; the next change
    completes it.
    """

    def __init__(self, size: int, runtime: AsyncRuntime) -> None:
        self._size = size
        self._runtime = runtime
        # Reentrant, because a garbage collection in the same thread can end an abandoned wait at any point.
        self._lock = threading.RLock()
        self._inside: dict[AsyncCaller, None] = {}
        self._waiters: dict[AsyncCaller, AsyncEvent] = {}  # in the order they came
        self._alarm = AsyncAlarm()

    async def enter(self, caller: AsyncCaller, seconds: float) -> bool:
        """Acquire a place, waiting at most ``seconds``. Return False if none was free in time."""
        with self._lock:
            if not self._waiters and len(self._inside) < self._size:
                self._inside[caller] = None
                return True
            turn = self._waiters[caller] = self._alarm.event()
            self._admit()
        try:
            await self._runtime.wait(turn, seconds)
        except BaseException:
            self.leave(caller)  # its turn may have come just as the wait was cancelled
            raise
        with self._lock:
            self._waiters.pop(caller, None)
            return caller in self._inside

    def leave(self, caller: AsyncCaller) -> None:
        """Release a place, and admit the caller that has waited longest. Calling it again does nothing."""
        with self._lock:
            self._waiters.pop(caller, None)
            self._inside.pop(caller, None)
            self._admit()

    def _admit(self) -> None:
        """Admit waiting callers while there are free places."""
        while (first := next(iter(self._waiters.items()), None)) is not None:
            caller, turn = first
            # A caller that has a place already, but was not woken because of an interrupt, is woken.
            if caller not in self._inside and len(self._inside) >= self._size:
                return
            self._inside[caller] = None
            if (
                caller not in self._waiters and not turn.is_set()
            ):  # its wait was garbage collected just now, so it has left
                self._inside.pop(caller, None)
                continue
            turn.set()
            self._waiters.pop(caller, None)
