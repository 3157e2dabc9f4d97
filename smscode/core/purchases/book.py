"""The purchases in the memory of a client: which are under way, in doubt, or bought and not over."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

import attrs
from attrs import evolve

from ...errors import SmscodeError
from ...models import ActiveOrder, CreatedOrder, CreatedOrders, Order, OrderStatus
from ...money import Money
from ..order_status import is_over, known_status
from .doubt import Doubt
from .intents import OrderIntent
from .records import BoughtOrder, PurchaseRecord, PurchaseState, another_order, under_way
from .states import Purchase, PurchaseHolder, Recovered, RecoveredState

_MOST_KEYS_REMEMBERED = 10_000
_MOST_EARLY = 1_000
_LONGEST_LIFE = 86_400.0  # seconds that an order lives whose end is not known
_CREATED = tuple(field.name for field in attrs.fields(CreatedOrder))
_created_values = attrgetter(*_CREATED)


class PurchaseBook:
    """The purchases of a client: under way, in doubt, or bought and not over, oldest first.

    Each line of a change leaves the book consistent, because an interrupt may come after it. So a purchase is
    entered before it is removed elsewhere, and a flag is set after the facts that it stands for.
    """

    def __init__(self) -> None:
        self._purchases: dict[str, Purchase] = {}
        self._by_order: dict[int, Purchase] = {}
        # By key, for the purchases that were closed last: the hash of the order, and when it was bought.
        self._closed: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        # The refunds of orders that ended before the answer to their purchase arrived.
        self._early: OrderedDict[int, int | None] = OrderedDict()

    @property
    def empty(self) -> bool:
        """Whether there is no order that has not ended."""
        return not self._by_order

    def begin(self, intent: OrderIntent, holder: PurchaseHolder) -> Purchase:
        """Return the entry of a purchase that ``holder`` makes from now on, with the state of earlier tries.

        Raises `ClientStateError` while another call has it under way, `InvalidArgumentError` if its key was
        used in this client for another order.
        """
        key = intent.idempotency_key
        purchase = self._purchases.get(key)
        if purchase is not None and purchase.certain and not purchase.under_way:
            # An interrupted call left it without having sent a byte, so the key is free.
            purchase = None
        if purchase is None:
            digest, since = self._closed.get(key, (None, None))
            if digest is not None and digest != _digest(intent):
                raise another_order("this client")
            purchase = Purchase(intent, holder=holder, written_at=since, finished=digest is not None)
            self._purchases[key] = purchase
            return purchase
        if not purchase.intent.same_order(intent):
            raise another_order("this client")
        if purchase.under_way and purchase.holder is not holder:
            raise under_way("another call of this client")
        purchase.holder = holder
        return purchase

    def knows(self, key: str) -> bool:
        """Return True if a purchase under this key is under way, may have been made, or was made."""
        purchase = self._purchases.get(key)
        if purchase is not None:
            return purchase.under_way or not purchase.certain
        return key in self._closed

    def orders_under(self, key: str) -> tuple[Order, ...]:
        """Return the orders that were bought under a key and have not all ended."""
        purchase = self._purchases.get(key)
        return () if purchase is None else _orders_of(purchase)

    def buy(self, purchase: Purchase, created: CreatedOrders) -> dict[int, int | None]:
        """Store the orders that a purchase bought, unless they are known already.

        Return the orders that have ended already, with their refunds in rupiah, None for the whole price.
        """
        ended: dict[int, int | None] = {}
        if purchase.finished:
            self._close(purchase)
            return ended
        if not purchase.bought:
            orders: dict[int, CreatedOrder | Order] = {order.id: order for order in created.orders}
            ended = {one: self._early[one] for one in orders if one in self._early}
            over = {one for one, order in orders.items() if is_over(order.status)}
            purchase.orders = orders
            purchase.living = dict.fromkeys(one for one in orders if one not in ended and one not in over)
            ended |= {one: _price(orders[one]) if is_refunded(orders[one].status) else 0 for one in over}
            purchase.bought = True
        purchase.doubt.raised = False
        self._purchases[purchase.key] = purchase
        self._by_order.update(dict.fromkeys(purchase.orders, purchase))
        if not purchase.orders:
            self._close(purchase)
        return ended

    def adopt(self, purchase: Purchase) -> Purchase:
        """Add a purchase that another process made, and return the entry to use."""
        known = self._purchases.setdefault(purchase.key, purchase)
        if purchase.bought and not known.bought:
            known.orders, known.living, known.returned = purchase.orders, purchase.living, purchase.returned
            known.written_at = purchase.written_at
            known.bought = True
            known.doubt.raised = False
        self._by_order.update(dict.fromkeys(known.orders, known))
        return known

    def drop(self, purchase: Purchase) -> None:
        """Forget a purchase that bought nothing. Its key can be used for another order."""
        if self._purchases.get(purchase.key) is purchase:
            self._purchases.pop(purchase.key, None)

    def dismiss(self, key: str) -> None:
        """Forget a purchase, but remember its key. Raises `ClientStateError` while a call makes it."""
        purchase = self._purchases.get(key)
        if purchase is not None:
            if purchase.under_way:
                raise under_way("another call of this client")
            self._close(purchase)

    def hand_over(self, purchase: Purchase, *, done: bool) -> None:
        """Store whether the caller of a purchase has its orders."""
        purchase.handed_over = done
        if done and not purchase.living:
            self._close(purchase)
        elif not done and purchase.orders:
            self._purchases[purchase.key] = purchase

    def unresolved(self) -> tuple[OrderIntent, ...]:
        """Return the purchases that are in doubt, and those whose orders were not returned to a caller."""
        return tuple(
            purchase.intent
            for purchase in tuple(self._purchases.values())
            if not purchase.under_way and (purchase.doubt.raised or purchase.undelivered)
        )

    def warning(self, *, stored: bool) -> str | None:
        """Return the warning to log when the client closes with unresolved purchases, None without any.

        ``stored`` is True if a journal has them.
        """
        keys = [intent.idempotency_key for intent in self.unresolved()]
        if not keys:
            return None
        from ..._display import first_of

        count = "1 purchase" if len(keys) == 1 else f"{len(keys)} purchases"
        advice = (
            "orders.recover() of a new client with the same journal settles this."
            if stored
            else "There is no journal to settle this from: orders.active() of a new client shows what is"
            " open, and the same purchase with the same idempotency_key returns what it bought."
        )
        return (
            f"The client was closed with {count} in doubt, which may have been carried out: idempotency key"
            f" {first_of(keys)}. {advice}"
        )

    def undelivered(self) -> list[Purchase]:
        """Return the purchases whose orders were not returned to a caller in this process."""
        return [
            purchase
            for purchase in tuple(self._purchases.values())
            if purchase.bought and not purchase.handed_over and not purchase.under_way
        ]

    def bought(self) -> tuple[Recovered, ...]:
        """Return the purchases that were bought and have orders that have not ended."""
        return tuple(
            Recovered(
                purchase.intent,
                "open" if purchase.handed_over or purchase.returned else "undelivered",
                _orders_of(purchase),
            )
            for purchase in tuple(self._purchases.values())
            if purchase.bought and not purchase.under_way
        )

    def see(self, orders: Iterable[Order | ActiveOrder]) -> dict[Purchase, dict[int, int | None]]:
        """Update orders from an answer; return those that ended, by purchase, with their refunds."""
        ended: dict[Purchase, dict[int, int | None]] = {}
        for order in orders:
            purchase = self._by_order.get(order.id)
            if purchase is None:
                continue
            if isinstance(order, Order):
                purchase.orders[order.id] = order
            if is_over(order.status) and order.id in purchase.living:
                price = _price(purchase.orders[order.id]) if is_refunded(order.status) else 0
                ended.setdefault(purchase, {})[order.id] = price
        for purchase, refunds in ended.items():
            self.end(purchase, refunds)
        return ended

    def end_order(
        self, order_id: int, status: OrderStatus | str, refund: int | None
    ) -> dict[Purchase, dict[int, int | None]]:
        """Store that an order has ended; return its purchase and refund, if the book has it.

        A ``refund`` of None means the whole price.
        """
        purchase = self._by_order.get(order_id)
        if purchase is None:
            self._early[order_id] = refund  # the answer to its purchase may be on its way
            if len(self._early) > _MOST_EARLY:
                self._early.popitem(last=False)
            return {}
        if order_id not in purchase.living:
            return {}
        order = purchase.orders[order_id]
        purchase.orders[order_id] = evolve(as_order(order), status=status)
        self.end(purchase, [order_id])
        return {purchase: {order_id: _price(order) if refund is None else refund}}

    def expire(self, now: datetime) -> dict[Purchase, dict[int, int | None]]:
        """End the orders that have expired by the service's date, and return them by purchase."""
        ended: dict[Purchase, dict[int, int | None]] = {}
        for purchase in tuple(self._purchases.values()):
            if not purchase.bought:
                continue
            for order_id in tuple(purchase.living):
                if is_past(purchase.orders[order_id].expires_at, purchase.written_at, now):
                    ended.setdefault(purchase, {})[order_id] = None
        for purchase, refunds in ended.items():
            self.end(purchase, refunds)
        return ended

    def end(self, purchase: Purchase, order_ids: Iterable[int]) -> None:
        """Store that orders have ended. A purchase that was handed over is closed with its last order."""
        for order_id in order_ids:
            purchase.living.pop(order_id, None)
        if not purchase.living and purchase.handed_over:
            self._close(purchase)

    def _close(self, purchase: Purchase) -> None:
        self._closed[purchase.key] = _digest(purchase.intent), purchase.written_at or 0.0
        self._closed.move_to_end(purchase.key)
        if len(self._closed) > _MOST_KEYS_REMEMBERED:
            self._closed.popitem(last=False)
        for order_id in purchase.orders:
            self._by_order.pop(order_id, None)
        self._purchases.pop(purchase.key, None)


