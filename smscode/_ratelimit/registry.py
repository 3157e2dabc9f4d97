"""The rate limits in use in this process: clients of one account share them, whatever their flavour."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Hashable

from ..core.ratelimit.options import RateLimits
from .budget import AccountLimits, Home

_FEW = 16


class _Registry:
    """All budgets: those that a client holds, and those whose last requests still count."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._budgets: dict[Hashable, AccountLimits] = {}
        self._sweep_at = _FEW

    def get(
        self, key: Hashable, home: Home, make: Callable[[], AccountLimits], limits: RateLimits, now: float
    ) -> AccountLimits:
        with self._lock:
            budget = self._budgets.get(key)
            if budget is None:
                if len(self._budgets) >= self._sweep_at:  # seldom: looking at all of them takes its time
                    self._budgets = {key: kept for key, kept in self._budgets.items() if kept.needed(now)}
                    self._sweep_at = max(2 * len(self._budgets), _FEW)
                budget = self._budgets[key] = make()
            budget.admit(home, limits, now)
            return budget

    def hold(self) -> None:
        """Hold all locks until `let_go`: a fork leaves a lock taken that another thread holds."""
        self._lock.acquire()
        for budget in self._budgets.values():
            budget.lock.acquire()

    def let_go(self) -> None:
        for budget in self._budgets.values():
            budget.lock.release()
        self._lock.release()

    def begin_anew(self) -> None:
        """Do so in the process that was forked; its clients share their budgets as before."""
        for budget in self._budgets.values():
            budget.begin_anew()
        self.let_go()


_registry = _Registry()


def budget_of(
    account: str,
    origin: object,
    home: Home,
    limits: RateLimits,
    longest: float,
    clock: Callable[[], float],
) -> AccountLimits:
    """Return the budget of an account, which is the same one for all clients while it is in use.

    ``account`` names the account without its token, ``origin`` tells services behind one address apart, and
    ``longest`` are the seconds that a request may take. The ``limits`` are in force until the client of this
    ``home`` is closed or collected, or its event loop is closed.

    Someone who makes a client for every request must not get a new budget with each, so one stays
    until its requests have been forgotten by the service, too.
    """

    def make() -> AccountLimits:
        if limits.redis is None:
            return AccountLimits(limits)
        from .redis import RedisBudget  # only here: it needs an extra

        return RedisBudget(account, limits, limits.redis, longest, clock)

    return _registry.get((account, origin, limits.redis, clock), home, make, limits, clock())


def forget_budgets() -> None:
    """Begin without any, as tests want it."""
    global _registry
    _registry = _Registry()


if sys.platform != "win32":  # pragma: no branch  # there nothing forks
    os.register_at_fork(
        before=lambda: _registry.hold(),
        after_in_parent=lambda: _registry.let_go(),
        after_in_child=lambda: _registry.begin_anew(),
    )
