"""Whether an order has ended, also in a state that this package does not know."""

from __future__ import annotations

from datetime import datetime

from ..models import ActiveOrder, Order, OrderStatus
from .waiting.codes import compare_times

_STATUSES = {status.value.casefold(): status for status in OrderStatus}


def known_status(status: OrderStatus | str | None) -> OrderStatus | None:
    """Return the status, whatever case the service writes it in; None for one that is not known."""
    if isinstance(status, OrderStatus) or status is None:
        return status
    return _STATUSES.get(status.casefold())


def is_over(status: OrderStatus | str | None) -> bool:
    """Return True if an order with this status has ended."""
    known = known_status(status)
    return known is not None and known.terminal


def has_ended(order: ActiveOrder | Order, now: datetime | None) -> bool:
    """Return True if an order has ended; ``now`` is the service's date, None where it is not known.

    One whose status is not known has ended when it was cancelled or its time is over. That is not said of an
    `ActiveOrder`: the service counts it among the active ones.
    """
    known = known_status(order.status)
    if known is not None:
        return known.terminal
    if not isinstance(order, Order):
        return False
    return order.canceled_at is not None or compare_times(now, order.expires_at) > 0
