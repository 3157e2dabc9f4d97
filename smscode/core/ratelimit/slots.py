"""The slots of a rate limit: one is taken for every request and comes back a window after its end.

A service that allows N requests in any window counts a request somewhere between its sending and its
end. Whoever sends only with a slot in hand, of N, and gives it back one window after the end, can
never be counted more than N times in any window, however long the requests take and however the
service aligns its windows: all that it counts in a window still hold their slots when the last of
them is sent.
"""

from __future__ import annotations

from bisect import insort
from enum import Enum

MARGIN = 0.25
"""Seconds more than the window, for clocks that run at slightly different rates."""

LINGER = 10.0
"""Seconds more for a request that may still be on its way, in a proxy's queue, after it was given up."""

_COMPACT = 512


class RequestEnding(Enum):
    """How a request with a slot ended."""

    UNSENT = "unsent"
    """Nothing of it left, so the service has nothing to count."""
    ANSWERED = "answered"
    """It was answered: whatever the service counts, it has counted."""
    REFUSED = "refused"
    """It was refused for being one too many; otherwise like ANSWERED."""
    LOST = "lost"
    """It was given up, and may still arrive."""


_UNSENT, _LOST = RequestEnding.UNSENT, RequestEnding.LOST  # an enumeration's member is slow to look up


class SlotWindow:
    """Counts busy and cooling slots; how many there are is told with every question, as that changes.

    A busy slot belongs to its ``holder``, any object. A change that is interrupted half-way, by
    `KeyboardInterrupt`, may leave one slot too many in use, never one too few; it is done again.
    """

    def __init__(self, window: float) -> None:
        """Start with all slots free; ``window`` is the seconds that one cools after its request's end."""
        self.window = window
        self.holders: dict[object, int | None] = {}  # whoever is in here has a slot, and perhaps its number
        self._cooling: list[float] = []  # the times they become free at, sorted; those before _head are
        self._head = 0

    @property
    def busy(self) -> int:
        """How many slots are busy."""
        return len(self.holders)

    @property
    def cooling(self) -> int:
        """How many slots were cooling when it was last asked what is free."""
        return len(self._cooling) - self._head

    def free(self, now: float, limit: int) -> int:
        """Return how many of ``limit`` slots are free; below 0 when there used to be more."""
        cooling, head = self._cooling, self._head
        if head < len(cooling) and cooling[head] <= now:
            head += 1
            while head < len(cooling) and cooling[head] <= now:
                head += 1
            if head >= _COMPACT and head * 2 >= len(cooling):
                rest = cooling[head:]
                self._head = head = 0  # first, so that an interruption leaves too many cooling, not too few
                self._cooling = cooling = rest
            else:
                self._head = head
        return limit - len(self.holders) - len(cooling) + head

    def ask_for_more(self) -> None:
        """Do what can be done so that there are more soon: nothing but wait."""

    def unused(self, now: float) -> bool:
        """Return True if all slots are free, however many there are."""
        return not self.holders and SlotWindow.free(self, now, 0) == 0

    def take(self, now: float, holder: object) -> None:
        """Make a free slot busy."""
        self.holders[holder] = None

    def give_back(self, now: float, holder: object, ending: RequestEnding) -> bool:
        """Make a busy slot free or let it cool, as its request ended.

        Return True if there is a time to wait for now, for the first who waits, and was none before.
        """
        if ending is _UNSENT:
            self.holders.pop(holder, None)
            return False
        cooling = self._cooling
        first = len(cooling) == self._head
        until = now + self.window + MARGIN
        if ending is _LOST:
            until += LINGER
        if not cooling or cooling[-1] <= until:
            cooling.append(until)
        else:  # a lost one cools for longer, so the order of ends is not that of times
            insort(cooling, until, self._head)
        self.holders.pop(holder, None)  # last: until then the slot counts twice
        return first

    def next_free(self) -> float | None:
        """Return the time when the next cooling slot is free, None when none is cooling."""
        return self._cooling[self._head] if self._head < len(self._cooling) else None

    def earliest(self, now: float, place: int, limit: int) -> float:
        """Return the earliest time when the slot for the ``place``-th waiting request, from 1, can be free.

        It is not later than the real time: busy slots count as if their requests ended now.
        """
        period = self.window + MARGIN
        rounds, rest = divmod(place - 1, limit)
        missing = rest + 1 - self.free(now, limit)
        if missing <= 0:
            first = now
        elif missing <= self.cooling:
            first = self._cooling[self._head + missing - 1]
        else:
            first = now + period
        return first + rounds * period
