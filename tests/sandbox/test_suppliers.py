"""Suppliers: how well they do, what they answer, which messages they bring."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smscode.sandbox import Behaviour, Message
from smscode.sandbox.service.suppliers import SuccessRates

from .harness import START, Api

TODAY = START.date()


def record(*days: tuple[int, int, int]) -> SuccessRates:
    """Make the record of a supplier: days ago, orders, and those of them with a code."""
    record = SuccessRates()
    for ago, orders, with_code in days:
        record.add("alpha", TODAY - timedelta(days=ago), orders, with_code)
    return record


@pytest.mark.parametrize(
    ("days", "step"),
    [
        ([(1, 20, 18)], 9),
        ([(1, 19, 19)], None),  # too few
        ([(1, 10, 10), (30, 10, 0)], 5),
        ([(1, 10, 10), (31, 10, 0)], None),  # the second is too old
        ([(0, 100, 100), (1, 20, 0)], 0),  # today is not complete
        ([(2, 100, 99)], 9),
        ([(2, 100, 100)], 10),
        ([(2, 100, 9)], 0),
        ([], None),
    ],
)
def test_the_score_counts_thirty_complete_days_in_steps_of_ten_percent(
    days: list[tuple[int, int, int]], step: int | None
) -> None:
    assert record(*days).tenths("alpha", START) == step


@given(st.integers(20, 10_000), st.data())
def test_a_step_is_the_share_in_tenths_rounded_down(orders: int, data: st.DataObject) -> None:
    with_code = data.draw(st.integers(0, orders))
    step = record((5, orders, with_code)).tenths("alpha", START)
    assert step is not None
    assert step * orders <= 10 * with_code < (step + 1) * orders


def products(api: Api, **wish: Any) -> list[int]:
    return [order["product_id"] for order in api.post("/orders/create", **wish)["orders"]]


def test_what_happens_in_the_sandbox_changes_the_ranking_on_the_next_day() -> None:
    api = Api(otp_after=None, abuse_guard=None, balance=10**9, lifetime=60)
    best: dict[str, Any] = {"catalog_product_id": 87, "policy": "best_success"}
    assert products(api, **best) == [143]  # beta: 91 of 100 on each day
    for _ in range(25):
        api.rent(100, product_id=143)
        api.sandbox.advance(60)
    assert products(api, **best) == [143]  # today does not count yet
    api.sandbox.advance(20 * 3600)
    # Beta is down to 49 %, gamma is at 97 %.
    assert products(api, **best) == [144]
    api.sandbox.advance(31 * 86_400)
    assert products(api, **best) == [142]  # nobody has a score any more, and alpha is the cheapest


def test_an_order_with_a_code_counts_once(version: str) -> None:
    api = Api(version, otp_after=None)
    (order_id,) = api.rent()
    counted = api.sandbox.transport().app.world.success_rates.days
    today = START.toordinal()
    assert counted["alpha", today] == (1, 0)
    api.sandbox.deliver_sms(order_id, text="no code")
    assert counted["alpha", today] == (1, 0)
    for _ in range(2):
        api.sandbox.deliver_sms(order_id)
        assert counted["alpha", today] == (1, 1)


# -- what they answer ------------------------------------------------------------------------


def test_some_numbers_may_be_there(api: Api) -> None:
    api.sandbox.set_behaviour(Behaviour(at_most=2))
    result = api.post("/orders/create", "k", product_id=142, quantity=5)
    assert (len(result["orders"]), result["failed_count"]) == (2, 3)
    assert api.sandbox.balance == 970_000
    assert api.post("/orders/create", "k", product_id=142, quantity=5) == result
    api.sandbox.set_behaviour(Behaviour(at_most=0))
    answer = api.refused("POST", "/orders/create", product_id=142, quantity=5)
    assert answer == (422, "PROVIDER_ERROR", {"cause_counts": {"no_numbers": 5}})


def test_a_supplier_that_refuses_is_passed_over(api: Api) -> None:
    api.sandbox.set_behaviour(Behaviour(outcomes={"alpha": "provider_unavailable"}))
    assert products(api, catalog_product_id=87) == [143]
    answer = api.refused("POST", "/orders/create", product_id=142, quantity=2)
    assert answer == (422, "PROVIDER_ERROR", {"cause_counts": {"provider_unavailable": 2}})


def test_a_routed_order_tells_each_attempt(api: Api) -> None:
    api.sandbox.set_behaviour(Behaviour(outcome="provider_error", outcomes={"beta": "price_rejected"}))
    answer = api.refused("POST", "/orders/create", "k", catalog_product_id=87)
    attempts = ["provider_error", "price_rejected", "provider_error"]
    assert answer == (422, "PROVIDER_ERROR", {"attempts": attempts})
    api.sandbox.set_behaviour(Behaviour())
    assert api.refused("POST", "/orders/create", "k", catalog_product_id=87) == answer
    assert api.sandbox.balance == 1_000_000


def test_a_supplier_may_refuse_a_cancel_which_changes_nothing(api: Api) -> None:
    api.sandbox.set_behaviour(Behaviour(messages=(), cancel="provider_unavailable"))
    (order_id,) = api.rent()
    api.sandbox.advance(120)
    answer = api.refused("POST", "/orders/cancel", id=order_id)
    assert answer == (422, "PROVIDER_ERROR", {"attempts": ["provider_unavailable"]})
    assert api.order(order_id)["status"] == "ACTIVE"
    assert api.sandbox.balance == 985_000


def test_a_supplier_may_refuse_a_resend(api: Api) -> None:
    api.sandbox.set_behaviour(Behaviour(resend="provider_error"))
    (order_id,) = api.rent()
    api.sandbox.advance(2)
    assert api.refused("POST", "/orders/resend", id=order_id)[:2] == (422, "PROVIDER_ERROR")
    assert api.order(order_id)["status"] == "OTP_RECEIVED"


def test_a_supplier_may_refuse_to_rent_a_number_again(api: Api) -> None:
    (order_id,) = api.rent()
    api.sandbox.advance(2)
    api.post("/orders/finish", id=order_id)
    api.sandbox.set_behaviour(Behaviour(outcome="no_numbers"))
    answer = (422, "PROVIDER_ERROR", {"attempts": ["no_numbers"]})
    assert api.refused("GET", f"/orders/{order_id}/reactivate-options") == answer
    assert api.refused("POST", "/orders/reactivate", "k", id=order_id) == answer
    api.sandbox.set_behaviour(Behaviour())
    assert api.refused("POST", "/orders/reactivate", "k", id=order_id) == answer
    assert api.post("/orders/reactivate", "new", id=order_id)


# -- which messages they bring ---------------------------------------------------------------


def test_messages_come_as_told_and_again_after_a_resend(api: Api) -> None:
    messages = (Message(20, "Your code is 22", "22"), Message(10, "Click here"))
    api.sandbox.set_behaviour(Behaviour(messages=messages))
    (order_id,) = api.rent()

    def seen() -> tuple[Any, ...]:
        order = api.order(order_id)
        return order["sms_revision"], order["otp_message"], order["otp_code"]

    assert seen() == (0, None, None)
    api.sandbox.advance(10)
    assert seen() == (1, "Click here", None)
    api.sandbox.advance(10)
    assert seen() == (2, "Your code is 22", "22")
    api.sandbox.set_behaviour(Behaviour())  # the order keeps the one that it was bought with
    api.sandbox.advance(10)
    api.post("/orders/resend", id=order_id)
    assert seen() == (2, "Your code is 22", "22")
    api.sandbox.advance(10)
    assert seen() == (3, "Click here", "22")
    api.sandbox.advance(1000)
    assert seen()[0] == 4


def test_two_messages_may_come_at_once(api: Api) -> None:
    api.sandbox.set_behaviour(Behaviour(messages=(Message(5), Message(5, "Welcome"))))
    (order_id,) = api.rent()
    api.sandbox.advance(5)
    order = api.order(order_id)
    assert (order["sms_revision"], order["otp_message"]) == (2, "Welcome")
    assert len(order["otp_code"]) == 6


def test_an_order_that_brought_nothing_says_so_when_it_is_read(api: Api) -> None:
    api.sandbox.set_behaviour(Behaviour(messages=()))
    created = api.post("/orders/create", "k", product_id=142)
    (order_id,) = (order["id"] for order in created["orders"])
    assert api.order(order_id)["failed_reason"] is None
    api.sandbox.advance(1200)
    assert api.order(order_id)["failed_reason"] == "NoSms"
    assert api.get("/orders")[0]["failed_reason"] == "NoSms"
    assert api.post("/orders/create", "k", product_id=142) == created
