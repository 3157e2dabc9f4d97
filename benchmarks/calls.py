"""What one call after the other costs: a GET and the reading of its answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

from . import answers, callers, machine, vendor
from .callers import Looped
from .measure import Contestant, interleave
from .server import running
from .suite import Figure, Setup


def run(setup: Setup) -> Iterator[Figure]:
    """Compare this package with what it stands on, and with others."""
    rounds, count = setup.pick((9, 400), (3, 100), (1, 3))
    with ExitStack() as stack:
        url = stack.enter_context(running({f"GET {callers.READ}": answers.order()}))
        contestants: dict[str, Contestant] = {}
        for name, opener, library, needs in (
            ("this", callers.this, "asyncio", "httpx"),
            ("httpx", callers.bare_httpx, "asyncio", "httpx"),
            ("aiohttp", callers.bare_aiohttp, "asyncio", "aiohttp"),
            ("this on uvloop", callers.this, "uvloop", "uvloop"),
            ("httpx on uvloop", callers.bare_httpx, "uvloop", "uvloop"),
        ):
            if machine.has(needs):
                looped = stack.enter_context(Looped(opener, url, library))
                contestants[name] = partial(looped.reads, count)
        if setup.vendor:
            sdk = stack.enter_context(vendor.Vendor(setup.vendor, url))
            contestants["vendor's SDK"] = partial(sdk.ask, "reads", count)
        found = interleave(contestants, rounds)
    parts = found.show("us", 1e6)
    what = "CPU per sequential GET + decode"
    yield Figure(f"{what} / bare httpx + json", found.ratio("this", "httpx"), 0.80, parts=parts)
    for name in list(contestants)[2:]:
        yield Figure(f"{what} / {name}", found.ratio("this", name))
