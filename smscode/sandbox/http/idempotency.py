"""Idempotency keys: a purchase is made once per key, and its result given again afterwards."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Literal, TypeAlias

from attrs import frozen

from .api_error import Problem, Refusal

KeyScope: TypeAlias = Literal["create", "reactivate"]
"""Keys of different scopes never collide."""


@frozen
class KeyedPurchase:
    """What a purchase gave: the orders it made at that time, and how many it could not make."""

    at: datetime
    order_ids: tuple[int, ...]
    failed_count: int


@frozen
class KeyRecord:
    """What a key was used for: a body's fingerprint and its result, None while that is still settling."""

    fingerprint: str
    result: KeyedPurchase | Problem | None


def fingerprint(body: Mapping[str, object]) -> str:
    """Return the canonical form of a request body: key order and nulls do not matter."""
    given = {name: value for name, value in body.items() if value is not None}
    return json.dumps(given, sort_keys=True, default=str)


class IdempotencyKeys:
    """The keys that were used, with the result of each."""

    def __init__(self) -> None:
        self.records: dict[tuple[KeyScope, str], KeyRecord] = {}

    def find(self, scope: KeyScope, key: str, body: str) -> KeyedPurchase | None:
        """Return or raise the result of an earlier purchase, None when the key is free.

        ``body`` is a fingerprint: the same key with another one is refused.
        """
        record = self.records.get((scope, key))
        if record is None:
            return None
        if record.fingerprint != body:
            raise Refusal("IDEMPOTENCY_KEY_REUSED", "The idempotency key was used with another body")
        if record.result is None:
            raise Refusal("REQUEST_IN_PROGRESS", "A request with this idempotency key is still settling")
        if isinstance(record.result, Problem):
            raise Refusal.of(record.result)
        return record.result

    def begin(self, scope: KeyScope, key: str, body: str) -> None:
        """Reserve a key for a purchase that settles later."""
        self.records[scope, key] = KeyRecord(body, None)

    def settle(self, scope: KeyScope, key: str, body: str, result: KeyedPurchase | Problem) -> None:
        """KeyRecord what became of a purchase.

        Only failures that reached a supplier are recorded; every other failure had no effect and
        releases the key.
        """
        if isinstance(result, Problem) and result.code != "PROVIDER_ERROR":
            self.records.pop((scope, key), None)
        else:
            self.records[scope, key] = KeyRecord(body, result)
