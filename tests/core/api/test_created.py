"""The answer to a purchase: an order that exists is never lost to a field beside it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smscode import CreatedOrder, CreatedOrders, InvalidResponseError, Money, OrderStatus

from ..support import FX, KEY, error_of, read, respond, samples, success, usd

CREATED = [
    sample for sample in samples("success") if sample.operation in ("orders.create", "orders.reactivate")
]
GARBAGE: list[Any] = [None, True, False, -1, 1.5, "", "x", [], [1], {}, {"a": 1}, usd("-1", -1), usd("x", 1)]
FIELDS = sorted({field for sample in CREATED for field in sample.body["data"]["orders"][0]} - {"id"})


def created(body: dict[str, Any], operation: str = "orders.create", version: Any = "v2") -> CreatedOrders:
    result = read(operation, respond(body), version).data
    assert isinstance(result, CreatedOrders)
    return result


@pytest.mark.parametrize("field", FIELDS)
def test_one_bad_field_costs_that_field_only(field: str) -> None:
    for sample in CREATED:
        body = copy.deepcopy(sample.body)
        row = body["data"]["orders"][0]
        good = created(body, sample.operation, sample.version).orders[0]
        row[field] = {"no": "field is like this"}
        result = created(body, sample.operation, sample.version)
        (order,) = result.orders
        assert getattr(order, field) is None
        for name in row.keys() - {field}:
            assert getattr(order, name) == getattr(good, name)
        (problem,) = result.problems
        assert problem.startswith(f"$.data.orders[0].{field}")


@given(
    st.sampled_from(CREATED),
    st.dictionaries(st.sampled_from(FIELDS), st.sampled_from(GARBAGE), min_size=1),
    st.sets(st.sampled_from(FIELDS)),
    st.sampled_from([*GARBAGE, 0, 3]),
    st.sampled_from([*GARBAGE, {"fx": 5}, {"fx": {**FX, "rate": 0}}]),
)
def test_an_answer_that_holds_an_order_id_never_raises(
    sample: Any, changed: dict[str, Any], dropped: set[str], failed_count: Any, meta: Any
) -> None:
    body = copy.deepcopy(sample.body)
    row = body["data"]["orders"][0]
    row |= changed
    for field in dropped:
        row.pop(field, None)
    body["data"]["failed_count"] = failed_count
    body["meta"] = meta
    result = created(body, sample.operation, sample.version)
    assert [order.id for order in result] == [row["id"]]
    assert result.idempotency_key == KEY
    assert result.failed_count == (
        failed_count if failed_count in (0, 3) and failed_count is not False else 0
    )
    if type(failed_count) is int and failed_count >= 0:
        assert not any("failed_count" in problem for problem in result.problems)
    else:
        assert "$.data.failed_count: expected an integer of at least 0" in result.problems


def test_orders_that_can_be_read_are_not_lost_to_one_that_cannot() -> None:
    rows: list[Any] = [
        {"id": 1, "status": "ACTIVE"},
        {"id": "2"},
        None,
        [],
        {"status": "ACTIVE"},
        {"id": 3, "amount": []},
    ]
    result = created({"success": True, "data": {"orders": rows, "failed_count": 0}})
    assert result.orders == (CreatedOrder(id=1, status=OrderStatus.ACTIVE), CreatedOrder(id=3))
    assert result.problems == (
        "$.data.orders[1].id: expected an integer, got a string",
        "$.data.orders[2]: expected an object, got null",
        "$.data.orders[3]: expected an object, got an array",
        "$.data.orders[4].id: the field 'id' is missing",
        "$.data.orders[5].amount: expected an object, got an array",
    )


def test_a_negative_amount_is_dropped_and_the_order_kept() -> None:
    data = {"orders": [{"id": 1, "amount": -5, "product_id": 142}], "failed_count": 0}
    result = read("orders.create", success(data), "v1").data
    assert result.orders == (CreatedOrder(id=1, product_id=142),)
    assert result.problems == ("$.data.orders[0]: amount: expected no negative amount",)


def test_a_rate_that_cannot_be_read_costs_the_rate_only() -> None:
    data = {"orders": [{"id": 1, "amount": usd("0.9231", 15000)}], "failed_count": 0}
    answer = read("orders.create", success(data, fx={**FX, "rate": "16250"}))
    assert answer.fx is answer.data.fx is None
    assert answer.data.orders[0].amount == Money.idr(15000)
    assert answer.data.problems == ("$.meta.fx.rate: expected an integer, got a string",)


@pytest.mark.parametrize("failed_count", [-1, -5, True, 1.0, "3", None, [], {}])
def test_a_count_of_failures_that_is_none_is_a_problem_and_zero(failed_count: object) -> None:
    data = {"orders": [{"id": 1}], "failed_count": failed_count}
    result = created({"success": True, "data": data})
    assert (result.failed_count, [order.id for order in result]) == (0, [1])
    assert result.problems == ("$.data.failed_count: expected an integer of at least 0",)


def test_an_answer_with_no_order_in_it_is_just_that() -> None:
    result = created({"success": True, "data": {"orders": [], "failed_count": 2}})
    assert (result.orders, result.failed_count, result.problems) == ((), 2, ())


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (None, "$.data.orders: expected an array of orders"),
        ([{"id": 1}], "$.data.orders: expected an array of orders"),
        ({}, "$.data.orders: expected an array of orders"),
        ({"orders": None, "failed_count": 0}, "$.data.orders: expected an array of orders"),
        ({"orders": {"id": 1}}, "$.data.orders: expected an array of orders"),
        ({"orders": "123"}, "$.data.orders: expected an array of orders"),
        ({"orders": [{"id": None}]}, "$.data.orders[0].id: expected an integer, got null"),
        ({"orders": [{"id": 1.0}, 5]}, "$.data.orders[0].id: expected an integer, got a number"),
        ({"orders": [{"id": True}]}, "$.data.orders[0].id: expected an integer, got a boolean"),
        ({"orders": ["1"]}, "$.data.orders[0]: expected an object, got a string"),
    ],
)
def test_orders_that_were_announced_without_a_single_id_are_not_passed_over(data: Any, problem: str) -> None:
    error = error_of("orders.create", success(data))
    assert type(error) is InvalidResponseError
    assert (error.message, error.outcome) == (f"{problem}.", "unknown")
