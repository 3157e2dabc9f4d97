"""The slots of a rate limit that several processes share through a store, without I/O.

A process visits the store to take slots in batches, uses each slot for one request, and reports when the slot
is free again; the store never gives out more than the limit. A slot that is not reported, because its process
was killed, is dropped by the store once its request must long have ended. `smscode._ratelimit.redis` has the
store, and makes the visits.

**Time.** The store ages its slots by a time of its own that never runs faster than real time, whatever the
clock of its host does. The monotonic clocks of the processes drive it: `SharedSlots` keeps how far the
store's time is ahead of its own clock, and sends with each visit what the store's time must be by now. The
host's clock, checked against the visitor's, is needed only for the first visit of a process, and for the next
visit of every other process after that, as the store's time may have fallen behind.

**Loss.** A store that starts empty, or in which another server took over, may not know of slots that are in
use. It says so (`Grant.settled` is False) for one hold, after which no earlier slot can be in use. Until then
a process that used the store before has at most the slots that it had when it noticed. All processes
together were within the limit at that time, and none has gained slots since, so the limit holds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from attrs import frozen

from .limiter import GroupLimiter, Lease
from .slots import LINGER, MARGIN, RequestEnding, SlotWindow

_USE_WITHIN = 1.0  # seconds after which an unused slot of a batch is returned to the store
_LARGEST_BATCH = 64  # slots
_POLL = 5  # visit intervals between two checks for slots that others returned unused
_FIRST_RETRY, _LONGEST_RETRY = 0.5, 5.0  # seconds between visits of a store that cannot be reached


@frozen
class LeaseTerms:
    """What does not change between visits.

    ``longest`` is the most seconds that a request takes. ``fallback`` (0..1) is the share of the limit that
    this process may use while the store cannot be reached; 0 means that it then sends nothing.
    """

    longest: float
    fallback: float


@frozen
class Visit:
    """What a process reports to the store and asks of it. All times are in seconds.

    ``limit`` is the number of slots of all processes. ``want`` more are asked for, to be numbered from
    ``start``. ``own`` slots are in use here, unused ones included. ``fallback`` is the number of slots that
    this process may have of a store that started empty, ``kept`` of one in which another server took over: 0
    for a process that did not use the store before. ``hold`` is how long a slot is booked without a report.
    For ``pause`` seconds nothing is granted to any process. ``capped`` is True if more would have been asked
    for, if other processes that may not have reached the store again did not need their slots. ``time`` is
    what the store's time must be by now, None before the first grant; ``turn`` is that of the last grant.
    ``free`` are numbers of slots, each with the time until it is free again.
    """

    limit: int
    want: int
    start: int
    own: int
    fallback: int
    kept: int
    hold: float
    pause: float
    capped: bool
    time: float | None
    turn: str
    free: tuple[tuple[int, float], ...]


@frozen
class Grant:
    """What the store answers. All times are in seconds.

    ``count`` slots are granted, there may be more after ``wait``, and all requests of the group pause for
    ``paused``. ``settled`` is True if the store knows of all slots in use, in all processes. ``time`` is the
    store's. ``turn`` changes whenever that may have fallen behind, which makes earlier readings worthless.
    """

    count: int
    wait: float
    paused: float
    settled: bool
    time: float
    turn: str


class SharedSlots(SlotWindow):
    """A `SlotWindow` whose slots are granted by a store."""

    def __init__(self, window: float, terms: LeaseTerms, wake: Callable[[], None]) -> None:
        """Start without slots; ``wake`` is called when a visit of the store may be due."""
        super().__init__(window)
        self._terms = terms
        self._wake = wake
        self._numbers = 0  # the number of the next slot; each slot of this process has another one
        self._unused: dict[int, float] = {}  # slots, and until when each may be used; the oldest first
        # Slots of requests under way: since when the store knows that, and the holder. What is in here is in
        # use, even if an interrupted `take` left it in `_unused`, too.
        self._in_use: dict[int, tuple[float, object]] = {}
        self._cooling_slots: deque[tuple[int, float]] = deque()  # after their request, and when they are free
        self._unreported: list[tuple[int, float]] = []  # slots that are free then, which the store must learn
        self._unreported_since = 0.0
        self._reporting = 0  # how many of these the visit under way reports
        self._batch = 1  # slots to keep ready; it doubles while all that is asked for is granted
        self._next_at = 0.0  # when to ask for more again
        self._ready_at = 0.0  # when there are more, unless a process returns unused ones before
        self._pause_until: float | None = None  # a pause that the store does not know of yet
        self._unreachable = False
        # After an outage: when all other processes must have reached the store again.
        self._capped_until = 0.0
        self.settled: bool = False
        """Whether the store knew of all slots in use, in all processes, at its last grant."""
        # The slots that this process had when the store ceased to be settled; None if it never was settled.
        self._held_when_settled: int | None = None
        self._unsettled_since = 0.0
        self._ahead: float | None = None  # seconds from this process' time to the store's
        self._turn = ""  # of the last grant
        self._retry = _FIRST_RETRY  # seconds until the next attempt to reach the store

    @property
    def hold(self) -> float:
        """The seconds after which the store drops a slot without a report: no request can last longer."""
        return _USE_WITHIN + self._terms.longest + self.window + MARGIN + LINGER

    @property
    def _renew_after(self) -> float:
        """The seconds after which a request that goes on is reported again.

        That is long before its slot is dropped, so a visit that fails can be repeated in time.
        """
        return (_USE_WITHIN + self._terms.longest) / 2

    @property
    def visit_interval(self) -> float:
        """The seconds between two visits that are not urgent."""
        return min(self.window / 60, 1.0)

    def request_more(self) -> None:
        """Ask the store for more slots, as soon as it may be visited."""
        self._wake()

    def unused(self, now: float) -> bool:
        """Return True if no slot is in use and nothing is to be reported."""
        return super().unused(now) and not self._unused and not self._unreported

    def free(self, now: float, limit: int) -> int:
        """Return how many requests may be sent now; slots that were not used in time are returned."""
        if self._unreachable:
            return super().free(now, self._safe_limit(now, limit))
        while self._unused:
            number, until = next(iter(self._unused.items()))
            if number not in self._in_use:
                if until > now:
                    break
                self._report(number, now, now)
                self._batch = max(self._batch // 2, 1)
            self._unused.pop(number, None)
        return min(len(self._unused), super().free(now, limit))

    def take(self, now: float, holder: object) -> None:
        """Use a slot of the store, or of the process' own share while the store cannot be reached."""
        number = next(iter(self._unused), None)
        if number is None:
            number = self._next_number()
        # In this order, so that an interrupt in between leaves no slot unknown: see `_in_use`.
        self._in_use[number] = now, holder
        self.holders[holder] = number
        self._unused.pop(number, None)
        if not self._unused and self._batch > 1:
            self._wake()

    def give_back(self, now: float, holder: object, ending: RequestEnding) -> bool:
        """Free a slot, at once or after the window, and report it.

        Return True if it may be used here again, which is so only while the store cannot be reached.
        """
        number = self.holders[holder]
        assert number is not None, "each slot has a number"
        free_at = now
        if ending is not RequestEnding.UNSENT:
            free_at = now + self.window + MARGIN + (LINGER if ending is RequestEnding.LOST else 0.0)
            self._cooling_slots.append((number, free_at))
        self._report(number, free_at, now)
        self._in_use.pop(number, None)
        super().give_back(now, holder, ending)
        return self._unreachable

    def next_free(self) -> float | None:
        """Return when the next slot is free by itself, None while the store decides about that."""
        return super().next_free() if self._unreachable else None

    def earliest(self, now: float, place: int, limit: int) -> float:
        """Return the earliest time when the slot for the ``place``-th waiting request can be free."""
        if self._unreachable:
            alone = self._safe_limit(now, limit)
            return super().earliest(now, place, alone) if alone else max(now, self._next_at)
        if place <= len(self._unused):
            return now
        return max(now, self._ready_at) + (place - 1) // limit * (self.window + MARGIN)

    def share_pause(self, until: float) -> None:
        """Pause the other processes, too, until then."""
        self._pause_until = until
        self._wake()

    def due(self, now: float, waiting: int) -> float | None:
        """Return when to visit the store next, None if there is no reason to."""
        times: list[float] = []
        if self._unreported:
            urgent = len(self._unreported) >= self._batch
            times.append(self._unreported_since + (0.0 if urgent else self.visit_interval))
        if self._pause_until is not None:
            times.append(now)
        if waiting > len(self._unused) or (self._batch > 1 and len(self._unused) <= self._batch // 4):
            times.append(self._next_at)
        if self._unused:
            times.append(next(iter(self._unused.values())))
        if self._in_use:
            times.append(next(iter(self._in_use.values()))[0] + self._renew_after)
        if self._unreachable:
            times = [self._next_at] if times else []
        return min(times, default=None)

    def prepare_visit(self, now: float, waiting: int, limit: int) -> Visit:
        """Prepare a visit of the store, to be followed by `apply_grant` or `failed`."""
        self.free(now, limit)
        reported = dict(self._unreported)
        while self._cooling_slots and self._cooling_slots[0][1] <= now:
            self._cooling_slots.popleft()
        if self._unreachable:  # it may have lost everything
            reported |= dict(self._cooling_slots)
        stale = now if self._unreachable else now - self._renew_after
        for number, (since, holder) in tuple(self._in_use.items()):
            if since > stale:
                break
            self._in_use.pop(number)
            reported[number] = now
            if holder in self.holders:  # else `take` was interrupted
                self._in_use[number] = now, holder
                reported[number] = now + self.hold
        self._reporting = len(self._unreported)
        ahead = self._batch if self._batch > 1 else 0
        own = self._own
        safe_limit = self._safe_limit(now, limit)
        wished = want = max(waiting + ahead - len(self._unused), 0)
        if self._unreachable or now < self._capped_until:
            want = min(want, max(safe_limit - own, 0))
        pause = 0.0 if self._pause_until is None else max(self._pause_until - now, 0.0)
        self._pause_until = None
        start = self._numbers
        self._numbers += want
        return Visit(
            limit=limit,
            want=want,
            start=start,
            own=own,
            fallback=safe_limit,
            kept=0 if self._held_when_settled is None else safe_limit,
            hold=self.hold,
            pause=pause,
            capped=want < wished,
            time=None if self._ahead is None else now + self._ahead,
            turn=self._turn,
            free=tuple((number, max(free_at - now, 0.0)) for number, free_at in reported.items()),
        )

    def apply_grant(self, visit: Visit, grant: Grant, left: float, now: float) -> None:
        """Take the granted slots and the store's state, from a visit that began at ``left``."""
        # The store answered at some time between ``left`` and ``now``, so its lead is between these two.
        least, most = grant.time - now, grant.time - left
        self._ahead = least if self._ahead is None else min(max(self._ahead, least), most)
        self._turn = grant.turn
        if self._unreachable:
            self._unreachable = False
            self._capped_until = now + _LONGEST_RETRY + 2 * _FIRST_RETRY
        if not grant.settled:
            self._leave_settled(now)
        elif now >= self._capped_until:
            self.settled, self._held_when_settled = True, 0
        self._retry = _FIRST_RETRY
        del self._unreported[: self._reporting]
        self._unreported_since = now
        self._unused.update((visit.start + index, left + _USE_WITHIN) for index in range(grant.count))
        if grant.count < visit.want or visit.capped:
            self._next_at = now + max(min(grant.wait, _POLL * self.visit_interval), self.visit_interval)
            self._ready_at = now + min(grant.wait, self.window + MARGIN)
        else:
            self._next_at = self._ready_at = now
            self._batch = min(max(self._batch, grant.count) * 2, _LARGEST_BATCH, max(visit.limit // 50, 1))

    def failed(self, visit: Visit | None, now: float) -> None:
        """Go on alone: the store was not reached by this ``visit`` or, if None, by that of another group."""
        if visit is not None:
            # Perhaps only the grant was lost, so its slots are reported as free.
            self._unreported.extend((number, now) for number in range(visit.start, visit.start + visit.want))
            if visit.pause:
                self._pause_until = now + visit.pause
        dropped = now - self.hold  # what was free by then, the store has dropped by itself
        self._unreported = [(number, free_at) for number, free_at in self._unreported if free_at > dropped]
        self._unreachable = True
        self._leave_settled(now)
        self._unreported.extend((number, now) for number in self._unused)
        self._unused.clear()
        self._batch = 1
        self._next_at = now + self._retry
        self._retry = min(self._retry * 2, _LONGEST_RETRY)

    def _next_number(self) -> int:
        self._numbers += 1
        return self._numbers - 1

    def _report(self, number: int, free_at: float, now: float) -> None:
        if not self._unreported:
            self._unreported_since = now
        self._unreported.append((number, free_at))
        if len(self._unreported) in (1, self._batch):
            self._wake()

    @property
    def _own(self) -> int:
        """The number of slots that this process has: used, cooling, and unused."""
        return self.busy + self.cooling + len(self._unused)

    def _leave_settled(self, now: float) -> None:
        """Note that the store may not know of all slots in use."""
        if self.settled:
            self.settled, self._held_when_settled, self._unsettled_since = False, self._own, now

    def _safe_limit(self, now: float, limit: int) -> int:
        """Return the number of slots to use while the store may not know of all that are in use.

        For one hold these are no more than this process had before, as the others may be using all the rest.
        After that no earlier slot counts, and this process has its fallback share.
        """
        fallback = self._terms.fallback
        share = max(int(limit * fallback), 1) if fallback else 0
        if self._held_when_settled is None:
            return share
        if self.settled:
            return min(share, self._own)
        return share if now >= self._unsettled_since + self.hold else min(share, self._held_when_settled)


class SharedGroupLimiter(GroupLimiter):
    """The limiter of a group whose slots are granted by a store."""

    def __init__(self, group: str, limit: int, slots: SharedSlots) -> None:
        super().__init__(group, limit, slots)
        self._shared = slots

    def pause(self, lease: Lease | None, now: float, seconds: float) -> bool:
        """Pause the group for some seconds, here and in all other processes; see `GroupLimiter.pause`."""
        first = super().pause(lease, now, seconds)
        self._shared.share_pause(self._paused_until)
        return first

    @property
    def settled(self) -> bool:
        """Whether the store knew of all slots in use, in all processes, at its last grant."""
        return self._shared.settled

    def due(self, now: float) -> float | None:
        """Return when to visit the store next, None if there is no reason to."""
        return self._shared.due(now, self.waiting)

    def prepare_visit(self, now: float) -> Visit:
        """Prepare a visit of the store, to be followed by `apply_grant` or `failed`."""
        return self._shared.prepare_visit(now, self.waiting, self._share.of(self.limit, now))

    def apply_grant(self, visit: Visit, grant: Grant, left: float, now: float) -> None:
        """Apply a grant of the store, and let waiting requests go on."""
        self._shared.apply_grant(visit, grant, left, now)
        if grant.paused:
            super().pause(None, now, grant.paused)
        self._grant_waiting(now)

    def failed(self, visit: Visit | None, now: float) -> None:
        """Go on alone, as in `SharedSlots.failed`, and let waiting requests go on."""
        self._shared.failed(visit, now)
        self._grant_waiting(now)
        self._wake_first()  # it now has to watch for the next free slot itself
