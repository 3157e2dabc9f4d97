"""Who waits for which orders: the board that one poll serves.

The board holds the waits of a client and when the next poll is due. It is shown what a poll, a read or a
webhook brought, and says which orders have to be read one by one, and when. It neither waits nor sends.
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
"""How many orders one waiter reads beside each other."""

_LINGER = 0.25  # seconds for other reads to end, too, before a waiter is given the result of one
_LONGEST_PAUSE = 300.0  # seconds that a service, or a page of a proxy, can put off the next poll
_LONGEST_DELAY = 10  # intervals between two reads of an order that the polls do not show
_SPREAD = 0.618  # times an order's id: neighbours are read at times that are far apart


class WaitSignal(Protocol):
    """Something a waiter can be woken through, from any thread; twice is allowed."""

    def wake(self) -> object:
        """Wake whoever waits."""
        ...


S = TypeVar("S", bound=WaitSignal)


class Waiter(Generic[S]):
    """A task or thread that waits for one order's SMS, or for several.

    ``open`` are the waits that go on, by order, and ``ended`` those that do not, until they are taken.
    ``to_read`` are orders that the polls do not show, and ``reading`` those that are being read. A
    ``failure`` concerns all of them. It is ``resting`` between two results, and ``following`` while it waits
    for a signal and could poll at once. While it is ``polling`` it is not woken to read.
    """

    def __init__(self, waits: Iterable[SmsWait], signal: S) -> None:
        self.signal = signal
        self.open: dict[int, SmsWait] = {sms_wait.order_id: sms_wait for sms_wait in waits}
        self.ended: deque[SmsWait] = deque()
        self.to_read: dict[int, None] = {}  # a set that keeps its order
        self.reading: dict[int, None] = {}
        self.read_at = float("-inf")
        self.failure: SmscodeError | None = None
        self.resting = True
        self.following = False
        self.polling = False


@define
class _Absence:
    """An order that the polls do not show: when it may be read, and how long to wait after that."""

    due: float
    delay: float


class SharedPoll(Generic[S]):
    """All waiters of a client: one of them leads, polling for all; the others follow.

    ``interval`` is the seconds between polls. The time of the next poll belongs to the board: when
    the lead passes on, the new leader polls no sooner. At most ``reads_at_once`` orders are read at a
    time, so that reads which hang leave connections for the polls. Every method is to be called under a lock.
    """

    def __init__(self, interval: float, reads_at_once: int = READS_AT_ONCE) -> None:
        self._interval = interval
        self._reads_at_once = reads_at_once
        self._waiters: dict[Waiter[S], None] = {}  # in the order of joining
        self._by_order: dict[int, dict[Waiter[S], None]] = {}
        self._absent: dict[int, _Absence] = {}
        self._reading: dict[int, Waiter[S]] = {}
        self._queue: dict[Waiter[S], None] = {}  # those that have something to read when another read ends
        self._leader: Waiter[S] | None = None
        self._due = float("-inf")
        self._inbox = WebhookInbox()
        self.failure: SmscodeError | None = None
        """What the last poll met, None if it was answered."""

    def join(self, waiter: Waiter[S]) -> None:
        """Add a waiter, at rest, and show it what webhooks said before it came."""
        self._waiters[waiter] = None
        for sms_wait in tuple(waiter.open.values()):
            self._by_order.setdefault(sms_wait.order_id, {})[waiter] = None
            for said in self._inbox.about(sms_wait.order_id):
                sms_wait.see_event(said)
            self._settle(waiter, sms_wait)

    def leave(self, waiter: Waiter[S]) -> None:
        """Remove a waiter, whatever it was doing; again, if that was interrupted."""
        self._waiters.pop(waiter, None)
        for order_id in waiter.open:
            self._forget(waiter, order_id)
        self.rest(waiter)

    def rest(self, waiter: Waiter[S]) -> None:
        """Mark a waiter as resting, which ends its reads; if none leads now, wake one that can poll to lead.

        That includes the waiter that was woken to lead and left before it did.
        """
        waiter.resting, waiter.following, waiter.polling = True, False, False
        self._queue.pop(waiter, None)
        for order_id in tuple(waiter.reading):
            self.end_reading(waiter, order_id)
            if order_id in self._absent:  # it was not read to its end
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
        """Return True if this waiter is the one to poll; it becomes that if none is. Else it follows."""
        if self._leader is None:
            self._leader = waiter
        waiter.following = self._leader is not waiter
        return not waiter.following

    def until_due(self, now: float) -> float:
        """Return the seconds until the next poll, at least 0."""
        return max(self._due - now, 0.0)

    def begin_poll(self, now: float) -> frozenset[int]:
        """Begin a poll: set when the next is due, and return the orders it speaks for.

        An order that is joined while the poll is on its way is not among them, so its absence
        from the answer says nothing.
        """
        self._due = now + self._interval
        return frozenset(self._by_order)

    def postpone(self, now: float, error: SmscodeError) -> None:
        """Store a poll's transient failure; poll no sooner than the service asks for, within bounds."""
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
        """Show the waiters what a poll brought; those asked for that are not there are to be read.

        ``date`` is the service's, and ``unreadable`` has the orders whose rows could not be read.
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
            if not waiter.resting:  # one of them is enough
                waiter.to_read[order_id] = None
                self._wake_to_read(waiter)
                return

    @staticmethod
    def _wake_to_read(waiter: Waiter[S]) -> None:
        if not waiter.polling:  # else that would be interrupted, and it looks for reads after it anyway
            waiter.signal.wake()

    def show(self, order: ActiveOrder | Order, date: datetime | None = None) -> None:
        """Show the waiters an order as the service had it at its ``date``."""
        waits = self._waits_for(order.id)
        self._inbox.compare(order, date, watched=bool(waits))
        for waiter, sms_wait in waits:
            sms_wait.see(order, date)
            self._settle(waiter, sms_wait)

    def notify(self, event: OrderEvent) -> None:
        """Show the waiters what a webhook said, and keep it for those that come later.

        What was said before, or is older than that, is ignored.
        """
        if not self._inbox.add(event):
            return
        order = order_of(event)
        for waiter, sms_wait in self._waits_for(event.order_id):
            sms_wait.see_event(order)
            self._settle(waiter, sms_wait)

    def begin_reading(self, waiter: Waiter[S], now: float) -> list[int]:
        """Return the orders that this waiter is to read now, a few at once, beside what else it does.

        An order that still has not ended when it was read is read again after a time that doubles: a list of
        active orders that lags must not cost a read per order and poll.
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
        """Return for how many seconds a waiter that has a result goes on with its reads before it rests.

        Resting ends them, so orders that leave the list together would be read again for each result.
        """
        if not (waiter.open and waiter.reading):
            return 0.0
        return max(waiter.read_at + _LINGER - now, 0.0)

    def end_reading(self, waiter: Waiter[S], order_id: int) -> None:
        """Make room for the next read, when an order was read or its waiter gave that up."""
        waiter.reading.pop(order_id, None)
        if self._reading.get(order_id) is waiter:
            del self._reading[order_id]
        self._wake_to_read(waiter)
        for following in tuple(self._queue)[:1]:
            del self._queue[following]
            self._wake_to_read(following)

    def read_failed(self, order_id: int, error: SmscodeError) -> None:
        """Store that the last look at an order failed, in a way that may pass."""
        for _, sms_wait in self._waits_for(order_id):
            sms_wait.failure = error

    def missing(self, order_id: int, error: SmscodeError) -> None:
        """End the waits for an order that the account does not have."""
        for waiter in tuple(self._by_order.get(order_id, ())):
            self.unreadable(waiter, order_id, error)

    def unreadable(self, waiter: Waiter[S], order_id: int, error: SmscodeError) -> None:
        """End a waiter's sms_wait for an order that it cannot read."""
        sms_wait = waiter.open.get(order_id)
        if sms_wait is not None:
            sms_wait.error = error
            self._settle(waiter, sms_wait)

    def fail(self, error: SmscodeError) -> None:
        """End all waits because of a failure that concerns them all; each has a copy of its own."""
        for waiter in tuple(self._waiters):
            if not (waiter.resting or waiter.ended):
                waiter.failure = copy.copy(error)
                waiter.signal.wake()

    def _waits_for(self, order_id: int) -> list[tuple[Waiter[S], SmsWait]]:
        """Return the waiters for an order, and their waits for it."""
        waiters = self._by_order.get(order_id, ())
        return [(waiter, waiter.open[order_id]) for waiter in waiters if order_id in waiter.open]

    def _settle(self, waiter: Waiter[S], sms_wait: SmsWait) -> None:
        if not sms_wait.ended:
            return
        # In this order: what is interrupted half-way is done again when the order is shown the next time.
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
