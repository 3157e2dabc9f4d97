"""More numbers than one call may rent: how they are split, and what came of it."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smscode import (
    CreatedOrder,
    CreatedOrders,
    InvalidArgumentError,
    NetworkError,
    OrderIntent,
    SmscodeError,
    calls,
)
from smscode.core.purchases.bulk import bought, collect, keys, split

from ..support import NOT_INTEGERS


@given(st.integers(1, 10_000))
def test_the_calls_add_up_to_the_count(count: int) -> None:
    parts = split(count, None)
    quantities = [quantity for quantity, _ in parts]
    assert sum(quantities) == count
    assert quantities[:-1] == [100] * (len(parts) - 1)
    assert 1 <= quantities[-1] <= 100
    assert {key for _, key in parts} == {None}


def test_each_call_has_a_key_of_its_own() -> None:
    assert split(201, "mine") == [(100, "mine-1"), (100, "mine-2"), (1, "mine-3")]
    assert split(1, "mine") == [(1, "mine-1")], "a larger count later begins with the same keys"


@pytest.mark.parametrize(("count", "room"), [(1, 126), (900, 126), (901, 125), (9_900, 125), (9_901, 124)])
def test_a_key_that_has_no_room_for_a_number_is_refused(count: int, room: int) -> None:
    longest = split(count, "k" * room)[-1][1]
    assert longest is not None
    assert len(longest) == 128
    said = rf"\Aidempotency_key: expected 1\.\.{room} characters, to number them\.\Z"
    with pytest.raises(InvalidArgumentError, match=said):
        split(count, "k" * (room + 1))


@pytest.mark.parametrize("count", [0, -1, 10_001, *NOT_INTEGERS])
def test_a_senseless_count_is_refused(count: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"\Acount: expected"):
        split(count, None)


@pytest.mark.parametrize("key", ["", "a b", "ä", 5, b"key"])
def test_a_senseless_key_is_refused(key: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"\Aidempotency_key: expected"):
        split(1, key)


def intent(key: str) -> OrderIntent:
    return OrderIntent.of(calls.orders.create(product_id=1, idempotency_key=key), "v2")


def test_the_results_are_put_together_in_the_order_of_the_calls() -> None:
    intents = intent("a"), intent("b"), intent("c"), intent("d")
    error = NetworkError("lost", outcome="unknown", idempotency_key="b")
    results: dict[OrderIntent, CreatedOrders | SmscodeError] = {
        intents[2]: CreatedOrders((CreatedOrder(id=3),), 4),
        intents[1]: error,
        intents[0]: CreatedOrders((CreatedOrder(id=1), CreatedOrder(id=2)), 0),
        intents[3]: CreatedOrders((), 5),
    }
    assert bought(results) == [intents[2], intents[0]]
    done = collect(250, intents, results)
    assert ([order.id for order in done], len(done)) == ([1, 2, 3], 3)
    assert (done.failed_count, done.errors, done.intents) == (247, (error,), intents)
    assert pickle.loads(pickle.dumps(done)).orders == done.orders


def test_a_service_that_gives_more_than_asked_for_failed_nothing() -> None:
    created = CreatedOrders((CreatedOrder(id=1), CreatedOrder(id=2)), 0)
    done = collect(1, (intent("a"),), {intent("a"): created})
    assert (len(done), done.failed_count) == (2, 0)


def test_all_keys_that_the_calls_for_a_key_can_use_are_known_before_they_are_made() -> None:
    assert keys(None) == [None]
    used = [key for _, key in split(10_000, "sale")]
    assert keys("sale") == used
    assert used[0] == "sale-1"
