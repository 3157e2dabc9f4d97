"""The account's money: a balance in whole rupiah and every movement that led to it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from attrs import frozen


@frozen
class Movement:
    """One change of the balance; ``amount`` is positive if the balance grew.

    ``order_id`` is None for the deposit that the account starts with, and for adjustments, which set its
    balance.
    """

    at: datetime
    kind: Literal["deposit", "order", "refund", "adjustment"]
    amount: int
    order_id: int | None = None


class Ledger:
    """A balance, and the movements that add up to it; each change of the balance adds one."""

    def __init__(self, at: datetime, opening: int) -> None:
        self.balance: int = opening
        self.movements: list[Movement] = [Movement(at, "deposit", opening)]

    def adjust(self, at: datetime, balance: int) -> None:
        """Set the balance."""
        self._move(Movement(at, "adjustment", balance - self.balance))

    def debit(self, at: datetime, amount: int, order_id: int) -> None:
        """Charge the price of an order."""
        self._move(Movement(at, "order", -amount, order_id))

    def refund(self, at: datetime, amount: int, order_id: int) -> None:
        """Refund the price of an order."""
        self._move(Movement(at, "refund", amount, order_id))

    def _move(self, movement: Movement) -> None:
        self.balance += movement.amount
        self.movements.append(movement)
