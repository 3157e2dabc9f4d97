"""The fault server's own books: balance, orders, refunds, idempotency keys. Money is whole rupiah.

Standard library only.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

START = 10_000_000_000
PRICE = 9_800
WITH_SMS = 700
"""The catalog product whose orders have their SMS at once; the others never get one."""
REFUSED_UPSTREAM = 901
"""The catalog product that the supplier refuses: a failure recorded under the key."""
NOTHING_OFFERED = 902
"""The catalog product without offers: a failure that releases the key."""

_FIRST_ORDER = 100_001  # six digits throughout, so that answers have one length


class Refusal(Exception):
    """An error of the API; ``recorded`` failures stay under the idempotency key."""

    def __init__(self, status: int, code: str, message: str, *, recorded: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.recorded = recorded


@dataclass
class Order:
    """A number that was rented."""

    id: int
    intent: str
    key: str | None
    product: int
    price: int
    status: Literal["ACTIVE", "OTP_RECEIVED", "COMPLETED", "CANCELED"] = "ACTIVE"
    code: str | None = None
    resends: int = 0
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


@dataclass
class Entry:
    """What is remembered under an idempotency key; no ``orders`` and no ``refusal``: in progress."""

    body: bytes
    orders: list[Order] | None = None
    refusal: Refusal | None = None

    @property
    def in_progress(self) -> bool:
        """Return True if the purchase has not been settled."""
        return self.orders is None and self.refusal is None


@dataclass
class Ledger:
    """The account, with the rules of the documentation.

    ``purchases`` counts by intent. ``made`` has every purchase by its key, with its time (seconds of the
    machine's monotonic clock) and orders; it stays when the service forgets its keys.
    """

    balance: int = START
    start: int = START
    refunds: int = 0
    orders: dict[int, Order] = field(default_factory=dict[int, Order])
    keys: dict[str, Entry] = field(default_factory=dict[str, Entry])
    purchases: dict[str, int] = field(default_factory=dict[str, int])
    made: dict[str, list[tuple[float, list[int]]]] = field(
        default_factory=dict[str, list[tuple[float, list[int]]]]
    )
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(_FIRST_ORDER))

    def look_up(self, key: str | None, body: bytes) -> Entry | None:
        """Find what a key stands for; None for a new one, which is in progress from now on.

        Raises `Refusal` when it is in progress already, or stands for another body.
        """
        if key is None:
            return None
        entry = self.keys.get(key)
        if entry is None:
            self.keys[key] = Entry(body)
            return None
        if entry.body != body:
            raise Refusal(422, "IDEMPOTENCY_KEY_REUSED", "This key was used with another body")
        if entry.in_progress:
            raise Refusal(409, "REQUEST_IN_PROGRESS", "This purchase is still being made")
        return entry

    def settle(
        self, key: str | None, body: bytes, fields: dict[str, Any], *, again: bool = False
    ) -> list[Order]:
        """Make the purchase under a key that is in progress, once; ``again`` rents a number once more."""
        entry = Entry(body) if key is None else self.keys[key]
        if not entry.in_progress:
            if entry.refusal is not None:
                raise entry.refusal
            return entry.orders or []
        try:
            entry.orders = self._buy_again(key, fields) if again else self._buy(key, fields)
        except Refusal as refusal:
            if refusal.recorded:
                entry.refusal = refusal
            elif key is not None:
                del self.keys[key]
            raise
        return entry.orders

    def _buy(self, key: str | None, fields: dict[str, Any]) -> list[Order]:
        product = fields.get("catalog_product_id", fields.get("product_id"))
        quantity = fields.get("quantity", 1)
        if type(product) is not int or type(quantity) is not int or not 1 <= quantity <= 100:
            raise Refusal(422, "VALIDATION_ERROR", "The body is not an order")
        if product == NOTHING_OFFERED:
            raise Refusal(422, "NO_OFFER_AVAILABLE", "No offer fits")
        if product == REFUSED_UPSTREAM:
            raise Refusal(422, "PROVIDER_ERROR", "The supplier refused", recorded=True)
        if self.balance < PRICE * quantity:
            raise Refusal(409, "INSUFFICIENT_BALANCE", "The balance is too low")
        return self._rent(key, str(fields.get("prefer_provider", "")), product, quantity)

    def _buy_again(self, key: str | None, fields: dict[str, Any]) -> list[Order]:
        order = self.get(fields.get("id"))
        if order.status != "COMPLETED":
            raise Refusal(409, "CONFLICT", "The order is not completed")
        if self.balance < PRICE:
            raise Refusal(409, "INSUFFICIENT_BALANCE", "The balance is too low")
        return self._rent(key, f"again-{key}", order.product, 1)

    def _rent(self, key: str | None, intent: str, product: int, quantity: int) -> list[Order]:
        self.purchases[intent] = self.purchases.get(intent, 0) + 1
        bought: list[Order] = []
        for _ in range(quantity):
            order = Order(next(self.numbers), intent, key, product, PRICE)
            if product == WITH_SMS:
                order.status, order.code = "OTP_RECEIVED", f"{order.id % 100_000:05}"
            self.orders[order.id] = order
            self.balance -= PRICE
            bought.append(order)
        if key is not None:
            self.made.setdefault(key, []).append((time.monotonic(), [order.id for order in bought]))
        return bought

    def refuse(self, key: str | None, body: bytes, refusal: Refusal) -> None:
        """Refuse a purchase; a failure that is recorded stays under its key, as another order does."""
        if key is not None and refusal.code == "IDEMPOTENCY_KEY_REUSED":
            self.keys.setdefault(key, Entry(b"another order", orders=[]))
        if key is not None and refusal.recorded and key not in self.keys:
            self.keys[key] = Entry(body, refusal=refusal)
        raise refusal

    def forget(self) -> None:
        """Forget the idempotency keys, as the service does after a day."""
        self.keys.clear()

    def get(self, order_id: object) -> Order:
        """Find an order, or refuse."""
        order = self.orders.get(order_id) if type(order_id) is int else None
        if order is None:
            raise Refusal(404, "NOT_FOUND", "Order not found")
        return order

    def cancel(self, order_id: object) -> Order:
        """Return an order without SMS."""
        order = self.get(order_id)
        if order.status != "ACTIVE" or order.code is not None:
            raise Refusal(409, "CONFLICT", "The order cannot be cancelled")
        order.status = "CANCELED"
        self.balance += order.price
        self.refunds += order.price
        return order

    def finish(self, order_id: object) -> Order:
        """Free the number of an order with an SMS."""
        order = self.get(order_id)
        if order.code is None or order.status in ("COMPLETED", "CANCELED"):
            raise Refusal(409, "CONFLICT", "The order cannot be finished")
        order.status = "COMPLETED"
        return order

    def resend(self, order_id: object) -> Order:
        """Ask for another SMS, as often as anybody asks; every time counts."""
        order = self.get(order_id)
        if order.code is None or order.status in ("COMPLETED", "CANCELED"):
            raise Refusal(409, "CONFLICT", "There is nothing to send again")
        order.status = "ACTIVE"
        order.resends += 1
        return order

    def audit(self) -> int:
        """Return the rupiah that the books are off by; 0 for balanced."""
        standing = sum(order.price for order in self.orders.values() if order.status != "CANCELED")
        canceled = sum(order.price for order in self.orders.values() if order.status == "CANCELED")
        return abs(self.start - standing - self.balance) + abs(self.refunds - canceled)
