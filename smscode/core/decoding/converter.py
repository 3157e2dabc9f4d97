"""Between JSON and models: one strict converter per API version.

A default cattrs converter would read ``"false"`` as True, 1.9 as 1 and null as "None". Here every
type must match exactly, unknown fields are ignored, and what does not fit is named by its JSON path.
"""

from __future__ import annotations

import functools
import re
import types
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_args

import attrs
from attrs import field, frozen

from ...errors import InvalidArgumentError, JsonValue
from ...models import OrderStatus
from ...money import FxRate, Money
from ..versions import VERSIONS
from ..versions import ApiVersion as ApiVersion
from . import strict_json

if TYPE_CHECKING:  # cattrs is imported for the first answer, or the first client: it takes a while
    from cattrs import Converter

M = TypeVar("M")

_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ]((?:[01]\d|2[0-3]):[0-5]\d:)([0-5]\d|60)(\.\d+)?"
    r"([Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)
_MICROSECONDS = 7  # characters of a fraction that `datetime` can hold, with its point
_AMOUNT = re.compile(r"-?\d{1,20}(\.\d{1,20})?([eE][+-]?\d{1,2})?", re.ASCII)
_STATUSES: Mapping[str, OrderStatus] = {status.value: status for status in OrderStatus}
_STATUS_TYPES = (OrderStatus | str, OrderStatus | str | None)


