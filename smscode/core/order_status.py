"""Whether an order has ended, also in a state that this package does not know."""

from __future__ import annotations

from datetime import datetime

from ..models import ActiveOrder, Order, OrderStatus
from .waiting.codes import compare_times

_STATUSES = {status.value.casefold(): status for status in OrderStatus}
_TERMINAL = frozenset(status for status in OrderStatus if status.terminal)


def known_status(status: OrderStatus | str | None) -> OrderStatus | None:
    """Return the status, in whatever case it is written; None if it is unknown."""
    if isinstance(status, OrderStatus) or status is None:
        return status
    return _STATUSES.get(status.casefold())


def is_over(status: OrderStatus | str | None) -> bool:
    """Return True if an order with this status has ended."""
    return known_status(status) in _TERMINAL


def has_ended(order: ActiveOrder | Order, now: datetime | None) -> bool:
    """Return True if an order has ended. ``now`` is the service's date, None if it is not known.

    An order with an unknown status has ended if it was cancelled or has expired. An `ActiveOrder` with an
    unknown status has not: the service lists it as active.
    """
    known = known_status(order.status)
    if known is not None:
        return known in _TERMINAL
    if not isinstance(order, Order):
        return False
    return order.canceled_at is not None or compare_times(now, order.expires_at) > 0
