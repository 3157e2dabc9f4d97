"""A gate that lets so many through at once, in the order they came."""

from __future__ import annotations

import threading
from collections import deque

from .._concurrency import AsyncEvent, AsyncRuntime


class AsyncGate:
    """A fair semaphore. State changes under a plain lock; waiting happens outside it."""

    def __init__(self, size: int, runtime: AsyncRuntime) -> None:
        self._free = size
        self._runtime = runtime
        self._lock = threading.Lock()
        self._waiters: deque[AsyncEvent] = deque()

    async def enter(self, seconds: float) -> bool:
        """Go in, waiting at most so long; tell whether that worked."""
        with self._lock:
            if self._free and not self._waiters:
                self._free -= 1
                return True
            turn = AsyncEvent()
            self._waiters.append(turn)
        try:
            await self._runtime.wait(turn, seconds)
        except BaseException:
            if self._settle(turn):  # the turn came just as the wait was cancelled: pass it on
                self.leave()
            raise
        return self._settle(turn)

    def _settle(self, turn: AsyncEvent) -> bool:
        """End a wait: tell whether its turn came; if not, give up the place."""
        with self._lock:
            if turn.is_set():
                return True
            self._waiters.remove(turn)
            return False

    def leave(self) -> None:
        """Go out, and let the one who has waited longest in."""
        with self._lock:
            if self._waiters:
                self._waiters.popleft().set()
            else:
                self._free += 1
