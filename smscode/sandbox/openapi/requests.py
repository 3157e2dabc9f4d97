"""The parameters and bodies of operations as OpenAPI, from the descriptions of the endpoints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Final

from attrs import evolve

from ...core.api.arguments import INT32, KEY_PATTERN
from ...core.api.call import CallKind, Endpoint
from ...core.api.parameters import ORDER_ID, OneOf, Parameter, Text, Whole
from ...core.versions import ApiVersion
from ..http.api_error import Json
from ..http.params import USD
from ..http.render import IN_DOLLARS
from .schemas import Schema, Schemas, closed, members, nullable

_EXAMPLES: Final[Mapping[str, Json]] = {
    "id": 1001,
    "country_id": 6,
    "platform_id": 3,
    "operator_id": 1,
    "product_id": 142,
    "catalog_product_id": 87,
    "webhook_url": "https://hooks.example.net/sms",
}
"""Products of every sandbox and the id of its first order, so that the examples can be sent as they are."""
_PRICE_EXAMPLES: Final = {
    "max_price": (20_000, "1.50"),
    "min_price": (1, "0.01"),
}
"""Price limits in rupiah and in dollars."""

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
    """Return the parameters in the path, the query and the headers of a request."""
    found: list[Json] = [_ORDER_PARAMETER] if "{id}" in endpoint.path else []
    for parameter in _known(endpoint.query, generation):
        described: Schema = {"name": parameter.name, "in": "query", "description": _about(parameter)}
        if parameter.required:
            described["required"] = True
        found.append({**described, "schema": value_schema(parameter, "v1")})
    if endpoint.kind is CallKind.CREATE:
        found.append(_KEY_PARAMETER)
    return found


def request_body(endpoint: Endpoint[object], version: ApiVersion, schemas: Schemas) -> Schema | None:
    """Return the description of a request's body, None if there is none."""
    fields = _known(endpoint.fields, schemas.generation)
    if not fields:
        return None
    if any(field.needs_catalog_product for field in fields):
        current = schemas.generation == "current"
        routed_only = {field.name for field in fields if field.is_for_catalog_product(current=current)}
        # An order for one price tier: the fields of a routed one can only be null.
        tier = _order_schema(fields, "product_id", {"catalog_product_id", *routed_only}, version)
        routed = _order_schema(fields, "catalog_product_id", {"product_id"}, version)
        schema: Schema = {"oneOf": [tier, routed]}
    else:
        required = [field.name for field in fields if field.required]
        schema = closed({field.name: value_schema(field, version) for field in fields}, required)
        if not required:
            schema["anyOf"] = [
                {"required": [field.name], "properties": {field.name: {"type": "string"}}} for field in fields
            ]
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def value_schema(parameter: Parameter, version: ApiVersion) -> Schema:
    """Return the schema of a parameter's value."""
    type_ = parameter.kind
    schema: Schema
    if isinstance(type_, Whole):
        schema = {"type": "integer", "format": "int32" if type_.high <= INT32[1] else "int64"}
        if type_.clamped:
            schema["format"] = "int64"
        else:
            schema |= {"minimum": type_.low, "maximum": type_.high}
    elif isinstance(type_, Text):
        schema = {"type": "string"}
        if type_.longest is not None:
            schema["maxLength"] = type_.longest
        if type_.pattern is not None:
            schema["pattern"] = type_.pattern
    elif isinstance(type_, OneOf):
        schema = members(type_.members)
        if type_.lenient:
            schema = {"anyOf": [schema, {"type": "string"}]}
    elif IN_DOLLARS[version]:
        schema = {"type": "string", "pattern": f"^{USD.pattern}$"}
    else:
        schema = {"type": "integer", "format": "int64", "minimum": 0}
    if parameter.nullable:
        schema = nullable(schema)
    if parameter.default is not None:
        schema["default"] = parameter.default
    if parameter.name in _EXAMPLES:
        schema["examples"] = [_EXAMPLES[parameter.name]]
    elif parameter.name in _PRICE_EXAMPLES:
        schema["examples"] = [_PRICE_EXAMPLES[parameter.name][IN_DOLLARS[version]]]
    return schema


def _known(parameters: Iterable[Parameter], generation: str) -> list[Parameter]:
    return [parameter for parameter in parameters if generation == "current" or not parameter.current_only]


def _about(parameter: Parameter) -> str:
    type_ = parameter.kind
    if isinstance(type_, Whole) and type_.clamped:
        return f"{parameter.about} Moved into {type_.low}..{type_.high}."
    if isinstance(type_, OneOf) and type_.any_case:
        return f"{parameter.about} In any case of letters."
    if isinstance(type_, OneOf) and type_.lenient:
        return f"{parameter.about} Anything else means the default."
    return parameter.about


def _order_schema(
    fields: Iterable[Parameter], product: str, misplaced: Set[str], version: ApiVersion
) -> Schema:
    properties: dict[str, Json] = {}
    for field in fields:
        described = {
            **value_schema(evolve(field, nullable=field.nullable and field.name != product), version)
        }
        if field.name in misplaced:
            if not field.nullable:
                continue
            described = {"type": "null"}
        properties[field.name] = {"description": _about(field), **described}
    return closed(properties, (product,))
