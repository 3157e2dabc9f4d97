"""The service's state as JSON: rupiah integers for v1, dollars beside rupiah for v2.

Two generations of the service are known. The *documented* one is that of the user's documentation;
the *current* one sends more fields and has more endpoints. The tables below are the difference.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, Literal, TypeAlias

from attrs import frozen

from ...money import BALANCE_PLACES, PRICE_PLACES, FxRate
from ..service.catalog import CatalogCountry, CatalogOperator, CatalogService, Tier
from ..service.orders import ServiceOrder
from ..service.webhooks import DISABLED_REASON, ServiceEvent, Webhook
from .api_error import Json

Version: TypeAlias = Literal["v1", "v2"]
Generation: TypeAlias = Literal["documented", "current"]
Shape: TypeAlias = Literal["summary", "active", "created", "webhook"]

_CAPABILITIES: Final = (
    "can_finish",
    "can_resend",
    "can_cancel",
    "can_replace",
    "can_reactivate",
    "resend_available_at",
    "cancel_available_at",
    "replace_available_at",
)
_DOCUMENTED: Final[Mapping[Shape, str]] = {
    "summary": "id status created_at product_id phone_number amount otp_code otp_received_at expires_at"
    " canceled_at failed_reason",
    "active": "id status otp_code otp_message otp_received_at expires_at failed_reason",
    "created": "id status product_id catalog_product_id amount phone_number otp_code otp_received_at"
    " expires_at failed_reason",
    "webhook": "order_id phone_number otp_code otp_message product_id catalog_product_id country platform",
}
_ADDED: Final[Mapping[Shape, str]] = {
    "summary": "catalog_product_id operator_id operator_name otp_message sms_revision",
    "active": "operator_id operator_name sms_revision",
    "created": "operator_id operator_name",
    "webhook": "operator_id operator_name sms_revision",
}
ORDER_FIELDS: Final[Mapping[Generation, Mapping[Shape, tuple[str, ...]]]] = {
    "documented": {shape: tuple(names.split()) for shape, names in _DOCUMENTED.items()},
    "current": {
        shape: (*names.split(), *_ADDED[shape].split(), *_CAPABILITIES)
        for shape, names in _DOCUMENTED.items()
    },
}
"""The fields of each order shape."""

_TEST_MESSAGE: Final = "This is a test webhook event from SMSCode."


_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


def encode(value: Json) -> bytes:
    """Return JSON as bytes."""
    return _ENCODER.encode(value).encode()


def past(at: datetime | None) -> str | None:
    """Show when something happened, in whole seconds; the sandbox's times are all in UTC."""
    return None if at is None else at.isoformat(timespec="seconds")


def future(at: datetime | None) -> str | None:
    """Show when something will be so: rounded up, so that it is true at the time shown."""
    if at is not None and at.microsecond:
        at += timedelta(seconds=1)
    return past(at)


def webhook_test(now: datetime) -> Json:
    """Show the event of a webhook test."""
    return {"event": "webhook.test", "timestamp": past(now), "data": {"message": _TEST_MESSAGE}}


