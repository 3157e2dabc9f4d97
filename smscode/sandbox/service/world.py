"""The service's state: orders, their money and their events. No clock, no I/O, no threads.

Every operation gets the time as an argument. `World.settle` runs the steps that have fallen due since
the last call (an SMS, the end of a rental, a slow purchase), in the order of their times; a caller
settles before each operation, and so sees the same state as on the service.

The state consists of plain values: attrs classes, dicts, lists, numbers and strings.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

from ...models import OrderStatus, RoutingPolicy
from ...money import FxRate
from ..chance import draw
from ..http.api_error import Problem, ServiceError, invalid
from ..http.idempotency import IdempotencyKeys, KeyedPurchase
from ..http.limits import seconds_left_today
from ..transports.delivery_queue import DeliveryQueue
from .catalog import Catalog
from .order_book import OrderBook, Rules
from .orders import ServiceOrder, window
from .purchases import OrderRequest, ReactivationRequest, Settling, Supply, offers_for, supply, supply_error
from .suppliers import DAYS, USUAL, Behaviour
from .webhooks import Delivery

PAIR: Final = "USD/IDR"


class World(OrderBook):
    """One account of the service, and the catalogue, which it shares with no other account.

    ``behaviour`` applies to a purchase that no other `Behaviour` was chosen for. All requests of a
    ``suspended`` account are forbidden. ``maintenance`` is None while the service is open, else the seconds
    for ``Retry-After``, 0 for no such header.
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
        self.delivery_queue: DeliveryQueue = DeliveryQueue()
        self.fx: FxRate | None = None
        self.set_rate(rate, now)
        for provider in catalog.providers:
            for days in range(1, DAYS + 1):
                self.success_rates.add(provider.code, now.date() - timedelta(days=days), *provider.past)

    # -- time ----------------------------------------------------------------------------------

    def settle(self, now: datetime) -> None:
        """Run everything that was due by ``now``."""
        while self.due and self.due[0][0] <= now:
            at, kind, number = heapq.heappop(self.due)
            if kind == "purchase":
                self._complete(self.settling.pop(number), at)
            elif not (order := self.orders[number]).status.terminal:
                self.process_due(order, at)

    def next_due(self) -> datetime | None:
        """Return the time of the next scheduled step or webhook, None if there is none."""
        while self.due and self.due[0][1] == "order" and self.orders[self.due[0][2]].status.terminal:
            heapq.heappop(self.due)
        due = [at for at in (self.due[0][0] if self.due else None, self.delivery_queue.next_due()) if at]
        return min(due, default=None)

    def index(self) -> None:
        """Compute everything that follows from the orders and the purchases that are settling."""
        super().index()
        for purchase in self.settling.values():
            heapq.heappush(self.due, (purchase.ready_at, "purchase", purchase.number))

    def set_rate(self, rate: int | None, now: datetime) -> None:
        """Set the USD/IDR rate; None for no rate."""
        self.fx = None if rate is None else FxRate(PAIR, rate, now)

    def abandon(self, problem: Problem) -> None:
        """Fail all purchases that are settling with a problem."""
        for purchase in self.settling.values():
            purchase.result = problem
        self.settling.clear()

    # -- buying --------------------------------------------------------------------------------

    def buy(
        self,
        request: OrderRequest | ReactivationRequest,
        now: datetime,
        *,
        key: str | None = None,
        body: str = "",
        behaviour: Behaviour | None = None,
        tier_behaviours: Mapping[int, Behaviour] | None = None,
    ) -> KeyedPurchase | Settling:
        """Rent numbers, once per idempotency key; return a slow purchase while it is settling.

        ``body`` is the fingerprint of the request. ``behaviour`` is by default that of the world,
        ``tier_behaviours`` that of single products it may be filled from. Raises `ServiceError`.
        """
        self.purchases += 1
        behaviour = self.behaviour if behaviour is None else behaviour
        ready_at = now + timedelta(seconds=behaviour.takes)
        purchase = Settling(self.purchases, request, key, body, behaviour, ready_at, tier_behaviours or {})
        if key is not None and (found := self.keys.find(purchase.scope, key, body)) is not None:
            return found
        if isinstance(request, OrderRequest):
            self.abuse_record.check(now)
        if not behaviour.takes:
            self._complete(purchase, now)
            if isinstance(purchase.result, Problem):
                raise ServiceError.of(purchase.result)
            assert purchase.result is not None  # completed just now
            return purchase.result
        # A failure without effect is answered at once; the rest waits for the suppliers.
        if isinstance(request, OrderRequest):
            self._plan(request, purchase, now)
        else:
            self._reactivation_price(request, USUAL, now)
        if key is not None:
            self.keys.begin(purchase.scope, key, body)
        self.settling[purchase.number] = purchase
        heapq.heappush(self.due, (ready_at, "purchase", purchase.number))
        return purchase

    def _complete(self, purchase: Settling, now: datetime) -> None:
        request = purchase.request
        try:
            if isinstance(request, OrderRequest):
                purchase.result = self._create(request, purchase, now)
            else:
                purchase.result = self._reactivate(request, purchase.behaviour, now)
        except ServiceError as error:
            purchase.result = error.problem
        if purchase.key is not None:
            self.keys.settle(purchase.scope, purchase.key, purchase.body, purchase.result)

    def _plan(self, request: OrderRequest, purchase: Settling, now: datetime) -> Supply:
        """Return what a purchase would rent; see `supply`. Raises `ServiceError` if it cannot be paid."""
        tenths: dict[str, int | None] = {}
        if request.policy is RoutingPolicy.BEST_SUCCESS:
            tenths = {one.code: self.success_rates.tenths(one.code, now) for one in self.catalog.providers}
        offers = offers_for(self.catalog, request, tenths, sold_out=purchase.behaviour.sold_out)
        numbers, attempts = supply(offers, request.quantity, purchase.behaviour_of)
        missing = request.quantity - len(numbers)
        # The balance has to cover the whole quantity, even if only a part of it is available.
        self._check_balance(sum(tier.price for tier in numbers) + missing * offers[-1].price)
        return numbers, attempts

    def _create(self, request: OrderRequest, purchase: Settling, now: datetime) -> KeyedPurchase:
        if purchase.behaviour.problem is not None:
            raise ServiceError.of(purchase.behaviour.problem)
        numbers, attempts = self._plan(request, purchase, now)
        if not numbers:
            raise supply_error(request, attempts)
        for tier in numbers:
            tier.stock -= 1
        order_ids = [self.rent(tier, tier.price, None, purchase.behaviour_of(tier), now) for tier in numbers]
        return KeyedPurchase(now, tuple(order_ids), request.quantity - len(order_ids))

    def reactivation_cost(self, order_id: int, now: datetime, behaviour: Behaviour | None = None) -> int:
        """Return the price of renting a completed order's number again. Raises `ServiceError`."""
        order = self.order(order_id)
        settling = (purchase.request for purchase in self.settling.values())
        if not order.capabilities(now).can_reactivate or any(
            isinstance(request, ReactivationRequest)
            and self.orders[request.order_id].phone_number == order.phone_number
            for request in settling
        ):
            raise ServiceError("CONFLICT", "Order cannot be reactivated")
        if (answer := (behaviour or self.behaviour).answer(order.tier.provider.code)) != "ok":
            raise _supplier_error(answer)
        return order.tier.price * 3 // 4

    def _reactivation_price(self, request: ReactivationRequest, behaviour: Behaviour, now: datetime) -> int:
        cost = self.reactivation_cost(request.order_id, now, behaviour)
        if request.max_price is not None and cost > request.max_price:
            raise invalid({"max_price": "is below the cost"}, "The reactivation costs more than max_price")
        self._check_balance(cost)
        return cost

    def _reactivate(self, request: ReactivationRequest, behaviour: Behaviour, now: datetime) -> KeyedPurchase:
        if behaviour.problem is not None:
            raise ServiceError.of(behaviour.problem)
        cost = self._reactivation_price(request, behaviour, now)
        parent = self.orders[request.order_id]
        return KeyedPurchase(now, (self.rent(parent.tier, cost, parent, behaviour, now),), 0)

    def _check_balance(self, price: int) -> None:
        if price > self.ledger.balance:
            raise ServiceError("INSUFFICIENT_BALANCE", "Balance too low")

    # -- the life of an order ------------------------------------------------------------------

    def cancel(self, order_id: int, now: datetime, adjust: Callable[[Behaviour], Behaviour]) -> ServiceOrder:
        """Cancel an order that got no SMS, and refund it. Raises `ServiceError`.

        ``adjust`` returns, for the order's behaviour, the behaviour for this request.
        """
        order = self.order(order_id)
        behaviour = adjust(order.behaviour)
        if order.status is not OrderStatus.ACTIVE or order.sms_revision:
            raise ServiceError("CONFLICT", "Order cannot be canceled")
        own = behaviour.cancel_after in (None, order.behaviour.cancel_after)
        if now < (order.cancel_at if own else window(order.created_at, behaviour.cancel_after or 0.0)):
            raise ServiceError("CANCEL_TOO_EARLY", "Order is too new to cancel")
        today = now.toordinal()
        canceled = self.canceled[1] if self.canceled[0] == today else 0
        most = self.rules.cancels_per_day
        if most is not None and canceled >= most:
            left = seconds_left_today(now)
            raise ServiceError("RATE_LIMIT_EXCEEDED", "Too many orders canceled today", retry_after=left)
        if behaviour.cancel != "ok":
            raise _supplier_error(behaviour.cancel)
        self.canceled = (today, canceled + 1)
        order.canceled_at = now
        self.end(order, now, OrderStatus.CANCELED)
        return order

    def finish(self, order_id: int, now: datetime) -> ServiceOrder:
        """Complete an order that got an SMS, and free its number. Raises `ServiceError`."""
        order = self.order(order_id)
        if not order.capabilities(now).can_finish:
            raise ServiceError("CONFLICT", "Order cannot be finished")
        self.end(order, now, OrderStatus.COMPLETED)
        return order

    def resend(
        self, order_id: int, now: datetime, adjust: Callable[[Behaviour], Behaviour]
    ) -> tuple[ServiceOrder, bool]:
        """Request another SMS; return the order, and whether its supplier can resend. Else as `cancel`."""
        order = self.order(order_id)
        behaviour = adjust(order.behaviour)
        if not self.rules.current and order.status is OrderStatus.ACTIVE and not order.sms_revision:
            return order, False
        if not order.capabilities(now).can_resend:
            raise ServiceError("CONFLICT", "Order cannot be resent")
        if behaviour.resend != "ok":
            raise _supplier_error(behaviour.resend)
        order.resend_at = window(now, self.rules.resend_cooldown)
        if not order.tier.provider.repeats:
            return order, False
        order.status = OrderStatus.ACTIVE
        self.schedule_sms(order, now)
        return order, True

    # -- webhook -------------------------------------------------------------------------------

    def update_webhook(self, url: str | None, secret: str | None) -> None:
        """Change the webhook settings."""
        self.secrets += 1
        generated = draw(self.rules.seed, f"secret/{self.secrets}", 256)
        self.webhook.update(url, secret, f"{generated:064x}")

    def enqueue(self, delivery: Delivery, at: datetime) -> None:
        """Queue the webhook of an event at ``at``; jitter delays it."""
        if jitter := self.rules.webhook_jitter:
            share = draw(self.rules.seed, f"webhook/{self.delivery_queue.total}") / 2**64
            at += timedelta(seconds=share * jitter)
        self.delivery_queue.put(delivery, at)

    def delivered(self, delivery: Delivery, now: datetime) -> None:
        """Record the result of a delivery."""
        self.delivery_queue.in_flight.pop(delivery.number, None)
        if self.rules.current:
            self.webhook.record(delivery, now)
            if not delivery.delivered:
                self.delivery_queue.retry(delivery, now)


def _supplier_error(cause: str) -> ServiceError:
    return ServiceError("PROVIDER_ERROR", "Upstream refused the request", details={"attempts": [cause]})
