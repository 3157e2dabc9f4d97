"""The models as JSON Schema: closed objects with every field that the sandbox sends."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from types import NoneType
from typing import Final, TypeAlias, get_args, get_type_hints

from ...errors import API_ERRORS
from ...models import ActiveOrder, CreatedOrder, ExchangeRate, Order, OrderStatus, Product, WebhookConfig
from ...money import BALANCE_PLACES, PRICE_PLACES, FxRate, Money
from ...webhooks import OrderEvent
from ..http.api_error import Json
from ..http.render import ORDER_FIELDS, Generation, Shape, Version

Schema: TypeAlias = dict[str, Json]

_SHAPES: Final[Mapping[type[object], Shape]] = {
    Order: "summary",
    ActiveOrder: "active",
    CreatedOrder: "created",
    OrderEvent: "webhook",
}
_NEWER: Final[Mapping[type[object], frozenset[str]]] = {
    Product: frozenset({"operator_id", "operator_name"}),
    WebhookConfig: frozenset(
        {"webhook_disabled_at", "webhook_disabled_reason", "webhook_consecutive_failures"}
    ),
}
"""The fields that only the current generation sends; for orders `ORDER_FIELDS` has them."""

# In the models these are None for servers that do not send them, never for one that does.
_NEVER_NULL: Final = frozenset(
    {
        *("status", "product_id", "amount", "sms_revision", "webhook_consecutive_failures"),
        *("can_finish", "can_resend", "can_cancel", "can_replace", "can_reactivate"),
        *("base_currency", "quote_currency"),
    }
)
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


def reference(name: str, kind: str = "schemas") -> Schema:
    """Refer to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def closed(properties: Mapping[str, Json], required: Iterable[str] | None = None) -> Schema:
    """Describe an object with these fields and no others; all are required unless said otherwise."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties if required is None else required),
        "additionalProperties": False,
    }


def nullable(schema: Schema) -> Schema:
    """Allow null beside the one type of a schema."""
    return {**schema, "type": [schema["type"], "null"]}


def prose(documented: object) -> str:
    """Return the first paragraph of a docstring as Markdown about JSON."""
    paragraph = (inspect.getdoc(documented) or "").partition("\n\n")[0]
    return " ".join(paragraph.split()).replace("``", "`").replace("None", "null")


def members(choices: type[StrEnum]) -> Schema:
    """Describe a member of an enumeration."""
    return {"type": "string", "enum": [member.value for member in choices]}


class Schemas:
    """The components of a document: what is described once is referred to everywhere else."""

    def __init__(self, generation: Generation) -> None:
        self.generation: Generation = generation
        self.components: dict[str, Schema] = {}
        self.responses: dict[str, Schema] = {}

    def add(self, name: str, schema: Schema, about: str = "") -> Schema:
        """Keep a component and give the reference to it."""
        self.components.setdefault(name, {"description": about, **schema} if about else schema)
        return reference(name)

    def model(self, model: type[object], version: Version) -> Schema:
        """Describe what the service sends for a model."""
        hints = get_type_hints(model)
        names = [name for name in self._sent(model, version) if name in hints]
        name = f"{model.__name__}{version.upper()}" if Money in map(_bare, hints.values()) else model.__name__
        fields = {field: self._field(model, field, hints[field], version) for field in names}
        return self.add(name, closed(fields), prose(model))

    def rate(self) -> Schema:
        """Describe an exchange rate as v2 shows it."""
        fields: dict[str, Json] = {
            name: self._field(FxRate, name, hint, "v2") for name, hint in get_type_hints(FxRate).items()
        }
        return self.add(
            "FxRate", closed({**fields, "pair": {"const": "USD/IDR"}}), "The rate behind all amounts."
        )

    def money(self, version: Version, *, balance: bool = False) -> Schema:
        """Describe an amount: an integer of rupiah on v1, dollars beside rupiah on v2."""
        if version == "v1":
            return {"type": "integer", "format": "int64", "minimum": 0}
        places = BALANCE_PLACES if balance else PRICE_PLACES
        fields: dict[str, Json] = {
            "amount": {"type": "string", "pattern": rf"^[0-9]+\.[0-9]{{{places}}}$"},
            "currency": {"const": "USD"},
            "canonical_amount": {"type": "integer", "format": "int64", "minimum": 0},
            "canonical_currency": {"const": "IDR"},
        }
        name = "BalanceMoney" if balance else "PriceMoney"
        return self.add(
            name, closed(fields), f"Dollars with {places} decimals, and the exact value in rupiah."
        )

    def refusal(self, code: str) -> Schema:
        """Describe the error envelope of a code."""
        details: Schema = {"type": "object"}
        if code in _DETAILS:
            details["properties"] = _DETAILS[code]
        error = closed(
            {"code": {"const": code}, "message": {"type": "string"}, "details": details}, ("code", "message")
        )
        return self.add(
            code, closed({"success": {"const": False}, "error": error}), prose(API_ERRORS[code][0])
        )

    def _sent(self, model: type[object], version: Version) -> Iterable[str]:
        if model in _SHAPES:
            return ORDER_FIELDS[self.generation][_SHAPES[model]]
        if model is ExchangeRate:
            return ("pair", "base_currency", "quote_currency", "rate")
        newer = _NEWER.get(model, frozenset()) if self.generation == "documented" else frozenset[str]()
        return [name for name in get_type_hints(model) if name not in newer]

    def _field(self, model: type[object], name: str, hint: object, version: Version) -> Schema:
        type_ = _bare(hint)
        described: Schema
        if type_ is Money:
            described = self.money(version, balance=name.endswith("balance"))
        elif type_ is OrderStatus:
            described = self.add("OrderStatus", members(OrderStatus), prose(OrderStatus))
        elif type_ is datetime:
            described = {"type": "string", "format": "date-time"}
        elif type_ is bool:
            described = {"type": "boolean"}
        elif type_ is int:
            described = {"type": "integer", "format": "int64" if name in _WIDE else "int32"}
        else:
            described = {"type": "string"}
        never = name in _NEVER_NULL and model is not OrderEvent
        return nullable(described) if NoneType in get_args(hint) and not never else described


def _bare(hint: object) -> object:
    """Return the type of a field beside the None, and beside the str of an open enumeration."""
    choices = [choice for choice in get_args(hint) if choice is not NoneType]
    return choices[0] if choices else hint