def recovered(
    in_doubt: Iterable[tuple[PurchaseRecord, CreatedOrders | SmscodeError]], bought: Iterable[Purchase]
) -> list[Recovered]:
    """Return the result of `orders.recover`, oldest purchase first.

    ``in_doubt`` are the purchases that were in doubt, with their results; ``bought`` are all that were
    bought. Purchases that another process settled meanwhile are left out, and so are those whose orders were
    returned to a caller and have all ended.
    """
    found: list[tuple[float, Recovered]] = []
    settled: set[str] = set()
    for row, end in in_doubt:
        if not isinstance(end, SmscodeError):
            settled.add(row.intent.idempotency_key)
        elif end.trouble != "settled meanwhile":
            unsure: RecoveredState = "unsettled" if end.outcome == "unknown" else "settled"
            found.append((row.written_at, Recovered(row.intent, unsure, error=end)))
    for purchase in bought:
        if purchase.living or not purchase.returned or purchase.key in settled:
            state: RecoveredState = "open" if purchase.returned else "undelivered"
            if purchase.key in settled:
                state = "settled"
            orders = _orders_of(purchase)
            found.append((purchase.written_at or 0.0, Recovered(purchase.intent, state, orders)))
    return [one for _, one in sorted(found, key=lambda pair: pair[0])]


