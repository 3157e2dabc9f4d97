"""What webhooks say, as frozen values; `smscode.webhooks` reads them and is where they are imported from."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TypeAlias

from attrs import field, frozen

from ._serialization import Model
from ._visible_text import not_blank
from .errors import JsonValue
from .models import Capabilities, mask


@frozen(kw_only=True)
class OrderEvent(Capabilities):
    """What happened to an order. ``country`` and ``platform`` are names.

    Only the order's id is certain: any other field that is missing or cannot be read is None, and so is a
    blank code or message. ``sms_revision`` is None on the events that end an order, and from servers
    without it.
    """

    timestamp: datetime | None = None
    order_id: int
    phone_number: str | None = field(default=None, repr=mask)
    otp_code: str | None = field(default=None, repr=mask, converter=not_blank)
    otp_message: str | None = field(default=None, repr=mask, converter=not_blank)
    product_id: int | None = None
    catalog_product_id: int | None = None
    country: str | None = None
    platform: str | None = None
    sms_revision: int | None = None


@frozen(kw_only=True)
class OtpReceived(OrderEvent):
    """An SMS arrived; ``otp_code`` is None when the service found no code in it."""


@frozen(kw_only=True)
class OrderCompleted(OrderEvent):
    """The order was finished, by its owner or at the end of its time."""


@frozen(kw_only=True)
class OrderExpired(OrderEvent):
    """The order's time ended without any SMS; it was refunded."""


@frozen(kw_only=True)
class OrderCanceled(OrderEvent):
    """The order was cancelled and refunded."""


@frozen
class WebhookTest(Model):
    """The service tried the endpoint out."""

    timestamp: datetime | None = None
    message: str | None = None


@frozen
class UnknownEvent(Model):
    """An event this version of the package does not know; ``data`` is as it came."""

    # The data may be an object, which has no hash: events that differ only in it are told apart by ``==``.

    event: str
    timestamp: datetime | None
    data: JsonValue = field(repr=False, hash=False)


Event: TypeAlias = OtpReceived | OrderCompleted | OrderExpired | OrderCanceled | WebhookTest | UnknownEvent

ORDER_EVENTS: Mapping[str, type[OtpReceived | OrderCompleted | OrderExpired | OrderCanceled]] = {
    "order.otp_received": OtpReceived,
    "order.completed": OrderCompleted,
    "order.expired": OrderExpired,
    "order.canceled": OrderCanceled,
}
