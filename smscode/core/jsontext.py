"""JSON text as this package reads and writes it: strictly, because money is in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NoReturn, cast

from ..errors import JsonValue

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
LEVELS = 100
"""How deep arrays and objects may be nested. That `json` has a limit at all depends on the interpreter."""

_MARK = b"\xef\xbb\xbf"  # a byte order mark, which RFC 8259 (8.1) lets a reader ignore
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_LARGEST_EXPONENT = 308  # what a double can hold; beyond it no peer means what it says


def _number(text: str) -> Decimal:
    value = Decimal(text)
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
    """Put a question mark in the place of each half character, which could be neither shown nor sent."""
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


def check_depth(body: bytes, levels: int = LEVELS) -> None:
    """Raise ValueError if arrays and objects are nested in more than ``levels`` levels.

    Also decides about what is no JSON, so it can be called before anything is parsed.
    """
    if body.count(b"[") + body.count(b"{") <= levels:
        return
    brackets = _STRING.sub(b"", body).translate(_ONE_KIND, _NO_BRACKETS)
    for _ in range(levels):
        # What is innermost goes, one level each time, until nothing is left of what is properly closed.
        fewer = brackets.replace(b"[]", b"")
        if len(fewer) == len(brackets):
            break
        brackets = fewer
    if b"[]" in brackets or brackets.count(b"[") > levels:
        raise ValueError(f"nested too deeply: more than {levels} levels")


def parse(body: bytes, *, distinct: bool = True, levels: int = LEVELS) -> JsonValue:
    """Parse a JSON text in UTF-8; a byte order mark before it is ignored.

    Refuses what `json.loads` lets pass and two readers may understand differently: NaN and
    Infinity, a field named twice, UTF-16. Refuses more than ``levels`` levels of arrays and objects.
    Numbers with a fraction become `Decimal`, and half of a surrogate pair a question mark. Raises
    ValueError, always, with a reason that quotes nothing of the body. Without ``distinct``, a field
    named twice and the depth are for the caller to check.
    """
    body = body.removeprefix(_MARK)
    try:
        if distinct:
            check_depth(body, levels)
        text = body.decode("utf-8")
        value = (_DISTINCT if distinct else _PLAIN).decode(text)
        if "\\" in text and _SURROGATE.search(text):
            value = _mended(value)
    except UnicodeError:
        raise ValueError("not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON at character {error.pos}") from None
    except RecursionError:
        # So few levels are always in reach, unless the caller's own functions have used up the stack.
        raise ValueError("nested too deeply for what is left of the stack") from None
    except ArithmeticError:
        raise ValueError("a number is out of range") from None
    return cast("JsonValue", value)


def first_names(array: bytes) -> tuple[str, ...]:
    """Give the names of the fields of the first object in an array. Raises ValueError without one."""
    try:
        first, _ = _PLAIN.raw_decode(array.decode("utf-8"), 1)
    except (RecursionError, ArithmeticError):
        raise ValueError("not an object to read") from None
    return tuple(first)


def names_once(body: bytes, fields: int, texts: Iterable[str] = ()) -> bool:
    """Tell whether ``fields`` distinct names found in a JSON text are surely all the names there are.

    Every name is followed by a colon, so with as many colons as names there is no second field of the
    same name that was dropped. Colons inside ``texts``, the strings that were found, may be added as long as
    nothing is escaped. A colon anywhere else makes this say no, never yes.
    """
    colons = body.count(b":")
    if colons == fields:
        return True
    return b"\\" not in body and colons == fields + sum(text.count(":") for text in texts)


_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


def render(fields: Mapping[str, object]) -> bytes:
    """Write a request body; the same fields in the same order always give the same bytes."""
    return _ENCODER.encode(fields).encode("ascii")


def type_name(value: object) -> str:
    """Name the JSON type of a decoded value, for messages."""
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
