"""How models are shown: as one short line, and as a table in notebooks. Secrets are masked in both.

A field with a function as its ``repr`` is shown as that function returns it.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any, cast

import attrs

SHOWN: Mapping[str, str] = {
    "ActiveOrder": "id status =otp_code =otp_message expires_at",
    "Balance": "balance",
    "CanceledOrder": "order_id status =refund_amount =new_balance",
    "Country": "id name code dial_code",
    "CreatedOrder": "id status phone_number amount expires_at",
    "CreatedOrders": "orders =failed_count =problems",
    "ExchangeRate": "pair rate rate_as_of",
    "FinishedOrder": "order_id status",
    "FxRate": "pair rate rate_as_of",
    "Money": "amount currency =canonical_amount",
    "OfferStats": "=catalog_product_id =product_id =numbers =codes =success_rate =cost_per_code",
    "Operator": "operator_id code name",
    "Order": "id status phone_number amount =otp_code =otp_message created_at expires_at",
    "OrderChange": "order_id status =sms =ended =problem",
    "OrderEvent": "order_id phone_number =otp_code =otp_message timestamp",
    "OrderPage": "items =limit =offset =problems",
    "Product": "id name price =catalog_product_id =available operator_name",
    "ProductPage": "items =page =limit =problems",
    "ReactivateOptions": "cost",
    "ResendResult": "order_id status =resent",
    "Service": "id code name",
    "Sms": "order_id =code =text =revision received_at",
    "UnknownEvent": "event timestamp",
    "WebhookConfig": "webhook_url =webhook_secret webhook_disabled_at =webhook_consecutive_failures",
    "WebhookTest": "message timestamp",
    "WebhookTestResult": "status_code",
}
"""What is shown of each model, first what identifies it: ``name`` is the value of a field, ``=name`` is
the value after its name. A subclass shows what its base does."""

_MOST_NAMED = 100
_FEW = 3  # items of a tuple that are shown, by what identifies them


def one_line(model: object) -> str:
    """Return a model as one line, without the fields that are None or have their default.

    Example: ``CreatedOrder(1453, ACTIVE, '+628********23', $0.9231, expires 01:48:14Z)``.
    """
    parts: list[str] = []
    for word, field in _fields(model):
        value = getattr(model, field.name)
        if parts and (value is None or value == field.default):
            continue
        text = _text(field, value)
        if isinstance(value, tuple):
            text = f"{len(cast('tuple[object, ...]', value))} {field.name}{text}"
        elif isinstance(value, datetime):
            text = f"{field.name.removesuffix('_at').replace('_', ' ')} {text}"
        elif word.startswith("="):
            text = f"{field.name}={text}"
        parts.append(text)
    return f"{type(model).__name__}({', '.join(parts)})"


def table(*models: object) -> str:
    """Return models of one type as an HTML table: a row for each, or for each model in a single one."""
    rows: Sequence[object] = models
    for _, field in _fields(models[0]) if len(models) == 1 else ():
        held = getattr(models[0], field.name)
        if isinstance(held, tuple) and held and attrs.has(type(cast("tuple[object]", held)[0])):
            rows = cast("tuple[object]", held)
    fields = [field for _, field in _fields(rows[0])]
    head = "".join(f"<th>{html.escape(field.name)}</th>" for field in fields)
    body = "".join(
        f"<tr>{''.join(f'<td>{_cell(field, getattr(row, field.name))}</td>' for field in fields)}</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def first_of(names: Sequence[str]) -> str:
    """Return the first names of a list as text, at most a hundred, and how many more there are."""
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def _fields(model: object) -> list[tuple[str, attrs.Attribute[Any]]]:
    """Return the words of `SHOWN` for a model, each with its field."""
    fields = attrs.fields_dict(cast("type[attrs.AttrsInstance]", type(model)))
    words = next(SHOWN[base.__name__] for base in type(model).__mro__ if base.__name__ in SHOWN)
    return [(word, fields[word.lstrip("=")]) for word in words.split()]


def _text(field: attrs.Attribute[Any], value: object) -> str:
    """Return the value of a field as short text."""
    if callable(field.repr):
        return field.repr(value)
    if isinstance(value, datetime):
        shown = value.isoformat(" ", "seconds").replace("+00:00", "Z")
        return shown.partition(" ")[2] if field.name == "expires_at" else shown
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, tuple):
        return _items(cast("tuple[object, ...]", value))
    return str(value) if isinstance(value, Enum | Decimal) or attrs.has(type(value)) else repr(value)


def _items(values: tuple[object, ...]) -> str:
    """Return the first items of a tuple by what identifies them; nothing for items that are no models."""
    if not values or not attrs.has(type(values[0])):
        return ""
    (_, field), *_ = _fields(values[0])
    shown = [_text(field, getattr(value, field.name)) for value in values[:_FEW]]
    return f" [{', '.join([*shown, *['...'] * (len(values) > _FEW)])}]"


def _cell(field: attrs.Attribute[Any], value: object) -> str:
    """Return the value of a field for a cell: texts without quotation marks, None as nothing."""
    if value is None:
        return ""
    text = _text(field, value)
    return html.escape(text[1:-1] if isinstance(value, str) and not isinstance(value, Enum) else text)
