"""Models in pydantic and FastAPI: checked, written and described as the service's own."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, get_type_hints

import attrs
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from smscode import (
    ActiveOrder,
    CreatedOrder,
    CreatedOrders,
    FinishedOrder,
    Money,
    Order,
    OrderPage,
    OrderStatus,
    Product,
    Sms,
    to_dict,
)
from smscode.webhooks import UnknownEvent

from ..test_serialization import ALL, ANY

pydantic = pytest.importorskip("pydantic")
pydantic_core = pytest.importorskip("pydantic_core")
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


@pytest.mark.parametrize("model", ALL, ids=lambda model: model.__name__)
def test_a_model_and_each_field_is_explained_and_every_example_fits(model: Any) -> None:
    schema = adapter(model).json_schema()
    if "$ref" in schema:
        schema = schema["$defs"][schema["$ref"].rpartition("/")[2]]
    hints = get_type_hints(model, localns={"JsonValue": object})
    for text in (schema["description"], *(field["description"] for field in schema["properties"].values())):
        assert text
        assert "``" not in text
        assert "None" not in text
        assert "asked" not in text or "printed" not in text
    for name, field in schema["properties"].items():
        for example in field.get("examples", ()):
            assert adapter(hints[name]).validate_python(example) is not None


def test_dollars_of_a_person_are_read_back_as_they_were_written() -> None:
    money = Money.usd("0.50")
    known = adapter(Money)
    for again in (known.validate_json(known.dump_json(money)), known.validate_python(to_dict(money))):
        assert (again, repr(again), again.as_max_price()) == (money, "Money($0.50)", Decimal("0.50"))
    assert to_dict(money) == {
        "amount": "0.50",
        "currency": "USD",
        "canonical_amount": 50_000_000,
        "canonical_currency": "USD",
    }


def test_an_order_has_an_example_of_what_identifies_it() -> None:
    properties = adapter(Order).json_schema()["properties"]
    assert properties["id"]["examples"] == [1453]
    assert properties["phone_number"]["examples"] == ["+6281234567823"]
    assert properties["phone_number"]["description"] == "The number, with `+` and country code."


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


ORDER = Order(
    **dict.fromkeys(("created_at", "otp_received_at", "expires_at", "canceled_at", "failed_reason")),
    id=7,
    status=OrderStatus.ACTIVE,
    product_id=142,
    amount=PRICE,
    phone_number="+6281200000001",
    otp_code="482913",
    otp_message="Your code is 482913",
)
PRIVATE = {"phone_number", "otp_code", "otp_message"}


def written(of: Any, value: Any, **options: Any) -> Any:
    """Write a value in both modes, which have to agree."""
    found = adapter(of).dump_python(value, **options)
    assert json.loads(adapter(of).dump_json(value, **options)) == found
    assert adapter(of).dump_python(value, mode="json", **options) == found
    return found


@given(ANY, st.data())
def test_what_is_to_be_left_out_is_left_out_and_nothing_else(model: Any, data: st.DataObject) -> None:
    plain = to_dict(model)
    names = data.draw(st.sets(st.sampled_from(sorted(plain))))
    kind = model.__class__
    assert written(kind, model, exclude=names) == {n: v for n, v in plain.items() if n not in names}
    assert written(kind, model, include=names) == {n: v for n, v in plain.items() if n in names}
    assert written(kind, model, include=names, exclude=names) == {}
    assert written(kind, model, by_alias=True) == written(kind, model, by_alias=False) == plain
    assert written(kind, model, round_trip=True) == plain


def without(value: Any, left_out: Callable[[Any], bool]) -> Any:
    inside: Any = value  # JSON
    if isinstance(value, dict):
        return {name: without(item, left_out) for name, item in inside.items() if not left_out(item)}
    return [without(item, left_out) for item in inside] if isinstance(value, list) else value


@given(ANY)
def test_what_is_none_can_be_left_out_at_every_depth(model: Any) -> None:
    if not isinstance(model, UnknownEvent):  # its data is any JSON, in which None says something
        plain = without(to_dict(model), lambda item: item is None)
        assert written(model.__class__, model, exclude_none=True) == plain


@given(ANY)
def test_what_is_as_by_default_can_be_left_out(model: Any) -> None:
    for option in ("exclude_defaults", "exclude_unset"):
        found = written(model.__class__, model, **{option: True})
        fields: Any = attrs.fields(model.__class__)
        kept = {f.name for f in fields if getattr(model, f.name) != f.default}
        assert found.keys() == kept
        assert type(model)(**{f.name: getattr(model, f.name) for f in fields if f.name in kept}) == model


@pytest.mark.parametrize("holder", ["model", "dataclass", "typed dict"])
def test_what_is_left_out_of_a_model_in_something_else_does_not_leave_the_house(holder: str) -> None:
    page = OrderPage((ORDER, ORDER), 20, 0)
    kinds: Any = {"page": OrderPage, "orders": list[Order], "last": Order | None, "known": dict[str, Order]}
    made: Any = {
        "model": lambda: pydantic.create_model(
            "Ticket", **{name: (kind, ...) for name, kind in kinds.items()}
        ),
        "dataclass": lambda: pydantic.dataclasses.dataclass(
            dataclasses.make_dataclass("Ticket", kinds.items())
        ),
        "typed dict": lambda: TypedDict("Ticket", kinds),  # type: ignore[operator]  # made here
    }[holder]()
    values: Any = {"page": page, "orders": [ORDER], "last": ORDER, "known": {"a": ORDER}}
    ticket = values if holder == "typed dict" else made(**values)
    each = {"__all__": PRIVATE}
    found = written(
        made, ticket, exclude={"page": {"items": each}, "orders": each, "last": PRIVATE, "known": each}
    )
    safe = {name: value for name, value in to_dict(ORDER).items() if name not in PRIVATE}
    assert found["page"] == {**to_dict(page), "items": [safe, safe]}
    assert (found["orders"], found["last"], found["known"]) == ([safe], safe, {"a": safe})
    assert written(made, ticket, include={"last": {"amount": {"currency"}}}) == {
        "last": {"amount": {"currency": "USD"}}
    }
    text = json.dumps(found)
    assert "482913" not in text
    assert "+6281200000001" not in text


def test_of_several_models_each_is_written_by_its_own_fields() -> None:
    active = ActiveOrder(
        id=7,
        status="ACTIVE",
        otp_code=None,
        otp_message=None,
        otp_received_at=None,
        expires_at=None,
        failed_reason=None,
    )
    for one in (ORDER, active, Sms(7)):
        for union in (Order | ActiveOrder | Sms, Sms | ActiveOrder | Order):
            assert written(union, one) == to_dict(one)
            assert written(union, one, exclude={"otp_code", "code"}).keys() == to_dict(one).keys() - {
                "otp_code",
                "code",
            }


def test_what_is_no_such_model_is_not_written_as_one() -> None:
    with pytest.raises(pydantic_core.PydanticSerializationError, match="Order"):
        adapter(Sms).dump_json(ORDER)


@pytest.mark.parametrize("status", [*OrderStatus, "PAUSED", "active", ""])
def test_a_status_is_a_member_of_its_enumeration_wherever_it_is_read(status: str) -> None:
    known = {member.value: member for member in OrderStatus}
    values = {**to_dict(ORDER), "status": str(status)}
    created = {"id": 7, "status": str(status)}
    read = [
        adapter(Order).validate_python(values),
        adapter(Order).validate_python({**values, "status": known.get(status, status)}),
        adapter(Order).validate_json(json.dumps(values)),
        adapter(Order).validate_json(json.dumps(values), strict=True),
        adapter(CreatedOrder).validate_python(created),
        adapter(CreatedOrders).validate_python({"orders": [created], "failed_count": 0}).orders[0],
        adapter(FinishedOrder).validate_python({"order_id": 7, "status": str(status)}),
    ]
    for order in read:
        assert (type(order.status), order.status) == (type(known.get(status, "")), status)
    assert adapter(CreatedOrder).validate_python({"id": 7, "status": None}).status is None
    with pytest.raises(pydantic.ValidationError):
        adapter(Order).validate_python({**values, "status": 5})


@pytest.mark.asyncio
async def test_a_web_service_sends_only_what_it_is_told_to() -> None:
    app = fastapi.FastAPI()
    page = OrderPage((ORDER,), 20, 0)
    hidden: Any = {"exclude": PRIVATE}, {"include": {"id"}}, {"exclude_none": True}, {"exclude_unset": True}
    for number, options in enumerate((*hidden, {"exclude_defaults": True}, {"by_alias": False})):
        given = {f"response_model_{name}": value for name, value in options.items()}
        app.get(f"/{number}", response_model=Order, **given)(lambda: ORDER)
    left_out = {"items": {"__all__": PRIVATE}}
    app.get("/page", response_model=OrderPage, response_model_exclude=left_out)(lambda: page)
    plain = to_dict(ORDER)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as browser:
        sent = [(await browser.get(f"/{number}")).json() for number in range(6)]
        (item,) = (await browser.get("/page")).json()["items"]
    assert sent[0] == item == {name: value for name, value in plain.items() if name not in PRIVATE}
    assert sent[1] == {"id": 7}
    assert sent[2] == without(plain, lambda value: value is None)
    assert sent[3] == sent[4] == adapter(Order).dump_python(ORDER, exclude_defaults=True)
    assert sent[5] == plain


@pytest.mark.asyncio
async def test_a_model_is_the_body_of_a_request_alone_in_a_list_and_beside_others() -> None:
    app = fastapi.FastAPI()

    def alone(order: Any) -> str:
        assert type(order.status) is OrderStatus
        return str(order.amount)

    def listed(orders: Any) -> int:
        return len(orders)

    def beside(order: Any, price: Any) -> bool:
        return bool(order.amount == price)

    body = fastapi.Body()
    alone.__annotations__["order"] = Annotated[Order, body]
    listed.__annotations__["orders"] = list[Order]
    beside.__annotations__.update(order=Annotated[Order, body], price=Annotated[Money, body])
    for path, function in (("/alone", alone), ("/listed", listed), ("/beside", beside)):
        app.post(path)(function)
    order, price = to_dict(ORDER), to_dict(PRICE)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as browser:
        assert (await browser.post("/alone", json=order)).json() == "$0.9231"
        assert (await browser.post("/listed", json=[order, order])).json() == 2
        assert (await browser.post("/beside", json={"order": order, "price": price})).json() is True
        for wrong in (
            {},
            [order],
            {**order, "amount": None},
            {**order, "amount": {**price, "amount": "NaN"}},
        ):
            assert (await browser.post("/alone", json=wrong)).status_code == 422
        paths = (await browser.get("/openapi.json")).json()["paths"]
    for path in paths.values():
        assert "requestBody" in path["post"]
        assert "parameters" not in path["post"]


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
