"""The webhooks of the service as OpenAPI: one entry for each kind of event."""

from __future__ import annotations

from typing import Final, get_args

from ... import webhooks
from ..http.api_error import Json
from ..service.webhooks import OrderEventName
from .schemas import Schema, Schemas, closed, prose

_SIGNATURE: Final[Schema] = {
    "name": webhooks.SIGNATURE_HEADER,
    "in": "header",
    "description": "HMAC-SHA256 of the raw body with the webhook secret; absent while there is no secret.",
    "schema": {"type": "string", "pattern": "^sha256=[0-9a-f]{64}$"},
}
_ABOUT: Final = {
    "order.otp_received": webhooks.OtpReceived,
    "order.completed": webhooks.OrderCompleted,
    "order.expired": webhooks.OrderExpired,
    "order.canceled": webhooks.OrderCanceled,
    "webhook.test": webhooks.WebhookTest,
}


def events(schemas: Schemas) -> dict[str, Json]:
    """Describe every webhook; both API versions send the same."""
    order = schemas.model(webhooks.OrderEvent, "v1")
    test = closed({"message": {"type": "string"}})
    return {
        **{name: _event(name, order) for name in get_args(OrderEventName)},
        "webhook.test": _event("webhook.test", test),
    }


def _event(name: str, data: Schema) -> Schema:
    body = closed(
        {"event": {"const": name}, "timestamp": {"type": "string", "format": "date-time"}, "data": data}
    )
    post: Schema = {
        "operationId": name.replace(".", "_"),
        "summary": prose(_ABOUT[name]),
        "parameters": [_SIGNATURE],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {"2XX": {"description": "Received."}},
    }
    return {"post": post}
