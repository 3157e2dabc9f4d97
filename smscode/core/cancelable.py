"""When an order that was too new to be cancelled can be."""

from __future__ import annotations

from datetime import datetime, timedelta

from ..models import Order

_WINDOW = timedelta(minutes=2)  # what the documentation states; newer servers state the time itself
_MARGIN = 1.0  # the service's times are whole seconds


def seconds_until(order: Order, now: datetime) -> float:
    """Return the seconds until the order can be cancelled; ``now`` is the service's own time."""
    # In seconds, not as a date: the service may send one to which nothing can be added.
    if order.cancel_available_at is not None:
        left = order.cancel_available_at - now
    else:
        left = (order.created_at or now) - now + _WINDOW
    return max(left.total_seconds(), 0.0) + _MARGIN
