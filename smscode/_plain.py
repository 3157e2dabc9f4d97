"""Converts the values of models to plain JSON values, for `to_dict` and pydantic."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import cast

import attrs

from .errors import JsonValue


def plain_fields(model: object) -> dict[str, JsonValue]:
    """Return the fields of a model as plain values."""
    fields = attrs.fields(cast("type[attrs.AttrsInstance]", type(model)))
    return {field.name: plain(getattr(model, field.name)) for field in fields}


def plain(value: object) -> JsonValue:
    """Return a value of a model as a plain JSON value; see `to_dict`."""
    if attrs.has(type(value)):
        return plain_fields(value)
    if isinstance(value, Enum):
        return str(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple | list):
        return [plain(item) for item in cast("tuple[object, ...]", value)]
    if isinstance(value, dict):
        return {name: plain(item) for name, item in cast("dict[str, object]", value).items()}
    return cast(JsonValue, value)
