"""The sandbox's time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from .._clock import RealTime
from ..errors import InvalidArgumentError


def running_clock() -> Callable[[], datetime]:
    """Return a clock that shows the date and time of now and goes on, also in a test that freezes the time.

    What is frozen is moved by hand, and that counts, too.
    """
    began, start = datetime.now(UTC), RealTime.monotonic()

    def now() -> datetime:
        return max(datetime.now(UTC), began + timedelta(seconds=RealTime.monotonic() - start))

    return now


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
