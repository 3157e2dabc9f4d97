"""The part of a limit that is used while other programs seem to use the same limit."""

from __future__ import annotations

_LESS = 0.8
_LEAST = 1 / 16
_MORE_PER_SECOND = 0.05 / 60


class AdaptiveShare:
    """The part of a limit that may be used, 1 at most.

    It shrinks by a fifth each time the service refuses a request that the limit should have admitted,
    down to a sixteenth, and grows back by a twentieth of the limit per minute.
    """

    __slots__ = ("_at", "_part")

    def __init__(self) -> None:
        self._part = 1.0
        self._at = 0.0

    def of(self, limit: int, now: float) -> int:
        """Return how many of ``limit`` slots may be used at ``now`` (monotonic seconds), at least one."""
        if self._part == 1.0:
            return limit
        return max(int(limit * self._now(now) + 1e-9), 1)

    def shrink(self, now: float) -> None:
        """Use less, because the service refused a request that the limit admitted."""
        self._part, self._at = max(self._now(now) * _LESS, _LEAST), now

    def grows(self, limit: int, now: float) -> float | None:
        """Return the time when one more slot may be used, None if all may be used already."""
        part = self._now(now)
        if part >= 1.0:
            self._part = 1.0
            return None
        missing = (self.of(limit, now) + 1) / limit - part
        return now + missing / _MORE_PER_SECOND

    def _now(self, now: float) -> float:
        return min(self._part + (now - self._at) * _MORE_PER_SECOND, 1.0)
