"""What a first call costs: to start Python, import, make a client, and get one answer."""

from __future__ import annotations

import gc
import json
import os
import resource
import ssl
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial

import httpx

from smscode import AsyncClient

from .measure import interleave
from .one import NOT_NEEDED
from .server import running
from .suite import Figure, Setup

TOKEN = "a-token-of-benchmarks"
MONEY = {"amount": "61.54", "currency": "USD", "canonical_amount": 1_000_000, "canonical_currency": "IDR"}
FX = {"pair": "USD/IDR", "rate": 16_250, "rate_as_of": "2026-06-14T04:00:00Z"}
BODY = json.dumps(
    {"success": True, "data": {"currency": "USD", "balance": MONEY}, "meta": {"fx": FX}}
).encode()
CLIENTS = 50

OURS = """
import asyncio
from smscode import AsyncClient
async def main():
    async with AsyncClient({arguments}) as client:
        print((await client.balance()).balance.canonical_amount)
asyncio.run(main())
"""
THEIRS = """
import asyncio, attrs, httpx
@attrs.frozen
class Balance:
    amount: str
    currency: str
    canonical_amount: int
    canonical_currency: str
async def main():
    headers = {{"authorization": "Bearer {token}"}}
    async with httpx.AsyncClient(headers=headers, {arguments}) as client:
        answer = (await client.get("{url}/v2/balance")).json()
        print(Balance(**answer["data"]["balance"]).canonical_amount)
asyncio.run(main())
"""
MOCK = f"transport=httpx.MockTransport(lambda request: httpx.Response(200, content={BODY!r}))"


def programs(url: str) -> dict[str, str]:
    """Return the programs, by name; those that need a server ask at ``url``."""
    return {
        "this, from a mock transport": "import httpx" + OURS.format(arguments=f"{TOKEN!r}, {MOCK}"),
        "httpx and attrs, from a mock transport": THEIRS.format(
            token=TOKEN, url="http://mock", arguments=MOCK
        ),
        "this, over loopback": OURS.format(arguments=f"{TOKEN!r}, base_url={url!r}"),
        "httpx and attrs, over loopback": THEIRS.format(token=TOKEN, url=url, arguments=""),
        "nothing": "print(1_000_000)",
    }


def start(program: str) -> float:
    """Start Python for a program; return the seconds of CPU."""
    without = f"import sys; sys.modules.update(dict.fromkeys({NOT_NEEDED!r}))\n"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    # With bytecode, as an installed package has it.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    command = [sys.executable, "-c", without + program]
    done = subprocess.run(command, check=True, capture_output=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.stdout.split() == [b"1000000"], done.stdout
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def memory(make: Callable[[], object]) -> float:
    """Return the bytes that one more client takes; what OpenSSL has of its own is not in them."""
    make()
    gc.collect()
    tracemalloc.start()
    try:
        kept = [make() for _ in range(CLIENTS)]
        gc.collect()
        return tracemalloc.get_traced_memory()[0] / len(kept)
    finally:
        tracemalloc.stop()


def run(setup: Setup) -> Iterator[Figure]:
    """Compare with what the package stands on, doing the same."""
    rounds = setup.pick(21, 7, 1)
    with running({"GET /v2/balance": BODY}) as url:
        found = interleave({name: partial(start, text) for name, text in programs(url).items()}, rounds)
    parts = found.show("ms", 1e3)
    for how, goal in (("over loopback", 1.15), ("from a mock transport", 1.8)):
        yield Figure(
            f"import, client and first answer {how} / the same with httpx and attrs",
            found.ratio(f"this, {how}", f"httpx and attrs, {how}"),
            goal,
            parts=parts,
        )
        parts = {}
    context = ssl.create_default_context()
    sizes = {
        "this": memory(lambda: AsyncClient(TOKEN)),
        "httpx": memory(lambda: httpx.AsyncClient(verify=context)),
    }
    shown = {name: f"{size / 1024:,.1f} KiB" for name, size in sizes.items()}
    yield Figure("memory of a client / of an httpx client", sizes["this"] / sizes["httpx"], 1.3, parts=shown)
