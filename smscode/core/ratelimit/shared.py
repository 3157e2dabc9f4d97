"""The slots of a rate limit that several processes share through a store.

A process asks the store for slots in batches, uses each for one request, and tells the store when it
is free again; the store never has more than the limit out. What a process does not tell, because it
was killed, the store forgets when the request must long have been over. All this is arithmetic: going
to the store is somebody else's.

**Time.** The store ages its slots by a time of its own that never runs faster than real time, whatever
the clock of its host does. The monotonic clocks of the processes drive it: `SharedSlots` keeps how far
the store's time is ahead of its own, and sends with each visit what the store's must be by now. The
host's clock, checked against the visitor's, is needed only for a process that has no such reading, and
for the others at their first visit after it, as the store's time may have been left behind.

**Loss.** A store that begins empty, or in which another server took over, may not know of slots that are
in use. It says so (`Grant.settled`) for one hold, after which no slot from before can be in use. Until
then a process that knew the store has at most the slots that it had when it noticed. All of them together
were within the limit then, and none has gained since, so the limit holds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from attrs import field, frozen

from .limiter import GroupLimiter, Lease
from .slots import LINGER, MARGIN, RequestEnding, SlotWindow

_USE = 1.0  # seconds in which a slot of a batch has to be used, before it is given back
_LARGEST_BATCH = 64
_POLL = 5  # paces between two looks for slots that were given back unused
_FIRST_RETRY, _LONGEST_RETRY = 0.5, 5.0


@frozen
class LeaseTerms:
    """What all processes agree on.

    ``longest`` are the seconds that a request takes at most. ``fallback`` is the share of the limit for
    this process while the store cannot be reached, 0 for nothing.
    """

    longest: float
    fallback: float


@frozen
class Trip:
    """What the store is told and asked.

    ``free`` are numbers of slots, with the seconds until each is free again. ``want`` more are asked for,
    to be numbered from ``start``; ``limit`` are all there are. ``own`` slots are in use here.
    ``fallback`` is what this process may use of a store that began empty, ``kept`` of one in which
    another server took over: none, for a process that did not know it before. Nothing is granted to
    anybody for ``pause`` seconds. ``modest`` tells that more would be asked for, were it not for others
    that the store may not have heard of yet. ``time`` is what the store's time must be by now, in
    seconds, by the last answer; None before the first. ``turn`` is that of the last answer.
    """

    limit: int
    want: int
    start: int
    own: int
    fallback: int
    kept: int
    hold: float
    pause: float
    modest: bool
    time: float | None
    turn: str
    free: tuple[tuple[int, float], ...] = field(repr=False)


@frozen
class Grant:
    """What the store answers: so many slots, how long until there may be more, and how long all pause.

    ``settled`` tells that it surely knows of all slots in use, wherever. ``time`` is the store's, in
    seconds. ``turn`` changes when that may have been left behind, which makes earlier readings worthless.
    """

    count: int
    wait: float
    paused: float
    settled: bool
    time: float = 0.0
    turn: str = ""


class SharedSlots(SlotWindow):
    """Like `SlotWindow`, as far as a store grants them."""

    def __init__(self, window: float, terms: LeaseTerms, kick: Callable[[], None]) -> None:
        """Start without any; ``kick`` is called when something is to be done about the store."""
        super().__init__(window)
        self._terms = terms
        self._kick = kick
        self._numbers = 0
        self._pool: dict[int, float] = {}  # unused slots, and until when they may be used; the oldest first
        # Busy slots, since when the store knows that, and whose they are. What is in here is used, even if
        # an interrupted `take` left it in the pool, too.
        self._out: dict[int, tuple[float, object]] = {}
        self._ended: deque[tuple[int, float]] = deque()  # cooling slots, and when they are free
        self._untold: list[tuple[int, float]] = []
        self._untold_since = 0.0
        self._telling = 0  # how many of those a visit is telling
        self._batch = 1
        self._next_at = 0.0  # when to ask again
        self._ready_at = 0.0  # when there is more, unless something is given back unused
        self._pause_until: float | None = None
        self._away = False
        self._modest_until = 0.0  # when all others must have come back, too
        # Whether the store surely knows of all slots in use, as its last answer said.
        self.sure: bool = False
        self._held: int | None = None  # how many were in use when it no longer was; None: it never was sure
        self._unsure_since = 0.0
        self._ahead: float | None = None  # seconds from this process' time to the store's
        self._turn = ""
        self._retry = _FIRST_RETRY

    @property
    def hold(self) -> float:
        """The seconds after which the store forgets a slot that it heard no more of."""
        return _USE + self._terms.longest + self.window + MARGIN + LINGER

    @property
    def _stale(self) -> float:
        """The seconds after which the store is told again of a request that goes on.

        Long before it would forget one whose process is killed while it is on its way.
        """
        return (_USE + self._terms.longest) / 2

    @property
    def pace(self) -> float:
        """The seconds to let pass between two trips that are not urgent."""
        return min(self.window / 60, 1.0)

    def ask_for_more(self) -> None:
        """See to it that more slots are asked for."""
        self._kick()

    def unused(self, now: float) -> bool:
        """Return True if no slot is in use and the store knows it."""
        return super().unused(now) and not self._pool and not self._untold

    def free(self, now: float, limit: int) -> int:
        """Return how many requests may be sent now."""
        if self._away:
            return super().free(now, self._cautious(now, limit))
        while self._pool:
            number, until = next(iter(self._pool.items()))
            if number not in self._out:
                if until > now:
                    break
                self._tell(number, now, now)
                self._batch = max(self._batch // 2, 1)
            self._pool.pop(number, None)
        return min(len(self._pool), super().free(now, limit))

    def take(self, now: float, holder: object) -> None:
        """Use a slot, of the store's or, while it is away, of the process' own share."""
        number = next(iter(self._pool), None)
        if number is None:
            number = self._number()
        self._out[number] = now, holder
        self.holders[holder] = number
        self._pool.pop(number, None)
        if not self._pool and self._batch > 1:
            self._kick()

    def give_back(self, now: float, holder: object, ending: RequestEnding) -> bool:
        """Make a busy slot free or let it cool, and see to it that the store is told."""
        number = self.holders[holder]
        assert number is not None, "each slot has a number"
        free_at = now
        if ending is not RequestEnding.UNSENT:
            free_at = now + self.window + MARGIN + (LINGER if ending is RequestEnding.LOST else 0.0)
            self._ended.append((number, free_at))
        self._tell(number, free_at, now)
        self._out.pop(number, None)
        super().give_back(now, holder, ending)
        return self._away

    def next_free(self) -> float | None:
        """Return when there is more by itself; with a store that only the store knows."""
        return super().next_free() if self._away else None

    def earliest(self, now: float, place: int, limit: int) -> float:
        """Return the earliest time when the slot for the ``place``-th waiting request can be free."""
        if self._away:
            alone = self._cautious(now, limit)
            return super().earliest(now, place, alone) if alone else max(now, self._next_at)
        if place <= len(self._pool):
            return now
        return max(now, self._ready_at) + (place - 1) // limit * (self.window + MARGIN)

    def tell_pause(self, until: float) -> None:
        """Pause the other processes, too."""
        self._pause_until = until
        self._kick()

    def due(self, now: float, waiting: int) -> float | None:
        """Return when to go to the store, None when there is nothing to do there."""
        times = [self._untold_since + (0.0 if len(self._untold) >= self._batch else self.pace)]
        times = times if self._untold else []
        if self._pause_until is not None:
            times.append(now)
        if waiting > len(self._pool) or (self._batch > 1 and len(self._pool) <= self._batch // 4):
            times.append(self._next_at)
        if self._pool:
            times.append(next(iter(self._pool.values())))
        if self._out:
            times.append(next(iter(self._out.values()))[0] + self._stale)
        if self._away:
            times = [self._next_at] if times else []
        return min(times, default=None)

    def trip(self, now: float, waiting: int, limit: int) -> Trip:
        """Prepare a visit of the store, of which `landed` or `failed` is to be told afterwards."""
        self.free(now, limit)
        told = dict(self._untold)
        while self._ended and self._ended[0][1] <= now:
            self._ended.popleft()
        if self._away:  # it may have forgotten everything
            told |= dict(self._ended)
        stale = now if self._away else now - self._stale
        for number, (since, holder) in tuple(self._out.items()):
            if since > stale:
                break
            self._out.pop(number)
            told[number] = now
            if holder in self.holders:  # else it was interrupted before it had the slot
                self._out[number] = now, holder
                told[number] = now + self.hold
        self._telling = len(self._untold)
        ahead = self._batch if self._batch > 1 else 0
        own = self._own
        cautious = self._cautious(now, limit)
        wished = want = max(waiting + ahead - len(self._pool), 0)
        if self._away or now < self._modest_until:
            want = min(want, max(cautious - own, 0))
        pause = 0.0 if self._pause_until is None else max(self._pause_until - now, 0.0)
        self._pause_until = None
        start = self._numbers
        self._numbers += want
        return Trip(
            limit=limit,
            want=want,
            start=start,
            own=own,
            fallback=cautious,
            kept=0 if self._held is None else cautious,
            hold=self.hold,
            pause=pause,
            modest=want < wished,
            time=None if self._ahead is None else now + self._ahead,
            turn=self._turn,
            free=tuple((number, max(free_at - now, 0.0)) for number, free_at in told.items()),
        )

    def landed(self, trip: Trip, grant: Grant, left: float, now: float) -> None:
        """Apply what a trip that ``left`` then came to."""
        # The store answered at some time between these two, so it is ahead by something in between.
        least, most = grant.time - now, grant.time - left
        self._ahead = least if self._ahead is None else min(max(self._ahead, least), most)
        self._turn = grant.turn
        if self._away:
            self._away = False
            self._modest_until = now + _LONGEST_RETRY + 2 * _FIRST_RETRY
        if not grant.settled:
            self._doubt(now)
        elif now >= self._modest_until:
            self.sure, self._held = True, 0
        self._retry = _FIRST_RETRY
        del self._untold[: self._telling]
        self._untold_since = now
        self._pool.update((trip.start + index, left + _USE) for index in range(grant.count))
        if grant.count < trip.want or trip.modest:
            self._next_at = now + max(min(grant.wait, _POLL * self.pace), self.pace)
            self._ready_at = now + min(grant.wait, self.window + MARGIN)
        else:
            self._next_at = self._ready_at = now
            self._batch = min(max(self._batch, grant.count) * 2, _LARGEST_BATCH, max(trip.limit // 50, 1))

    def failed(self, trip: Trip | None, now: float) -> None:
        """Note that the store cannot be reached, as a ``trip`` showed, of this limit or another."""
        if trip is not None:
            # Perhaps only the answer was lost.
            self._untold.extend((number, now) for number in range(trip.start, trip.start + trip.want))
            if trip.pause:
                self._pause_until = now + trip.pause
        self._untold_since = now
        forgotten = now - self.hold  # what was free by then the store has forgotten by itself
        self._untold = [(number, free_at) for number, free_at in self._untold if free_at > forgotten]
        self._away = True
        self._doubt(now)
        self._untold.extend((number, now) for number in self._pool if number not in self._out)
        self._pool.clear()
        self._batch = 1
        self._next_at = now + self._retry
        self._retry = min(self._retry * 2, _LONGEST_RETRY)

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers - 1

    def _tell(self, number: int, free_at: float, now: float) -> None:
        if not self._untold:
            self._untold_since = now
        self._untold.append((number, free_at))
        if len(self._untold) in (1, self._batch):
            self._kick()

    @property
    def _own(self) -> int:
        """How many slots are in use here, those that wait for a request included."""
        return self.busy + self.cooling + len(self._pool)

    def _doubt(self, now: float) -> None:
        """Take in that the store may not know of all slots in use."""
        if self.sure:
            self.sure, self._held, self._unsure_since = False, self._own, now

    def _cautious(self, now: float, limit: int) -> int:
        """Return how many slots to use where the store does not surely know of all in use.

        For one hold they are no more than were in use here before: the others may be using all the rest.
        After it nothing from before counts, and this process has its fallback share.
        """
        fallback = self._terms.fallback
        share = max(int(limit * fallback), 1) if fallback else 0
        if self._held is None:
            return share
        if self.sure:
            return min(share, self._own)
        return share if now >= self._unsure_since + self.hold else min(share, self._held)


class SharedGroupLimiter(GroupLimiter):
    """A bucket with leased slots, and what its store has to do with it."""

    def __init__(self, group: str, limit: int, slots: SharedSlots) -> None:
        super().__init__(group, limit, slots)
        self._leased = slots

    def pause(self, lease: Lease | None, now: float, seconds: float) -> bool:
        """Grant nothing for so long, neither here nor in other processes; see `GroupLimiter.pause`."""
        first = super().pause(lease, now, seconds)
        self._leased.tell_pause(self._paused_until)
        return first

    @property
    def sure(self) -> bool:
        """Whether the store surely knew of all slots in use when it last answered."""
        return self._leased.sure

    def due(self, now: float) -> float | None:
        """Return when to go to the store, None when there is nothing to do there."""
        return self._leased.due(now, self.waiting)

    def trip(self, now: float) -> Trip:
        """Prepare a visit of the store."""
        return self._leased.trip(now, self.waiting, self._share.of(self.limit, now))

    def landed(self, trip: Trip, grant: Grant, left: float, now: float) -> None:
        """Apply what a visit came to, and serve who waits."""
        self._leased.landed(trip, grant, left, now)
        if grant.paused:
            super().pause(None, now, grant.paused)
        self._grant_waiting(now)

    def failed(self, trip: Trip | None, now: float) -> None:
        """Note that the store cannot be reached, and serve who waits."""
        self._leased.failed(trip, now)
        self._grant_waiting(now)
        self._wake_first()  # from now on there is a time to keep here
