"""What one call after the other costs: a GET and the reading of its answer, by each HTTP stack."""

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
    "httpx2",
    "this on aiohttp",
    "this on httpx2",
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
    yield Figure(f"{what} / bare httpx + json", found.ratio("this", "httpx"), 0.75, parts=parts)
    if "this on aiohttp" in contestants:
        on_aiohttp = partial(found.ratio, "this on aiohttp")
        yield Figure(f"{what}, on aiohttp / bare httpx + json", on_aiohttp("httpx"), 0.50)
        yield Figure(f"{what}, on aiohttp / bare aiohttp + json", on_aiohttp("aiohttp"), 2.3)
    if "this on httpx2" in contestants:
        ratio = found.ratio("this on httpx2", "httpx2")
        yield Figure(f"{what}, on httpx2 / bare httpx2 + json", ratio, 0.80)
    if "this on uvloop" in contestants:
        yield Figure(f"{what}, both on uvloop / bare httpx", found.ratio("this on uvloop", "httpx on uvloop"))
    if "vendor's SDK" in contestants:
        yield Figure(f"{what} / vendor's SDK", found.ratio("this", "vendor's SDK"))
