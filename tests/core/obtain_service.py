"""A service with a ledger that carries out the effects of obtaining a code, in rupiah and without I/O."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import define, field

from smscode import (
    ActiveOrder,
    CanceledOrder,
    CancelTooEarlyError,
    ConflictError,
    CreatedOrder,
    CreatedOrders,
    FinishedOrder,
    IdempotencyKeyReuseError,
    Money,
    NetworkError,
    NoOfferAvailableError,
    NotFoundError,
    Order,
    OrderStatus,
    OrderTerminalError,
    OtpOutcome,
    OtpSms,
    ProviderError,
    SmscodeError,
)
from smscode.core.obtain_effects import (
    BoughtOne,
    BuyOne,
    CancelOrder,
    EnteredNumber,
    EnterNumber,
    FindOffers,
    FinishOrder,
    FoundOffers,
    ObtainEffect,
    ObtainReply,
    ObtainResult,
    ReadOrder,
    ResendSms,
    SeenOrders,
    UsedKey,
    WaitForAny,
)
from smscode.core.offers import Offer
from smscode.models import ResendResult

START = datetime(2026, 6, 14, 4, 0, 12, tzinfo=UTC)
CANCEL_AFTER = 120.0
LIFE = 1200.0
LOST = NetworkError("lost", outcome="unknown")


@define
class Sold:
    """An order in the service's books; ``sms_at`` is when its SMS comes, None for never."""

    id: int
    key: str
    price: int
    bought_at: float
    sms_at: float | None
    refunded: bool = False
    canceled: bool = False
    finished: bool = False

    def has_sms(self, now: float) -> bool:
        end = self.bought_at + LIFE
        return self.sms_at is not None and self.sms_at <= min(now, end) and not self.canceled

    def status(self, now: float) -> OrderStatus:
        if self.canceled:
            return OrderStatus.CANCELED
        received = self.has_sms(now)
        if self.finished or (received and now >= self.bought_at + LIFE):
            return OrderStatus.COMPLETED
        if now >= self.bought_at + LIFE:
            return OrderStatus.EXPIRED
        return OrderStatus.OTP_RECEIVED if received else OrderStatus.ACTIVE


