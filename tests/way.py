"""Prints how many files and functions of this package a warm call runs: ``python -m tests.way``.

In a process of its own, because what other clients of a process leave behind is met on the way.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from types import FrameType

import smscode
from smscode import AsyncClient
from smscode.sandbox import Sandbox

PACKAGE = Path(smscode.__file__).parent

Way = frozenset[tuple[str, str]]
"""The functions of this package that a call ran, each with its file; those of the sandbox do not count."""


async def way(call: Callable[[], Awaitable[object]]) -> Way:
    """Make a call, and return its way."""
    seen: set[tuple[str, str]] = set()
    ours, sandbox = str(PACKAGE), str(PACKAGE / "sandbox")

    def note(frame: FrameType, event: str, argument: object) -> None:
        name = frame.f_code.co_filename
        if event == "call" and name.startswith(ours) and not name.startswith(sandbox):
            seen.add((name, frame.f_code.co_qualname))

    sys.setprofile(note)
    try:
        await call()
    finally:
        sys.setprofile(None)
    return frozenset(seen)


def length(ways: list[Way]) -> tuple[int, int]:
    """Return how many files and functions are on every warm way; some calls do what is due now and then."""
    common = frozenset[tuple[str, str]].intersection(*ways[1:])
    return len({name for name, _ in common}), len(common)


async def main() -> None:
    """Measure `orders.create` and `orders.wait_for_otp`, and print both as JSON."""
    with Sandbox(otp_after=0) as sandbox, sandbox.serve() as server:
        async with AsyncClient(sandbox.token, base_url=server.url, poll_interval=1e-6) as client:
            create = partial(client.orders.create, catalog_product_id=87, max_price="1.50")
            (order,) = await create()  # alone, because a longer list would be read in slices
            waited = [await way(partial(client.orders.wait_for_otp, order)) for _ in range(10)]
            created = [await way(create) for _ in range(10)]
    print(json.dumps({"create": length(created), "wait_for_otp": length(waited)}))


if __name__ == "__main__":
    asyncio.run(main())
