"""Strict parsing and writing of JSON: answers contain money, so nothing ambiguous is accepted."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, NoReturn, cast

from ..._exact import CONTEXT
from ...errors import JsonValue

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
LEVELS = 100
"""How deep arrays and objects may be nested. Whether `json` itself has a limit depends on the interpreter."""

_MARK = b"\xef\xbb\xbf"  # a byte order mark, which RFC 8259 (8.1) allows parsers to ignore
_CONTAINERS = frozenset({dict, list})
_TOO_DEEP = f"nested too deeply: more than {LEVELS} levels"
_LARGEST_EXPONENT = 308  # of a double; a larger number is an error of the peer


def _number(text: str) -> Decimal:
    value = Decimal(text, CONTEXT)
    if abs(value.adjusted()) > _LARGEST_EXPONENT:
        raise ValueError("a number is out of range")
    return value


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _distinct(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("an object names a field twice")
    return value


def _mended(value: JsonValue) -> JsonValue:
    """Replace lone surrogates by question marks: they can be neither shown nor sent."""
    if isinstance(value, str):
        return _whole(value)
    if isinstance(value, list):
        return [_mended(item) for item in value]
    if isinstance(value, dict):
        return {_whole(name): _mended(item) for name, item in value.items()}
    return value


def _whole(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


_DISTINCT = json.JSONDecoder(parse_float=_number, parse_constant=_no_constant, object_pairs_hook=_distinct)
_PLAIN = json.JSONDecoder(parse_float=_number, parse_constant=_no_constant)


def _inside(container: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return container.values() if type(container) is dict else container


def check_depth(value: JsonValue, levels: int = LEVELS) -> None:
    """Raise ValueError if arrays and objects are nested in more than ``levels`` levels."""
    found = [cast(Any, value)]
    for _ in range(levels):
        found = [inner for one in found for inner in _inside(one) if type(inner) in _CONTAINERS]
    if found:
        raise ValueError(_TOO_DEEP)


def parse(body: bytes, *, distinct: bool = True, levels: int = LEVELS) -> JsonValue:
    """Parse a JSON text in UTF-8; a byte order mark before it is ignored.

    Numbers with a fraction become `Decimal`, and a lone surrogate becomes a question mark. Raises ValueError
    for anything else than JSON, and for what `json.loads` accepts although parsers differ about it: NaN,
    Infinity, a field named twice, UTF-16, and more than ``levels`` levels of arrays and objects. The message
    quotes nothing of the body. Without ``distinct``, the caller must check for repeated fields and the depth.
    """
    body = body.removeprefix(_MARK)
    try:
        text = body.decode("utf-8")
        value = (_DISTINCT if distinct else _PLAIN).decode(text)
        if distinct and text.count("[") + text.count("{") > levels:
            check_depth(cast("JsonValue", value), levels)
        if "\\" in text and _SURROGATE.search(text):
            value = _mended(value)
    except UnicodeError:
        raise ValueError("not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON at character {error.pos}") from None
    except RecursionError:
        # Some interpreters cannot parse such deep nesting at all.
        raise ValueError(_TOO_DEEP) from None
    except ArithmeticError:
        raise ValueError("a number is out of range") from None
    return cast("JsonValue", value)


def first_names(array: bytes) -> tuple[str, ...]:
    """Return the field names of the first object in an array. Raises ValueError if it is not an object."""
    try:
        first, _ = _PLAIN.raw_decode(array.decode("utf-8"), 1)
    except (RecursionError, ArithmeticError):
        raise ValueError("not an object to read") from None
    return tuple(first)


def names_once(body: bytes, fields: int, texts: Iterable[str] = ()) -> bool:
    """Return True if the ``fields`` names found in a JSON text are surely all names that it contains.

    Each name is followed by a colon, so if there are as many colons as names, no field with a repeated name
    was dropped. Colons in ``texts``, the strings that were found, are allowed for if nothing is escaped. Any
    other colon leads to False, never to a wrong True.
    """
    colons = body.count(b":")
    if colons == fields:
        return True
    return b"\\" not in body and colons == fields + sum(text.count(":") for text in texts)


_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


def render(fields: Mapping[str, object]) -> bytes:
    """Return a request body. The same fields in the same order always result in the same bytes."""
    return _ENCODER.encode(fields).encode("ascii")


def type_name(value: object) -> str:
    """Return the name of a value's JSON type, for messages."""
    names: Mapping[type, str] = {
        type(None): "null",
        bool: "a boolean",
        int: "an integer",
        Decimal: "a number",
        str: "a string",
        list: "an array",
        dict: "an object",
    }
    return names.get(type(value), type(value).__name__)
