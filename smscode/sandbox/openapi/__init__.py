"""The OpenAPI document of the service that the sandbox serves, made from the endpoints and the models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final, Literal, TypeAlias, get_args

from ..._version import VERSION
from ...core.api.registry import ENDPOINTS
from ...core.versions import ApiVersion
from ...errors import InvalidArgumentError
from ...webhook_events import ORDER_EVENTS, OrderEvent, WebhookTest
from ...webhooks import SIGNATURE_HEADER
from ..http.api_error import Json
from ..http.render import Generation
from .operations import operation
from .schemas import Schema, Schemas, closed, prose

Versions: TypeAlias = Literal["v1", "v2", "both"]

__all__ = ["Versions", "document", "text"]

_ABOUT: Final = (
    "Rents phone numbers and receives the SMS codes sent to them. v1 counts in whole rupiah, v2 in US "
    "dollars beside the exact rupiah value; an integration uses one of them. This is what the sandbox of "
    "smscode-async serves, made from its endpoint descriptions and models."
)
_HEADERS: Final[Schema] = {
    "RequestId": {
        "description": "The id of the request, to tell support.",
        "required": True,
        "schema": {"type": "string"},
    },
    "RetryAfter": {
        "description": "In how many seconds to ask again.",
        "schema": {"type": "integer", "minimum": 0},
    },
}
_SIGNATURE: Final[Schema] = {
    "name": SIGNATURE_HEADER,
    "in": "header",
    "description": "HMAC-SHA256 of the raw body with the webhook secret; absent while there is no secret.",
    "schema": {"type": "string", "pattern": "^sha256=[0-9a-f]{64}$"},
}


def document(generation: Generation = "current", api_version: Versions = "both") -> dict[str, Json]:
    """Return the OpenAPI 3.1 document of one generation of the service, for one API version or both.

    ``generation`` is "documented" or "current", ``api_version`` "v1", "v2" or "both". Raises
    `InvalidArgumentError` for anything else. The same arguments always return the same document.
    """
    if generation not in get_args(Generation):
        raise InvalidArgumentError("generation: expected 'documented' or 'current'.")
    if api_version not in get_args(Versions):
        raise InvalidArgumentError("api_version: expected 'v1', 'v2' or 'both'.")
    versions: Sequence[ApiVersion] = get_args(ApiVersion) if api_version == "both" else (api_version,)
    schemas = Schemas(generation)
    paths: dict[str, dict[str, Json]] = {}
    for version in versions:
        for endpoint in ENDPOINTS.values():
            if generation == "current" or not endpoint.current_only:
                item = paths.setdefault(f"/{version}{endpoint.path}", {})
                item[endpoint.method.lower()] = operation(endpoint, version, schemas)
    webhooks = _events(schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "SMSCode virtual numbers", "version": VERSION, "description": _ABOUT},
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "tags": [{"name": name} for name in dict.fromkeys(name.partition(".")[0] for name in ENDPOINTS)],
        "paths": paths,
        "webhooks": webhooks,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "headers": _HEADERS,
            "responses": dict(sorted(schemas.responses.items())),
            "schemas": dict(sorted(schemas.components.items())),
        },
    }


def text(generation: Generation = "current", api_version: Versions = "both") -> str:
    """Return the document as JSON; see `document`."""
    return json.dumps(document(generation, api_version), indent=2, ensure_ascii=False) + "\n"


def _events(schemas: Schemas) -> dict[str, Json]:
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
