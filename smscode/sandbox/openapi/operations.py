"""An operation as OpenAPI: its parameters, its answers, and what can follow it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ... import calls
from ...core.api.call import CallKind, Endpoint
from ...core.api.parameters import ORDER_ID
from ...core.api.registry import ENDPOINTS
from ...core.versions import ApiVersion
from ...errors import API_ERRORS
from ...models import Balance, CreatedOrder, CreatedOrders, ExchangeRate, ProductPage
from ..http.api_error import Json
from ..http.render import IN_DOLLARS
from .requests import parameters, request_body
from .schemas import Schema, Schemas, closed, prose, reference

_EVERYWHERE: Final = (
    *("UNAUTHORIZED", "FORBIDDEN", "RATE_LIMIT_EXCEEDED"),
    *("INTERNAL_ERROR", "SERVICE_UNAVAILABLE"),
)
_CURRENT_ONLY_ERROR: Final = "TEMP_BANNED_ABUSE_GUARD"
_WITH_RETRY_AFTER: Final = (429, 503)
_REASONS: Final[Mapping[int, str]] = {
    401: "The token is missing or wrong.",
    403: "The account may not do this.",
    404: "There is no such thing in this account.",
    409: "Not in this state, or not yet.",
    422: "Something in the request, or the supplier, prevents it.",
    429: "Too much was asked for.",
    500: "The service failed.",
    503: "Not at the moment.",
}
_COUNT: Final[Schema] = {"type": "integer", "format": "int32", "minimum": 0}
_POSITION: Final[Schema] = {"type": "integer", "format": "int64", "minimum": 0}


def operation(endpoint: Endpoint[object], version: ApiVersion, schemas: Schemas) -> Schema:
    """Return the description of an operation."""
    area, _, action = endpoint.name.partition(".")
    described: Schema = {
        "operationId": _id(endpoint, version),
        "summary": prose(getattr(getattr(calls, area), action)),
        "tags": [area],
        "x-rate-limit-group": endpoint.group.value,
    }
    if taken := parameters(endpoint, schemas.generation):
        described["parameters"] = taken
    content = request_body(endpoint, version, schemas)
    responses: dict[str, Json] = {"200": _success(endpoint, version, schemas)}
    if content is not None:
        described["requestBody"] = content
        responses["413"] = {"description": "The body is over 1 MB.", "headers": _headers()}
    responses |= _errors(endpoint, version, schemas)
    described["responses"] = dict(sorted(responses.items()))
    return described


def _id(endpoint: Endpoint[object], version: ApiVersion) -> str:
    return f"{endpoint.name.replace('.', '_')}_{version}"


def _success(endpoint: Endpoint[object], version: ApiVersion, schemas: Schemas) -> Schema:
    result = endpoint.result
    envelope: dict[str, Json] = {"success": {"const": True}, "data": _data(endpoint, version, schemas)}
    meta: dict[str, Json] = {}
    if result is ProductPage:
        meta |= {"page": _POSITION, "limit": _POSITION, "count": _POSITION}
    if endpoint.money and IN_DOLLARS[version] and result is not ExchangeRate:
        meta["fx"] = schemas.rate()
    if meta:
        envelope["meta"] = closed(meta)
    described: Schema = {
        "description": "Done.",
        "headers": _headers(),
        "content": {"application/json": {"schema": closed(envelope)}},
    }
    if links := _links(endpoint, version, schemas):
        described["links"] = links
    return described


def _data(endpoint: Endpoint[object], version: ApiVersion, schemas: Schemas) -> Schema:
    result = endpoint.result
    if endpoint.rows is not None:
        return {"type": "array", "items": schemas.model(endpoint.rows, version)}
    if result is CreatedOrders:
        orders: Schema = {"type": "array", "items": schemas.model(CreatedOrder, version)}
        return closed({"orders": orders, "failed_count": _COUNT})
    if result is Balance:
        held: dict[str, Json] = {"balance": schemas.money(version, balance=True)}
        return closed(held if IN_DOLLARS[version] else {"currency": {"const": "IDR"}, **held})
    if result is ExchangeRate and IN_DOLLARS[version]:
        return schemas.rate()
    return schemas.model(result, version)


def _errors(endpoint: Endpoint[object], version: ApiVersion, schemas: Schemas) -> dict[str, Json]:
    codes = [*_EVERYWHERE, *endpoint.refusals]
    if endpoint.money and IN_DOLLARS[version]:
        codes.append("FX_RATE_UNAVAILABLE")
    found: dict[int, list[str]] = {}
    for code in codes:
        if schemas.generation == "current" or code != _CURRENT_ONLY_ERROR:
            found.setdefault(API_ERRORS[code][1], []).append(code)
    return {str(status): _error(status, codes, schemas) for status, codes in found.items()}


def _error(status: int, codes: list[str], schemas: Schemas) -> Schema:
    name = ".".join(codes)
    errors = [schemas.error(code) for code in codes]
    schemas.responses[name] = {
        "description": _REASONS[status],
        "headers": _headers(retry_after=status in _WITH_RETRY_AFTER),
        "content": {"application/json": {"schema": errors[0] if len(codes) == 1 else {"oneOf": errors}}},
    }
    return reference(name, "responses")


def _headers(*, retry_after: bool = False) -> Schema:
    headers: Schema = {"x-request-id": reference("RequestId", "headers")}
    return {**headers, "retry-after": reference("RetryAfter", "headers")} if retry_after else headers


def _links(endpoint: Endpoint[object], version: ApiVersion, schemas: Schemas) -> Schema:
    """Return the operations that can follow a purchase, with its first order."""
    bought = "$response.body#/data/orders/0/id"
    links: Schema = {}
    for other in ENDPOINTS.values() if endpoint.kind is CallKind.CREATE else ():
        link: Schema = {"operationId": _id(other, version)}
        if other.current_only and schemas.generation == "documented":
            continue
        if "{id}" in other.path:
            links[other.name] = {**link, "parameters": {"id": bought}}
        elif ORDER_ID in other.fields:
            links[other.name] = {**link, "requestBody": {"id": bought}}
    return links
