"""The rate limits of one account in this process."""

from __future__ import annotations

import threading
import weakref
from typing import Protocol

from .._first_models import EndpointGroup
from ..core.ratelimit.limiter import GroupLimiter
from ..core.ratelimit.options import RateLimits
from ..core.ratelimit.slots import SlotWindow

_REFRESH = 0.1  # seconds between two checks for clients whose event loops were closed
_PATIENCE = 5.0  # the same for a waiting request, where the clients have different limits


class Affinity(Protocol):
    """The event loop and process that a client belongs to; held by a weak reference only."""

    @property
    def over(self) -> bool:
        """Whether the client can never send anything again."""
        ...


class AccountLimits:
    """The limiters of one account, and the lock for them.

    The lock is reentrant, because a garbage collection can end an abandoned wait, which takes it, at any
    line. It comes after that of the registry, and the code here takes no other lock under it.
    """

    def __init__(self, limits: RateLimits) -> None:
        self.lock: threading.RLock = threading.RLock()
        # The limits of each client: the limit and the window of every group, in the order of the groups.
        self._in_force: dict[weakref.ref[Affinity], tuple[tuple[int, float], ...]] = {}
        self._latest: tuple[tuple[int, float], ...] = ()
        self._refresh_at = float("-inf")
        self.patience: float = float("inf")
        """Seconds after which a waiting request has to check whether stricter limits have ended."""
        self.buckets: dict[EndpointGroup, GroupLimiter] = {
            group: self._limiter(group, *limits.of(group)) for group in EndpointGroup
        }

    def _limiter(self, group: EndpointGroup, limit: int, window: float) -> GroupLimiter:
        return GroupLimiter(group.value, limit, SlotWindow(window))

    def admit(self, affinity: Affinity, limits: RateLimits, now: float) -> None:
        """Add a client, whose limits are in force until it is released, collected or over."""
        with self.lock:
            numbers = tuple(limits.of(group) for group in self.buckets)
            if numbers != self._latest:  # else they are shared: most clients of an account have the same
                self._latest = numbers
            self._in_force[weakref.ref(affinity, self._remove)] = self._latest
            self._refresh_at = now
            self.refresh(now)

    def release(self, affinity: Affinity) -> None:
        """Remove the limits of a client that was closed, and let waiting requests check if they may go."""
        with self.lock:
            self._remove(weakref.ref(affinity))

    def _remove(self, affinity: weakref.ref[Affinity]) -> None:
        """Remove a client, and let waiting requests check whether they may go sooner now.

        They apply the limits that are left, not this method: a garbage collection may call it in the middle
        of a change, or in a thread that holds the lock of another account. So it never waits for the lock:
        two threads could wait for each other. Without it, the requests check by themselves every few seconds.
        """
        self._in_force.pop(affinity, None)
        self._refresh_at = float("-inf")
        if self.lock.acquire(blocking=False):
            try:
                for limiter in self.buckets.values():
                    limiter.wake_first()
            finally:
                self.lock.release()

    def refresh(self, now: float) -> None:
        """Apply the strictest limits of the living clients; to be called under the lock."""
        if now < self._refresh_at:
            return
        self._refresh_at = now + _REFRESH
        # Nothing reports that an event loop was closed, so the clients are asked. A garbage collection in the
        # middle of a loop over the dictionary would remove clients from it, and so end the loop.
        living = {numbers for affinity, numbers in self._in_force.copy().items() if not _over(affinity())}
        self.patience = _PATIENCE if len(living) > 1 else float("inf")
        # Without any client the limits stay, until the next client brings its own.
        for limiter, numbers in zip(self.buckets.values(), zip(*living, strict=True), strict=False):
            limiter.set_limits(min(limit for limit, _ in numbers), max(window for _, window in numbers))

    def reset_after_fork(self) -> None:
        """Start with free slots in a forked child, which has no request under way; the lock is held."""
        for group, limiter in self.buckets.items():
            self.buckets[group] = self._limiter(group, limiter.limit, limiter.window)
        self._refresh_at = float("-inf")

    def is_needed(self, now: float) -> bool:
        """Return False if this can be discarded: no client is left, and no request counts any more."""
        with self.lock:
            living = any(not _over(affinity()) for affinity in self._in_force.copy())
            return living or not all(limiter.idle(now) for limiter in self.buckets.values())


def _over(affinity: Affinity | None) -> bool:
    return affinity is None or affinity.over
