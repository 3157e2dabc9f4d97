"""What keeping a rate limit costs where it is not reached, beside other limiters."""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

from smscode import RateLimits
from smscode._async.rate_limiter import AsyncRateLimiter
from smscode._concurrency import AsyncCaller, AsyncRuntime
from smscode._ratelimit.budget import AccountLimits
from smscode.core.effects import Acquire
from smscode.core.ratelimit.limiter import GroupLimiter, Lease
from smscode.core.ratelimit.slots import RequestEnding, SlotWindow
from smscode.models import EndpointGroup

from . import machine
from .measure import Contestant, interleave
from .suite import Figure, Setup

PLENTY = 10**9

Step = Callable[[], Awaitable[object]]


def _this() -> Step:
    limits = AsyncRateLimiter(AccountLimits(RateLimits(create=PLENTY)), AsyncRuntime())
    effect = Acquire(EndpointGroup.CREATE, 1e9, urgent=False)
    caller = AsyncCaller(lambda _: None)

    async def step() -> None:
        lease = await limits.acquire(effect, 30.0, caller)
        assert isinstance(lease, Lease)
        limits.end(lease, RequestEnding.ANSWERED)

    return step


def _aiolimiter() -> Step:
    limiter: Any = importlib.import_module("aiolimiter").AsyncLimiter(PLENTY, 60)

    async def step() -> None:
        async with limiter:
            pass

    return step


def _limits() -> Step:
    library: Any = importlib.import_module("limits")
    window: Any = library.aio.strategies.SlidingWindowCounterRateLimiter(library.aio.storage.MemoryStorage())
    return partial(window.hit, library.RateLimitItemPerMinute(PLENTY), "create")


def _pyrate_limiter() -> Step:
    library: Any = importlib.import_module("pyrate_limiter")
    bucket = library.InMemoryBucket([library.Rate(PLENTY, library.Duration.MINUTE)])
    return partial(library.Limiter(bucket).try_acquire_async, "create")


def _throttled() -> Step:
    library: Any = importlib.import_module("throttled.asyncio")
    quota = library.per_min(PLENTY)
    return partial(library.Throttled(key="create", using="gcra", quota=quota).limit, "create")


OTHERS: dict[str, tuple[str, Callable[[], Step]]] = {
    "aiolimiter": ("aiolimiter", _aiolimiter),
    "limits": ("limits", _limits),
    "pyrate-limiter": ("pyrate-limiter", _pyrate_limiter),
    "throttled-py": ("throttled-py", _throttled),
}


def _contestant(runner: asyncio.Runner, make: Callable[[], Step], count: int) -> Contestant:
    async def prepare() -> Step:
        return make()

    step = runner.run(prepare())

    async def steps() -> float:
        began = time.process_time()
        for _ in range(count):
            await step()
        return (time.process_time() - began) / count

    return lambda: runner.run(steps())


def _grants(waiters: int) -> float:
    """Return the seconds of CPU for each grant to that many who wait, one grant at a time."""
    slots = SlotWindow(60.0)
    bucket = GroupLimiter("create", 1, slots)
    bucket.ask(0.0, 1e9)
    leases = [bucket.ask(0.0, 1e9) for _ in range(waiters)]
    first = bucket.ask(0.0, 1e9)
    assert isinstance(first, Lease)
    began = time.process_time()
    holder: Lease | None = None
    for lease in leases[: min(waiters, 1000)]:
        assert isinstance(lease, Lease)
        if holder is None:
            slots.holders.clear()  # the one that was asked for first is over
        else:
            bucket.end(holder, 0.0, RequestEnding.UNSENT)
        bucket.advance(lease, 0.0)
        assert lease.granted
        holder = lease
    return (time.process_time() - began) / min(waiters, 1000)


def run(setup: Setup) -> Iterator[Figure]:
    """Compare this package's limiter with others, and a long queue with a short one."""
    rounds, count = setup.pick((9, 5000), (5, 2000), (1, 20))
    with ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner())
        contestants = {"this": _contestant(runner, _this, count)}
        for name, (needs, make) in OTHERS.items():
            if machine.has(needs):
                contestants[name] = _contestant(runner, make, count)
        found = interleave(contestants, rounds)
    yield Figure(
        "cost of an uncontended acquire and release",
        found.median("this") * 1e6,
        3.0,
        unit="us",
        parts=found.show("us", 1e6),
    )
    many, few = setup.pick((10_000, 100), (10_000, 100), (50, 10))
    queues = interleave({"long": partial(_grants, many), "short": partial(_grants, few)}, rounds)
    yield Figure(
        f"cost of a grant with {many:,} waiters / with {few}",
        queues.ratio("long", "short"),
        1.5,
        parts=queues.show("us", 1e6),
    )
