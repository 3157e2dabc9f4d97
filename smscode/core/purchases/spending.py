"""What an account may spend: the limit, what a purchase counts as, and the sums without a journal.

A purchase counts as its cap from before it is sent, as what was charged once it is bought, less what was
refunded. All amounts are canonical rupiah.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Final, Literal, TypeAlias

from attrs import field, frozen

from ...errors import InvalidArgumentError, SpendingLimitError
from ...money import FxRate, Money
from ..api.prices import Price, PriceLimit
from ..versions import VERSIONS, ApiVersion
from .records import BoughtOrder, PurchaseRecord, PurchaseState, PurchaseStep, R

HOUR: Final = 3600.0
"""Seconds for which a purchase counts towards ``per_hour``, from the service's answer."""

_LARGEST: Final = 2**62
_FIRST_SWEEP: Final = 1_000

Period: TypeAlias = Literal["total", "per_hour"]


def _limit(name: Period, value: Price | None) -> PriceLimit | None:
    return None if value is None else PriceLimit(name, value)


@frozen(kw_only=True)
class SpendingLimit:
    """The most that a client may spend, for ``AsyncClient(spending=...)`` and ``Client(spending=...)``.

    >>> client = AsyncClient(journal="orders.db", spending=SpendingLimit(per_hour="5.00"))

    ``total`` is for all purchases, ``per_hour`` for those of the last 3,600 seconds. Each is an int of rupiah
    (v1), a `Decimal` or string of dollars (v2), or a `Money` of either version. At least one is required.
    Dollars are converted once, at the first rate that the client sees.

    A purchase counts as its ``max_price`` times its quantity from before it is sent until it is answered,
    then as what was charged, less what was refunded. With a journal the limit counts all purchases that the
    journal has of the account, also of other processes and earlier runs; without one, those of this client.

    Raises `InvalidArgumentError` for anything else.
    """

    total: Price | None = None
    per_hour: Price | None = None

    def __attrs_post_init__(self) -> None:
        if self.total is None and self.per_hour is None:
            raise InvalidArgumentError("SpendingLimit: expected total, per_hour or both.")
        _limit("total", self.total)
        _limit("per_hour", self.per_hour)

    def check(self, version: ApiVersion) -> None:
        """Raise `InvalidArgumentError` for an amount in the currency of the other version."""
        for limit in (_limit("total", self.total), _limit("per_hour", self.per_hour)):
            if limit is not None and not isinstance(limit.value, Money):
                VERSIONS[version].write(limit, None)

    def in_rupiah(self, fx: FxRate | None) -> SpendingRule:
        """Return the limit in rupiah; ``fx`` is required for amounts in dollars."""
        total, hour = _limit("total", self.total), _limit("per_hour", self.per_hour)
        return SpendingRule(
            None if total is None else total.canonical(fx), None if hour is None else hour.canonical(fx)
        )


@frozen
class Spent:
    """The rupiah that the purchases of an account count as: all of them, and those of the last hour."""

    total: int = 0
    hour: int = 0


@frozen
class SpendingRule:
    """A limit in rupiah."""

    total: int | None = None
    per_hour: int | None = None

    def check(self, record: PurchaseRecord, spent: Spent) -> None:
        """Raise `SpendingLimitError` if a purchase that is to be written may exceed the limit."""
        cap = record.cap
        if cap is None:
            raise uncapped()
        for period, limit, used in (
            ("total", self.total, spent.total),
            ("per_hour", self.per_hour, spent.hour),
        ):
            if limit is not None and used + cap > limit:
                raise _exceeded(period, max(limit - used, 0), cap)


def _exceeded(period: str, left: int, cap: int) -> SpendingLimitError:
    which = "in total" if period == "total" else "for this hour"
    error = SpendingLimitError(
        f"The spending limit leaves {Money.idr(left)} {which}, and this purchase may cost {Money.idr(cap)}."
    )
    error.period, error.left, error.cap = period, left, cap
    error.trouble = "spending limit"
    return error


