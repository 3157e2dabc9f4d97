"""The slots of a rate limit: each request takes one, which becomes free one window after the request's end.

A service that allows N requests in any window counts a request at some moment between its sending and its
end. If each request holds one of N slots from before it is sent until one window after its end, the service
can never count more than N in any window, however long the requests take and however it aligns its windows:
all requests that it counts in a window still hold their slots when the last of them is sent.
"""

from __future__ import annotations

from bisect import insort
from enum import Enum

MARGIN = 0.25
"""Seconds more than the window, for clocks that run at slightly different rates."""

LINGER = 10.0
"""Seconds more for a request that was given up but may still arrive, from the queue of a proxy."""

_COMPACT = 512


class RequestEnding(Enum):
    """How a request with a slot ended."""

    UNSENT = "unsent"
    """No byte of it was sent, so the service cannot count it."""
    ANSWERED = "answered"
    """It was answered, so the service has counted it already."""
    REFUSED = "refused"
    """It was refused because of the rate limit; otherwise like ANSWERED."""
    LOST = "lost"
    """It was given up without an answer, and may still arrive."""


_UNSENT, _LOST = RequestEnding.UNSENT, RequestEnding.LOST  # looking up a member of an enumeration is slow


class SlotWindow:
    """Counts busy and cooling slots. The limit is passed to each method because it can change.

    A busy slot belongs to its ``holder``, any object. A change that is interrupted by `KeyboardInterrupt`
    may leave one slot too many in use, never one too few: each method takes before it releases. Calling it
    again completes the change.
    """

    def __init__(self, window: float) -> None:
        """Start with all slots free. ``window`` is the number of seconds that one cools after its request."""
        self.window = window
        # Each has a slot; the value is its number if slots are numbered.
        self.holders: dict[object, int | None] = {}
        self._cooling: list[float] = []  # when each becomes free, sorted; those before _head are free
        self._head = 0

    @property
    def busy(self) -> int:
        """The number of busy slots."""
        return len(self.holders)

    @property
    def cooling(self) -> int:
        """The number of slots that were cooling when `free` was last called."""
        return len(self._cooling) - self._head

    def free(self, now: float, limit: int) -> int:
        """Return how many of ``limit`` slots are free; negative after the limit was lowered."""
        cooling, head = self._cooling, self._head
        while head < len(cooling) and cooling[head] <= now:
            head += 1
        if head >= _COMPACT and head * 2 >= len(cooling):
            rest = cooling[head:]
            self._head = head = 0  # first, so that an interruption leaves too many cooling, not too few
            self._cooling = cooling = rest
        else:
            self._head = head
        return limit - len(self.holders) - len(cooling) + head

    def request_more(self) -> None:
        """Try to get more slots. Slots of one process only become free with time, so this does nothing."""

    def unused(self, now: float) -> bool:
        """Return True if all slots are free."""
        return SlotWindow.free(self, now, 0) == 0

    def take(self, now: float, holder: object) -> None:
        """Assign a free slot to a holder."""
        self.holders[holder] = None

    def give_back(self, now: float, holder: object, ending: RequestEnding) -> bool:
        """Release a busy slot, or let it cool, depending on how its request ended.

        Return True if this slot is the only one that cools, so the first waiting lease can now know when the
        next one becomes free.
        """
        if ending is _UNSENT:
            self.holders.pop(holder, None)
            return False
        cooling = self._cooling
        first = len(cooling) == self._head
        until = now + self.window + MARGIN
        if ending is _LOST:
            until += LINGER
        insort(cooling, until, self._head)  # a lost request cools longer, so it may not be the last
        # Last: an interrupt before this counts the slot twice, never not at all.
        self.holders.pop(holder, None)
        return first

    def next_free(self) -> float | None:
        """Return the time when the next cooling slot becomes free, None if none is cooling."""
        return self._cooling[self._head] if self._head < len(self._cooling) else None

    def earliest(self, now: float, place: int, limit: int) -> float:
        """Return the earliest time when a slot for the ``place``-th waiting request (from 1) can be free.

        It is never too late: busy slots are treated as if their requests ended now.
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
