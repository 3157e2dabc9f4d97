"""Who waits for which orders: the board that one poll serves.

The board holds the waits of a client and when the next poll is due. It is told what a poll or a webhook
showed, and tells each waiter which of its orders have to be read one by one. It neither waits nor sends.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

from ...errors import SmscodeError
from ...models import ActiveOrder, Order
from ...webhook_events import OrderEvent
from .sms_wait import SmsWait
from .webhook_inbox import WebhookInbox, order_of

READS_AT_ONCE = 10


class WaitSignal(Protocol):
    """Something a waiter can be woken through, from any thread; twice is allowed."""

    def wake(self) -> object:
        """Wake whoever waits."""
        ...


S = TypeVar("S", bound=WaitSignal)


class Waiter(Generic[S]):
    """A task or thread that waits for one order's SMS, or for several.

    ``open`` are the watches that go on, by order, and ``ended`` those that do not, until they are taken.
    ``to_read`` are orders that the polls do not show. A ``failure`` concerns all of them. While nobody
    waits it is ``resting``, and takes in what it is told.
    """

    def __init__(self, watches: Iterable[SmsWait], signal: S) -> None:
        self.signal = signal
        self.open: dict[int, SmsWait] = {watch.order_id: watch for watch in watches}
        self.ended: deque[SmsWait] = deque()
        self.to_read: dict[int, None] = {}  # a set that keeps its order
        self.failure: SmscodeError | None = None
        self.resting = True


class SharedPoll(Generic[S]):
    """All waiters of a client: one of them leads, polling for all; the others follow.

    ``interval`` is the seconds between polls. The time of the next poll belongs to the board: when
    the lead passes on, the new leader polls no sooner. Every method is to be called under a lock.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._waiters: dict[Waiter[S], None] = {}  # in the order of joining
        self._by_order: dict[int, dict[Waiter[S], None]] = {}
        self._reading: dict[int, Waiter[S]] = {}
        self._leader: Waiter[S] | None = None
        self._due = float("-inf")
        self._inbox = WebhookInbox()

    def join(self, waiter: Waiter[S]) -> None:
        """Add a waiter, at rest, and tell it what webhooks said before it came."""
        self._waiters[waiter] = None
        for watch in tuple(waiter.open.values()):
            self._by_order.setdefault(watch.order_id, {})[waiter] = None
            for said in self._inbox.about(watch.order_id):
                watch.hear(said)
            self._settle(waiter, watch)

    def leave(self, waiter: Waiter[S]) -> None:
        """Remove a waiter, whatever it was doing; again, if that was interrupted."""
        self._waiters.pop(waiter, None)
        for order_id in waiter.open:
            self._forget(waiter, order_id)
        for order_id in [order_id for order_id, reader in self._reading.items() if reader is waiter]:
            self._reading.pop(order_id, None)
        self.rest(waiter)

    def rest(self, waiter: Waiter[S]) -> None:
        """Mark a waiter as resting; if nobody leads now, wake another one to lead.

        That includes the waiter that was woken to lead and left before it did.
        """
        waiter.resting = True
        if self._leader is waiter:
            self._leader = None
        if self._leader is None:
            for follower in tuple(self._waiters):
                if not (follower.resting or follower.ended or follower.failure):
                    follower.signal.wake()
                    break

    def leads(self, waiter: Waiter[S]) -> bool:
        """Return True if this waiter is the one to poll; it becomes that if nobody is."""
        if self._leader is None:
            self._leader = waiter
        return self._leader is waiter

    def until_due(self, now: float) -> float:
        """Return the seconds until the next poll, at least 0."""
        return max(self._due - now, 0.0)

    def polling(self, now: float) -> frozenset[int]:
        """Begin a poll: set when the next is due, and give the orders it speaks for.

        An order that is joined while the poll is on its way is not among them, so its absence
        from the answer says nothing.
        """
        self._due = now + self._interval
        return frozenset(self._by_order)

    def postpone(self, now: float, seconds: float) -> None:
        """Poll no sooner than in so many seconds: the service asked for that."""
        self._due = max(self._due, now + seconds)

    def feed(self, orders: Iterable[ActiveOrder], asked: frozenset[int]) -> None:
        """Show the waiters what a poll brought; they are to read the orders asked for that are not there."""
        shown = {order.id: order for order in orders}
        for order in shown.values():
            self.show(order)
        for order_id in sorted(asked - shown.keys() - self._reading.keys()):
            for waiter in self._by_order.get(order_id, ()):
                if not waiter.resting:  # one of them is enough
                    waiter.to_read[order_id] = None
                    waiter.signal.wake()
                    break

    def show(self, order: ActiveOrder | Order) -> None:
        """Show the waiters an order as the service has it."""
        self._inbox.compare(order)
        for waiter, watch in self._watches(order.id):
            watch.see(order)
            self._settle(waiter, watch)

    def notify(self, event: OrderEvent) -> None:
        """Show the waiters what a webhook said, and keep it for those that come later.

        What was said before, or is older than that, is ignored.
        """
        if not self._inbox.add(event):
            return
        order = order_of(event)
        for waiter, watch in self._watches(event.order_id):
            watch.hear(order)
            self._settle(waiter, watch)

    def begin_reading(self, waiter: Waiter[S]) -> list[int]:
        """Return orders that this waiter is to read now, a few at once; meanwhile another one may lead."""
        wanted = [one for one in waiter.to_read if one in waiter.open and one not in self._reading]
        reads = wanted[:READS_AT_ONCE]
        waiter.to_read = dict.fromkeys(wanted[READS_AT_ONCE:])
        self._reading.update(dict.fromkeys(reads, waiter))
        if reads:
            self.rest(waiter)
            waiter.resting = False
        return reads

    def end_reading(self, order_id: int) -> None:
        """Note that an order was read, or that this was given up."""
        self._reading.pop(order_id, None)

    def missing(self, order_id: int, error: SmscodeError) -> None:
        """End the watches for an order that the account does not have."""
        for waiter in tuple(self._by_order.get(order_id, ())):
            self.unreadable(waiter, order_id, error)

    def unreadable(self, waiter: Waiter[S], order_id: int, error: SmscodeError) -> None:
        """End a waiter's watch for an order that it cannot read."""
        watch = waiter.open.get(order_id)
        if watch is not None:
            watch.error = error
            self._settle(waiter, watch)

    def fail(self, error: SmscodeError) -> None:
        """End everybody's waiting because of a failure that concerns them all; each has a copy of its own."""
        for waiter in tuple(self._waiters):
            if not (waiter.resting or waiter.ended):
                waiter.failure = copy.copy(error)
                waiter.signal.wake()

    def _watches(self, order_id: int) -> list[tuple[Waiter[S], SmsWait]]:
        """Return the waiters for an order, and their watches for it."""
        waiters = self._by_order.get(order_id, ())
        return [(waiter, waiter.open[order_id]) for waiter in waiters if order_id in waiter.open]

    def _settle(self, waiter: Waiter[S], watch: SmsWait) -> None:
        if not watch.ended:
            return
        # In this order: what is interrupted half-way is done again when the order is shown the next time.
        if not watch.settling or watch not in waiter.ended:
            watch.settling = True
            waiter.ended.append(watch)
        self._forget(waiter, watch.order_id)
        waiter.open.pop(watch.order_id, None)
        waiter.signal.wake()

    def _forget(self, waiter: Waiter[S], order_id: int) -> None:
        waiters = self._by_order.get(order_id, {})
        waiters.pop(waiter, None)
        if not waiters:
            self._by_order.pop(order_id, None)
