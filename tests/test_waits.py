"""Waits of the event loops, which are by hand on asyncio and anyio's on trio, behave the same on both."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import anyio
import pytest

from smscode._concurrency import AsyncAlarm, AsyncEvent

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["its own timers", "an alarm"])
def event(request: pytest.FixtureRequest) -> AsyncEvent:
    return AsyncEvent() if request.param == "its own timers" else AsyncAlarm().event()


async def waits(event: AsyncEvent, seconds: float, outcomes: list[bool]) -> None:
    outcomes.append(await event.wait(seconds))


async def test_all_who_wait_are_woken_and_so_is_who_comes_later(event: AsyncEvent) -> None:
    outcomes: list[bool] = []
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for seconds in (math.inf, 60.0, 60.0):
                tasks.start_soon(waits, event, seconds, outcomes)
            await anyio.wait_all_tasks_blocked()
            assert outcomes == []
            assert not event.is_set()
            event.set()
        await waits(event, 60.0, outcomes)
    assert outcomes == [True] * 4
    assert event.is_set()


async def test_a_wait_ends_with_its_time_and_leaves_the_others_waiting(event: AsyncEvent) -> None:
    outcomes: list[bool] = []
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(waits, event, 60.0, outcomes)
            for seconds in (0.001, 0.0, -1.0):
                assert not await event.wait(seconds)
            assert outcomes == []
            event.set()
    assert outcomes == [True]


async def test_a_cancelled_wait_is_nobody_to_be_woken(event: AsyncEvent) -> None:
    outcomes: list[bool] = []
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(waits, event, 60.0, outcomes)
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as cancelled:
                    for _ in range(3):
                        cancelled.start_soon(waits, event, 60.0, outcomes)
                    await anyio.wait_all_tasks_blocked()
                    scope.cancel()
            assert scope.cancelled_caught
            event.set()
    assert outcomes == [True]


async def test_setting_what_was_cancelled_just_now_breaks_nothing(event: AsyncEvent) -> None:
    outcomes: list[bool] = []
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(waits, event, 60.0, outcomes)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
            event.set()
    assert outcomes in ([], [True]), "which of the two comes first is the event loop's affair"
    assert event.is_set()


async def test_waiting_for_what_is_set_lets_others_have_their_turn(event: AsyncEvent) -> None:
    event.set()
    ran = anyio.Event()

    async def other() -> None:
        ran.set()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(other)
            while not ran.is_set():
                assert await event.wait(60.0)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_waits_of_an_alarm_have_one_timer_and_leave_none() -> None:
    loop: Any = asyncio.get_running_loop()

    def timers() -> int:
        return sum(not timer.cancelled() for timer in loop._scheduled)

    alarm, before = AsyncAlarm(), timers()
    events, outcomes = [alarm.event() for _ in range(50)], list[bool]()
    async with anyio.create_task_group() as tasks:
        for event in events:
            tasks.start_soon(waits, event, 60.0, outcomes)
        await anyio.wait_all_tasks_blocked()
        assert timers() == before + 1
        for event in events:
            event.set()
    assert timers() == before
    assert outcomes == [True] * 50
