"""Who waits for the SMS of which order: the board that one poll serves.

The board holds the waits of a client and when the next poll is due. It is told what a poll or a webhook
showed and tells which orders have to be read one by one. It neither waits nor sends.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

import attrs
from attrs import frozen

from ..errors import (
    FxRateUnavailableError,
    InternalError,
    InvalidResponseError,
    NetworkError,
    NotFoundError,
    OrderTerminalError,
    OtpTimeoutError,
    RateLimitError,
    ServiceUnavailableError,
    SmscodeError,
)
from ..models import ActiveOrder, Order, OrderStatus, Sms
from ..webhooks import OrderEvent
from . import arguments
from .inbox import Inbox, order_of


class Signal(Protocol):
    """Something a wait can be woken through, from any thread; twice is allowed."""

    def wake(self) -> object:
        """Wake whoever waits."""
        ...


S = TypeVar("S", bound=Signal)

_PASSING = (
    NetworkError,
    RateLimitError,
    InternalError,
    ServiceUnavailableError,
    FxRateUnavailableError,
)


def _letters_and_digits(text: str) -> str:
    return "".join(filter(str.isalnum, text)).casefold()


def _has_ended(order: ActiveOrder | Order) -> bool:
    return isinstance(order.status, OrderStatus) and order.status.terminal


def rides_out(error: SmscodeError) -> bool:
    """Tell whether a poll that failed like this is simply tried again at its next time."""
    if isinstance(error, InvalidResponseError):
        return (error.status_code or 0) >= 500
    return isinstance(error, _PASSING)


@frozen
class OtpOutcome:
    """How the wait for one order's code ended: with the ``sms``, or with the ``error``."""

    order_id: int
    sms: Sms | None = None
    error: SmscodeError | None = None


class Watch(Generic[S]):
    """One wait for one order's SMS, and how it ended."""

    def __init__(
        self,
        order_id: int,
        *,
        needs_code: bool,
        after_revision: int | None,
        after_code: str | None,
        signal: S,
    ) -> None:
        self.order_id: int = arguments.identity("order_id", order_id)
        self.needs_code = needs_code
        self.after_revision: int | None = (
            None
            if after_revision is None
            else arguments.integer("after_revision", after_revision, 0, 2**63 - 1)
        )
        self.after_code: str | None = (
            None if after_code is None else arguments.text("after_code", after_code, 64)
        )
        self.signal = signal
        self.sms: Sms | None = None
        self.error: SmscodeError | None = None
        self.text: str | None = None
        self.order: ActiveOrder | Order | None = None

    @property
    def ended(self) -> bool:
        """Whether the SMS came, or never will."""
        return self.sms is not None or self.error is not None

    def result(self) -> Sms:
        """Give the SMS of a wait that ended, or raise why there is none."""
        if self.error is not None:
            raise self.error
        assert self.sms is not None
        return self.sms

    def see(self, order: ActiveOrder | Order) -> None:
        """Look at the order as it is now."""
        if self.ended or self._is_past(order):
            return
        self.order = order
        sms = Sms(order.id, order.otp_code, order.otp_message, order.sms_revision, order.otp_received_at)
        if self._is_new(sms):
            if self._has_old_code(sms):
                sms = attrs.evolve(sms, code=None)
            if sms.code is not None or not self.needs_code:
                self.sms = sms
                return
            self.text = sms.text
        if _has_ended(order):
            error = OrderTerminalError(
                f"Order {order.id} ended as {order.status} without the SMS waited for."
            )
            error.order_id, error.status, error.order = order.id, str(order.status), order
            self.error = error

    def hear(self, order: ActiveOrder) -> None:
        """Look at the order as a webhook describes it.

        The events that end an order carry no revision. Where the caller tells messages apart by it, the
        code beside such an end may be an old one; then the next poll, which reads the order, tells.
        """
        told_apart = self.after_revision is None or order.sms_revision is not None
        if _has_ended(order) and not told_apart:
            empty = order.otp_code is None and order.otp_message is None
            other_code = self.after_code is not None and order.otp_code not in (None, self.after_code)
            if not empty and not other_code:
                return
        self.see(order)

    def _is_past(self, order: ActiveOrder | Order) -> bool:
        """Tell whether this was overtaken: a webhook can be faster than a poll, or slower."""
        if self.order is None or order.sms_revision is None or self.order.sms_revision is None:
            return False
        return order.sms_revision < self.order.sms_revision and not _has_ended(order)

    def _is_new(self, sms: Sms) -> bool:
        """Tell whether a message is newer than what the caller has seen.

        A server that counts messages (``sms_revision``) is believed; without that, newer can only
        mean a code that is not the old one.
        """
        if sms.code is None and sms.text is None:
            return False
        if sms.revision is not None and self.after_revision is not None:
            return sms.revision > self.after_revision
        return self.after_code is None or sms.code != self.after_code

    def _has_old_code(self, sms: Sms) -> bool:
        """Tell whether the code beside a newer message is that of an older one.

        The service keeps the last code it found when a message without one arrives, so a code that the
        caller may have seen counts only if the newer text holds it; the same digits can come twice.
        """
        if self.after_revision is None or sms.code is None or sms.text is None:
            return False
        if self.after_code is not None and sms.code != self.after_code:
            return False
        return _letters_and_digits(sms.code) not in _letters_and_digits(sms.text)

    def timed_out(self) -> OtpTimeoutError:
        """Make the error for a wait that its caller ended."""
        seen = " A message without a code came." if self.text is not None else ""
        error = OtpTimeoutError(f"No SMS for order {self.order_id} in time.{seen}")
        error.order_id, error.text, error.order = self.order_id, self.text, self.order
        return error


