"""Converts models to dicts and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, cast

from ._plain import plain_fields
from ._value import Value
from .errors import InvalidArgumentError, JsonValue


class Model(Value):
    """The base of all models: `to_dict` and `to_json` accept it, and pydantic can check and write it."""

    __slots__ = ()

    def __repr__(self) -> str:
        from . import _display

        return _display.one_line(self)

    def _repr_html_(self) -> str:
        """Return the model as a table, for notebooks: with a row for each model in it."""
        from . import _display

        return _display.table(self)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> object:
        """Return the schema by which pydantic checks and writes the model; only pydantic calls this."""
        from . import _pydantic

        return _pydantic.core_schema_of(cls, cast(Any, handler))

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: object, handler: object) -> object:
        """Return the JSON schema of the model; only pydantic calls this."""
        from . import _pydantic

        return _pydantic.json_schema_of(cls, cast(Any, schema), cast(Any, handler))


def to_dict(model: Model) -> dict[str, JsonValue]:
    """Return a model as a dict of plain values, named as in the JSON of the service.

    Amounts become decimal strings in an object with their currency, as in API version 2; times become ISO
    8601 strings, enumerations strings, tuples lists. Nothing is masked: phone numbers, codes and messages are
    included. Raises `InvalidArgumentError` for an object that is no model.
    """
    if not isinstance(cast(object, model), Model):
        raise InvalidArgumentError(f"model: expected a model of smscode, got {type(model).__name__}.")
    return plain_fields(model)


def to_json(models: Model | Iterable[Model], *, indent: int | None = None) -> str:
    """Return a model as a JSON object, or several models as a JSON array; see `to_dict`.

    ``indent`` is the number of spaces for each level, None (the default) for one line. Raises
    `InvalidArgumentError` for an object that is no model. Example::

        Path("order.json").write_text(to_json(order, indent=2))
    """
    written = to_dict(models) if isinstance(models, Model) else [to_dict(model) for model in models]
    return json.dumps(written, ensure_ascii=False, indent=indent)
