"""Does what it is told with the vendor's own SDK, in that SDK's environment, and says what it cost.

    python -I benchmarks/vendor_sdk.py URL

Each line of its input is a JSON array of what to do and arguments; each line of its output the answer.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any


async def reads(client: Any, count: int) -> float:
    """Read an order so often; return the seconds of CPU for each."""
    began = time.process_time()
    for _ in range(count):
        await client.orders.get(70_414)
    return (time.process_time() - began) / count


async def creates(client: Any, tasks: int) -> float:
    """Buy with so many tasks at once; return the seconds of CPU for each purchase."""
    await asyncio.gather(*(client.orders.get(70_414) for _ in range(min(tasks, 100))))
    began = time.process_time()
    await asyncio.gather(*(client.orders.create(catalog_product_id=412) for _ in range(tasks)))
    return (time.process_time() - began) / tasks


def polls(waits: int) -> int:
    """Wait for so many orders until they expire after 60 s of virtual time; return the requests."""
    sys.path.append(str(Path(__file__).parent))
    loop = importlib.import_module("virtual").VirtualLoop()
    httpx: Any = importlib.import_module("httpx")
    vendor: Any = importlib.import_module("smscode")
    began = loop.time()
    requests = 0

    def answer(request: Any) -> Any:
        nonlocal requests
        requests += 1
        order = {
            "id": int(request.url.path.rpartition("/")[2]),
            "status": "ACTIVE" if loop.time() - began < 60 else "EXPIRED",
            "amount": {"amount": "1", "currency": "USD", "canonical_amount": 1, "canonical_currency": "IDR"},
            "otp_code": None,
        }
        fx = {"pair": "USD/IDR", "rate": 16420, "rate_as_of": "2026-06-14T03:15:00+00:00"}
        return httpx.Response(200, json={"success": True, "data": order, "meta": {"fx": fx}})

    async def wait_for_all() -> None:
        transport = httpx.MockTransport(answer)
        async with vendor.AsyncSmscodeClient(token="benchmark-token", transport=transport) as client:
            waiting = (client.orders.wait_for_otp(one, timeout_ms=600_000) for one in range(1, waits + 1))
            ends = await asyncio.gather(*waiting, return_exceptions=True)
            assert all(isinstance(end, vendor.OrderTerminalError) for end in ends), ends[0]

    loop.run_until_complete(wait_for_all())
    loop.close()
    return requests


async def decodes(client: Any, version: int, rows: int) -> float:
    """Decode a page of products of the server's; return the seconds of CPU."""
    httpx: Any = importlib.import_module("httpx")
    catalog: Any = importlib.import_module("smscode.resources.catalog")
    decoding: Any = importlib.import_module("smscode._decode")
    body = httpx.get(f"{sys.argv[1]}/v{version}/catalog/products?limit={rows}").content
    answer = httpx.Response(200, content=body)
    began = time.process_time()
    page = {1: catalog._decode_v1_products, 2: catalog._decode_v2_products}[version](
        decoding.decode_response(answer)
    )
    took = time.process_time() - began
    assert len(page.products) == rows
    return took


async def main(url: str) -> None:
    """Answer line by line, until there are none."""
    vendor: Any = importlib.import_module("smscode")
    async with vendor.AsyncSmscodeClient(token="benchmark-token", base_url=url) as client:
        while line := sys.stdin.readline():
            what, *arguments = json.loads(line)
            if what == "polls":  # on a loop of its own
                answer: float = await asyncio.to_thread(polls, *arguments)
            else:
                asked: dict[str, Any] = {"reads": reads, "creates": creates, "decodes": decodes}
                answer = await asked[what](client, *arguments)
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
