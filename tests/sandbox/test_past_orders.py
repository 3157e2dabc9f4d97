"""The orders that an account begins with: drawn from the seed, over and paid for."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from smscode.errors import InvalidArgumentError
from smscode.sandbox import Sandbox

from .harness import START, Api

THIRTY_DAYS = timedelta(days=30)


def rows(api: Api) -> list[Any]:
    found: list[Any] = []
    while page := api.get("/orders", limit=100, offset=len(found)):
        found += page
    return found


def test_they_are_orders_of_the_last_thirty_days_that_have_ended_newest_first() -> None:
    api = Api(past_orders=1_000)
    found = rows(api)
    assert [row["id"] for row in found] == list(range(2_000, 1_000, -1))
    times = [datetime.fromisoformat(row["created_at"]) for row in found]
    assert times == sorted(times, reverse=True)
    assert START - THIRTY_DAYS - timedelta(seconds=1) <= times[-1]
    assert all(datetime.fromisoformat(row["expires_at"]) <= START for row in found)
    assert api.get("/orders/active") == []
    assert len({row["phone_number"] for row in found}) == 1_000


def test_they_are_of_several_offers_and_ended_in_every_way() -> None:
    found = rows(Api(past_orders=1_000))
    statuses = Counter(row["status"] for row in found)
    assert statuses.keys() == {"COMPLETED", "CANCELED", "EXPIRED"}
    assert min(statuses.values()) > 50
    assert len({row["catalog_product_id"] for row in found}) > 30
    for row in found:
        assert (row["otp_message"] is not None) == (row["status"] == "COMPLETED")
        assert (row["canceled_at"] is not None) == (row["status"] == "CANCELED")
        assert (row["failed_reason"] == "NoSms") == (row["status"] == "EXPIRED")
    assert {row["status"] for row in found if row["otp_message"] and not row["otp_code"]} == {"COMPLETED"}


def test_the_money_adds_up_and_the_balance_is_as_given() -> None:
    api = Api(past_orders=500, balance=7)
    assert api.get("/balance")["balance"] == api.sandbox.balance == 7
    found = api.sandbox.audit()
    assert found.discrepancies == ()
    assert (found.closing_balance, found.held) == (7, 0)
    times = [movement.at for movement in api.sandbox.ledger]
    assert times == sorted(times)


def test_the_same_seed_has_the_same_past() -> None:
    assert rows(Api(past_orders=200, seed=4)) == rows(Api(past_orders=200, seed=4))
    assert rows(Api(past_orders=200, seed=4)) != rows(Api(past_orders=200, seed=5))


def test_new_orders_follow_and_a_reset_brings_the_past_back() -> None:
    api = Api(past_orders=30)
    before = rows(api)
    assert api.rent() == [1_031]
    assert [row["id"] for row in rows(api)][:2] == [1_031, 1_030]
    assert api.get("/orders", limit=1, offset=1)[0]["id"] == 1_030
    api.sandbox.reset()
    assert rows(api) == before


def test_a_short_life_leaves_room_for_codes_only_while_it_lasts() -> None:
    found = rows(Api(past_orders=300, lifetime=20))
    assert {row["status"] for row in found} == {"COMPLETED", "EXPIRED"}, "too short to be cancelled"
    for row in found:
        if row["otp_received_at"] is not None:
            assert row["created_at"] <= row["otp_received_at"] <= row["expires_at"]


def test_they_are_kept_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.json"
    with Sandbox(past_orders=50, state=path, clock=lambda: START) as sandbox:
        ledger = sandbox.ledger
    with Sandbox(state=path, clock=lambda: START) as sandbox:
        assert len(sandbox.transport().app.world.orders) == 50
        assert sandbox.ledger == ledger
        assert sandbox.audit().discrepancies == ()


@pytest.mark.parametrize("count", [-1, 1.5, True, "10"])
def test_a_wrong_number_of_them_is_refused(count: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^past_orders: expected an int of at least 0"):
        Sandbox(past_orders=count)
