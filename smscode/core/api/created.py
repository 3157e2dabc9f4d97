"""Reading the answer to a purchase: an order is never lost because another field cannot be read."""

from __future__ import annotations

from ...errors import JsonValue
from ...models import CreatedOrder, CreatedOrders
from ..decoding.converter import Envelope, Mismatch, salvage, structure
from ..versions import ApiVersion


def created_orders(envelope: Envelope) -> CreatedOrders:
    """Return the orders of a create or reactivate answer.

    The balance has been charged, so every row with an order id is returned, with the fields that can be read;
    the others are named in ``problems``. Raises `Mismatch` only if there are rows but no id can be read.
    """
    data = envelope.data if type(envelope.data) is dict else {}
    rows = data.get("orders")
    if type(rows) is not list:
        raise Mismatch("$.data.orders", "expected an array of orders")
    problems: list[str] = []
    orders: list[CreatedOrder] = []
    for number, row in enumerate(rows):
        path = f"$.data.orders[{number}]"
        try:
            orders.append(structure(envelope.version, row, CreatedOrder, path))
        except Mismatch as mismatch:
            problems.append(str(mismatch))
            orders += _salvage(envelope.version, row, path)
    if rows and not orders:
        raise Mismatch(*problems[0].split(": ", 1))
    try:
        fx = envelope.fx
    except Mismatch as mismatch:
        problems.append(str(mismatch))
        fx = None
    failed_count = data.get("failed_count")
    if type(failed_count) is not int or failed_count < 0:
        problems.append("$.data.failed_count: expected an integer of at least 0")
        failed_count = 0
    return CreatedOrders(tuple(orders), failed_count, envelope.idempotency_key, fx, tuple(problems))


def _salvage(version: ApiVersion, row: JsonValue, path: str) -> list[CreatedOrder]:
    """Return an order with the fields that can be read, nothing without its id."""
    if type(row) is not dict or type(row.get("id")) is not int:
        return []
    return [salvage(version, row, CreatedOrder, path, "id")]
