"""The calls under way, so that what an interrupted one still holds is given back.

Python raises `KeyboardInterrupt` in the main thread between any two instructions, also inside a clean-up. So
a synchronous call writes what it takes on an object of its own, a `Caller`, before it takes it; giving back
may be repeated; and whatever begins next gives back for the calls whose frame no longer runs.

An asynchronous call is cancelled at its awaits only, where ``finally`` is enough. Its `AsyncCaller` is there
for event loops that are stopped and closed with calls under way: their ``finally`` never runs.
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
"""The calls of the main thread that have not given everything back; all others run their ``finally``."""


def heal() -> None:
    """Return what interrupted calls of the synchronous clients left taken; from any thread."""
    for caller in tuple(_unfinished):
        if caller.over:
            caller.finish()


class AsyncCaller:
    """One call: what it holds, and whether it can still give that back.

    ``lease`` is its place in a rate limit and ``connection`` its connection, each written before it is taken.
    """

    __slots__ = ("_finished", "_run", "connection", "lease")

    def __init__(
        self,
        give_back: Callable[[AsyncCaller], object],
        break_off: Callable[[AsyncCaller], object] | None = None,
    ) -> None:
        """Begin a call of this task. The arguments are not needed: a task runs its ``finally`` in full."""
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
        """Return what interrupted calls of the synchronous clients left taken."""
        heal()

    @staticmethod
    def attend(generator: object, give_back: Callable[[], object]) -> None:
        """Do nothing: an asynchronous generator runs its ``finally`` where it is closed or finalized."""


class Caller:
    """One call: what it holds, and whether it can still give that back.

    ``lease`` is its place in a rate limit and ``connection`` its connection, each written before it is taken.
    """

    __slots__ = ("_break_off", "_crew", "_finished", "_frame", "_give_back", "connection", "lease")

    def __init__(
        self, give_back: Callable[[Caller], object], break_off: Callable[[Caller], object] | None = None
    ) -> None:
        """Begin a call, which lasts as long as the function that makes this object runs.

        ``give_back`` gives back everything that the call holds, and ``break_off`` ends the exchange that it
        waits for. Both may be called again, and by any thread.
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
            # Refused for a frame that is executing, and for that only. Of one that has ended it drops the
            # local variables, which nothing but a debugger could still look at.
            self._frame.clear()
        except RuntimeError:
            return False
        return True

    def check(self) -> None:
        """Raise `InterruptedCall` if the call works for another thread, which was interrupted."""
        if self._crew is not None:
            self._crew.check()

    def break_off(self) -> None:
        """End the exchange under way, from another thread."""
        if self._break_off is not None:
            self._break_off(self)

    def finish(self) -> None:
        """End the call, and give back what it still holds if a clean-up was interrupted."""
        if self._frame is not None:
            self._give_back(self)
        # In this order: if it is interrupted in between, whoever heals finds it over and does this again.
        self._finished = True
        self._frame = None  # it refers to this object
        _unfinished.pop(self, None)
        if self._crew is not None:
            self._crew.callers.pop(self, None)

    @staticmethod
    def heal() -> None:
        """Return what interrupted calls of the synchronous clients left taken."""
        heal()

    @staticmethod
    def attend(generator: object, give_back: Callable[[], object]) -> None:
        """See to it that ``give_back`` is called after a generator has ended, however it does.

        Its frame is no sign of that, because it does not run between two of its values either.
        """
        attended = _Generator(weakref.ref(generator), give_back)
        _unfinished[attended] = None


class _Generator:
    """A generator that holds something while it is not running."""

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
