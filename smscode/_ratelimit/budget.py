"""The rate limits of one account in this process."""

from __future__ import annotations

import threading
import weakref
from typing import Protocol

from ..core.ratelimit.limiter import GroupLimiter
from ..core.ratelimit.options import RateLimits
from ..core.ratelimit.slots import SlotWindow
from ..models import EndpointGroup

_REFRESH = 0.1  # seconds between two looks for clients whose event loops were closed
_PATIENCE = 5.0  # the same for who waits, where that could make a difference


class Home(Protocol):
    """The event loop and process that a client belongs to, which a budget refers to weakly."""

    @property
    def over(self) -> bool:
        """Whether the client can never send anything again."""
        ...


class AccountLimits:
    """The buckets of one account, and the lock for them.

    One thread may take the lock twice: a garbage collection can end an abandoned wait anywhere.
    """

    def __init__(self, limits: RateLimits) -> None:
        self.lock: threading.RLock = threading.RLock()
        # What each client keeps to: of every group, in their order, the limit and the window.
        self._in_force: dict[weakref.ref[Home], tuple[tuple[int, float], ...]] = {}
        self._refresh_at = float("-inf")
        self.patience: float = float("inf")  # seconds after which to look whether stricter numbers have ended
        self.buckets: dict[EndpointGroup, GroupLimiter] = {
            group: self._bucket(group, *limits.of(group)) for group in EndpointGroup
        }

    def _bucket(self, group: EndpointGroup, limit: int, window: float) -> GroupLimiter:
        return GroupLimiter(group.value, limit, SlotWindow(window))

    def admit(self, home: Home, limits: RateLimits, now: float) -> None:
        """Add a client, whose limits are in force until it is released, collected or over."""
        with self.lock:
            numbers = tuple(limits.of(group) for group in self.buckets)
            self._in_force[weakref.ref(home, self._remove)] = numbers
            self._refresh_at = now
            self.refresh(now)

    def release(self, home: Home) -> None:
        """Remove the limits of a client that was closed."""
        self._remove(weakref.ref(home))

    def _remove(self, home: weakref.ref[Home]) -> None:
        """Remove a client, and wake those who may go sooner now.

        They change the numbers, not this: a garbage collection may call it in the middle of a change.
        """
        with self.lock:
            self._in_force.pop(home, None)
            self._refresh_at = float("-inf")
            for bucket in self.buckets.values():
                bucket.wake_first()

    def refresh(self, now: float) -> None:
        """Apply the strictest limits of the clients that are left; to be called under the lock."""
        if now < self._refresh_at:
            return
        self._refresh_at = now + _REFRESH
        # Those of a client whose event loop was closed end with it, although nothing says so.
        living = {numbers for home, numbers in tuple(self._in_force.items()) if not _over(home())}
        self.patience = _PATIENCE if len(living) > 1 else float("inf")
        # Without any, the next one to come brings its own.
        for bucket, numbers in zip(self.buckets.values(), zip(*living, strict=True), strict=False):
            bucket.set_limits(min(limit for limit, _ in numbers), max(window for _, window in numbers))

    def begin_anew(self) -> None:
        """Forget who sent and who waits: a forked process has nothing of that under way."""
        for group, bucket in self.buckets.items():
            self.buckets[group] = self._bucket(group, bucket.limit, bucket.window)
        self._refresh_at = float("-inf")

    def needed(self, now: float) -> bool:
        """Return False if this budget can be discarded: no client is left, and no request counts any more."""
        with self.lock:
            living = any(not _over(home()) for home in tuple(self._in_force))
            return living or not all(bucket.idle(now) for bucket in self.buckets.values())


def _over(home: Home | None) -> bool:
    return home is None or home.over