def uncapped() -> InvalidArgumentError:
    """Return the error for a purchase without a cap."""
    return InvalidArgumentError(
        "max_price: required, because this client has a spending limit: what the purchase may cost has to be"
        " known before it is sent."
    )


def spending(record: PurchaseRecord | None) -> int:
    """Return the rupiah that a purchase counts as. One that is in doubt counts as its cap.

    One that was refused or withdrawn has no orders.
    """
    if record is None:
        return 0
    if record.state is PurchaseState.WRITTEN:
        return min(record.cap or 0, _LARGEST)
    return min(max(sum(_cost(order, record) for order in record.orders), 0), _LARGEST)


def _cost(order: BoughtOrder, record: PurchaseRecord) -> int:
    if order.charged is not None:
        return order.charged - (order.refunded or 0)
    # The answer's price could not be read. A refund would be of just that price.
    return 0 if order.refunded else (record.cap or 0) // max(record.intent.quantity, 1)


def spending_within(record: PurchaseRecord | None, since: float) -> int:
    """Return `spending` if the purchase was answered after ``since`` (wall clock), or is not yet, else 0."""
    return spending(record) if record is not None and _counts(record, since) else 0


def _counts(record: PurchaseRecord, since: float) -> bool:
    return record.answered_at is None or record.answered_at > since


def is_added(before: PurchaseRecord | None) -> bool:
    """Return True if writing a purchase over this record makes it count anew."""
    return before is None or before.state in (PurchaseState.REFUSED, PurchaseState.WITHDRAWN)


@frozen
class _Records:
    """The records of purchases by key, each with what it counts as, and the sum of those left out."""

    records: dict[str, tuple[PurchaseRecord, int]] = field(factory=dict[str, tuple[PurchaseRecord, int]])
    past: int = 0


class SpendingLedger:
    """The purchases of a client that has a limit and no journal. Any thread may call the methods.

    The ``lock`` is held during a change. It is reentrant, as a signal handler may call a method, too. Each
    change is one assignment, so that an interrupt cannot leave it half done.
    """

    def __init__(self, lock: AbstractContextManager[object]) -> None:
        self._lock = lock
        self._kept = _Records()
        self._sweep_at = _FIRST_SWEEP

    def change(self, key: str, step: PurchaseStep[R], rule: SpendingRule | None, now: float) -> R:
        """Apply a step to the record of a purchase, and return its result.

        With a ``rule`` a purchase that is added is checked first. Raises the errors of the step and
        `SpendingLimitError`, and then nothing changes.
        """
        with self._lock:
            found = self._kept.records.get(key)
            before = None if found is None else found[0]
            after, result = step(before, bool)  # there are no other owners, whose life would matter
            if after is not None:
                if rule is not None and is_added(before):
                    rule.check(after, self.spent(now))
                self._kept.records[key] = after, spending(after)
                if len(self._kept.records) > self._sweep_at:
                    self._sweep(now)
            return result

    def spent(self, now: float) -> Spent:
        """Return what the purchases count as at ``now``, in seconds of the wall clock."""
        with self._lock:
            kept, since = self._kept, now - HOUR
            values = tuple(kept.records.values())
            hour = sum(cost for record, cost in values if _counts(record, since))
            return Spent(kept.past + sum(cost for _, cost in values), hour)

    def _sweep(self, now: float) -> None:
        """Leave out the purchases that are closed and older than an hour, and keep their sum."""
        left: dict[str, tuple[PurchaseRecord, int]] = {}
        past = self._kept.past
        for key, (record, cost) in self._kept.records.items():
            ended = record.closed_at is not None and (record.answered_at or record.closed_at) <= now - HOUR
            if ended and record.state is not PurchaseState.WRITTEN:
                past += cost
            else:
                left[key] = record, cost
        self._kept = _Records(left, past)
        self._sweep_at = max(_FIRST_SWEEP, 2 * len(left))
