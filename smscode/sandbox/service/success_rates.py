"""The suppliers' success rates, by which the policy ``best_success`` ranks them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

DAYS: Final = 30
"""The number of complete calendar days, in UTC, that a rate covers."""
FEWEST_ORDERS: Final = 20
"""With fewer orders in those days a supplier has no rate."""


class SuccessRates:
    """The orders of each supplier, and those among them that got a code, by the day of the order.

    ``days`` maps a supplier's code and a day's ordinal to both numbers.
    """

    def __init__(self) -> None:
        self.days: dict[tuple[str, int], tuple[int, int]] = {}

    def add(self, provider: str, day: date, orders: int, with_code: int) -> None:
        """Count orders of a day, and orders of that day that got a code."""
        key = (provider, day.toordinal())
        before = self.days.get(key, (0, 0))
        self.days[key] = (before[0] + orders, before[1] + with_code)

    def tenths(self, provider: str, now: datetime) -> int | None:
        """Return a supplier's share of orders with a code in tenths, 0..10; None with too few orders."""
        today = now.toordinal()
        found = [self.days.get((provider, day), (0, 0)) for day in range(today - DAYS, today)]
        orders = sum(ordered for ordered, _ in found)
        if orders < FEWEST_ORDERS:
            return None
        return 10 * sum(with_code for _, with_code in found) // orders
