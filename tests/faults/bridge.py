"""What the scenarios need of the client's surface for purchases, in one place.

A client without `prepare` and `submit` is served by `create` with a key of its own, so that the
scenarios ran before intents did.
"""

from __future__ import annotations

import importlib
import inspect
import uuid
from dataclasses import dataclass
from typing import Any

from smscode import AsyncClient


@dataclass(frozen=True)
class Stand:
    """Stands for an intent: the arguments of a purchase, with its key."""

    key: str
    arguments: dict[str, Any]


_open: dict[int, dict[str, Stand]] = {}


def has_intents() -> bool:
    """Tell whether the client offers intents."""
    orders: Any = importlib.import_module("smscode._async.orders").AsyncOrders
    return hasattr(orders, "prepare")


def without_limits() -> dict[str, Any]:
    """Give the argument that switches rate limits off, if there are any."""
    return {"rate_limits": None} if "rate_limits" in inspect.signature(AsyncClient).parameters else {}


def prepare(client: Any, **arguments: Any) -> Any:
    """Freeze a purchase, without any I/O."""
    if has_intents():
        return client.orders.prepare(**arguments)
    return Stand(uuid.uuid4().hex, arguments)


def key_of(intent: Any) -> str:
    """Give the idempotency key of an intent."""
    if isinstance(intent, Stand):
        return intent.key
    return str(getattr(intent, "idempotency_key", None) or intent.key)


def submit(client: Any, intent: Any, **limit: Any) -> Any:
    """Begin to make a purchase, or to find out what became of it."""
    if not isinstance(intent, Stand):
        return client.orders.submit(intent, **limit)
    return client.orders.create(**intent.arguments, idempotency_key=intent.key, **limit)


def unresolved(client: Any) -> list[Any]:
    """Give the purchases that the client does not know the end of."""
    return list(client.orders.unresolved()) if has_intents() else []
