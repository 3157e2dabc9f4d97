"""The base of values: frozen attrs classes that are compared, hashed and shown by their fields."""

from __future__ import annotations

import functools
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import attrs


@functools.cache
def _compared(kind: Any) -> Callable[[object], object]:
    """Return a function that returns what values of a class are compared by."""
    return attrgetter(*[field.name for field in attrs.fields(kind) if field.eq])


@functools.cache
def _hashed(kind: Any) -> Callable[[object], object]:
    """Return a function that returns what values of a class are hashed by."""
    return attrgetter(*[each.name for each in attrs.fields(kind) if each.eq and each.hash is not False])


class Value:
    """The base of values, to be used with ``eq=False, repr=False``.

    attrs would write and compile these methods for every class, which is more than half of what it takes to
    make one, and there are many: a first call is to be cheap.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        kind: Any = type(self)
        values = _compared(kind)
        if type(other) is not kind:
            return NotImplemented
        same: bool = values(self) == values(other)
        return same

    def __hash__(self) -> int:
        kind: Any = type(self)
        return hash(_hashed(kind)(self))

    def __repr__(self) -> str:
        kind: Any = type(self)
        shown = [
            f"{field.name}={(field.repr if callable(field.repr) else repr)(getattr(self, field.name))}"
            for field in attrs.fields(kind)
            if field.repr
        ]
        return f"{kind.__name__}({', '.join(shown)})"
