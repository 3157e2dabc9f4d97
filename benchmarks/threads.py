"""How many requests a second the synchronous client does with 32 threads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx

from smscode import Client

from . import answers, callers
from .measure import Contestant, interleave
from .server import running
from .suite import Figure, Setup

THREADS = 32


def threaded(read: Callable[[], object], threads: ThreadPoolExecutor, count: int) -> Contestant:
    """Make a contestant whose cost is the seconds for each of so many calls by all the threads."""

    def some(_: int) -> None:
        for _ in range(count):
            read()

    def contestant() -> float:
        began = time.perf_counter()
        list(threads.map(some, range(THREADS)))
        return (time.perf_counter() - began) / THREADS / count

    return contestant


def run(setup: Setup) -> Iterator[Figure]:
    """Compare the synchronous client with a bare one of httpx."""
    rounds, count = setup.pick((7, 20), (3, 6), (1, 1))
    with ExitStack() as stack:
        url = stack.enter_context(running({f"GET {callers.READ}": answers.order()}))
        client = stack.enter_context(Client(callers.token(), base_url=url))
        limits = httpx.Limits(max_connections=100, max_keepalive_connections=100, keepalive_expiry=30)
        headers = {"authorization": f"Bearer {callers.TOKEN}", "accept": "application/json"}
        bare = stack.enter_context(httpx.Client(base_url=url, headers=headers, limits=limits, timeout=None))
        threads = stack.enter_context(ThreadPoolExecutor(THREADS))

        def bare_read() -> object:
            response = bare.get(callers.READ)
            response.raise_for_status()
            return response.json()["data"]

        found = interleave(
            {
                "this": threaded(lambda: client.orders.get(answers.ORDER_ID), threads, count),
                "httpx": threaded(bare_read, threads, count),
            },
            rounds,
        )
    yield Figure(
        "requests per second with 32 threads / bare httpx.Client",
        found.ratio("httpx", "this"),
        1.0,
        "at least",
        parts=found.show("us a request", 1e6),
    )
