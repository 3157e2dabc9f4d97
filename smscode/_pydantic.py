"""The pydantic schemas of the models. Only pydantic leads here, so it is installed."""

from __future__ import annotations

import functools
import inspect
import tomllib
import types
from collections.abc import Mapping
from enum import StrEnum
from importlib import resources
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

import attrs
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticSerializationUnexpectedValue, core_schema

from ._plain import plain

_EXAMPLES: Mapping[str, object] = {
    "id": 1453,
    "order_id": 1453,
    "status": "OTP_RECEIVED",
    "phone_number": "+6281234567823",
    "Money.amount": "0.9231",
    "currency": "USD",
    "canonical_amount": 15000,
    "canonical_currency": "IDR",
    "created_at": "2026-06-14T01:28:14+00:00",
    "expires_at": "2026-06-14T01:48:14+00:00",
    "otp_received_at": "2026-06-14T01:29:03+00:00",
    "otp_code": "482913",
    "otp_message": "Your code is 482913",
    "Country.code": "ID",
    "Service.code": "wa",
    "Sms.code": "482913",
    "text": "Your code is 482913",
    "product_id": 142,
    "catalog_product_id": 87,
    "country_id": 6,
    "platform_id": 3,
    "pair": "USD/IDR",
    "rate": 16250,
    "idempotency_key": "sale-17",
    "webhook_url": "https://hooks.example.net/sms",
}
"""Examples of fields: by their name, or by model and name."""


def core_schema_of(model: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
    """Return the schema by which a model is checked and written.

    An instance is accepted as it is, or made from an object with its fields. It is written as by `to_dict`,
    without the fields that the caller of pydantic excludes.
    """
    fields = {
        field.name: core_schema.typed_dict_field(
            _checked(hint, handler), required=field.default is attrs.NOTHING
        )
        for field, hint in _fields(model)
    }

    def make(values: dict[str, Any]) -> object:
        return model(**values)

    made = core_schema.no_info_after_validator_function(make, core_schema.typed_dict_schema(fields))
    return core_schema.json_or_python_schema(
        json_schema=made,
        python_schema=core_schema.union_schema([core_schema.is_instance_schema(model), made]),
        serialization=_written(model),
        ref=f"{model.__module__}.{model.__qualname__}:{id(model)}",
    )


def json_schema_of(model: type[Any], schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
    """Return the JSON schema of a model, the same for reading and writing, with texts and examples."""
    made = cast(Any, schema)["json_schema"]["schema"]
    described: dict[str, Any] = {
        **handler(made),
        "title": model.__name__,
        "description": _prose(model.__doc__ or ""),
    }
    texts = _texts()
    for name, field in described["properties"].items():
        field["description"] = _prose(texts.get(model.__name__, {}).get(name) or texts["all"][name])
        example = _EXAMPLES.get(name) or _EXAMPLES.get(f"{model.__name__}.{name}")
        if example is not None:
            field["examples"] = [example]
    return described


@functools.cache
def _texts() -> dict[str, dict[str, str]]:
    """Return what each field means, for all models and by model."""
    return tomllib.loads(resources.files("smscode").joinpath("fields.toml").read_text("utf-8"))


def _prose(text: str) -> str:
    """Return the first paragraph of a docstring, or a text, as Markdown about JSON."""
    paragraph = inspect.cleandoc(text).partition("\n\n")[0]
    return (
        " ".join(paragraph.split())
        .replace("``", "`")
        .replace("None", "null")
        .removesuffix(" Masked when printed.")
    )


def _fields(model: type[Any]) -> list[tuple[attrs.Attribute[Any], Any]]:
    # An unknown event holds any JSON, a recursive type that pydantic cannot follow.
    hints = get_type_hints(model, localns={"JsonValue": object})
    return [(field, hints[field.name]) for field in attrs.fields(cast("type[attrs.AttrsInstance]", model))]


def _choices(hint: object) -> tuple[Any, ...]:
    """Return the members of a union, or the type itself if it is no union."""
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _checked(hint: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    """Return the schema that checks a field. The text of an enumeration's member becomes that member."""
    schema = handler.generate_schema(hint)
    choices = _choices(hint)
    members: Mapping[object, StrEnum] = {
        member.value: member
        for choice in choices
        if str in choices and isinstance(choice, type) and issubclass(choice, StrEnum)
        for member in choice
    }
    if not members:
        return schema

    def known(value: object) -> object:
        return members.get(value, value)

    # In a union pydantic takes the member whose type fits exactly, which for a string is always str.
    return core_schema.no_info_after_validator_function(known, schema)


def _written(model: type[Any]) -> core_schema.WrapSerializerFunctionSerSchema:
    """Return the schema that writes a model, in which pydantic can exclude fields at every depth."""
    fields = _fields(model)
    schema = core_schema.typed_dict_schema(
        {
            field.name: core_schema.typed_dict_field(_with_default(field, _writing(hint)), required=False)
            for field, hint in fields
        }
    )

    def write(
        value: object, inner: core_schema.SerializerFunctionWrapHandler, info: core_schema.SerializationInfo
    ) -> object:
        if not isinstance(value, model):
            # In a union this makes pydantic try the next member.
            raise PydanticSerializationUnexpectedValue(f"{type(value).__name__} is no {model.__name__}")
        parts = {field.name: (field.default, getattr(value, field.name)) for field, _ in fields}
        if info.exclude_unset:
            # A model does not know which fields were sent, so a field with its default counts as not set.
            parts = {name: (default, part) for name, (default, part) in parts.items() if part != default}
        return inner({name: _shallow(part) for name, (_, part) in parts.items()})

    return core_schema.wrap_serializer_function_ser_schema(write, info_arg=True, schema=schema)


def _with_default(field: attrs.Attribute[Any], schema: CoreSchema) -> CoreSchema:
    """Return a schema with the field's default, for ``exclude_defaults``."""
    if field.default is attrs.NOTHING:
        return schema
    return core_schema.with_default_schema(schema, default=_shallow(field.default))


def _writing(hint: Any) -> CoreSchema:
    """Return the schema that writes a field after `_shallow`: models by their fields, the rest as it is."""
    models: list[CoreSchema] = []
    for choice in _choices(hint):
        if isinstance(choice, type) and attrs.has(choice):
            models.append(core_schema.any_schema(serialization=_written(choice)))
        if get_origin(choice) is tuple:
            return core_schema.list_schema(_writing(get_args(choice)[0]))
    if not models:
        return core_schema.any_schema()
    return core_schema.nullable_schema(models[0] if len(models) == 1 else core_schema.union_schema([*models]))


def _shallow(value: object) -> object:
    """Return a field's value as plain values, except for the models in it."""
    if attrs.has(type(value)):
        return value
    if isinstance(value, tuple):
        return [_shallow(item) for item in cast("tuple[object, ...]", value)]
    return plain(value)
