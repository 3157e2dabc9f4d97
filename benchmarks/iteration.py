"""Going through 100,000 products: how long the event loop is held, and how much memory it takes."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from collections.abc import AsyncIterable, Callable, Coroutine, Iterator
from contextlib import nullcontext
from statistics import median
from unittest.mock import patch

from smscode import AsyncClient
from smscode.core import table, typed

from . import answers, machine
from .decoding import VERSIONS
from .server import running
from .suite import Figure, Setup

Walk = Callable[[AsyncClient], Coroutine[object, object, int]]


async def count(products: AsyncIterable[object]) -> int:
    """Go through all of them."""
    seen = 0
    async for _ in products:
        seen += 1
    return seen


async def iterate(client: AsyncClient) -> int:
    return await count(client.catalog.iter_products())


async def prefetch(client: AsyncClient) -> int:
    async with client.catalog.prefetch_products() as products:
        return await count(products)


async def one_page(client: AsyncClient) -> int:
    return len(await client.catalog.products(limit=10_000))


async def longest_hold(client: AsyncClient, walk: Walk) -> float:
    """Give the longest that another task had to wait for its turn while a walk went on, in seconds."""
    longest = 0.0
    stopped = False

    async def watch() -> None:
        nonlocal longest
        before = time.thread_time()
        while not stopped:
            await asyncio.sleep(0)
            now = time.thread_time()
            longest = max(longest, now - before)
            before = now

    watching = asyncio.create_task(watch())
    await walk(client)
    stopped = True
    await watching
    return longest


async def most_memory(client: AsyncClient, walk: Walk) -> int:
    """Give the most bytes held at once while a walk went on, beyond those before."""
    table.columns.cache_clear()
    tracemalloc.start()
    try:
        await walk(client)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


async def measured(version: str, url: str, rounds: int) -> tuple[dict[str, float], dict[str, int]]:
    """Give the holds, the median of rounds, and the memory."""
    walks: dict[str, Walk] = {"iter_products": iterate, "prefetch_products": prefetch}
    async with AsyncClient(
        "benchmark-token", base_url=url, api_version="v1" if version == "v1" else "v2"
    ) as client:
        expected = await iterate(client)
        assert await prefetch(client) == expected
        holds = {
            name: median([await longest_hold(client, walk) for _ in range(rounds)])
            for name, walk in walks.items()
        }
        memory = {
            name: await most_memory(client, walk) for name, walk in ({"one page": one_page} | walks).items()
        }
    return holds, memory


def run(setup: Setup) -> Iterator[Figure]:
    """Measure both versions, with msgspec and without."""
    rounds, pages, rows = setup.pick((9, 10, 10_000), (3, 10, 10_000), (1, 2, 200))
    for version in VERSIONS:
        bodies = {
            f"GET /{version}/catalog/products?page={page}&limit={limit}": answers.products(
                version, page, rows, last=page == pages
            )
            for page in range(1, pages + 1)
            for limit in {rows, 10_000}
        }
        with running(bodies) as url:
            for engine in ("fast", "no extras"):
                if engine == "fast" and not machine.has("msgspec"):
                    continue
                without = patch.object(typed, "library", return_value=None)
                with nullcontext() if engine == "fast" else without:
                    holds, memory = asyncio.run(measured(version, url, rounds))
                what = f"{pages * rows:,} products of {version}, {engine}"
                for name, seconds in holds.items():
                    yield Figure(f"longest hold of the loop, {name}: {what}", seconds * 1e3, 10, unit="ms")
                parts = {name: f"{size / 1e6:.1f} MB" for name, size in memory.items()}
                yield Figure(
                    f"memory / of one page, iter_products: {what}",
                    memory["iter_products"] / memory["one page"],
                    1.3,
                    parts=parts,
                )
                yield Figure(
                    f"memory / of one page, prefetch_products: {what}",
                    memory["prefetch_products"] / memory["one page"],
                )