class WatchBoard(Generic[S]):
    """All waits of a client: one of them leads, polling for all; the others follow.

    ``interval`` is the seconds between polls. The time of the next poll belongs to the board: when
    the lead passes on, the new leader polls no sooner.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._watches: dict[Watch[S], None] = {}  # a set that keeps the order of joining
        self._leader: Watch[S] | None = None
        self._due = float("-inf")
        self._inbox = Inbox()

    def join(self, watch: Watch[S]) -> None:
        """Add a wait, and tell it what webhooks said before it came."""
        self._watches[watch] = None
        for said in self._inbox.about(watch.order_id):
            watch.hear(said)

    def leave(self, watch: Watch[S]) -> None:
        """Remove a wait; if nobody leads now, wake another one to lead.

        That includes the wait that was woken to lead and left before it did.
        """
        del self._watches[watch]
        if self._leader is watch:
            self._leader = None
        if self._leader is None:
            for follower in self._watches:
                if not follower.ended:
                    follower.signal.wake()
                    break

    def leads(self, watch: Watch[S]) -> bool:
        """Tell whether this wait is the one to poll; it becomes that if nobody is."""
        if self._leader is None:
            self._leader = watch
        return self._leader is watch

    def until_due(self, now: float) -> float:
        """Give the seconds until the next poll, at least 0."""
        return max(self._due - now, 0.0)

    def polling(self, now: float) -> frozenset[int]:
        """Begin a poll: set when the next is due, and give the orders it speaks for.

        An order that is joined while the poll is on its way is not among them, so its absence
        from the answer says nothing.
        """
        self._due = now + self._interval
        return frozenset(watch.order_id for watch in self._watches if not watch.ended)

    def postpone(self, now: float, seconds: float) -> None:
        """Poll no sooner than in so many seconds: the service asked for that."""
        self._due = max(self._due, now + seconds)

    def feed(self, orders: Iterable[ActiveOrder | Order], asked: frozenset[int]) -> list[int]:
        """Show the waits what a poll brought; give the asked orders that it did not show."""
        shown = {order.id: order for order in orders}
        for one in shown.values():
            self._inbox.compare(one)
        for watch in self._watches:
            order = shown.get(watch.order_id)
            if order is not None:
                watch.see(order)
                if watch.ended:
                    watch.signal.wake()
        waited = {watch.order_id for watch in self._watches if not watch.ended}
        return sorted((asked & waited) - shown.keys())

    def notify(self, event: OrderEvent) -> None:
        """Show the waits what a webhook said, and keep it for those that come later.

        What was said before, or is older than that, is ignored.
        """
        if not self._inbox.add(event):
            return
        order = order_of(event)
        for watch in self._watches:
            if watch.order_id == event.order_id:
                watch.hear(order)
                if watch.ended:
                    watch.signal.wake()

    def missing(self, order_id: int, error: NotFoundError) -> None:
        """End the waits for an order that the account does not have."""
        for watch in self._watches:
            if watch.order_id == order_id and not watch.ended:
                watch.error = error
                watch.signal.wake()
