"""Rows of one model, many at a time.

What `codec` does value by value is done column by column here: one check for the types of a whole
column, one pass to put its values into their slots. It takes exactly what `codec` takes, because
everything unusual is left to `codec`: what cannot be read here is read again there, which finds the words
for what is wrong with it. With the ``fast`` extra, `typed` does the same by msgspec.
"""

from __future__ import annotations

import functools
import types
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import repeat
from operator import itemgetter
from typing import Any, Final, Generic, TypeVar, cast, get_args

import attrs
from attrs import field, frozen

from ...errors import JsonValue
from ...models import OrderStatus
from ...money import Money
from . import chunks, converter, rows_msgspec, strict_json
from .converter import ApiVersion

M = TypeVar("M")
Row = dict[str, JsonValue]

_LEVELS: Final = strict_json.LEVELS - 1  # a slice lacks the envelope around it
_ATOMS: Final = frozenset({int, bool, str, types.NoneType})
_TEXTS: Final = frozenset({datetime, OrderStatus, str, types.NoneType})
_MOST_TEXTS = 4096  # remembered per field: every poll brings the same states and times again
_MOST_PRICES = 16_384  # remembered per field, a few MB at most: the same prices come over and over

PARTS: Final[Mapping[str, type]] = {
    "amount": str,
    "currency": str,
    "canonical_amount": int,
    "canonical_currency": str,
}
"""v2's money in JSON, with the types it usually has. `codec` takes a number for an amount, too."""


class Prices(dict[Any, object]):
    """The money that some JSON values make, once for equal ones: money never changes, so rows may share it.

    A key is v1's integer, or the parts of v2's object.
    """

    def __init__(self, version: ApiVersion, field: attrs.Attribute[Any]) -> None:
        self._version = version
        self._structure = converter.hook(version, Money)
        self._field = field

    def __missing__(self, key: Any) -> object:
        """Make money, as strictly as `codec` does."""
        price = self._structure(key if self._version == "v1" else dict(zip(PARTS, key, strict=True)), Money)
        if self._field.validator is not None:
            self._field.validator(None, self._field, price)
        if len(self) >= _MOST_PRICES:
            self.clear()
        self[key] = price
        return price


@frozen(eq=False)
class Column:
    """A field of a model: the JSON types it takes, and what becomes of a value.

    ``put`` writes into the slot, past the model's own ``__init__``. ``convert`` is None where a value stays
    as it is. An object is converted by its ``parts``, as a tuple.
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
        """Convert JSON values to the model's. Raises TypeError or ValueError where one does not fit."""
        if not self.json.issuperset(map(type, values)):
            raise TypeError(f"{self.name}: not all of a type that fits")
        if self.parts:
            values = list(map(itemgetter(*self.parts), values))
            for part, kind in zip(zip(*values, strict=True), self.parts.values(), strict=True):
                if set(map(type, part)) != {kind}:  # 1 and True are one key, and so are 1.0 and 1.00
                    raise TypeError(f"{self.name}: not of the usual types")
        return values if self.convert is None else map(self.convert, values)


@functools.cache
def columns(version: ApiVersion, model: type[Any]) -> Mapping[str, Column]:
    """Return the columns of a model. Raises TypeError for a model that is more than columns."""
    if hasattr(model, "__attrs_post_init__") or hasattr(model, "__attrs_pre_init__"):
        raise TypeError(f"{model.__name__} does more than hold its fields")
    return {field.name: _column(version, model, field) for field in attrs.fields(model)}


def _column(version: ApiVersion, model: type[Any], field: Any) -> Column:
    kinds: frozenset[Any] = frozenset(get_args(field.type)) or frozenset({field.type})
    put = getattr(model, field.name).__set__
    if kinds == frozenset({Money}):
        prices = Prices(version, field).__getitem__
        if version == "v1":
            return Column(field.name, field.default, frozenset({int}), put, prices)
        return Column(field.name, field.default, frozenset({dict}), put, prices, PARTS)
    if field.validator is not None:
        raise TypeError(f"{model.__name__}.{field.name} has rules of its own")
    if kinds <= _ATOMS:
        return Column(field.name, field.default, kinds, put, field.converter)
    if field.converter is not None or not kinds <= _TEXTS:
        raise TypeError(f"{model.__name__}.{field.name} is not of a type that fits a column")
    hook = converter.hook(version, field.type)
    json = frozenset({str}) | (kinds & {types.NoneType})

    def convert(value: object) -> object:
        return None if value is None else hook(value, field.type)

    return Column(field.name, field.default, json, put, functools.lru_cache(_MOST_TEXTS)(convert))


def prepare(version: ApiVersion) -> None:
    """Import and build what the first answer would have to wait for."""
    converter.hook(version, Money)
    rows_msgspec.library()


