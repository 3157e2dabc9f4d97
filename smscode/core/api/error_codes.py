"""What an error code means of which no table says anything else: what its HTTP status says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from ...errors import API_ERRORS, APIError

T = TypeVar("T")

_NOT_REFUSALS = (408, 409, 425, 429)  # they can be said of a request that was carried out, or will be


def kind_of_status(status: int) -> str:
    """Return the kind of failure that a code with this status is, if nothing more is known of the code."""
    if status >= 500:
        return "unknown code of a failing service"
    return "unknown refusal" if status >= 400 and status not in _NOT_REFUSALS else "unknown code"


def for_every_code(
    rows: Mapping[str, T], codes: Mapping[str, tuple[type[APIError], int]] = API_ERRORS
) -> dict[str, T]:
    """Return a table with a row for every code: one without a row of its own has the row of its status."""
    others = {code: rows[kind_of_status(status)] for code, (_, status) in codes.items() if code not in rows}
    return {**rows, **others}
