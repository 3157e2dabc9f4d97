"""A webhook ends the waits of an event loop at once, in any thread, whichever client polls."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import anyio
import httpx
import pytest

from smscode import AsyncClient, UnauthorizedError
from smscode.core.waiting.sms_wait import Waiter
from smscode.sandbox import Sandbox
from smscode.webhooks import OtpReceived

pytestmark = pytest.mark.anyio


def otp(order_id: int) -> OtpReceived:
    return OtpReceived(
        timestamp=datetime(2026, 6, 14, tzinfo=UTC),
        order_id=order_id,
        phone_number=None,
        otp_code=str(order_id),
        otp_message=None,
        product_id=1,
        catalog_product_id=None,
        country=None,
        platform=None,
    )


async def test_every_wait_ends_whichever_thread_hears_of_it() -> None:
    sandbox = Sandbox(otp_after=None)
    async with AsyncClient(sandbox.token, transport=sandbox.transport(), poll_interval=600) as client:
        created = await client.orders.create(catalog_product_id=87, quantity=50)
        codes: list[str | None] = []

        async def wait(order_id: int) -> None:
            codes.append((await client.orders.wait_for_otp(order_id, timeout=60)).code)

        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                for order in created:
                    tasks.start_soon(wait, order.id)
                while not sandbox.requests["GET /orders/active"]:
                    await anyio.sleep(0.001)
                for order in created:
                    threading.Thread(target=client.notify, args=[otp(order.id)]).start()
    assert sorted(codes, key=str) == sorted(str(order.id) for order in created)


class Silent(httpx.AsyncBaseTransport):
    """A sandbox that does not answer when it is asked for the active orders, until it is told to refuse."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._inner = sandbox.transport()
        self.asked = 0
        self.refuse = anyio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/active"):
            return await self._inner.handle_async_request(request)
        self.asked += 1
        await self.refuse.wait()
        error = {"code": "UNAUTHORIZED", "message": "no"}
        return httpx.Response(401, json={"success": False, "error": error})


@pytest.mark.parametrize("in_thread", [False, True])
async def test_a_wait_ends_at_once_although_its_own_poll_is_on_its_way(in_thread: bool) -> None:
    sandbox = Sandbox(otp_after=None)
    transport = Silent(sandbox)
    async with AsyncClient(sandbox.token, transport=transport, poll_interval=0.001) as client:
        created = await client.orders.create(catalog_product_id=87, quantity=3)
        codes: list[str | None] = []

        async def wait(order_id: int) -> None:
            codes.append((await client.orders.wait_for_otp(order_id, timeout=60)).code)

        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                for order in created:
                    tasks.start_soon(wait, order.id)
                for number in range(1, 4):  # one after the other leads and polls
                    while transport.asked < number:
                        await anyio.sleep(0.001)
                    leader = client.orders._waits._shared_poll._leader
                    assert isinstance(leader, Waiter)
                    event = otp(next(iter(leader.open)))
                    if in_thread:
                        await anyio.to_thread.run_sync(client.notify, event)
                    else:
                        client.notify(event)
    assert sorted(codes, key=str) == sorted(str(order.id) for order in created)


async def test_a_look_is_not_stopped_by_a_leader_that_goes() -> None:
    sandbox = Sandbox(otp_after=None)
    transport = Silent(sandbox)
    async with AsyncClient(sandbox.token, transport=transport, poll_interval=3600) as client:
        created = await client.orders.create(catalog_product_id=87, quantity=2)
        async with anyio.create_task_group() as tasks:
            leading = anyio.CancelScope()

            async def lead() -> None:
                with leading:
                    await client.orders.wait_for_otp(created.orders[0].id)

            async def look() -> None:
                await client.orders.wait_for_otp(created.orders[1].id, timeout=0)

            tasks.start_soon(lead)
            while transport.asked < 1:
                await anyio.sleep(0.001)
            tasks.start_soon(look)
            while transport.asked < 2:
                await anyio.sleep(0.001)
            leading.cancel()
            await anyio.wait_all_tasks_blocked()
            assert len(client.orders._waits._shared_poll._participants) == 1  # still looking
            tasks.cancel_scope.cancel()


async def test_one_poll_that_fails_for_good_ends_all_waits() -> None:
    sandbox = Sandbox(otp_after=None)
    transport = Silent(sandbox)
    errors: list[UnauthorizedError] = []
    async with AsyncClient(sandbox.token, transport=transport, poll_interval=3600) as client:

        async def wait(order_id: int) -> None:
            with pytest.raises(UnauthorizedError) as caught:
                await client.orders.wait_for_otp(order_id)
            errors.append(caught.value)

        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                for order_id in range(1001, 1051):
                    tasks.start_soon(wait, order_id)
                await anyio.wait_all_tasks_blocked()
                transport.refuse.set()
    assert transport.asked == 1
    assert len({id(error) for error in errors}) == 50
    assert {error.request_id for error in errors} == {errors[0].request_id}
