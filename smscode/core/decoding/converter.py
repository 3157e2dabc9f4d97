"""From JSON to models: one strict converter per API version.

A default cattrs converter would accept ``"false"`` as True, 1.9 as 1 and null as "None". Here every type must
match exactly, unknown fields are ignored, and errors name the JSON path of what does not fit.
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

from ..._exact import CONTEXT
from ..._first_models import OrderStatus
from ..._value import Value
from ...errors import InvalidArgumentError, JsonValue
from ...money import FxRate, Money
from ..versions import VERSIONS, ApiVersion
from . import strict_json

if TYPE_CHECKING:  # cattrs is imported with the first client or answer, because that is slow
    from cattrs import Converter

M = TypeVar("M")

_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ]((?:[01]\d|2[0-3]):[0-5]\d:)([0-5]\d|60)(\.\d+)?"
    r"([Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)
_AMOUNT = re.compile(r"-?\d{1,20}(\.\d{1,20})?([eE][+-]?\d{1,2})?", re.ASCII)
_STATUSES: Mapping[str, OrderStatus] = {status.value: status for status in OrderStatus}
_SIMPLE: Mapping[type[Any], str] = {int: "an integer", bool: "a boolean", str: "a string"}
_STATUS_TYPES = (OrderStatus | str, OrderStatus | str | None)


class Mismatch(Exception):
    """A value is not what the API promises: ``path`` is its JSON path, ``reason`` what was expected."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def _expected(what: str, value: object) -> TypeError:
    return TypeError(f"expected {what}, got {strict_json.type_name(value)}")


def _exact(type_: type[M], *others: type[None]) -> Callable[[object, object], M | None]:
    """Return a hook that accepts the values of a simple type as they are, and perhaps None."""
    allowed = frozenset((type_, *others))

    def check(value: Any, _: object) -> M | None:
        if type(value) not in allowed:
            raise _expected(_SIMPLE[type_], value)
        simple: M | None = value  # not by `cast`, which would be a call for each field
        return simple

    return check


def _decimal(value: object, _: object) -> Decimal:
    if type(value) is Decimal or type(value) is int:
        return Decimal(value, CONTEXT)
    if type(value) is not str:
        raise _expected("a decimal string", value)
    if not _AMOUNT.fullmatch(value):
        raise ValueError("expected a decimal string such as '0.9231'")
    return Decimal(value, CONTEXT)


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
    """Return True for the forms that Python parses: with a capital Z and no leap second."""
    return match[3] != "60" and match[5] != "z"


def _unusual(match: re.Match[str]) -> datetime:
    """Return the time of any other form. A leap second becomes the second after it."""
    day, minute, second, fraction, offset = match.groups(default="")
    leap = second == "60"
    text = f"{day}T{minute}{'59' if leap else second}{fraction}{offset.upper()}"
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
    """Return True for ``X | None``; cattrs itself tells ``X | Y | None`` apart."""
    return types.NoneType in get_args(type_) and len(get_args(type_)) == 2


def _optional_hook(converter: Converter, type_: object) -> Callable[[object, object], Any]:
    """Return a hook for ``X | None`` that looks up the hook of X only once."""
    (inner,) = {*get_args(type_)} - {types.NoneType}
    if inner in _SIMPLE:
        return _exact(inner, types.NoneType)
    structure = converter.get_structure_hook(inner)
    return lambda value, _: None if value is None else structure(value, inner)


def _object_hook(
    converter: Converter, type_: type[M], check: Callable[[M], None] | None = None
) -> Callable[[object, object], M]:
    """Return a hook that makes an attrs class from a JSON object only, then calls ``check``."""
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
    for simple in _SIMPLE:
        converter.register_structure_hook(simple, _exact(simple))
    converter.register_structure_hook(Decimal, _decimal)
    converter.register_structure_hook(datetime, _datetime)
    converter.register_structure_hook_factory(_is_optional, functools.partial(_optional_hook, converter))
    converter.register_structure_hook_func(lambda type_: type_ in _STATUS_TYPES, _status)
    converter.register_structure_hook_factory(attrs.has, functools.partial(_object_hook, converter))
    converter.register_structure_hook(Money, _money_hook(converter, version))
    return converter


