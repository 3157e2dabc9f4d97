"""The newest webhooks of each order, kept for waits that begin later."""

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
    """Return the order as an event describes it. An event has no times but its own."""
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
    """The newest message of one order and the event of its end, as far as webhooks reported them.

    ``shown`` is the date of the last answer in which the service showed a message of the order.
    """

    message: OtpReceived | None = None
    end: OrderEvent | None = None
    shown: datetime | None = None


class WebhookInbox:
    """The newest events of at most ``most`` orders; the orders updated longest ago are dropped.

    Events arrive twice, late and out of order. A message is newer if its ``sms_revision`` is, or without
    one if the event's time is. The event of an order's end is kept beside its last message, because it does
    not say which message that was.
    """

    def __init__(self, most: int = MOST_ORDERS) -> None:
        self._most = most
        self._kept: OrderedDict[int, _Kept] = OrderedDict()

    def add(self, event: OrderEvent) -> bool:
        """Keep an event. Return False if it is old, repeated, or an SMS without a readable text or code."""
        if isinstance(event, OtpReceived) and event.otp_code is None and event.otp_message is None:
            return False
        kept = self._of(event.order_id)
        if isinstance(event, OtpReceived):
            if kept.message is not None and not _newer(event, kept.message):
                return False
            # Without a revision, an event from before the service showed a message is not newer than that.
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
        """Return the kept states of an order: with its newest message, and at its end."""
        kept = self._kept.get(order_id, _Kept())
        return [order_of(event) for event in (kept.message, kept.end) if event is not None]

    def compare(
        self, order: ActiveOrder | Order, date: datetime | None = None, *, watched: bool = False
    ) -> None:
        """Drop a kept message if an answer of this ``date`` shows that it is old.

        The date is kept for orders that are waited for (``watched``) or have kept events.
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
            # Which of two codes is newer is not known. If this drops the newer one, the next poll finds it.
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
