"""How orders end: when one can be cancelled, what a lost answer was, how a rental gives its number back."""

from __future__ import annotations

from collections.abc import Generator
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal, TypeAlias, TypedDict, cast

from attrs import define, evolve, field, frozen

from ..errors import (
    CancelTooEarlyError,
    ConflictError,
    NotFoundError,
    ProviderError,
    RateLimitError,
    SmscodeError,
)
from ..models import (
    ActiveOrder,
    Balance,
    CanceledOrder,
    CreatedOrder,
    FinishedOrder,
    Order,
    OrderStatus,
    Sms,
)
from .api import balance, orders
from .api.call import Answer, Call
from .order_status import has_ended, known_status
from .waiting.sms_wait import SmsWait

_CANCEL_WINDOW = timedelta(minutes=2)  # what the documentation states; newer servers state the time itself
_CANCEL_MARGIN = 1.0  # the service's times are whole seconds


def seconds_until_cancelable(order: Order, now: datetime) -> float:
    """Return the seconds until the order can be cancelled; ``now`` is the service's own time."""
    # In seconds, not as a date: the service may send one to which nothing can be added.
    if order.cancel_available_at is not None:
        left = order.cancel_available_at - now
    else:
        left = (order.created_at or now) - now + _CANCEL_WINDOW
    return max(left.total_seconds(), 0.0) + _CANCEL_MARGIN


def name_time(error: CancelTooEarlyError, order: Order, now: datetime) -> float:
    """Return the seconds until the order can be cancelled, and put them into the error."""
    pause = seconds_until_cancelable(order, now)
    since = "" if order.cancel_available_at is None else f", from {order.cancel_available_at.isoformat()} on"
    error.retry_after = pause
    error.message = f"{error.message.rstrip('.')}. Order {order.id} can be cancelled in {pause:.0f} s{since}."
    return pause


_TARGETS = {
    orders.CANCEL.name: OrderStatus.CANCELED,
    orders.FINISH.name: OrderStatus.COMPLETED,
}

SettledState: TypeAlias = Literal["done", "waiting", "ended"]


def reads_to_settle(call: Call[object]) -> tuple[Call[Order], Call[Balance] | None]:
    """Return the calls that show what became of a cancel or finish.

    A cancel's answer states the balance, so that has to be read, too.
    """
    order_id = call.subject
    assert order_id is not None
    return orders.get(order_id), balance.get() if call.endpoint is orders.CANCEL else None


def settled_state(call: Call[object], order: Order, now: datetime | None) -> SettledState:
    """Return "done" if the call was carried out, "ended" if the order has ended otherwise at ``now``."""
    if known_status(order.status) == _TARGETS[call.endpoint.name]:
        return "done"
    return "ended" if has_ended(order, now) else "waiting"


def lost_answer(
    found: Answer[Order], account: Answer[Balance] | None
) -> Answer[CanceledOrder | FinishedOrder]:
    """Make the answer that was lost, out of the order and the balance as they are now."""
    order = found.data
    if account is None:
        data: CanceledOrder | FinishedOrder = FinishedOrder(order.id, order.status)
    else:
        data = CanceledOrder(order.id, order.status, order.amount, account.data.balance)
    return evolve(cast("Answer[Any]", found), data=data)


def ended_otherwise(order: Order, error: SmscodeError) -> ConflictError:
    """Make the error for an order that ended otherwise; the order is attached."""
    ended = ConflictError(
        f"The order has ended as {order.status}.",
        code="CONFLICT",
        status_code=error.status_code,
        request_id=error.request_id,
        outcome="rejected",
        attempts=error.attempts,
    )
    ended.trouble, ended.order = "CONFLICT", order
    return ended


ReleaseStep: TypeAlias = Literal["cancel", "finish", "read", "look"]
"""What to send: cancel or finish the order, read it, or look it up among the active orders."""


class Released(StrEnum):
    """What became of a rental's number at the end of its block."""

    FINISHED = "finished"
    """An SMS came; the order was finished."""
    CANCELED = "canceled"
    """No SMS came; the order was cancelled and refunded."""
    LEFT_TO_EXPIRE = "left_to_expire"
    """The service does not allow a cancel yet. The order ends by itself, refunded if no SMS comes."""
    ALREADY_RELEASED = "already_released"
    """The order had ended before."""


@frozen
class ReleaseEnding:
    """How giving a number back ended: ``released``, or None and the ``error`` that prevented it."""

    released: Released | None
    error: SmscodeError | None = None


@frozen
class ReleaseOutcome:
    """How `orders.cancel_many` ended for one order: with what was ``canceled``, or with the ``error``."""

    order_id: int
    canceled: CanceledOrder | None = None
    error: SmscodeError | None = None


class After(TypedDict, total=False):
    """What is known of an order's last message, as a `SmsWait` for a newer one takes it."""

    after_revision: int | None
    after_code: str | None
    after_text: str | None
    after_time: datetime | None


