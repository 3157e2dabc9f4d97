"""Leaving `orders.changes`, however and whenever: nothing is left behind, and the others go on."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing, asynccontextmanager, closing
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from smscode import AsyncClient, Client, OrderChange
from smscode.sandbox import Sandbox
from smscode.webhooks import OtpReceived


def leftovers(client: AsyncClient | Client) -> list[object]:
    poll = client._ordering.waits._shared_poll
    kept = (poll._participants, poll._reading, poll._absent, poll._known.live, poll._leader)
    return [each for each in kept if each]


async def soon(condition: Callable[[], object]) -> None:
    with anyio.fail_after(10):
        while not condition():
            await anyio.sleep(0.001)


@asynccontextmanager
async def on_sandbox(interval: float) -> AsyncGenerator[tuple[Sandbox, AsyncClient, list[int]]]:
    sandbox = Sandbox(otp_after=None, rate_limits=False)
    async with AsyncClient(
        sandbox.token, transport=sandbox.transport(), poll_interval=interval, rate_limits=None
    ) as client:
        created = await client.orders.create(catalog_product_id=87, quantity=3)
        yield sandbox, client, [order.id for order in created]


async def follow(client: AsyncClient, seen: list[OrderChange], pause: float = 0.0) -> None:
    async with aclosing(client.orders.changes()) as changes:
        async for change in changes:
            seen.append(change)
            await anyio.sleep(pause)


@pytest.mark.asyncio
@pytest.mark.parametrize("pause", [0.0, 0.002])
async def test_a_task_that_is_cancelled_at_any_step_leaves_nothing_behind(pause: float) -> None:
    async with on_sandbox(1e-9) as (_, client, _):
        seen: list[OrderChange] = []
        for steps in range(60):
            seen.clear()
            task = asyncio.create_task(follow(client, seen, pause))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert leftovers(client) == []
        assert seen, "the later ones had begun"


@pytest.mark.anyio
async def test_a_scope_that_is_cancelled_at_any_step_hands_the_lead_over() -> None:
    async with on_sandbox(0.001) as (sandbox, client, ids):
        others: list[OrderChange] = []
        left: list[OrderChange] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow, client, others)
            for steps in range(40):
                with anyio.CancelScope() as scope:
                    async with anyio.create_task_group() as inner:
                        inner.start_soon(follow, client, left)
                        for _ in range(steps):
                            await anyio.lowlevel.checkpoint()
                        scope.cancel()
                assert len(client._ordering.waits._shared_poll._participants) <= 1
            await soon(lambda: len(others) == 3)
            for count, order_id in enumerate(ids):
                sandbox.deliver_sms(order_id)
                await soon(lambda: len(others) == 4 + count)  # noqa: B023
            tasks.cancel_scope.cancel()
        assert leftovers(client) == []


@pytest.mark.anyio
async def test_leaders_that_are_cancelled_as_soon_as_they_lead_cost_no_poll() -> None:
    async with on_sandbox(3600) as (sandbox, client, ids):
        poll = client._ordering.waits._shared_poll
        last: list[OrderChange] = []
        async with anyio.create_task_group() as tasks:
            scopes: list[anyio.CancelScope] = []

            async def lead_and_go(scope: anyio.CancelScope) -> None:
                with scope:
                    await follow(client, [])

            for _ in range(100):
                scopes.append(anyio.CancelScope())
                tasks.start_soon(lead_and_go, scopes[-1])
                await soon(lambda: len(poll._participants) == len(scopes))
            tasks.start_soon(follow, client, last)
            await soon(lambda: len(poll._participants) == 101 and sandbox.requests["GET /orders/active"])
            while scopes:
                scopes.pop(0).cancel()
                await soon(lambda: len(poll._participants) == len(scopes) + 1)
            await soon(lambda: poll._leader in poll._participants)
            assert sandbox.requests["GET /orders/active"] == 1
            client.notify(OtpReceived(order_id=ids[0], otp_code="1", sms_revision=1))
            await soon(lambda: len(last) == 1)
            tasks.cancel_scope.cancel()
        assert leftovers(client) == []


@pytest.mark.asyncio
async def test_a_forgotten_generator_leaves_the_poll_when_it_is_collected() -> None:
    async with on_sandbox(3600) as (_, client, _):
        changes = client.orders.changes()
        async for _ in changes:
            break
        assert leftovers(client)
        del changes
        gc.collect()
        await soon(lambda: not leftovers(client))


class Hanging(httpx.AsyncBaseTransport):
    """A sandbox whose list of active orders comes never, after the first time."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._inner = sandbox.transport()
        self.asked = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/active"):
            self.asked += 1
            if self.asked > 1:
                await anyio.sleep_forever()
        return await self._inner.handle_async_request(request)


