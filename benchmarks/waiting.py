"""Waiting for codes: how many requests it takes, how late the code comes, what a poll costs.

What depends on the clock only is measured in virtual time, with the sandbox for a service.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from statistics import median

import httpx

from smscode import AsyncClient, NotFoundError, OrderTerminalError, webhooks
from smscode.sandbox import Sandbox

from . import answers, callers
from .measure import Contestant, interleave
from .server import running
from .suite import Figure, Setup
from .vendor import Vendor
from .virtual import VirtualLoop

START = datetime(2026, 6, 14, 4, 0, 12, tzinfo=UTC)
INTERVAL = 3.0
ROUND_TRIP = 0.05
PRODUCT = 87


class _Far(httpx.AsyncBaseTransport):
    """A service so far away."""

    def __init__(self, service: httpx.AsyncBaseTransport, round_trip: float) -> None:
        self._service = service
        self._way = round_trip / 2

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(self._way)
        response = await self._service.handle_async_request(request)
        await asyncio.sleep(self._way)
        return response


def _service(**options: float | None) -> Sandbox:
    """Make a sandbox in the time of the event loop."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    return Sandbox(
        clock=lambda: START + timedelta(seconds=loop.time() - began),
        balance=10**12,
        rate_limits=False,
        abuse_guard=None,
        otp_after=None,
        lifetime=options.get("lifetime") or 1200.0,
    )


async def _rent(client: AsyncClient, count: int) -> list[int]:
    created = await client.orders.create_many(count, catalog_product_id=PRODUCT)
    return [order.id for order in created]


async def _polls(waits: int) -> tuple[int, int]:
    """Wait for the codes of so many orders until they expire after 60 s; return the lists and reads."""
    sandbox = _service(lifetime=60.0)
    transport: httpx.AsyncBaseTransport = sandbox.transport()
    async with AsyncClient(sandbox.token, transport=transport) as client:

        async def wait(order_id: int) -> None:
            try:
                await client.orders.wait_for_otp(order_id, timeout=600)
            except OrderTerminalError:
                return
            raise AssertionError("a code that nobody sent")

        ids = await _rent(client, waits)
        await asyncio.gather(*map(wait, ids))
    return sandbox.requests["GET /orders/active"], sandbox.requests["GET /orders/{id}"]


async def _delays(waits: int) -> list[float]:
    """Deliver messages over 20 intervals; return how long after its message each waiter ran."""
    loop = asyncio.get_running_loop()
    sandbox = _service()
    transport = _Far(sandbox.transport(), ROUND_TRIP)
    delays: list[float] = []
    async with AsyncClient(sandbox.token, transport=transport) as client:

        async def wait(order_id: int, visible: float) -> None:
            loop.call_at(visible, partial(sandbox.deliver_sms, order_id, code="123456"))
            await client.orders.wait_for_otp(order_id, timeout=600)
            delays.append(loop.time() - visible)

        ids = await _rent(client, waits)
        began = loop.time()
        step = 20 * INTERVAL / waits
        await asyncio.gather(*(wait(one, began + n * step) for n, one in enumerate(ids)))
    return delays


async def _cancelled(waits: int) -> tuple[int, int]:
    """Cancel every wait as soon as it leads, but the last; count lists, and waits that missed their code.

    The code comes at the end, and is to be found by the one poll that is due by then.
    """
    sandbox = _service()
    transport: httpx.AsyncBaseTransport = sandbox.transport()
    async with AsyncClient(sandbox.token, transport=transport) as client:
        order_id = (await _rent(client, 1))[0]
        tasks = [
            asyncio.create_task(client.orders.wait_for_otp(order_id, timeout=60)) for _ in range(waits + 1)
        ]
        await asyncio.sleep(INTERVAL / 2)  # all wait by then, and the first poll is over
        for task in tasks[:-1]:
            task.cancel()
            await asyncio.wait([task])
        sandbox.deliver_sms(order_id, code="123456")
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(end, asyncio.CancelledError) for end in ends) == waits
    return sandbox.requests["GET /orders/active"], int(isinstance(ends[-1], BaseException))


async def _unknown(waits: int) -> int:
    """Wait for as many orders that are there as for others; count the ends that are not their own."""
    sandbox = _service()
    transport: httpx.AsyncBaseTransport = sandbox.transport()
    async with AsyncClient(sandbox.token, transport=transport) as client:
        ids = await _rent(client, waits)
        for order_id in ids:
            sandbox.deliver_sms(order_id, code=f"{order_id:06}")
        wrong = 0
        strangers = [max(ids) + number for number in range(1, waits + 1)]
        async for outcome in client.orders.otps([*ids, *strangers], timeout=60):
            if outcome.order_id in ids:
                right = outcome.sms is not None and outcome.sms.code == f"{outcome.order_id:06}"
            else:
                right = isinstance(outcome.error, NotFoundError)
            wrong += not right
    return wrong


