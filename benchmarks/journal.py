"""Purchases that are written down before they are sent, on a disk that takes its time.

The disk is slowed down by a pause before each commit that has to be durable. What is compared with writes
as the first version of this package did: a transaction for each purchase before it is sent, in a thread, and
one on the event loop when it is answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sqlite3
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Generator, Iterator
from pathlib import Path

import anyio.to_thread
import httpx

from smscode import AsyncClient, _sqlite
from smscode.journal import SQLiteJournal

from . import answers
from .measure import Contestant, interleave
from .suite import Figure, Setup

TASKS = 200
_FSYNC = 0.005  # seconds
_SLOW_FSYNC = 0.05
_FULL = 2  # what PRAGMA synchronous says of a commit that is durable

Buy = Callable[[str], Awaitable[object]]
"""Buys once, under an idempotency key."""


class _Service(httpx.AsyncBaseTransport):
    """Answers every purchase at once."""

    def __init__(self) -> None:
        self._body = answers.created()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=self._body)


class OneByOne:
    """A journal as it was first written: one transaction for each thing there is to store."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("CREATE TABLE purchase (key TEXT PRIMARY KEY, body BLOB, settled TEXT)")

    def record(self, key: str, body: bytes) -> None:
        """Store a purchase before it is sent."""
        with self._transaction("FULL"):
            self._connection.execute("SELECT settled FROM purchase WHERE key = ?", (key,)).fetchone()
            self._connection.execute("INSERT INTO purchase VALUES (?, ?, NULL)", (key, body))

    def settle(self, key: str) -> None:
        """Store that it was answered."""
        with self._transaction("NORMAL"):
            self._connection.execute("UPDATE purchase SET settled = '[1]' WHERE key = ?", (key,))

    @contextlib.contextmanager
    def _transaction(self, durability: str) -> Generator[None]:
        with self._lock:
            self._connection.execute(f"PRAGMA synchronous = {durability}")
            with _sqlite.transaction(self._connection):
                yield

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


@contextlib.contextmanager
def slow_disk(seconds: float) -> Generator[None]:
    """Slow every durable commit down by so many seconds."""
    fast = _sqlite.transaction

    @contextlib.contextmanager
    def slow(connection: sqlite3.Connection) -> Generator[None]:
        with fast(connection):
            yield
            if connection.execute("PRAGMA synchronous").fetchone()[0] == _FULL:
                time.sleep(seconds)

    _sqlite.transaction = slow
    try:
        yield
    finally:
        _sqlite.transaction = fast


async def _with_the_journal(path: Path, tasks: int, each: int) -> tuple[float, float]:
    with SQLiteJournal(path) as journal:
        client = AsyncClient("benchmark-token", transport=_Service(), journal=journal, rate_limits=None)
        async with client:

            async def buy(key: str) -> object:
                return await client.orders.create(catalog_product_id=412, idempotency_key=key)

            return await _timed(buy, tasks, each)


async def _one_by_one(path: Path, tasks: int, each: int) -> tuple[float, float]:
    with contextlib.closing(OneByOne(path)) as journal:
        async with AsyncClient("benchmark-token", transport=_Service(), rate_limits=None) as client:

            async def buy(key: str) -> object:
                intent = client.orders.prepare(catalog_product_id=412, idempotency_key=key)
                await anyio.to_thread.run_sync(journal.record, key, intent.body)
                created = await client.orders.submit(intent)
                journal.settle(key)
                return created

            return await _timed(buy, tasks, each)


async def _timed(buy: Buy, tasks: int, each: int) -> tuple[float, float]:
    """Buy, by many tasks at once; return the seconds for each purchase, and the longest stop of the loop."""
    keys = map(str, itertools.count())
    longest, over = 0.0, asyncio.Event()

    async def several() -> None:
        for _ in range(each):
            await buy(next(keys))

    async def watch() -> None:
        nonlocal longest
        last = time.perf_counter()
        while not over.is_set():
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            longest, last = max(longest, now - last - 0.001), now

    await buy(next(keys))
    watching = asyncio.create_task(watch())
    began = time.perf_counter()
    await asyncio.gather(*(several() for _ in range(tasks)))
    took = time.perf_counter() - began
    over.set()
    await watching
    return took / (tasks * each), longest


Way = Callable[[Path, int, int], Awaitable[tuple[float, float]]]


def _round(way: Way, tasks: int, each: int, fsync: float) -> tuple[float, float]:
    async def main(path: Path) -> tuple[float, float]:
        return await way(path, tasks, each)

    with tempfile.TemporaryDirectory() as folder, slow_disk(fsync):
        return asyncio.run(main(Path(folder, "orders.db")))


def run(setup: Setup) -> Iterator[Figure]:
    """Compare purchases per second, and measure for how long the event loop stands still."""
    tasks, each, rounds = setup.pick((TASKS, 5, 5), (TASKS, 2, 2), (10, 1, 1))
    ways: dict[str, Way] = {"this": _with_the_journal, "a commit for each": _one_by_one}

    def contestant(way: Way) -> Contestant:
        return lambda: _round(way, tasks, each, _FSYNC)[0]

    found = interleave({name: contestant(way) for name, way in ways.items()}, rounds)
    rates = {name: f"{1 / found.median(name):,.0f} per second" for name in ways}
    faster = found.ratio("a commit for each", "this")
    what = f"purchases per second by {tasks} tasks, durable commits 5 ms longer / a commit for each purchase"
    yield Figure(what, faster, 8, "at least", parts=rates)
    stops = [_round(_with_the_journal, tasks, 1, _SLOW_FSYNC)[1] for _ in range(rounds)]
    old = _round(_one_by_one, min(tasks, 20), 1, _SLOW_FSYNC)[1]
    parts = {"this": f"{max(stops) * 1e3:.3g} ms", "a commit for each, 20 tasks": f"{old * 1e3:.3g} ms"}
    what = f"longest stop of the event loop, {tasks} purchases at once, durable commits 50 ms longer"
    yield Figure(what, max(stops), 0.02, unit="s", parts=parts)
