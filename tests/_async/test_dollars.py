"""`Money.usd` wherever a client takes a price: exactly the dollars on v2, refused at once on v1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from smscode import (
    AsyncClient,
    CodeNotObtainedError,
    InvalidArgumentError,
    Money,
    NoOfferAvailableError,
    Offer,
    SpendingLimit,
    SpendingLimitError,
)

from ..concurrency import AsyncVirtualClient
from .helpers import WHATSAPP_INDONESIA, AsyncScript, body_of, still_sandbox

pytestmark = pytest.mark.anyio

PRICE = 15_000  # rupiah, of WhatsApp in Indonesia; at 16,250 rupiah a dollar it is shown as $0.9231
RATE = "GET /catalog/exchange-rate"


async def enter(_: object) -> None:
    """Use a number."""


@pytest.mark.parametrize(("limit", "enough"), [("0.9231", True), ("0.9230", False), ("1.50", True)])
async def test_a_cap_is_sent_as_it_was_written_without_reading_the_rate(limit: str, enough: bool) -> None:
    sandbox = still_sandbox()
    script = AsyncScript([], sandbox.transport())
    async with AsyncVirtualClient(sandbox, transport=script) as client:
        try:
            created = await client.orders.create(
                catalog_product_id=WHATSAPP_INDONESIA, max_price=Money.usd(limit), min_price=Money.usd("0.1")
            )
        except NoOfferAvailableError:
            assert not enough
        else:
            assert enough
            assert created[0].amount == Money.idr(PRICE)
        assert {body_of(request)["max_price"] for request in script.requests} == {limit}
        assert {body_of(request)["min_price"] for request in script.requests} == {"0.1"}
        found = await client.catalog.find(service="whatsapp", country="indonesia", max_price=Money.usd(limit))
        assert found == await client.catalog.find(service="whatsapp", country="indonesia", max_price=limit)
        assert (PRICE in [product.price.canonical_amount for product in found]) == enough
    assert sandbox.requests[RATE] == 0


@pytest.mark.parametrize("total", ["1.84", Money.usd("1.84"), Money.usd("0.92") * 2])
async def test_a_spending_limit_is_just_these_dollars(total: Any) -> None:
    sandbox = still_sandbox()
    async with AsyncVirtualClient(sandbox, spending=SpendingLimit(total=total)) as client:
        await client.orders.create(catalog_product_id=WHATSAPP_INDONESIA, max_price=Money.usd("0.94"))
        with pytest.raises(SpendingLimitError) as caught:
            await client.orders.create(catalog_product_id=WHATSAPP_INDONESIA, max_price=Money.usd("0.94"))
    assert (caught.value.left, caught.value.cap) == (29_900 - PRICE, 15_275)


@pytest.mark.parametrize("budget", ["1.00", Money.usd("1.00")])
@pytest.mark.parametrize("max_price", ["0.95", Money.usd("0.95")])
async def test_a_code_is_obtained_within_a_budget_of_dollars(budget: Any, max_price: Any) -> None:
    sandbox = still_sandbox(otp_after=5)
    async with AsyncVirtualClient(sandbox) as client:
        offer = Offer(catalog_product_id=WHATSAPP_INDONESIA, max_price=max_price)
        obtained = await client.orders.obtain(enter, offers=[offer], budget=budget)
        assert obtained.spent == Money.idr(PRICE)
        with pytest.raises(InvalidArgumentError, match="budget: below what the cheapest number may cost"):
            await client.orders.obtain(enter, offers=[offer], budget=Money.usd("0.94"))
        with pytest.raises(InvalidArgumentError, match="max_price: each price has to be at least the one"):
            await client.orders.obtain(
                enter, service="whatsapp", country="indonesia", max_price=[Money.usd("0.95"), "0.94"]
            )
        with pytest.raises(CodeNotObtainedError):
            await client.orders.obtain(
                enter, service="whatsapp", country="indonesia", max_price=["0.01", Money.usd("0.02")]
            )


Use = Callable[[Any, Money], Any]  # awaitable in one of the flavours
USES: dict[str, Use] = {
    "create": lambda client, price: client.orders.create(catalog_product_id=87, max_price=price),
    "create by name": lambda client, price: client.orders.create(service="whatsapp", min_price=price),
    "create_many": lambda client, price: client.orders.create_many(200, product_id=142, max_price=price),
    "reactivate": lambda client, price: client.orders.reactivate(1001, max_price=price),
    "find": lambda client, price: client.catalog.find(service="whatsapp", max_price=price),
    "budget": lambda client, price: client.orders.obtain(enter, service="whatsapp", budget=price),
    "ladder": lambda client, price: client.orders.obtain(enter, service="whatsapp", max_price=[price]),
    "offer": lambda client, price: client.orders.obtain(
        enter, offers=[Offer(catalog_product_id=87, max_price=price)]
    ),
}


@pytest.mark.parametrize("name", USES)
async def test_v1_refuses_dollars_before_anything_is_sent(name: str) -> None:
    sandbox = still_sandbox()
    async with AsyncVirtualClient(sandbox, api_version="v1") as client:
        with pytest.raises(InvalidArgumentError, match=r"v1 counts in rupiah: .*Money\.idr"):
            await USES[name](client, Money.usd("0.50"))
    assert sandbox.requests.total() == 0


async def test_a_client_of_v1_has_no_spending_limit_in_dollars() -> None:
    with pytest.raises(InvalidArgumentError, match="total: v1 counts in rupiah"):
        AsyncClient("token", api_version="v1", spending=SpendingLimit(total=Money.usd("5")))
