"""Rows of one model, many at a time.

`converter` works value by value; here it is done column by column: one type check for a whole column, one
pass to store its values in the slots. It accepts exactly what `converter` accepts, because anything unusual
is read again by `converter`, which also produces the error messages. With the ``fast`` extra, `rows_msgspec`
does the same with msgspec.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from itertools import repeat
from operator import itemgetter
from typing import Any, Final, Generic, TypeAlias, TypeVar, cast

import attrs
from attrs import field, frozen

from ...errors import JsonValue
from ..versions import ApiVersion
from . import chunks, converter, rows_msgspec, strict_json
from .columns import Column, columns
from .converter import Mismatch, RowProblem

M = TypeVar("M")
Row = dict[str, JsonValue]

_LEVELS: Final = strict_json.LEVELS - 1  # a slice lacks the envelope around it


@functools.cache
def _unfinished(model: type[Any]) -> type[Any]:
    """Return a class with a model's slots whose ``__init__`` only stores its arguments.

    The ``__init__`` of a frozen model calls a function for each attribute. Python stores attributes directly
    only if the class overrides neither ``__setattr__`` nor ``__delattr__``, so they are reset here.
    """
    plain: Any = attrs.make_class("Plain", [field.name for field in attrs.fields(model)])
    storing = {"__setattr__": object.__setattr__, "__delattr__": object.__delattr__}
    return type(f"Raw{model.__name__}", (model,), {"__slots__": (), "__init__": plain.__init__, **storing})


def _by_columns(array: bytes, model: type[M], known: Mapping[str, Column]) -> list[M]:
    """Decode a JSON array of rows. Raises if the rows differ in their fields or one does not fit."""
    rows = cast("list[Row]", strict_json.parse(array, distinct=False))
    first = rows[0]
    if set(map(len, rows)) != {len(first)}:
        raise TypeError("rows of different fields")
    # Not as a tuple per row, which would double the objects that the garbage collector tracks.
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
    for name in table.keys() - known:
        if not {list, dict}.isdisjoint(map(type, table[name])):  # `take` has checked the known ones
            strict_json.check_depth(cast("JsonValue", rows), _LEVELS)
            break
    made = rows_msgspec.finished(list(map(_unfinished(cast(Any, model)), *filled)), model)
    if not strict_json.names_once(array, fields * len(rows)):
        strict_json.parse(array, levels=_LEVELS)  # which raises for a field that is named twice
    return made


def _one_by_one(
    array: bytes, version: ApiVersion, model: type[M], problems: list[RowProblem], first: int
) -> list[M]:
    """Decode a JSON array of rows of any fields, without the rows that cannot be read."""
    rows = cast("list[JsonValue]", strict_json.parse(array, levels=_LEVELS))
    return converter.rows_of(version, rows, model, problems, first)


def _reader(
    first: bytes, version: ApiVersion, model: type[M], problems: list[RowProblem]
) -> Callable[[bytes], list[M]]:
    """Return a function that decodes the slices of an answer in order; ``first`` is the first slice.

    Both raise KeyError, TypeError or ValueError if a slice is not valid by itself. Rows that cannot be read
    are appended to ``problems``.
    """
    known = columns(version, cast(Any, model))
    fast = rows_msgspec.reader(model, known, strict_json.first_names(first))
    count = 0

    def read_slice(array: bytes) -> list[M]:
        nonlocal count
        odd = len(problems)
        try:
            found = None if fast is None else fast(array)
            rows = _by_columns(array, model, known) if found is None else found
        except (KeyError, TypeError, ValueError):
            rows = _one_by_one(array, version, model, problems, count)
        count += len(rows) + len(problems) - odd
        return rows

    return read_slice


def _split(body: bytes) -> chunks.Sliced | None:
    """Split a successful envelope from its rows. Return None if it must be parsed whole."""
    sliced = chunks.split(body)
    return None if sliced is None or sliced.envelope.get("success") is not True else sliced


Rows: TypeAlias = tuple[Row, list[M], list[RowProblem]]
"""An envelope without its rows, the rows, and the problems of rows that cannot be read."""


def read(body: bytes, version: ApiVersion, model: type[M]) -> Generator[None, None, Rows[M] | None]:
    """Decode a successful answer whose ``data`` are rows. Yields between slices.

    Return None for an answer that `converter` must read, or refuse, as a whole.
    """
    sliced = _split(body)
    if sliced is None:
        return None
    rows: list[M] = []
    problems: list[RowProblem] = []
    read_slice: Callable[[bytes], list[M]] | None = None
    try:
        for _, array in sliced:
            if read_slice is None:
                read_slice = _reader(array, version, model, problems)
            else:
                yield
            rows += read_slice(array)
    except (KeyError, TypeError, ValueError):
        return None
    return sliced.envelope, rows, problems


@frozen
class Parts(Generic[M]):
    """The rows of a long answer. Iteration decodes slice by slice, so only one slice is in memory.

    If a slice is not valid by itself, it is decoded with all that follow it. The iteration raises `Mismatch`
    if that is not valid either. ``problems`` are the rows so far that could not be read.
    """

    _sliced: chunks.Sliced
    _version: ApiVersion
    _model: type[M]
    problems: list[RowProblem] = field(factory=list[RowProblem])

    def __iter__(self) -> Iterator[list[M]]:
        read_slice: Callable[[bytes], list[M]] | None = None
        for start, array in self._sliced:
            try:
                read_slice = read_slice or _reader(array, self._version, self._model, self.problems)
                rows = read_slice(array)
            except (KeyError, TypeError, ValueError):
                yield self._rest(start, read_slice)
                return
            yield rows

    def _rest(self, start: int, read_slice: Callable[[bytes], list[M]] | None) -> list[M]:
        array = self._sliced.rest(start)
        try:
            return (read_slice or _reader(array, self._version, self._model, self.problems))(array)
        except (KeyError, TypeError, ValueError):
            raise Mismatch("$.data", "expected an array of objects, got something that is not JSON") from None


def read_later(body: bytes, version: ApiVersion, model: type[M]) -> tuple[Row, Parts[M]] | None:
    """Return what `read` returns, but with rows that are decoded during iteration."""
    sliced = _split(body)
    return None if sliced is None else (sliced.envelope, Parts(sliced, version, model))
