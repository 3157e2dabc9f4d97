"""What webhooks said about orders, kept for the waits that begin later."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime

import attrs
from attrs import define

from ...models import ActiveOrder, Capabilities, Order, OrderStatus
from ...webhook_events import OrderCanceled, OrderCompleted, OrderEvent, OrderExpired, OtpReceived
from .codes import compare_times, same

MOST_ORDERS = 10_000

_STATUSES: dict[type[OrderEvent], OrderStatus] = {
    OtpReceived: OrderStatus.OTP_RECEIVED,
    OrderCompleted: OrderStatus.COMPLETED,
    OrderExpired: OrderStatus.EXPIRED,
    OrderCanceled: OrderStatus.CANCELED,
}
_CAPABILITIES = [field.name for field in attrs.fields(Capabilities)]


def order_of(event: OrderEvent) -> ActiveOrder:
    """Return the order as an event describes it; an event states no times but its own."""
    return ActiveOrder(
        id=event.order_id,
        status=_STATUSES[type(event)],
        otp_code=event.otp_code,
        otp_message=event.otp_message,
        otp_received_at=event.timestamp if isinstance(event, OtpReceived) else None,
        expires_at=None,
        failed_reason=None,
        sms_revision=event.sms_revision,
        **{name: getattr(event, name) for name in _CAPABILITIES},
    )


@define
class _Kept:
    """The newest message and the end of one order, as far as webhooks told of them.

    ``shown`` is the service's date when it last showed a message of the order itself.
    """

    message: OtpReceived | None = None
    end: OrderEvent | None = None
    shown: datetime | None = None


class WebhookInbox:
    """The newest events of the orders heard of last, at most so many of them.

    Events come twice, late and out of order. An ``sms_revision`` tells which message is newer, and
    without it the event's own time. The end of an order is kept beside its last message, because the
    end does not say which message it was.
    """

    def __init__(self, most: int = MOST_ORDERS) -> None:
        self._most = most
        self._kept: OrderedDict[int, _Kept] = OrderedDict()

    def add(self, event: OrderEvent) -> bool:
        """Keep an event; return True if it is news. An SMS of which nothing could be read is none."""
        if isinstance(event, OtpReceived) and event.otp_code is None and event.otp_message is None:
            return False
        kept = self._of(event.order_id)
        if isinstance(event, OtpReceived):
            if kept.message is not None and not _newer(event, kept.message):
                return False
            # Without a revision, what was sent before the service showed a message is that or an older one.
            if event.sms_revision is None and compare_times(event.timestamp, kept.shown) < 0:
                return False
            kept.message = event
        else:
            if kept.end is not None:
                return False
            kept.end = event
        return True

    def _of(self, order_id: int) -> _Kept:
        kept = self._kept.setdefault(order_id, _Kept())
        self._kept.move_to_end(order_id)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return kept

    def about(self, order_id: int) -> list[ActiveOrder]:
        """Return the states that were kept of an order: with its message, and at its end."""
        kept = self._kept.get(order_id, _Kept())
        return [order_of(event) for event in (kept.message, kept.end) if event is not None]

    def compare(
        self, order: ActiveOrder | Order, date: datetime | None = None, *, watched: bool = False
    ) -> None:
        """Forget a message that the service itself shows to be old, at its ``date``.

        The date is kept for orders that somebody waits for, and those heard of.
        """
        has_message = order.otp_code is not None or order.otp_message is not None
        kept = self._of(order.id) if watched and has_message else self._kept.get(order.id)
        if kept is None:
            return
        if has_message:
            kept.shown = date or kept.shown
        if kept.message is None:
            return
        known = kept.message.sms_revision
        if known is not None and order.sms_revision is not None:
            old = order.sms_revision > known
        else:
            # Which of two codes is newer cannot be told; what is forgotten is found by the next poll.
            old = order.otp_code is not None and not same(order.otp_code, kept.message.otp_code)
        if old:
            kept.message = None


def _newer(event: OtpReceived, known: OtpReceived) -> bool:
    if event.sms_revision is not None and known.sms_revision is not None:
        return event.sms_revision > known.sms_revision
    order = compare_times(event.timestamp, known.timestamp)
    if order:
        return order > 0
    return (event.otp_code, event.otp_message) != (known.otp_code, known.otp_message)
