"""Every operation, through the client, on both API versions."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any, Literal, cast

import httpx
import pytest

from smscode import (
    Country,
    CreatedOrders,
    FxRate,
    InvalidArgumentError,
    Money,
    OrderStatus,
    ProductSort,
    RoutingPolicy,
    Service,
    calls,
)
from smscode.sandbox import Delivery, Sandbox

from ..concurrency import AsyncVirtualClient
from .helpers import START, WHATSAPP_INDONESIA, AsyncScript, body_of, rent, shown, still_sandbox

pytestmark = pytest.mark.anyio

Version = Literal["v1", "v2"]
Generation = Literal["documented", "current"]

RATE = FxRate("USD/IDR", 16_250, START)
URL = "https://hooks.example.net/sms"


def fx(version: Version) -> FxRate | None:
    return RATE if version == "v2" else None


def amount(version: Version, rupiah: int, dollars: str) -> tuple[str, str, int]:
    """Return what an amount is shown as on a version."""
    return (dollars, "USD", rupiah) if version == "v2" else (str(rupiah), "IDR", rupiah)


async def test_countries_and_services_are_listed(version: Version) -> None:
    async with AsyncVirtualClient(still_sandbox(), api_version=version) as client:
        countries = await client.catalog.countries()
        assert countries[0] == Country(6, "Indonesia", True, "id", "62", "🇮🇩")
        assert len(countries) == 6
        services = await client.catalog.services()
        assert services[0] == Service(3, "whatsapp", "WhatsApp", True)
        in_brazil = await client.catalog.services(country_id=73)
        assert {service.code for service in services} - {service.code for service in in_brazil} == {
            "instagram"
        }


async def test_operators_are_listed_where_there_is_a_choice(version: Version) -> None:
    async with AsyncVirtualClient(still_sandbox(), api_version=version) as client:
        operators = await client.catalog.operators(country_id=6, platform_id=3)
        assert [(operator.operator_id, operator.code) for operator in operators] == [
            (None, "any"),
            (1, "telkomsel"),
            (2, "indosat"),
        ]
        assert await client.catalog.operators(country_id=6, platform_id=1) == []


async def test_a_page_of_products_has_prices_and_its_own_size(
    version: Version, generation: Generation
) -> None:
    async with AsyncVirtualClient(still_sandbox(generation=generation), api_version=version) as client:
        page = await client.catalog.products(country_id=6, platform_id=3, sort=ProductSort.PRICE_DESC)
        first, *_ = page
        assert (page.page, page.limit, page.count, page.fx) == (1, 1000, len(page), fx(version))
        assert len(page.items) == 3
        assert (first.catalog_product_id, first.country_id, first.platform_id) == (WHATSAPP_INDONESIA, 6, 3)
        name = "WhatsApp - Indonesia" if generation == "current" else "WhatsApp Indonesia"
        assert (first.name, first.active, first.available) == (name, True, 800)
        assert shown(first.price) == amount(version, 16_500, "1.0154")
        assert [shown(product.price) for product in page.items[1:]] == [amount(version, 15_000, "0.9231")] * 2
        second = await client.catalog.products(
            country_id=6, platform_id=3, sort=cast(Any, "Price_Desc"), page=2, limit=1
        )
        assert (second.page, second.limit, second.count) == (2, 1, 1)
        assert second.items == page.items[1:2]


async def test_products_of_an_operator_can_be_asked_for(version: Version) -> None:
    async with AsyncVirtualClient(still_sandbox(), api_version=version) as client:
        page = await client.catalog.products(operator_id=1)
        assert [(product.operator_id, product.operator_name) for product in page] == [(1, "Telkomsel")]


async def test_the_exchange_rate_is_read(version: Version) -> None:
    async with AsyncVirtualClient(still_sandbox(), api_version=version) as client:
        rate = await client.catalog.exchange_rate(pair="usd/idr")
        assert (rate.pair, rate.rate) == ("USD/IDR", 16_250)
        if version == "v1":
            assert (rate.base_currency, rate.quote_currency) == ("USD", "IDR")
        else:
            assert rate.fx == RATE


async def test_the_balance_is_read(version: Version) -> None:
    async with AsyncVirtualClient(still_sandbox(), api_version=version) as client:
        balance = await client.balance()
        assert shown(balance.balance) == amount(version, 1_000_000, "61.54")
        assert balance.fx == fx(version)


async def test_an_order_lives_from_rent_to_finish(version: Version, generation: Generation) -> None:
    sandbox = still_sandbox(generation=generation)
    async with AsyncVirtualClient(sandbox, api_version=version) as client:
        created = await client.orders.create(catalog_product_id=WHATSAPP_INDONESIA, idempotency_key="once")
        assert (created.failed_count, created.idempotency_key, created.problems) == (0, "once", ())
        assert (len(created), created.fx) == (1, fx(version))
        rented = created.orders[0]
        assert (rented.id, rented.status, rented.product_id) == (1001, OrderStatus.ACTIVE, 142)
        assert shown(rented.amount) == amount(version, 15_000, "0.9231")
        assert rented.phone_number is not None
        assert rented.phone_number.startswith("+628")

        order = await client.orders.get(rented.id)
        assert (order.phone_number, order.created_at) == (rented.phone_number, START)
        assert order.expires_at == START + timedelta(seconds=1200)
        (active,) = await client.orders.active()
        assert (active.id, active.status, active.otp_code) == (rented.id, OrderStatus.ACTIVE, None)

        sms = await client.orders.wait_for_otp(rented.id)
        assert sms.code is not None
        assert sms.code in (sms.text or "")
        assert sms.received_at == START + timedelta(seconds=2)
        assert sms.revision == (1 if generation == "current" else None)

        assert shown((await client.balance()).balance) == amount(version, 985_000, "60.62")
        finished = await client.orders.finish(rented.id)
        assert (finished.order_id, finished.status) == (rented.id, OrderStatus.COMPLETED)
        assert await client.orders.active() == []
        assert (await client.orders.get(rented.id)).otp_code == sms.code


async def test_a_cancelled_order_is_refunded(version: Version) -> None:
    sandbox = still_sandbox(otp_after=None)
    async with AsyncVirtualClient(sandbox, api_version=version) as client:
        order_id = await rent(client)
        sandbox.advance(120)
        canceled = await client.orders.cancel(order_id)
        assert (canceled.order_id, canceled.status) == (order_id, OrderStatus.CANCELED)
        assert shown(canceled.refund_amount) == amount(version, 15_000, "0.9231")
        assert shown(canceled.new_balance) == amount(version, 1_000_000, "61.54")
        assert (await client.orders.get(order_id)).canceled_at == START + timedelta(seconds=120)


async def test_a_resend_says_whether_it_was_done(version: Version) -> None:
    sandbox = still_sandbox()
    async with AsyncVirtualClient(sandbox, api_version=version) as client:
        first, second = await rent(client), await rent(client, product_id=144, catalog_product_id=None)
        sandbox.advance(2)
        again = await client.orders.resend(first)
        assert (again.order_id, again.status, again.resent) == (first, OrderStatus.ACTIVE, True)
        assert (await client.orders.resend(second)).resent is False


async def test_a_finished_number_is_rented_again_as_a_new_order(version: Version) -> None:
    sandbox = still_sandbox()
    async with AsyncVirtualClient(sandbox, api_version=version) as client:
        order_id = await rent(client)
        number = (await client.orders.get(order_id)).phone_number
        await client.orders.wait_for_sms(order_id)
        await client.orders.finish(order_id)
        options = await client.orders.reactivate_options(order_id)
        assert shown(options.cost) == amount(version, 11_250, "0.6923")
        created = await client.orders.reactivate(order_id, max_price=options.cost, idempotency_key="again-1")
        assert created.idempotency_key == "again-1"
        (order,) = created
        assert (order.id, order.phone_number) == (order_id + 1, number)
        assert shown(order.amount) == amount(version, 11_250, "0.6923")


async def test_a_reactivation_reads_the_rate_for_a_cap_in_rupiah() -> None:
    sandbox = still_sandbox()
    async with AsyncVirtualClient(sandbox) as client:
        order_id = await rent(client)
        await client.orders.wait_for_sms(order_id)
        await client.orders.finish(order_id)
        assert len(await client.orders.reactivate(order_id, max_price=Money.idr(11_250))) == 1
    assert sandbox.requests["GET /catalog/exchange-rate"] == 1


async def test_orders_are_listed_newest_first(version: Version, generation: Generation) -> None:
    sandbox = still_sandbox(otp_after=None, generation=generation)
    async with AsyncVirtualClient(sandbox, api_version=version) as client:
        ids = [order.id for order in await client.orders.create(catalog_product_id=88, quantity=5)]
        sandbox.advance(120)
        await client.orders.cancel(ids[0])
        page = await client.orders.list(limit=3, offset=1)
        assert [order.id for order in page] == ids[3:0:-1]
        assert (page.limit, page.offset, len(page), page.fx) == (3, 1, 3, fx(version))
        assert shown(page.items[0].amount) == amount(version, 12_000, "0.7385")
        canceled = await client.orders.list(status=cast(Any, "canceled"))
        assert [order.id for order in canceled] == ids[:1]
        assert [order.id async for order in client.orders.iter(page_size=2)] == ids[::-1]
        assert [order.id async for order in client.orders.iter(status=OrderStatus.ACTIVE)] == ids[:0:-1]
        assert [order.id for order in await client.orders.active()] == ids[:0:-1]


async def test_every_option_of_a_purchase_is_sent_once(version: Version) -> None:
    script = AsyncScript([], still_sandbox().transport())
    limits: tuple[Any, Any] = (20_000, 1_000) if version == "v1" else (Decimal("1.5"), "0.25")
    async with AsyncVirtualClient(still_sandbox(), transport=script, api_version=version) as client:
        created = await client.orders.create(
            catalog_product_id=WHATSAPP_INDONESIA,
            quantity=2,
            max_price=limits[0],
            min_price=limits[1],
            prefer_provider="beta",
            policy=RoutingPolicy.BEST_SUCCESS,
            operator_id=1,
        )
    (request,) = script.requests
    assert body_of(request) == {
        "catalog_product_id": WHATSAPP_INDONESIA,
        "quantity": 2,
        "max_price": 20_000 if version == "v1" else "1.5",
        "min_price": 1_000 if version == "v1" else "0.25",
        "prefer_provider": "beta",
        "policy": "best_success",
        "operator_id": 1,
    }
    assert request.headers["idempotency-key"] == created.idempotency_key
    assert [order.operator_id for order in created] == [1, 1]


async def test_a_displayed_price_admits_its_own_product(version: Version) -> None:
    # Only the older service takes a price limit for an exact product.
    sandbox = still_sandbox(generation="documented")
    async with AsyncVirtualClient(sandbox, api_version=version) as client:
        for product in await client.catalog.products(country_id=6):
            created = await client.orders.create(product_id=product.id, max_price=product.price)
            assert created.orders[0].amount == product.price


@pytest.mark.parametrize("limit", ["max_price", "min_price"])
async def test_a_limit_in_rupiah_reads_the_rate_on_v2(version: Version, limit: str) -> None:
    sandbox = still_sandbox()
    script = AsyncScript([], sandbox.transport())
    async with AsyncVirtualClient(sandbox, transport=script, api_version=version) as client:
        await rent(client, **{limit: Money.idr(15_000)})
    exact = {"max_price": "0.9231", "min_price": "0.9230"}[limit]
    assert body_of(script.requests[-1])[limit] == (15_000 if version == "v1" else exact)
    assert sandbox.requests["GET /catalog/exchange-rate"] == (1 if version == "v2" else 0)


async def test_a_limit_in_dollars_reads_no_rate() -> None:
    sandbox = still_sandbox()
    price = Money(Decimal("0.9231"), "USD", 15_000)
    async with AsyncVirtualClient(sandbox) as client:
        await rent(client, max_price=price)
    async with AsyncVirtualClient(sandbox, api_version="v1") as client:
        await rent(client, max_price=price, min_price=price)
    assert sandbox.requests == {"POST /orders/create": 2}


async def test_a_key_buys_once(version: Version) -> None:
    sandbox = still_sandbox()
    bought: list[CreatedOrders] = []
    async with AsyncVirtualClient(sandbox, api_version=version) as client:
        for _ in range(2):
            created = await client.orders.create(
                catalog_product_id=WHATSAPP_INDONESIA, quantity=3, idempotency_key="order-7"
            )
            bought.append(created)
        keyless = [await client.orders.create(catalog_product_id=WHATSAPP_INDONESIA) for _ in range(2)]
    assert bought[0] == bought[1]
    assert keyless[0].idempotency_key != keyless[1].idempotency_key
    assert sandbox.balance == 1_000_000 - 5 * 15_000


async def test_sending_a_call_gives_all_that_came_along(version: Version) -> None:
    sandbox = still_sandbox()
    sandbox.fail_next("balance.get", 503)
    async with AsyncVirtualClient(sandbox, api_version=version) as client:
        answer = await client.send(calls.balance.get(), timeout=20)
        assert answer.data == await client.balance()
        assert (answer.request_id, answer.status_code) == ("sandbox-000002", 200)
        assert (answer.attempts, answer.fx) == (2, fx(version))
        created = await client.send(calls.orders.create(catalog_product_id=WHATSAPP_INDONESIA))
        assert (created.data.orders[0].id, created.attempts) == (1001, 1)


def test_a_client_shows_where_it_leads() -> None:
    client = AsyncVirtualClient(still_sandbox(), api_version="v1", base_url="https://example.net/sms/")
    assert repr(client) == f"{type(client).__name__}('https://example.net/sms', api_version='v1')"


# -- webhook ---------------------------------------------------------------------------------------


def hooked(answer: int = 204, **options: Any) -> Sandbox:
    """Make a sandbox whose webhooks are answered with a status."""

    def deliver(delivery: Delivery) -> int:
        return answer

    return still_sandbox(deliver=deliver, **options)


async def test_the_webhook_is_read_set_and_cleared(version: Version, generation: Generation) -> None:
    sandbox = hooked(allow_local_webhooks=True, generation=generation)
    async with AsyncVirtualClient(sandbox, api_version=version) as client:
        config = await client.webhook.get()
        assert (config.webhook_url, config.webhook_secret, config.webhook_disabled_at) == (None, None, None)
        config = await client.webhook.update(url="http://127.0.0.1:8000/sms")
        assert config.webhook_url == "http://127.0.0.1:8000/sms"
        assert config.webhook_secret is not None
        assert (await client.webhook.update(secret="mine")).webhook_secret == "mine"
        config = await client.webhook.update(url="", secret="")
        assert (config.webhook_url, config.webhook_secret) == (None, None)


async def test_a_webhook_test_tells_how_it_was_answered(version: Version) -> None:
    sandbox = hooked(418)
    async with AsyncVirtualClient(sandbox, api_version=version) as client:
        await client.webhook.update(url=URL)
        assert (await client.webhook.test()).status_code == 418
    assert [delivery.status for delivery in sandbox.deliveries] == [418]


async def test_ensuring_a_webhook_sets_it_once(version: Version) -> None:
    sandbox = hooked()
    async with AsyncVirtualClient(sandbox, api_version=version) as client:
        config = await client.webhook.ensure(URL)
        assert config.webhook_url == URL
        assert await client.webhook.ensure(URL) == config
    assert sandbox.requests["PATCH /webhook"] == 1


async def test_ensuring_a_webhook_sets_its_secret_once(version: Version) -> None:
    sandbox = hooked()
    async with AsyncVirtualClient(sandbox, api_version=version) as client:
        await client.webhook.ensure(URL)
        for secret in ("one", "one", "two"):
            assert (await client.webhook.ensure(URL, secret=secret)).webhook_secret == secret
        assert (await client.webhook.ensure(URL)).webhook_secret == "two"
        assert sandbox.requests["PATCH /webhook"] == 3
        with pytest.raises(InvalidArgumentError, match="another URL"):
            await client.webhook.ensure("https://other.example.net/", secret="three")
        assert (await client.webhook.get()).webhook_secret == "two"


@pytest.mark.parametrize(("url", "secret"), [("", None), (URL, "")])
async def test_ensuring_clears_nothing(url: str, secret: str | None) -> None:
    sandbox = hooked()
    async with AsyncVirtualClient(sandbox) as client:
        with pytest.raises(InvalidArgumentError, match=r"webhook\.update clears a field"):
            await client.webhook.ensure(url, secret=secret)
    assert sandbox.requests["GET /webhook"] == 0


async def test_ensuring_a_webhook_leaves_another_one_alone(version: Version) -> None:
    sandbox = hooked()
    async with AsyncVirtualClient(sandbox, api_version=version) as client:
        await client.webhook.update(url=URL)
        with pytest.raises(InvalidArgumentError, match="replace=True") as caught:
            await client.webhook.ensure("https://other.example.net/")
        assert URL not in str(caught.value)
        assert (await client.webhook.get()).webhook_url == URL
        config = await client.webhook.ensure("https://other.example.net/", replace=True)
        assert config.webhook_url == "https://other.example.net/"


async def test_ensuring_a_webhook_switches_it_on_again(version: Version) -> None:
    sandbox = hooked(500)
    async with AsyncVirtualClient(sandbox, api_version=version) as client:
        await client.webhook.update(url=URL)
        for _ in range(10):
            order_id = await rent(client)
            await client.orders.wait_for_sms(order_id)
        assert (await client.webhook.get()).webhook_disabled_at is not None
        assert (await client.webhook.ensure(URL)).webhook_disabled_at is None


async def test_the_real_source_of_time_is_used_outside_of_tests(version: Version) -> None:
    from smscode import AsyncClient, RetryPolicy

    sandbox = Sandbox(otp_after=0.01)
    sandbox.fail_next("balance.get", 503, times=2)
    quick = RetryPolicy(base=0.001)
    transport: httpx.AsyncBaseTransport = sandbox.transport()
    async with AsyncClient(
        sandbox.token, transport=transport, retry=quick, api_version=version, poll_interval=0.005
    ) as client:
        assert (await client.send(calls.balance.get())).attempts == 3
        assert (await client.orders.wait_for_otp(await rent(client))).code is not None
