"""Reads ``--since``: a span before now, or a date."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated, Final

import typer

from ..errors import InvalidArgumentError

Since = Annotated[
    str | None,
    typer.Option("--since", metavar="WHEN", help="Only from then on: 30m, 12h, 7d, or a date as 2026-06-14."),
]
_SPAN: Final = re.compile(r"(\d{1,5})([mhdw])", re.ASCII)
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_since(given: str | None) -> datetime | timedelta | None:
    """Return a span or a time. A time without an offset is one of this machine.

    Raises `InvalidArgumentError` for anything else.
    """
    if given is None:
        return None
    if found := _SPAN.fullmatch(given.strip()):
        return timedelta(**{_UNITS[found[2]]: int(found[1])})
    try:
        at = datetime.fromisoformat(given.strip())
        return at if at.tzinfo is not None else at.astimezone()
    except (ValueError, OverflowError, OSError):
        raise InvalidArgumentError(
            f"--since: expected a span as 30m, 12h or 7d, or a date as 2026-06-14, not {given[:40]!r}."
        ) from None
