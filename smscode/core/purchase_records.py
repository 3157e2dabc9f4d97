"""What is stored of a purchase, and the only ways in which that changes (design of purchases, rules 1 to 6).

A `Record` is one row of a journal. A `Step` is a pure function from the record as it is stored, or None,
to the record that takes its place and a result; a journal applies steps one after the other and stores
what they return, so no rule about money lives in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import TypeAlias, TypeVar

from attrs import evolve, field, frozen

from ..errors import ClientStateError, InvalidArgumentError, PurchaseTooOldError
from .intents import OrderIntent

R = TypeVar("R")

FUTURE = 60.0
"""Seconds by which a clock may have been set back: an age below minus that is not believed."""


class State(StrEnum):
    """How far a stored purchase got. Whether its caller has the orders is `Record.handed_at`."""

    WRITTEN = "written"
    """Its first byte may have left; what became of it is not known."""
    BOUGHT = "bought"
    """The service answered with its orders, or with none."""
    REFUSED = "refused"
    """The service answered that it bought nothing and will not, under this key."""
    WITHDRAWN = "withdrawn"
    """Its caller left, or was told so, before the first byte was sent."""


@frozen
class BoughtOrder:
    """An order of a purchase: times in seconds of the wall clock, money in canonical rupiah.

    ``charged`` and ``refunded`` are None where they are not known.
    """

    id: int
    expires_at: float | None = None
    charged: int | None = None
    refunded: int | None = None
    ended_at: float | None = None


@frozen(kw_only=True)
class Record:
    """A purchase as a journal stores it; all times are seconds of the wall clock, None if not yet.

    ``credential`` names the token it was written under, without showing it. ``cap`` is the most that the
    purchase can cost, in rupiah, None where the caller set no limit. ``open_until`` is when the last
    attempt had surely ended, None for a call without a time limit. A record is of a living purchase
    until ``closed_at``.
    """

    account: str
    credential: str
    intent: OrderIntent
    owner: str
    written_at: float
    state: State = State.WRITTEN
    cap: int | None = None
    open_until: float | None = None
    answered_at: float | None = None
    handed_at: float | None = None
    closed_at: float | None = None
    orders: tuple[BoughtOrder, ...] = field(default=())

    @property
    def open(self) -> bool:
        """Whether there is anything left to do about it."""
        return self.closed_at is None and self.state in (State.WRITTEN, State.BOUGHT)

    @property
    def charged(self) -> int:
        """The rupiah that were charged, as far as that is known."""
        return sum(order.charged or 0 for order in self.orders)

    @property
    def refunded(self) -> int:
        """The rupiah that were refunded, as far as that is known."""
        return sum(order.refunded or 0 for order in self.orders)

    def age(self, now: float) -> float:
        """Return the seconds since it was written, infinity if the clock was set back since then."""
        age = now - self.written_at
        return max(age, 0.0) if age >= -FUTURE else float("inf")


Living: TypeAlias = Callable[[str], bool]
"""Returns True if the journal of this owner is still open, in this process or another one."""

Step: TypeAlias = Callable[[Record | None, Living], tuple[Record | None, R]]
"""Returns the record to store, the same object if nothing changes, and a result. It may raise an error of
this package, and then nothing changes."""
