"""The models as JSON Schema: closed objects with every field that the sandbox sends."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from types import NoneType
from typing import Final, TypeAlias, get_args, get_type_hints

from ...core.versions import ApiVersion
from ...errors import API_ERRORS
from ...models import ExchangeRate, OrderStatus
from ...money import BALANCE_PLACES, PRICE_PLACES, FxRate, Money
from ...webhook_events import OrderEvent
from ..http.api_error import Json
from ..http.render import IN_DOLLARS, Generation, sent_fields

Schema: TypeAlias = dict[str, Json]

# The models allow None for servers that do not send these fields; this service always sends a value. The same
# is true of every field of a type that has a value for each order.
_NEVER_NULL: Final = frozenset(
    {"product_id", "sms_revision", "webhook_consecutive_failures", "base_currency", "quote_currency"}
)
_NEVER_NULL_TYPES: Final = (bool, Money, OrderStatus)
_SCALARS: Final[Mapping[object, Schema]] = {
    datetime: {"type": "string", "format": "date-time"},
    bool: {"type": "boolean"},
}
_WIDE: Final = frozenset({"rate", "page", "limit", "count", "sms_revision", "canonical_amount"})
"""The integers of 64 bits; all others have 32."""

_DETAILS: Final[Mapping[str, Schema]] = {
    "VALIDATION_ERROR": {
        "fields": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "What is wrong with each field.",
        }
    },
    "PROVIDER_ERROR": {
        "cause_counts": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}},
        "attempts": {"type": "array", "items": {}},
    },
    "TEMP_BANNED_ABUSE_GUARD": {
        "until": {"type": "string", "format": "date-time"},
        "tier": {"type": "string"},
        "retry_after_seconds": {"type": "integer", "minimum": 0},
    },
}


def reference(name: str, component: str = "schemas") -> Schema:
    """Return a reference to a component."""
    return {"$ref": f"#/components/{component}/{name}"}


def closed(properties: Mapping[str, Json], required: Iterable[str] | None = None) -> Schema:
    """Return the schema of an object with these fields and no others; by default all are required."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties if required is None else required),
        "additionalProperties": False,
    }


def nullable(schema: Schema) -> Schema:
    """Return a schema that also allows null."""
    return {**schema, "type": [schema["type"], "null"]}


def prose(documented: object) -> str:
    """Return the first paragraph of a docstring as Markdown about JSON."""
    paragraph = (inspect.getdoc(documented) or "").partition("\n\n")[0]
    return " ".join(paragraph.split()).replace("``", "`").replace("None", "null")


def members(choices: type[StrEnum]) -> Schema:
    """Return the schema of a member of an enumeration."""
    return {"type": "string", "enum": [member.value for member in choices]}


class Schemas:
    """The components of a document: each is described once and referred to everywhere else."""

    def __init__(self, generation: Generation) -> None:
        self.generation: Generation = generation
        self.components: dict[str, Schema] = {}
        self.responses: dict[str, Schema] = {}

    def add(self, name: str, schema: Schema, about: str = "") -> Schema:
        """Add a component and return a reference to it."""
        self.components.setdefault(name, {"description": about, **schema} if about else schema)
        return reference(name)

    def model(self, model: type[object], version: ApiVersion) -> Schema:
        """Return the schema of a model."""
        hints = get_type_hints(model)
        name = f"{model.__name__}{version.upper()}" if Money in map(_bare, hints.values()) else model.__name__
        names = sent_fields(model, self.generation)
        fields = {field: self._field(model, field, hints[field], version) for field in names}
        if model is ExchangeRate:
            del fields["rate_as_of"]  # v2 sends it, as part of `rate`
        return self.add(name, closed(fields), prose(model))

    def rate(self) -> Schema:
        """Return the schema of an exchange rate of v2."""
        fields: dict[str, Json] = {
            name: self._field(FxRate, name, hint, "v2") for name, hint in get_type_hints(FxRate).items()
        }
        described = closed({**fields, "pair": {"const": "USD/IDR"}})
        return self.add("FxRate", described, "The rate behind all amounts.")

    def money(self, version: ApiVersion, *, balance: bool = False) -> Schema:
        """Return the schema of an amount: an integer of rupiah, or dollars beside rupiah."""
        if not IN_DOLLARS[version]:
            return {"type": "integer", "format": "int64", "minimum": 0}
        places = BALANCE_PLACES if balance else PRICE_PLACES
        described = closed(
            {
                "amount": {"type": "string", "pattern": rf"^[0-9]+\.[0-9]{{{places}}}$"},
                "currency": {"const": "USD"},
                "canonical_amount": {"type": "integer", "format": "int64", "minimum": 0},
                "canonical_currency": {"const": "IDR"},
            }
        )
        about = f"Dollars with {places} decimals, and the exact value in rupiah."
        return self.add("BalanceMoney" if balance else "PriceMoney", described, about)

    def error(self, code: str) -> Schema:
        """Return the schema of the error envelope of a code."""
        details: Schema = {"type": "object"}
        if code in _DETAILS:
            details["properties"] = _DETAILS[code]
        error = closed(
            {"code": {"const": code}, "message": {"type": "string"}, "details": details}, ("code", "message")
        )
        envelope = closed({"success": {"const": False}, "error": error})
        return self.add(code, envelope, prose(API_ERRORS[code][0]))

    def _field(self, model: type[object], name: str, hint: object, version: ApiVersion) -> Schema:
        type_ = _bare(hint)
        described: Schema
        if type_ is Money:
            described = self.money(version, balance=name.endswith("balance"))
        elif type_ is OrderStatus:
            described = self.add("OrderStatus", members(OrderStatus), prose(OrderStatus))
        elif type_ is int:
            described = {"type": "integer", "format": "int64" if name in _WIDE else "int32"}
        else:
            described = _SCALARS.get(type_, {"type": "string"})
        never = type_ in _NEVER_NULL_TYPES or (name in _NEVER_NULL and model is not OrderEvent)
        return nullable(described) if NoneType in get_args(hint) and not never else described


def _bare(hint: object) -> object:
    """Return the type of a field without None, and without the str of an open enumeration."""
    choices = [choice for choice in get_args(hint) if choice is not NoneType]
    return choices[0] if choices else hint
