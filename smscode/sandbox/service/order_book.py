"""The register of the orders: how they come into being, get their messages and end.

It keeps what those steps change together: the orders, the money, the suppliers' track record, the
account's conduct and the events that webhooks tell of. Who may do what when is the world's business.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

from attrs import evolve, field, frozen

from ...models import OrderStatus
from ..chance import draw
from ..control.history import Entry, OrderEnded, OrderRented, SmsReceived
from ..http.api_error import Refusal
from ..http.limits import CANCELS_PER_DAY
from .abuse import AbuseGuard, Conduct
from .catalog import Tier
from .ledger import Ledger
from .orders import ServiceOrder, window
from .success_rates import TrackRecord
from .suppliers import Behaviour, Message
from .webhooks import OrderEventName, ServiceEvent, Webhook

FIRST_ORDER_ID: Final = 1001
NO_SMS: Final = "NoSms"
"""Why an expired order failed."""

Due: TypeAlias = tuple[datetime, Literal["order", "purchase"], int]
"""Something that happens by itself: when, to what, and its number."""


@frozen(kw_only=True)
class Rules:
    """What an account cannot choose; lengths of time are in seconds. ``seed`` fixes codes and numbers.

    ``otp_after`` None means that no SMS comes by itself. ``webhook_jitter`` holds each webhook back for up
    to so long, so that they overtake each other.

    Without ``current`` the rules are those of the older service: a resend before the first SMS is
    answered with ``resent: false``; only an SMS with a code is told to the webhook, once, whether or not
    that works; and nothing is known of a daily cap of cancels or an abuse guard.
    """

    otp_after: float | None
    lifetime: float
    cancel_after: float
    resend_cooldown: float
    current: bool = True
    webhook_jitter: float = 0.0
    cancels_per_day: int | None = CANCELS_PER_DAY
    abuse_guard: AbuseGuard | None = field(factory=AbuseGuard)
    seed: int = 0


class Register:
    """The orders and all that changes with them; ``open`` are those that have not ended.

    ``due`` is a heap of what happens by itself, ``happened`` what did since somebody took note of it.
    ``rented_again`` lists the orders of a number that was rented more than once: whichever of them holds
    it, none of the others can be reactivated.
    """

    def __init__(self, rules: Rules, *, balance: int, now: datetime) -> None:
        self.rules = rules
        self.ledger: Ledger = Ledger(now, balance)
        self.success: TrackRecord = TrackRecord()
        self.conduct: Conduct = Conduct(rules.abuse_guard if rules.current else None)
        self.webhook: Webhook = Webhook()
        self.outbox: list[ServiceEvent] = []
        self.happened: list[Entry] = []
        self.orders: dict[int, ServiceOrder] = {}
        self.open: dict[int, ServiceOrder] = {}
        self.due: list[Due] = []
        self.numbers: set[str] = set()
        self.rented_again: dict[str, list[int]] = {}
        self._opened = 0

    def order(self, order_id: int) -> ServiceOrder:
        """Return an order."""
        try:
            return self.orders[order_id]
        except KeyError:
            raise Refusal("NOT_FOUND", "Order not found") from None

    def newest(self, status: OrderStatus | None = None) -> Iterator[ServiceOrder]:
        """Return the orders, newest first."""
        held = self.orders if status is None or status.terminal else self.open
        return (order for order in reversed(held.values()) if status is None or order.status is status)

    def rent(
        self, tier: Tier, amount: int, parent: ServiceOrder | None, behaviour: Behaviour, now: datetime
    ) -> int:
        """Rent a number and give the order's id; with ``parent``, that order's number again."""
        lifetime = self.rules.lifetime if behaviour.lifetime is None else behaviour.lifetime
        cancel_after = self.rules.cancel_after if behaviour.cancel_after is None else behaviour.cancel_after
        order = ServiceOrder(
            id=FIRST_ORDER_ID + len(self.orders),
            tier=tier,
            amount=amount,
            phone_number=self._new_number(tier) if parent is None else parent.phone_number,
            created_at=now,
            expires_at=window(now, lifetime),
            cancel_at=window(now, cancel_after),
            parent_id=None if parent is None else parent.id,
            behaviour=behaviour,
        )
        self.orders[order.id] = self.open[order.id] = order
        self._opened += 1
        if parent is not None:
            self._join_family(order, parent.id)
            self._set_number_free(order.phone_number, free=False)
        self.ledger.debit(now, amount, order.id)
        self.happened.append(OrderRented(now, order.id, tier.id, order.phone_number, amount, order.parent_id))
        self.success.add(tier.provider.code, now, 1, 0)
        heapq.heappush(self.due, (order.expires_at, "order", order.id))
        self.expect_sms(order, now)
        return order.id

    def index(self) -> None:
        """Work out from the orders all that follows from them, after they were put in as they are."""
        self.open = {order.id: order for order in self.orders.values() if not order.status.terminal}
        self._opened = len(self.open)
        self.numbers = {order.phone_number for order in self.orders.values()}
        self.rented_again = {}
        for order in self.orders.values():
            order.number_free = True
            if order.parent_id is not None:
                self._join_family(order, order.parent_id)
        for order in self.open.values():
            if order.parent_id is not None:
                self._set_number_free(order.phone_number, free=False)
        self.due = [
            (at, "order", order.id)
            for order in self.open.values()
            for at in (order.expires_at, *(at for at, _ in order.incoming))
        ]
        heapq.heapify(self.due)

    def _join_family(self, order: ServiceOrder, parent_id: int) -> None:
        self.rented_again.setdefault(order.phone_number, [parent_id]).append(order.id)

    def _set_number_free(self, number: str, *, free: bool) -> None:
        for order_id in self.rented_again[number]:
            self.orders[order_id].number_free = free

    def _new_number(self, tier: Tier) -> str:
        country = tier.country
        drawn = draw(self.rules.seed, f"number/{len(self.orders)}")
        while True:
            number = f"{country.dial_code}{country.prefix}{drawn % 10**country.digits:0{country.digits}d}"
            if number not in self.numbers:
                self.numbers.add(number)
                return number
            drawn += 1

    def redirect(self, order: ServiceOrder, behaviour: Behaviour, now: datetime, *, afresh: bool) -> None:
        """Continue an order by another behaviour from now on; ``afresh``: with that one's messages, too."""
        order.behaviour = behaviour
        if order.status.terminal:
            return
        if behaviour.lifetime is not None:
            order.expires_at = window(now, behaviour.lifetime)
            heapq.heappush(self.due, (order.expires_at, "order", order.id))
        if behaviour.cancel_after is not None:
            order.cancel_at = window(order.created_at, behaviour.cancel_after)
        if afresh:
            self.expect_sms(order, now)

    def live_on(self, order: ServiceOrder, at: datetime) -> None:
        """Deliver what is due for an open order: its messages, or its end."""
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
        """Deliver an SMS to an open order; without ``text`` and ``code``, one with a new code."""
        if text is None:
            code = code or self._new_code(order)
            text = f"Your {order.tier.service.name} code is {code}"
        if order.otp_code is None and code is not None:
            self.success.add(order.tier.provider.code, order.created_at, 0, 1)
        order.receive(at, text, code)
        self.happened.append(SmsReceived(at, order.id, order.sms_revision, code, text))
        if code is not None or self.rules.current:
            self._emit("order.otp_received", order, at)

    def _new_code(self, order: ServiceOrder) -> str:
        drawn = draw(self.rules.seed, f"code/{order.id}/{order.sms_revision}")
        code = f"{drawn % 10**6:06d}"
        # One chance in a million: a new SMS must be seen to have another code.
        return f"{(drawn + 1) % 10**6:06d}" if code == order.otp_code else code

    def expect_sms(self, order: ServiceOrder, now: datetime) -> None:
        """Schedule the order's messages, in place of those that were still to come."""
        messages = order.behaviour.messages
        if messages is None:
            after = self.rules.otp_after
            messages = () if after is None else (Message(after),)
        expected = [(now + timedelta(seconds=message.after), message) for message in messages]
        order.incoming = tuple(sorted(expected, key=lambda item: item[0]))
        for at, _ in order.incoming:
            heapq.heappush(self.due, (at, "order", order.id))

    def end(self, order: ServiceOrder, at: datetime, status: OrderStatus) -> None:
        """End an order: its number is free, and its price given back unless it is completed."""
        order.status = status
        del self.open[order.id]
        if self._opened > 64 and len(self.open) < self._opened // 8:
            # A dict keeps the places of what was deleted, and walking over it passes them all.
            self.open, self._opened = dict(self.open), len(self.open)
        if order.parent_id is None:
            order.tier.stock += 1
        else:
            self._set_number_free(order.phone_number, free=True)
        self.conduct.note(at, failed=not order.sms_revision)
        refund = 0 if status is OrderStatus.COMPLETED else order.amount
        self.happened.append(OrderEnded(at, order.id, status, refund))
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
