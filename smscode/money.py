"""Money: one type for both API versions, and the USD/IDR rate between them.

The service keeps its ledger in whole rupiah. Version 1 shows those integers; version 2 shows the
same ledger in US dollars, rounded for display, beside the exact integer.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Final, Literal

from attrs import field, frozen

from . import _exact
from ._serialization import Model
from .errors import InvalidArgumentError

BALANCE_PLACES: Final = 2
PRICE_PLACES: Final = 4

Rounding = Literal["ROUND_FLOOR", "ROUND_CEILING", "ROUND_HALF_UP"]
"""The rounding modes of `FxRate.to_idr`, by the names of the constants in `decimal`."""


def _shift(number: int, places: int) -> Decimal:
    """Return ``number * 10**-places`` exactly, whatever the caller's decimal context is."""
    digits = tuple(int(digit) for digit in str(abs(number)))
    return Decimal((int(number < 0), digits, -places))


def _amount(value: Decimal) -> Decimal:
    found = _exact.decimal(value)
    if found is None or not found.is_finite():
        raise InvalidArgumentError(f"Money.amount: expected a finite Decimal, got {type(value).__name__}.")
    return found


def _canonical_amount(value: int) -> int:
    found = _exact.whole(value)
    if found is None:
        raise InvalidArgumentError(f"Money.canonical_amount: expected an int, got {type(value).__name__}.")
    return found


def _rate(value: int) -> int:
    found = _exact.whole(value)
    if found is None or found <= 0:
        raise InvalidArgumentError("FxRate.rate: expected a positive int.")
    return found


@frozen(order=True)
class Money(Model):
    """An amount as the service states it.

    ``amount`` is in ``currency`` ("USD" on v2, "IDR" on v1) and is what people are shown;
    ``canonical_amount`` is the exact ledger value in ``canonical_currency`` (always whole "IDR").
    Two amounts compare, sort and hash by the ledger value, so a v1 price equals the v2 price of the
    same offer.
    """

    amount: Decimal = field(eq=False, converter=_amount)
    currency: str = field(eq=False)
    canonical_amount: int = field(converter=_canonical_amount)
    canonical_currency: str = "IDR"

    @classmethod
    def idr(cls, amount: int) -> Money:
        """Make an amount of whole rupiah, as v1 has them."""
        rupiah = _exact.whole(amount)
        if rupiah is None:
            raise InvalidArgumentError(f"amount: expected an int of rupiah, got {type(amount).__name__}.")
        return cls(Decimal(rupiah), "IDR", rupiah, "IDR")

    def __str__(self) -> str:
        sign = "-" if self.amount < 0 else ""
        size = self.amount.copy_abs()
        if self.currency == "USD":
            return f"{sign}${size:,f}"
        if self.currency == "IDR":
            return f"{sign}Rp {size:,f}"
        return f"{self.amount:,f} {self.currency}"

    def as_max_price(self, fx: FxRate | None = None) -> Decimal | int:
        """Return the smallest ``max_price`` that surely still admits this price.

        A v1 amount gives its integer. A v2 amount is rounded for display and the service floors a
        cap to rupiah, so the displayed number itself may fall one rupiah short: the next step of its
        last digit is given instead. With ``fx``, the rate the price was shown at, the step is
        taken only where it is needed.
        """
        if self.currency != "USD":
            return self.canonical_amount
        return self._beside(1) if fx is None else fx.smallest_cap(self.canonical_amount)

    def as_min_price(self, fx: FxRate | None = None) -> Decimal | int:
        """Return the largest ``min_price`` that surely still admits this price; see `as_max_price`."""
        if self.currency != "USD":
            return self.canonical_amount
        return self._beside(-1) if fx is None else fx.largest_floor(self.canonical_amount)

    def _beside(self, steps: int) -> Decimal:
        """Return the amount ``steps`` units of its last digit away, but not below zero."""
        exponent = self.amount.as_tuple().exponent
        assert isinstance(exponent, int)  # the validator lets only finite amounts in
        places = max(0, -exponent)
        numerator, denominator = self.amount.as_integer_ratio()
        return _shift(max(numerator * 10**places // denominator + steps, 0), places)


@frozen
class FxRate(Model):
    """The rate that a v2 answer was made with: ``rate`` whole rupiah for one US dollar.

    ``rate_as_of`` is when the rate was recorded, None when the service did not record it.
    """

    pair: str
    rate: int = field(converter=_rate)
    rate_as_of: datetime | None = None

    def to_usd(self, idr: int, *, places: int) -> Decimal:
        """Show ``idr`` rupiah in dollars as the service does.

        ``places`` is 2 for balances and 4 for prices, order amounts, refunds and reactivation
        costs. The nearest value is taken, ties away from zero; a positive amount is never shown as
        zero but as one unit of the last digit.
        """
        rupiah, digits = _exact.whole(idr), _exact.whole(places)
        if rupiah is None:
            raise InvalidArgumentError(f"idr: expected an int, got {type(idr).__name__}.")
        if digits is None or not 0 <= digits <= 12:
            raise InvalidArgumentError("places: expected an int of 0..12.")
        units = (2 * abs(rupiah) * 10**digits + self.rate) // (2 * self.rate)
        if rupiah > 0:
            units = max(units, 1)
        return _shift(-units if rupiah < 0 else units, digits)

    def to_idr(self, usd: Decimal, *, rounding: Rounding) -> int:
        """Turn dollars into whole rupiah.

        ``rounding`` is "ROUND_FLOOR" (as the service reads ``max_price``), "ROUND_CEILING" (as it
        reads ``min_price``) or "ROUND_HALF_UP".
        """
        dollars = _exact.decimal(usd)
        if dollars is None or not dollars.is_finite():
            raise InvalidArgumentError(f"usd: expected a finite Decimal, got {type(usd).__name__}.")
        numerator, denominator = dollars.as_integer_ratio()
        numerator *= self.rate
        if rounding == "ROUND_FLOOR":
            return numerator // denominator
        if rounding == "ROUND_CEILING":
            return -(-numerator // denominator)
        if rounding == "ROUND_HALF_UP":
            half_up = (2 * abs(numerator) + denominator) // (2 * denominator)
            return half_up if numerator >= 0 else -half_up
        raise InvalidArgumentError("rounding: expected ROUND_FLOOR, ROUND_CEILING or ROUND_HALF_UP.")

    def smallest_cap(self, idr: int) -> Decimal:
        """Return the smallest ``max_price`` in dollars that the service reads as at least ``idr``."""
        return _shift(-(-idr * 10**PRICE_PLACES // self.rate), PRICE_PLACES)

    def largest_floor(self, idr: int) -> Decimal:
        """Return the largest ``min_price`` in dollars that the service reads as at most ``idr``."""
        return _shift(idr * 10**PRICE_PLACES // self.rate, PRICE_PLACES)