@pytest.mark.anyio
@pytest.mark.parametrize("in_thread", [False, True])
async def test_a_webhook_is_shown_although_the_own_poll_hangs(in_thread: bool) -> None:
    sandbox = Sandbox(otp_after=None)
    transport = Hanging(sandbox)
    async with AsyncClient(sandbox.token, transport=transport, poll_interval=0.001) as client:
        order_id = (await client.orders.create(catalog_product_id=87))[0].id
        seen: list[OrderChange] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow, client, seen)
            await soon(lambda: transport.asked == 2)
            event = OtpReceived(order_id=order_id, otp_code="1", sms_revision=1)
            if in_thread:
                await anyio.to_thread.run_sync(client.notify, event)
            else:
                client.notify(event)
            await soon(lambda: len(seen) == 2)
            await soon(lambda: transport.asked == 3)
            tasks.cancel_scope.cancel()
        assert leftovers(client) == []


# -- threads ---------------------------------------------------------------------------------------


@pytest.fixture
def threaded() -> Generator[tuple[Sandbox, Client, list[int]]]:
    sandbox = Sandbox(otp_after=None, rate_limits=False, balance=10**9)
    with Client(sandbox.token, transport=sandbox.transport(), poll_interval=0.01, rate_limits=None) as client:
        created = client.orders.create(catalog_product_id=87, quantity=5)
        yield sandbox, client, [order.id for order in created]


def until(condition: Callable[[], object]) -> None:
    give_up = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up, "it never came to that"
        time.sleep(0.001)


def test_threads_share_the_poll_and_every_one_sees_every_change(threaded: Any) -> None:
    sandbox, client, ids = threaded
    seen: list[list[OrderChange]] = [[] for _ in range(5)]
    codes: list[str] = []

    def read(changes: list[OrderChange]) -> None:
        with closing(client.orders.changes(timeout=60)) as found:
            for change in found:
                changes.append(change)
                if sum(one.ended for one in changes) == len(ids):
                    return

    def wait(order_id: int) -> None:
        codes.append(client.orders.wait_for_otp(order_id, timeout=60).code)

    threads = [threading.Thread(target=read, args=(one,)) for one in seen]
    threads += [threading.Thread(target=wait, args=(order_id,)) for order_id in ids]
    for thread in threads:
        thread.start()
    until(lambda: all(len(changes) == len(ids) for changes in seen))
    for order_id in ids:
        sandbox.deliver_sms(order_id)
    until(lambda: len(codes) == len(ids))
    for order_id in ids:
        client.orders.finish(order_id)
    for thread in threads:
        thread.join(20)
    assert leftovers(client) == []
    for changes in seen:
        assert sorted(one.order_id for one in changes if one.ended) == sorted(ids)
        found = [one.sms.code for one in changes if one.sms is not None]
        assert sorted(code for code in found if code) == sorted(codes)


@pytest.mark.parametrize("how", ["close", "forget", "cycle", "raise"])
def test_a_loop_that_is_left_in_a_thread_leaves_nothing_behind(threaded: Any, how: str) -> None:
    _, client, _ = threaded
    changes: Any = client.orders.changes()
    for change in changes:
        assert change.status == "ACTIVE"
        break
    assert leftovers(client)
    if how == "close":
        changes.close()
    elif how == "raise":
        with pytest.raises(ZeroDivisionError):
            changes.throw(ZeroDivisionError)
    elif how == "cycle":
        cycle: list[object] = [changes]
        cycle.append(cycle)
        del cycle, changes
        gc.collect()
    else:
        del changes
    assert leftovers(client) == []