def _event(order_id: int) -> webhooks.OtpReceived:
    return webhooks.OtpReceived(
        timestamp=START,
        order_id=order_id,
        phone_number="+6281234567890",
        otp_code="123456",
        otp_message="Your code is 123456",
        product_id=142,
        catalog_product_id=PRODUCT,
        country="Indonesia",
        platform="WhatsApp",
        sms_revision=1,
    )


async def _notified(waits: int) -> list[float]:
    """Deliver the codes of as many waits, one after the other; return how long after that each ran."""
    sandbox = _service()
    transport: httpx.AsyncBaseTransport = sandbox.transport()
    delays: list[float] = []
    told = 0.0
    async with AsyncClient(sandbox.token, transport=transport, poll_interval=3600) as client:

        async def wait(order_id: int) -> None:
            await client.orders.wait_for_otp(order_id, timeout=600)
            delays.append(time.perf_counter() - told)

        tasks = {one: asyncio.create_task(wait(one)) for one in await _rent(client, waits)}
        await asyncio.sleep(0.1)  # all wait by then, and the first poll is over
        for order_id, task in tasks.items():
            told = time.perf_counter()
            client.notify(_event(order_id))
            await task
    return delays


def _poll(url: str, waits: int, runner: asyncio.Runner) -> Contestant:
    """Make a contestant that polls for many waits, by one more wait that only looks."""

    async def look() -> float:
        async with AsyncClient(callers.token(), base_url=url, poll_interval=3600) as client:
            ids = range(1, waits + 1)
            tasks = [asyncio.create_task(client.orders.wait_for_otp(one, timeout=600)) for one in ids]
            outcomes: list[float] = []
            await asyncio.sleep(0.2)
            for _ in range(5):
                began = time.process_time()
                async for outcome in client.orders.otps([1], timeout=0):
                    assert outcome.sms is None
                outcomes.append(time.process_time() - began)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return median(outcomes)

    return lambda: runner.run(look())


def run(setup: Setup) -> Iterator[Figure]:
    """Show that a thousand waits cost what one costs."""
    yield from _requests(setup, setup.pick((1, 100, 1000), (1, 100, 1000), (1, 3, 5)))
    waits = setup.pick(1000, 1000, 10)
    with asyncio.Runner(loop_factory=VirtualLoop) as virtual:
        lists, missed = virtual.run(_cancelled(waits))
        yield Figure(f"list requests, {waits} waits cancelled as they lead before a code comes", lists, 2)
        yield Figure("waits that missed their code by that", missed, 0)
        wrong = virtual.run(_unknown(waits))
        yield Figure(f"wrong ends of {waits} waits for orders of others, beside as many others", wrong, 0)
        delay = median(virtual.run(_delays(waits)))
    yield Figure(
        f"median delay of a code, {waits} waits, polled every {INTERVAL:g} s over {ROUND_TRIP:g} s",
        delay,
        INTERVAL / 2 + ROUND_TRIP,
        unit="s",
    )
    with asyncio.Runner() as runner:
        delay = median(runner.run(_notified(waits))) * 1e3
        yield Figure(f"median delay of a code by notify, {waits} waits", delay, 1.0, unit="ms")
        with running({"GET /v2/orders/active": answers.active(waits)}) as url:
            found = interleave({"this": _poll(url, waits, runner)}, setup.pick(5, 2, 1))
        cost = found.median("this") * 1e3
        yield Figure(f"CPU of a poll with {waits} active orders and waiters", cost, 10.0, unit="ms")


def _requests(setup: Setup, sizes: Sequence[int]) -> Iterator[Figure]:
    """Count the requests of 60 s, at whose end the orders expire."""
    with asyncio.Runner(loop_factory=VirtualLoop) as virtual:
        counts = {waits: virtual.run(_polls(waits)) for waits in sizes}
    vendors: dict[int, int] = {}
    if setup.vendor:
        with Vendor(setup.vendor, "http://127.0.0.1:9") as sdk:
            vendors = {waits: sdk.ask("polls", waits) for waits in sizes}
    expected = math.floor(60 / INTERVAL) + 1
    for waits, (lists, reads) in counts.items():
        parts = {"reads of orders that left the list": f"{reads} of at most {waits}"}
        if waits in vendors:
            parts["vendor's SDK"] = f"{vendors[waits]:,} requests"
        yield Figure(f"list requests in 60 s, {waits} waits", lists, expected, parts=parts)
        yield Figure(f"reads for each order that left the list, {waits} waits", reads / waits, 1.0)
