"""Money: one type for both API versions, and the USD/IDR rate between them.

The service's ledger is in whole rupiah. Version 1 states these integers; version 2 states US dollars, rounded
for display, together with the exact integer. Dollars that a caller writes have none: see `Money.usd`.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Final, Literal, cast

from attrs import field, frozen

from . import _exact
from ._serialization import Model
from .errors import InvalidArgumentError

BALANCE_PLACES: Final = 2
PRICE_PLACES: Final = 4
_USD_PLACES: Final = 8  # what the service takes of a limit

Rounding = Literal["ROUND_FLOOR", "ROUND_CEILING", "ROUND_HALF_UP"]
"""The rounding modes of `FxRate.to_idr`, by the names of the constants in `decimal`."""


def _shift(number: int, places: int) -> Decimal:
    """Return ``number * 10**-places`` exactly, whatever the caller's decimal context is."""
    return Decimal(f"{number}E{-places}", _exact.CONTEXT)


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


@frozen(repr=False)
class Money(Model):
    """An amount of money as the service states it, or as a caller writes it.

    ``amount`` is the amount for display in ``currency`` ("USD" on v2, "IDR" on v1); ``canonical_amount`` is
    the exact ledger value in ``canonical_currency`` (whole "IDR", except for `usd`). Amounts compare, sort
    and hash by the ledger value, so a v1 price equals the v2 price of the same offer. ``str()`` is for
    people: "$0.9231", "Rp 15,000".

    Amounts of one currency can be added, subtracted, summed and multiplied by an int. The ledger value of the
    result is exact; its ``amount`` is calculated from the displayed amounts, which are rounded. What cannot
    be added or compared without an exchange rate raises `InvalidArgumentError`.

    Raises `InvalidArgumentError` for an ``amount`` that is not a finite `Decimal`, or a ``canonical_amount``
    that is not an int.
    """

    amount: Decimal = field(eq=False, converter=_amount)
    currency: str = field(eq=False)
    canonical_amount: int = field(converter=_canonical_amount)
    canonical_currency: str = "IDR"

    @classmethod
    def idr(cls, amount: int) -> Money:
        """Return an amount of whole rupiah, as v1 states it. Raises `InvalidArgumentError` unless an int."""
        rupiah = _exact.whole(amount)
        if rupiah is None:
            raise InvalidArgumentError(f"amount: expected an int of rupiah, got {type(amount).__name__}.")
        return cls(Decimal(rupiah, _exact.CONTEXT), "IDR", rupiah, "IDR")

    @classmethod
    def usd(cls, amount: Decimal | str) -> Money:
        """Return an amount of dollars as a person writes it, for limits of a v2 client.

        ``amount`` is a `Decimal` or a decimal string, with at most 12 digits before the point and 8 after it.
        No exchange rate is known, so it has no value in the ledger: its ``canonical_amount`` counts units of
        0.00000001 "USD". It equals no price of the service, and is neither compared with one nor added.

        As ``max_price``, ``min_price``, ``budget`` or in a `SpendingLimit` it is exactly the dollars that
        were written, not rounded up. A v1 client refuses it there. Raises `InvalidArgumentError` for anything
        else.
        """
        number = _exact.decimal(amount)
        text = _exact.text(amount) if number is None else _exact.written_out(number)
        if text is None or not _exact.DOLLARS.fullmatch(text.removeprefix("-")):
            raise InvalidArgumentError(
                "amount: expected dollars as a Decimal or a decimal string such as '0.50', with a point and"
                f" at most {_USD_PLACES} digits after it, got {type(amount).__name__}; floats are not exact."
            )
        dollars = Decimal(text)
        numerator, denominator = dollars.as_integer_ratio()
        return cls(dollars, "USD", numerator * 10**_USD_PLACES // denominator, "USD")

    @property
    def _is_written(self) -> bool:
        """True for dollars that a caller wrote, which are exact."""
        return self.currency == self.canonical_currency == "USD"

    def __lt__(self, other: Money) -> bool:
        return self.canonical_amount < other.canonical_amount if self._compares(other) else NotImplemented

    def __le__(self, other: Money) -> bool:
        return self.canonical_amount <= other.canonical_amount if self._compares(other) else NotImplemented

    def __gt__(self, other: Money) -> bool:
        return self.canonical_amount > other.canonical_amount if self._compares(other) else NotImplemented

    def __ge__(self, other: Money) -> bool:
        return self.canonical_amount >= other.canonical_amount if self._compares(other) else NotImplemented

    def _compares(self, other: Money) -> bool:
        """Return False for what is no amount. Raises `InvalidArgumentError` for one of another currency."""
        if not isinstance(cast(object, other), Money):
            return False
        if self.canonical_currency != other.canonical_currency:
            raise InvalidArgumentError(
                f"Money: {self!r} and {other!r} cannot be compared without an exchange rate; convert dollars"
                " with FxRate.to_idr."
            )
        return True

    def __repr__(self) -> str:
        exact = f", {self.canonical_amount} {self.canonical_currency}"
        return f"Money({self}{'' if self.currency == self.canonical_currency else exact})"

    def __str__(self) -> str:
        sign = "-" if self.amount < 0 else ""
        size = self.amount.copy_abs()
        if self.currency == "USD":
            return f"{sign}${size:,f}"
        if self.currency == "IDR":
            return f"{sign}Rp {size:,f}"
        return f"{self.amount:,f} {self.currency}"

    def __add__(self, other: Money) -> Money:
        if not isinstance(cast(object, other), Money):
            return NotImplemented
        return self._with(other, _exact.CONTEXT.add(self.amount, other.amount), 1)

    def __radd__(self, other: int) -> Money:
        """Return itself if ``other`` is 0, with which `sum` begins; nothing else can be added."""
        return self if type(other) is int and other == 0 else NotImplemented

    def __sub__(self, other: Money) -> Money:
        if not isinstance(cast(object, other), Money):
            return NotImplemented
        return self._with(other, _exact.CONTEXT.subtract(self.amount, other.amount), -1)

    def __mul__(self, times: int) -> Money:
        count = _exact.whole(times)
        if count is None:
            return NotImplemented
        amount = _exact.CONTEXT.multiply(self.amount, Decimal(count))
        return Money(amount, self.currency, self.canonical_amount * count, self.canonical_currency)

    __rmul__ = __mul__

    def _with(self, other: Money, amount: Decimal, sign: Literal[1, -1]) -> Money:
        """Return the sum or difference, of this displayed ``amount``. Raises unless the currencies agree."""
        mine, theirs = (self.currency, self.canonical_currency), (other.currency, other.canonical_currency)
        if mine != theirs:
            same = self.canonical_currency == other.canonical_currency
            instead = "use the canonical_amount of both" if same else "convert dollars with FxRate.to_idr"
            raise InvalidArgumentError(
                f"Money: {self} and {other} are amounts of different API versions or currencies, so they"
                f" cannot be added or subtracted; {instead}."
            )
        canonical = self.canonical_amount + sign * other.canonical_amount
        return Money(amount, self.currency, canonical, self.canonical_currency)

    def as_max_price(self, fx: FxRate | None = None) -> Decimal | int:
        """Return the smallest ``max_price`` that certainly admits this price.

        For a v1 amount that is its integer. A v2 amount is rounded for display, and the service rounds a
        limit down to rupiah, so the displayed amount may be one rupiah too low: the result is one unit of its
        last digit higher. With ``fx``, the rate of the answer that stated the price, it is exact. Give ``fx``
        for the result of a calculation, in which the rounding of the displayed amounts adds up. Dollars of
        `usd` are returned as they are.
        """
        if self._is_written:
            return self.amount
        if self.currency != "USD":
            return self.canonical_amount
        return self._beside(1) if fx is None else fx.smallest_cap(self.canonical_amount)

    def as_min_price(self, fx: FxRate | None = None) -> Decimal | int:
        """Return the largest ``min_price`` that certainly admits this price; see `as_max_price`."""
        if self._is_written:
            return self.amount
        if self.currency != "USD":
            return self.canonical_amount
        return self._beside(-1) if fx is None else fx.largest_floor(self.canonical_amount)

    def _beside(self, steps: int) -> Decimal:
        """Return the amount plus ``steps`` units of its last digit, at least zero."""
        exponent = self.amount.as_tuple().exponent
        assert isinstance(exponent, int)  # the converter accepts only finite amounts
        places = max(0, -exponent)
        numerator, denominator = self.amount.as_integer_ratio()
        return _shift(max(numerator * 10**places // denominator + steps, 0), places)


@frozen(repr=False)
class FxRate(Model):
    """The exchange rate of a v2 answer: ``rate`` whole rupiah for one US dollar.

    ``rate_as_of`` is when the rate was recorded, None if that is not known. Raises `InvalidArgumentError` for
    a rate that is not a positive int.
    """

    pair: str
    rate: int = field(converter=_rate)
    rate_as_of: datetime | None = None

    def to_usd(self, idr: int, *, places: int) -> Decimal:
        """Return ``idr`` rupiah in dollars, rounded as the service rounds them.

        ``places`` (0..12) is the number of decimals: 2 for balances, 4 for prices, order amounts, refunds and
        reactivation costs. The result is the nearest value, ties away from zero; a positive amount is at
        least one unit of the last digit. Raises `InvalidArgumentError` for a wrong argument.
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
        """Return dollars in whole rupiah.

        ``usd`` is a finite `Decimal`. ``rounding`` is "ROUND_FLOOR" (as the service converts ``max_price``),
        "ROUND_CEILING" (as it converts ``min_price``) or "ROUND_HALF_UP". Raises `InvalidArgumentError` for a
        wrong argument.
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
        """Return the smallest ``max_price`` in dollars that the service converts to at least ``idr``."""
        return _shift(-(-idr * 10**PRICE_PLACES // self.rate), PRICE_PLACES)

    def largest_floor(self, idr: int) -> Decimal:
        """Return the largest ``min_price`` in dollars that the service converts to at most ``idr``."""
        return _shift(idr * 10**PRICE_PLACES // self.rate, PRICE_PLACES)
