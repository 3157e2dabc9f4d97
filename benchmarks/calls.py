"""What one call after the other costs: a GET and the reading of its answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

from . import answers, callers, vendor
from .measure import Contestant, interleave
from .server import running
from .suite import Figure, Setup

NAMES = (
    "this",
    "httpx",
    "aiohttp",
    "this with the aiohttp extra",
    "this on uvloop",
    "httpx on uvloop",
)


def run(setup: Setup) -> Iterator[Figure]:
    """Compare this package with what it stands on, and with others."""
    rounds, count = setup.pick((9, 400), (3, 100), (1, 3))
    with ExitStack() as stack:
        url = stack.enter_context(running({f"GET {callers.READ}": answers.order()}))
        contestants: dict[str, Contestant] = {}
        for name, contender in callers.contenders(*NAMES).items():
            looped = stack.enter_context(callers.Looped(contender, url))
            contestants[name] = partial(looped.reads, count)
        if setup.vendor:
            sdk = stack.enter_context(vendor.Vendor(setup.vendor, url))
            contestants["vendor's SDK"] = partial(sdk.ask, "reads", count)
        found = interleave(contestants, rounds)
    parts = found.show("us", 1e6)
    what = "CPU per sequential GET + decode"
    yield Figure(f"{what} / bare httpx + json", found.ratio("this", "httpx"), 0.80, parts=parts)
    if "this with the aiohttp extra" in contestants:
        ratio = found.ratio("this with the aiohttp extra", "aiohttp")
        yield Figure(f"{what}, aiohttp extra / bare aiohttp", ratio)
    if "this on uvloop" in contestants:
        yield Figure(f"{what}, both on uvloop / bare httpx", found.ratio("this on uvloop", "httpx on uvloop"))
    if "vendor's SDK" in contestants:
        yield Figure(f"{what} / vendor's SDK", found.ratio("this", "vendor's SDK"))
