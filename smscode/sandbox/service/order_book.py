"""The order book: how orders are rented, get their messages and end.

It holds what these steps change together: the orders, the money, the suppliers' success rates, the
account's abuse record and the events for webhooks. `World` decides which of them is allowed when.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import islice
from typing import Final, Literal, TypeAlias

from attrs import evolve, frozen

from ...models import OrderStatus
from ..chance import draw, draw_share
from ..control.history import Entry, OrderEnded, OrderRented, SmsReceived
from ..http.api_error import ServiceError
from ..http.limits import read_limits
from ..http.render import Generation
from .abuse import AbuseGuard, AbuseRecord
from .catalog import Tier
from .ledger import Ledger
from .orders import ServiceOrder, window
from .suppliers import Behaviour, Message, SuccessRates
from .webhooks import OrderEventName, ServiceEvent, Webhook

FIRST_ORDER_ID: Final = 1001
NO_SMS: Final = "NoSms"
"""Why an expired order failed."""

Due: TypeAlias = tuple[datetime, Literal["order", "purchase"], int]
"""A scheduled step: its time, its kind, and the number of the order or purchase."""


@frozen(kw_only=True)
class Rules:
    """The rules of the service, which are arguments of `Sandbox`; durations are in seconds.

    With ``otp_after`` None no SMS arrives by itself. ``webhook_jitter`` delays each webhook by up to this
    long, so that they overtake each other. ``seed`` determines codes and numbers.

    The documented generation answers a resend before the first SMS with ``resent: false``; it sends a webhook
    only for an SMS with a code, once, even if that fails; and it has neither a daily cap of cancels nor an
    abuse guard.
    """

    otp_after: float | None = 2.0
    lifetime: float = 1200.0
    cancel_after: float = 120.0
    resend_cooldown: float = 30.0
    generation: Generation = "current"
    webhook_jitter: float = 0.0
    rate_limits: bool | Mapping[str, int] = True
    abuse_guard: AbuseGuard | None = AbuseGuard()
    seed: int = 0

    @property
    def current(self) -> bool:
        """Whether the service is of the current generation."""
        return self.generation == "current"

    @property
    def cancels_per_day(self) -> int | None:
        """The daily cap of cancels, None for no cap."""
        return read_limits(self.rate_limits)[1] if self.current else None


class OrderBook:
    """The orders and everything that changes with them; ``open`` are the orders that have not ended.

    ``due`` is a heap of the scheduled steps, ``new_entries`` the entries that the history does not have yet.
    ``rented_again`` lists the orders of each number that was rented more than once: while one of them holds
    the number, none of the others can be reactivated.
    """

    def __init__(self, rules: Rules, *, balance: int, now: datetime) -> None:
        self.rules = rules
        self.ledger: Ledger = Ledger(now, balance)
        self.success_rates: SuccessRates = SuccessRates()
        self.abuse_record: AbuseRecord = AbuseRecord(rules.abuse_guard if rules.current else None)
        self.webhook: Webhook = Webhook()
        self.outbox: list[ServiceEvent] = []
        self.new_entries: list[Entry] = []
        self.orders: dict[int, ServiceOrder] = {}
        self.open: dict[int, ServiceOrder] = {}
        self.due: list[Due] = []
        self.numbers: set[str] = set()
        self.rented_again: dict[str, list[int]] = {}
        self._opened = 0

    def order(self, order_id: int) -> ServiceOrder:
        """Return an order. Raises `ServiceError`."""
        try:
            return self.orders[order_id]
        except KeyError:
            raise ServiceError("NOT_FOUND", "Order not found") from None

    def newest(self, status: OrderStatus | None = None, start: int = 0) -> Iterator[ServiceOrder]:
        """Yield the orders after the first ``start``, newest first; with ``status`` those that have it."""
        if status is None:
            # Ids follow one another, so that no order is passed over one by one.
            newest = FIRST_ORDER_ID + len(self.orders) - 1 - start
            return (self.orders[order_id] for order_id in range(newest, FIRST_ORDER_ID - 1, -1))
        held = self.orders if status.terminal else self.open
        found = (order for order in reversed(held.values()) if order.status is status)
        return islice(found, min(start, len(held)), None)

    def rent(
        self, tier: Tier, amount: int, parent: ServiceOrder | None, behaviour: Behaviour, now: datetime
    ) -> int:
        """Rent a number, with ``parent`` that order's number again, and return the new order's id."""
        lifetime = self.rules.lifetime if behaviour.lifetime is None else behaviour.lifetime
        cancel_after = self.rules.cancel_after if behaviour.cancel_after is None else behaviour.cancel_after
        order = ServiceOrder(
            id=FIRST_ORDER_ID + len(self.orders),
            tier=tier,
            amount=amount,
            phone_number=self.new_number(tier) if parent is None else parent.phone_number,
            created_at=now,
            expires_at=window(now, lifetime),
            cancel_at=window(now, cancel_after),
            parent_id=None if parent is None else parent.id,
            behaviour=behaviour,
            restocks=tier.restocks,
        )
        self.orders[order.id] = self.open[order.id] = order
        self._opened += 1
        if parent is not None:
            self._record_parent(order, parent.id)
            self._set_number_free(order.phone_number, free=False)
        self.ledger.debit(now, amount, order.id)
        self.new_entries.append(
            OrderRented(now, order.id, tier.id, order.phone_number, amount, order.parent_id)
        )
        self.success_rates.add(tier.provider.code, now, 1, 0)
        heapq.heappush(self.due, (order.expires_at, "order", order.id))
        self.schedule_sms(order, now)
        return order.id

    def index(self) -> None:
        """Compute everything that follows from the orders, after they were restored from a snapshot."""
        self.open = {order.id: order for order in self.orders.values() if not order.status.terminal}
        self._opened = len(self.open)
        self.numbers = {order.phone_number for order in self.orders.values()}
        self.rented_again = {}
        for order in self.orders.values():
            order.number_free = True
            if order.parent_id is not None:
                self._record_parent(order, order.parent_id)
        for order in self.open.values():
            if order.parent_id is not None:
                self._set_number_free(order.phone_number, free=False)
        self.due = [
            (at, "order", order.id)
            for order in self.open.values()
            for at in (order.expires_at, *(at for at, _ in order.incoming))
        ]
        heapq.heapify(self.due)

    def _record_parent(self, order: ServiceOrder, parent_id: int) -> None:
        self.rented_again.setdefault(order.phone_number, [parent_id]).append(order.id)

    def _set_number_free(self, number: str, *, free: bool) -> None:
        for order_id in self.rented_again[number]:
            self.orders[order_id].number_free = free

    def new_number(self, tier: Tier) -> str:
        """Return a phone number that no order had so far."""
        country = tier.country
        drawn = draw(self.rules.seed, f"number/{len(self.orders)}")
        while True:
            number = f"{country.dial_code}{country.prefix}{drawn % 10**country.digits:0{country.digits}d}"
            if number not in self.numbers:
                self.numbers.add(number)
                return number
            drawn += 1

    def change_behaviour(
        self, order: ServiceOrder, behaviour: Behaviour, now: datetime, *, reschedule: bool
    ) -> None:
        """Set the behaviour of an order; with ``reschedule`` its messages replace the scheduled ones."""
        order.behaviour = behaviour
        if order.status.terminal:
            return
        if behaviour.lifetime is not None:
            order.expires_at = window(now, behaviour.lifetime)
            heapq.heappush(self.due, (order.expires_at, "order", order.id))
        if behaviour.cancel_after is not None:
            order.cancel_at = window(order.created_at, behaviour.cancel_after)
        if reschedule:
            self.schedule_sms(order, now)

    def process_due(self, order: ServiceOrder, at: datetime) -> None:
        """Deliver the messages of an open order that are due, or end it."""
        if at >= order.expires_at:
            self.end(order, at, OrderStatus.COMPLETED if order.sms_revision else OrderStatus.EXPIRED)
            return
        while order.incoming and order.incoming[0][0] <= at:
            (_, message), *later = order.incoming
            order.incoming = tuple(later)
            self.receive_sms(order, at, message.text, message.code)

    def receive_sms(
        self, order: ServiceOrder, at: datetime, text: str | None = None, code: str | None = None
    ) -> None:
        """Deliver an SMS to an open order; without ``text`` the usual one, with ``code`` or a new code."""
        if text is None:
            code = code or self._new_code(order)
            text = f"Your {order.tier.service.name} code is {code}"
        if order.otp_code is None and code is not None:
            self.success_rates.add(order.tier.provider.code, order.created_at, 0, 1)
        order.receive(at, text, code)
        self.new_entries.append(SmsReceived(at, order.id, order.sms_revision, code, text))
        if code is not None or self.rules.current:
            self._emit("order.otp_received", order, at)

    def _new_code(self, order: ServiceOrder) -> str:
        drawn = draw(self.rules.seed, f"code/{order.id}/{order.sms_revision}")
        code = f"{drawn % 10**6:06d}"
        # The same code twice, one chance in a million, would hide that the SMS is a new one.
        return f"{(drawn + 1) % 10**6:06d}" if code == order.otp_code else code

    def schedule_sms(self, order: ServiceOrder, now: datetime) -> None:
        """Schedule the messages of the order's behaviour, replacing those that are still scheduled."""
        messages = self._messages(order)
        expected = [(now + timedelta(seconds=message.after), message) for message in messages]
        order.incoming = tuple(sorted(expected, key=lambda item: item[0]))
        for at, _ in order.incoming:
            heapq.heappush(self.due, (at, "order", order.id))

    def _messages(self, order: ServiceOrder) -> tuple[Message, ...]:
        """Return the messages that an order gets after its purchase and after each resend."""
        behaviour, seed = order.behaviour, self.rules.seed
        if behaviour.dead and draw_share(seed, f"dead/{order.id}") < behaviour.dead:
            return ()
        if behaviour.late and draw_share(seed, f"late/{order.id}") < behaviour.late:
            return (Message(behaviour.late_after),)
        if behaviour.messages is not None:
            return behaviour.messages
        return () if self.rules.otp_after is None else (Message(self.rules.otp_after),)

    def end(self, order: ServiceOrder, at: datetime, status: OrderStatus) -> None:
        """End an order: free its number, and refund its price unless it is completed."""
        order.status = status
        del self.open[order.id]
        if self._opened > 64 and len(self.open) < self._opened // 8:
            # A dict keeps the slots of deleted items, and iterating over it visits them all.
            self.open, self._opened = dict(self.open), len(self.open)
        if order.parent_id is None:
            order.tier.stock += order.restocks
        else:
            self._set_number_free(order.phone_number, free=True)
        self.abuse_record.add(at, failed=not order.sms_revision)
        refund = 0 if status is OrderStatus.COMPLETED else order.amount
        self.new_entries.append(OrderEnded(at, order.id, status, refund))
        if status is OrderStatus.COMPLETED:
            self._emit("order.completed", order, at)
            return
        if status is OrderStatus.EXPIRED:
            order.failed_reason = NO_SMS
        self.ledger.refund(at, order.amount, order.id)
        self._emit("order.expired" if status is OrderStatus.EXPIRED else "order.canceled", order, at)

    def _emit(self, name: OrderEventName, order: ServiceOrder, at: datetime) -> None:
        if self.webhook.enabled:
            self.outbox.append(ServiceEvent(name, at, evolve(order)))
