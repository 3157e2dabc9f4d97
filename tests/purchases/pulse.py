"""How long an event loop stood still by its own fault: what a plain thread slept through is the machine's."""

from __future__ import annotations

import os
import threading
import time
from collections import deque

import anyio
from anyio.abc import TaskStatus

_BEAT = 0.01
_WORTH_NOTING = 0.03


class Pulse:
    """The heartbeat of the machine: a thread that only sleeps, and notes when it overslept."""

    def __init__(self) -> None:
        self._gaps: deque[tuple[float, float]] = deque(maxlen=1000)
        threading.Thread(target=self._beat, name="pulse", daemon=True).start()

    def _beat(self) -> None:
        last = time.monotonic()
        while True:
            time.sleep(_BEAT)
            now = time.monotonic()
            if now - last > _BEAT + _WORTH_NOTING:
                self._gaps.append((last + _BEAT, now))
            last = now

    def asleep(self, begin: float, end: float) -> float:
        """Return for how many seconds of this time the machine gave this process nothing."""
        return sum(max(0.0, min(end, last) - max(begin, first)) for first, last in tuple(self._gaps))

    def excess(self, begin: float, end: float, allowed: float) -> float:
        """Return the seconds by which something took longer than allowed, without those of the machine."""
        return max(0.0, end - begin - allowed - self.asleep(begin, end))


_pulses: dict[int, Pulse] = {}


def pulse() -> Pulse:
    """Return the pulse of this process; a fork takes no thread along, so each process has its own."""
    process = os.getpid()
    if process not in _pulses:
        _pulses[process] = Pulse()
    return _pulses[process]


class LoopWatch:
    """Watches one event loop; ``longest`` is the longest time in seconds for which it stood still."""

    def __init__(self) -> None:
        self._machine = pulse()
        self.longest = 0.0

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        """Watch until cancelled."""
        last = time.monotonic()
        task_status.started()
        while True:
            await anyio.sleep(_BEAT)
            now = time.monotonic()
            if now - last > _BEAT + self.longest:
                self.longest = max(self.longest, self._machine.excess(last, now, _BEAT))
            last = now
