"""Reading what a request asks for: every field is checked, and all that is wrong is reported at once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final, NoReturn, cast
from urllib.parse import parse_qsl

from ..money import FxRate, Rounding
from .refusal import Refusal

INT32_MAX: Final = 2**31 - 1
INT64_MAX: Final = 2**63 - 1

_INTEGER: Final = re.compile(r"-?[0-9]{1,19}")
_USD: Final = re.compile(r"[0-9]{1,15}(\.[0-9]{1,18})?")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")


class _Fields:
    """Named values and what was found wrong with them."""

    def __init__(self) -> None:
        self.problems: dict[str, str] = {}

    def wrong(self, name: str, problem: str) -> None:
        """Note a problem; the first one of a field is kept."""
        self.problems.setdefault(name, problem)

    def check(self) -> None:
        """Refuse the request if anything was wrong with it."""
        if self.problems:
            raise Refusal("VALIDATION_ERROR", "Request is not valid", details={"fields": self.problems})


class Query(_Fields):
    """The query of a request. Parameters that an operation does not know are ignored."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._values = dict(parse_qsl(text, keep_blank_values=True))

    def text(self, name: str) -> str | None:
        """Give a parameter as it is."""
        return self._values.get(name)

    def integer(self, name: str) -> int | None:
        """Give a parameter that must be a whole number."""
        value = self._values.get(name)
        if value is None:
            return None
        if not _INTEGER.fullmatch(value):
            self.wrong(name, "must be an integer")
            return None
        return int(value)

    def clamped(self, name: str, default: int, low: int, high: int = INT64_MAX) -> int:
        """Give a whole number, moved into its range if it lies outside."""
        value = self.integer(name)
        return default if value is None else min(max(value, low), high)


class Body(_Fields):
    """The JSON object in the body of a request; a field that an operation does not know is refused."""

    def __init__(self, body: bytes, known: Iterable[str]) -> None:
        super().__init__()
        self.values: dict[str, object] = _json_object(body)
        for name in sorted(self.values.keys() - set(known)):
            self.wrong(name, "is not a field of this request")

    def integer(self, name: str, low: int, high: int) -> int | None:
        """Give a whole number of ``low``..``high``, None where there is none."""
        value = self.values.get(name)
        if value is None:
            return None
        # A JSON true is a Python int, so the exact type counts.
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            self.wrong(name, f"must be an integer of {low}..{high}")
            return None
        return value

    def required_id(self) -> int:
        """Give the ``id`` of the order that the request is about; 0 is nobody's."""
        value = self.integer("id", 1, INT32_MAX)
        if value is None:
            self.wrong("id", "is required")
            return 0
        return value

    def text(self, name: str, limit: int) -> str | None:
        """Give a string of at most ``limit`` characters, None where there is none."""
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, str) or len(value) > limit or _SURROGATE.search(value):
            self.wrong(name, f"must be a string of at most {limit} characters")
            return None
        return value

    def price(self, name: str, fx: FxRate | None, rounding: Rounding) -> int | None:
        """Give a price limit in rupiah: an integer without ``fx`` (v1), else a string of dollars."""
        if fx is None:
            return self.integer(name, 0, INT64_MAX)
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, str) or not _USD.fullmatch(value):
            self.wrong(name, "must be a string with a decimal number")
            return None
        return fx.to_idr(Decimal(value), rounding=rounding)


def idempotency_key(headers: Mapping[str, str]) -> str | None:
    """Give the idempotency key of a request."""
    key = headers.get("idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        raise Refusal(
            "VALIDATION_ERROR",
            "Idempotency key is not valid",
            details={"fields": {"Idempotency-Key": "must be 1..128 letters, digits, - or _"}},
        )
    return key


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
