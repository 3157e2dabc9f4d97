"""The numbers that a client has still rented: what closing says of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import attrs
import pytest

from smscode import CanceledOrder, FinishedOrder, Money, Order, OrderStatus
from smscode.core.open_rentals import OpenRentals

NOW = datetime(2026, 6, 14, 4, 0, 12, tzinfo=UTC)
LATER = NOW + timedelta(minutes=20)
ORDER = Order(
    id=7,
    status=OrderStatus.ACTIVE,
    created_at=NOW,
    product_id=1,
    amount=Money.idr(15_000),
    phone_number=None,
    otp_code=None,
    otp_received_at=None,
    expires_at=LATER,
    canceled_at=None,
    failed_reason=None,
)


def holding(*order_ids: int, expires_at: datetime | None = LATER) -> OpenRentals:
    rentals = OpenRentals()
    for order_id in order_ids:
        rentals.add(order_id, expires_at, NOW)
    return rentals


def test_open_numbers_are_named_once_with_their_ends_in_utc() -> None:
    rentals = holding(7, 8, expires_at=LATER.astimezone(timezone(timedelta(hours=7))))
    assert rentals.warning(NOW) == (
        "The client was closed with 2 rented numbers still open: order 7 (expires 2026-06-14 04:20:12 UTC),"
        " order 8 (expires 2026-06-14 04:20:12 UTC). To give a number back use orders.attach(order_id) of a"
        " new client in a with block; otherwise its order expires and is refunded if no SMS came."
    )
    assert rentals.warning(NOW) is None


def test_nothing_is_said_of_numbers_whose_time_is_over() -> None:
    assert holding(7).warning(LATER) is None
    assert holding().warning(NOW) is None
    assert holding(7, expires_at=LATER.replace(tzinfo=None)).warning(LATER) is None


def test_a_number_whose_end_is_not_known_counts_for_a_day() -> None:
    text = holding(7, expires_at=None).warning(NOW + timedelta(hours=23))
    assert text is not None
    assert "1 rented number still open: order 7 (expiry not known)." in text
    assert holding(7, expires_at=None).warning(NOW + timedelta(hours=24)) is None


def test_of_very_many_numbers_only_some_are_named() -> None:
    text = holding(*range(1, 251)).warning(NOW)
    assert text is not None
    assert "250 rented numbers still open" in text
    assert "order 100 (" in text
    assert "order 101" not in text
    assert " and 150 more." in text


@pytest.mark.parametrize(
    ("answer", "left"),
    [
        (ORDER, True),
        (attrs.evolve(ORDER, status="NEW_STATUS"), True),
        (attrs.evolve(ORDER, status="CANCELLED", canceled_at=NOW), False),
        (attrs.evolve(ORDER, status="REFUNDED", expires_at=NOW - timedelta(seconds=1)), False),
        (attrs.evolve(ORDER, status="REFUNDED", expires_at=NOW + timedelta(seconds=1)), True),
        (attrs.evolve(ORDER, id=8, status=OrderStatus.EXPIRED), True),
        (attrs.evolve(ORDER, status=OrderStatus.EXPIRED), False),
        (CanceledOrder(7, OrderStatus.CANCELED, Money.idr(1), Money.idr(1)), False),
        (FinishedOrder(7, OrderStatus.COMPLETED), False),
        (FinishedOrder(8, OrderStatus.COMPLETED), True),
        (FinishedOrder(7, "completed"), False),
        (FinishedOrder(7, "FINISHING"), True),
        ("something else", True),
    ],
)
def test_an_answer_that_shows_an_order_to_have_ended_removes_it(answer: object, left: bool) -> None:
    rentals = holding(7)
    rentals.learn(answer, NOW)
    assert (7 in rentals) is left


def test_numbers_that_are_left_to_expire_do_not_pile_up() -> None:
    rentals = OpenRentals()
    now = NOW
    most = 0
    for order_id in range(1, 10_001):
        now += timedelta(seconds=10)
        rentals.add(order_id, now + timedelta(minutes=20), now)
        most = max(most, len(rentals))
    assert most <= 2 * 120 + 1, "120 are alive at a time"
    assert all(order_id in rentals for order_id in range(9_881, 10_001)), "and none of these is forgotten"


def test_an_end_that_has_no_date_in_utc_is_named_with_its_offset() -> None:
    last = datetime.max.replace(tzinfo=timezone(timedelta(hours=-12)))
    text = holding(7, expires_at=last).warning(NOW)
    assert text is not None
    assert "order 7 (expires 9999-12-31 23:59:59-12:00)" in text