def _date_of(seconds: float | None) -> datetime | None:
    """Return a stored time as a date, None if it is out of the range of dates."""
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def is_refunded(status: OrderStatus | str | None) -> bool:
    """Return True if an order with this status was refunded."""
    return known_status(status) in (OrderStatus.CANCELED, OrderStatus.EXPIRED)


def is_past(expires_at: datetime | None, written_at: float | None, now: datetime) -> bool:
    """Return True if an order must have ended by ``now``, the service's date."""
    if expires_at is not None:
        return now >= expires_at
    return written_at is not None and now.timestamp() - written_at >= _LONGEST_LIFE


def bought_orders(orders: Iterable[CreatedOrder | Order]) -> tuple[BoughtOrder, ...]:
    """Return the records of orders that were just bought, as a journal stores them."""
    return tuple(
        BoughtOrder(
            order.id,
            None if order.expires_at is None else order.expires_at.timestamp(),
            None if order.amount is None else min(order.amount.canonical_amount, 2**62),
        )
        for order in orders
    )


def adopted(record: PurchaseRecord, ended: float) -> Purchase:
    """Return the book entry for a journal record of a process that has ended.

    ``ended`` is the time when its last attempt had ended, in monotonic seconds.
    """
    if record.state is PurchaseState.WRITTEN:
        return Purchase(record.intent, Doubt(raised=True, ended=ended), written_at=record.written_at)
    orders: dict[int, CreatedOrder | Order] = {
        order.id: CreatedOrder(
            id=order.id,
            expires_at=_date_of(order.expires_at),
            amount=None if order.charged is None else Money.idr(order.charged),
        )
        for order in record.orders
    }
    return Purchase(
        record.intent,
        written_at=record.written_at,
        bought=True,
        returned=record.handed_at is not None,
        orders=orders,
        living=dict.fromkeys(order.id for order in record.orders if order.ended_at is None),
    )


def _orders_of(purchase: Purchase) -> tuple[Order, ...]:
    return tuple(map(as_order, purchase.orders.values()))


def _price(order: CreatedOrder | Order) -> int:
    """Return what an order cost, in rupiah; 0 if the answer's price could not be read."""
    return 0 if order.amount is None else order.amount.canonical_amount


def as_order(created: CreatedOrder | Order) -> Order:
    """Return a created order as an `Order`. Its price is zero if the answer's could not be read."""
    if isinstance(created, Order):
        return created
    fields: dict[str, Any] = dict(zip(_CREATED, _created_values(created), strict=True))
    fields["status"] = created.status or OrderStatus.ACTIVE
    fields["product_id"] = created.product_id or 0
    fields["amount"] = created.amount or Money.idr(0)
    return Order(created_at=None, canceled_at=None, **fields)


def _digest(intent: OrderIntent) -> bytes:
    return hashlib.sha256(f"{intent.operation} {intent.version} ".encode() + intent.body).digest()