@functools.cache
def _unfinished(model: type[Any]) -> type[Any]:
    """Make a class with a model's slots, whose ``__init__`` only puts its arguments there.

    That of a frozen model calls a function for each. For Python to store an attribute as fast as it can,
    neither storing nor deleting one may be a method of the class.
    """
    plain: Any = attrs.make_class("Plain", [field.name for field in attrs.fields(model)], slots=True)
    storing = {"__setattr__": object.__setattr__, "__delattr__": object.__delattr__}
    return type(f"Raw{model.__name__}", (model,), {"__slots__": (), "__init__": plain.__init__, **storing})


def _by_columns(array: bytes, model: type[M], known: Mapping[str, Column]) -> list[M]:
    """Read a JSON array of rows that all have the same fields. Raises where one by one is the way."""
    rows = cast("list[Row]", strict_json.parse(array, distinct=False))
    first = rows[0]
    if type(first) is not dict or not first or set(map(len, rows)) != {len(first)}:
        raise TypeError("rows of different fields")
    # Not by a tuple for each row: those would be as many more objects for the garbage collector.
    table = {name: list(map(itemgetter(name), rows)) for name in first}
    filled: list[Iterable[object]] = []
    fields = len(first)
    for name, column in known.items():
        if name in table:
            filled.append(column.take(table[name]))
            fields += len(column.parts)
        elif column.default is attrs.NOTHING:
            raise KeyError(name)
        else:
            filled.append(repeat(column.default, len(rows)))
    for name in table.keys() - known.keys():
        if not {list, dict}.isdisjoint(map(type, table[name])):  # of the known ones `take` has proved it
            strict_json.check_depth(cast("JsonValue", rows), _LEVELS)
            break
    made = rows_msgspec.finished(list(map(_unfinished(cast(Any, model)), *filled)), model)
    if not strict_json.names_once(array, fields * len(rows)):
        strict_json.parse(array, levels=_LEVELS)  # which looks at every name, and refuses a second one
    return made


def _one_by_one(array: bytes, version: ApiVersion, model: type[M]) -> list[M]:
    """Read a JSON array of rows whatever fields each has."""
    structure = converter.hook(version, cast(Any, model))
    return [structure(row, model) for row in cast("list[Row]", strict_json.parse(array, levels=_LEVELS))]


def _reader(first: bytes, version: ApiVersion, model: type[M]) -> Callable[[bytes], list[M]]:
    """Return what reads the slices of an answer, of which ``first`` is the first.

    Both raise KeyError, TypeError or ValueError where a slice cannot be read by itself.
    """
    known = columns(version, cast(Any, model))
    fast = rows_msgspec.reader(model, known, strict_json.first_names(first))

    def read_slice(array: bytes) -> list[M]:
        try:
            found = None if fast is None else fast(array)
            return _by_columns(array, model, known) if found is None else found
        except (KeyError, TypeError, ValueError):
            return _one_by_one(array, version, model)

    return read_slice


def _split(body: bytes) -> chunks.Sliced | None:
    """Split a successful envelope from its rows. Return None if it must be parsed whole."""
    sliced = chunks.split(body)
    return None if sliced is None or sliced.envelope.get("success") is not True else sliced


def read(
    body: bytes, version: ApiVersion, model: type[M]
) -> Generator[None, None, tuple[Row, list[M]] | None]:
    """Read a successful answer whose ``data`` are rows; give its envelope, without them, and the rows.

    Pauses between two slices. Gives None for an answer that only `codec` can read, or refuse.
    """
    sliced = _split(body)
    if sliced is None:
        return None
    rows: list[M] = []
    read_slice: Callable[[bytes], list[M]] | None = None
    try:
        for array in sliced:
            if read_slice is None:
                read_slice = _reader(array, version, model)
            else:
                yield
            rows += read_slice(array)
    except (KeyError, TypeError, ValueError):
        return None
    return sliced.envelope, rows


class UnreadableRows(Exception):
    """A slice cannot be read by itself: the answer has to be read as a whole."""


@frozen
class Parts(Generic[M]):
    """The rows of a long answer, each slice of which is read when it is its turn.

    So none of them lives longer than it is used. Raises `UnreadableRows` on the way.
    """

    _sliced: chunks.Sliced = field(repr=False)
    _version: ApiVersion
    _model: type[M]

    def __iter__(self) -> Iterator[list[M]]:
        read_slice: Callable[[bytes], list[M]] | None = None
        for array in self._sliced:
            try:
                read_slice = read_slice or _reader(array, self._version, self._model)
                rows = read_slice(array)
            except (KeyError, TypeError, ValueError):
                raise UnreadableRows from None
            yield rows


def read_later(body: bytes, version: ApiVersion, model: type[M]) -> tuple[Row, Parts[M]] | None:
    """Return what `read` does, but the rows only when they are wanted."""
    sliced = _split(body)
    return None if sliced is None else (sliced.envelope, Parts(sliced, version, model))
