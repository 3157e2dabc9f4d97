"""The service's state: orders, their money and their events. No clock, no I/O, no threads.

Every operation is told the time. What falls due in between (an SMS, the end of a rental, a purchase
that took a while) happens when `World.settle` is called, in the order of time and at the time it was
due, so a caller settles before each operation and sees what the service would show.

All of it is plain values: attrs classes, dicts, lists, numbers and texts.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

from ...models import OrderStatus, RoutingPolicy
from ...money import FxRate
from ..chance import draw
from ..http.api_error import Problem, Refusal
from ..http.idempotency import IdempotencyKeys, KeyedPurchase
from ..http.limits import seconds_left_today
from ..transports.delivery_queue import Postbox
from .catalog import Catalog, Tier
from .order_book import Due, Register, Rules
from .orders import ServiceOrder, window
from .purchases import Settling
from .routing import Again, OrderRequest, Supply, choose, no_offer, refused, supply
from .success_rates import DAYS
from .suppliers import USUAL, Behaviour
from .webhooks import Delivery

PAIR: Final = "USD/IDR"


class World(Register):
    """One account of the service, with the whole catalogue to itself.

    ``behaviour`` is how suppliers treat a purchase that no other `Behaviour` was chosen for.
    A ``suspended`` account is forbidden everything. ``maintenance`` closes the service: None while it
    is open, else the seconds after which it asks to be tried again, 0 for not saying so.
    """

    def __init__(
        self, rules: Rules, catalog: Catalog, *, balance: int, rate: int | None, now: datetime
    ) -> None:
        super().__init__(rules, balance=balance, now=now)
        self.catalog = catalog
        self.behaviour: Behaviour = USUAL
        self.suspended: bool = False
        self.maintenance: int | None = None
        self.keys: IdempotencyKeys = IdempotencyKeys()
        self.settling: dict[int, Settling] = {}
        self.purchases: int = 0
        self.secrets: int = 0
        self.canceled: tuple[int, int] = (0, 0)
        self.postbox: Postbox = Postbox()
        self.fx: FxRate | None = None
        self.set_rate(rate, now)
        for provider in catalog.providers:
            for days in range(1, DAYS + 1):
                self.success.add(provider.code, now.date() - timedelta(days=days), *provider.past)

    # -- time ----------------------------------------------------------------------------------

    def settle(self, now: datetime) -> None:
        """Run everything that was due by ``now``."""
        while self.due and self.due[0][0] <= now:
            at, kind, number = heapq.heappop(self.due)
            if kind == "purchase":
                self._complete(self.settling.pop(number), at)
            elif not (order := self.orders[number]).status.terminal:
                self.live_on(order, at)

    def next_due(self) -> datetime | None:
        """Return the time of the next thing that happens by itself, webhooks included."""
        while self.due and self._over(self.due[0]):
            heapq.heappop(self.due)
        due = [at for at in (self.due[0][0] if self.due else None, self.postbox.next_due()) if at]
        return min(due, default=None)

    def index(self) -> None:
        """Work out what follows from the orders and the purchases that settle."""
        super().index()
        for purchase in self.settling.values():
            heapq.heappush(self.due, (purchase.ready_at, "purchase", purchase.number))

    def _over(self, due: Due) -> bool:
        return due[1] == "order" and self.orders[due[2]].status.terminal

    def set_rate(self, rate: int | None, now: datetime) -> None:
        """Set the USD/IDR rate; None means that there is none."""
        self.fx = None if rate is None else FxRate(PAIR, rate, now)

    def abandon(self, problem: Problem) -> None:
        """End all purchases on their way with a problem."""
        for purchase in self.settling.values():
            purchase.result = problem
        self.settling.clear()

    # -- buying --------------------------------------------------------------------------------

    def buy(
        self,
        wanted: OrderRequest | Again,
        now: datetime,
        *,
        key: str | None = None,
        body: str = "",
        behaviour: Behaviour | None = None,
        of_tiers: Mapping[int, Behaviour] | None = None,
    ) -> KeyedPurchase | Settling:
        """Rent numbers, once per idempotency key; a purchase that takes time is given as it settles.

        ``body`` is the fingerprint of the request. Without ``behaviour`` that of the world counts;
        ``of_tiers`` is that of single products that it may be filled from.
        """
        self.purchases += 1
        behaviour = self.behaviour if behaviour is None else behaviour
        ready_at = now + timedelta(seconds=behaviour.takes)
        purchase = Settling(self.purchases, wanted, key, body, behaviour, ready_at, of_tiers or {})
        if key is not None and (found := self.keys.find(purchase.scope, key, body)) is not None:
            return found
        if isinstance(wanted, OrderRequest):
            self.conduct.check(now)
        if not behaviour.takes:
            self._complete(purchase, now)
            if isinstance(purchase.result, Problem):
                raise Refusal.of(purchase.result)
            assert purchase.result is not None  # completed just now
            return purchase.result
        # What has no effect anyway is refused at once; what is left has to wait for the suppliers.
        if isinstance(wanted, OrderRequest):
            self._plan(wanted, purchase, now)
        else:
            self._reactivation_price(wanted, USUAL, now)
        if key is not None:
            self.keys.begin(purchase.scope, key, body)
        self.settling[purchase.number] = purchase
        heapq.heappush(self.due, (ready_at, "purchase", purchase.number))
        return purchase

    def _complete(self, purchase: Settling, now: datetime) -> None:
        wanted = purchase.wanted
        try:
            if isinstance(wanted, OrderRequest):
                purchase.result = self._create(wanted, purchase, now)
            else:
                purchase.result = self._reactivate(wanted, purchase.behaviour, now)
        except Refusal as refusal:
            purchase.result = refusal.problem
        if purchase.key is not None:
            self.keys.settle(purchase.scope, purchase.key, purchase.body, purchase.result)

    def _offers(self, wish: OrderRequest, behaviour: Behaviour, now: datetime) -> list[Tier]:
        if behaviour.sold_out and wish.product_id is None:
            raise no_offer()
        steps: dict[str, int | None] = {}
        if wish.policy is RoutingPolicy.BEST_SUCCESS:
            steps = {one.code: self.success.step(one.code, now) for one in self.catalog.providers}
        return choose(self.catalog, wish, steps)

    def _plan(self, wish: OrderRequest, purchase: Settling, now: datetime) -> Supply:
        """Find out what a purchase would give, and that it can be paid for."""
        offers = self._offers(wish, purchase.behaviour, now)
        found = supply(offers, wish.quantity, purchase.behaviour_of)
        missing = wish.quantity - len(found.numbers)
        # The whole quantity has to be paid for, also where only a part of it turns out to be there.
        self._check_balance(sum(tier.price for tier in found.numbers) + missing * offers[-1].price)
        return found

    def _create(self, wish: OrderRequest, purchase: Settling, now: datetime) -> KeyedPurchase:
        if purchase.behaviour.problem is not None:
            raise Refusal.of(purchase.behaviour.problem)
        found = self._plan(wish, purchase, now)
        if not found.numbers:
            raise refused(wish, found.attempts)
        for tier in found.numbers:
            tier.stock -= 1
        order_ids = [
            self.rent(tier, tier.price, None, purchase.behaviour_of(tier), now) for tier in found.numbers
        ]
        return KeyedPurchase(now, tuple(order_ids), wish.quantity - len(order_ids))

    def reactivation_cost(self, order_id: int, now: datetime, behaviour: Behaviour | None = None) -> int:
        """Return what renting a completed order's number again costs; its supplier is asked for that."""
        order = self.order(order_id)
        settling = (purchase.wanted for purchase in self.settling.values())
        if not order.capabilities(now).can_reactivate or any(
            isinstance(wanted, Again) and self.orders[wanted.order_id].phone_number == order.phone_number
            for wanted in settling
        ):
            raise Refusal("CONFLICT", "Order cannot be reactivated")
        if (answer := (behaviour or self.behaviour).answer(order.tier.provider.code)) != "ok":
            raise _supplier_refused(answer)
        return order.tier.price * 3 // 4

    def _reactivation_price(self, wanted: Again, behaviour: Behaviour, now: datetime) -> int:
        cost = self.reactivation_cost(wanted.order_id, now, behaviour)
        if wanted.max_price is not None and cost > wanted.max_price:
            raise Refusal(
                "VALIDATION_ERROR",
                "The reactivation costs more than max_price",
                details={"fields": {"max_price": "is below the cost"}},
            )
        self._check_balance(cost)
        return cost

    def _reactivate(self, wanted: Again, behaviour: Behaviour, now: datetime) -> KeyedPurchase:
        if behaviour.problem is not None:
            raise Refusal.of(behaviour.problem)
        cost = self._reactivation_price(wanted, behaviour, now)
        parent = self.orders[wanted.order_id]
        return KeyedPurchase(now, (self.rent(parent.tier, cost, parent, behaviour, now),), 0)

    def _check_balance(self, price: int) -> None:
        if price > self.ledger.balance:
            raise Refusal("INSUFFICIENT_BALANCE", "Balance too low")

    # -- the life of an order ------------------------------------------------------------------

    def cancel(self, order_id: int, now: datetime, treat: Callable[[Behaviour], Behaviour]) -> ServiceOrder:
        """Cancel an order that got no SMS, and refund it.

        ``treat`` makes of the order's behaviour the one that counts for this request.
        """
        order = self.order(order_id)
        behaviour = treat(order.behaviour)
        if order.status is not OrderStatus.ACTIVE or order.sms_revision:
            raise Refusal("CONFLICT", "Order cannot be canceled")
        own = behaviour.cancel_after in (None, order.behaviour.cancel_after)
        if now < (order.cancel_at if own else window(order.created_at, behaviour.cancel_after or 0.0)):
            raise Refusal("CANCEL_TOO_EARLY", "Order is too new to cancel")
        today = now.toordinal()
        canceled = self.canceled[1] if self.canceled[0] == today else 0
        most = self.rules.cancels_per_day if self.rules.current else None
        if most is not None and canceled >= most:
            raise Refusal(
                "RATE_LIMIT_EXCEEDED", "Too many orders canceled today", retry_after=seconds_left_today(now)
            )
        if behaviour.cancel != "ok":
            raise _supplier_refused(behaviour.cancel)
        self.canceled = (today, canceled + 1)
        order.canceled_at = now
        self.end(order, now, OrderStatus.CANCELED)
        return order

    def finish(self, order_id: int, now: datetime) -> ServiceOrder:
        """Complete an order that got an SMS, and free its number."""
        order = self.order(order_id)
        if not order.capabilities(now).can_finish:
            raise Refusal("CONFLICT", "Order cannot be finished")
        self.end(order, now, OrderStatus.COMPLETED)
        return order

    def resend(
        self, order_id: int, now: datetime, treat: Callable[[Behaviour], Behaviour]
    ) -> tuple[ServiceOrder, bool]:
        """Ask for another SMS; tell whether the supplier took the request. ``treat`` is as in `cancel`."""
        order = self.order(order_id)
        behaviour = treat(order.behaviour)
        if not self.rules.current and order.status is OrderStatus.ACTIVE and not order.sms_revision:
            return order, False
        if not order.capabilities(now).can_resend:
            raise Refusal("CONFLICT", "Order cannot be resent")
        if behaviour.resend != "ok":
            raise _supplier_refused(behaviour.resend)
        order.resend_at = window(now, self.rules.resend_cooldown)
        if not order.tier.provider.repeats:
            return order, False
        order.status = OrderStatus.ACTIVE
        self.expect_sms(order, now)
        return order, True

    # -- webhook -------------------------------------------------------------------------------

    def update_webhook(self, url: str | None, secret: str | None) -> None:
        """Change the webhook settings."""
        self.secrets += 1
        generated = draw(self.rules.seed, f"secret/{self.secrets}", 256)
        self.webhook.update(url, secret, f"{generated:064x}")

    def post(self, delivery: Delivery, at: datetime) -> None:
        """Send a webhook of something that happened at ``at``; with jitter each is held back for a moment."""
        if jitter := self.rules.webhook_jitter:
            at += timedelta(seconds=draw(self.rules.seed, f"webhook/{self.postbox.posted}") / 2**64 * jitter)
        self.postbox.put(delivery, at)

    def delivered(self, delivery: Delivery, now: datetime) -> None:
        """Record how a delivery went."""
        self.postbox.under_way.pop(delivery.number, None)
        if self.rules.current:
            self.webhook.record(delivery, now)
            if not delivery.delivered:
                self.postbox.retry(delivery, now)


def _supplier_refused(cause: str) -> Refusal:
    return Refusal("PROVIDER_ERROR", "Upstream refused the request", details={"attempts": [cause]})
