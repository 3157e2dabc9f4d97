"""Idempotency keys: a purchase is made once per key, and its result is answered again afterwards."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Literal, TypeAlias

from attrs import frozen

from .api_error import Problem, ServiceError

KeyScope: TypeAlias = Literal["create", "reactivate"]
"""Keys of different scopes never collide."""


@frozen
class KeyedPurchase:
    """The result of a purchase: the orders it made at that time, and how many numbers could not be rented."""

    at: datetime
    order_ids: tuple[int, ...]
    failed_count: int


@frozen
class KeyRecord:
    """The use of a key: the fingerprint of a body and the result, None while the purchase is settling."""

    fingerprint: str
    result: KeyedPurchase | Problem | None


def fingerprint(body: Mapping[str, object]) -> str:
    """Return the canonical form of a request body: the order of its fields and nulls do not matter."""
    given = {name: value for name, value in body.items() if value is not None}
    return json.dumps(given, sort_keys=True, default=str)


class IdempotencyKeys:
    """The keys that were used, with the result of each."""

    def __init__(self) -> None:
        self.records: dict[tuple[KeyScope, str], KeyRecord] = {}

    def find(self, scope: KeyScope, key: str, body: str) -> KeyedPurchase | None:
        """Return the result of an earlier purchase, None when the key is unused. ``body`` is a fingerprint.

        Raises `ServiceError` if the earlier purchase failed or is settling, or if it had another body.
        """
        record = self.records.get((scope, key))
        if record is None:
            return None
        if record.fingerprint != body:
            raise ServiceError("IDEMPOTENCY_KEY_REUSED", "The idempotency key was used with another body")
        if record.result is None:
            raise ServiceError("REQUEST_IN_PROGRESS", "A request with this idempotency key is still settling")
        if isinstance(record.result, Problem):
            raise ServiceError.of(record.result)
        return record.result

    def begin(self, scope: KeyScope, key: str, body: str) -> None:
        """Reserve a key for a purchase that settles later."""
        self.records[scope, key] = KeyRecord(body, None)

    def settle(self, scope: KeyScope, key: str, body: str, result: KeyedPurchase | Problem) -> None:
        """Store the result of a purchase.

        Of the failures only those of a supplier are stored; any other had no effect and frees the key.
        """
        if isinstance(result, Problem) and result.code != "PROVIDER_ERROR":
            self.records.pop((scope, key), None)
        else:
            self.records[scope, key] = KeyRecord(body, result)
