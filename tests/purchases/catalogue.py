"""Which scenarios there are, in full and in short."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

from tests.purchases import counts, doubts
from tests.purchases.clocks import CLOCKS
from tests.purchases.lives import Flavour
from tests.purchases.pool import Context, Job
from tests.purchases.walks import Interruption, Walk, Walker

BUYING = ("create", "submit", "create_many", "reactivate", "recover", "rent")
PLANS = (
    "lost",
    "torn",
    "reset",
    "hang",
    "page",
    "slow60",
    "slowbefore60",
    "late150--NO_OFFER_AVAILABLE",
    "lost--UNAUTHORIZED",
    "reset--RATE_LIMIT_EXCEEDED",
    "NO_OFFER_AVAILABLE",
    "PROVIDER_ERROR",
)
DISKS = ("nojournal", "slow", "busy0", "busy1", "locked0", "locked1", "full0", "full1", "deleted1")
FAULTS = [(plan, "none") for plan in PLANS] + [("ok", disk) for disk in DISKS]
CANCELLING: tuple[tuple[Interruption, Flavour], ...] = (
    ("task", "asyncio"),
    ("scope", "trio"),
    ("timeout", "asyncio"),
    ("scope", "asyncio"),
)
_FLAVOURS: tuple[Flavour, ...] = ("asyncio", "trio", "threads")
_WITHOUT = ("nojournal", "deleted1")
"""Where there is nothing to recover from."""
_SLOW, _ENOUGH = ("hang", "reset--RATE_LIMIT_EXCEEDED", "locked0", "deleted1"), ("create", "create_many")
"""Faults that take their time, and the calls that are enough to see them."""
_SAMPLE = 80


def walk_job(walk: Walk) -> Job:
    """Return the job of a walk."""
    return Job(walk.name, functools.partial(_walk, walk))


def _walk(walk: Walk, context: Context) -> None:
    server = context.server
    Walker(walk, server.base_url, context.diary, context.seed, server.forget).run(context.first)


def _job(name: str, scenario: Callable[..., None], *arguments: object) -> Job:
    def run(context: Context) -> None:
        scenario(context, *arguments)

    return Job(name, run)


def _cancellations() -> Iterator[Walk]:
    """Each await of each call, in each manner; in two of them under each fault."""
    for manner, flavour in CANCELLING:
        for operation in BUYING:
            yield Walk(manner, operation, flavour)
            yield Walk(manner, operation, flavour, disk="killed")
    for operation in BUYING:
        for plan, disk in FAULTS:
            slow = plan in _SLOW or disk in _SLOW
            if (operation == "recover" and disk in _WITHOUT) or (slow and operation not in _ENOUGH):
                continue
            for manner, flavour in CANCELLING if operation == "create" and not slow else CANCELLING[:2]:
                yield Walk(manner, operation, flavour, plan, disk)


def _kills() -> Iterator[Walk]:
    """Each commit of each call, before and after it, alone and under what slows or repeats calls."""
    faults = [(plan, "none") for plan in ("ok", "lost", "slow60", PLANS[7], "NO_OFFER_AVAILABLE")]
    faults += [("ok", disk) for disk in ("slow", "busy0", "busy1")]
    for operation in BUYING:
        for flavour in _FLAVOURS:
            for plan, disk in faults:
                yield Walk("kill", operation, flavour, plan, disk)


def _lines() -> Iterator[Walk]:
    """Each line that a synchronous call runs; a sample of them under faults, and with a second Ctrl-C."""
    for operation in (*BUYING, "wait_for_otp"):
        yield Walk("line", operation, "threads")
    for operation in BUYING:
        yield Walk("line", operation, "threads", disk="killed", sample=_SAMPLE)
    for plan, disk in FAULTS:
        yield Walk("line", "create", "threads", plan, disk, sample=_SAMPLE)
    for operation in BUYING[1:]:
        for plan, disk in (("lost", "none"), ("ok", "busy0"), ("ok", "slow")):
            yield Walk("line", operation, "threads", plan, disk, sample=_SAMPLE)
    for operation in (*BUYING, "wait_for_otp"):
        yield Walk("twice", operation, "threads", sample=200)
    yield Walk("twice", "create", "threads", "lost", sample=200)


def _clocks() -> Iterator[Walk]:
    """Each way in which a wall clock is wrong, with and without a cancellation or a kill."""
    for clock in CLOCKS:
        if clock != "steady":
            for flavour in ("asyncio", "threads"):
                yield Walk("none", "recover", flavour, clock=clock)
                yield Walk("kill", "create", flavour, clock=clock)
                yield Walk("kill", "recover", flavour, clock=clock)
            yield Walk("task", "create", "asyncio", "lost", clock=clock)
            yield Walk("task", "recover", "asyncio", clock=clock)
            yield Walk("line", "create", "threads", "lost", clock=clock, sample=_SAMPLE // 2)


def counts_jobs(part: int) -> Iterator[Job]:
    """The counts that were asked for, or a ``part``-th of them."""
    for manner in ("task", "timeout", "scope", "trio"):
        yield _job(f"recovers_cancelled/{manner}", counts.recovers_cancelled, manner, 400 // part)
        yield _job(f"busy_creates/{manner}", counts.busy_creates, manner, 1300 // part)
    for flavour in ("asyncio", "threads"):
        for how in ("SIGKILL", "SIGINT"):
            name = f"many_killed/{flavour}/{how}"
            yield _job(name, counts.many_killed, flavour, how, max(1, 25 // part))
    for operation in ("create", "rent", "create_many", "wait_for_otp"):
        yield _job(f"ctrl_c/{operation}", counts.ctrl_c, operation, 5000 // part, min(250, 5000 // part))
    waiting = functools.partial(counts.ctrl_c, plan="hang", measured=1)
    yield _job("ctrl_c_waiting", waiting, "create_many", max(2, 10 // part), max(2, 10 // part))


def doubt_jobs() -> Iterator[Job]:
    """Return the scenarios of purchases in doubt."""
    for flavour in ("asyncio", "threads"):
        for disk in ("none", "nojournal"):
            yield _job(f"answers/{flavour}/{disk}", doubts.answers, flavour, disk)
    for flavour in _FLAVOURS:
        yield _job(f"again/{flavour}", doubts.again, flavour)
        yield _job(f"accounts/{flavour}", doubts.accounts, flavour)
        yield _job(f"living/{flavour}", doubts.living, flavour)
        yield _job(f"rotation/{flavour}", doubts.rotation, flavour)
    for flavour in _FLAVOURS[:2]:
        yield _job(f"unsent/{flavour}", doubts.unsent, flavour)


def _short() -> Iterator[Walk]:
    """A walk of each kind, so that together they are through within two minutes."""
    for operation in BUYING:
        yield Walk("task", operation, "asyncio")
        yield Walk("scope", operation, "trio", "lost")
        yield Walk("kill", operation, "asyncio")
    for plan, disk in (*FAULTS[7:9], ("ok", "busy0"), ("ok", "locked1"), ("ok", "full1")):
        yield Walk("task", "create", "asyncio", plan, disk)
    for operation in (*BUYING, "wait_for_otp"):
        yield Walk("line", operation, "threads", sample=40)
    yield Walk("twice", "create", "threads", sample=40)
    for clock in CLOCKS:
        if clock != "steady":
            yield Walk("none", "recover", "asyncio", clock=clock)


def catalogue(*, short: bool) -> list[Job]:
    """Return all scenarios, those that take long first."""
    if short:
        walks = list(_short())
        others = [*counts_jobs(50), *doubt_jobs()]
    else:
        walks = [*_lines(), *_cancellations(), *_kills(), *_clocks()]
        others = [*counts_jobs(1), *doubt_jobs()]
    return [*others, *map(walk_job, walks)]