@frozen
class View:
    """How one request is answered: its API version, the service's generation, the rate and the time."""

    version: Version
    generation: Generation
    fx: FxRate | None
    now: datetime

    def money(self, idr: int, places: int = PRICE_PLACES) -> Json:
        """Show an amount: v2 needs the rate."""
        if self.version == "v1":
            return idr
        assert self.fx is not None  # the app refuses v2 money without a rate
        amount: Decimal = self.fx.to_usd(idr, places=places)
        return {
            "amount": f"{amount:f}",
            "currency": "USD",
            "canonical_amount": idr,
            "canonical_currency": "IDR",
        }

    def rate(self) -> Json:
        """Show the rate."""
        assert self.fx is not None  # asked only where there is one
        if self.version == "v2":
            return {"pair": self.fx.pair, "rate": self.fx.rate, "rate_as_of": past(self.fx.rate_as_of)}
        base, _, quote = self.fx.pair.partition("/")
        return {"pair": self.fx.pair, "base_currency": base, "quote_currency": quote, "rate": self.fx.rate}

    def balance(self, idr: int) -> Json:
        """Show the account's balance."""
        if self.version == "v1":
            return {"currency": "IDR", "balance": idr}
        return {"balance": self.money(idr, BALANCE_PLACES)}

    def product(self, tier: Tier) -> Json:
        """Show a price tier."""
        between = " - " if self.generation == "current" else " "
        shown: dict[str, Json] = {
            "id": tier.id,
            "name": f"{tier.service.name}{between}{tier.country.name}",
            "country_id": tier.country.id,
            "platform_id": tier.service.id,
            "catalog_product_id": tier.catalog_product_id,
            "available": tier.stock,
            "price": self.money(tier.price),
            "active": True,
        }
        if self.generation == "current":
            shown["operator_id"] = tier.operator.id if tier.operator else None
            shown["operator_name"] = tier.operator.name if tier.operator else None
        return shown

    def order(self, order: ServiceOrder, shape: Shape) -> dict[str, Json]:
        """Show an order in one of its four shapes."""
        tier, operator = order.tier, order.tier.operator
        shown: dict[str, Json] = {
            "id": order.id,
            "order_id": order.id,
            "status": order.status.value,
            "created_at": past(order.created_at),
            "product_id": tier.id,
            "catalog_product_id": tier.catalog_product_id,
            "operator_id": operator.id if operator else None,
            "operator_name": operator.name if operator else None,
            "phone_number": order.phone_number,
            "otp_code": order.otp_code,
            "otp_message": order.otp_message,
            "sms_revision": order.sms_revision,
            "otp_received_at": past(order.otp_received_at),
            "expires_at": future(order.expires_at),
            "canceled_at": past(order.canceled_at),
            "failed_reason": order.failed_reason,
            "country": tier.country.name,
            "platform": tier.service.name,
        }
        if shape in ("summary", "created"):
            shown["amount"] = self.money(order.amount)
        if self.generation == "current":
            shown |= self._capabilities(order)
        return {name: shown[name] for name in ORDER_FIELDS[self.generation][shape]}

    def _capabilities(self, order: ServiceOrder) -> dict[str, Json]:
        allowed = order.capabilities(self.now)
        cancel_at = future(allowed.cancel_available_at)
        return {
            "can_finish": allowed.can_finish,
            "can_resend": allowed.can_resend,
            "can_cancel": allowed.can_cancel,
            "can_replace": allowed.can_cancel,
            "can_reactivate": allowed.can_reactivate,
            "resend_available_at": future(allowed.resend_available_at),
            "cancel_available_at": cancel_at,
            "replace_available_at": cancel_at,
        }

    def event(self, event: ServiceEvent) -> Json:
        """Show a webhook event of an order."""
        data = self.order(event.order, "webhook")
        if "sms_revision" in data and event.name != "order.otp_received":
            data["sms_revision"] = None
        return {"event": event.name, "timestamp": past(event.at), "data": data}

    def webhook(self, webhook: Webhook) -> Json:
        """Show the webhook settings."""
        shown: dict[str, Json] = {"webhook_url": webhook.url, "webhook_secret": webhook.secret}
        if self.generation == "current":
            shown["webhook_disabled_at"] = past(webhook.disabled_at)
            shown["webhook_disabled_reason"] = DISABLED_REASON if webhook.disabled_at else None
            shown["webhook_consecutive_failures"] = webhook.failures
        return shown

    def country(self, value: CatalogCountry) -> Json:
        """Show a country; the two generations write its codes differently."""
        current = self.generation == "current"
        return {
            "id": value.id,
            "code": value.code.lower() if current else value.code,
            "name": value.name,
            "dial_code": value.dial_code.lstrip("+") if current else value.dial_code,
            "emoji": value.emoji,
            "active": True,
        }

    def service(self, value: CatalogService) -> Json:
        """Show a service; its code is a short one in the documented generation, a name in the current."""
        code = value.name.lower() if self.generation == "current" else value.code
        return {"id": value.id, "code": code, "name": value.name, "active": True}


def operators(values: Sequence[CatalogOperator | None]) -> Json:
    """Show the operators of a pair."""
    return [
        {
            "operator_id": value.id if value else None,
            "code": value.code if value else "any",
            "name": value.name if value else "Any",
            "local_name": None,
        }
        for value in values
    ]
