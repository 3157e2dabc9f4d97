"""What pydantic is told about the models. Only pydantic calls this, so pydantic is there."""

from __future__ import annotations

import types
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

import attrs
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticSerializationUnexpectedValue, core_schema

from ._plain import plain


def core_schema_of(model: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
    """Return how a model is checked and written.

    A model passes as it is, or is made from an object of its fields. It is written as `to_dict` does, but for
    the fields that the caller of pydantic leaves out.
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
    """Describe the object of a model's fields, both as it is taken and as it is written."""
    made = cast(Any, schema)["json_schema"]["schema"]
    return {**handler(made), "title": model.__name__}


def _fields(model: type[Any]) -> list[tuple[attrs.Attribute[Any], Any]]:
    # What an unknown event holds is any JSON, a type too deep for pydantic to follow.
    hints = get_type_hints(model, localns={"JsonValue": object})
    return [(field, hints[field.name]) for field in attrs.fields(cast("type[attrs.AttrsInstance]", model))]


def _choices(hint: object) -> tuple[Any, ...]:
    """Return the types of a union, or the one type that is none."""
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _checked(hint: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    """Return how a field is checked. Where a text may be a member of an enumeration, it is that member."""
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

    # pydantic takes the choice whose type fits exactly, and for a text that is always str.
    return core_schema.no_info_after_validator_function(known, schema)


def _written(model: type[Any]) -> core_schema.WrapSerializerFunctionSerSchema:
    """Return how a model is written: at every depth pydantic leaves out of its fields what it is told to."""
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
            # In a union this makes pydantic try the next choice.
            raise PydanticSerializationUnexpectedValue(f"{type(value).__name__} is no {model.__name__}")
        parts = {field.name: (field.default, getattr(value, field.name)) for field, _ in fields}
        if info.exclude_unset:
            # Whether a field was sent is not kept: one that is as if it had not been counts as not set.
            parts = {name: (default, part) for name, (default, part) in parts.items() if part != default}
        return inner({name: _shallow(part) for name, (_, part) in parts.items()})

    return core_schema.wrap_serializer_function_ser_schema(write, info_arg=True, schema=schema)


def _with_default(field: attrs.Attribute[Any], schema: CoreSchema) -> CoreSchema:
    """Return a schema that knows the field's default, for ``exclude_defaults``."""
    if field.default is attrs.NOTHING:
        return schema
    return core_schema.with_default_schema(schema, default=_shallow(field.default))


def _writing(hint: Any) -> CoreSchema:
    """Return how a field is written, after `_shallow`: models by their fields, the rest as it is."""
    for choice in _choices(hint):
        if isinstance(choice, type) and attrs.has(choice):
            return core_schema.nullable_schema(core_schema.any_schema(serialization=_written(choice)))
        if get_origin(choice) is tuple:
            return core_schema.list_schema(_writing(get_args(choice)[0]))
    return core_schema.any_schema()


def _shallow(value: object) -> object:
    """Return a field's value as plain values, but with the models in it as they are."""
    if attrs.has(type(value)):
        return value
    if isinstance(value, tuple):
        return [_shallow(item) for item in cast("tuple[object, ...]", value)]
    return plain(value)
