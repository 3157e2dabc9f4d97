"""The sandbox's time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from .._clock import RealTime
from ..errors import InvalidArgumentError


def running_clock() -> Callable[[], datetime]:
    """Return a clock of the real time, which runs on in a test that freezes the time.

    A frozen time that the test moves ahead of the real time counts, too.
    """
    began, start = datetime.now(UTC), RealTime.monotonic()

    def now() -> datetime:
        return max(datetime.now(UTC), began + timedelta(seconds=RealTime.monotonic() - start))

    return now


class Clock:
    """The time of a clock plus ``ahead``; ``latest`` is the time it returned last.

    It never goes back, even if the clock of the machine is set back.
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
