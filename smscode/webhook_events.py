"""The events of webhooks as frozen values. `smscode.webhooks` parses them, and exports the classes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TypeAlias

from attrs import field, frozen

from ._fields import in_order, mask
from ._serialization import Model
from ._visible_text import not_blank
from .errors import JsonValue
from .models import Capabilities


@frozen(kw_only=True, eq=False, repr=False, field_transformer=in_order)
class OrderEvent(Capabilities):
    """An event of an order. ``country`` and ``platform`` are names.

    Only ``order_id`` is always set: any other field that is missing or invalid is None, and so is a blank
    code or message. ``sms_revision`` is None on events that end an order, and from servers that do not send
    it.
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


@frozen(kw_only=True, eq=False, repr=False, field_transformer=in_order)
class OtpReceived(OrderEvent):
    """An SMS arrived; ``otp_code`` is None if the service found no code in it."""


@frozen(kw_only=True, eq=False, repr=False, field_transformer=in_order)
class OrderCompleted(OrderEvent):
    """The order was finished, by its owner or at the end of its time. It is charged."""


@frozen(kw_only=True, eq=False, repr=False, field_transformer=in_order)
class OrderExpired(OrderEvent):
    """The time of the order ended without an SMS; it was refunded."""


@frozen(kw_only=True, eq=False, repr=False, field_transformer=in_order)
class OrderCanceled(OrderEvent):
    """The order was cancelled and refunded."""


@frozen(eq=False, repr=False)
class WebhookTest(Model):
    """A test that the account's owner asked the service to send."""

    timestamp: datetime | None = None
    message: str | None = None


@frozen(eq=False, repr=False)
class UnknownEvent(Model):
    """An event of a kind that this version of the package does not know; ``data`` is its JSON."""

    # The data may be a dict, which has no hash, so it only counts for ``==``.
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
