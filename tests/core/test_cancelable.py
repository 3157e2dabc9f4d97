"""When an order can be cancelled, whatever dates the service sends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import attrs
import pytest

from smscode import CancelTooEarlyError
from smscode.core.order_endings import name_time, seconds_until_cancelable

from .test_open_rentals import NOW, ORDER

WEST = timezone(timedelta(hours=-12))


@pytest.mark.parametrize(
    ("created_at", "available_at", "seconds"),
    [
        (NOW, None, 121),
        (None, None, 121),
        (NOW - timedelta(hours=1), None, 1),
        (NOW, NOW + timedelta(seconds=9), 10),
        (NOW, NOW - timedelta(seconds=9), 1),
        (datetime.min.replace(tzinfo=UTC), None, 1),
        (NOW, datetime.min.replace(tzinfo=timezone(timedelta(hours=14))), 1),
    ],
)
def test_an_order_can_be_cancelled_two_minutes_after_it_was_made_or_when_the_service_says(
    created_at: datetime | None, available_at: datetime | None, seconds: float
) -> None:
    order = attrs.evolve(ORDER, created_at=created_at, cancel_available_at=available_at)
    assert seconds_until_cancelable(order, NOW) == seconds


@pytest.mark.parametrize("zone", [UTC, WEST])
def test_a_date_to_which_nothing_can_be_added_is_only_far_away(zone: timezone) -> None:
    last = datetime.max.replace(tzinfo=zone)
    for order in (attrs.evolve(ORDER, created_at=last), attrs.evolve(ORDER, cancel_available_at=last)):
        assert seconds_until_cancelable(order, NOW) > 1e11


@pytest.mark.parametrize(
    ("available_at", "text", "seconds"),
    [
        (None, "Order 7 can be cancelled in 71 s.", 71),
        (
            NOW + timedelta(seconds=9),
            "Order 7 can be cancelled in 10 s, from 2026-06-14T04:00:21+00:00 on.",
            10,
        ),
    ],
)
def test_the_error_of_a_cancel_that_is_too_early_says_when_it_will_be_possible(
    available_at: datetime | None, text: str, seconds: float
) -> None:
    order = attrs.evolve(ORDER, created_at=NOW - timedelta(seconds=50), cancel_available_at=available_at)
    error = CancelTooEarlyError("Too early.", retry_after=3)
    assert name_time(error, order, NOW) == error.retry_after == seconds
    assert error.message == f"Too early. {text}"
