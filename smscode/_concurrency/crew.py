"""Helper threads that work for a call of another thread, and end when that thread is interrupted.

They are daemon threads, so that nothing they wait for delays the end of the process.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Protocol

from .._clock import RealTime
from .events import Event

LOOK = 0.1
"""Seconds between two checks, in a helper thread that waits, for an interrupt."""


class InterruptedCall(BaseException):
    """Ends a call in a helper thread after an interrupt; no ``except Exception`` catches it."""


class _Here(threading.local):
    """The crew of the current thread; None in a thread that is no helper thread."""

    crew: Crew | None = None


here = _Here()


class Interruptible(Protocol):
    """A call in a thread of a crew."""

    def break_off(self) -> None:
        """End the exchange under way, from another thread."""
        ...


class Crew:
    """Some helper threads, and their calls under way.

    No lock guards the dicts: each change is one operation, which no interrupt can split.
    """

    def __init__(self) -> None:
        self.callers: dict[Interruptible, None] = {}
        self._interrupted = Event()
        self._working: dict[threading.Thread, None] = {}
        self._idle = Event()

    def start(self, function: Callable[[], None]) -> None:
        """Run a function in a new thread, with a copy of the current context.

        Raises RuntimeError if no thread can be started.
        """
        context = contextvars.copy_context()
        thread = threading.Thread(
            target=context.run, args=(self._work, function), name="smscode-helper", daemon=True
        )
        self._working[thread] = None
        try:
            thread.start()
        except BaseException:
            if thread.ident is None:  # it was not started, so it will not do this itself
                self._working.pop(thread, None)
            raise

    def _work(self, function: Callable[[], None]) -> None:
        here.crew = self
        try:
            function()
        except InterruptedCall:
            pass
        finally:
            self._working.pop(threading.current_thread(), None)
            if not self._working:
                self._idle.set()

    def check(self) -> None:
        """Raise `InterruptedCall` if the crew was interrupted."""
        if self._interrupted.is_set():
            raise InterruptedCall

    def sleep(self, seconds: float) -> None:
        """Wait for some seconds. Raises `InterruptedCall` as soon as the crew is interrupted."""
        self._interrupted.wait(seconds)
        self.check()

    def interrupt(self) -> None:
        """End the waits of the threads, and shut the connections that they use."""
        self._interrupted.set()
        for caller in tuple(self.callers):
            caller.break_off()

    def join(self, seconds: float) -> bool:
        """Wait until all threads have ended, at most ``seconds``; return True if they have."""
        until = RealTime.monotonic() + seconds
        while True:
            self._idle = idle = Event()
            if not self._working:
                return True
            left = until - RealTime.monotonic()
            if left <= 0:
                return False
            idle.wait(min(left, LOOK))


class Shield:
    """Allows a helper thread to finish its block, although the crew was interrupted."""

    def __init__(self) -> None:
        self._crew: Crew | None = None

    def __enter__(self) -> None:
        self._crew, here.crew = here.crew, None

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        here.crew = self._crew
