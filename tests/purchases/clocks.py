"""Wall clocks that are wrong: what `time.time` says, in each life of a program."""

from __future__ import annotations

import time
from dataclasses import dataclass

DAY = 86_400.0
_real = time.time
_offset = [0.0]


@dataclass(frozen=True)
class Clock:
    """The clock of the first life, from its first commit on, and of the next life, in seconds ahead.

    ``forgets``: the service forgot its keys between the two, as it does after a day.
    """

    first: float = 0.0
    within: float | None = None
    then: float = 0.0
    forgets: bool = False


CLOCKS = {
    "steady": Clock(),
    "ahead": Clock(first=30 * DAY, then=10 * DAY, forgets=True),
    "behind": Clock(first=-30 * DAY),
    "back": Clock(then=-30 * DAY, forgets=True),
    "forward": Clock(then=30 * DAY, forgets=True),
    "jumps": Clock(within=30 * DAY),
    "falls": Clock(within=-30 * DAY),
}


def _shifted() -> float:
    return _real() + _offset[0]


def shift(seconds: float) -> None:
    """Set the wall clock of this process wrong by so many seconds."""
    _offset[0] = seconds


def install() -> None:
    """Replace this process' wall clock by one that `shift` moves."""
    time.time = _shifted
