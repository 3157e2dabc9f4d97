"""Idempotency keys: a purchase is made once per key, and its result given again afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Literal, TypeAlias

from attrs import frozen

from .orders import Order
from .refusal import Refusal

Scope: TypeAlias = Literal["create", "reactivate"]
"""Keys of different scopes never collide."""


@frozen
class Purchase:
    """What a purchase gave, as it was at that time: ``orders`` are copies that stay as they are."""

    at: datetime
    orders: tuple[Order, ...]
    failed_count: int


@frozen
class _Record:
    fingerprint: str
    result: Purchase | Refusal


def fingerprint(body: Mapping[str, object]) -> str:
    """Give the canonical form of a request body: key order and nulls do not matter."""
    given = {name: value for name, value in body.items() if value is not None}
    return json.dumps(given, sort_keys=True, default=str)


class IdempotencyKeys:
    """The keys that were used, with the result of each."""

    def __init__(self) -> None:
        self._records: dict[tuple[Scope, str], _Record] = {}

    def once(self, scope: Scope, key: str | None, body: str, purchase: Callable[[], Purchase]) -> Purchase:
        """Run ``purchase``, or give or raise the recorded result of an earlier run.

        ``body`` is a fingerprint. Only failures that reached a supplier are recorded; every other
        failure had no effect and leaves the key free. Without a key nothing is recorded.
        """
        if key is None:
            return purchase()
        record = self._records.get((scope, key))
        if record is not None:
            if record.fingerprint != body:
                raise Refusal("IDEMPOTENCY_KEY_REUSED", "The idempotency key was used with another body")
            if isinstance(record.result, Refusal):
                raise record.result.again()
            return record.result
        result: Purchase | Refusal
        try:
            result = purchase()
        except Refusal as refusal:
            if refusal.code == "PROVIDER_ERROR":
                self._records[scope, key] = _Record(body, refusal.again())
            raise
        self._records[scope, key] = _Record(body, result)
        return result
