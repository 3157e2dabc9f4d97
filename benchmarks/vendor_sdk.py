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
from typing import Any


async def reads(client: Any, count: int) -> float:
    """Read an order so often; give the seconds of CPU for each."""
    began = time.process_time()
    for _ in range(count):
        await client.orders.get(70_414)
    return (time.process_time() - began) / count


async def creates(client: Any, tasks: int) -> float:
    """Buy with so many tasks at once; give the seconds of CPU for each purchase."""
    await asyncio.gather(*(client.orders.get(70_414) for _ in range(min(tasks, 100))))
    began = time.process_time()
    await asyncio.gather(*(client.orders.create(catalog_product_id=412) for _ in range(tasks)))
    return (time.process_time() - began) / tasks


async def main(url: str) -> None:
    """Answer line by line, until there are none."""
    vendor: Any = importlib.import_module("smscode")
    async with vendor.AsyncSmscodeClient(token="benchmark-token", base_url=url) as client:
        while line := sys.stdin.readline():
            what, *arguments = json.loads(line)
            print(
                json.dumps(await {"reads": reads, "creates": creates}[what](client, *arguments)), flush=True
            )


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
