"""One deadline for a call that is made of several requests, each of which takes its time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import httpx
import pytest

from smscode import Money, Order, RequestTimeoutError, Timeouts

from ..concurrency import AsyncVirtualClient, AsyncVirtualRuntime
from .helpers import WHATSAPP_INDONESIA, still_sandbox

pytestmark = pytest.mark.anyio

SECONDS = 10.0  # for each request
ENOUGH = 15.0  # for one request, but not for two

Make: TypeAlias = Callable[[AsyncVirtualClient, Order, "float | None"], Any]


class AsyncSlow(httpx.AsyncBaseTransport):
    """Passes requests on; each takes its time."""

    def __init__(self, then: httpx.AsyncBaseTransport) -> None:
        self._then = then
        self.runtime: AsyncVirtualRuntime | None = None
        self.requests: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.runtime is not None:
            self.requests.append(f"{request.method} {request.url.path.partition('/v2/')[2]}")
            patience = request.extensions["timeout"]["read"]
            self.runtime.pass_by(min(SECONDS, patience))
            if patience < SECONDS:
                raise httpx.ReadTimeout("too slow")
        return await self._then.handle_async_request(request)


async def ensure(client: AsyncVirtualClient, order: Order, timeout: float | None) -> object:
    return await client.webhook.ensure("https://shop.example/hook", timeout=timeout)


async def find(client: AsyncVirtualClient, order: Order, timeout: float | None) -> object:
    return await client.catalog.find(service="WhatsApp", country="Indonesia", timeout=timeout)


async def create(client: AsyncVirtualClient, order: Order, timeout: float | None) -> object:
    return await client.orders.create(
        catalog_product_id=WHATSAPP_INDONESIA, max_price=Money.idr(90_000), timeout=timeout
    )


async def cancel(client: AsyncVirtualClient, order: Order, timeout: float | None) -> object:
    return await client.orders.cancel(order.id, wait=True, timeout=timeout)


async def resend(client: AsyncVirtualClient, order: Order, timeout: float | None) -> object:
    rental = client.orders.attach(order)
    rental._hold(order)
    return await rental.resend(timeout=timeout)


CALLS: dict[Make, list[str]] = {
    ensure: ["GET webhook", "PATCH webhook"],
    find: ["GET catalog/services", "GET catalog/countries"],
    create: ["GET catalog/exchange-rate", "POST orders/create"],
    cancel: ["POST orders/cancel", "GET orders/1001"],
    resend: ["GET orders/1001", "POST orders/resend"],
}
OF_THE_CLIENT = [ensure, find, create, resend]


@pytest.mark.parametrize(
    ("make", "timeout"),
    [*((make, ENOUGH) for make in CALLS), *((make, None) for make in OF_THE_CLIENT)],
)
async def test_a_call_of_several_requests_has_one_deadline(make: Make, timeout: float | None) -> None:
    sandbox = still_sandbox(otp_after=None, resend_cooldown=0)
    slow = AsyncSlow(sandbox.transport())
    limits = Timeouts() if timeout else Timeouts(total=ENOUGH, create=ENOUGH)
    async with AsyncVirtualClient(sandbox, transport=slow, timeout=limits) as client:
        bought = (await client.orders.create(catalog_product_id=WHATSAPP_INDONESIA)).orders[0]
        order = await client.orders.get(bought.id)
        slow.runtime = client.runtime
        with pytest.raises(RequestTimeoutError):
            await make(client, order, timeout)
    assert slow.requests == CALLS[make]


async def test_the_end_of_a_rental_has_one_deadline() -> None:
    sandbox = still_sandbox(otp_after=None)
    slow = AsyncSlow(sandbox.transport())
    async with AsyncVirtualClient(sandbox, transport=slow, timeout=ENOUGH) as client:
        async with client.orders.rent(catalog_product_id=WHATSAPP_INDONESIA) as rental:
            slow.runtime = client.runtime
            ends = client.runtime.now()
        assert client.runtime.now() - ends == ENOUGH
    assert slow.requests == ["POST orders/cancel", "GET orders/1001"]  # it is too early: is that all?
    assert rental.released == "left_to_expire"
