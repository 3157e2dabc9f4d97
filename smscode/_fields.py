"""What the fields of models have in common: their order, and how their secrets are masked."""

from __future__ import annotations

from typing import Any

from attrs import Attribute

_FIRST = (
    *("id", "order_id", "status", "phone_number", "amount"),
    *("timestamp", "created_at", "expires_at", "otp_received_at", "canceled_at"),
    *("otp_code", "otp_message", "sms_revision", "failed_reason"),
    *("product_id", "catalog_product_id", "country", "platform"),
)
"""The fields of an order in their order, in JSON and OpenAPI, too; all others follow."""


def in_order(_: type[Any], fields: list[Attribute[Any]]) -> list[Attribute[Any]]:
    """Return the fields of an order with those of ``_FIRST`` first. Else inherited ones would come first."""
    return sorted(fields, key=lambda field: _FIRST.index(field.name) if field.name in _FIRST else len(_FIRST))


def mask(value: object) -> str:
    """Return a text masked for ``repr``: the ends of a phone number, else at most eight asterisks."""
    if value is None:
        return "None"
    text = str(value)
    if text.startswith("+") and len(text) > 8:
        return f"'{text[:4]}{'*' * (len(text) - 6)}{text[-2:]}'"
    return f"'{'*' * min(len(text), 8)}'"
