# Generated from smscode/_async/rate_limiter.py by `nox -s generate`: change that file, not this one.

"""Waits for the rate limits."""

from __future__ import annotations

import logging

from .._concurrency import Caller, LoopAffinity, Runtime, Signal
from .._ratelimit.budget import AccountLimits
from ..core.effects import Acquire, Pause
from ..core.ratelimit.limiter import Lease, NoRoom
from ..core.ratelimit.slots import RequestEnding

_log = logging.getLogger("smscode")
_SHARED = (
    "The service refused a request of the group %s although it is within the rate limit, so something else "
    "seems to use this account. From now on less of the limit is used."
)


class RateLimiter:
    """The rate limits of a client's account, shared by all clients of it in this process."""

    def __init__(self, budget: AccountLimits, runtime: Runtime) -> None:
        self._budget = budget
        self._limiters = budget.buckets
        self._lock = budget.lock
        self._runtime = runtime
        self._clock = runtime.clock

    def acquire(self, effect: Acquire, seconds: float, caller: Caller) -> Lease | NoRoom:
        """Wait at most ``seconds`` for a lease. Return `NoRoom` at once if that cannot suffice."""
        limiter = self._limiters[effect.group]
        with self._lock:
            now = self._clock()
            self._budget.refresh(now)
            lease = limiter.ask(now, now + seconds, effect.urgent, caller)
        if isinstance(lease, NoRoom) or lease.granted:
            return lease
        return self._wait(lease)

    def _wait(self, lease: Lease) -> Lease | NoRoom:
        limiter = lease.limiter
        try:
            while True:
                with self._lock:
                    now = self._clock()
                    self._budget.refresh(now)
                    pause = limiter.advance(lease, now)
                    lease.signal = signal = Signal()
                    if lease.granted:
                        return lease
                if isinstance(pause, NoRoom):
                    return pause
                self._runtime.wait(signal, min(pause, self._budget.patience))
        except BaseException:
            with self._lock:
                limiter.leave(lease, self._clock())
            raise

    def end(self, lease: Lease, ending: RequestEnding | None) -> None:
        """Release a lease after its request has ended; None if it was abandoned."""
        with self._lock:
            if ending is None:
                lease.limiter.leave(lease, self._clock())
            else:
                lease.limiter.end(lease, self._clock(), ending)

    def give_back(self, caller: Caller) -> None:
        """Release the slot of an interrupted call, or remove it from the queue."""
        lease = caller.lease
        if lease is not None:
            with self._lock:
                lease.limiter.leave(lease, self._clock())
            caller.lease = None

    def pause(self, effect: Pause) -> None:
        """Pause all requests of a group, as the service or the flow asks."""
        limiter = effect.lease.limiter
        with self._lock:
            lease = effect.lease if effect.by_service else None
            suspicious = limiter.pause(lease, self._clock(), effect.seconds)
        if suspicious:
            _log.warning(_SHARED, limiter.group)

    def close(self, affinity: LoopAffinity) -> None:
        """Remove the client's own limits from those in force for its account."""
        self._budget.release(affinity)
