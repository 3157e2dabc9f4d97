"""Going through 100,000 products: how long the event loop is held, and how much memory it takes."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from collections.abc import AsyncIterable, Callable, Coroutine, Iterator, Mapping
from contextlib import nullcontext
from statistics import median
from unittest.mock import patch

from attrs import frozen

from smscode import AsyncClient
from smscode.core.decoding import columns, rows_msgspec
from smscode.core.versions import ApiVersion

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


async def one_page(client: AsyncClient) -> int:
    return len(await client.catalog.products(limit=10_000))


async def longest_hold(client: AsyncClient, walk: Walk) -> float:
    """Return the longest that another task had to wait for its turn while a walk went on.

    In seconds of CPU: what another process takes from this one is not the walk's doing.
    """
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
    """Return the most bytes held at once while a walk went on, beyond those before."""
    columns.columns.cache_clear()
    tracemalloc.start()
    try:
        await walk(client)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@frozen
class Walked:
    """What walks through a catalog came to, by their names.

    ``holds`` are the longest hold of each walk, in seconds, and ``memory`` is in bytes.
    """

    holds: Mapping[str, list[float]]
    memory: Mapping[str, int]


async def measured(version: ApiVersion, url: str, rounds: int) -> Walked:
    """Walk several times."""
    walks: dict[str, Walk] = {"iter_products": iterate}
    async with AsyncClient("benchmark-token", base_url=url, api_version=version) as client:
        await iterate(client)
        holds = {
            name: [await longest_hold(client, walk) for _ in range(rounds)] for name, walk in walks.items()
        }
        memory = {
            name: await most_memory(client, walk) for name, walk in ({"one page": one_page} | walks).items()
        }
    return Walked(holds, memory)


def run(setup: Setup) -> Iterator[Figure]:
    """Measure both versions, with msgspec and without; the worst of them has to hold."""
    rounds, pages, rows = setup.pick((9, 10, 10_000), (3, 10, 10_000), (1, 2, 200))
    engines = ("fast", "no extras") if machine.has("msgspec") else ("no extras",)
    walked: dict[str, Walked] = {}
    for version in VERSIONS:
        bodies = {
            f"GET /{version}/catalog/products?page={page}&limit={limit}": answers.products(
                version, page, rows, last=page == pages
            )
            for page in range(1, pages + 1)
            for limit in {rows, 10_000}
        }
        with running(bodies) as url:
            for engine in engines:
                without = patch.object(rows_msgspec, "library", return_value=None)
                with nullcontext() if engine == "fast" else without:
                    walked[f"{version}, {engine}"] = asyncio.run(measured(version, url, rounds))
    what = f"{pages * rows:,} products"
    for name, pick, longest in (("median of walks", median, 10), ("any walk", max, None)):
        holds = {
            f"{walk}, {engine}": pick(held) * 1e3
            for engine, found in walked.items()
            for walk, held in found.holds.items()
        }
        parts = {walk: f"{hold:.2f} ms" for walk, hold in holds.items()}
        yield Figure(
            f"longest hold of the loop, {what}, {name}", max(holds.values()), longest, unit="ms", parts=parts
        )
    for walk, most in (("iter_products", 1.3),):
        ratio = max(walks.memory[walk] / walks.memory["one page"] for walks in walked.values())
        parts = {
            name: f"{walks.memory[walk] / 1e6:.1f} MB / {walks.memory['one page'] / 1e6:.1f} MB"
            for name, walks in walked.items()
        }
        yield Figure(f"memory of {walk}, {what} / of one page", ratio, most, parts=parts)
