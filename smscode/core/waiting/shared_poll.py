"""The poll that all waits and all readers of changes of a client share: when to poll, or read an order.

`SharedPoll` gets the results of polls, single reads and webhooks, and decides which orders have to be read
one by one, and when. It neither waits nor sends.

Invariants, which hold after every method, and after the next one if one was interrupted:

1. At most one participant leads, and only the leader polls. If none leads, a follower that could was woken.
2. A wait is in ``Waiter.open`` until it has ended, then in ``Waiter.ended`` until its waiter collects it. It
   is added to the latter first, so that an interrupt can repeat a result but never lose one. In the same way
   a change is kept by every `ChangeReader` before `KnownOrders` stores the order.
3. A waiter is registered under an order exactly as long as it has an open wait for it. An order is known
   from when it is seen until it ends, as long as there is a reader of changes.
4. One order is read by at most one participant at a time. It is absent, which is why it is read, only while
   it is waited for or known.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Generic

from attrs import define

from ...errors import SmscodeError
from ...models import ActiveOrder, Order
from ...webhook_events import OrderEvent
from .order_changes import ChangeReader, KnownOrders
from .sms_wait import LINGER, Participant, S, SmsWait, Waiter
from .webhook_inbox import WebhookInbox, order_of

READS_AT_ONCE = 10
"""How many orders one participant reads at the same time."""

_LONGEST_LINGER = 1.0  # seconds that a reader of changes leaves its reads to end, if some were broken off
_LONGEST_PAUSE = 300.0  # seconds by which an answer can postpone the next poll at most
_LONGEST_DELAY = 10  # intervals between two reads of an order that the polls do not show
_SPREAD = 0.618  # the golden ratio: times the id, it spreads the reads of neighbouring orders


@define
class _Absence:
    """An order that the polls do not show: when it is read next, and the seconds until the read after it."""

    due: float
    delay: float


class SharedPoll(Generic[S]):
    """All participants of a client: one of them leads and polls for all; the others follow.

    ``interval`` is the number of seconds between polls; it also applies when another one takes the lead.
    At most ``reads_at_once`` orders are read at a time, so that reads without an answer leave connections
    for the polls. Call every method under the same lock. ``now`` is in monotonic seconds.
    """

    def __init__(self, interval: float, reads_at_once: int = READS_AT_ONCE) -> None:
        self._interval = interval
        self._reads_at_once = reads_at_once
        self._participants: dict[Participant[S], None] = {}  # in the order of joining
        self._by_order: dict[int, dict[Waiter[S], None]] = {}
        self._absent: dict[int, _Absence] = {}
        self._reading: dict[int, Participant[S]] = {}
        # Participants that have orders to read as soon as another read ends.
        self._queue: dict[Participant[S], None] = {}
        self._leader: Participant[S] | None = None
        self._due = float("-inf")
        self._inbox = WebhookInbox()
        self._known: KnownOrders[S] = KnownOrders()
        self.failure: SmscodeError | None = None
        """The error of the last poll, None if it succeeded."""

    def join(self, participant: Participant[S]) -> None:
        """Add a resting participant, and update its waits from webhooks that arrived before."""
        self._participants[participant] = None
        if not isinstance(participant, Waiter):
            assert isinstance(participant, ChangeReader)
            self._known.add(participant)
            return
        for sms_wait in tuple(participant.open.values()):
            self._by_order.setdefault(sms_wait.order_id, {})[participant] = None
            for said in self._inbox.about(sms_wait.order_id):
                sms_wait.see_event(said)
            self._settle(participant, sms_wait)

    def leave(self, participant: Participant[S]) -> None:
        """Remove a participant, whatever it was doing. Calling it again completes an interrupted removal."""
        self._participants.pop(participant, None)
        if isinstance(participant, Waiter):
            for order_id in participant.open:
                self._forget(participant, order_id)
        else:
            assert isinstance(participant, ChangeReader)
            self._known.remove(participant)
            for order_id in tuple(self._absent):
                self._prune(order_id)
        self.rest(participant)

    def rest(self, participant: Participant[S]) -> None:
        """Mark a participant as resting, which ends its reads. If none leads now, wake a follower to lead.

        This also passes the lead on if it was woken to lead and leaves before it does.
        """
        participant.resting, participant.following, participant.polling = True, False, False
        self._queue.pop(participant, None)
        if isinstance(participant, ChangeReader):
            # Its results have no end, so that a short time could break off its reads for ever.
            longer = min(2 * participant.linger, _LONGEST_LINGER)
            participant.linger = longer if participant.reading else LINGER
        for order_id in tuple(participant.reading):
            self.end_reading(participant, order_id)
            if order_id in self._absent:  # the read did not end: repeat it
                self._absent[order_id].due = float("-inf")
                participant.to_read[order_id] = None
        if self._leader is participant:
            self._leader = None
        if self._leader is None:
            for follower in tuple(self._participants):
                if follower.following and not (follower.ready or follower.failure):
                    follower.signal.wake()
                    break

    def leads(self, participant: Participant[S]) -> bool:
        """Return True if this participant polls for all, and make it the leader if there is none."""
        if self._leader is None:
            self._leader = participant
        participant.following = self._leader is not participant
        return not participant.following

    def until_due(self, now: float) -> float:
        """Return the seconds until the next poll, at least 0."""
        return max(self._due - now, 0.0)

    def begin_poll(self, now: float) -> frozenset[int]:
        """Start a poll: set when the next is due, and return the orders that its answer covers.

        An order that is added while the poll is under way is not among them, so its absence from the answer
        means nothing.
        """
        self._due = now + self._interval
        return frozenset((*self._by_order, *self._known.live))

    def postpone(self, now: float, error: SmscodeError) -> None:
        """Store a poll's transient failure, and postpone the next poll as the service asks, within bounds."""
        self.failure = error
        self._due = max(self._due, now + min(error.retry_after or 0.0, _LONGEST_PAUSE))
        self._known.poll_ended()

    def feed(
        self,
        orders: Iterable[ActiveOrder],
        asked: frozenset[int],
        now: float,
        date: datetime | None = None,
        unreadable: Mapping[int, SmscodeError] | None = None,
    ) -> None:
        """Update all participants from a poll. Orders that were ``asked`` for but are missing will be read.

        ``date`` is the date of the answer, ``unreadable`` the errors of rows that could not be decoded.
        """
        self.failure = None
        shown = {order.id: order for order in orders}
        for order in shown.values():
            self._absent.pop(order.id, None)
            self.show(order, date)
        for order_id, error in (unreadable or {}).items():
            self.read_failed(order_id, error)
        if self._known.readers:
            self._known.polled(shown, unreadable or {})
        for order_id in sorted(asked - shown.keys() - self._reading.keys()):
            if self._is_wanted(order_id):  # the wait or the order may have ended meanwhile
                absence = self._absent.setdefault(order_id, _Absence(now, 2 * self._interval))
                if absence.due <= now:
                    self._ask_to_read(order_id)

    def _ask_to_read(self, order_id: int) -> None:
        readers = self._known.readers if order_id in self._known.live else ()
        for participant in (*self._by_order.get(order_id, ()), *readers):
            if not participant.resting:  # one read serves all
                participant.to_read[order_id] = None
                self._wake_to_read(participant)
                return

    @staticmethod
    def _wake_to_read(participant: Participant[S]) -> None:
        if not participant.polling:  # waking would cancel the poll; after it reads are looked for anyway
            participant.signal.wake()

    def show(self, order: ActiveOrder | Order, date: datetime | None = None) -> None:
        """Update the participants for an order from an answer of this ``date``."""
        waits = self._waits_for(order.id)
        self._inbox.compare(order, date, watched=bool(waits or self._known.readers))
        for waiter, sms_wait in waits:
            sms_wait.see(order, date)
            self._settle(waiter, sms_wait)
        if self._known.readers:
            self._known.see(order, date, self._inbox.about(order.id))
            self._prune(order.id)

    def notify(self, event: OrderEvent) -> None:
        """Update all participants from a webhook, and keep it for waits that begin later.

        Events that came before, and older ones, are ignored.
        """
        if not self._inbox.add(event):
            return
        order = order_of(event)
        for waiter, sms_wait in self._waits_for(event.order_id):
            sms_wait.see_event(order)
            self._settle(waiter, sms_wait)
        if self._known.readers:
            self._known.see_event(order)
            self._prune(order.id)

    def begin_reading(self, participant: Participant[S], now: float) -> list[int]:
        """Return the orders that this participant must read now, a few at once, while it polls or waits.

        The time until an order is read again doubles with each read: if the service's list of active orders
        lags behind, that must not cost one read per order and poll.
        """
        participant.following = False
        participant.to_read = {
            one: None
            for one in participant.to_read
            if participant.wants(one) and one in self._absent and one not in self._reading
        }
        free = min(READS_AT_ONCE - len(participant.reading), self._reads_at_once - len(self._reading))
        reads = list(participant.to_read)[:free]
        for order_id in reads:
            del participant.to_read[order_id]
            participant.reading[order_id] = None
            self._reading[order_id] = participant
            absence = self._absent[order_id]
            absence.due = now + absence.delay * (1 + order_id * _SPREAD % 1 / 2)
            absence.delay = min(2 * absence.delay, _LONGEST_DELAY * self._interval)
        if reads:
            participant.read_at = now
        if participant.to_read:
            self._queue[participant] = None
        return reads

    def linger(self, participant: Participant[S], now: float) -> float:
        """Return for how many seconds a participant with a result continues its reads before it rests.

        Resting cancels them, so orders that leave the list together would be read again for each result.
        """
        if not any(map(participant.wants, participant.reading)):
            return 0.0
        return max(participant.read_at + participant.linger - now, 0.0)

    def end_reading(self, participant: Participant[S], order_id: int) -> None:
        """Free the place of a read that ended or was given up, and wake the next one with a read to do."""
        participant.reading.pop(order_id, None)
        if self._reading.get(order_id) is participant:
            del self._reading[order_id]
        self._wake_to_read(participant)
        for following in tuple(self._queue)[:1]:
            del self._queue[following]
            self._wake_to_read(following)

    def read_failed(self, order_id: int, error: SmscodeError) -> None:
        """Store that the last read of an order failed with a transient error."""
        for _, sms_wait in self._waits_for(order_id):
            sms_wait.failure = error

    def missing(self, order_id: int, error: SmscodeError) -> None:
        """End all waits for an order that the account does not have, and the order for readers."""
        for waiter in tuple(self._by_order.get(order_id, ())):
            self.unreadable(waiter, order_id, error)
        self._known.fail(order_id, error.message)
        self._prune(order_id)

    def unreadable(self, participant: Participant[S], order_id: int, error: SmscodeError) -> None:
        """End a waiter's wait for an order with a final error of its read, or the order for all readers."""
        if isinstance(participant, Waiter):
            sms_wait = participant.open.get(order_id)
            if sms_wait is not None:
                sms_wait.error = error
                self._settle(participant, sms_wait)
        else:
            self._known.fail(order_id, error.message)
            self._prune(order_id)

    def fail(self, error: SmscodeError) -> None:
        """End all waits and readers with a final error that concerns them all. Each gets a copy of it."""
        for participant in tuple(self._participants):
            if not (participant.resting or participant.ready):
                participant.failure = copy.copy(error)
                participant.signal.wake()

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
            if order_id not in self._known.live:
                self._absent.pop(order_id, None)

    def _is_wanted(self, order_id: int) -> bool:
        return order_id in self._by_order or order_id in self._known.live

    def _prune(self, order_id: int) -> None:
        """Forget that an order is absent if it is not wanted any more."""
        if not self._is_wanted(order_id):
            self._absent.pop(order_id, None)
