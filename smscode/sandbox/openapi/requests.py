"""What an operation takes, as OpenAPI: parameters and bodies, from the descriptions of the endpoints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Final

from attrs import evolve

from ...core.api.call import CallKind as Effect
from ...core.api.call import Endpoint
from ...core.api.parameters import INT32, KEY_PATTERN, ORDER_ID, OneOf, Parameter, Text, Whole
from ..http.api_error import Json
from ..http.params import USD
from ..http.render import Version
from .schemas import Schema, Schemas, closed, members, nullable

_EXAMPLES: Final[Mapping[str, Mapping[Version, Json]]] = {
    "id": {"v1": 1001, "v2": 1001},
    "country_id": {"v1": 6, "v2": 6},
    "platform_id": {"v1": 3, "v2": 3},
    "operator_id": {"v1": 1, "v2": 1},
    "product_id": {"v1": 142, "v2": 142},
    "catalog_product_id": {"v1": 87, "v2": 87},
    "max_price": {"v1": 20_000, "v2": "1.50"},
    "min_price": {"v1": 1, "v2": "0.01"},
    "webhook_url": {"v1": "https://hooks.example.net/sms", "v2": "https://hooks.example.net/sms"},
}
"""What every sandbox sells and where its orders begin, so that examples can be tried as they are."""

_KEY_PARAMETER: Final[Schema] = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "At most one purchase is made per key: its answer is given again.",
    "schema": {"type": "string", "pattern": f"^{KEY_PATTERN.pattern}$"},
}
_ORDER_PARAMETER: Final[Schema] = {
    "name": "id",
    "in": "path",
    "description": ORDER_ID.about,
    "required": True,
    "schema": {"type": "integer", "format": "int32", "minimum": 1, "maximum": INT32[1], "examples": [1001]},
}


def parameters(endpoint: Endpoint[object], generation: str) -> list[Json]:
    """Describe what goes into the path, the query and the headers of a request."""
    found: list[Json] = [_ORDER_PARAMETER] if "{id}" in endpoint.path else []
    for parameter in _known(endpoint.query, generation):
        described: Schema = {"name": parameter.name, "in": "query", "description": _about(parameter)}
        if parameter.required:
            described["required"] = True
        found.append({**described, "schema": value(parameter, "v1")})
    if endpoint.kind is Effect.CREATE:
        found.append(_KEY_PARAMETER)
    return found


def body(endpoint: Endpoint[object], version: Version, schemas: Schemas) -> Schema | None:
    """Describe the body of a request, None where it has none."""
    newer = schemas.generation == "current"
    fields = _known(endpoint.fields, schemas.generation)
    if not fields:
        return None
    if any(field.needs_catalog_product for field in fields):
        schema: Schema = {"oneOf": [_one_product(fields, version, newer=newer), _routed(fields, version)]}
    else:
        required = [field.name for field in fields if field.required]
        schema = closed({field.name: value(field, version) for field in fields}, required)
        if not required:
            schema["anyOf"] = [
                {"required": [field.name], "properties": {field.name: {"type": "string"}}} for field in fields
            ]
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def value(parameter: Parameter, version: Version) -> Schema:
    """Describe the value of a parameter."""
    kind = parameter.kind
    schema: Schema
    if isinstance(kind, Whole):
        schema = {"type": "integer", "format": "int32" if kind.high <= INT32[1] else "int64"}
        if kind.clamped:
            schema["format"] = "int64"
        else:
            schema |= {"minimum": kind.low, "maximum": kind.high}
    elif isinstance(kind, Text):
        schema = {"type": "string"}
        if kind.longest is not None:
            schema["maxLength"] = kind.longest
        if kind.pattern is not None:
            schema["pattern"] = kind.pattern
    elif isinstance(kind, OneOf):
        schema = members(kind.members)
        if kind.lenient:
            schema = {"anyOf": [schema, {"type": "string"}]}
    elif version == "v1":
        schema = {"type": "integer", "format": "int64", "minimum": 0}
    else:
        schema = {"type": "string", "pattern": f"^{USD.pattern}$"}
    if parameter.nullable:
        schema = nullable(schema)
    if parameter.default is not None:
        schema["default"] = parameter.default
    if parameter.name in _EXAMPLES:
        schema["examples"] = [_EXAMPLES[parameter.name][version]]
    return schema


def _known(parameters: Iterable[Parameter], generation: str) -> list[Parameter]:
    return [parameter for parameter in parameters if generation == "current" or not parameter.current_only]


def _about(parameter: Parameter) -> str:
    kind = parameter.kind
    if isinstance(kind, Whole) and kind.clamped:
        return f"{parameter.about} Moved into {kind.low}..{kind.high}."
    if isinstance(kind, OneOf) and kind.any_case:
        return f"{parameter.about} In any case of letters."
    if isinstance(kind, OneOf) and kind.lenient:
        return f"{parameter.about} Anything else means the default."
    return parameter.about


def _one_product(fields: Iterable[Parameter], version: Version, *, newer: bool) -> Schema:
    """Describe an order for one price tier: what goes with a routed order can only be null."""
    misplaced = {field.name for field in fields if field.is_for_catalog_product(current=newer)}
    return _order(fields, "product_id", {"catalog_product_id", *misplaced}, version)


def _routed(fields: Iterable[Parameter], version: Version) -> Schema:
    return _order(fields, "catalog_product_id", {"product_id"}, version)


def _order(fields: Iterable[Parameter], wanted: str, misplaced: Set[str], version: Version) -> Schema:
    properties: dict[str, Json] = {}
    for field in fields:
        described = {**value(evolve(field, nullable=field.nullable and field.name != wanted), version)}
        if field.name in misplaced:
            if not field.nullable:
                continue
            described = {"type": "null"}
        properties[field.name] = {"description": _about(field), **described}
    return closed(properties, (wanted,))
