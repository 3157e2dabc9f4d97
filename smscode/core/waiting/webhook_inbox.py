"""What webhooks said about orders, kept for the waits that begin later."""

from __future__ import annotations

from collections import OrderedDict

import attrs
from attrs import define

from ...models import ActiveOrder, Capabilities, Order, OrderStatus
from ...webhook_events import OrderCanceled, OrderCompleted, OrderEvent, OrderExpired, OtpReceived

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
    """The newest message and the end of one order, as far as webhooks told of them."""

    message: OtpReceived | None = None
    end: OrderEvent | None = None


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
        kept = self._kept.setdefault(event.order_id, _Kept())
        self._kept.move_to_end(event.order_id)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        if isinstance(event, OtpReceived):
            if kept.message is not None and not _newer(event, kept.message):
                return False
            kept.message = event
        else:
            if kept.end is not None:
                return False
            kept.end = event
        return True

    def about(self, order_id: int) -> list[ActiveOrder]:
        """Return the states that were kept of an order: with its message, and at its end."""
        kept = self._kept.get(order_id, _Kept())
        return [order_of(event) for event in (kept.message, kept.end) if event is not None]

    def compare(self, order: ActiveOrder | Order) -> None:
        """Forget a message that the service itself shows to be old."""
        kept = self._kept.get(order.id)
        if kept is None or kept.message is None:
            return
        known = kept.message.sms_revision
        if known is not None and order.sms_revision is not None:
            old = order.sms_revision > known
        else:
            # Which of two codes is newer cannot be told; what is forgotten is found by the next poll.
            old = order.otp_code not in (None, kept.message.otp_code)
        if old:
            kept.message = None


def _newer(event: OtpReceived, known: OtpReceived) -> bool:
    if event.sms_revision is not None and known.sms_revision is not None:
        return event.sms_revision > known.sms_revision
    if event.timestamp is not None and known.timestamp is not None and event.timestamp != known.timestamp:
        return event.timestamp > known.timestamp
    return (event.otp_code, event.otp_message) != (known.otp_code, known.otp_message)
