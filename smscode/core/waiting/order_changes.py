"""The changes of orders that polls, single reads and webhooks show, for those who read all of them.

`KnownOrders` finds each change once for all readers of a client; a `ChangeReader` keeps what its own consumer
has not taken yet. Neither waits nor sends: `SharedPoll` feeds them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from operator import attrgetter
from typing import Any, Generic, TypeAlias

import attrs
from attrs import frozen

from ..._serialization import Model
from ...models import ActiveOrder, Order, OrderStatus, Sms
from ..order_status import has_ended, is_over
from .codes import compare_times, has_old_code, is_newer
from .sms_wait import Participant, S

MOST_ORDERS = 10_000
"""How many ends a consumer can leave untaken, and how many orders can be known by webhooks alone."""

SeenOrder: TypeAlias = Order | ActiveOrder

_UNCOUNTED = ("otp_received_at",)  # a webhook has its own time, and the service's comes with a message
_FIELDS = tuple(field.name for field in attrs.fields(ActiveOrder) if field.name not in _UNCOUNTED)
_counted = attrgetter(*_FIELDS)
_MESSAGE = ("otp_code", "otp_message", "sms_revision", "otp_received_at")
_OF_EVENTS = tuple(field.name for field in attrs.fields(ActiveOrder) if field.name not in _MESSAGE)


@frozen(kw_only=True, eq=False, repr=False)
class OrderChange(Model):
    """An order that is new, has changed or has ended, as `orders.changes` yields it.

    ``order`` is the order as it was seen last, ``previous`` as it was in the change before; that is None for
    the first one. ``status`` is that of ``order``. ``sms`` is the message if one came since ``previous``.

    ``ended`` is True for the last change of an order. ``problem`` says why its end could not be read, if the
    account does not have the order any more, or the service refuses to show it; ``order`` and ``status`` are
    then as they were seen last. Normally it is None.
    """

    order_id: int
    status: OrderStatus | str
    sms: Sms | None = None
    ended: bool = False
    order: Order | ActiveOrder
    previous: Order | ActiveOrder | None = None
    problem: str | None = None


@frozen
class _Untaken:
    """The newest state of an order that a consumer has not taken."""

    order: SeenOrder
    ended: bool
    problem: str | None


class ChangeReader(Participant[S]):
    """A participant that reads the changes of all orders.

    Of each order it keeps the newest state until that is taken, and the state that was taken last. Of the
    ends that are not taken, the newest ``most`` are kept. ``begun`` is True once a poll has shown it the
    orders as they are. A change breaks off the reader's own poll, but after one that was broken off the next
    one is completed: many webhooks must not keep the polls from being answered.
    """

    def __init__(self, signal: S, most: int = MOST_ORDERS) -> None:
        self.begun: bool = False
        self.broke_off: bool = False
        self._most = most
        self._pending: dict[int, _Untaken] = {}  # in the order of the first change that was not taken
        self._ends: dict[int, None] = {}  # those among them that have ended, in the order of their ends
        self._taken: dict[int, SeenOrder] = {}
        super().__init__(signal, self._pending)

    def knows(self, order_id: int) -> bool:
        """Return True if this order was taken, or is pending."""
        return order_id in self._taken or order_id in self._pending

    def pending(self) -> tuple[int, ...]:
        """Return the orders that have changes to take, those that changed first at the beginning."""
        return tuple(self._pending)

    def push(self, order: SeenOrder, *, ended: bool = False, problem: str | None = None) -> None:
        """Keep the newest state of an order, unless it is the one that was taken last."""
        self._ends.pop(order.id, None)
        if not ended and _same(self._taken.get(order.id), order):
            self._pending.pop(order.id, None)
            return
        self._pending[order.id] = _Untaken(order, ended, problem)
        if ended:
            self._ends[order.id] = None
            if len(self._ends) > self._most:
                self.forget(next(iter(self._ends)))
        if not (self.polling and self.broke_off):
            self.broke_off = self.polling
            self.signal.wake()

    def take(self, order_id: int) -> OrderChange | None:
        """Return the newest change of an order; None if there is none any more."""
        seen = self._pending.pop(order_id, None)
        if seen is None:
            return None
        order, previous = seen.order, self._taken.get(order_id)
        if seen.ended:
            self.forget(order_id)
        else:
            self._taken[order_id] = order
        return OrderChange(
            order_id=order_id,
            status=order.status,
            sms=_new_message(order, previous),
            ended=seen.ended,
            order=order,
            previous=previous,
            problem=seen.problem,
        )

    def forget(self, order_id: int) -> None:
        """Drop all that is kept of an order."""
        for kept in (self._pending, self._ends, self._taken):
            kept.pop(order_id, None)


class KnownOrders(Generic[S]):
    """The newest known state of every order that has not ended, as long as there are ``readers``.

    ``live`` are these orders; one is None if only a row that could not be read is known of it. Of the orders
    that ended, the last ``most`` are remembered: what is heard of them later is older. An order is pushed to
    the readers before it is stored, so that an interrupt can repeat a change but never lose one.
    A garbage collection can end an abandoned reader in the middle of a method.
    """

    def __init__(self, most: int = MOST_ORDERS) -> None:
        self._most = most
        self.readers: dict[ChangeReader[S], None] = {}
        self.live: dict[int, SeenOrder | None] = {}
        self._ended: dict[int, None] = {}
        self._listed = 0  # orders in the last poll

    def add(self, reader: ChangeReader[S]) -> None:
        """Add a reader. It is shown the orders as they are by the next poll."""
        self._clear_unread()
        self.readers[reader] = None

    def remove(self, reader: ChangeReader[S]) -> None:
        """Remove a reader; with the last one, drop what is known."""
        self.readers.pop(reader, None)
        self._clear_unread()

    def _clear_unread(self) -> None:
        if not self.readers:
            self.live.clear()
            self._ended.clear()

    def polled(self, shown: Collection[int], unreadable: Collection[int]) -> None:
        """Store which orders a poll has shown, and which rows of it could not be read."""
        self._listed = len(shown) + len(unreadable)
        for order_id in unreadable:
            known = self.live.get(order_id)
            if known is not None:
                self._store(known)
            elif order_id not in self._ended:
                self.live[order_id] = None  # so that it is read by itself
        for reader in tuple(self.readers):
            reader.begun = True
        self.poll_ended()

    def poll_ended(self) -> None:
        """Store that a poll was answered or failed: a change may break off the next one."""
        for reader in tuple(self.readers):
            reader.broke_off = False

    def see(self, order: SeenOrder, date: datetime | None, said: Iterable[ActiveOrder]) -> None:
        """Update from an answer of this ``date``. The end of an order that is not known is ignored.

        ``said`` is what webhooks said of the order before, which counts if the order was not known.
        """
        if order.id in self._ended:
            return
        is_known, known = order.id in self.live, self.live.get(order.id)
        if has_ended(order, date):
            if is_known:
                self._end(_with_known_message(order, known))
            return
        self._store(known if known is not None and _is_outdated(order, known) else order)
        for state in () if is_known else said:
            self.see_event(state)

    def see_event(self, order: ActiveOrder) -> None:
        """Update from an order as a webhook describes it."""
        if order.id in self._ended:
            return
        known = self.live.get(order.id)
        merged: SeenOrder = order if known is None else _merged(known, order)
        if is_over(order.status):
            self._end(merged)
            return
        if order.id not in self.live and len(self.live) >= max(self._most, self._listed):
            self._drop(next(iter(self.live), order.id))
        self._store(merged)

    def fail(self, order_id: int, problem: str) -> None:
        """End an order that cannot be read any more. If it is seen again later, it is a new one."""
        known = self.live.get(order_id)
        if known is not None:
            for reader in tuple(self.readers):
                reader.push(known, ended=True, problem=problem)
        self.live.pop(order_id, None)

    def _store(self, order: SeenOrder) -> None:
        changed = not _same(self.live.get(order.id), order)
        for reader in tuple(self.readers):
            if changed or not reader.knows(order.id):
                reader.push(order)
        if self.readers:
            self.live[order.id] = order

    def _end(self, order: SeenOrder) -> None:
        for reader in tuple(self.readers):
            reader.push(order, ended=True)
        self._ended[order.id] = None
        self.live.pop(order.id, None)
        while len(self._ended) > self._most:
            self._ended.pop(next(iter(self._ended), order.id), None)

    def _drop(self, order_id: int) -> None:
        for reader in tuple(self.readers):
            reader.forget(order_id)
        self.live.pop(order_id, None)


def _same(one: SeenOrder | None, other: SeenOrder) -> bool:
    """Return True if two states of an order differ in nothing that counts as a change."""
    return one is not None and bool(_counted(one) == _counted(other))


def _message(order: SeenOrder) -> Sms | None:
    """Return the message that an order shows, without its time, None if it shows none."""
    if order.otp_code is None and order.otp_message is None:
        return None
    return Sms(order.id, order.otp_code, order.otp_message, order.sms_revision)


def _new_message(order: SeenOrder, previous: SeenOrder | None) -> Sms | None:
    """Return the message of an order if it is newer than the previous one.

    Times do not count: the service's is that of the first message, and a webhook has its own.
    """
    sms = _message(order)
    known = None if previous is None else _message(previous)
    if sms is None or (known is not None and not is_newer(sms, known, of_event=False)):
        return None
    code = None if known is not None and has_old_code(sms, known) else sms.code
    return Sms(sms.order_id, code, sms.text, sms.revision, order.otp_received_at)


def _is_outdated(order: SeenOrder, known: SeenOrder) -> bool:
    """Return True if an answer shows an older state than the known one.

    The service never takes a message back, so an order without one is as it was before.
    """
    if order.sms_revision is not None and known.sms_revision is not None:
        return order.sms_revision < known.sms_revision
    return _message(order) is None and _message(known) is not None


def _with_known_message(order: SeenOrder, known: SeenOrder | None) -> SeenOrder:
    """Return an order with the known message, if the order shows an older state."""
    if known is None or not _is_outdated(order, known):
        return order
    return attrs.evolve(order, **_parts(known, _MESSAGE))


def _merged(known: SeenOrder, event: ActiveOrder) -> SeenOrder:
    """Return the known order as a webhook changes it; itself if the webhook is older.

    A webhook does not say everything of an order, and the one of its end not which message was the last.
    """
    sms, before = _message(event), _message(known)
    newer = sms is not None and (before is None or is_newer(sms, before, of_event=True))
    if sms is not None and (sms.revision is None or known.sms_revision is None):
        newer = newer and compare_times(event.otp_received_at, known.otp_received_at) >= 0
    if not newer and not is_over(event.status):
        return known
    changes = {name: value for name, value in _parts(event, _OF_EVENTS).items() if value is not None}
    if newer:
        changes |= _parts(event, _MESSAGE)
        changes["otp_received_at"] = known.otp_received_at or event.otp_received_at
    return attrs.evolve(known, **changes)


def _parts(order: SeenOrder, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(order, name) for name in names}
