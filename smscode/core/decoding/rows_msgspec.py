"""Rows decoded by msgspec, the ``fast`` extra: from bytes straight into the slots of the models.

msgspec is as strict as `converter` about types, numbers and text, with two exceptions: it accepts a field
that is named twice, and it skips unknown fields without checking them. So every row must have the fields of
the first row, and the field names in the text are counted: if there are no more than required, there is
neither. Times and amounts are converted by the functions of `converter`. Whatever msgspec refuses, or the
count does not prove, is decoded again without it.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import repeat
from operator import attrgetter
from types import ModuleType
from typing import Any, TypeAlias, TypeVar, Union, cast

import attrs

from . import strict_json
from .columns import Column

M = TypeVar("M")
Reader: TypeAlias = Callable[[bytes], list[M] | None]

_SHAPES = 32  # cached decoders, one for each set of fields; a server usually sends one set per model


# Decoded rows become instances of the model by reassigning `__class__`. That is safe because the slots of
# both classes are the same, and far cheaper than a call of the model's `__init__` for each row.
_relabel: Callable[[object, object], None] = vars(object)["__class__"].__set__


@functools.cache
def library() -> ModuleType | None:
    """Return msgspec, None where it is not installed."""
    try:
        import msgspec
    except ImportError:
        return None
    return msgspec


def reader(model: type[M], columns: Mapping[str, Column], names: tuple[str, ...]) -> Reader[M] | None:
    """Return a function that decodes rows with exactly the fields ``names``; None without msgspec.

    That function returns None for an array that must be decoded without msgspec. It raises KeyError,
    TypeError or ValueError if a value does not fit.
    """
    msgspec = library()
    required = {name for name, column in columns.items() if column.default is attrs.NOTHING}
    if msgspec is None or not required <= set(names) <= columns.keys():
        return None
    decoder = _decoder(
        cast(Any, model),
        tuple((name, columns[name].json, tuple(columns[name].parts.items())) for name in names),
    )
    refusals = (msgspec.MsgspecError, ValueError, RecursionError)
    used = [columns[name] for name in names]
    fields = sum(1 + len(column.parts) for column in used)
    astuple = msgspec.structs.astuple

    def read(array: bytes) -> list[M] | None:
        try:
            rows: list[Any] = decoder.decode(array)
        except refusals:
            return None
        if not strict_json.names_once(array, fields * len(rows), _texts(rows, used)):
            return None
        for column in used:
            if column.convert is not None:
                values = map(attrgetter(column.name), rows)
                column.fill(rows, map(column.convert, map(astuple, values) if column.parts else values))
        return finished(rows, model)

    return read


def finished(rows: list[Any], model: type[M]) -> list[M]:
    """Turn rows of a slotless subclass of a model into instances of the model, in place."""
    deque(map(_relabel, rows, repeat(model)), maxlen=0)
    return rows


def _texts(rows: Collection[object], columns: list[Column]) -> Iterator[str]:
    """Yield the strings among the values of rows."""
    for column in columns:
        if str in column.json:
            yield from filter(None, map(attrgetter(column.name), rows))


@functools.lru_cache(_SHAPES)
def _decoder(
    model: type[Any], fields: tuple[tuple[str, frozenset[type], tuple[tuple[str, type], ...]], ...]
) -> Any:
    """Return a decoder for arrays of a model's rows with exactly these fields.

    It creates instances of a subclass without validators; `finished` then changes their ``__class__``.
    """
    import msgspec

    types = {
        name: msgspec.defstruct("Parts", parts, gc=False) if parts else cast(Any, Union)[tuple(json)]
        for name, json, parts in fields
    }
    row: Any = attrs.make_class(
        f"Raw{model.__name__}",
        {name: attrs.field(type=type_) for name, type_ in types.items()},
        bases=(model,),
        class_body={"__setattr__": object.__setattr__},
        slots=True,
        kw_only=True,
        init=False,
        eq=False,
        repr=False,
    )
    return msgspec.json.Decoder(list.__class_getitem__(row))
