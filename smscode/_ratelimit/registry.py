"""The rate limits in use in this process: all clients of an account share them, in both flavours."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Hashable

from ..core.ratelimit.options import RateLimits
from .budget import AccountLimits, Affinity

_FEW = 16  # with fewer accounts, none is discarded


class _Registry:
    """The limits of all accounts that have a client, or whose last requests still count.

    The registry's lock comes before the locks of the accounts.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._budgets: dict[Hashable, AccountLimits] = {}
        self._sweep_at = _FEW

    def get(
        self,
        key: Hashable,
        affinity: Affinity,
        make: Callable[[], AccountLimits],
        limits: RateLimits,
        now: float,
    ) -> AccountLimits:
        with self._lock:
            budget = self._budgets.get(key)
            if budget is None:
                if len(self._budgets) >= self._sweep_at:  # seldom, as it checks all of them
                    self._budgets = {key: kept for key, kept in self._budgets.items() if kept.is_needed(now)}
                    self._sweep_at = max(2 * len(self._budgets), _FEW)
                budget = self._budgets[key] = make()
            budget.admit(affinity, limits, now)
            return budget

    def acquire_locks(self) -> None:
        """Take all locks before a fork: one that another thread holds then would stay taken in the child."""
        self._lock.acquire()
        for budget in self._budgets.values():
            budget.lock.acquire()

    def release_locks(self) -> None:
        """Release all locks, after a fork."""
        for budget in self._budgets.values():
            budget.lock.release()
        self._lock.release()

    def reset_after_fork(self) -> None:
        """Start with free slots in the forked child; its clients share their limits as before."""
        for budget in self._budgets.values():
            budget.reset_after_fork()
        self.release_locks()


_registry = _Registry()


def account_limits(
    account: str,
    origin: object,
    affinity: Affinity,
    limits: RateLimits,
    longest: float,
    clock: Callable[[], float],
) -> AccountLimits:
    """Return the limits of an account, the same object for all clients, and add those of one client.

    ``account`` names the account without its token, ``origin`` distinguishes services behind one address,
    ``longest`` is the most seconds that a request may take, and ``clock`` returns the time in seconds,
    monotonic. ``limits`` are in force until the client of this ``affinity`` is closed or collected, or its
    event loop is closed. Raises `ConfigurationError` for limits through Redis without the ``redis`` extra.

    They outlive their clients until their requests no longer count: a program that makes a client for every
    request must not start with free slots each time.
    """

    def make() -> AccountLimits:
        if limits.redis is None:
            return AccountLimits(limits)
        from .redis import RedisAccountLimits  # imported here, because it needs an extra

        return RedisAccountLimits(account, limits, limits.redis, longest, clock)

    return _registry.get((account, origin, limits.redis, clock), affinity, make, limits, clock())


def forget_account_limits() -> None:
    """Discard the limits of all accounts, for tests."""
    global _registry
    _registry = _Registry()


# A child that is forked gets free locks and free slots; see `_Registry.acquire_locks`. The hooks look the
# registry up when they run, because tests replace it.
if sys.platform != "win32":  # pragma: no branch  # there nothing forks
    os.register_at_fork(
        before=lambda: _registry.acquire_locks(),
        after_in_parent=lambda: _registry.release_locks(),
        after_in_child=lambda: _registry.reset_after_fork(),
    )
