"""Values by what they are: a caller's int, text or number as exactly that type.

Numbers of other libraries are ints by their ``__index__``, members of enumerations and other subclasses are
what they derive from. A copy of exactly the type is made of each, so no method of a subclass decides what is
sent. A bool is no number, and a float no int.
"""

from __future__ import annotations

import operator
import sys
from decimal import Decimal
from typing import SupportsIndex, cast


def whole(value: object) -> int | None:
    """Return exactly an int, None for what is none."""
    if type(value) is int:
        return value
    if isinstance(value, bool):
        return None
    try:
        return int.__pos__(operator.index(cast(SupportsIndex, value)))
    except TypeError:
        return None


def text(value: object) -> str | None:
    """Return exactly a str, None for what is none."""
    return str.__str__(value) if isinstance(value, str) else None


def number(value: object) -> float | None:
    """Return an int or a float as exactly a float, None for what is neither.

    An int beyond the largest float is that one.
    """
    if isinstance(value, float):
        return float.__pos__(value)
    found = whole(value)
    return None if found is None else float(max(min(found, sys.float_info.max), -sys.float_info.max))


def decimal(value: object) -> Decimal | None:
    """Return exactly a Decimal, None for what is none."""
    return Decimal(value) if isinstance(value, Decimal) else None
