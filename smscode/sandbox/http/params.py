"""Reading what a request asks for: every field is checked, and all that is wrong is reported at once.

What there is to ask for, and within which limits, is in the descriptions of the endpoints.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Final, NoReturn, TypeVar, cast
from urllib.parse import parse_qsl

from ...core.api.parameters import INT64, KEY_PATTERN, Limit, OneOf, Parameter, ParameterType, Text, Whole
from ...money import FxRate
from .api_error import Refusal

K = TypeVar("K", bound=ParameterType)

_INTEGER: Final = re.compile(r"-?[0-9]{1,19}")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
USD: Final = re.compile(r"[0-9]{1,15}(\.[0-9]{1,18})?")
"""What a price limit of v2 looks like."""


class _Fields:
    """Named values and what was found wrong with them."""

    def __init__(self, known: Iterable[Parameter]) -> None:
        self.known: dict[str, Parameter] = {parameter.name: parameter for parameter in known}
        self.problems: dict[str, str] = {}

    def wrong(self, name: str, problem: str) -> None:
        """Note a problem; the first one of a field is kept."""
        self.problems.setdefault(name, problem)

    def check(self) -> None:
        """Refuse the request if anything was wrong with it."""
        if self.problems:
            raise Refusal("VALIDATION_ERROR", "Request is not valid", details={"fields": self.problems})

    def _kind(self, name: str, type_: type[K]) -> K:
        kind = self.known[name].kind
        assert isinstance(kind, type_)
        return kind

    def _member(self, name: str, value: object) -> StrEnum | None:
        choice = self._kind(name, OneOf)
        text = value.upper() if choice.any_case and isinstance(value, str) else value
        found = next((member for member in choice.members if member == text), None)
        if found is None and not choice.lenient:
            self.wrong(name, f"must be one of {', '.join(choice.members)}")
        return found


class Query(_Fields):
    """The query of a request. Parameters that an operation does not know are ignored.

    Without ``newer`` those that only the current generation knows are not known.
    """

    def __init__(self, text: str, known: Iterable[Parameter], *, newer: bool) -> None:
        super().__init__(known)
        given = dict(parse_qsl(text, keep_blank_values=True))
        usable = {name for name, parameter in self.known.items() if newer or not parameter.current_only}
        self._values = {name: value for name, value in given.items() if name in usable}
        for name, parameter in self.known.items():
            if parameter.required and name not in self._values:
                self.wrong(name, "is required")

    def text(self, name: str) -> str | None:
        """Return a parameter as it is."""
        return self._values.get(name)

    def choice(self, name: str) -> StrEnum | None:
        """Return a parameter that is one of an enumeration."""
        value = self._values.get(name)
        return None if value is None else self._member(name, value)

    def integer(self, name: str) -> int | None:
        """Return a parameter that is a whole number, None where there is none."""
        whole = self._kind(name, Whole)
        value = self._values.get(name)
        if value is None:
            return None
        low, high = INT64 if whole.clamped else (whole.low, whole.high)
        if not _INTEGER.fullmatch(value) or not low <= int(value) <= high:
            self.wrong(name, f"must be an integer of {low}..{high}")
            return None
        return min(max(int(value), whole.low), whole.high)

    def number(self, name: str) -> int:
        """Return a whole number that has a default."""
        default = self.known[name].default
        assert isinstance(default, int)
        value = self.integer(name)
        return default if value is None else value


class RequestBody(_Fields):
    """The JSON object in the body of a request; a field that an operation does not know is refused.

    Without ``newer`` those that only the current generation knows are not known.
    """

    def __init__(self, body: bytes, known: Iterable[Parameter], *, newer: bool) -> None:
        super().__init__(known)
        self.values: dict[str, object] = _json_object(body)
        usable = {name for name, parameter in self.known.items() if newer or not parameter.current_only}
        for name in sorted(self.values.keys() - usable):
            self.wrong(name, "is not a field of this request")
        for name, parameter in self.known.items():
            if parameter.required and self.values.get(name) is None:
                self.wrong(name, "is required")
            elif not parameter.nullable and name in self.values and self.values[name] is None:
                self.wrong(name, "must not be null")

    def given(self, name: str) -> bool:
        """Return True if a field is there and not null."""
        return self.values.get(name) is not None

    def integer(self, name: str) -> int | None:
        """Return a whole number, None where there is none."""
        whole = self._kind(name, Whole)
        return self._integer(name, whole.low, whole.high)

    def _integer(self, name: str, low: int, high: int) -> int | None:
        value = self.values.get(name)
        if value is None:
            return None
        # A JSON true is a Python int, so the exact type counts.
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            self.wrong(name, f"must be an integer of {low}..{high}")
            return None
        return value

    def text(self, name: str) -> str | None:
        """Return a string, None where there is none."""
        longest = self._kind(name, Text).longest
        assert longest is not None  # every string of a body has a limit
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, str) or len(value) > longest or _SURROGATE.search(value):
            self.wrong(name, f"must be a string of at most {longest} characters")
            return None
        return value

    def choice(self, name: str) -> StrEnum | None:
        """Return one of an enumeration, None where there is none."""
        value = self.values.get(name)
        return None if value is None else self._member(name, value)

    def price(self, name: str, fx: FxRate | None) -> int | None:
        """Return a price limit in rupiah: an integer without ``fx`` (v1), else a string of dollars."""
        if fx is None:
            return self._integer(name, 0, INT64[1])
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, str) or not USD.fullmatch(value):
            self.wrong(name, "must be a string with a decimal number")
            return None
        return fx.to_idr(Decimal(value), rounding=self._kind(name, Limit).rounding)


def idempotency_key(headers: Mapping[str, str]) -> str | None:
    """Return the idempotency key of a request."""
    key = headers.get("idempotency-key")
    if key is not None and not KEY_PATTERN.fullmatch(key):
        raise Refusal(
            "VALIDATION_ERROR",
            "Idempotency key is not valid",
            details={"fields": {"Idempotency-Key": "must be 1..128 letters, digits, - or _"}},
        )
    return key


def loose_integers(body: bytes) -> dict[str, int]:
    """Return the whole numbers in the JSON object of a body; none where there is no such object."""
    try:
        values: object = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(values, dict):
        return {}
    given = cast("dict[str, object]", values)
    return {name: value for name, value in given.items() if type(value) is int}


def _not_a_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _json_object(body: bytes) -> dict[str, object]:
    try:
        value: object = json.loads(body, parse_float=Decimal, parse_constant=_not_a_number)
    except (ValueError, RecursionError):
        raise Refusal("VALIDATION_ERROR", "Body is not JSON") from None
    if not isinstance(value, dict):
        raise Refusal("VALIDATION_ERROR", "Body is not a JSON object")
    return cast("dict[str, object]", value)
