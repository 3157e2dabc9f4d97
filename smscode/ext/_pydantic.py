"""What pydantic is told about the models. Only pydantic calls this, so pydantic is there."""

from __future__ import annotations

from typing import Any, cast, get_type_hints

import attrs
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from ..core.plain import Model, to_dict


def core_schema_of(model: type[Model], handler: GetCoreSchemaHandler) -> CoreSchema:
    """Let a model pass as it is, make one from an object of its fields, and write it as `to_dict` does."""
    # What an unknown event holds is any JSON, a type too deep for pydantic to follow.
    hints = get_type_hints(model, localns={"JsonValue": object})
    fields = {
        field.name: core_schema.typed_dict_field(
            handler.generate_schema(hints[field.name]), required=field.default is attrs.NOTHING
        )
        for field in attrs.fields(cast("type[attrs.AttrsInstance]", model))
    }

    def make(values: dict[str, Any]) -> Model:
        return model(**values)

    made = core_schema.no_info_after_validator_function(make, core_schema.typed_dict_schema(fields))
    return core_schema.json_or_python_schema(
        json_schema=made,
        python_schema=core_schema.union_schema([core_schema.is_instance_schema(model), made]),
        serialization=core_schema.plain_serializer_function_ser_schema(to_dict),
        ref=f"{model.__module__}.{model.__qualname__}:{id(model)}",
    )


def json_schema_of(model: type[Model], schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
    """Describe the object of a model's fields, both as it is taken and as it is written."""
    made = cast(Any, schema)["json_schema"]["schema"]
    return {**handler(made), "title": model.__name__}
