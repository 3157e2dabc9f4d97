"""What the numbers that a user of the sandbox gives have to be like."""

from __future__ import annotations

from typing import Final

from ..errors import InvalidArgumentError

LONGEST: Final = 31_536_000
"""A year in seconds, longer than anybody waits."""


def check_whole(name: str, value: object, minimum: int) -> None:
    """Refuse what is not an int of at least ``minimum``."""
    if type(value) is not int or value < minimum:
        raise InvalidArgumentError(f"{name}: expected an int of at least {minimum}.")


def check_seconds(name: str, value: object) -> None:
    """Refuse what is not a length of time."""
    # Written so that NaN is refused, too.
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LONGEST:
        return
    raise InvalidArgumentError(f"{name}: expected seconds of 0..{LONGEST}.")
