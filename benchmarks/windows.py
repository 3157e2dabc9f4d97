"""How many requests a service counts in its windows, and how many of those that it permits are sent."""

from __future__ import annotations

import asyncio
import heapq
import random
import shutil
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from attrs import frozen

from smscode import RateLimits
from smscode.core.ratelimit.limiter import GroupLimiter, Lease
from smscode.core.ratelimit.slots import LINGER, RequestEnding, SlotWindow
from smscode.models import EndpointGroup
from tests.ext.redis_server import redis_sentinel, redis_server

from . import machine
from .suite import Figure, Setup

LATENCIES: dict[str, Callable[[random.Random], float]] = {
    "constant 50 ms": lambda chance: 0.05,
    "10-400 ms": lambda chance: chance.uniform(0.01, 0.4),
    "heavy tail to 30 s": lambda chance: min(0.05 * chance.paretovariate(0.7), 30.0),
}
CANCELLED = 0.05
_TASKS = 50


class Bell:
    """Wakes a task of the simulation."""

    def __init__(self) -> None:
        self.rung = True

    def wake(self) -> bool:
        self.rung = True
        return True


@frozen
class Seen:
    """What a service saw: the most in any sliding and any aligned window, and the part of what it permits.

    It permits a request for every window and mean latency that a slot is there. So what is used of it is
    the part of the slots' time that requests and a window after each take.
    """

    sliding: int
    aligned: int
    used: float


def run(setup: Setup) -> Iterator[Figure]:
    """Measure all groups of endpoints in virtual time, and several processes in real time."""
    every = tuple(EndpointGroup)
    rounds, groups = setup.pick(
        (8, every), (3, every), (2, (EndpointGroup.CANCEL, EndpointGroup.WEBHOOK_TEST))
    )
    documented = RateLimits()
    for name, latency in LATENCIES.items():
        seen = {group: saturate(*documented.of(group), latency, rounds) for group in groups}
        limits = {group: documented.of(group)[0] for group in groups}
        parts = {
            group.value: f"{found.sliding} / {found.aligned} of {limits[group]}, {found.used:.1%}"
            for group, found in seen.items()
        }
        most = max(max(found.sliding, found.aligned) / limits[group] for group, found in seen.items())
        yield Figure(f"worst window / limit, {name}, 5 % cancelled", most, 1.0, parts=parts)
        least = min(found.used for found in seen.values())
        yield Figure(f"least part of what is permitted, {name}", least, 0.98, "at least")
    if shutil.which("redis-server") and machine.has("redis"):
        full, quick = (4, 400, 20.0, 80.0, 40.0), (4, 100, 4.0, 16.0, 8.0)
        yield from processes(*setup.pick(full, quick, (2, 20, 0.5, 1.0, 0.5)))
        yield from disturbed(
            *setup.pick((400, 20.0, 140.0, 50.0), (100, 2.0, 40.0, 10.0), (20, 0.5, 1.0, 0.5))
        )


def processes(count: int, limit: int, window: float, seconds: float, killed_at: float) -> Iterator[Figure]:
    """Share a limit between so many processes through Redis, and kill one of them."""
    from . import fleet  # it needs an extra

    with redis_server() as server:
        sight = asyncio.run(fleet.watch(server.url, count, limit, window, seconds, killed_at))
    parts = {"requests": f"{len(sight.arrivals)}", "visits of Redis for each": f"{sight.visits:.2f}"}
    what = f"{count} processes of both flavours, 1 Redis, 1 killed"
    most = worst(sight.arrivals, window)
    yield Figure(f"{what}: worst window of {window:g} s", most, float(limit), parts=parts)
    wanted = 0.9 if window >= 20 else None  # of a short window the margin for clocks takes a large part
    yield Figure(f"{what}: part of what is permitted", sight.used, wanted, "at least")


