# Generated from smscode/_async/semaphore.py by `nox -s generate`: change that file, not this one.

"""A gate that lets so many through at once, in the order they came."""

from __future__ import annotations

import threading

from .._concurrency import Caller, Event, Runtime


class FairSemaphore:
    """A fair semaphore. State changes under a lock; waiting happens outside it.

    Who is in `_inside` has a place, whatever else an interrupted change left undone.
    """

    def __init__(self, size: int, runtime: Runtime) -> None:
        self._size = size
        self._runtime = runtime
        # One thread may take it twice: a garbage collection can end an abandoned wait anywhere.
        self._lock = threading.RLock()
        self._inside: dict[Caller, None] = {}
        self._waiters: dict[Caller, Event] = {}  # in the order they came

    def enter(self, caller: Caller, seconds: float) -> bool:
        """Go in, waiting at most so long; return True if that worked."""
        with self._lock:
            if not self._waiters and len(self._inside) < self._size:
                self._inside[caller] = None
                return True
            turn = self._waiters[caller] = Event()
            self._admit()
        try:
            self._runtime.wait(turn, seconds)
        except BaseException:
            self.leave(caller)  # its turn may have come just as the wait was cancelled
            raise
        with self._lock:
            self._waiters.pop(caller, None)
            return caller in self._inside

    def leave(self, caller: Caller) -> None:
        """Go out, and let the one who has waited longest in; a second time changes nothing."""
        with self._lock:
            self._waiters.pop(caller, None)
            self._inside.pop(caller, None)
            self._admit()

    def _admit(self) -> None:
        """Admit who waits, as far as there is room."""
        while (first := next(iter(self._waiters.items()), None)) is not None:
            caller, turn = first
            # Who has a place by now, but was not told so, is told.
            if caller not in self._inside and len(self._inside) >= self._size:
                return
            self._inside[caller] = None
            if caller not in self._waiters and not turn.is_set():  # collected just now: it has left
                self._inside.pop(caller, None)
                continue
            turn.set()
            self._waiters.pop(caller, None)
