"""Handles Ctrl-C while a number is rented: the first ends the wait, the second the command."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

import anyio

_SIGNALS: tuple[signal.Signals, ...] = tuple(
    number for number in signal.Signals if number.name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
)  # Windows has SIGBREAK, for Ctrl-Break, in place of SIGHUP


class InterruptHandler:
    """Handles SIGINT, SIGTERM, and SIGHUP or SIGBREAK; made and used inside an event loop.

    The first signal cancels the blocks of ``waiting``, so that a purchase gets its answer and the number is
    released. The second cancels ``everything``, at the next await. The third raises `KeyboardInterrupt` at
    once. ``code`` is the exit code for the first signal, 0 before it.
    """

    def __init__(self, notify: Callable[[], None]) -> None:
        """Set up; ``notify`` is called after the first signal."""
        self.everything: anyio.CancelScope = anyio.CancelScope()
        self.code: int = 0
        self._asked = 0
        self._waits: set[anyio.CancelScope] = set()
        self._notify = notify
        self._loop = asyncio.get_running_loop()

    @contextmanager
    def installed(self) -> Generator[None]:
        """Handle the signals while the block runs, and restore their handlers after it."""
        before = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def waiting(self) -> Generator[None]:
        """Run a block that the first signal cancels, also one that came before."""
        with anyio.CancelScope() as scope:
            self._waits.add(scope)
            if self.code:
                scope.cancel()
            try:
                yield
            finally:
                self._waits.discard(scope)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.code = self.code or 128 + number
        self._asked += 1
        if self._asked > 2:
            raise KeyboardInterrupt
        self._loop.call_soon_threadsafe(self._end, self._asked)

    def _end(self, asked: int) -> None:
        if asked == 1:
            self._notify()
            for scope in self._waits:
                scope.cancel()
        else:
            self.everything.cancel()
