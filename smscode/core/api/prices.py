"""Price limits: the values that callers pass as ``max_price`` and ``min_price``, and how requests carry them.

Version 1 takes whole rupiah, version 2 a decimal string of dollars. The documentation's own v2 sample sends
the rupiah number where dollars are meant, so an int is refused on v2: it would be a limit of 20,000 dollars.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Literal, TypeAlias

from attrs import field, frozen

from ... import _exact
from ...errors import InvalidArgumentError
from ...money import FxRate, Money
from ..versions import VERSIONS, ApiVersion

Price: TypeAlias = int | str | Decimal | Money
"""An int of rupiah (v1), dollars as a `Decimal`, decimal string or `Money.usd` (v2), or any other `Money`."""

_COMMA = re.compile(r"[0-9]{1,12},[0-9]{1,8}")
_LARGEST = 2**63 - 1


def _plain_price(value: Price) -> Price:
    """Return a price as exactly one of the types of `Price`; anything else unchanged, to be refused.

    Dollars of `Money.usd` are a `Decimal` from here on, since their ``canonical_amount`` is no rupiah.
    """
    if isinstance(value, Money) and value._is_written:
        return value.amount
    if isinstance(value, Money):
        return Money(value.amount, value.currency, value.canonical_amount, value.canonical_currency)
    for copy in (_exact.whole, _exact.text, _exact.decimal):
        found = copy(value)
        if found is not None:
            return found
    return value


def _as_text(value: object) -> str:
    """Return the hint for a float: the same price as a string, which is exact."""
    if not isinstance(value, float) or not _exact.DOLLARS.fullmatch(repr(value)):
        return ""
    return f': write "{value!r}", as floats are not exact'


@frozen
class PriceLimit:
    """A checked price limit, for any API version."""

    name: Literal["max_price", "min_price", "total", "per_hour", "budget"]
    value: Price = field(converter=_plain_price)

    def __attrs_post_init__(self) -> None:
        if type(self.value) is int:
            self._refuse_size(self.value)
        elif type(self.value) is Money:
            if self.value.canonical_currency != "IDR":
                raise self._error(
                    "expected an amount in rupiah or dollars, such as Money.idr(8000) or "
                    f"Money.usd('0.50'), got {self.value.canonical_currency[:20]!r}"
                )
            self._refuse_size(self.value.canonical_amount)
        elif type(self.value) is str or type(self.value) is Decimal:
            self._refuse_size(self._dollars(self.value))
        else:
            raise self._error(
                f"expected an int of rupiah (v1), a Decimal or decimal string of dollars (v2) or a Money, "
                f"got {type(self.value).__name__}{_as_text(self.value)}"
            )

    def in_rupiah(self) -> int:
        """Return the limit in whole rupiah. Raises `InvalidArgumentError` if it is in dollars."""
        if type(self.value) is int:
            return self.value
        if type(self.value) is Money:
            return self.value.canonical_amount
        raise self._error(
            "v1 counts in rupiah: expected an int, Money.idr(8000) or a price of the service, not dollars; "
            "FxRate.to_idr converts them"
        )

    def in_dollars(self, fx: FxRate | None) -> str:
        """Return the limit in dollars. A `Money` is widened so that its own price is within the limit.

        ``fx`` makes that exact, and is required for a `Money` of v1, which has no amount in dollars. Raises
        `InvalidArgumentError` for an int, and if ``fx`` is required and missing.
        """
        if type(self.value) is Money:
            return format(self._widened(self.value, fx), "f")
        if type(self.value) is int:
            raise self._error(
                "an int is ambiguous on v2 (rupiah or dollars?): give a Decimal or a string of "
                "dollars, such as '0.50', or a Money"
            )
        assert isinstance(self.value, (str, Decimal))
        return format(self._dollars(self.value), "f")

    def canonical(self, fx: FxRate | None) -> int:
        """Return the limit in whole rupiah, rounded down; ``fx`` is required for one in dollars."""
        if type(self.value) is int or type(self.value) is Money:
            return self.in_rupiah()
        assert isinstance(self.value, (str, Decimal))
        assert fx is not None
        return fx.to_idr(self._dollars(self.value), rounding="ROUND_FLOOR")

    def _widened(self, money: Money, fx: FxRate | None) -> Decimal:
        if fx is not None:
            exact = fx.largest_floor if self.name == "min_price" else fx.smallest_cap
            return exact(money.canonical_amount)
        limit = money.as_min_price() if self.name == "min_price" else money.as_max_price()
        if isinstance(limit, int):
            raise self._error("a Money of v1 needs a rate on v2: give fx=, or an amount in dollars")
        return limit

    def _dollars(self, value: str | Decimal) -> Decimal:
        text = value if isinstance(value, str) else _exact.written_out(value)
        if not _exact.DOLLARS.fullmatch(text):
            hint = "; write a point, not a comma" if _COMMA.fullmatch(text) else ""
            raise self._error(
                "expected a positive decimal number of dollars such as '0.50', "
                f"with at most 8 digits after the point{hint}"
            )
        return Decimal(text)

    def _refuse_size(self, number: int | Decimal) -> None:
        if number < 0 or (number == 0 and self.name != "min_price"):
            raise self._error("expected a positive price")
        if number > _LARGEST:
            raise self._error("expected a price that fits into 64 bits")

    def _error(self, reason: str) -> InvalidArgumentError:
        return InvalidArgumentError(f"{self.name}: {reason}.")


def needs_rate(version: ApiVersion, *limits: Price | None) -> bool:
    """Return True if these limits cannot be written without a rate: a `Money` of v1 has no dollars."""
    currency = VERSIONS[version].currency
    return any(
        isinstance(limit, Money)
        and limit.canonical_currency == "IDR"
        and currency not in (limit.currency, limit.canonical_currency)
        for limit in limits
    )
