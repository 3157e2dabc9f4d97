"""The statistics of orders, without a service: sums, times and intervals."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any

import pytest

from smscode import InvalidArgumentError, Money, Order
from smscode.core.statistics import OfferStats, StatsBuilder, wilson_interval

NOW = datetime(2026, 6, 14, 4, 0, 12, tzinfo=UTC)


def order(**fields: Any) -> Order:
    usual: dict[str, Any] = {
        "id": 1,
        "status": "COMPLETED",
        "otp_code": "1234",
        "otp_received_at": NOW,
        "expires_at": NOW + timedelta(minutes=20),
        "failed_reason": None,
        "created_at": NOW - timedelta(seconds=10),
        "product_id": 142,
        "catalog_product_id": 87,
        "amount": Money.idr(100),
        "phone_number": None,
        "canceled_at": None,
    }
    return Order(**{**usual, **fields})


def stats(*orders: Order, now: datetime = NOW) -> OfferStats:
    built = StatsBuilder()
    for one in orders:  # in portions of one
        assert built.add([one], now)
    (found,) = built.offers()
    return found


def test_an_offer_is_what_its_numbers_cost_and_brought() -> None:
    found = stats(
        order(created_at=NOW - timedelta(seconds=30)),
        order(created_at=NOW - timedelta(seconds=10)),
        order(status="ACTIVE", otp_code=None, amount=Money.idr(50)),
        order(status="EXPIRED", otp_code=None, amount=Money.idr(70)),
    )
    assert (found.catalog_product_id, found.product_id) == (87, None)
    assert (found.numbers, found.codes, found.waiting, found.success_rate) == (4, 2, 1, 2 / 3)
    assert (found.success_low, found.success_high) == pytest.approx((0.2077, 0.9385), abs=5e-5)
    assert (found.median_seconds, found.p90_seconds) == (20, 30)
    assert (found.charged, found.refunded) == (Money.idr(320), Money.idr(70))
    assert found.cost_per_code is not None
    assert (found.cost_per_code.amount, found.cost_per_code.canonical_amount) == (Decimal(100), 100)


def test_a_time_before_now_may_be_of_any_length_and_none() -> None:
    assert StatsBuilder(timedelta(seconds=10)).add([order()], NOW)
    assert not StatsBuilder(timedelta(seconds=9)).add([order()], NOW)
    assert not StatsBuilder(timedelta(0)).add([order()], NOW)
    assert not StatsBuilder(timedelta(days=9)).add([order(created_at=None)], NOW)
    with pytest.raises(InvalidArgumentError, match=r"\Asince: expected a timedelta that is not negative"):
        StatsBuilder(timedelta(seconds=-1))


def test_the_ninetieth_percentile_is_a_time_that_was_measured() -> None:
    def p90(count: int) -> float | None:
        times = [order(created_at=NOW - timedelta(seconds=second)) for second in range(1, count + 1)]
        return stats(*times).p90_seconds

    assert [p90(count) for count in (1, 9, 10, 11, 20, 100)] == [1, 9, 9, 10, 18, 90]


def test_the_median_of_an_even_number_is_between_both() -> None:
    assert stats(order(created_at=NOW), order(created_at=NOW - timedelta(seconds=5))).median_seconds == 2.5


def test_orders_from_before_a_date_are_left_out() -> None:
    built = StatsBuilder(NOW - timedelta(seconds=5))
    assert built.add([order(), order(created_at=NOW - timedelta(seconds=5))], NOW)
    assert not built.add([order()], NOW)
    assert [one.numbers for one in built.offers()] == [1]


def test_offers_with_as_many_numbers_are_sorted_by_their_ids() -> None:
    built = StatsBuilder()
    offers = ((None, 9), (5, 3), (None, 7), (1, 8), (87, 2), (87, 1))
    built.add([order(catalog_product_id=known, product_id=other) for known, other in offers], NOW)
    assert [(one.catalog_product_id, one.product_id, one.numbers) for one in built.offers()] == [
        (87, None, 2),
        (None, 7, 1),
        (None, 9, 1),
        (1, None, 1),
        (5, None, 1),
    ]


def test_times_that_are_missing_or_run_backwards_are_no_harm() -> None:
    missing = stats(order(created_at=None), order(otp_received_at=None))
    assert (missing.codes, missing.median_seconds, missing.p90_seconds) == (2, None, None)
    assert stats(order(created_at=NOW + timedelta(seconds=9))).median_seconds == 0


def test_a_status_counts_in_any_case_and_an_unknown_one_by_its_date() -> None:
    assert stats(order(status="canceled", otp_code=None)).refunded == Money.idr(100)
    unknown = order(status="LOST", otp_code=None)
    assert stats(unknown).waiting == 1
    assert stats(unknown, now=NOW + timedelta(hours=1)).waiting == 0


def test_a_half_rupiah_is_rounded_up() -> None:
    found = stats(order(amount=Money.idr(101)), order(amount=Money.idr(100)))
    assert found.cost_per_code == Money.idr(101)
    assert found.cost_per_code is not None
    assert found.cost_per_code.amount == 101


def test_sums_are_exact_whatever_the_context_of_the_caller() -> None:
    price = Money(Decimal("123456.7891"), "USD", 2_000_000_123)
    with localcontext() as context:
        context.prec = 3
        found = stats(order(amount=price), order(amount=price), order(amount=price, status="EXPIRED"))
    assert (found.charged.amount, found.charged.canonical_amount) == (Decimal("370370.3673"), 6_000_000_369)
    assert str(found.refunded) == "$123,456.7891"
    assert found.cost_per_code is not None
    assert found.cost_per_code.amount == Decimal("82304.5261"), "246913.5782 / 3"


@pytest.mark.parametrize(
    ("codes", "numbers", "low", "high"),
    # Newcombe, Two-sided confidence intervals for the single proportion, 1998: the examples of its method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_is_that_of_wilson(codes: int, numbers: int, low: float, high: float) -> None:
    assert wilson_interval(codes, numbers) == pytest.approx((low, high), abs=5e-5)
    assert 0 <= wilson_interval(codes, numbers)[0] <= wilson_interval(codes, numbers)[1] <= 1


@pytest.mark.parametrize("numbers", [11, 21, 33, 37, 50])
def test_the_interval_has_no_limit_outside_of_0_to_1_by_rounding(numbers: int) -> None:
    assert wilson_interval(0, numbers)[0] >= 0
    assert wilson_interval(numbers, numbers)[1] <= 1
