"""Checks of the numbers that a user of the sandbox gives."""

from __future__ import annotations

from typing import Final, TypeAlias

from ..errors import InvalidArgumentError

LONGEST: Final = 31_536_000
"""The longest duration in seconds: a year."""

Probability: TypeAlias = float
"""A number of 0..1."""


def check_whole(name: str, value: object, minimum: int) -> None:
    """Raise `InvalidArgumentError` unless a value is an int of at least ``minimum``."""
    if type(value) is not int or value < minimum:
        raise InvalidArgumentError(f"{name}: expected an int of at least {minimum}.")


def check_duration(name: str, value: object) -> None:
    """Raise `InvalidArgumentError` unless a value is a duration of at most `LONGEST` seconds."""
    # Written so that NaN is rejected, too: every comparison with it is False.
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LONGEST:
        return
    raise InvalidArgumentError(f"{name}: expected seconds of 0..{LONGEST}.")


def check_probability(name: str, value: object) -> None:
    """Raise `InvalidArgumentError` unless a value is a number of 0..1."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return
    raise InvalidArgumentError(f"{name}: expected a number of 0..1.")
