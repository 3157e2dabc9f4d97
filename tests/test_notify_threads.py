"""A webhook that arrives in another thread ends the waits of an event loop at once, too."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import anyio
import pytest

from smscode import AsyncClient
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
