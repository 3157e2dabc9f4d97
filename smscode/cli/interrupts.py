"""Ctrl-C while a number is rented: what it ends depends on how often it comes."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

import anyio

_SIGNALS: tuple[signal.Signals, ...] = tuple(
    number for number in signal.Signals if number.name in ("SIGINT", "SIGTERM", "SIGHUP")
)  # Windows has no SIGHUP


class Stop:
    """Interrupts of a program that spends money; made and used inside an event loop.

    ``code`` is the exit code they ask for, 0 while there was none.

    The first one ends ``waiting``, so that a purchase gets its answer and the number is given back. The
    second ends ``everything``, at the next point where nothing is lost by it. The third is for whoever
    does not want to wait for that either.
    """

    def __init__(self, tell: Callable[[], None]) -> None:
        """Set up; ``tell`` is called after the first one."""
        self.waiting: anyio.CancelScope = anyio.CancelScope()
        self.everything: anyio.CancelScope = anyio.CancelScope()
        self.code: int = 0
        self._asked = 0
        self._tell = tell
        self._loop = asyncio.get_running_loop()

    @contextmanager
    def listening(self) -> Generator[None]:
        """Replace what the signals do otherwise, while the block runs."""
        before = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.code = self.code or 128 + number
        self._asked += 1
        if self._asked > 2:
            raise KeyboardInterrupt
        self._loop.call_soon_threadsafe(self._end, self._asked)

    def _end(self, asked: int) -> None:
        if asked == 1:
            self._tell()
            self.waiting.cancel()
        else:
            self.everything.cancel()
