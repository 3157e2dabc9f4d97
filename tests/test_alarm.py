"""One timer for many waits: each ends at its time, whatever the others do."""

from __future__ import annotations

import asyncio
import selectors
from typing import Literal, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smscode._concurrency import AsyncAlarm, AsyncEvent

Ending: TypeAlias = Literal["set", "cancelled", "alone"]
Plan: TypeAlias = tuple[int, int, Ending, int]
"""When a wait begins, how many seconds it may take, what ends it, and after how many seconds that happens."""


class _Selector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "it would wait for ever"
            self.now += max(timeout, 0.0)
        return ready


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose time passes when there is nothing left to do."""

    def __init__(self) -> None:
        self.clock = _Selector()
        super().__init__(self.clock)

    def time(self) -> float:
        return self.clock.now


async def carry_out(plan: Plan, event: AsyncEvent) -> tuple[bool | None, float]:
    """Return what a wait returned, None for a cancelled one, and when it ended."""
    begins, seconds, ending, after = plan
    loop = asyncio.get_running_loop()
    await asyncio.sleep(begins)
    task = asyncio.ensure_future(event.wait(seconds))
    if ending == "set":
        loop.call_later(after, event.set)
    elif ending == "cancelled":
        loop.call_later(after, task.cancel)
    try:
        return await task, loop.time()
    except asyncio.CancelledError:
        return None, loop.time()


def expected(plan: Plan) -> tuple[bool | None, float]:
    begins, seconds, ending, after = plan
    if ending == "alone" or seconds < after:
        return False, begins + seconds
    return (True if ending == "set" else None), begins + after


times = st.integers(0, 30)
endings: st.SearchStrategy[Ending] = st.sampled_from(["set", "cancelled", "alone"])
# Odd and even, so that a wait never ends in two ways at once: then either may come first.
plans = st.tuples(times, times.map(lambda time: 2 * time + 1), endings, times.map(lambda time: 2 * time))


@given(st.lists(plans, min_size=1, max_size=12))
def test_each_wait_ends_at_its_time_or_with_its_event(plans: list[Plan]) -> None:
    async def main() -> list[tuple[bool | None, float]]:
        alarm = AsyncAlarm()
        return await asyncio.gather(*(carry_out(plan, alarm.event()) for plan in plans))

    with asyncio.Runner(loop_factory=Loop) as runner:
        assert runner.run(main()) == [expected(plan) for plan in plans]


def test_waits_that_run_out_while_the_loop_is_busy_end_together(monkeypatch: pytest.MonkeyPatch) -> None:
    rings: list[float] = []
    ring = AsyncAlarm._ring

    def counted(alarm: AsyncAlarm, due: float) -> None:
        rings.append(due)
        ring(alarm, due)

    async def main(loop: Loop) -> list[bool]:
        def work() -> None:
            loop.clock.now = 2.0

        alarm = AsyncAlarm()
        loop.call_at(0.5, work)
        return await asyncio.gather(*(alarm.event().wait(1 + number / 1000) for number in range(500)))

    monkeypatch.setattr(AsyncAlarm, "_ring", counted)
    loop = Loop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        assert runner.run(main(loop)) == [False] * 500
    assert rings == [1.0]
