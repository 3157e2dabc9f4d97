"""The sandbox's time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from ..errors import InvalidArgumentError


def utc_now() -> datetime:
    """Return the real time."""
    return datetime.now(UTC)


class Clock:
    """The time of a clock plus what it was moved ahead; ``latest`` is what it showed last.

    It only moves forward, also where the clock of the machine is set back.
    """

    def __init__(self, base: Callable[[], datetime]) -> None:
        self._base = base
        self.ahead: timedelta = timedelta(0)
        self.latest: datetime = datetime.min.replace(tzinfo=UTC)

    def __call__(self) -> datetime:
        """Return the time, in UTC."""
        now = self._base()
        if now.tzinfo is None:
            raise InvalidArgumentError("clock: expected an aware datetime.")
        self.latest = max(self.latest, now.astimezone(UTC) + self.ahead)
        return self.latest
