"""The benchmark of the rate limits sees what limiters of the usual kinds do wrong."""

from __future__ import annotations

import pytest

from benchmarks.windows import LATENCIES, saturate
from smscode.core.ratelimit.slots import RequestEnding, SlotWindow

LIMIT, WINDOW = 100, 60.0


class Log(SlotWindow):
    """Counts a request from when it was sent: a sliding log."""

    def take(self, now: float, holder: object) -> None:
        super().take(now, holder)
        super().give_back(now, holder, RequestEnding.ANSWERED)
        super().take(now, holder)

    def free(self, now: float, limit: int) -> int:
        return super().free(now, limit + self.busy)

    def give_back(self, now: float, holder: object, ending: RequestEnding) -> bool:
        self.holders.pop(holder)
        return False


class Tokens(SlotWindow):
    """Refills steadily whatever was sent: a token bucket of the documented size."""

    def __init__(self, window: float) -> None:
        super().__init__(window)
        self._tokens, self._at = float(LIMIT), 0.0

    def free(self, now: float, limit: int) -> int:
        self._tokens = min(self._tokens + (now - self._at) * LIMIT / self.window, LIMIT)
        self._at = now
        return int(self._tokens + 1e-6)

    def take(self, now: float, holder: object) -> None:
        super().take(now, holder)
        self._tokens -= 1

    def give_back(self, now: float, holder: object, ending: RequestEnding) -> bool:
        self.holders.pop(holder)
        return False

    def next_free(self) -> float:
        return self._at + max(1 - self._tokens, 0.01) * self.window / LIMIT

    def earliest(self, now: float, place: int, limit: int) -> float:
        return now


class Forgetful(SlotWindow):
    """Counts a request that was given up as one that never was."""

    def give_back(self, now: float, holder: object, ending: RequestEnding) -> bool:
        return super().give_back(
            now, holder, RequestEnding.UNSENT if ending is RequestEnding.LOST else ending
        )


class Hasty(SlotWindow):
    """Makes slots cool for a little less than the window."""

    def __init__(self, window: float) -> None:
        super().__init__(window * 0.99)


class Lazy(SlotWindow):
    """Makes slots cool for longer than it takes."""

    def __init__(self, window: float) -> None:
        super().__init__(window * 1.1)


@pytest.mark.parametrize("latency", LATENCIES)
def test_leased_slots_keep_the_limit_and_use_it(latency: str) -> None:
    seen = saturate(LIMIT, WINDOW, LATENCIES[latency], 6)
    assert max(seen.sliding, seen.aligned) == LIMIT
    assert seen.used >= 0.98


@pytest.mark.parametrize(
    ("slots", "latency"),
    [
        (Tokens, "constant 50 ms"),
        (Log, "heavy tail to 30 s"),
        (Forgetful, "10-400 ms"),
        (Hasty, "constant 50 ms"),
    ],
)
def test_a_limiter_that_breaks_the_limit_is_caught(slots: type[SlotWindow], latency: str) -> None:
    assert saturate(LIMIT, WINDOW, LATENCIES[latency], 6, slots).sliding > LIMIT


def test_a_limiter_that_wastes_the_limit_is_caught() -> None:
    assert saturate(LIMIT, WINDOW, LATENCIES["constant 50 ms"], 6, Lazy).used < 0.98
