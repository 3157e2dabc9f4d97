"""Models as plain values, for JSON, other libraries and logs of one's own."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, cast

from ._plain import plain_fields
from .errors import InvalidArgumentError, JsonValue


class Model:
    """What all models have in common: they can be written as JSON, and pydantic understands them."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> object:
        """Return how pydantic checks and writes a model; only pydantic calls this, and so it is there."""
        from . import _pydantic

        return _pydantic.core_schema_of(cls, cast(Any, handler))

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: object, handler: object) -> object:
        """Return how a model's JSON looks, for the documentation of a web service."""
        from . import _pydantic

        return _pydantic.json_schema_of(cls, cast(Any, schema), cast(Any, handler))


def to_dict(model: Model) -> dict[str, JsonValue]:
    """Write a model as a dict of plain values, as they are in the JSON of the service.

    Amounts are decimal strings in an object with their currency, as in API version 2; times are ISO 8601,
    enumerations their text, tuples lists. Nothing is masked: phone numbers, codes and messages are there.
    Raises `InvalidArgumentError` for what is no model.
    """
    if not isinstance(cast(object, model), Model):
        raise InvalidArgumentError(f"model: expected a model of smscode, got {type(model).__name__}.")
    return plain_fields(model)


def to_json(models: Model | Iterable[Model], *, indent: int | None = None) -> str:
    """Write a model, or an array of several, as JSON; see `to_dict`.

    ``indent`` is the number of spaces for each level, None for one line.
    """
    written = to_dict(models) if isinstance(models, Model) else [to_dict(model) for model in models]
    return json.dumps(written, ensure_ascii=False, indent=indent)
