"""One timer for many waits: each ends at its time, whatever the others do."""

from __future__ import annotations

import asyncio
from typing import Literal, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.virtual import VirtualLoop
from smscode._concurrency import AsyncAlarm, AsyncEvent

Ending: TypeAlias = Literal["set", "cancelled", "alone"]
Plan: TypeAlias = tuple[int, int, Ending, int]
"""When a wait begins, how many seconds it may take, what ends it, and after how many seconds that happens."""


async def carry_out(plan: Plan, event: AsyncEvent) -> tuple[bool | None, float]:
    """Return what a wait returned, None for a cancelled one, and when it ended."""
    begins, seconds, ending, after = plan
    loop = asyncio.get_running_loop()
    start = loop.time()
    await asyncio.sleep(begins)
    task = asyncio.ensure_future(event.wait(seconds))
    if ending == "set":
        loop.call_later(after, event.set)
    elif ending == "cancelled":
        loop.call_later(after, task.cancel)
    try:
        return await task, loop.time() - start
    except asyncio.CancelledError:
        return None, loop.time() - start


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

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(main()) == [expected(plan) for plan in plans]


def test_waits_that_run_out_while_the_loop_is_busy_end_together(monkeypatch: pytest.MonkeyPatch) -> None:
    rings: list[float] = []
    ring = AsyncAlarm._ring

    def counted(alarm: AsyncAlarm, due: float) -> None:
        rings.append(due)
        ring(alarm, due)

    async def main(loop: VirtualLoop) -> list[bool]:
        def work() -> None:
            loop.clock.now += 1.5

        alarm = AsyncAlarm()
        loop.call_later(0.5, work)
        return await asyncio.gather(*(alarm.event().wait(1 + number / 1000) for number in range(500)))

    monkeypatch.setattr(AsyncAlarm, "_ring", counted)
    loop = VirtualLoop()
    first = loop.time() + 1
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        assert runner.run(main(loop)) == [False] * 500
    assert rings == [first]


def test_an_alarm_ends_the_waits_for_many_events_each_at_its_time() -> None:
    alarm, ended = AsyncAlarm(), list[int]()

    async def one(number: int, seconds: float) -> None:
        assert not await alarm.event().wait(seconds)
        ended.append(number)

    async def main() -> None:
        await asyncio.gather(*map(one, range(5), (0.03, 0.02, 0.05, 0.01, 0.04)))

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())
    assert ended == [3, 1, 0, 4, 2]


def test_an_alarm_rings_for_the_others_when_the_first_wait_has_ended_otherwise() -> None:
    async def main() -> list[bool]:
        alarm = AsyncAlarm()
        first, second = alarm.event(), alarm.event()
        asyncio.get_running_loop().call_later(0.01, first.set)
        return list(await asyncio.gather(first.wait(0.02), second.wait(0.05)))

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(main()) == [True, False]
