"""What a value looks like: one short line, a table in notebooks, and nothing secret in either."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, cast, get_args

import attrs
import pytest
from hypothesis import given

from smscode import AsyncClient, Client, FxRate, Money, OfferStats, OrderStatus, models, to_dict, webhooks
from smscode._display import SHOWN
from smscode._fields import in_order
from smscode.sandbox import Sandbox
from smscode.sandbox.http.render import sent_fields
from tests.test_serialization import ALL, ANY

TIME = datetime(2026, 6, 14, 1, 48, 14, 900_000, tzinfo=UTC)
PRICE = Money(Decimal("0.9231"), "USD", 15_000)
CREATED = models.CreatedOrder(
    id=1453,
    status=OrderStatus.ACTIVE,
    phone_number="+6281234567823",
    amount=PRICE,
    expires_at=TIME,
    otp_code="482913",
)
LINES: list[tuple[object, str]] = [
    (PRICE, "Money($0.9231, 15000 IDR)"),
    (Money.idr(15_000), "Money(Rp 15,000)"),
    (FxRate("USD/IDR", 16_250, TIME), "FxRate('USD/IDR', 16250, rate as of 2026-06-14 01:48:14Z)"),
    (models.Country(6, "Indonesia", True, "ID", "+62"), "Country(6, 'Indonesia', 'ID', '+62')"),
    (models.Operator(None, "any"), "Operator(None, 'any')"),
    (
        models.Product(142, 5, PRICE, True, "WhatsApp", catalog_product_id=87),
        "Product(142, 'WhatsApp', $0.9231, catalog_product_id=87, available=5)",
    ),
    (CREATED, "CreatedOrder(1453, ACTIVE, '+628********23', $0.9231, expires 01:48:14Z)"),
    (models.CreatedOrder(id=7), "CreatedOrder(7)"),
    (models.CreatedOrders((CREATED,), 0), "CreatedOrders(1 orders [1453], failed_count=0)"),
    (
        models.OrderPage((CREATED,) * 4, 20, 0, problems=("$.data[4]: bad",)),  # type: ignore[arg-type]
        "OrderPage(4 items [1453, 1453, 1453, ...], limit=20, offset=0, 1 problems)",
    ),
    (models.ProductPage((), 2, 1000, 0), "ProductPage(0 items, page=2, limit=1000)"),
    (models.Balance(PRICE, FxRate("USD/IDR", 16_250)), "Balance($0.9231)"),
    (models.FinishedOrder(7, "NEW"), "FinishedOrder(7, 'NEW')"),
    (models.Sms(1), "Sms(1)"),
    (
        models.Sms(1, "482913", "Your code is 482913", 2, TIME.astimezone(timezone(timedelta(hours=7)))),
        "Sms(1, code='******', text='********', revision=2, received 2026-06-14 08:48:14+07:00)",
    ),
    (models.WebhookConfig(None, "a secret"), "WebhookConfig(None, webhook_secret='********')"),
    (
        webhooks.OtpReceived(order_id=7, phone_number="+6281234567823", timestamp=TIME),
        "OtpReceived(7, '+628********23', timestamp 2026-06-14 01:48:14Z)",
    ),
    (webhooks.UnknownEvent("order.new", None, {"code": "482913"}), "UnknownEvent('order.new')"),
]


@pytest.mark.parametrize(("value", "line"), LINES, ids=lambda value: type(value).__name__)
def test_a_value_is_one_line_that_begins_with_what_identifies_it(value: object, line: str) -> None:
    assert repr(value) == line


@given(ANY)
def test_every_model_can_be_shown_whatever_it_holds(model: Any) -> None:
    assert repr(model).startswith(f"{type(model).__name__}(")
    assert "\n" not in repr(model)
    assert model._repr_html_().count("<table>") == 1


def test_every_model_lists_what_it_shows_and_the_table_has_no_other() -> None:
    known = {base.__name__ for model in [*ALL, OfferStats] for base in model.__mro__}
    assert SHOWN.keys() <= known
    for model in ALL:
        assert any(base.__name__ in SHOWN for base in model.__mro__), model


def test_secrets_are_masked_in_every_model() -> None:
    secret = {"phone_number", "otp_code", "otp_message", "code", "text", "webhook_secret"}
    for model in ALL:
        for field in attrs.fields(model):
            if field.name in secret and model.__name__ not in ("Country", "Operator", "Service"):
                assert callable(field.repr), (model, field.name)


def test_a_list_is_a_table_with_a_row_for_each_of_its_models() -> None:
    table = models.CreatedOrders((CREATED, CREATED), 0)._repr_html_()
    row = "<tr><td>1453</td><td>ACTIVE</td><td>+628********23</td><td>$0.9231</td><td>01:48:14Z</td></tr>"
    head = "".join(f"<th>{name}</th>" for name in ("id", "status", "phone_number", "amount", "expires_at"))
    assert table == f"<table><thead><tr>{head}</tr></thead><tbody>{row * 2}</tbody></table>"


def test_the_lists_that_a_client_returns_are_tables() -> None:
    with Sandbox(token="secret-token") as sandbox:
        with Client("secret-token", transport=sandbox.transport()) as client:
            client.orders.create(catalog_product_id=87)
            lists: list[Any] = [
                client.catalog.countries(),
                client.catalog.services(),
                client.catalog.find(service="whatsapp"),
                client.orders.active(),
                client.orders.stats(),
            ]
            (product,) = client.catalog.find(service="whatsapp", country="indonesia")[:1]
            assert product.country_id is not None
            assert product.platform_id is not None
            operators: Any = client.catalog.operators(
                country_id=product.country_id, platform_id=product.platform_id
            )
    for rows in [*lists, operators]:
        assert isinstance(cast(object, rows), list)
        assert pickle.loads(pickle.dumps(rows)) == rows
        assert rows._repr_html_().count("<tr>") == 1 + len(rows)
        rows.clear()
        assert rows._repr_html_() is None


def test_the_statistics_of_an_offer_are_a_short_line() -> None:
    stats = OfferStats(
        catalog_product_id=87,
        product_id=None,
        numbers=89,
        codes=74,
        waiting=0,
        success_rate=0.8314606741573034,
        success_low=0.74,
        success_high=0.9,
        median_seconds=12.5,
        p90_seconds=60.0,
        charged=PRICE,
        refunded=PRICE,
        cost_per_code=PRICE,
    )
    assert repr(stats) == (
        "OfferStats(catalog_product_id=87, numbers=89, codes=74, success_rate=0.831, cost_per_code=$0.9231)"
    )


def test_one_model_and_an_empty_list_are_a_table_of_one_row() -> None:
    assert models.Sms(7, "482913")._repr_html_().count("<tr>") == 2
    assert "<td>7</td><td>******</td><td></td>" in models.Sms(7, "482913")._repr_html_()
    assert "<td></td><td>2</td><td>1000</td><td></td>" in models.ProductPage((), 2, 1000, 0)._repr_html_()


def test_no_text_of_the_service_is_html_in_a_table() -> None:
    country = models.Country(6, "<script>alert('it')</script>", True, '"&')
    assert "&lt;script&gt;alert(&#x27;it&#x27;)&lt;/script&gt;" in country._repr_html_()
    assert "<td>&quot;&amp;</td>" in country._repr_html_()


@pytest.mark.parametrize("model", [models.Order, models.ActiveOrder, models.CreatedOrder])
def test_the_fields_of_an_order_have_one_order_in_repr_json_and_openapi(model: Any) -> None:
    names = [field.name for field in attrs.fields(model)]
    order = ("id", "status", "phone_number", "amount", "created_at", "expires_at", "otp_received_at")
    first = [name for name in order if name in names]
    assert names[: len(first)] == first
    assert list(sent_fields(model, "current")) == names
    if model is models.CreatedOrder:
        assert list(to_dict(CREATED)) == names


def test_all_events_of_an_order_begin_with_its_id() -> None:
    for event in get_args(webhooks.Event):
        if issubclass(event, webhooks.OrderEvent):
            assert attrs.fields(event)[:2] == tuple(in_order(event, list(attrs.fields(event))))[:2]
            assert attrs.fields(event)[0].name == "order_id"


def test_a_client_its_resources_and_its_rentals_say_what_they_are() -> None:
    with Sandbox(token="secret-token") as sandbox:
        with Client(
            "secret-token", base_url="http://localhost", api_version="v1", transport=sandbox.transport()
        ) as client:
            shown = "('http://localhost', api_version='v1')"
            assert repr(client) == f"Client{shown}"
            assert repr(client.orders) == f"Orders{shown}"
            assert repr(client.catalog) == f"Catalog{shown}"
            assert repr(client.webhook) == f"Webhook{shown}"
            rental = client.orders.rent(catalog_product_id=87)
            assert repr(rental) == "Rental(no number yet)"
            with rental:
                order = rental.order
                assert repr(rental) == repr(order).replace("CreatedOrder", "Rental")
                sandbox.advance(180)
                rental.wait_for_otp(timeout=10)
            assert repr(rental) == repr(order).replace("CreatedOrder", "Rental")[:-1] + ", released=finished)"
    unused = AsyncClient("secret-token")
    shown = "('https://api.smscode.gg', api_version='v2')"
    assert repr(unused.orders) == f"AsyncOrders{shown}"
    assert repr(unused.catalog) == f"AsyncCatalog{shown}"
    assert repr(unused.webhook) == f"AsyncWebhook{shown}"


@pytest.mark.anyio
async def test_a_rental_of_an_asynchronous_client_says_what_it_is() -> None:
    sandbox = Sandbox(otp_after=None, cancel_after=0)
    async with AsyncClient(sandbox.token, transport=sandbox.transport()) as client:
        rental = client.orders.rent(catalog_product_id=87)
        assert repr(rental) == "AsyncRental(no number yet)"
        async with rental:
            assert repr(rental) == repr(rental.order).replace("CreatedOrder", "AsyncRental")
        assert repr(rental).endswith(", released=canceled)")
