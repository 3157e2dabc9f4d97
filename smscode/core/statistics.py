"""Statistics of orders: for each offer, how many numbers got a code, how fast, and at what cost."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from statistics import median
from typing import Final, TypeAlias

from attrs import frozen

from .._serialization import Model
from ..models import Money, Order, OrderStatus
from .api import arguments
from .order_status import has_ended, known_status

_Z: Final = 1.959963984540054
"""The two-sided 95 % quantile of the normal distribution."""
_EXACT: Final = Context(prec=60, rounding=ROUND_HALF_UP)
"""The context of all sums, so that the caller's does not matter."""
_REFUNDED: Final = (OrderStatus.CANCELED, OrderStatus.EXPIRED)

Offer: TypeAlias = tuple[int | None, int | None]
"""A ``catalog_product_id``, or without one a ``product_id``."""


@frozen(kw_only=True, repr=False)
class OfferStats(Model):
    """What the account's orders of one offer came to: those of a ``catalog_product_id``, else ``product_id``.

    ``numbers`` is how many were rented, ``codes`` how many of them got a code. ``waiting`` are those that
    have neither a code nor ended; they count for nothing but ``numbers`` and ``charged``. ``success_rate`` is
    the share of codes among the others (0..1), ``success_low`` and ``success_high`` are the limits of its
    95 % interval (Wilson's).

    ``median_seconds`` and ``p90_seconds`` are how long half and 90 % of the codes took at most, from the
    order to its first SMS. ``charged`` is the price of all numbers, ``refunded`` that of those which were
    cancelled or expired. ``cost_per_code`` is what was paid in the end for each code, also for numbers whose
    messages had none. What cannot be said, because there are no codes or no times, is None.
    """

    catalog_product_id: int | None
    product_id: int | None
    numbers: int
    codes: int
    waiting: int
    success_rate: float | None
    success_low: float | None
    success_high: float | None
    median_seconds: float | None
    p90_seconds: float | None
    charged: Money
    refunded: Money
    cost_per_code: Money | None


class _Total:
    """A sum of money, beginning with nothing."""

    def __init__(self, like: Money) -> None:
        self._like = like
        self.amount: Decimal = _EXACT.multiply(like.amount, Decimal(0))
        self.canonical: int = 0

    def add(self, money: Money) -> None:
        self.amount = _EXACT.add(self.amount, money.amount)
        self.canonical += money.canonical_amount

    def less(self, *others: _Total) -> _Total:
        """Return this sum without others."""
        left = _Total(self._like)
        left.amount, left.canonical = self.amount, self.canonical
        for other in others:
            left.amount = _EXACT.subtract(left.amount, other.amount)
            left.canonical -= other.canonical
        return left

    def money(self, parts: int = 1) -> Money:
        """Return the sum, divided into equal parts; half units are rounded up."""
        amount = _EXACT.quantize(_EXACT.divide(self.amount, Decimal(parts)), self.amount)
        canonical = (2 * self.canonical + parts) // (2 * parts)
        return Money(amount, self._like.currency, canonical, self._like.canonical_currency)


class _OfferTotals:
    """The orders of one offer so far: counts, sums, and for each code its seconds."""

    def __init__(self, like: Money) -> None:
        self.numbers = self.codes = self.waiting = 0
        self.charged = _Total(like)
        self.refunded = _Total(like)
        self.held = _Total(like)
        self.seconds = array("d")

    def add(self, order: Order, now: datetime) -> None:
        self.numbers += 1
        self.charged.add(order.amount)
        if order.otp_code is not None:
            self.codes += 1
            if order.created_at is not None and order.otp_received_at is not None:
                self.seconds.append(max(0.0, (order.otp_received_at - order.created_at).total_seconds()))
        elif not has_ended(order, now):
            self.waiting += 1
            self.held.add(order.amount)
        if known_status(order.status) in _REFUNDED:
            self.refunded.add(order.amount)

    def stats(self, offer: Offer) -> OfferStats:
        decided = self.numbers - self.waiting
        low, high = wilson_interval(self.codes, decided) if decided else (None, None)
        seconds = sorted(self.seconds)
        spent = self.charged.less(self.refunded, self.held)
        return OfferStats(
            catalog_product_id=offer[0],
            product_id=offer[1],
            numbers=self.numbers,
            codes=self.codes,
            waiting=self.waiting,
            success_rate=self.codes / decided if decided else None,
            success_low=low,
            success_high=high,
            median_seconds=median(seconds) if seconds else None,
            p90_seconds=seconds[-(-9 * len(seconds) // 10) - 1] if seconds else None,
            charged=self.charged.money(),
            refunded=self.refunded.money(),
            cost_per_code=spent.money(self.codes) if self.codes else None,
        )


class StatsBuilder:
    """Statistics of orders that are added in any portions; the orders are not kept.

    ``since`` leaves out what was ordered earlier: a time with an offset, or how long before now. Raises
    `InvalidArgumentError` for any other.
    """

    def __init__(self, since: datetime | timedelta | None = None) -> None:
        if since is not None and not isinstance(since, timedelta):
            since = arguments.instance("since", since, datetime)
            if since.utcoffset() is None:
                raise arguments.wrong("since", "a datetime with an offset from UTC", since)
        elif since is not None and since < timedelta(0):
            raise arguments.wrong("since", "a timedelta that is not negative", since)
        self._since = since
        self._offers: dict[Offer, _OfferTotals] = {}

    def add(self, orders: Iterable[Order], now: datetime) -> bool:
        """Count orders, as they are at ``now``; return False if all of them are too old.

        An order whose time is not known counts only if there is no ``since``.
        """
        if isinstance(self._since, timedelta):
            self._since = now - self._since
        some = False
        for order in orders:
            if self._since is not None and (order.created_at is None or order.created_at < self._since):
                continue
            some = True
            known = order.catalog_product_id
            offer = (None, order.product_id) if known is None else (known, None)
            if (totals := self._offers.get(offer)) is None:
                totals = self._offers[offer] = _OfferTotals(order.amount)
            totals.add(order, now)
        return some

    def offers(self) -> list[OfferStats]:
        """Return the statistics of each offer, that with the most numbers first."""
        found = [totals.stats(offer) for offer, totals in self._offers.items()]
        return sorted(found, key=lambda one: (-one.numbers, one.catalog_product_id or 0, one.product_id or 0))


def wilson_interval(codes: int, numbers: int) -> tuple[float, float]:
    """Return the limits of the 95 % interval of a share, of at least one number, by Wilson's score."""
    share, square = codes / numbers, _Z * _Z
    center = share + square / (2 * numbers)
    spread = _Z * math.sqrt(share * (1 - share) / numbers + square / (4 * numbers * numbers))
    scale = 1 + square / numbers
    return max(0.0, (center - spread) / scale), min(1.0, (center + spread) / scale)
