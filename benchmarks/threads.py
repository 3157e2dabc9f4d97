"""What the synchronous client costs: one call after the other, and by 32 threads at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial

import httpx

from smscode import Client

from . import answers, callers
from .measure import Contestant, interleave
from .server import running
from .suite import Figure, Setup

THREADS = 32

Opener = Callable[[str], AbstractContextManager[Callable[[], object]]]


@contextmanager
def this(url: str) -> Generator[Callable[[], object]]:
    """Open this package's client with its default options, and yield a function that reads an order."""
    with Client(callers.token(), base_url=url) as client:
        yield partial(client.orders.get, answers.ORDER_ID)


@contextmanager
def bare_httpx(url: str) -> Generator[Callable[[], object]]:
    """Open a bare httpx client with as many connections and no time-outs."""
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=100, keepalive_expiry=None)
    headers = {"authorization": f"Bearer {callers.TOKEN}", "accept": "application/json"}
    with httpx.Client(base_url=url, headers=headers, limits=limits, timeout=None) as client:

        def read() -> object:
            response = client.get(callers.READ)
            response.raise_for_status()
            return response.json()["data"]

        yield read


def threaded(opener: Opener, url: str, threads: ThreadPoolExecutor, count: int) -> Contestant:
    """Make a contestant whose cost is the seconds for each of so many calls by all the threads.

    Each round has a new client, and so the whole rate limit; its connections are open when it begins.
    """

    def contestant() -> float:
        with opener(url) as read:

            def some(times: int) -> None:
                for _ in range(times):
                    read()

            list(threads.map(some, [1] * THREADS))
            began = time.perf_counter()
            list(threads.map(some, [count] * THREADS))
            return (time.perf_counter() - began) / THREADS / count

    return contestant


def sequential(opener: Opener, url: str, count: int) -> Contestant:
    """Make a contestant whose cost is the seconds of CPU for each of so many calls, one after the other."""

    def contestant() -> float:
        with opener(url) as read:
            read()
            began = time.process_time()
            for _ in range(count):
                read()
            return (time.process_time() - began) / count

    return contestant


def run(setup: Setup) -> Iterator[Figure]:
    """Compare the synchronous client with a bare one of httpx."""
    rounds, count, alone = setup.pick((11, 50, 400), (3, 20, 100), (1, 1, 3))
    with ExitStack() as stack:
        url = stack.enter_context(running({f"GET {callers.READ}": answers.order()}))
        threads = stack.enter_context(ThreadPoolExecutor(THREADS))
        openers: dict[str, Opener] = {"this": this, "httpx": bare_httpx}
        found = interleave(
            {name: threaded(opener, url, threads, count) for name, opener in openers.items()}, rounds
        )
        one_by_one = interleave(
            {name: sequential(opener, url, alone) for name, opener in openers.items()}, rounds
        )
    yield Figure(
        "requests per second with 32 threads / bare httpx.Client",
        found.ratio("httpx", "this"),
        1.0,
        "at least",
        parts=found.show("us a request", 1e6),
    )
    yield Figure(
        "CPU per sequential GET + decode in a thread / bare httpx.Client + json",
        one_by_one.ratio("this", "httpx"),
        0.65,
        parts=one_by_one.show("us", 1e6),
    )
