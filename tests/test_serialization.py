"""Every model as plain values, as JSON and as a pickle, and back."""

from __future__ import annotations

import copy
import functools
import json
import pickle
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, cast, get_args, get_origin, get_type_hints

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import smscode
from smscode import (
    BulkResult,
    CreatedOrder,
    CreatedOrders,
    FxRate,
    InvalidArgumentError,
    Money,
    OrderChange,
    OrderStatus,
    Product,
    ProductPage,
    Sms,
    models,
    to_dict,
    to_json,
    webhooks,
)
from smscode._serialization import Model
from smscode.core.decoding.converter import structure

ALL: list[Any] = [
    found
    for module in (models, webhooks)
    for name in module.__all__
    if isinstance(found := getattr(module, name), type) and attrs.has(found)
] + [OrderChange]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
ZONES = st.sampled_from([UTC, timezone(timedelta(hours=7))])
TIMES = st.datetimes(timezones=ZONES).map(lambda time: time.replace(fold=0))
RUPIAH = st.integers(min_value=1, max_value=2**63 - 1)
AMOUNTS = st.decimals(0, 10**9, allow_nan=False, allow_infinity=False, places=4)
MONEY = st.tuples(AMOUNTS, st.just("USD"), RUPIAH).map(lambda values: Money(*values))

st.register_type_strategy(datetime, TIMES)
st.register_type_strategy(Money, MONEY)


@functools.cache
def made(model: Any) -> st.SearchStrategy[Any]:
    """Make models of a class, with all that their fields may hold."""
    if model is Money:
        return MONEY
    hints = get_type_hints(model, localns={"JsonValue": object})
    fields = {field.name: held(field.name, hints[field.name]) for field in attrs.fields(model)}
    return st.fixed_dictionaries(fields).map(lambda values: model(**values))


def held(name: str, hint: Any) -> st.SearchStrategy[Any]:
    """Make what a field may hold: rates are positive, and pages have rows."""
    if name in ("rate", "data"):
        return RUPIAH if name == "rate" else JSON
    if hint == FxRate | None:
        return st.none() | made(FxRate)
    if get_origin(hint) is tuple and get_args(hint)[0] in ALL:
        return st.lists(made(get_args(hint)[0]), max_size=2).map(tuple)
    return st.from_type(hint)


ANY: st.SearchStrategy[Any] = st.sampled_from(ALL).flatmap(made)


def plain(value: object) -> bool:
    if type(value) is dict:
        items = cast("dict[object, object]", value).items()
        return all(type(name) is str and plain(item) for name, item in items)
    if type(value) is list:
        return all(map(plain, cast("list[object]", value)))
    return value is None or type(value) in (bool, int, str)


@pytest.mark.parametrize("module", [models, webhooks])
def test_every_value_class_is_a_model(module: Any) -> None:
    values = [cast(object, getattr(module, name)) for name in dir(module)]
    found = [value for value in values if isinstance(value, type) and attrs.has(value)]
    assert all(issubclass(class_, Model) for class_ in found if not class_.__name__.startswith("_"))


@given(ANY)
def test_a_model_is_written_as_plain_values_and_read_back(model: Any) -> None:
    written = to_dict(model)
    assert plain(written)
    assert json.loads(to_json(model)) == written
    if not isinstance(model, webhooks.UnknownEvent):  # the only one that the codec does not make by itself
        read = structure("v2", written, model.__class__, "$")
        assert (read, to_dict(read)) == (model, written)


@given(made(OrderChange))
def test_one_of_several_models_is_read_back_as_what_it_was(change: OrderChange) -> None:
    read = structure("v2", to_dict(change), OrderChange, "$")
    assert (read, type(read.order), type(read.previous)) == (
        change,
        type(change.order),
        type(change.previous),
    )


@given(ANY, st.sampled_from(range(2, pickle.HIGHEST_PROTOCOL + 1)))
def test_a_model_survives_copying_and_pickling(model: Any, protocol: int) -> None:
    for other in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model, protocol))):
        assert other == model
        assert type(other) is type(model)
        assert to_dict(other) == to_dict(model)  # equal money may still be shown differently
        assert repr(other) == repr(model)
        if not isinstance(model, webhooks.UnknownEvent):  # its data may be a list
            assert hash(other) == hash(model)


