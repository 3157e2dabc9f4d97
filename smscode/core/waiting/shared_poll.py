"""The poll that all waits of a client share: which orders are waited for, and when to poll or read them.

`SharedPoll` gets the results of polls, single reads and webhooks, and decides which orders have to be read
one by one, and when. It neither waits nor sends.

Invariants, which hold after every method, and after the next one if one was interrupted:

1. At most one waiter leads, and only the leader polls. If none leads, a follower that could was woken.
2. A wait is in ``Waiter.open`` until it has ended, then in ``Waiter.ended`` until its waiter collects it. It
   is added to the latter first, so that an interrupt can repeat a result but never lose one.
3. A waiter is registered under an order exactly as long as it has an open wait for it.
4. One order is read by at most one waiter at a time.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from attrs import define

from ...errors import SmscodeError
from ...models import ActiveOrder, Order
from ...webhook_events import OrderEvent
from .sms_wait import SmsWait
from .webhook_inbox import WebhookInbox, order_of

READS_AT_ONCE = 10
"""How many orders one waiter reads at the same time."""

_LINGER = 0.25  # seconds that a waiter with a result leaves its other reads to end
_LONGEST_PAUSE = 300.0  # seconds by which an answer can postpone the next poll at most
_LONGEST_DELAY = 10  # intervals between two reads of an order that the polls do not show
_SPREAD = 0.618  # the golden ratio: times the id, it spreads the reads of neighbouring orders


class WaitSignal(Protocol):
    """Wakes a waiter, from any thread, any number of times."""

    def wake(self) -> object:
        """Wake the waiter."""
        ...


S = TypeVar("S", bound=WaitSignal)


class Waiter(Generic[S]):
    """A task or thread that waits for one order's SMS, or for several.

    ``open`` are the waits that continue, by order, and ``ended`` the results that are not collected yet.
    ``to_read`` are orders that the polls do not show, and ``reading`` those that are being read. ``failure``
    ends all its waits. It is ``resting`` between two results, and ``following`` while it waits for a signal
    and could poll at once. While it is ``polling`` it is not woken to read.
    """

    def __init__(self, waits: Iterable[SmsWait], signal: S) -> None:
        self.signal = signal
        self.open: dict[int, SmsWait] = {sms_wait.order_id: sms_wait for sms_wait in waits}
        self.ended: deque[SmsWait] = deque()
        self.to_read: dict[int, None] = {}  # a set that keeps its order
        self.reading: dict[int, None] = {}
        self.read_at: float = float("-inf")
        self.failure: SmscodeError | None = None
        self.resting = True
        self.following = False
        self.polling = False


@define
class _Absence:
    """An order that the polls do not show: when it is read next, and the seconds until the read after it."""

    due: float
    delay: float


class SharedPoll(Generic[S]):
    """All waiters of a client: one of them leads and polls for all; the others follow.

    ``interval`` is the number of seconds between polls; it also applies when another waiter takes the lead.
    At most ``reads_at_once`` orders are read at a time, so that reads without an answer leave connections
    for the polls. Call every method under the same lock. ``now`` is in monotonic seconds.
    """

    def __init__(self, interval: float, reads_at_once: int = READS_AT_ONCE) -> None:
        self._interval = interval
        self._reads_at_once = reads_at_once
        self._waiters: dict[Waiter[S], None] = {}  # in the order of joining
        self._by_order: dict[int, dict[Waiter[S], None]] = {}
        self._absent: dict[int, _Absence] = {}
        self._reading: dict[int, Waiter[S]] = {}
        # Waiters that have orders to read as soon as another read ends.
        self._queue: dict[Waiter[S], None] = {}
        self._leader: Waiter[S] | None = None
        self._due = float("-inf")
        self._inbox = WebhookInbox()
        self.failure: SmscodeError | None = None
        """The error of the last poll, None if it succeeded."""

    def join(self, waiter: Waiter[S]) -> None:
        """Add a resting waiter, and update its waits from webhooks that arrived before."""
        self._waiters[waiter] = None
        for sms_wait in tuple(waiter.open.values()):
            self._by_order.setdefault(sms_wait.order_id, {})[waiter] = None
            for said in self._inbox.about(sms_wait.order_id):
                sms_wait.see_event(said)
            self._settle(waiter, sms_wait)

    def leave(self, waiter: Waiter[S]) -> None:
        """Remove a waiter, whatever it was doing. Calling it again completes an interrupted removal."""
        self._waiters.pop(waiter, None)
        for order_id in waiter.open:
            self._forget(waiter, order_id)
        self.rest(waiter)

    def rest(self, waiter: Waiter[S]) -> None:
        """Mark a waiter as resting, which ends its reads. If none leads now, wake a follower to lead.

        This also passes the lead on if the waiter was woken to lead and leaves before it does.
        """
        waiter.resting, waiter.following, waiter.polling = True, False, False
        self._queue.pop(waiter, None)
        for order_id in tuple(waiter.reading):
            self.end_reading(waiter, order_id)
            if order_id in self._absent:  # the read did not end: repeat it
                self._absent[order_id].due = float("-inf")
                waiter.to_read[order_id] = None
        if self._leader is waiter:
            self._leader = None
        if self._leader is None:
            for follower in tuple(self._waiters):
                if follower.following and not (follower.ended or follower.failure):
                    follower.signal.wake()
                    break

    def leads(self, waiter: Waiter[S]) -> bool:
        """Return True if this waiter polls for all, and make it the leader if there is none."""
        if self._leader is None:
            self._leader = waiter
        waiter.following = self._leader is not waiter
        return not waiter.following

    def until_due(self, now: float) -> float:
        """Return the seconds until the next poll, at least 0."""
        return max(self._due - now, 0.0)

    def begin_poll(self, now: float) -> frozenset[int]:
        """Start a poll: set when the next is due, and return the orders that its answer covers.

        An order that is added while the poll is under way is not among them, so its absence from the answer
        means nothing.
        """
        self._due = now + self._interval
        return frozenset(self._by_order)

    def postpone(self, now: float, error: SmscodeError) -> None:
        """Store a poll's transient failure, and postpone the next poll as the service asks, within bounds."""
        self.failure = error
        self._due = max(self._due, now + min(error.retry_after or 0.0, _LONGEST_PAUSE))

    def feed(
        self,
        orders: Iterable[ActiveOrder],
        asked: frozenset[int],
        now: float,
        date: datetime | None = None,
        unreadable: Mapping[int, SmscodeError] | None = None,
    ) -> None:
        """Update the waits from a poll. Orders that were ``asked`` for but are missing will be read.

        ``date`` is the date of the answer, ``unreadable`` the errors of rows that could not be decoded.
        """
        self.failure = None
        shown = {order.id: order for order in orders}
        for order in shown.values():
            self._absent.pop(order.id, None)
            self.show(order, date)
        for order_id, error in (unreadable or {}).items():
            self.read_failed(order_id, error)
        for order_id in sorted(asked - shown.keys() - self._reading.keys()):
            if order_id in self._by_order:  # the wait may have ended meanwhile
                absence = self._absent.setdefault(order_id, _Absence(now, 2 * self._interval))
                if absence.due <= now:
                    self._ask_to_read(order_id)

    def _ask_to_read(self, order_id: int) -> None:
        for waiter in tuple(self._by_order[order_id]):
            if not waiter.resting:  # one read serves all waiters
                waiter.to_read[order_id] = None
                self._wake_to_read(waiter)
                return

    @staticmethod
    def _wake_to_read(waiter: Waiter[S]) -> None:
        if not waiter.polling:  # waking would cancel the poll; after it the waiter looks for reads anyway
            waiter.signal.wake()

    def show(self, order: ActiveOrder | Order, date: datetime | None = None) -> None:
        """Update the waits for an order from an answer of this ``date``."""
        waits = self._waits_for(order.id)
        self._inbox.compare(order, date, watched=bool(waits))
        for waiter, sms_wait in waits:
            sms_wait.see(order, date)
            self._settle(waiter, sms_wait)

    def notify(self, event: OrderEvent) -> None:
        """Update the waits from a webhook, and keep it for waits that begin later.

        Events that came before, and older ones, are ignored.
        """
        if not self._inbox.add(event):
            return
        order = order_of(event)
        for waiter, sms_wait in self._waits_for(event.order_id):
            sms_wait.see_event(order)
            self._settle(waiter, sms_wait)

    def begin_reading(self, waiter: Waiter[S], now: float) -> list[int]:
        """Return the orders that this waiter must read now, a few at once, while it polls or waits.

        The time until an order is read again doubles with each read: if the service's list of active orders
        lags behind, that must not cost one read per order and poll.
        """
        waiter.following = False
        waiter.to_read = {
            one: None
            for one in waiter.to_read
            if one in waiter.open and one in self._absent and one not in self._reading
        }
        free = min(READS_AT_ONCE - len(waiter.reading), self._reads_at_once - len(self._reading))
        reads = list(waiter.to_read)[: max(free, 0)]
        for order_id in reads:
            del waiter.to_read[order_id]
            waiter.reading[order_id] = None
            self._reading[order_id] = waiter
            absence = self._absent[order_id]
            absence.due = now + absence.delay * (1 + order_id * _SPREAD % 1 / 2)
            absence.delay = min(2 * absence.delay, _LONGEST_DELAY * self._interval)
        if reads:
            waiter.read_at = now
        if waiter.to_read:
            self._queue[waiter] = None
        return reads

    def linger(self, waiter: Waiter[S], now: float) -> float:
        """Return for how many seconds a waiter with a result continues its reads before it rests.

        Resting cancels them, so orders that leave the list together would be read again for each result.
        """
        if not (waiter.open and waiter.reading):
            return 0.0
        return max(waiter.read_at + _LINGER - now, 0.0)

    def end_reading(self, waiter: Waiter[S], order_id: int) -> None:
        """Free the place of a read that ended or was given up, and wake the next waiter with a read to do."""
        waiter.reading.pop(order_id, None)
        if self._reading.get(order_id) is waiter:
            del self._reading[order_id]
        self._wake_to_read(waiter)
        for following in tuple(self._queue)[:1]:
            del self._queue[following]
            self._wake_to_read(following)

    def read_failed(self, order_id: int, error: SmscodeError) -> None:
        """Store that the last read of an order failed with a transient error."""
        for _, sms_wait in self._waits_for(order_id):
            sms_wait.failure = error

    def missing(self, order_id: int, error: SmscodeError) -> None:
        """End all waits for an order that the account does not have."""
        for waiter in tuple(self._by_order.get(order_id, ())):
            self.unreadable(waiter, order_id, error)

    def unreadable(self, waiter: Waiter[S], order_id: int, error: SmscodeError) -> None:
        """End a waiter's wait for an order with a final error of its read."""
        sms_wait = waiter.open.get(order_id)
        if sms_wait is not None:
            sms_wait.error = error
            self._settle(waiter, sms_wait)

    def fail(self, error: SmscodeError) -> None:
        """End all waits with a final error that concerns them all. Each waiter gets a copy of it."""
        for waiter in tuple(self._waiters):
            if not (waiter.resting or waiter.ended):
                waiter.failure = copy.copy(error)
                waiter.signal.wake()

    def _waits_for(self, order_id: int) -> list[tuple[Waiter[S], SmsWait]]:
        """Return the waiters for an order, each with its wait for it."""
        waiters = self._by_order.get(order_id, ())
        return [(waiter, waiter.open[order_id]) for waiter in waiters if order_id in waiter.open]

    def _settle(self, waiter: Waiter[S], sms_wait: SmsWait) -> None:
        if not sms_wait.ended:
            return
        # The order matters (invariant 2): what an interrupt leaves undone is repeated at the next update.
        if not sms_wait.reported or sms_wait not in waiter.ended:
            sms_wait.reported = True
            waiter.ended.append(sms_wait)
        self._forget(waiter, sms_wait.order_id)
        waiter.open.pop(sms_wait.order_id, None)
        waiter.signal.wake()

    def _forget(self, waiter: Waiter[S], order_id: int) -> None:
        waiters = self._by_order.get(order_id, {})
        waiters.pop(waiter, None)
        if not waiters:
            self._by_order.pop(order_id, None)
            self._absent.pop(order_id, None)
