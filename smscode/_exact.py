"""Converting a caller's values to exactly int, str, float or Decimal.

Objects with ``__index__`` are accepted as ints, and subclasses (such as members of enumerations) as their
base type. The result is a copy of exactly that type, so that no method of a subclass can change what is sent.
A bool is not accepted as a number, nor a float as an int.
"""

from __future__ import annotations

import operator
import re
import sys
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Final, SupportsIndex, cast

# Twelve digits keep the rupiah value inside the service's 64-bit integers at any plausible rate.
DOLLARS: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,8})?")
"""A limit in dollars as the service takes it."""

# The caller's own context would be made anew in every task that has none yet.
CONTEXT: Final = Context(prec=10_000, traps=[Inexact, InvalidOperation])
"""For decimals that are never rounded, whatever the caller's decimal context is."""

_MOST_DIGITS = 100


def whole(value: object) -> int | None:
    """Return a value as exactly an int, None if it is not one."""
    if type(value) is int:
        return value
    if isinstance(value, bool):
        return None
    try:
        return int.__pos__(operator.index(cast(SupportsIndex, value)))
    except TypeError:
        return None


def text(value: object) -> str | None:
    """Return a value as exactly a str, None if it is not one."""
    return str.__str__(value) if isinstance(value, str) else None


def number(value: object) -> float | None:
    """Return an int or a float as exactly a float, None if it is neither.

    An int beyond the range of floats becomes the largest float.
    """
    if isinstance(value, float):
        return float.__pos__(value)
    found = whole(value)
    return None if found is None else float(max(min(found, sys.float_info.max), -sys.float_info.max))


def decimal(value: object) -> Decimal | None:
    """Return a value as exactly a Decimal, None if it is not one."""
    return Decimal(value, CONTEXT) if isinstance(value, Decimal) else None


def written_out(number: Decimal) -> str:
    """Return a number without an exponent, unless that would be very long."""
    return format(number, "f") if abs(number.adjusted()) < _MOST_DIGITS else str(number)
