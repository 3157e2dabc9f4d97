"""An order as the service stores it, and what can be done with it at a given time."""

from __future__ import annotations

from datetime import datetime, timedelta

from attrs import define, evolve

from ...models import Capabilities, OrderStatus
from .catalog import Tier
from .suppliers import USUAL, Behaviour, Message


@define(eq=False)
class ServiceOrder:
    """A rented number. ``tier`` is the product it was rented as, ``amount`` the price paid.

    ``sms_revision`` counts the messages. ``incoming`` holds the scheduled ones, each with its time, the
    next one first; ``behaviour`` says which ones a resend brings. ``cancel_at`` and ``resend_at`` are
    the ends of the minimum-cancel window and of the resend cooldown. ``failed_reason`` is why the order
    got no SMS. ``parent_id`` is the order whose number this one rents again; ``number_free`` is
    False while an order that rents it again holds the number. With ``restocks`` the number is in stock again
    when the order ends.
    """

    id: int
    tier: Tier
    amount: int
    phone_number: str
    created_at: datetime
    expires_at: datetime
    cancel_at: datetime
    parent_id: int | None = None
    behaviour: Behaviour = USUAL
    status: OrderStatus = OrderStatus.ACTIVE
    otp_code: str | None = None
    otp_message: str | None = None
    otp_received_at: datetime | None = None
    sms_revision: int = 0
    incoming: tuple[tuple[datetime, Message], ...] = ()
    resend_at: datetime | None = None
    canceled_at: datetime | None = None
    failed_reason: str | None = None
    number_free: bool = True
    restocks: bool = True

    def receive(self, at: datetime, text: str, code: str | None) -> None:
        """Add a message; one without a code leaves the last code as it is."""
        self.status = OrderStatus.OTP_RECEIVED
        self.otp_message = text
        self.otp_code = self.otp_code if code is None else code
        self.otp_received_at = self.otp_received_at or at
        self.sms_revision += 1

    def as_created(self) -> ServiceOrder:
        """Return the order as it was when it was bought."""
        if self.status is OrderStatus.ACTIVE and not self.sms_revision:
            return self
        return evolve(
            self,
            status=OrderStatus.ACTIVE,
            otp_code=None,
            otp_message=None,
            otp_received_at=None,
            sms_revision=0,
            resend_at=None,
            canceled_at=None,
            failed_reason=None,
        )

    def capabilities(self, now: datetime) -> Capabilities:
        """Return what the order allows at ``now``, and when it will allow the rest; replace is as cancel."""
        open_, delivered = not self.status.terminal, self.sms_revision > 0
        cancellable = open_ and not delivered
        cooling = self.resend_at if open_ and self.resend_at and now < self.resend_at else None
        waiting = self.cancel_at if cancellable and now < self.cancel_at else None
        can_cancel = cancellable and waiting is None
        completed = self.status is OrderStatus.COMPLETED
        return Capabilities(
            operator_id=self.tier.operator_id,
            operator_name=self.tier.operator_name,
            can_finish=open_ and delivered,
            can_resend=open_ and delivered and cooling is None,
            can_cancel=can_cancel,
            can_replace=can_cancel,
            can_reactivate=completed and self.tier.provider.repeats and self.number_free,
            resend_available_at=cooling,
            cancel_available_at=waiting,
            replace_available_at=waiting,
        )


def window(now: datetime, seconds: float) -> datetime:
    """Return the end of a window that opens now.

    The service states times in whole seconds. Long windows therefore start at a whole second, so
    that the stated time is exact; short ones, which only tests set, would lose too much by it.
    """
    start = now.replace(microsecond=0) if seconds >= 10 else now
    return start + timedelta(seconds=seconds)