@given(ANY, ANY)
def test_models_are_equal_when_all_their_fields_are(one: Any, other: Any) -> None:
    same = type(one) is type(other) and all(
        getattr(one, field.name) == getattr(other, field.name)
        for field in attrs.fields(one.__class__)
        if field.eq  # the dollars of a Money are not compared, as its rupiah are exact
    )
    assert (one == other) is same


def test_what_is_written_is_what_the_service_sends() -> None:
    price = Money(Decimal("0.9231"), "USD", 15_000)
    fx = FxRate("USD/IDR", 16_250, datetime(2026, 6, 14, 4, 0, 12, tzinfo=UTC))
    page = ProductPage((Product(142, 5, price, True, catalog_product_id=87),), 1, 1000, 1, fx)
    written = to_dict(page)
    assert written["fx"] == {"pair": "USD/IDR", "rate": 16_250, "rate_as_of": "2026-06-14T04:00:12+00:00"}
    assert written["items"] == [
        {
            "id": 142,
            "available": 5,
            "price": {
                "amount": "0.9231",
                "currency": "USD",
                "canonical_amount": 15_000,
                "canonical_currency": "IDR",
            },
            "active": True,
            "name": None,
            "country_id": None,
            "platform_id": None,
            "catalog_product_id": 87,
            "operator_id": None,
            "operator_name": None,
        }
    ]


def test_amounts_have_no_exponents_and_statuses_are_texts() -> None:
    assert to_dict(Money(Decimal("1E+3"), "IDR", 1000))["amount"] == "1000"
    finished = models.FinishedOrder(7, OrderStatus.COMPLETED)
    status = to_dict(finished)["status"]
    assert (status, type(status)) == ("COMPLETED", str)
    assert to_dict(models.FinishedOrder(7, "NEW"))["status"] == "NEW"


def test_numbers_of_an_unknown_event_are_texts() -> None:
    event = webhooks.UnknownEvent(
        "new", datetime(2026, 1, 1, tzinfo=UTC), {"a": [Decimal("0.5"), {"b": None}]}
    )
    assert to_dict(event)["data"] == {"a": ["0.5", {"b": None}]}


def test_what_is_masked_in_a_repr_is_written() -> None:
    sms = Sms(1, "123456", "Code 123456")
    assert "123456" not in repr(sms)
    assert to_dict(sms)["code"] == "123456"


def test_json_may_be_indented_and_may_hold_several() -> None:
    sms = Sms(1, text="é")
    assert to_json([]) == "[]"
    assert json.loads(to_json([sms, sms])) == [to_dict(sms)] * 2
    assert to_json(sms, indent=2).startswith('{\n  "order_id": 1,')
    assert "é" in to_json(sms)


@pytest.mark.parametrize("value", [None, {}, "text", object(), [Sms(1)]])
def test_what_is_no_model_is_refused(value: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^model: expected a model of smscode, got "):
        to_dict(value)


def test_importing_the_package_imports_no_pydantic() -> None:
    script = "import sys, smscode; sys.exit('pydantic' in sys.modules or 'pydantic_core' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], timeout=60).returncode == 0
    assert smscode.to_dict is to_dict


# Sequences


def test_what_holds_rows_is_a_sequence_of_them() -> None:
    first, second = CreatedOrder(id=1), CreatedOrder(id=2)
    for whole in (CreatedOrders((first, second), 0), BulkResult((first, second), 0, (), ())):
        assert (whole[0], whole[-1], whole[:1]) == (first, second, (first,))
        assert (len(whole), list(whole), list(reversed(whole))) == (2, [first, second], [second, first])
        assert second in whole
    with pytest.raises(IndexError):
        CreatedOrders((), 1)[0]
    product = Product(142, 5, Money.idr(15_000), active=True)
    page = ProductPage((product,), page=1, limit=10, count=1)
    assert (page[0], page.count) == (product, 1)
    assert to_dict(page) == {**to_dict(page), "items": [to_dict(product)]}
