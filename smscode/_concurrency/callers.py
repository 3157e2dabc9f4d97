"""The calls under way, so that what an interrupted call still holds is returned.

Python raises `KeyboardInterrupt` in the main thread between any two instructions, also inside a clean-up. So
a synchronous call notes what it takes on an object of its own, a `Caller`, before it takes it; returning it
may be repeated; and the next call of the process returns what calls whose frame no longer runs still hold.

An asynchronous call is cancelled at its awaits only, where ``finally`` is enough. Its `AsyncCaller` serves
event loops that are stopped and closed while calls are under way: their ``finally`` never runs.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any

from .backend import run_here, run_is_over
from .crew import Crew, here

if TYPE_CHECKING:
    from ..core.ratelimit.limiter import Lease

_unfinished: dict[Caller | _Generator, None] = {}
"""The calls of the main thread that may still hold something; all others run their ``finally``.

No lock guards it: each change is one operation of a dict, which no interrupt can split.
"""


def heal() -> None:
    """Return what interrupted calls of the synchronous clients still hold. Any thread may call this."""
    for caller in tuple(_unfinished):
        if caller.over:
            caller.finish()


class AsyncCaller:
    """One call and what it holds: its ``lease`` of a rate limit, and its ``connection``.

    Each is noted here before it is taken.
    """

    __slots__ = ("_finished", "_run", "connection", "lease")

    def __init__(
        self,
        give_back: Callable[[AsyncCaller], object],
        break_off: Callable[[AsyncCaller], object] | None = None,
    ) -> None:
        """Start a call of this task. The arguments are not used, because a task runs its ``finally``."""
        if _unfinished:
            heal()  # limits are shared with the synchronous clients of the process
        self.lease: Lease | None = None
        self.connection: object = None
        self._run = run_here()
        self._finished = False

    @property
    def over(self) -> bool:
        """Whether the call has ended, or its event loop has without ending it."""
        return self._finished or run_is_over(self._run)

    def check(self) -> None:
        """Do nothing: a task that is to stop is cancelled."""

    def finish(self) -> None:
        """End the call."""
        self._finished = True

    @staticmethod
    def heal() -> None:
        """Return what interrupted calls of the synchronous clients still hold."""
        heal()

    @staticmethod
    def attend(generator: object, give_back: Callable[[], object]) -> None:
        """Do nothing: an asynchronous generator runs its ``finally`` when it is closed or finalized."""


class Caller:
    """One call and what it holds: its ``lease`` of a rate limit, and its ``connection``.

    Each is noted here before it is taken.
    """

    __slots__ = ("_break_off", "_crew", "_finished", "_frame", "_give_back", "connection", "lease")

    def __init__(
        self, give_back: Callable[[Caller], object], break_off: Callable[[Caller], object] | None = None
    ) -> None:
        """Start a call, which lasts as long as the function that makes this object runs.

        ``give_back`` returns everything that the call holds, and ``break_off`` ends the exchange that it
        waits for. Both may be called several times, by any thread.
        """
        if _unfinished:
            heal()
        self.lease: Lease | None = None
        self.connection: object = None
        self._give_back = give_back
        self._break_off = break_off
        self._finished = False
        self._frame: FrameType | None = None
        self._crew: Crew | None = here.crew
        if self._crew is not None:
            self._crew.callers[self] = None
        elif threading.get_ident() == threading.main_thread().ident:
            self._frame = sys._getframe(1)
            _unfinished[self] = None

    @property
    def over(self) -> bool:
        """Whether the call has ended: finished, or interrupted, also in its clean-up."""
        if self._finished:
            return True
        if self._frame is None:
            return False
        try:
            # `clear` raises for a frame that is executing, and for no other. Of a frame that has ended it
            # drops the local variables, which only a debugger could still read.
            self._frame.clear()
        except RuntimeError:
            return False
        return True

    def check(self) -> None:
        """Raise `InterruptedCall` in a helper thread, if the thread that it works for was interrupted."""
        if self._crew is not None:
            self._crew.check()

    def break_off(self) -> None:
        """End the exchange under way, from another thread."""
        if self._break_off is not None:
            self._break_off(self)

    def finish(self) -> None:
        """End the call, and return what it still holds because its clean-up was interrupted."""
        if self._frame is not None:
            self._give_back(self)
        # In this order: after an interrupt in between, `heal` finds the call over, and does this again.
        self._finished = True
        self._frame = None  # the frame refers to this object: a cycle
        _unfinished.pop(self, None)
        if self._crew is not None:
            self._crew.callers.pop(self, None)

    @staticmethod
    def heal() -> None:
        """Return what interrupted calls of the synchronous clients still hold."""
        heal()

    @staticmethod
    def attend(generator: object, give_back: Callable[[], object]) -> None:
        """Call ``give_back`` some time after a generator has ended, however it ends.

        A generator needs this beside `Caller`, because its frame does not run between two of its values.
        """
        attended = _Generator(weakref.ref(generator), give_back)
        _unfinished[attended] = None


class _Generator:
    """A generator that may hold something while its frame does not run."""

    def __init__(self, generator: weakref.ref[Any], give_back: Callable[[], object]) -> None:
        self._generator = generator
        self._give_back = give_back

    @property
    def over(self) -> bool:
        """Whether the generator has ended."""
        generator = self._generator()
        return generator is None or generator.gi_frame is None

    def finish(self) -> None:
        """Return what it still holds."""
        self._give_back()
        _unfinished.pop(self, None)
