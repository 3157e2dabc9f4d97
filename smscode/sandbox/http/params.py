"""Reads what a request carries: every field is checked, and all problems are reported at once.

Which fields there are, and their ranges, is in the descriptions of the endpoints.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Final, TypeVar
from urllib.parse import parse_qsl

from ...core.api.arguments import INT64, KEY_PATTERN
from ...core.api.parameters import Limit, OneOf, Parameter, ParameterType, Text, Whole
from ...core.decoding import strict_json
from ...money import FxRate
from .api_error import ServiceError, invalid

P = TypeVar("P", bound=ParameterType)

_INTEGER: Final = re.compile(r"-?[0-9]{1,19}")
USD: Final = re.compile(r"[0-9]{1,15}(\.[0-9]{1,18})?")
"""The format of a price limit on v2."""


class _Fields:
    """The parameters of an operation, the ``usable`` ones in this generation, and the problems found."""

    def __init__(self, known: Iterable[Parameter], *, current: bool) -> None:
        self.known: dict[str, Parameter] = {parameter.name: parameter for parameter in known}
        self.usable: set[str] = {name for name, one in self.known.items() if current or not one.current_only}
        self.values: dict[str, object] = {}
        self.problems: dict[str, str] = {}

    def wrong(self, name: str, problem: str) -> None:
        """Store a problem; the first one of a field is kept."""
        self.problems.setdefault(name, problem)

    def check(self) -> None:
        """Raise `ServiceError` if any field has a problem."""
        if self.problems:
            raise invalid(self.problems)

    def _type_of(self, name: str, type_: type[P]) -> P:
        found = self.known[name].kind
        assert isinstance(found, type_)
        return found

    def choice(self, name: str) -> StrEnum | None:
        """Return a member of an enumeration, None if it is missing or null."""
        value, choice = self.values.get(name), self._type_of(name, OneOf)
        if value is None:
            return None
        text = value.upper() if choice.any_case and isinstance(value, str) else value
        found = next((member for member in choice.members if member == text), None)
        if found is None and not choice.lenient:
            self.wrong(name, f"must be one of {', '.join(choice.members)}")
        return found


class Query(_Fields):
    """The query of a request. Unknown parameters are ignored.

    Without ``current`` the parameters that only the current generation has are unknown.
    """

    def __init__(self, text: str, known: Iterable[Parameter], *, current: bool) -> None:
        super().__init__(known, current=current)
        given = dict(parse_qsl(text, keep_blank_values=True))
        self.texts: dict[str, str] = {name: value for name, value in given.items() if name in self.usable}
        self.values.update(self.texts)
        for name, parameter in self.known.items():
            if parameter.required and name not in self.texts:
                self.wrong(name, "is required")

    def text(self, name: str) -> str | None:
        """Return a parameter's text."""
        return self.texts.get(name)

    def integer(self, name: str) -> int | None:
        """Return an integer, None if it is missing."""
        whole = self._type_of(name, Whole)
        value = self.texts.get(name)
        if value is None:
            return None
        low, high = INT64 if whole.clamped else (whole.low, whole.high)
        if not _INTEGER.fullmatch(value) or not low <= int(value) <= high:
            self.wrong(name, f"must be an integer of {low}..{high}")
            return None
        return min(max(int(value), whole.low), whole.high)

    def number(self, name: str) -> int:
        """Return an integer that has a default."""
        default = self.known[name].default
        assert isinstance(default, int)
        value = self.integer(name)
        return default if value is None else value


class RequestBody(_Fields):
    """The JSON object in the body of a request; an unknown field is an error.

    Without ``current`` the fields that only the current generation has are unknown.
    """

    def __init__(self, body: bytes, known: Iterable[Parameter], *, current: bool) -> None:
        super().__init__(known, current=current)
        self.values.update(json_object(body))
        for name in sorted(self.values.keys() - self.usable):
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
        """Return an integer, None if it is missing or null."""
        whole = self._type_of(name, Whole)
        return self._integer(name, whole.low, whole.high)

    def _integer(self, name: str, low: int, high: int) -> int | None:
        value = self.values.get(name)
        # A JSON true is a Python int, so the exact type counts.
        if value is None or (type(value) is int and low <= value <= high):
            return value
        self.wrong(name, f"must be an integer of {low}..{high}")
        return None

    def text(self, name: str) -> str | None:
        """Return a string, None if it is missing or null."""
        longest = self._type_of(name, Text).longest
        assert longest is not None  # every string of a body has a limit
        value = self.values.get(name)
        if value is None or (isinstance(value, str) and len(value) <= longest):
            return value
        self.wrong(name, f"must be a string of at most {longest} characters")
        return None

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
        return fx.to_idr(Decimal(value), rounding=self._type_of(name, Limit).rounding)


def key_of(headers: Mapping[str, str]) -> str | None:
    """Return the idempotency key of a request, None without one. Raises `ServiceError`."""
    key = headers.get("idempotency-key")
    if key is not None and not KEY_PATTERN.fullmatch(key):
        problem = "must be 1..128 letters, digits, - or _"
        raise invalid({"Idempotency-Key": problem}, "Idempotency key is not valid")
    return key


def integers_in(body: bytes) -> dict[str, int]:
    """Return the integers in the JSON object of a body; an empty dict for any other body."""
    try:
        values = json_object(body)
    except ServiceError:
        return {}
    return {name: value for name, value in values.items() if type(value) is int}


def json_object(body: bytes) -> dict[str, object]:
    """Parse a body that is a JSON object; fractions become `Decimal`. Raises `ServiceError`."""
    try:
        # The service itself takes the last one of two fields with the same name.
        value = strict_json.parse(body, distinct=False)
        if b"\\u" in body:
            # `strict_json` replaces half of a surrogate pair. Here it is an error: it cannot be encoded.
            json.dumps(json.loads(body), ensure_ascii=False).encode()
    except ValueError:
        raise ServiceError("VALIDATION_ERROR", "The body is not JSON") from None
    if not isinstance(value, dict):
        raise ServiceError("VALIDATION_ERROR", "The body is not a JSON object")
    return dict(value)
