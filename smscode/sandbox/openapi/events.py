"""The webhooks of the service as OpenAPI: one entry for each kind of event."""

from __future__ import annotations

from typing import Final

from ...webhook_events import ORDER_EVENTS, OrderEvent, WebhookTest
from ...webhooks import SIGNATURE_HEADER
from ..http.api_error import Json
from .schemas import Schema, Schemas, closed, prose

_SIGNATURE: Final[Schema] = {
    "name": SIGNATURE_HEADER,
    "in": "header",
    "description": "HMAC-SHA256 of the raw body with the webhook secret; absent while there is no secret.",
    "schema": {"type": "string", "pattern": "^sha256=[0-9a-f]{64}$"},
}


def events(schemas: Schemas) -> dict[str, Json]:
    """Return the descriptions of all webhooks, which are the same for both API versions."""
    order = schemas.model(OrderEvent, "v1")
    test = closed({"message": {"type": "string"}})
    return {
        **{name: _event(name, model, order) for name, model in ORDER_EVENTS.items()},
        "webhook.test": _event("webhook.test", WebhookTest, test),
    }


def _event(name: str, model: type[object], data: Schema) -> Schema:
    body = closed(
        {"event": {"const": name}, "timestamp": {"type": "string", "format": "date-time"}, "data": data}
    )
    post: Schema = {
        "operationId": name.replace(".", "_"),
        "summary": prose(model),
        "parameters": [_SIGNATURE],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {"2XX": {"description": "Received."}},
    }
    return {"post": post}
