"""What a purchase costs when many are made at once, through 100 connections."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

from . import answers, callers, machine, vendor
from .callers import Contender, Looped
from .measure import Contestant, interleave
from .server import running
from .suite import Figure, Setup

ANSWERS = {f"GET {callers.READ}": answers.order(), f"POST {callers.CREATE}": answers.created()}
NAMES = (
    "this",
    "aiohttp",
    "this on aiohttp",
    "this on uvloop",
    "aiohttp on uvloop",
    "this on aiohttp on uvloop",
)


def burst(contender: Contender, url: str, tasks: int, times: int = 1) -> Contestant:
    """Make a contestant that has a new client, and so the whole rate limit, for each round."""

    def contestant() -> float:
        with Looped(contender, url) as looped:
            return looped.warm(min(tasks, 100)).creates(tasks, times)

    return contestant


def run(setup: Setup) -> Iterator[Figure]:
    """Compare bursts with few tasks at once, with aiohttp, and with httpx's pool."""
    tasks, some, rounds, slow = setup.pick((3000, 1000, 9, 2), (600, 300, 2, 1), (20, 10, 1, 1))
    with ExitStack() as stack:
        url = stack.enter_context(running(ANSWERS))
        yield from _among_few(url, tasks, rounds)
        yield from _beside_pool(url, tasks, slow, "httpx", 0.03)
        if machine.has("httpx2"):
            yield from _beside_pool(url, tasks, slow, "httpx2", 0.5)
        if setup.vendor:
            sdk = stack.enter_context(vendor.Vendor(setup.vendor, url))
            yield from _beside_vendor(url, some, sdk)


def _among_few(url: str, tasks: int, rounds: int) -> Iterator[Figure]:
    """Show that a purchase costs the same however many are made, and what it costs with aiohttp."""
    found_here = callers.contenders(*NAMES)
    contestants = {name: burst(contender, url, tasks) for name, contender in found_here.items()}
    contestants["this, 10 tasks"] = burst(found_here["this"], url, 10, tasks // 10)
    found = interleave(contestants, rounds)
    what = f"CPU per create, {tasks:,} tasks at once"
    parts = found.show("us", 1e6)
    yield Figure(f"{what} / 10 tasks", found.ratio("this", "this, 10 tasks"), 1.15, parts=parts)
    if "aiohttp" in contestants:
        ratio = found.ratio("this on aiohttp", "aiohttp")
        yield Figure(f"{what}, on aiohttp / bare aiohttp", ratio, 2.3)
    if "aiohttp on uvloop" in contestants:
        ratio = found.ratio("this on aiohttp on uvloop", "aiohttp on uvloop")
        yield Figure(f"{what}, on aiohttp / bare aiohttp, both on uvloop", ratio)


def _beside_pool(url: str, tasks: int, rounds: int, library: str, goal: float) -> Iterator[Figure]:
    """Compare with the pool of httpx or httpx2, whose cost grows with the burst: few rounds have to do."""
    this = "this" if library == "httpx" else f"this on {library}"
    found_here = callers.contenders(this, library)
    found = interleave({name: burst(contender, url, tasks) for name, contender in found_here.items()}, rounds)
    what = f"CPU per create, {tasks:,} tasks at once on 100 connections"
    on = "" if library == "httpx" else f", on {library}"
    yield Figure(
        f"{what}{on} / bare {library}", found.ratio(this, library), goal, parts=found.show("us", 1e6)
    )


def _beside_vendor(url: str, tasks: int, sdk: vendor.Vendor) -> Iterator[Figure]:
    """Compare with the vendor's SDK, of which fewer tasks have to do."""
    contestants: dict[str, Contestant] = {
        "this": burst(Contender(callers.this), url, tasks),
        "vendor's SDK": partial(sdk.ask, "creates", tasks),
    }
    found = interleave(contestants, 1)
    what = f"CPU per create, {tasks:,} tasks at once / vendor's SDK"
    yield Figure(what, found.ratio("this", "vendor's SDK"), parts=found.show("us", 1e6))
