"""The suppliers: their behaviour towards a purchase and its orders, and their success rates.

Behaviours are plain values, chosen by scenarios or for all purchases; an order keeps the one that it was
bought with.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Final, Literal, TypeAlias

from attrs import evolve, field, fields, frozen

from ..http.api_error import Problem

Cause: TypeAlias = Literal[
    "ok",
    "no_numbers",
    "insufficient_balance",
    "price_rejected",
    "provider_unavailable",
    "provider_account_balance",
    "provider_error",
]
"""A supplier's answer; the names are the service's, in the details of a ``PROVIDER_ERROR``."""


DAYS: Final = 30
"""The number of complete calendar days, in UTC, that a rate covers."""
FEWEST_ORDERS: Final = 20
"""With fewer orders in those days a supplier has no rate."""


@frozen
class Message:
    """An SMS that arrives ``after`` seconds.

    ``code`` is the code that the service finds in ``text``, None for no code. Without ``text`` the usual
    text is sent, with ``code`` or a new code in it.
    """

    after: float
    text: str | None = None
    code: str | None = None


@frozen(kw_only=True)
class Behaviour:
    """How the suppliers treat a purchase and its orders.

    ``messages`` arrive after the purchase and again after each resend; None for the sandbox's usual
    one. The purchase ``takes`` seconds to settle. ``outcome`` is the answer of every supplier to it,
    ``outcomes`` that of single suppliers by their code; ``at_most`` is the number of numbers they have in
    total. With ``sold_out`` no supplier has numbers, although the catalogue still shows them. ``problem`` is
    the error that the purchase fails with. ``cancel`` and ``resend`` are the answers to these requests.
    An order expires after ``lifetime`` seconds, and cannot be cancelled before ``cancel_after``; None for
    the sandbox's usual ones. With the probability ``dead`` a number gets no SMS at all; with the probability
    ``late`` it gets one after ``late_after`` seconds instead of its messages.
    """

    messages: tuple[Message, ...] | None = None
    takes: float = 0.0
    outcome: Cause = "ok"
    outcomes: Mapping[str, Cause] = field(factory=dict[str, Cause])
    at_most: int | None = None
    sold_out: bool = False
    problem: Problem | None = None
    cancel: Cause = "ok"
    resend: Cause = "ok"
    lifetime: float | None = None
    cancel_after: float | None = None
    dead: float = 0.0
    late: float = 0.0
    late_after: float = 0.0

    def answer(self, provider: str) -> Cause:
        """Return a supplier's answer to the purchase."""
        return "no_numbers" if self.sold_out else self.outcomes.get(provider, self.outcome)

    def refined(self, narrower: Behaviour) -> Behaviour:
        """Return this behaviour, changed by every field of a narrower one that is not at its default."""
        if narrower == USUAL:
            return self
        names = [attribute.name for attribute in fields(Behaviour)]
        found = {name: getattr(narrower, name) for name in names}
        return evolve(self, **{name: value for name, value in found.items() if value != getattr(USUAL, name)})


USUAL = Behaviour()
"""Every request succeeds, and the SMS arrives after the sandbox's ``otp_after``."""


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
