"""The rate limits of one account in this process."""

from __future__ import annotations

import threading
from weakref import WeakSet

from ..core.ratelimit.limiter import GroupLimiter
from ..core.ratelimit.options import RateLimits
from ..core.ratelimit.slots import SlotWindow
from ..models import EndpointGroup


class AccountLimits:
    """The buckets of one account, and the lock for them.

    One thread may take the lock twice: a garbage collection can end an abandoned wait anywhere. The
    ``holders`` are whoever may still send.
    """

    def __init__(self, limits: RateLimits) -> None:
        self.lock: threading.RLock = threading.RLock()
        self.holders: WeakSet[object] = WeakSet()
        self.buckets: dict[EndpointGroup, GroupLimiter] = {
            group: self._bucket(group, *limits.of(group)) for group in EndpointGroup
        }

    def _bucket(self, group: EndpointGroup, limit: int, window: float) -> GroupLimiter:
        return GroupLimiter(group.value, limit, SlotWindow(window))

    def tighten(self, limits: RateLimits) -> None:
        """Keep to these limits as well."""
        with self.lock:
            for group, bucket in self.buckets.items():
                bucket.tighten(*limits.of(group))

    def begin_anew(self) -> None:
        """Forget who sent and who waits: a forked process has nothing of that under way."""
        for group, bucket in self.buckets.items():
            self.buckets[group] = self._bucket(group, bucket.limit, bucket.window)

    def needed(self, now: float) -> bool:
        """Return True if it would make a difference if it were made anew."""
        with self.lock:
            return bool(self.holders) or not all(bucket.idle(now) for bucket in self.buckets.values())