def disturbed(limit: int, window: float, seconds: float, happens_at: float) -> Iterator[Figure]:
    """Share a limit between two processes while Redis' clock is set, and while another host takes over."""
    from . import fleet  # it needs an extra

    def figures(what: str, sight: fleet.Sight) -> Iterator[Figure]:
        after = [at for at in sight.arrivals if at > sight.arrivals[0] + seconds - window]
        parts = {"requests": f"{len(sight.arrivals)}", "in the last window": f"{len(after)}"}
        yield Figure(
            f"2 processes, 1 Redis, {what}: worst window", worst(sight.arrivals, window), limit, parts=parts
        )

    for step in (-600, 60):
        with redis_server(clock=True) as server:
            server.step_clock(0)
            event = partial(server.step_clock, step)
            sight = asyncio.run(fleet.watch(server.url, 2, limit, window, seconds, happens_at, event))
        yield from figures(f"whose clock steps by {step:+d} s", sight)
    with redis_sentinel() as (master, replica, sentinel):
        watched = fleet.watch(sentinel.url, 2, limit, window, seconds, happens_at, master.stop, replica.url)
        yield from figures("whose replica takes over", asyncio.run(watched))


def worst(arrivals: Sequence[float], window: float) -> int:
    """Return the most arrivals in any half-open window; they have to be sorted."""
    return max(bisect_right(arrivals, start + window - 1e-9) - index for index, start in enumerate(arrivals))


def saturate(
    limit: int,
    window: float,
    latency: Callable[[random.Random], float],
    windows: int,
    slots: Callable[[float], SlotWindow] = SlotWindow,
) -> Seen:
    """Send as fast as a limiter permits, in virtual time; the service counts in between.

    One of twenty requests is cancelled on its way, and arrives nevertheless. The tests show with ``slots``
    of other kinds that what they do wrong is seen.
    """
    chance = random.Random(limit)
    bucket = GroupLimiter("any", limit, slots(window))
    now, until = 3.7, 3.7 + windows * window
    ends: list[tuple[float, int, Lease, RequestEnding]] = []
    arrivals: list[float] = []
    began, taken = now, 0.0
    waiting: list[Lease] = []
    alarm = now
    while now < until:
        while len(waiting) < _TASKS:
            lease = bucket.ask(now, float("inf"))
            assert isinstance(lease, Lease)
            lease.signal = Bell()
            waiting.append(lease)
            if not lease.granted:
                alarm = min(alarm, now + _again(bucket, waiting[0], now))
            else:
                took = _send(waiting.pop(), now, latency, chance, ends, arrivals)
                taken += min(took + window, until - now)
        now = min(ends[0][0] if ends else float("inf"), alarm)
        while ends and ends[0][0] <= now:
            _, _, lease, ending = heapq.heappop(ends)
            bucket.end(lease, now, ending)
        alarm = now + _again(bucket, waiting[0], now)
        for lease in [lease for lease in waiting if lease.granted]:
            waiting.remove(lease)
            took = _send(lease, now, latency, chance, ends, arrivals)
            taken += min(took + window, max(until - now, 0.0))
        if waiting:
            alarm = now + _again(bucket, waiting[0], now)
    arrivals.sort()
    aligned = Counter(int(arrival // window) for arrival in arrivals)
    return Seen(worst(arrivals, window), max(aligned.values()), taken / (limit * (until - began)))


def _again(bucket: GroupLimiter, first: Lease, now: float) -> float:
    again = bucket.advance(first, now)
    assert isinstance(again, float | int)
    return again


def _send(
    lease: Lease,
    now: float,
    latency: Callable[[random.Random], float],
    chance: random.Random,
    ends: list[tuple[float, int, Lease, RequestEnding]],
    arrivals: list[float],
) -> float:
    """Send a request; return how long it holds its slot busy."""
    took = latency(chance)
    ending = RequestEnding.ANSWERED
    arrival = now + took * chance.random()
    if chance.random() < CANCELLED:
        ending = RequestEnding.LOST
        left = took * chance.random()
        arrival = min(arrival, now + left + LINGER)
        took = left
    arrivals.append(arrival)
    heapq.heappush(ends, (now + took, len(arrivals), lease, ending))
    return took