@functools.cache
def hook(version: ApiVersion, type_: object) -> Callable[[object, object], Any]:
    """Return the fast structure hook for a type. Its errors have no JSON path; use `structure` for that."""
    return _converter(version, False).get_structure_hook(type_)


def _describe(error: BaseException, _: type[Any] | None) -> str:
    if isinstance(error, KeyError):
        return f"the field {error.args[0]!r} is missing"
    if isinstance(error, InvalidArgumentError):
        return error.message.removesuffix(".")
    return str(error)


def structure(version: ApiVersion, value: object, type_: type[M], path: str) -> M:
    """Return a model from parsed JSON. Raises `Mismatch` with the JSON path of what does not fit.

    The fast converter does the work; if it fails, the slower one finds out where and why.
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
    """Return a model with the fields of an object that can be read; the others get their defaults.

    Raises `Mismatch` if a ``needed`` field cannot be read. All other fields must have a default.
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


@frozen(eq=False, repr=False)
class RowProblem(Value):
    """A row that cannot be read: its JSON path, the reason, and its id if that can be read."""

    path: str
    reason: str
    row_id: int | None = None

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def rows_of(
    version: ApiVersion, rows: list[JsonValue], model: type[M], problems: list[RowProblem], first: int = 0
) -> list[M]:
    """Return models of the rows that can be read; append a problem for each of the others.

    ``first`` is the number of the first row in the answer.
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
    """Return a rate from its field names followed by their values. Answers of one minute share the rate."""
    half = len(parts) // 2
    return cast(FxRate, hook("v2", FxRate)(dict(zip(parts[:half], parts[half:], strict=True)), FxRate))


@frozen(eq=False, repr=False)
class _PageMeta(Value):
    page: int
    limit: int
    count: int


@frozen(eq=False, repr=False)
class Envelope(Value):
    """A successful answer before it becomes a model: its ``data`` and ``meta``.

    ``query``, ``idempotency_key`` and ``subject`` (the id of the order) are those of the call. ``decoded``
    are the rows of ``data`` if they were decoded before, ``later`` yields them if they are decoded during
    iteration. ``problems`` are the rows so far that could not be read.
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
        """Raise `Mismatch` if the answer is about another order than the call."""
        if found != self.subject:
            raise Mismatch(f"$.data.{field}", f"expected order {self.subject}, got another one")

    def one(self, model: type[M]) -> M:
        """Return ``data`` as one model."""
        return structure(self.version, self.data, model, "$.data")

    def rows(self, model: type[M]) -> list[M]:
        """Return ``data`` as a list of models, without the rows that cannot be read."""
        if self.decoded is not None:
            return cast("list[M]", self.decoded)
        if type(self.data) is not list:
            raise Mismatch("$.data", str(_expected("an array", self.data)))
        return rows_of(self.version, self.data, model, self.problems)

    def parts(self, model: type[M]) -> Iterable[list[M]]:
        """Return ``data`` as lists of models, decoded slice by slice if it is long."""
        return [self.rows(model)] if self.later is None else cast("Iterable[list[M]]", self.later)

    @property
    def page(self) -> tuple[int, int, int]:
        """Return ``page``, ``limit`` and ``count`` of ``meta``."""
        meta = structure(self.version, self.meta, _PageMeta, "$.meta")
        return meta.page, meta.limit, meta.count

    @property
    def fx(self) -> FxRate | None:
        """Return the rate in ``meta.fx``, None if the answer has none."""
        if type(self.meta) is not dict or self.meta.get("fx") is None:
            return None
        fx = self.meta["fx"]
        if type(fx) is dict:
            parts = cast("dict[str, Any]", fx)
            try:
                return _rate(*parts, *parts.values())
            except (KeyError, TypeError, ValueError):
                pass  # raised with its JSON path below
        return structure(self.version, fx, FxRate, "$.meta.fx")