class Mismatch(Exception):
    """A value is not what the API promises; ``path`` is where, ``reason`` what was expected."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def _expected(what: str, value: object) -> TypeError:
    return TypeError(f"expected {what}, got {strict_json.type_name(value)}")


def _exact(type_: type[M], what: str) -> Callable[[object, object], M]:
    def check(value: object, _: object) -> M:
        if type(value) is not type_:
            raise _expected(what, value)
        return value

    return check


def _decimal(value: object, _: object) -> Decimal:
    if type(value) is Decimal or type(value) is int:
        return Decimal(value)
    if type(value) is not str:
        raise _expected("a decimal string", value)
    if not _AMOUNT.fullmatch(value):
        raise ValueError("expected a decimal string such as '0.9231'")
    return Decimal(value)


def _datetime(value: object, _: object) -> datetime:
    if type(value) is not str:
        raise _expected("an RFC 3339 time", value)
    match = _RFC3339.fullmatch(value)
    if match is None:
        raise ValueError("expected an RFC 3339 time with an offset")
    try:
        return datetime.fromisoformat(value) if _is_plain(match) else _unusual(match)
    except (ValueError, OverflowError):
        raise ValueError("expected a time that exists") from None


def _is_plain(match: re.Match[str]) -> bool:
    """Return True for the forms that every Python reads alike: capitals, and no leap second."""
    return match[3] != "60" and match[4] is None and match[5] != "z"


def _unusual(match: re.Match[str]) -> datetime:
    """Return the time of any form. `datetime` has no leap second: it becomes the second after it."""
    day, minute, second, fraction, offset = match.groups(default="")
    leap = second == "60"
    text = f"{day}T{minute}{'59' if leap else second}{fraction[:_MICROSECONDS]}{offset.upper()}"
    found = datetime.fromisoformat(text)
    if not leap:
        return found
    # Leap seconds are inserted at the end of a day in UTC and at no other time (RFC 3339, 5.7).
    utc = found.astimezone(UTC)
    if (utc.hour, utc.minute) != (23, 59):
        raise ValueError("no leap second")
    return found + timedelta(seconds=1)


def _status(value: object, type_: object) -> OrderStatus | str | None:
    if value is None and type_ == _STATUS_TYPES[1]:
        return None
    if type(value) is not str:
        raise _expected("a string", value)
    return _STATUSES.get(value, value)


def _rupiah(value: object, _: object) -> Money:
    if type(value) is not int:
        raise _expected("an integer of rupiah", value)
    return Money.idr(value)


def _is_optional(type_: object) -> bool:
    return len(get_args(type_)) == 2 and types.NoneType in get_args(type_)


def _optional_hook(converter: Converter, type_: object) -> Callable[[object, object], Any]:
    """Structure None, or a value of the other type of a union, without looking either up each time."""
    (inner,) = {*get_args(type_)} - {types.NoneType}
    structure = converter.get_structure_hook(inner)
    return lambda value, _: None if value is None else structure(value, inner)


def _object_hook(
    converter: Converter, type_: type[M], check: Callable[[M], None] | None = None
) -> Callable[[object, object], M]:
    """Structure an attrs class from a JSON object and nothing else."""
    from cattrs.gen import make_dict_structure_fn

    structure = make_dict_structure_fn(type_, converter)

    def hook(value: object, _: object) -> M:
        if type(value) is not dict:
            raise _expected("an object", value)
        model = structure(cast(Mapping[str, Any], value), type_)
        if check is not None:
            check(model)
        return model

    return hook


def _money_hook(converter: Converter, version: ApiVersion) -> Callable[[object, object], Money]:
    known = VERSIONS[version]

    def check(money: Money) -> None:
        if money.currency != known.currency or money.canonical_currency != "IDR":
            raise ValueError(f"expected an amount in {known.currency} with its value in IDR")

    return _object_hook(converter, Money, check) if known.money_parts else _rupiah


@functools.cache
def _converter(version: ApiVersion, detailed: bool) -> Converter:
    from cattrs import Converter

    converter = Converter(detailed_validation=detailed)
    converter.register_structure_hook(int, _exact(int, "an integer"))
    converter.register_structure_hook(bool, _exact(bool, "a boolean"))
    converter.register_structure_hook(str, _exact(str, "a string"))
    converter.register_structure_hook(Decimal, _decimal)
    converter.register_structure_hook(datetime, _datetime)
    converter.register_structure_hook_factory(_is_optional, functools.partial(_optional_hook, converter))
    converter.register_structure_hook_func(lambda type_: type_ in _STATUS_TYPES, _status)
    converter.register_structure_hook_factory(attrs.has, functools.partial(_object_hook, converter))
    converter.register_structure_hook(Money, _money_hook(converter, version))
    return converter


@functools.cache
def hook(version: ApiVersion, type_: object) -> Callable[[object, object], Any]:
    """Return what makes a value of a type, without a word about where it does not fit."""
    return _converter(version, False).get_structure_hook(type_)


def _describe(error: BaseException, _: type[Any] | None) -> str:
    if isinstance(error, KeyError):
        return f"the field {error.args[0]!r} is missing"
    if isinstance(error, InvalidArgumentError):
        return error.message.rstrip(".")
    return str(error)


def structure(version: ApiVersion, value: object, type_: type[M], path: str) -> M:
    """Make a model from decoded JSON, or raise `Mismatch` naming the place that does not fit.

    The fast converter does the work; only when it fails does the slower one say where and why.
    """
    fast = hook(version, cast(Any, type_))
    try:
        return cast(M, fast(value, type_))
    except (KeyError, TypeError, ValueError):
        pass
    from cattrs import BaseValidationError, transform_error

    try:
        return _converter(version, True).structure(value, type_)
    except (BaseValidationError, KeyError, TypeError, ValueError) as error:
        problems = transform_error(error, path, format_exception=_describe)
        reason, _, where = problems[0].rpartition(" @ ")
        raise Mismatch(where, reason) from None


def salvage(
    version: ApiVersion, value: Mapping[str, JsonValue], type_: type[M], path: str, *needed: str
) -> M:
    """Return a model of those fields of an object that can be read; the others have their defaults.

    Raises `Mismatch` if a field that is ``needed`` cannot be read. All others must have a default.
    """
    try:
        return structure(version, value, type_, path)
    except Mismatch:
        pass
    readable = {name: value[name] for name in needed if name in value}
    model = structure(version, readable, type_, path)
    for known in attrs.fields(cast("type[attrs.AttrsInstance]", type_)):
        if known.name in value and known.name not in readable:
            candidate = {**readable, known.name: value[known.name]}
            try:
                model = structure(version, candidate, type_, path)
            except Mismatch:
                continue
            readable = candidate
    return model


@frozen
class RowProblem:
    """A row that cannot be read: where and why, and its ``row_id`` if that much is readable."""

    path: str
    reason: str
    row_id: int | None = None

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def rows_of(
    version: ApiVersion, rows: list[JsonValue], model: type[M], problems: list[RowProblem], first: int = 0
) -> list[M]:
    """Return models of those rows that can be read; append a problem for each of the others.

    ``first`` is the number of the first row. One row that is odd takes nothing from those beside it.
    """
    fast = hook(version, cast(Any, model))
    try:
        return [fast(row, model) for row in rows]
    except (KeyError, TypeError, ValueError):
        pass
    found: list[M] = []
    for number, row in enumerate(rows, first):
        try:
            found.append(structure(version, row, model, f"$.data[{number}]"))
        except Mismatch as mismatch:
            row_id = row.get("id") if type(row) is dict else None
            known = row_id if type(row_id) is int else None
            problems.append(RowProblem(mismatch.path, mismatch.reason, known))
    return found


@functools.lru_cache(maxsize=16, typed=True)
def _rate(*parts: object) -> FxRate:
    """Make a rate of its names and then its values: all answers of some minutes state the same one."""
    half = len(parts) // 2
    return cast(FxRate, hook("v2", FxRate)(dict(zip(parts[:half], parts[half:], strict=True)), FxRate))


@frozen
class _PageMeta:
    page: int
    limit: int
    count: int


@frozen
class Envelope:
    """A successful answer before it becomes a model: its ``data`` and ``meta``.

    ``query``, ``idempotency_key`` and ``subject``, the order it is about, are those of the call.
    ``decoded`` are the rows in ``data`` where those were read before, ``later`` where they are still to be.
    ``problems`` has the rows that could not be read, as far as they were looked at.
    """

    version: ApiVersion
    data: JsonValue
    meta: JsonValue = None
    query: Mapping[str, int | str] = field(factory=dict[str, int | str])
    idempotency_key: str | None = None
    subject: int | None = None
    decoded: list[object] | None = None
    later: Iterable[list[object]] | None = None
    problems: list[RowProblem] = field(factory=list[RowProblem])

    def echoed(self, field: str, found: int) -> None:
        """Check that the answer is about the order that was asked about."""
        if found != self.subject:
            raise Mismatch(f"$.data.{field}", f"expected order {self.subject}, got another one")

    def one(self, model: type[M]) -> M:
        """Read ``data`` as one model."""
        return structure(self.version, self.data, model, "$.data")

    def rows(self, model: type[M]) -> list[M]:
        """Read ``data`` as an array of models, without the rows that cannot be read."""
        if self.decoded is not None:
            return cast("list[M]", self.decoded)
        if type(self.data) is not list:
            raise Mismatch("$.data", str(_expected("an array", self.data)))
        return rows_of(self.version, self.data, model, self.problems)

    def parts(self, model: type[M]) -> Iterable[list[M]]:
        """Read ``data`` as an array of models, bit by bit where it is long."""
        return [self.rows(model)] if self.later is None else cast("Iterable[list[M]]", self.later)

    @property
    def page(self) -> tuple[int, int, int]:
        """Read ``page``, ``limit`` and ``count`` from ``meta``."""
        meta = structure(self.version, self.meta, _PageMeta, "$.meta")
        return meta.page, meta.limit, meta.count

    @property
    def fx(self) -> FxRate | None:
        """Read the rate from ``meta.fx``; None where the answer states no v2 money."""
        if type(self.meta) is not dict or self.meta.get("fx") is None:
            return None
        fx = self.meta["fx"]
        if type(fx) is dict:
            parts = cast("dict[str, Any]", fx)
            try:
                return _rate(*parts, *parts.values())
            except (KeyError, TypeError, ValueError):
                pass  # said with the place below
        return structure(self.version, fx, FxRate, "$.meta.fx")
