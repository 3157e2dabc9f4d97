"""The row of the cancellation storm: twenty workers, ten connections, calls that are cancelled at random."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import time
import warnings
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import trio

from smscode import AsyncClient, Client, SmscodeError
from tests.faults.flavours import Flavour, Job, Plan, Session, Told, work_through, work_through_sync
from tests.faults.harness import Server
from tests.faults.judge import judge
from tests.faults.scenarios import Row, told_errors
from tests.faults.script import Script

CONNECTIONS, WORKERS = 10, 20
_LONGEST_CALL = 0.05
_SERVER = Script(latency=0.001, jitter=0.01)
_SLOW = Script(latency=0.1)

Start = Callable[[], Awaitable[Any]]
Canceller = Callable[[Start, float], Awaitable["float | None"]]
"""Runs a call and cancels it after so many seconds; gives how much later it was over, None if it ended
before."""


async def by_task(start: Start, after: float) -> float | None:
    """Cancel with `asyncio.Task.cancel`."""
    task: asyncio.Task[Any] = asyncio.ensure_future(start())
    done, _ = await asyncio.wait([task], timeout=after)
    if done:
        task.result()
        return None
    task.cancel()
    began = time.monotonic()
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
        return None
    return time.monotonic() - began


async def by_asyncio_timeout(start: Start, after: float) -> float | None:
    """Cancel with `asyncio.timeout`."""
    end = time.monotonic() + after
    scope = asyncio.timeout(after)
    try:
        async with scope:
            await start()
    except TimeoutError:
        if not scope.expired():
            raise
        return time.monotonic() - end
    return None


async def by_fail_after(start: Start, after: float) -> float | None:
    """Cancel with `anyio.fail_after`."""
    end = time.monotonic() + after
    scope: anyio.CancelScope | None = None
    try:
        with anyio.fail_after(after) as scope:
            await start()
    except TimeoutError:
        if scope is None or not scope.cancelled_caught:
            raise
        return time.monotonic() - end
    return None


async def by_trio_scope(start: Start, after: float) -> float | None:
    """Cancel with a trio cancel scope, which swallows the exception."""
    end = time.monotonic() + after
    with trio.move_on_after(after) as scope:
        await start()
    return time.monotonic() - end if scope.cancelled_caught else None


async def by_nursery(start: Start, after: float) -> float | None:
    """Cancel by cancelling the nursery of a call from outside."""
    end, cancelled = time.monotonic() + after, False
    async with trio.open_nursery() as nursery:

        async def call() -> None:
            await start()
            nursery.cancel_scope.cancel()

        nursery.start_soon(call)
        await trio.sleep(after)
        cancelled = True
        nursery.cancel_scope.cancel()
    return time.monotonic() - end if cancelled else None


CANCELLERS: dict[Flavour, tuple[Canceller, ...]] = {
    "asyncio": (by_task, by_asyncio_timeout, by_fail_after),
    "trio": (by_fail_after, by_trio_scope, by_nursery),
    "threads": (),
}


@dataclass
class Count:
    """What the storm came to: how many calls were cancelled, how late at most, and what was bought."""

    cancelled: int = 0
    latest: float = 0.0
    bought: list[tuple[str, tuple[int, ...]]] = field(default_factory=list[tuple[str, tuple[int, ...]]])
    wanted: list[str] = field(default_factory=list[str])


def cancellation_storm(server: Server, flavour: Flavour, count: int, seed: int) -> Row:
    """Cancel many calls, then see that every lane serves, that nothing is left, and what was bought.

    Threads cannot be cancelled: their calls run out of time instead.
    """
    server.reset(seed, _SERVER)
    plan = Plan((), workers=WORKERS, connections=CONNECTIONS, read=5.0, total=20.0)
    told, failures, began = Told(), list[str](), time.monotonic()
    with _watched(failures):
        if flavour == "threads":
            storm = _in_threads(server, plan, count, seed, told, failures)
        else:
            storm = anyio.run(_in_tasks, server, plan, count, seed, told, failures, flavour, backend=flavour)
    book = server.settled()
    # Nothing is wanted of a purchase that was cancelled, but whatever was bought is somebody's.
    verdict = judge(book, (), told.reports, told.held)
    if told.held:
        failures.append(f"{len(told.held)} purchases still unresolved after submit")
    note = f"latest end {storm.latest * 1000:.0f} ms after the cancellation, {len(storm.wanted)} purchases"
    seconds = time.monotonic() - began
    return Row("cancellation storm", flavour, storm.cancelled, seconds, verdict, tuple(failures), note, seed)


async def _in_tasks(
    server: Server, plan: Plan, count: int, seed: int, told: Told, failures: list[str], flavour: Flavour
) -> Count:
    storm, dice = Count(), random.Random(seed)
    before, tasks = descriptors(), _tasks(flavour)
    async with AsyncClient(**plan.options(server.base_url)) as client:
        session = Session(client, told)

        async def work() -> None:
            while storm.cancelled < count:
                job = _some_job(storm, dice)
                canceller = dice.choice(CANCELLERS[flavour])

                async def call(job: Job = job) -> None:
                    session.returned(job, await session.start(job))

                try:
                    late = await canceller(call, dice.random() * _LONGEST_CALL)
                except SmscodeError as error:
                    session.raised(job, error)
                else:
                    if late is not None:
                        storm.cancelled += 1
                        storm.latest = max(storm.latest, late)

        async with anyio.create_task_group() as group:
            for _ in range(WORKERS):
                group.start_soon(work)
        told.first = len(told.reports)
        if any(report.outcome for report in told.reports):
            failures.append(f"errors in the storm: {told_errors(told.reports)}")
        server.use(_SLOW)
        await work_through(
            session, ((Job("balance", timeout=5.0), None) for _ in range(CONNECTIONS)), CONNECTIONS
        )
        _check_lanes(server, told, failures)
        server.use(Script())
        for _ in range(5):
            await work_through(session, iter(session.unresolved()), WORKERS)
        session.unresolved()
    await anyio.sleep(0.05)
    gc.collect()
    await anyio.sleep(0.05)
    if (left := _tasks(flavour)) > tasks:
        failures.append(f"{left - tasks} tasks left")
    _check_descriptors(before, failures)
    return storm


def _in_threads(server: Server, plan: Plan, count: int, seed: int, told: Told, failures: list[str]) -> Count:
    storm, dice = Count(), random.Random(seed)
    before = descriptors()
    with Client(**plan.options(server.base_url)) as client:
        session = Session(client, told)
        jobs: list[tuple[Job, Any]] = []
        for _ in range(2 * count):
            job = _some_job(storm, dice)
            seconds = 0.0005 + dice.random() * _LONGEST_CALL
            jobs.append((Job(job.call, job.intent, timeout=seconds), None))
        work_through_sync(session, jobs, WORKERS)
        told.first = len(told.reports)
        ended = [report for report in told.reports if report.outcome is not None]
        storm.cancelled = len(ended)
        storm.latest = max((report.late for report in ended), default=0.0)
        server.use(_SLOW)
        balances: list[tuple[Job, Any]] = [(Job("balance", timeout=5.0), None)] * CONNECTIONS
        work_through_sync(session, balances, CONNECTIONS)
        _check_lanes(server, told, failures)
        server.use(Script())
        for _ in range(5):
            work_through_sync(session, session.unresolved(), WORKERS)
        session.unresolved()
    gc.collect()
    time.sleep(0.05)
    _check_descriptors(before, failures)
    return storm


def _some_job(storm: Count, dice: random.Random) -> Job:
    if dice.random() < 0.7:
        return Job("balance")
    job = Job("buy", f"i-{len(storm.wanted) + 1:06}")
    storm.wanted.append(job.intent)
    return job


def _check_lanes(server: Server, told: Told, failures: list[str]) -> None:
    """See that as many calls as there are lanes were served, all at the same time."""
    last = told.reports[told.first :]
    alive = sum(report.outcome is None for report in last)
    if alive < CONNECTIONS:
        failures.append(f"{alive} of {CONNECTIONS} lanes serve: {told_errors(last)}")
    if (peak := server.book().peak) < CONNECTIONS:
        failures.append(f"{peak} of {CONNECTIONS} lanes served at once")


def _check_descriptors(before: int, failures: list[str]) -> None:
    if (left := descriptors()) > before:
        failures.append(f"{left - before} descriptors left")


def descriptors() -> int:
    """Count the open file descriptors of this process."""
    return len(os.listdir("/proc/self/fd"))


def _tasks(flavour: Flavour) -> int:
    return (
        len(asyncio.all_tasks()) if flavour == "asyncio" else trio.lowlevel.current_statistics().tasks_living
    )


@contextmanager
def _watched(failures: list[str]) -> Generator[None]:
    """Treat any warning, also about things left open, as a failure."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        yield
        gc.collect()
    failures.extend(f"warning: {warning.message}" for warning in seen[:3])
