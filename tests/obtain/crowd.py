"""Many calls of `orders.obtain` at once, on one client that keeps to the documented limits."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from typing import Any

import anyio

from smscode import AsyncClient, Client, CodeNotObtainedError
from smscode.sandbox import Sandbox
from tests.obtain.flavours import Flavour
from tests.obtain.rows import Row

INTERVAL = 0.25
ARGUMENTS: dict[str, Any] = {
    "service": "whatsapp",
    "country": ["indonesia", "vietnam"],
    "budget": "9.00",
    "tries": 4,
    "wait": 1.5,
    "release_timeout": 20.0,
}


def crowd(flavour: Flavour, count: int, seed: int) -> Row:
    """Obtain so many codes at once; the polls of all of them are those of one."""
    row = Row("crowd", flavour, count)
    sandbox = Sandbox(otp_after=0.7, cancel_after=0.0, seed=seed, balance=10**9, abuse_guard=None)
    sandbox.play("dead_numbers(0.2)")
    ends: Counter[str] = Counter()
    logging.disable(logging.WARNING)
    began = time.monotonic()
    if flavour == "threads":
        _in_threads(sandbox, count, ends)
    else:
        anyio.run(_in_tasks, sandbox, count, ends, backend=flavour)
    row.seconds = time.monotonic() - began
    row.ends = ends
    polls = sandbox.requests["GET /orders/active"]
    row.ends["polls"] = polls
    if polls > row.seconds / INTERVAL + 1:
        row.broken.append(f"polls: {polls} in {row.seconds:.1f} s")
    if sum(ends[end] for end in ("code", "no code")) != count:
        row.broken.append("told")
    orders = sandbox._app.world.orders.values()
    row.broken += ["left"] * sum(not order.status.terminal for order in orders)
    return row


async def _in_tasks(sandbox: Sandbox, count: int, ends: Counter[str]) -> None:
    async def enter(rental: Any) -> None:
        assert rental.phone_number

    async with AsyncClient(sandbox.token, transport=sandbox.transport(), poll_interval=INTERVAL) as client:

        async def obtain() -> None:
            try:
                await client.orders.obtain(enter, **ARGUMENTS)
                ends["code"] += 1
            except CodeNotObtainedError:
                ends["no code"] += 1

        async with anyio.create_task_group() as tasks:
            for _ in range(count):
                tasks.start_soon(obtain)


def _in_threads(sandbox: Sandbox, count: int, ends: Counter[str]) -> None:
    def enter(rental: Any) -> None:
        assert rental.phone_number

    lock = threading.Lock()
    with Client(sandbox.token, transport=sandbox.transport(), poll_interval=INTERVAL) as client:

        def obtain() -> None:
            try:
                client.orders.obtain(enter, **ARGUMENTS)
                end = "code"
            except CodeNotObtainedError:
                end = "no code"
            with lock:
                ends[end] += 1

        threads = [threading.Thread(target=obtain) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
