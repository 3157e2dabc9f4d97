"""The fields of a model as columns: the JSON types that each accepts, and how values are converted."""

from __future__ import annotations

import functools
import types
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any, Final, get_args

import attrs
from attrs import frozen

from ...models import OrderStatus
from ...money import Money
from ..versions import VERSIONS, ApiVersion
from . import converter

_ATOMS: Final = frozenset({int, bool, str, types.NoneType})
_TEXTS: Final = frozenset({datetime, OrderStatus, str, types.NoneType})
_MOST_TEXTS = 4096  # cached per field: every poll has the same states and times again
_MOST_PRICES = 16_384  # cached per field, a few MB at most: the same prices appear again and again


class Prices(dict[Any, object]):
    """Money by its JSON value, one object for equal values: it is immutable, so rows can share it.

    A key is the integer of rupiah, or a tuple of the values of an object's `Version.money_parts`.
    """

    def __init__(self, version: ApiVersion, field: attrs.Attribute[Any]) -> None:
        self._parts = VERSIONS[version].money_parts
        self._structure = converter.hook(version, Money)
        self._field = field

    def __missing__(self, key: Any) -> object:
        """Convert and cache a value, as strictly as `converter` does."""
        price = self._structure(dict(zip(self._parts, key, strict=True)) if self._parts else key, Money)
        if self._field.validator is not None:
            self._field.validator(None, self._field, price)
        if len(self) >= _MOST_PRICES:
            self.clear()
        self[key] = price
        return price


@frozen(eq=False)
class Column:
    """A field of a model: the JSON types that it accepts, and how a value is converted.

    ``put`` writes into the slot without the model's ``__init__``. ``convert`` is None if values are used as
    they are. An object is converted as a tuple of its ``parts``.
    """

    name: str
    default: object
    json: frozenset[type]
    put: Callable[[Any, object], None]
    convert: Callable[[Any], object] | None = None
    parts: Mapping[str, type] = {}

    def fill(self, rows: Iterable[object], values: Iterable[object]) -> None:
        """Store values in the slots of rows."""
        deque(map(self.put, rows, values), maxlen=0)

    def take(self, values: Sequence[Any]) -> Iterable[object]:
        """Convert JSON values to the model's. Raises TypeError or ValueError if one does not fit."""
        if not self.json.issuperset(map(type, values)):
            raise TypeError(f"{self.name}: not all of a type that fits")
        if self.parts:
            values = list(map(itemgetter(*self.parts), values))
            for part, kind in zip(zip(*values, strict=True), self.parts.values(), strict=True):
                if set(map(type, part)) != {
                    kind
                }:  # equal keys of different types, such as 1 and True, must not share money
                    raise TypeError(f"{self.name}: not of the usual types")
        return values if self.convert is None else map(self.convert, values)


@functools.cache
def columns(version: ApiVersion, model: type[Any]) -> Mapping[str, Column]:
    """Return the columns of a model. Raises TypeError for a model with further rules."""
    if hasattr(model, "__attrs_post_init__") or hasattr(model, "__attrs_pre_init__"):
        raise TypeError(f"{model.__name__} does more than hold its fields")
    return {field.name: _column(version, model, field) for field in attrs.fields(model)}


def _column(version: ApiVersion, model: type[Any], field: Any) -> Column:
    kinds: frozenset[Any] = frozenset(get_args(field.type)) or frozenset({field.type})
    put = getattr(model, field.name).__set__
    if kinds == frozenset({Money}):
        prices = Prices(version, field).__getitem__
        parts = VERSIONS[version].money_parts
        return Column(field.name, field.default, frozenset({dict if parts else int}), put, prices, parts)
    if field.validator is not None:
        raise TypeError(f"{model.__name__}.{field.name} has rules of its own")
    if kinds <= _ATOMS:
        return Column(field.name, field.default, kinds, put, field.converter)
    if field.converter is not None or not kinds <= _TEXTS:
        raise TypeError(f"{model.__name__}.{field.name} is not of a type that fits a column")
    hook = converter.hook(version, field.type)

    def convert(value: object) -> object:
        return hook(value, field.type)

    # The hook refuses null where the field must not be null.
    json: frozenset[type] = frozenset({str, types.NoneType})
    return Column(field.name, field.default, json, put, functools.lru_cache(_MOST_TEXTS)(convert))
