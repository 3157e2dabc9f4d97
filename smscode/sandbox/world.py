"""The service's state: orders, their money and their events. No clock, no I/O, no threads.

Every operation is told the time. What falls due in between (an SMS, the end of a rental) happens
when `World.settle` is called, in the order of time and at the time it was due, so a caller settles
before each operation and sees what the service would show.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from attrs import evolve, frozen

from ..models import OrderStatus
from ..money import FxRate
from .catalog import Catalog, Tier
from .idempotency import IdempotencyKeys, Purchase
from .ledger import Ledger
from .orders import Order, window
from .refusal import Refusal
from .routing import Wish, allocate, choose
from .webhooks import Event, OrderEvent, Webhook

FIRST_ORDER_ID: Final = 1001
PAIR: Final = "USD/IDR"


@frozen(kw_only=True)
class Rules:
    """The lengths of time, in seconds, that an account cannot choose; ``seed`` fixes codes and numbers.

    ``otp_after`` None means that no SMS comes by itself. ``resend_needs_sms`` is False for the older
    service, which answers a resend before the first SMS with ``resent: false``.
    """

    otp_after: float | None
    lifetime: float
    cancel_after: float
    resend_cooldown: float
    resend_needs_sms: bool = True
    seed: int = 0


class World:
    """One account of the service, with the whole catalogue to itself."""

    def __init__(
        self, rules: Rules, catalog: Catalog, *, balance: int, rate: int | None, now: datetime
    ) -> None:
        self.rules = rules
        self.catalog = catalog
        self.ledger: Ledger = Ledger(now, balance)
        self.webhook: Webhook = Webhook()
        self.keys: IdempotencyKeys = IdempotencyKeys()
        self.outbox: list[Event] = []
        self.orders: dict[int, Order] = {}
        self.open: dict[int, Order] = {}
        self.fx: FxRate | None = None
        self.set_rate(rate, now)
        self._due: list[tuple[datetime, int]] = []
        self._numbers: set[str] = set()
        self._secrets = random.Random(f"{rules.seed}/secrets")

    # -- time ----------------------------------------------------------------------------------

    def settle(self, now: datetime) -> None:
        """Let everything happen that was due by ``now``."""
        while self._due and self._due[0][0] <= now:
            at, order_id = heapq.heappop(self._due)
            order = self.orders[order_id]
            if order.status.terminal:
                continue
            if at >= order.expires_at:
                self._end(order, at, OrderStatus.COMPLETED if order.sms_revision else OrderStatus.EXPIRED)
            elif at == order.sms_due_at:
                self.receive_sms(order, at)

    def next_due(self) -> datetime | None:
        """Give the time of the next thing that happens by itself."""
        while self._due and self.orders[self._due[0][1]].status.terminal:
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def set_rate(self, rate: int | None, now: datetime) -> None:
        """Set the USD/IDR rate; None means that there is none."""
        self.fx = None if rate is None else FxRate(PAIR, rate, now)

    # -- reading -------------------------------------------------------------------------------

    def order(self, order_id: int) -> Order:
        """Give an order."""
        try:
            return self.orders[order_id]
        except KeyError:
            raise Refusal("NOT_FOUND", "Order not found") from None

    def newest(self, status: OrderStatus | None = None) -> Iterator[Order]:
        """Give the orders, newest first."""
        return (order for order in reversed(self.orders.values()) if status is None or order.status is status)

    # -- buying --------------------------------------------------------------------------------

    def create(self, wish: Wish, now: datetime) -> Purchase:
        """Rent numbers: as many of the asked quantity as there are."""
        offers = choose(self.catalog, wish)
        numbers = allocate(offers, wish.quantity)
        missing = wish.quantity - len(numbers)
        # The whole quantity has to be paid for, also where only a part of it turns out to be there.
        price = sum(tier.price for tier in numbers) + missing * offers[-1].price
        self._check_balance(price)
        if not numbers:
            raise Refusal(
                "PROVIDER_ERROR", "Upstream has no numbers", details={"cause_counts": {"no_numbers": missing}}
            )
        for tier in numbers:
            tier.stock -= 1
        orders = [self._rent(tier, tier.price, None, now) for tier in numbers]
        return Purchase(now, tuple(evolve(order) for order in orders), missing)

    def reactivation_cost(self, order_id: int, now: datetime) -> int:
        """Give what renting a completed order's number again costs."""
        order = self.order(order_id)
        if not order.capabilities(now).can_reactivate:
            raise Refusal("CONFLICT", "Order cannot be reactivated")
        return order.tier.price * 3 // 4

    def reactivate(self, order_id: int, max_price: int | None, now: datetime) -> Purchase:
        """Rent a completed order's number again, as a new order."""
        cost = self.reactivation_cost(order_id, now)
        if max_price is not None and cost > max_price:
            raise Refusal(
                "VALIDATION_ERROR",
                "The reactivation costs more than max_price",
                details={"fields": {"max_price": "is below the cost"}},
            )
        self._check_balance(cost)
        parent = self.orders[order_id]
        parent.number_free = False
        return Purchase(now, (evolve(self._rent(parent.tier, cost, parent, now)),), 0)

    def _check_balance(self, price: int) -> None:
        if price > self.ledger.balance:
            raise Refusal("INSUFFICIENT_BALANCE", "Balance too low")

    def _rent(self, tier: Tier, amount: int, parent: Order | None, now: datetime) -> Order:
        order = Order(
            id=FIRST_ORDER_ID + len(self.orders),
            tier=tier,
            amount=amount,
            phone_number=self._new_number(tier) if parent is None else parent.phone_number,
            created_at=now,
            expires_at=window(now, self.rules.lifetime),
            cancel_at=window(now, self.rules.cancel_after),
            parent_id=None if parent is None else parent.id,
        )
        self.orders[order.id] = self.open[order.id] = order
        self.ledger.debit(now, amount, order.id)
        heapq.heappush(self._due, (order.expires_at, order.id))
        self._expect_sms(order, now)
        return order

    def _new_number(self, tier: Tier) -> str:
        country = tier.country
        randomness = random.Random(f"{self.rules.seed}/number/{len(self.orders)}")
        while True:
            rest = f"{randomness.randrange(10**country.digits):0{country.digits}d}"
            number = f"{country.dial_code}{country.prefix}{rest}"
            if number not in self._numbers:
                self._numbers.add(number)
                return number

    # -- the life of an order ------------------------------------------------------------------

    def cancel(self, order_id: int, now: datetime) -> Order:
        """Cancel an order that got no SMS, and refund it."""
        order = self.order(order_id)
        if order.status is not OrderStatus.ACTIVE or order.sms_revision:
            raise Refusal("CONFLICT", "Order cannot be canceled")
        if now < order.cancel_at:
            raise Refusal("CANCEL_TOO_EARLY", "Order is too new to cancel")
        order.canceled_at = now
        self._end(order, now, OrderStatus.CANCELED)
        return order

    def finish(self, order_id: int, now: datetime) -> Order:
        """Complete an order that got an SMS, and free its number."""
        order = self.order(order_id)
        if not order.capabilities(now).can_finish:
            raise Refusal("CONFLICT", "Order cannot be finished")
        self._end(order, now, OrderStatus.COMPLETED)
        return order

    def resend(self, order_id: int, now: datetime) -> tuple[Order, bool]:
        """Ask for another SMS; tell whether the supplier took the request."""
        order = self.order(order_id)
        if not self.rules.resend_needs_sms and order.status is OrderStatus.ACTIVE and not order.sms_revision:
            return order, False
        if not order.capabilities(now).can_resend:
            raise Refusal("CONFLICT", "Order cannot be resent")
        order.resend_at = window(now, self.rules.resend_cooldown)
        if not order.tier.provider.repeats:
            return order, False
        order.status = OrderStatus.ACTIVE
        self._expect_sms(order, now)
        return order, True

    def receive_sms(
        self, order: Order, at: datetime, text: str | None = None, code: str | None = None
    ) -> None:
        """Let an SMS arrive for an open order; without ``text`` and ``code``, one with a new code."""
        if text is None:
            code = code or self._new_code(order)
            text = f"Your {order.tier.service.name} code is {code}"
        order.receive(at, text, code)
        self._emit("order.otp_received", order, at)

    def _new_code(self, order: Order) -> str:
        randomness = random.Random(f"{self.rules.seed}/code/{order.id}/{order.sms_revision}")
        while (code := f"{randomness.randrange(10**6):06d}") == order.otp_code:
            continue  # one chance in a million: a new SMS must be seen to have another code
        return code

    def _expect_sms(self, order: Order, now: datetime) -> None:
        if self.rules.otp_after is not None:
            order.sms_due_at = now + timedelta(seconds=self.rules.otp_after)
            heapq.heappush(self._due, (order.sms_due_at, order.id))

    def _end(self, order: Order, at: datetime, status: OrderStatus) -> None:
        order.status = status
        del self.open[order.id]
        if order.parent_id is None:
            order.tier.stock += 1
        else:
            self.orders[order.parent_id].number_free = True
        if status is OrderStatus.COMPLETED:
            self._emit("order.completed", order, at)
            return
        self.ledger.refund(at, order.amount, order.id)
        self._emit("order.expired" if status is OrderStatus.EXPIRED else "order.canceled", order, at)

    # -- webhook -------------------------------------------------------------------------------

    def update_webhook(self, url: str | None, secret: str | None) -> None:
        """Change the webhook settings."""
        self.webhook.update(url, secret, f"{self._secrets.getrandbits(256):064x}")

    def _emit(self, name: OrderEvent, order: Order, at: datetime) -> None:
        if self.webhook.enabled:
            self.outbox.append(Event(name, at, evolve(order)))
