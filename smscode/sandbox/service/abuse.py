"""The abuse guard: an account whose orders keep failing is banned from ordering for some time."""

from __future__ import annotations

import math
from collections import deque
from datetime import datetime, timedelta

from attrs import frozen

from ..http.api_error import ServiceError


@frozen(kw_only=True)
class AbuseGuard:
    """When ordering is paused, and for how long; the service does not publish its own numbers.

    A ban begins when at least ``orders`` orders ended within ``window`` seconds and ``percent`` of them
    without an SMS. It lasts ``ban`` seconds; ``tier`` is the service's name for it.
    """

    orders: int = 100
    percent: int = 90
    window: float = 86_400.0
    ban: float = 14_400.0
    tier: str = "HARD"


class AbuseRecord:
    """What the guard counts: how the account's orders ended, and until when it is banned.

    ``ended`` holds the time of each end and whether the order failed, oldest first; ``failed`` is the number
    of failed ones among them.
    """

    def __init__(self, guard: AbuseGuard | None) -> None:
        self.guard = guard
        self.ended: deque[tuple[datetime, bool]] = deque()
        self.failed: int = 0
        self.banned_until: datetime | None = None

    def add(self, at: datetime, *, failed: bool) -> None:
        """Record the end of an order; the last of too many failures begins a ban."""
        if self.guard is None:
            return
        self.ended.append((at, failed))
        self.failed += failed
        oldest = at - timedelta(seconds=self.guard.window)
        while self.ended[0][0] <= oldest:
            self.failed -= self.ended.popleft()[1]
        orders = len(self.ended)
        if orders >= self.guard.orders and self.failed * 100 >= orders * self.guard.percent:
            self.banned_until = at + timedelta(seconds=self.guard.ban)
            # Failures that led to this ban do not count for the next one.
            self.ended.clear()
            self.failed = 0

    def check(self, now: datetime) -> None:
        """Raise `ServiceError` during a ban."""
        if self.banned_until is None or now >= self.banned_until:
            return
        assert self.guard is not None  # without a guard there is no ban
        raise ban_error(self.banned_until, now, self.guard.tier)


def ban_error(until: datetime, now: datetime, tier: str) -> ServiceError:
    """Return the error of an order during a ban."""
    left = math.ceil((until - now).total_seconds())
    shown = now.replace(microsecond=0) + timedelta(seconds=left)
    return ServiceError(
        "TEMP_BANNED_ABUSE_GUARD",
        "Ordering is paused: too many orders failed",
        details={"until": shown.isoformat(), "tier": tier, "retry_after_seconds": left},
        retry_after=left,
    )