@define
class KnownMessages:
    """What a rental knows of its order.

    ``sms`` is the last message, and ``code`` the last code, also where a message without one came since.
    ``received`` is True as soon as any message came, also one whose text is not known. ``asked_again`` is
    True after a resend until its SMS is there. ``tried`` holds the steps that may have been carried out,
    although their answer was lost: what ended then, ended by this rental.
    """

    sms: Sms | None = None
    code: str | None = None
    revision: int | None = None
    received: bool = False
    asked_again: bool = False
    ended: bool = False
    status: OrderStatus | None = None
    tried: set[ReleaseStep] = field(factory=set[ReleaseStep])

    def take(self, sms: Sms) -> None:
        """Store the message that a wait returned."""
        self.code = sms.code or self.code
        self.sms, self.received, self.asked_again = sms, True, False

    def after(self) -> After:
        """Return what a newer message has to differ from."""
        if self.sms is None:
            return {"after_revision": self.revision}
        return {
            "after_revision": self.sms.revision,
            "after_code": self.code,
            "after_text": self.sms.text,
            "after_time": self.sms.received_at,
        }

    def see(self, order: CreatedOrder | ActiveOrder | Order, now: datetime | None = None) -> None:
        """Store what the order shows at ``now``, by the service's date; a known message changes nothing.

        The message is stored first, so that an interrupt in here leaves no order that seems to be over
        and done with although its message was not taken.
        """
        if isinstance(order, CreatedOrder):
            order = _as_active(order)
        known = self.after() if self.sms is not None else After()
        watch = SmsWait(order.id, needs_code=False, **known)
        watch.see(order)
        if watch.sms is not None:
            self.take(watch.sms)
        self.revision = self.revision if order.sms_revision is None else order.sms_revision
        if order.status == OrderStatus.OTP_RECEIVED or order.otp_received_at or order.sms_revision:
            self.received = True
        if has_ended(order, now):
            self.close(known_status(order.status))
        if self.received and order.status == OrderStatus.ACTIVE:
            self.asked_again = True  # a resend is what makes such an order active again

    def close(self, status: OrderStatus | None) -> None:
        """Store that the order has ended; ``status`` is None where only that much is known."""
        self.ended, self.status = True, status

    def copy(self) -> KnownMessages:
        """Return the same knowledge for another rental of the order."""
        return evolve(self, tried=set(self.tried))

    def ending(self) -> ReleaseEnding:
        """Return how the order ended: by this rental, or before."""
        if self.status is OrderStatus.CANCELED and "cancel" in self.tried:
            return ReleaseEnding(Released.CANCELED)
        if self.status is OrderStatus.COMPLETED and "finish" in self.tried:
            return ReleaseEnding(Released.FINISHED)
        return ReleaseEnding(Released.ALREADY_RELEASED)


Steps: TypeAlias = Generator[ReleaseStep, SmscodeError | None, ReleaseEnding]

# A service that refuses a cancel for one of these reasons may do so because an SMS came, or before it
# looks for one: which check comes first is not documented.
_MAY_HIDE_AN_SMS = (ConflictError, CancelTooEarlyError, ProviderError, RateLimitError)


def giving_back(known: KnownMessages) -> Steps:
    """Yield each step to send, and return how it ended.

    The reply to a step is None if it succeeded, else its error. What a "read" or "look" showed is stored
    in ``known`` by the driver. An order is finished only if an SMS came, and only after its SMS was
    read: where reading fails it stays open, because its code can still be had.
    """
    codeless = known.sms is None or known.sms.code is None
    if known.ended and known.status is OrderStatus.COMPLETED and codeless:
        yield from _reading(known)  # it ended with an SMS, of which whoever said so did not tell
    elif known.received and (known.asked_again or codeless) and not known.ended:
        failure = yield from _reading(known)
        if failure is not None and (known.asked_again or known.sms is None) and not known.ended:
            return ReleaseEnding(None, failure)
    if not known.received and not known.ended:
        refusal, unread = yield from _trying(known, "cancel", OrderStatus.CANCELED)
        if isinstance(refusal, CancelTooEarlyError) and not known.received and not known.ended:
            return ReleaseEnding(Released.LEFT_TO_EXPIRE)
        if not known.ended and (unread or not known.received):
            return ReleaseEnding(None, refusal)
    if not known.ended:
        refusal, _ = yield from _trying(known, "finish", OrderStatus.COMPLETED)
        if not known.ended:
            return ReleaseEnding(None, refusal)
    return known.ending()


def _trying(
    known: KnownMessages, step: ReleaseStep, status: OrderStatus
) -> Generator[ReleaseStep, SmscodeError | None, tuple[SmscodeError | None, bool]]:
    """Try a step and learn why it was refused; return the refusal, and whether reading failed then.

    The error of a failed reading is the refusal's ``__cause__``.
    """
    tried_before = step in known.tried  # by an attempt that was interrupted
    known.tried.add(step)
    refusal, unread = (yield step), False
    if refusal is not None and refusal.outcome != "unknown" and not tried_before:
        known.tried.discard(step)
    if refusal is None:
        known.close(status)
    elif isinstance(refusal, NotFoundError):
        known.close(None)
    elif isinstance(refusal, ConflictError) and isinstance(refusal.order, Order):
        known.see(refusal.order)
    elif isinstance(refusal, _MAY_HIDE_AN_SMS):
        failure = yield from _reading(known)
        if failure is not None:
            refusal.__cause__, unread = failure, True
    return refusal, unread


def _reading(known: KnownMessages) -> Generator[ReleaseStep, SmscodeError | None, SmscodeError | None]:
    """Read the order; return the error if that fails.

    The order of an older server has no text, so that of a message without a code is looked up among the
    active orders.
    """
    failure = yield "read"
    if failure is None and known.received and known.sms is None and not known.ended:
        failure = yield "look"
    if isinstance(failure, NotFoundError):
        known.close(None)
        return None
    return failure


def _as_active(order: CreatedOrder) -> ActiveOrder:
    return ActiveOrder(
        id=order.id,
        status=order.status or OrderStatus.ACTIVE,
        otp_code=order.otp_code,
        otp_message=None,
        otp_received_at=order.otp_received_at,
        expires_at=order.expires_at,
        failed_reason=order.failed_reason,
    )
