"""Several processes on one account and one Redis, to which something happens: what a service sees of them.

python -m benchmarks.fleet FLAVOUR URL_OF_THE_SERVICE URL_OF_REDIS PROCESSES LIMIT WINDOW
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from typing import Any

import redis
from attrs import frozen

from smscode import AsyncClient, Client, RateLimits, SmscodeError, Timeouts

FLAVOURS = ("async", "sync")
_TASKS = 20
_ANSWER_BODY = b'{"success":true,"data":{"currency":"IDR","balance":5}}'
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(_ANSWER_BODY), _ANSWER_BODY)
_LATENCY = 0.05


@frozen
class Sight:
    """What the service saw, and how often the processes went to Redis for each request."""

    arrivals: list[float]
    used: float
    visits: float


class _Service(asyncio.Protocol):
    """Answers every request a moment later, and notes when it came."""

    def __init__(self, arrivals: list[float]) -> None:
        self._arrivals = arrivals
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._arrivals.append(self._loop.time())
        self._loop.call_later(_LATENCY, self._transport.write, _ANSWER)


async def watch(
    redis_url: str,
    count: int,
    limit: int,
    window: float,
    seconds: float,
    happens_at: float,
    event: Callable[[], None] | None = None,
    visited: str | None = None,
) -> Sight:
    """Run so many processes that send all they may, and an event in between, else kill one of them.

    ``visited`` is the URL of the Redis that was visited at the end, where ``redis_url`` is that of others.
    """
    arrivals: list[float] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Service(arrivals), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    command = [sys.executable, "-m", "benchmarks.fleet"]
    account = [f"http://127.0.0.1:{port}", redis_url, str(count), str(limit), str(window)]
    processes = [
        await asyncio.create_subprocess_exec(*command, flavour, *account, stderr=subprocess.DEVNULL)
        for flavour in islice(cycle(FLAVOURS), count)
    ]
    try:
        while not arrivals:  # noqa: ASYNC110  # they need a moment to start
            await asyncio.sleep(0.01)
        began = arrivals[0]
        await asyncio.sleep(happens_at)
        (event or processes[0].kill)()
        await asyncio.sleep(began + seconds - loop.time())
        seen = [arrival for arrival in arrivals if arrival <= began + seconds]
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
            await process.wait()
        server.close()
    client: Any = redis.Redis  # its types are not complete
    with client.from_url(visited or redis_url) as connection:
        visits: int = connection.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0)
    # From one request to the one as many limits later: a part of a cycle would make it look better or worse.
    cycles = (len(seen) - 1) // limit
    took = seen[cycles * limit] - seen[0]
    used = cycles * (window + _LATENCY) / took if cycles else 0.0
    return Sight(seen, used, visits / len(seen))


def _options(url: str, redis_url: str, count: int, limit: int, window: float) -> dict[str, Any]:
    limits = RateLimits(balance=limit, window=window, redis=redis_url, redis_fallback=1 / count)
    timeouts = Timeouts(total=2.0, create=2.0)
    return {"base_url": url, "api_version": "v1", "rate_limits": limits, "timeout": timeouts}


def saturate_by_threads(options: dict[str, Any]) -> None:
    """Send all that the limit lets through, until killed."""
    with Client("token", **options) as client, ThreadPoolExecutor(_TASKS) as threads:

        def task() -> None:
            while True:
                try:
                    client.balance(timeout=1000.0)
                except SmscodeError:  # the service has ended
                    return

        for _ in range(_TASKS):
            threads.submit(task)


async def saturate(options: dict[str, Any]) -> None:
    """Send all that the limit lets through, until killed."""
    async with AsyncClient("token", **options) as client:

        async def task() -> None:
            while True:
                try:
                    await client.balance(timeout=1000.0)
                except SmscodeError:  # the service has ended
                    return

        async with asyncio.TaskGroup() as tasks:
            for _ in range(_TASKS):
                tasks.create_task(task())


def main(arguments: Sequence[str]) -> None:
    """Run one of the processes."""
    flavour, url, redis_url, count, limit, window = arguments
    options = _options(url, redis_url, int(count), int(limit), float(window))
    if flavour == "sync":
        saturate_by_threads(options)
    else:
        asyncio.run(saturate(options))


if __name__ == "__main__":
    main(sys.argv[1:])
