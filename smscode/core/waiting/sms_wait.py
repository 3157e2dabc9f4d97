"""What a wait for one order's SMS makes of what is seen of the order, and how it ends."""

from __future__ import annotations

import attrs
from attrs import frozen

from ...errors import (
    FxRateUnavailableError,
    InternalError,
    InvalidResponseError,
    NetworkError,
    OrderTerminalError,
    OtpTimeoutError,
    RateLimitError,
    ServiceUnavailableError,
    SmscodeError,
)
from ...models import ActiveOrder, Order, OrderStatus, Sms
from ..api import arguments

_PASSING = (
    NetworkError,
    RateLimitError,
    InternalError,
    ServiceUnavailableError,
    FxRateUnavailableError,
)


def _letters_and_digits(text: str) -> str:
    return "".join(filter(str.isalnum, text)).casefold()


_ACTIVE = OrderStatus.ACTIVE  # an enumeration's member is slow to look up


def _has_ended(order: ActiveOrder | Order) -> bool:
    status = order.status
    return status is not _ACTIVE and isinstance(status, OrderStatus) and status.terminal


def rides_out(error: SmscodeError) -> bool:
    """Return True if a poll that failed like this is simply tried again at its next time."""
    if isinstance(error, InvalidResponseError):
        return (error.status_code or 0) >= 500
    return isinstance(error, _PASSING)


@frozen
class OtpOutcome:
    """How the wait for one order's code ended: with the ``sms``, or with the ``error``."""

    order_id: int
    sms: Sms | None = None
    error: SmscodeError | None = None


class SmsWait:
    """One wait for one order's SMS, and how it ended."""

    def __init__(
        self,
        order_id: int,
        *,
        needs_code: bool,
        after_revision: int | None,
        after_code: str | None,
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
        self.sms: Sms | None = None
        self.error: SmscodeError | None = None
        self.text: str | None = None
        self.order: ActiveOrder | Order | None = None
        self.settling = False  # whether somebody has begun to tell the waiter that it ended

    @property
    def ended(self) -> bool:
        """Whether the SMS came, or never will."""
        return self.sms is not None or self.error is not None

    def result(self) -> Sms:
        """Return the SMS of a wait that ended, or raise why there is none."""
        if self.error is not None:
            raise self.error
        assert self.sms is not None
        return self.sms

    def see(self, order: ActiveOrder | Order) -> None:
        """Look at the order as it is now."""
        if self.ended or self._is_past(order):
            return
        self.order = order
        if order.otp_code is None and order.otp_message is None:
            self._end_with(order)
            return
        sms = Sms(order.id, order.otp_code, order.otp_message, order.sms_revision, order.otp_received_at)
        if self._is_new(sms):
            if self._has_old_code(sms):
                sms = attrs.evolve(sms, code=None)
            if sms.code is not None or not self.needs_code:
                self.sms = sms
                return
            self.text = sms.text
        self._end_with(order)

    def _end_with(self, order: ActiveOrder | Order) -> None:
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
        """Return True if this was overtaken: a webhook can be faster than a poll, or slower."""
        if self.order is None or order.sms_revision is None or self.order.sms_revision is None:
            return False
        return order.sms_revision < self.order.sms_revision and not _has_ended(order)

    def _is_new(self, sms: Sms) -> bool:
        """Return True if a message is newer than what the caller has seen.

        A server that counts messages (``sms_revision``) is believed; without that, newer can only
        mean a code that is not the old one.
        """
        if sms.revision is not None and self.after_revision is not None:
            return sms.revision > self.after_revision
        return self.after_code is None or sms.code != self.after_code

    def _has_old_code(self, sms: Sms) -> bool:
        """Return True if the code beside a newer message is that of an older one.

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
