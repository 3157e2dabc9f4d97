"""A program that buys with a journal and is killed, again and again; then it takes up what it left.

It forks a child per run, so that imports are paid for once, and kills it (SIGKILL) at a random time:
mostly after it began to buy, sometimes before. Every child first recovers what the last one left,
then buys. The last two children only recover, and are not killed. What a child is told goes to a
file, line by line.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import select
import signal
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import pytest

from smscode import AsyncClient, Client
from smscode.journal import SQLiteJournal
from tests import stacks
from tests.faults.flavours import Plan

_WORKERS = 8
_LONGEST_LIFE = 20.0
_BUYING, _STARTING = 0.15, 0.05  # killed within so many seconds after it began to buy, or to live
_NUMBERS = 1_000


class Diary:
    """Writes what happens to a file; each line is one write, so that a kill cannot tear it."""

    def __init__(self, path: str) -> None:
        self.begun = -1
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, what: str, **facts: Any) -> None:
        """Write a line of JSON."""
        os.write(self._file, (json.dumps({"what": what, **facts}) + "\n").encode())

    def recovered(self, result: object) -> None:
        """Write down what was recovered, and report to the parent that buying begins."""
        self.write("recovered", result=repr(result)[:2000])
        if self.begun >= 0:
            os.write(self.begun, b".")

    def bought(self, result: Any) -> None:
        """Write down a purchase that was returned."""
        self.write("bought", key=result.idempotency_key, orders=[order.id for order in result.orders])


def options(base_url: str, journal: str) -> dict[str, Any]:
    """Return the arguments of a client with a journal."""
    plan = Plan((), connections=_WORKERS, read=0.3, total=15.0, base=0.01, cap=0.1)
    return {**plan.options(base_url), "journal": SQLiteJournal(journal)}


async def buy_in_tasks(settings: dict[str, Any], run: int, count: int, diary: Diary) -> None:
    """Recover, then buy ``count`` numbers, or until killed."""
    async with AsyncClient(**settings) as any_client:
        client: Any = any_client
        diary.recovered(await client.orders.recover())
        left = iter(range(count))

        async def work() -> None:
            for number in left:
                diary.bought(await client.orders.submit(intent_of(client, run, number)))

        async with anyio.create_task_group() as tasks:
            for _ in range(_WORKERS):
                tasks.start_soon(work)
        diary.write("end", unresolved=len(client.orders.unresolved()))


def buy_in_threads(settings: dict[str, Any], run: int, count: int, diary: Diary) -> None:
    """Recover, then buy ``count`` numbers, or until killed."""
    with Client(**settings) as any_client:
        client: Any = any_client
        diary.recovered(client.orders.recover())

        def buy(number: int) -> None:
            diary.bought(client.orders.submit(intent_of(client, run, number)))

        in_threads(buy, count)
        diary.write("end", unresolved=len(client.orders.unresolved()))


def in_threads(function: Callable[[int], None], count: int) -> None:
    """Call a function with 0..count-1, in so many threads."""
    with ThreadPoolExecutor(_WORKERS) as threads:
        list(threads.map(function, range(count)))


def intent_of(client: Any, run: int, number: int) -> Any:
    """Prepare the purchase with this number in this run."""
    return client.orders.prepare(catalog_product_id=412, prefer_provider=f"r{run:04}-{number:04}")


def child(given: argparse.Namespace, run: int, count: int, begun: int = -1) -> None:
    """Live one life, in the forked process."""
    signal.alarm(int(_LONGEST_LIFE))
    diary = Diary(given.diary)
    diary.begun = begun
    try:
        settings = options(given.base_url, given.journal)
        if given.flavour == "threads":
            buy_in_threads(settings, run, count, diary)
        else:
            anyio.run(buy_in_tasks, settings, run, count, diary, backend=given.flavour)
    except BaseException:
        diary.write("error", run=run, text=traceback.format_exc()[-1500:])
    finally:
        os._exit(0)


def main() -> None:
    """Fork, wait, kill; at the end print how many were killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--base-url", "--journal", "--diary", "--flavour"):
        parser.add_argument(name, required=True)
    for name in ("--kills", "--seed"):
        parser.add_argument(name, type=int, required=True)
    given = parser.parse_args()
    stacks.use_everywhere(pytest.MonkeyPatch())
    if given.flavour != "threads":
        anyio.run(anyio.sleep, 0, backend=given.flavour)  # imports what a child would have to
    dice, killed, run = random.Random(given.seed), 0, 0
    while killed < given.kills and run < 2 * given.kills + 5:
        run += 1
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            child(given, run, _NUMBERS, writing)
        os.close(writing)
        if dice.random() < 0.8:
            select.select([reading], [], [], _LONGEST_LIFE)
            time.sleep(dice.random() * _BUYING)
        else:
            time.sleep(dice.random() * _STARTING)
        os.close(reading)
        os.kill(pid, signal.SIGKILL)
        killed += os.WIFSIGNALED(os.waitpid(pid, 0)[1])
    for last in (1, 2):
        pid = os.fork()
        if pid == 0:
            child(given, run + last, 0)
        os.waitpid(pid, 0)
    print(json.dumps({"killed": killed, "runs": run}))


if __name__ == "__main__":
    main()
