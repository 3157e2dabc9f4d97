"""The rented numbers of a client that are not known to have been released."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_UNKNOWN_LIFE = timedelta(hours=24)  # for orders whose expiry could not be read
_FIRST_SWEEP = 64


class OpenRentals:
    """The numbers that rentals of a client hold, by order id.

    Every change is one operation of a dict, so that threads need no lock and an interrupt cannot leave
    it half done.
    """

    def __init__(self) -> None:
        self._ends: dict[int, tuple[datetime, bool]] = {}
        self._sweep_at = _FIRST_SWEEP

    def __len__(self) -> int:
        return len(self._ends)

    def __contains__(self, order_id: int) -> bool:
        return order_id in self._ends

    def add(self, order_id: int, expires_at: datetime | None, now: datetime) -> None:
        """Store a number that a rental holds. If its expiry is not known, keep it for a day from ``now``."""
        end = now + _UNKNOWN_LIFE if expires_at is None else expires_at
        if end.tzinfo is None:  # of an order that the caller made up
            end = end.replace(tzinfo=UTC)
        self._ends[order_id] = end, expires_at is not None
        if len(self._ends) >= self._sweep_at:
            # A program that leaves all its numbers to expire would fill the memory otherwise.
            for ended in [ended for ended, (end, _) in list(self._ends.items()) if end <= now]:
                self.remove(ended)
            self._sweep_at = max(_FIRST_SWEEP, 2 * len(self._ends))

    def remove(self, order_id: int) -> None:
        """Remove a number whose order has ended."""
        self._ends.pop(order_id, None)

    def learn(self, data: object, now: datetime | None) -> None:
        """Remove the number of an order that has ended according to an answer dated ``now``."""
        from ..models import CanceledOrder, FinishedOrder, Order
        from .order_status import has_ended, is_over

        if isinstance(data, Order):
            if has_ended(data, now):
                self.remove(data.id)
        elif isinstance(data, CanceledOrder | FinishedOrder) and is_over(data.status):
            self.remove(data.order_id)

    def warning(self, now: datetime) -> str | None:
        """Return the warning to log when the client closes, None if no number is open. Clears the list."""
        ends, self._ends = self._ends, {}
        left = [(order_id, end, sure) for order_id, (end, sure) in ends.items() if end > now]
        if not left:
            return None
        from .._display import first_of

        named = first_of([_named(*each) for each in left])
        count = "1 rented number" if len(left) == 1 else f"{len(left)} rented numbers"
        return (
            f"The client was closed with {count} still open: {named}. To give a number back use"
            " orders.attach(order_id) of a new client in a with block; otherwise its order expires and is"
            " refunded if no SMS came."
        )


def _named(order_id: int, end: datetime, sure: bool) -> str:
    return f"order {order_id} ({f'expires {_utc(end)}' if sure else 'expiry not known'})"


def _utc(at: datetime) -> str:
    try:
        return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    except OverflowError:  # at the ends of the calendar
        return at.isoformat(" ", "seconds")
