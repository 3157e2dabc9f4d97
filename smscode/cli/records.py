"""Results as JSON: the wire's field names, decimals as strings, times in RFC 3339."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import cast

import attrs


def record(value: object) -> object:
    """Give a result as what `json.dumps` takes."""
    if attrs.has(cls := type(value)):
        return {field.name: record(getattr(value, field.name)) for field in attrs.fields(cls)}
    if isinstance(value, dict):
        return {name: record(item) for name, item in cast(dict[str, object], value).items()}
    if isinstance(value, list | tuple):
        return [record(item) for item in cast(list[object], value)]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.value if isinstance(value, Enum) else value
