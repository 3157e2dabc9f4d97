"""Models in pydantic and FastAPI: checked, written and described as the service's own."""

from __future__ import annotations

import functools
import json
from decimal import Decimal
from typing import Annotated, Any

import attrs
import httpx
import pytest
from hypothesis import given

from smscode import Money, Order, OrderPage, OrderStatus, Product, Sms, to_dict

from ..core.test_plain import ALL, ANY

pydantic = pytest.importorskip("pydantic")
fastapi = pytest.importorskip("fastapi")

PRICE = Money(Decimal("0.9231"), "USD", 15_000)


@functools.cache
def adapter(model: Any) -> Any:
    return pydantic.TypeAdapter(model)


@given(ANY)
def test_a_model_is_taken_as_it_is_and_written_as_the_service_does(model: Any) -> None:
    known = adapter(model.__class__)
    assert known.validate_python(model) is model
    assert known.dump_python(model) == to_dict(model)
    assert json.loads(known.dump_json(model)) == to_dict(model)


@given(ANY)
def test_a_model_is_read_back(model: Any) -> None:
    known = adapter(model.__class__)
    for read in (known.validate_json(known.dump_json(model)), known.validate_python(to_dict(model))):
        assert (type(read), to_dict(read)) == (type(model), to_dict(model))


@pytest.mark.parametrize("mode", ["validation", "serialization"])
@pytest.mark.parametrize("model", ALL, ids=lambda model: model.__name__)
def test_a_model_is_described_with_all_its_fields(model: Any, mode: str) -> None:
    schema = adapter(model).json_schema(mode=mode)
    if "$ref" in schema:
        schema = schema["$defs"][schema["$ref"].rpartition("/")[2]]
    fields = [field.name for field in attrs.fields(model)]
    assert (schema["title"], schema["type"], list(schema["properties"])) == (model.__name__, "object", fields)


def test_unknown_fields_are_ignored_and_missing_ones_have_their_defaults() -> None:
    read = adapter(Sms).validate_python({"order_id": 7, "code": "1", "new": True})
    assert read == Sms(7, "1")


@pytest.mark.parametrize(
    ("model", "value"),
    [
        (Sms, {}),
        (Sms, {"order_id": "seven"}),
        (Sms, 7),
        (Money, {"amount": "NaN", "currency": "USD", "canonical_amount": 1}),
        (Product, {"id": 1, "available": 1, "price": to_dict(Money.idr(-1)), "active": True}),
    ],
)
def test_what_does_not_fit_is_a_validation_error(model: Any, value: object) -> None:
    with pytest.raises(pydantic.ValidationError):
        adapter(model).validate_python(value)


def test_a_model_can_be_a_field() -> None:
    class Shop(pydantic.BaseModel):  # type: ignore[name-defined, misc]  # imported only where it is there
        price: Money
        last: Sms | None = None

    shop = Shop(price=PRICE)
    assert shop.price is PRICE
    assert Shop.model_validate_json(shop.model_dump_json()) == shop


@pytest.mark.asyncio
async def test_models_are_the_requests_and_responses_of_a_web_service() -> None:
    app = fastapi.FastAPI()
    order = Order(
        **dict.fromkeys(("created_at", "phone_number", "otp_code", "otp_received_at", "expires_at")),
        **dict.fromkeys(("canceled_at", "failed_reason")),
        id=7,
        status=OrderStatus.ACTIVE,
        product_id=142,
        amount=PRICE,
    )

    async def page() -> OrderPage:
        return OrderPage((order,), 20, 0)

    async def listed() -> list[Order]:
        return [order]

    async def double(price: Money) -> Money:
        return Money(price.amount * 2, price.currency, price.canonical_amount * 2)

    double.__annotations__["price"] = Annotated[Money, fastapi.Body()]
    app.get("/page", response_model=OrderPage)(page)
    app.get("/list", response_model=list[Order])(listed)
    app.post("/double", response_model=Money)(double)
    sent = {**to_dict(PRICE), "price": 1}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as browser:
        assert (await browser.get("/page")).json() == to_dict(OrderPage((order,), 20, 0))
        assert (await browser.get("/list")).json() == [to_dict(order)]
        assert (await browser.post("/double", json=sent)).json()["amount"] == "1.8462"
        assert (await browser.post("/double", json={})).status_code == 422
        document = (await browser.get("/openapi.json")).json()
    assert {"Order", "OrderPage", "OrderStatus"} <= set(document["components"]["schemas"])
