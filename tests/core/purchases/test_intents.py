"""Purchases as they are frozen, and the ban of an account."""

from __future__ import annotations

import copy
import pickle

import pytest

from smscode import InvalidArgumentError, calls
from smscode.core.purchases.intents import OrderIntent
from smscode.core.ratelimit.ban import Ban
from smscode.errors import TempBannedError


def intent(key: str = "key-1", quantity: int = 1) -> OrderIntent:
    call = calls.orders.create(catalog_product_id=87, quantity=quantity, idempotency_key=key)
    return OrderIntent.of(call, "v2")


def test_an_intent_sends_the_bytes_and_the_key_it_was_made_of() -> None:
    call = calls.orders.create(catalog_product_id=87, max_price="0.5", idempotency_key="key-1")
    assert OrderIntent.of(call, "v2").call.request("v2") == call.request("v2")


def test_a_reactivation_is_an_intent_too() -> None:
    call = calls.orders.reactivate(1001, idempotency_key="key-1")
    assert OrderIntent.of(call, "v1").call.request("v1") == call.request("v1")


def test_an_intent_only_fits_the_version_it_was_made_for() -> None:
    with pytest.raises(InvalidArgumentError, match="made by a client of API v2, and this one speaks v1"):
        intent().call.request("v1")


def test_an_intent_can_be_kept_and_copied() -> None:
    assert pickle.loads(pickle.dumps(intent())) == intent() == copy.deepcopy(intent())


def test_a_frozen_body_is_not_shown() -> None:
    assert "request" not in repr(intent())
    assert "body" not in repr(intent())


def test_a_purchase_shows_what_it_asks_for() -> None:
    capped = OrderIntent.of(calls.orders.create(product_id=1, quantity=3, max_price="0.5"), "v2")
    assert (capped.quantity, capped.capped) == (3, True)
    assert capped.fields == {"product_id": 1, "quantity": 3, "max_price": "0.5"}
    assert (intent().quantity, intent().capped, intent().call.idempotency_key) == (1, False, "key-1")


def test_a_reactivation_is_of_one_number() -> None:
    again = OrderIntent.of(calls.orders.reactivate(1001, max_price=7_000), "v1")
    assert (again.operation, again.quantity, again.capped, again.cap(None)) == (
        *("orders.reactivate", 1, True, 7_000),
    )


def test_orders_are_the_same_whatever_their_keys() -> None:
    assert intent("a").same_order(intent("b"))
    assert not intent("a").same_order(intent("a", quantity=2))
    call = calls.orders.create(catalog_product_id=87, idempotency_key="a")
    assert not OrderIntent.of(call, "v1").same_order(OrderIntent.of(call, "v2"))


def test_two_purchases_have_two_keys() -> None:
    keys = {calls.orders.create(catalog_product_id=87).idempotency_key for _ in range(100)}
    assert len(keys) == 100


def banned(seconds: float | None) -> TempBannedError:
    return TempBannedError(
        "paused",
        code="TEMP_BANNED_ABUSE_GUARD",
        status_code=429,
        details=[{"hint": "wait"}],
        request_id="request-1",
        retry_after=seconds,
        attempts=1,
    )


def test_a_ban_holds_until_its_time_is_over() -> None:
    ban = Ban()
    assert ban.error(0) is None
    ban.note(banned(60), 0)
    refused = ban.error(50)
    assert refused is not None
    assert (refused.retry_after, refused.outcome, refused.attempts) == (10, "not_sent", 0)
    assert (refused.message, refused.code, refused.status_code) == ("paused", "TEMP_BANNED_ABUSE_GUARD", 429)
    assert (refused.details, refused.request_id) == ([{"hint": "wait"}], "request-1")
    assert ban.error(60) is None


def test_a_shorter_ban_does_not_lift_a_longer_one() -> None:
    ban = Ban()
    ban.note(banned(60), 0)
    ban.note(banned(1), 0)
    ban.note(banned(None), 0)
    assert isinstance(ban.error(59), TempBannedError)


def test_a_longer_ban_prolongs_a_shorter_one() -> None:
    ban = Ban()
    ban.note(banned(60), 0)
    ban.note(banned(100), 10)
    refused = ban.error(109)
    assert refused is not None
    assert refused.retry_after == 1
    assert ban.error(110) is None
