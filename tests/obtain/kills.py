"""A process that obtains a code is killed anywhere; the next one repeats the call with the same key."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio

from smscode import AsyncClient, Client, CodeNotObtainedError, Order, OrderStatus
from tests.obtain.flavours import Flavour
from tests.obtain.rows import Row

ARGUMENTS: dict[str, Any] = {
    "service": "whatsapp",
    "country": ["indonesia", "vietnam"],
    "budget": "9.00",
    "tries": 3,
    "wait": 0.6,
    "release_timeout": 5.0,
}
_ROOT = Path(__file__).resolve().parents[2]
_LONGEST = 30  # seconds of a process that is killed


def kills(flavour: Flavour, count: int, seed: int) -> Row:
    """Kill so many processes, each after some events of its client, and repeat what each did."""
    row, began = Row("kills", flavour, count), time.monotonic()
    chance = random.Random(f"kills {seed}")
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder, _server(seed) as (url, token):
        for number in range(count):
            journal, key = Path(folder, f"{number}.db"), f"sale-{number}"
            options: dict[str, Any] = {"token": token, "base_url": url, "journal": journal}
            options |= {"poll_interval": 0.05, "rate_limits": None}
            first = len(_orders(url, token))
            killed = _killed_after(chance.randint(1, 45), flavour, options, key)
            bought = _orders(url, token)[first:]
            had_code = any(order.otp_code is not None for order in bought)
            code = _obtain(flavour, options, key)
            after = _orders(url, token)[first:]
            row.ends["killed" if killed else "ended before"] += 1
            row.ends["with a code" if had_code else "without a code"] += 1
            row.ends["more numbers"] += len(after) - len(bought)
            row.broken += [f"{law} in kill {number}" for law in _judge(bought, after, had_code, code)]
    row.seconds = time.monotonic() - began
    return row


def _judge(bought: list[Order], after: list[Order], had_code: bool, code: str | None) -> list[str]:
    broken: list[str] = []
    if len(after) > ARGUMENTS["tries"]:
        broken.append("tries")
    if had_code and len(after) > len(bought):
        broken.append("twice")
    if had_code and code not in [order.otp_code for order in bought]:
        broken.append("thrown")
    if code is not None and code not in [order.otp_code for order in after]:
        broken.append("code")
    if any(order.status is OrderStatus.ACTIVE for order in after):
        broken.append("left")
    return broken


def _orders(url: str, token: str) -> list[Order]:
    """Return all orders, oldest first, by a client that knows nothing of what was bought."""
    with Client(token, base_url=url, rate_limits=None) as client:
        return list(client.orders.iter())[::-1]


def _killed_after(events: int, flavour: Flavour, options: dict[str, Any], key: str) -> bool:
    """Obtain in a process that kills itself at an event; return False if it had ended before."""
    process = os.fork()
    if process == 0:
        status = 1
        try:
            signal.alarm(_LONGEST)
            left = [events]

            def count(event: object) -> None:
                left[0] -= 1
                if left[0] <= 0:
                    os.kill(os.getpid(), signal.SIGKILL)

            _obtain(flavour, options | {"on_event": count}, key)
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(process, 0)
    return os.WIFSIGNALED(status)


def _obtain(flavour: Flavour, options: dict[str, Any], key: str) -> str | None:
    """Return the code, None if there is none."""
    if flavour == "threads":
        with Client(**options) as client, contextlib.suppress(CodeNotObtainedError):
            return client.orders.obtain(lambda rental: None, **ARGUMENTS, idempotency_key=key).code
        return None
    return anyio.run(_obtain_in_task, options, key, backend=flavour)


async def _obtain_in_task(options: dict[str, Any], key: str) -> str | None:
    async def enter(rental: object) -> None:
        """Do nothing with the number."""

    async with AsyncClient(**options) as client:
        with contextlib.suppress(CodeNotObtainedError):
            return (await client.orders.obtain(enter, **ARGUMENTS, idempotency_key=key)).code
    return None


@contextmanager
def _server(seed: int) -> Generator[tuple[str, str]]:
    command = [sys.executable, "-m", "tests.obtain.server", str(seed)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        url, token = process.stdout.readline().split()
        yield url, token
    finally:
        process.stdin.close()
        process.wait(20)
        process.stdout.close()
