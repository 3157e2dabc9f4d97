"""The audit: every rupiah of the ledger, compared with the orders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from attrs import frozen

from ...models import OrderStatus
from ...money import Money
from ..service.ledger import Ledger
from ..service.orders import ServiceOrder

_REFUNDED: Final = (OrderStatus.CANCELED, OrderStatus.EXPIRED)
_LINES_SHOWN: Final = 50


@frozen
class AuditLine:
    """An order's money in whole rupiah: what it was charged, and what of that was refunded."""

    order_id: int
    charged: int
    refunded: int
    status: OrderStatus

    @property
    def held(self) -> int:
        """The charge of an order that has not ended, else 0."""
        return 0 if self.status.terminal else self.charged - self.refunded


@frozen
class Audit:
    """An account's money in whole rupiah, from ``opening_balance`` to ``closing_balance``.

    ``orders`` has a line for each order, oldest first. ``discrepancies`` lists what does not add up; it
    is empty unless the sandbox has a defect. ``adjustments`` is the sum of the changes by
    `Sandbox.set_balance`. ``str()`` returns a readable table.
    """

    opening_balance: int
    charges: int
    refunds: int
    closing_balance: int
    orders: tuple[AuditLine, ...]
    discrepancies: tuple[str, ...]
    adjustments: int = 0

    @property
    def held(self) -> int:
        """The charges of the orders that have not ended."""
        return sum(line.held for line in self.orders)

    def __str__(self) -> str:
        running = sum(not line.status.terminal for line in self.orders)
        rows = [
            ("opening balance", self.opening_balance, ""),
            *([("adjustments", self.adjustments, "")] if self.adjustments else []),
            ("charges", -self.charges, f"orders: {len(self.orders)}"),
            ("refunds", self.refunds, f"orders: {sum(line.refunded > 0 for line in self.orders)}"),
            ("closing balance", self.closing_balance, ""),
            ("held", self.held, f"orders that have not ended: {running}"),
        ]
        shown = [f"{name:<16}{Money.idr(amount)!s:>18}  {about}".rstrip() for name, amount, about in rows]
        for line in self.orders[:_LINES_SHOWN]:
            charged, refunded = Money.idr(line.charged), Money.idr(line.refunded)
            shown.append(f"order {line.order_id:<10}{charged!s:>18}  {line.status}, refunded {refunded}")
        if len(self.orders) > _LINES_SHOWN:
            shown.append(f"and {len(self.orders) - _LINES_SHOWN} more orders")
        shown += [f"DOES NOT ADD UP: {found}" for found in self.discrepancies] or ["It all adds up."]
        return "\n".join(shown)


def audit(ledger: Ledger, orders: Mapping[int, ServiceOrder]) -> Audit:
    """Return the audit: each order must be charged once, and refunded if it ended without an SMS."""
    charged: dict[int, list[int]] = {}
    refunded: dict[int, list[int]] = {}
    found: list[str] = []
    opening = adjustments = balance = 0
    for number, movement in enumerate(ledger.movements):
        balance += movement.amount
        if balance < 0:
            found.append(f"movement {number} leaves a balance of {balance}")
        if movement.order_id is None and movement.kind == "adjustment":
            adjustments += movement.amount
        elif movement.order_id is None:
            opening += movement.amount
            if number or movement.kind != "deposit":
                found.append(f"movement {number} belongs to no order")
        elif movement.order_id not in orders or movement.kind in ("deposit", "adjustment"):
            found.append(f"movement {number} ({movement.kind}) belongs to no order {movement.order_id}")
        elif movement.kind == "order":
            charged.setdefault(movement.order_id, []).append(-movement.amount)
        else:
            refunded.setdefault(movement.order_id, []).append(movement.amount)
    lines: list[AuditLine] = []
    for order in orders.values():
        paid, back = charged.get(order.id, []), refunded.get(order.id, [])
        found.extend(_wrong(order, paid, back))
        lines.append(AuditLine(order.id, sum(paid), sum(back), order.status))
    charges, refunds = sum(line.charged for line in lines), sum(line.refunded for line in lines)
    paid_in = opening + adjustments
    if ledger.balance != paid_in - charges + refunds:
        found.append(f"{paid_in} - {charges} + {refunds} is not the balance of {ledger.balance}")
    return Audit(opening, charges, refunds, ledger.balance, tuple(lines), tuple(found), adjustments)


def _wrong(order: ServiceOrder, paid: list[int], back: list[int]) -> Iterator[str]:
    if paid != [order.amount]:
        yield f"order {order.id} costs {order.amount} and was charged {paid}"
    due = [order.amount] if order.status in _REFUNDED else []
    if back != due:
        yield f"order {order.id} is {order.status} and was refunded {back}, not {due}"
