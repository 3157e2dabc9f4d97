"""The rate limits in use in this process: clients of one account share them, whatever their flavour."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Hashable
from weakref import WeakValueDictionary

from .core.bucket import Bucket
from .core.limits import RateLimits
from .core.slots import Slots
from .core.wire import Group


class Budget:
    """The buckets of one account, and the lock for them.

    One thread may take the lock twice: a garbage collection can end an abandoned wait anywhere.
    """

    def __init__(self, limits: RateLimits) -> None:
        self.lock = threading.RLock()
        self.buckets: dict[Group, Bucket] = {}
        for group in Group:
            limit, window = limits.of(group)
            self.buckets[group] = Bucket(group.value, limit, Slots(window))

    def tighten(self, limits: RateLimits) -> None:
        """Keep to these limits as well."""
        with self.lock:
            for group, bucket in self.buckets.items():
                bucket.tighten(*limits.of(group))

    def idle(self, now: float) -> bool:
        """Tell whether it could as well be made anew."""
        with self.lock:
            return all(bucket.idle(now) for bucket in self.buckets.values())


class _Registry:
    """All budgets: those that a client holds, and those whose last requests still count."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: WeakValueDictionary[Hashable, Budget] = WeakValueDictionary()
        self._counting: dict[Hashable, Budget] = {}

    def get(self, key: Hashable, make: Callable[[], Budget], limits: RateLimits, now: float) -> Budget:
        with self._lock:
            budget = self._held.get(key)
            if budget is None:
                # Only now: the clients of most programs live as long as the program.
                self._counting = {key: kept for key, kept in self._counting.items() if not kept.idle(now)}
                budget = self._held[key] = self._counting[key] = make()
            else:
                budget.tighten(limits)
            return budget


_registry = _Registry()


def budget_of(
    account: str, origin: object, limits: RateLimits, longest: float, clock: Callable[[], float]
) -> Budget:
    """Give the budget of an account, which is the same one for all who ask while it is in use.

    ``account`` names the account without its token, ``origin`` tells services behind one address apart,
    and ``longest`` are the seconds that a request may take.

    Someone who makes a client for every request must not get a new budget with each, so one stays
    until its requests have been forgotten by the service, too.
    """

    def make() -> Budget:
        if limits.redis is None:
            return Budget(limits)
        from .ext.redis import RedisBudget  # only here: it needs an extra

        return RedisBudget(account, limits, limits.redis, longest, clock)

    return _registry.get((account, origin, limits.redis, clock), make, limits, clock())


def forget_budgets() -> None:
    """Begin anew: a forked process has none of its parent's requests under way, and tests want that."""
    global _registry
    _registry = _Registry()


if sys.platform != "win32":  # pragma: no branch  # there nothing forks
    os.register_at_fork(after_in_child=forget_budgets)
