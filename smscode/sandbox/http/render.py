"""The service's state as JSON: integers of rupiah on v1, dollars beside rupiah on v2.

Two generations of the service are known. The *documented* one is that of the user's documentation;
the *current* one sends more fields and has more endpoints. `sent_fields` has the difference.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeAlias, cast

from attrs import fields, fields_dict, frozen

from ...core.versions import ApiVersion
from ...models import ActiveOrder, Capabilities, CreatedOrder, Order, Product, WebhookConfig
from ...money import BALANCE_PLACES, PRICE_PLACES, FxRate
from ...webhook_events import OrderEvent
from ..service.catalog import CatalogCountry, CatalogOperator, CatalogService, Tier
from ..service.orders import ServiceOrder
from ..service.webhooks import DISABLED_REASON, ServiceEvent, Webhook
from .api_error import Json

Generation: TypeAlias = Literal["documented", "current"]
OrderModel: TypeAlias = type[Order | ActiveOrder | CreatedOrder | OrderEvent]

IN_DOLLARS: Final[Mapping[ApiVersion, bool]] = {"v1": False, "v2": True}
"""Whether an API version states money in dollars beside rupiah, with the rate in ``meta``, or in rupiah only.

This is the whole difference between the versions: a new one needs an entry here and no other comparison.
"""

_DOCUMENTED_FIELDS: Final[Mapping[type[object], str]] = {
    Product: "id name country_id platform_id catalog_product_id available price active",
    Order: "id status created_at product_id phone_number amount otp_code otp_received_at expires_at"
    " canceled_at failed_reason",
    ActiveOrder: "id status otp_code otp_message otp_received_at expires_at failed_reason",
    CreatedOrder: "id status product_id catalog_product_id amount phone_number otp_code otp_received_at"
    " expires_at failed_reason",
    OrderEvent: "order_id phone_number otp_code otp_message product_id catalog_product_id country platform",
    WebhookConfig: "webhook_url webhook_secret",
}
"""The fields of the documentation, in its order, of each model that has more in the current generation."""
_AS_STORED: Final = ("id", "phone_number", "otp_code", "otp_message", "sms_revision", "failed_reason")
_PAST: Final = ("created_at", "otp_received_at", "canceled_at")
_FUTURE: Final = tuple(name for name in fields_dict(Capabilities) if name.endswith("_at"))
_CAPABILITIES: Final = tuple(name for name in fields_dict(Capabilities) if not name.endswith("_at"))
_SENT_FIELDS: Final[dict[tuple[type[object], Generation], tuple[str, ...]]] = {}
_TEST_MESSAGE: Final = "This is a test webhook event from SMSCode."
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


def sent_fields(model: type[object], generation: Generation) -> tuple[str, ...]:
    """Return the names of a model's fields that a generation of the service sends.

    The ``timestamp`` of an `OrderEvent` is in the envelope.
    """
    if (found := _SENT_FIELDS.get((model, generation))) is None:
        found = tuple(field.name for field in fields(cast(Any, model)) if field.name != "timestamp")
        if generation == "documented" and model in _DOCUMENTED_FIELDS:
            found = tuple(_DOCUMENTED_FIELDS[model].split())
        _SENT_FIELDS[model, generation] = found
    return found


def encode(value: Json) -> bytes:
    """Return JSON as bytes."""
    return _ENCODER.encode(value).encode()


def past(at: datetime | None) -> str | None:
    """Return a past time in whole seconds, rounded down. All times of the sandbox are in UTC."""
    return None if at is None else at.isoformat(timespec="seconds")


def future(at: datetime | None) -> str | None:
    """Return a future time in whole seconds, rounded up, so that it has come at the time stated."""
    if at is not None and at.microsecond:
        at += timedelta(seconds=1)
    return past(at)


def webhook_test(now: datetime) -> Json:
    """Return the event of a webhook test."""
    return {"event": "webhook.test", "timestamp": past(now), "data": {"message": _TEST_MESSAGE}}


@frozen
class View:
    """How one request is answered: its API version, the service's generation, the rate and the time."""

    version: ApiVersion
    generation: Generation
    fx: FxRate | None
    now: datetime

    @property
    def in_dollars(self) -> bool:
        """Whether money is stated in dollars; see `IN_DOLLARS`."""
        return IN_DOLLARS[self.version]

    @property
    def current(self) -> bool:
        """Whether the service is of the current generation."""
        return self.generation == "current"

    def money(self, idr: int, places: int = PRICE_PLACES) -> Json:
        """Return an amount; in dollars it needs the rate."""
        if not self.in_dollars:
            return idr
        assert self.fx is not None  # without a rate the app refuses what states dollars
        return {
            "amount": f"{self.fx.to_usd(idr, places=places):f}",
            "currency": "USD",
            "canonical_amount": idr,
            "canonical_currency": "IDR",
        }

    def rate(self) -> Json:
        """Return the rate."""
        assert self.fx is not None  # called only where there is one
        if self.in_dollars:
            return {"pair": self.fx.pair, "rate": self.fx.rate, "rate_as_of": past(self.fx.rate_as_of)}
        base, _, quote = self.fx.pair.partition("/")
        return {"pair": self.fx.pair, "base_currency": base, "quote_currency": quote, "rate": self.fx.rate}

    def balance(self, idr: int) -> Json:
        """Return the account's balance."""
        shown: dict[str, Json] = {"balance": self.money(idr, BALANCE_PLACES)}
        return shown if self.in_dollars else {"currency": "IDR", **shown}

    def product(self, tier: Tier) -> Json:
        """Return a price tier."""
        name = f"{tier.service.name} - {tier.country.name}" if self.current else tier.name
        return self._sent(
            Product,
            id=tier.id,
            name=name,
            country_id=tier.country.id,
            platform_id=tier.service.id,
            catalog_product_id=tier.catalog_product_id,
            available=tier.stock,
            price=self.money(tier.price),
            active=True,
            operator_id=tier.operator_id,
            operator_name=tier.operator_name,
        )

    def order(self, order: ServiceOrder, model: OrderModel) -> dict[str, Json]:
        """Return an order as one of the four models that show it."""
        tier = order.tier
        sent = sent_fields(model, self.generation)
        values: dict[str, Json] = {name: getattr(order, name) for name in _AS_STORED}
        values |= {name: past(getattr(order, name)) for name in _PAST}
        if "can_finish" in sent:
            able = order.capabilities(self.now)
            values |= {name: getattr(able, name) for name in _CAPABILITIES}
            values |= {name: future(getattr(able, name)) for name in _FUTURE}
        if "amount" in sent:
            values["amount"] = self.money(order.amount)
        values["order_id"] = order.id
        values["status"] = order.status.value
        values["product_id"] = tier.id
        values["catalog_product_id"] = tier.catalog_product_id
        values["expires_at"] = future(order.expires_at)
        values["country"] = tier.country.name
        values["platform"] = tier.service.name
        return {name: values[name] for name in sent}

    def event(self, event: ServiceEvent) -> Json:
        """Return a webhook event of an order."""
        data = self.order(event.order, OrderEvent)
        if "sms_revision" in data and event.name != "order.otp_received":
            data["sms_revision"] = None
        return {"event": event.name, "timestamp": past(event.at), "data": data}

    def webhook(self, webhook: Webhook) -> Json:
        """Return the webhook settings."""
        return self._sent(
            WebhookConfig,
            webhook_url=webhook.url,
            webhook_secret=webhook.secret,
            webhook_disabled_at=past(webhook.disabled_at),
            webhook_disabled_reason=DISABLED_REASON if webhook.disabled_at else None,
            webhook_consecutive_failures=webhook.failures,
        )

    def country(self, value: CatalogCountry) -> Json:
        """Return a country; the two generations write its codes differently."""
        return {
            "id": value.id,
            "code": value.code.lower() if self.current else value.code,
            "name": value.name,
            "dial_code": value.dial_code.lstrip("+") if self.current else value.dial_code,
            "emoji": value.emoji,
            "active": True,
        }

    def service(self, value: CatalogService) -> Json:
        """Return a service; its code is a short one in the documented generation, a name in the current."""
        code = value.name.lower() if self.current else value.code
        return {"id": value.id, "code": code, "name": value.name, "active": True}

    def _sent(self, model: type[object], **values: Json) -> dict[str, Json]:
        """Return those of the values that this generation sends for a model."""
        return {name: values[name] for name in sent_fields(model, self.generation)}


def operator_rows(values: Sequence[CatalogOperator | None]) -> Json:
    """Return the operators of a pair; the row for None stands for any operator."""
    return [
        {
            "operator_id": value.id if value else None,
            "code": value.code if value else "any",
            "name": value.name if value else "Any",
            "local_name": None,
        }
        for value in values
    ]