@define
class FakeService:
    """Sells numbers. ``net`` is what all orders cost, less what was refunded."""

    prices: tuple[int, ...] = (10_000, 12_000)
    now: float = 1_000.0
    orders: dict[int, Sold] = field(factory=dict[int, Sold])
    by_key: dict[str, int | None] = field(factory=dict[str, "int | None"])
    bodies: dict[str, bytes] = field(factory=dict[str, bytes])
    most: int = 0

    @property
    def date(self) -> datetime:
        return START + timedelta(seconds=self.now)

    @property
    def net(self) -> int:
        unpaid = (OrderStatus.CANCELED, OrderStatus.EXPIRED)
        return sum(one.price for one in self.orders.values() if one.status(self.now) not in unpaid)

    def reply(self, result: ObtainResult) -> ObtainReply:
        self.most = max(self.most, self.net)
        return ObtainReply(self.now, result, self.date)

    def buy(self, effect: BuyOne, sms_after: float | None, stored: dict[str, Any]) -> ObtainResult:
        """Carry a purchase out, or repeat its answer; ``stored`` is what a journal has under the keys."""
        intent = effect.intent
        if intent is None:
            intent = stored.get(effect.key)
            if intent is None:
                return None
            if isinstance(intent, UsedKey):
                return intent
        stored[effect.key] = intent
        if self.bodies.get(effect.key, intent.body) != intent.body:
            return IdempotencyKeyReuseError("reused", outcome="unknown")
        if effect.key not in self.by_key:
            cap = intent.fields["max_price"]
            product = intent.fields["catalog_product_id"]
            assert isinstance(cap, int)
            assert isinstance(product, int)
            price = self.prices[product % len(self.prices)]
            if price > cap:
                stored[effect.key] = UsedKey()
                return NoOfferAvailableError("none", outcome="rejected")
            order_id = 1001 + len(self.orders)
            sms_at = None if sms_after is None else self.now + sms_after
            self.orders[order_id] = Sold(order_id, effect.key, price, self.now, sms_at)
            self.by_key[effect.key] = order_id
            self.bodies[effect.key] = intent.body
        found = self.by_key[effect.key]
        if found is None:
            stored[effect.key] = UsedKey()
            return ProviderError("none", outcome="failed")
        return BoughtOne(CreatedOrders((self.created(found),), 0, effect.key), intent)

    def created(self, order_id: int) -> CreatedOrder:
        sold = self.orders[order_id]
        return CreatedOrder(
            id=order_id,
            status=OrderStatus.ACTIVE,
            amount=Money.idr(sold.price),
            phone_number=f"+62{order_id}",
            expires_at=START + timedelta(seconds=sold.bought_at + LIFE),
            cancel_available_at=START + timedelta(seconds=sold.bought_at + CANCEL_AFTER),
        )

    def order(self, order_id: int) -> Order:
        sold = self.orders[order_id]
        received = sold.has_sms(self.now)
        return Order(
            id=order_id,
            status=sold.status(self.now),
            otp_code=f"{order_id}" if received else None,
            otp_message=f"Your code is {order_id}" if received else None,
            otp_received_at=None,
            expires_at=START + timedelta(seconds=sold.bought_at + LIFE),
            failed_reason=None,
            sms_revision=int(received),
            created_at=START + timedelta(seconds=sold.bought_at),
            product_id=1,
            amount=Money.idr(sold.price),
            phone_number=f"+62{order_id}",
            canceled_at=None,
        )

    def active(self, order_id: int) -> ActiveOrder:
        order = self.order(order_id)
        return ActiveOrder(
            id=order_id,
            status=order.status,
            otp_code=order.otp_code,
            otp_message=order.otp_message,
            otp_received_at=None,
            expires_at=order.expires_at,
            failed_reason=None,
            sms_revision=order.sms_revision,
        )

    def cancel(self, order_id: int) -> ObtainResult:
        sold = self.orders[order_id]
        status = sold.status(self.now)
        if status is not OrderStatus.ACTIVE:
            return ConflictError("no", outcome="rejected")
        if self.now < sold.bought_at + CANCEL_AFTER:
            return CancelTooEarlyError("early", outcome="rejected")
        sold.canceled = True
        return CanceledOrder(order_id, OrderStatus.CANCELED, Money.idr(sold.price), Money.idr(0))

    def finish(self, order_id: int) -> ObtainResult:
        sold = self.orders[order_id]
        if sold.status(self.now) is not OrderStatus.OTP_RECEIVED:
            return ConflictError("no", outcome="rejected")
        sold.finished = True
        return FinishedOrder(order_id, OrderStatus.COMPLETED)

    def wait(self, effect: WaitForAny) -> SeenOrders:
        """Wait until an order has its code, or has ended, or the time of the wait."""
        assert effect.order_ids
        assert effect.until > self.now
        ends = [effect.until]
        for order_id in effect.order_ids:
            sold = self.orders[order_id]
            ends += [at for at in (sold.sms_at, sold.bought_at + LIFE) if at is not None]
        self.now = max(self.now, min(ends))
        outcomes: list[OtpOutcome] = []
        others: list[ActiveOrder] = []
        for order_id in effect.order_ids:
            order = self.order(order_id)
            if order.otp_code is not None:
                sms = OtpSms(order_id, order.otp_message, 1, None, code=order.otp_code)
                outcomes.append(OtpOutcome(order_id, sms))
            elif order.status is OrderStatus.ACTIVE:
                others.append(self.active(order_id))
            else:
                error = OrderTerminalError("ended")
                error.order = order
                outcomes.append(OtpOutcome(order_id, error=error))
        return SeenOrders(tuple(outcomes), tuple(others))

    def find(self, effect: FindOffers) -> FoundOffers:
        most = None if effect.limit is None else effect.limit.canonical(None)
        offers = [
            Offer(catalog_product_id=place + len(self.prices), price=Money.idr(price))
            for place, price in enumerate(self.prices)
            if most is None or price <= most
        ]
        return FoundOffers(tuple(sorted(offers, key=lambda one: one.price or Money.idr(0))), None)

    def do(
        self, effect: ObtainEffect, stored: dict[str, Any], sms_after: float | None = None
    ) -> ObtainResult:
        """Carry an effect out as a service without faults does."""
        result: ObtainResult
        match effect:
            case FindOffers():
                result = self.find(effect)
            case BuyOne():
                result = self.buy(effect, sms_after, stored)
            case EnterNumber():
                result = EnteredNumber()
            case WaitForAny():
                result = self.wait(effect)
            case CancelOrder():
                result = self.cancel(effect.order_id)
            case FinishOrder():
                result = self.finish(effect.order_id)
            case ResendSms():
                result = ResendResult(effect.order_id, OrderStatus.ACTIVE, True)
            case ReadOrder(listed=False):
                result = self.order(effect.order_id) if effect.order_id in self.orders else _missing()
            case ReadOrder():
                result = self.active(effect.order_id)
        return result


def _missing() -> SmscodeError:
    return NotFoundError("missing", outcome="rejected")
