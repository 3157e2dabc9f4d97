"""The rate limit of one group of endpoints: which requests wait, in which order, and when each may be sent.

This module only computes: the shell holds the lock, waits, and wakes.

Invariants of `GroupLimiter`, which hold after every method, and after the next one if one was interrupted:

1. A lease may be sent if and only if it is among the slots' holders. Everything else (queues, probes) is
   derived from that and is corrected by the next call.
2. A slot is granted only while fewer than the limit, reduced by the share, are busy or cooling.
3. Urgent leases are granted before the others, and within each queue in the order of asking.
4. If anything waits, the first in the queue knows when to look again: it keeps the time for all others, so
   each change of the queue or of the slots ends by waking it.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol, cast

from attrs import frozen

from ..._value import Value
from ...errors import RateLimitError
from .adaptive_share import AdaptiveShare
from .slots import LINGER, RequestEnding, SlotWindow

_PATIENCE = 5.0  # seconds after which a waiting lease looks again even if nothing woke it
_RECLAIM = 0.1  # seconds between two looks for leases whose calls are gone
_PROBE = 10.0  # seconds after which another request may go ahead beside one that has no answer yet
# Looking up a member of an enumeration is slow.
_UNSENT, _ANSWERED, _REFUSED, _LOST = (
    RequestEnding.UNSENT,
    RequestEnding.ANSWERED,
    RequestEnding.REFUSED,
    RequestEnding.LOST,
)


class WaiterSignal(Protocol):
    """Wakes the owner of a waiting lease, from any thread."""

    def wake(self) -> bool:
        """Wake it. Return False if its event loop has gone, so that it cannot be woken."""
        ...


class LeaseHolder(Protocol):
    """A call that waits for slots and uses them, one after the other.

    Its ``lease`` is set before the slot is requested, so that the slot can be released for a call that ended
    without releasing it.
    """

    lease: Lease | None

    @property
    def over(self) -> bool:
        """Whether the call has ended."""
        ...


class Lease:
    """The right to send one request, from the moment it is requested until the request has ended.

    ``deadline`` is the time (monotonic seconds) up to which it is worth waiting for. ``sent`` is set when the
    first byte of the request is written. ``signal`` wakes the call that waits, and ``holder`` is that call.
    """

    __slots__ = ("_epoch", "deadline", "holder", "limiter", "sent", "signal", "urgent")

    def __init__(
        self, limiter: GroupLimiter, deadline: float, urgent: bool, holder: LeaseHolder | None = None
    ) -> None:
        self.limiter: GroupLimiter = limiter
        self.deadline: float = deadline
        self.urgent: bool = urgent
        self.holder: LeaseHolder | None = holder
        self.sent: bool = False
        self.signal: WaiterSignal | None = None
        self._epoch = 0

    @property
    def granted(self) -> bool:
        """Whether the request may be sent: whether the lease has a slot."""
        return self in self.limiter._slots.holders


@frozen(eq=False, repr=False)
class NoRoom(Value):
    """The answer that a request cannot be sent before its deadline; it could in ``seconds``.

    ``paused`` is True if the service itself asked for the pause.
    """

    group: str
    limit: int
    window: float
    seconds: float
    paused: bool = False

    def error(self) -> RateLimitError:
        """Return the error to raise to the caller."""
        reason = f"The rate limit of {self.group} ({self.limit} per {self.window:g} s) leaves no room"
        if self.paused:
            reason = f"The service asked for a pause of the group {self.group}"
        error = RateLimitError(
            f"{reason} for another {self.seconds:.1f} s, longer than this call may take. Nothing was sent.",
            retry_after=self.seconds,
        )
        error.trouble = "no room"
        return error


class GroupLimiter:
    """The slots of one group and the queue for them. Call every method under the same lock.

    ``now`` is the time in monotonic seconds. A lease that has a slot is granted, whatever else an interrupted
    change left undone: the next change completes it.
    """

    def __init__(self, group: str, limit: int, slots: SlotWindow) -> None:
        """Start empty. At most ``limit`` requests may be counted in any window of the ``slots``."""
        self.group = group
        self.limit: int = limit
        self._slots = slots
        self._share = AdaptiveShare()
        self._urgent: OrderedDict[Lease, None] = OrderedDict()
        self._waiting: OrderedDict[Lease, None] = OrderedDict()
        self._paused_until = float("-inf")
        self._epoch = 0
        self._ramp: int | None = None
        # Granted since the last pause, and until when each is waited for.
        self._probes: dict[Lease, float] = {}
        self._suspected = False
        self._reclaim_at = float("-inf")

    @property
    def window(self) -> float:
        """The seconds in which at most ``limit`` requests may be counted."""
        return self._slots.window

    def set_limits(self, limit: int, window: float) -> None:
        """Set the limit and window from now on. Slots that are cooling already keep their times."""
        self.limit, self._slots.window = limit, window

    def wake_first(self) -> None:
        """Wake the first waiting lease, so that it looks again after the limits have changed."""
        self._wake_first()

    def idle(self, now: float) -> bool:
        """Return True if this can be discarded, because a new limiter would behave the same.

        It would not go up slowly after a pause, which matters no more once nothing was sent for a window.
        """
        full = self._share.of(self.limit, now) == self.limit
        slow_until = self._paused_until + (0.0 if self._ramp is None else self.window)
        return full and now >= slow_until and self._slots.unused(now) and not self.waiting

    @property
    def waiting(self) -> int:
        """The number of leases that wait."""
        return len(self._urgent) + len(self._waiting)

    def ask(
        self, now: float, deadline: float, urgent: bool = False, holder: LeaseHolder | None = None
    ) -> Lease | NoRoom:
        """Request a slot. It is granted now or later, in the order of requests, ``urgent`` ones first.

        Return `NoRoom` at once if it cannot be granted before the ``deadline``. The ``holder`` gets the lease
        before anything else, so that it can be released whenever the call ends.
        """
        lease = Lease(self, deadline, urgent, holder)
        if holder is not None:
            holder.lease = lease
        if not self._urgent and not self._waiting and self._available(now) > 0:
            self._grant(lease, now)
            return lease
        self._reclaim(now)
        place = len(self._urgent) + (0 if urgent else len(self._waiting)) + 1
        ready = self._earliest(now, place)
        if ready > deadline:
            return self._no_room(now, ready)
        self._queue(lease)[lease] = None
        self._grant_waiting(now)
        self._slots.request_more()
        return lease

    def advance(self, lease: Lease, now: float) -> float | NoRoom:
        """Return the seconds until a waiting lease should call this again, 0.0 if it was granted.

        The first in the queue calls it when a slot becomes free. The others are woken then, and call it by
        themselves only in case the first is held up. A slot granted just before a pause is taken back.
        """
        self._reclaim(now)
        self._grant_waiting(now)
        if lease.granted:
            self._queue(lease).pop(lease, None)  # still there if another thread was interrupted
            if now >= self._paused_until:
                return 0.0
            self._take_back(lease, now)
            lease.urgent = True  # it had its turn
            self._urgent[lease] = None
        first = lease is self._first()
        place = 1 if first else 2 if lease.urgent else len(self._urgent) + 1  # at best
        ready = self._earliest(now, place)
        if ready > lease.deadline or now >= lease.deadline:
            self.leave(lease, now)
            return self._no_room(now, ready)
        again = self._next(now) if first else ready + _PATIENCE
        return min(again, lease.deadline) - now

    def leave(self, lease: Lease, now: float) -> None:
        """Abandon a lease, whether it waits or has a slot. Calling it again only wakes the first lease."""
        self._urgent.pop(lease, None)  # first, so that it is not granted again
        self._waiting.pop(lease, None)
        self.end(lease, now, _LOST if lease.sent else _UNSENT)
        self._probes.pop(lease, None)
        self._grant_waiting(now)
        self._wake_first()

    def end(self, lease: Lease, now: float, ending: RequestEnding) -> None:
        """Release a slot when its request has ended. Calling it again does nothing."""
        if not lease.granted:
            return
        first_to_cool = self._slots.give_back(now, lease, ending)
        if self._ramp is not None and lease._epoch == self._epoch:  # it was granted after the last pause
            if ending is _REFUSED:
                return  # it stays a probe, so that nothing is granted before the pause that follows begins
            self._probes.pop(lease, None)
            if ending is _ANSWERED:  # late or not
                self._ramp *= 2
                if self._ramp >= self.limit:
                    self._ramp, self._probes = None, {}
            self._grant_waiting(now)
        elif ending is _UNSENT:
            self._grant_waiting(now)
        elif first_to_cool:
            self._wake_first()  # now it is known when the next slot becomes free

    def _reclaim(self, now: float) -> None:
        """Release the leases of calls that ended without doing so, because their event loop was closed.

        Release those, too, whose deadline passed long enough ago that the request must have ended.
        """
        if now < self._reclaim_at:
            return
        self._reclaim_at = now + _RECLAIM
        for lease in (*self._urgent, *self._waiting):
            if lease.holder is not None and lease.holder.over:
                self._queue(lease).pop(lease, None)
        for lease in cast("tuple[Lease, ...]", tuple(self._slots.holders)):
            if lease.deadline + LINGER < now or (lease.holder is not None and lease.holder.over):
                self.end(lease, now, _LOST if lease.sent else _UNSENT)  # after its deadline nothing is sent

    def pause(self, lease: Lease | None, now: float, seconds: float) -> bool:
        """Grant nothing for ``seconds``, then one request at first and twice as many after each answer.

        A ``lease`` that was refused although the limit admitted it shows that something else uses the same
        limit, so the share of it shrinks. Refusals of requests that were granted before this pause are
        ignored. Return True the first time the limit is suspected to be shared.
        """
        before = self._paused_until
        news = now >= before if lease is None else lease._epoch == self._epoch
        self._paused_until = max(before, now + seconds)
        first = self._first() if news else None  # it keeps the time until the pause ends
        for waiting in (*self._urgent, *self._waiting):
            if (
                waiting is first or before <= waiting.deadline < self._paused_until
            ):  # cannot be served before their deadline any more
                self._wake(waiting)
        if not news:
            return False
        self._epoch += 1
        self._ramp, self._probes = 1, {}
        if lease is None:
            return False
        self._share.shrink(now)
        new, self._suspected = not self._suspected, True
        return new

    def paused(self, now: float) -> bool:
        """Return True if nothing may be sent now, not even with a granted lease."""
        return now < self._paused_until

    def _available(self, now: float) -> int:
        if now < self._paused_until:
            return 0
        free = self._slots.free(now, self._share.of(self.limit, now))
        if self._ramp is None:
            return free
        while self._probe_over() <= now:
            self._probes.pop(next(iter(self._probes)))
        return min(free, self._ramp - len(self._probes))

    def _probe_over(self) -> float:
        """Return when the oldest probe is no longer waited for; infinity if there is none."""
        return next(iter(self._probes.values()), float("inf"))

    def _grant(self, lease: Lease, now: float) -> None:
        lease._epoch = self._epoch
        if self._ramp is not None:
            self._probes[lease] = now + _PROBE
        self._slots.take(now, lease)

    def _grant_waiting(self, now: float) -> None:
        """Grant free slots to the leases that have waited longest, and wake the next one to keep the time."""
        room = self._available(now)
        granted = False
        while (lease := self._first()) is not None:
            if not lease.granted:  # else it has a slot, but an interrupt came before it was woken
                if room <= 0:
                    break
                self._grant(lease, now)
                room -= 1
            granted = True
            there = self._wake(lease)
            self._queue(lease).pop(lease, None)
            if not there:  # its event loop was closed without ending its tasks
                self._take_back(lease, now)
                room += 1
        if granted:
            self._wake_first()

    def _take_back(self, lease: Lease, now: float) -> None:
        self._slots.give_back(now, lease, _UNSENT)
        self._probes.pop(lease, None)

    def _queue(self, lease: Lease) -> OrderedDict[Lease, None]:
        return self._urgent if lease.urgent else self._waiting

    def _first(self) -> Lease | None:
        return next(iter(self._urgent), None) or next(iter(self._waiting), None)

    def _wake_first(self) -> None:
        first = self._first()
        if first is not None:
            self._wake(first)

    def _wake(self, lease: Lease) -> bool:
        return lease.signal is None or lease.signal.wake()

    def _next(self, now: float) -> float:
        """Return the time when more may be granted, infinity if that depends on the end of a request."""
        if now < self._paused_until:
            return self._paused_until
        # A request whose end is never reported must not hold up the queue: look for such leases regularly.
        reclaim = now + _PATIENCE if self._slots.holders else None
        times = (self._slots.next_free(), self._share.grows(self.limit, now), self._probe_over(), reclaim)
        return min(time for time in times if time is not None)

    def _earliest(self, now: float, place: int) -> float:
        limit = self._share.of(self.limit, now)
        return max(self._slots.earliest(now, place, limit), self._paused_until)

    def _no_room(self, now: float, ready: float) -> NoRoom:
        paused = now < self._paused_until
        if self._ramp is not None and len(self._probes) >= self._ramp:
            ready, paused = max(ready, self._probe_over()), True
        return NoRoom(self.group, self.limit, self.window, ready - now, paused)
