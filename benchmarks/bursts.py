"""What a purchase costs when many are made at once, through 100 connections."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

from . import answers, callers, machine, vendor
from .callers import Looped, Opener
from .measure import Contestant, interleave
from .server import running
from .suite import Figure, Setup

ANSWERS = {f"GET {callers.READ}": answers.order(), f"POST {callers.CREATE}": answers.created()}


def burst(opener: Opener, url: str, tasks: int, times: int = 1, library: str = "asyncio") -> Contestant:
    """Make a contestant that has a new client, and so the whole rate limit, for each round."""

    def contestant() -> float:
        with Looped(opener, url, library) as looped:
            return looped.warm(min(tasks, 100)).creates(tasks, times)

    return contestant


def run(setup: Setup) -> Iterator[Figure]:
    """Compare bursts with bare httpx and aiohttp, and with few tasks."""
    tasks, some, rounds = setup.pick((3000, 1000, 5), (600, 300, 2), (20, 10, 1))
    with ExitStack() as stack:
        url = stack.enter_context(running(ANSWERS))
        yield from _among_few(url, tasks, rounds, setup)
        yield from _beside_others(url, tasks, some, setup)


def _among_few(url: str, tasks: int, rounds: int, setup: Setup) -> Iterator[Figure]:
    """Show that a purchase costs the same however many are made, and what others take for it."""
    contestants: dict[str, Contestant] = {
        f"this, {tasks} tasks": burst(callers.this, url, tasks),
        "this, 10 tasks": burst(callers.this, url, 10, tasks // 10),
    }
    if machine.has("aiohttp"):
        contestants[f"aiohttp, {tasks} tasks"] = burst(callers.bare_aiohttp, url, tasks)
    if machine.has("uvloop"):
        contestants[f"this on uvloop, {tasks} tasks"] = burst(callers.this, url, tasks, library="uvloop")
    found = interleave(contestants, rounds, warm_up=rounds > 1)
    parts = found.show("us", 1e6)
    names = list(contestants)
    yield Figure(
        f"CPU per create, {tasks} tasks at once / 10 tasks", found.ratio(*names[:2]), 1.15, parts=parts
    )
    for name in names[2:]:
        yield Figure(f"CPU per create, {tasks} tasks at once / {name}", found.ratio(names[0], name))


def _beside_others(url: str, tasks: int, some: int, setup: Setup) -> Iterator[Figure]:
    """Compare with httpx's pool, whose cost grows with the burst: one round of it has to do."""
    contestants = {
        "this": burst(callers.this, url, tasks),
        "httpx": burst(callers.bare_httpx, url, tasks),
    }
    found = interleave(contestants, 1, warm_up=False)
    yield Figure(
        f"CPU per create, {tasks} tasks on 100 connections / bare httpx",
        found.ratio("this", "httpx"),
        0.03,
        parts=found.show("us", 1e6),
    )
    if setup.vendor:
        with vendor.Vendor(setup.vendor, url) as sdk:
            ask = partial(sdk.ask, "creates", some)
            found = interleave(
                {"this": burst(callers.this, url, some), "vendor's SDK": ask}, 1, warm_up=False
            )
        yield Figure(
            f"CPU per create, {some} tasks at once / vendor's SDK",
            found.ratio("this", "vendor's SDK"),
            parts=found.show("us", 1e6),
        )
