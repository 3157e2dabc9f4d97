"""What a purchase goes through: written, sent, answered, handed over, or withdrawn.

Everything that decides about a purchase is here or in `purchase_records`; the client's memory and its
journal only store what is decided. An attempt under a key is *open* when it was sent and no answer came
from behind the look-up of the key: then the service may have carried it out, or may do so yet.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal, Protocol, TypeAlias

from attrs import define, evolve, field, frozen

from ...errors import ClientStateError, JournalError, Outcome, SmscodeError
from ...models import ActiveOrder, CreatedOrder, CreatedOrders, Order, OrderStatus
from ...money import Money
from ..order_status import is_over, known_status
from ..retry import for_every_code
from .intents import OrderIntent
from .records import BoughtOrder, PurchaseRecord, PurchaseState, Writing, another_order, under_way

StateRow: TypeAlias = Literal["withdrawn", "refused", "stays"]
"""What becomes of a purchase's row when an error ends the call."""

LATE = 60.0
"""Seconds after which an attempt that was given up does not reach the service any more."""

_MOST_KEYS_REMEMBERED = 10_000
_MOST_EARLY = 1_000
_LONGEST_LIFE = 86_400.0  # seconds that an order lives whose end is not known


@frozen
class Verdict:
    """What a kind of failure says about a purchase.

    ``outcome`` and ``row`` are for a key under which no attempt is open, ``outcome_open`` and ``row_open``
    for one with an open attempt, or whose purchase is known to be bought. A failure that ``opens`` makes
    its own attempt one. One that ``settles`` comes from behind the look-up of the key: it ends all doubt,
    at once or, for "late", if it was sent `LATE` seconds after the last open attempt had ended; before,
    that attempt may still arrive and buy.
    """

    outcome: Outcome
    outcome_open: Outcome
    row: StateRow
    row_open: StateRow
    opens: bool = False
    settles: Literal["no", "late", "always"] = "no"


_NOT_SENT = Verdict("not_sent", "unknown", "withdrawn", "stays")
_REFUSED = Verdict("rejected", "unknown", "refused", "stays")
_RELEASED = Verdict("rejected", "unknown", "refused", "stays", settles="late")
_RECORDED = Verdict("failed", "failed", "refused", "refused", settles="always")
_OPEN = Verdict("unknown", "unknown", "stays", "stays", opens=True)
_OTHERS = Verdict("unknown", "unknown", "stays", "stays")

_ROWS: Mapping[str, Verdict] = {
    # Found here, before anything was sent.
    "argument": _NOT_SENT,
    "another order": _OTHERS,
    "under way": _OTHERS,
    "too old": _OTHERS,
    "another token": _OTHERS,
    "settled meanwhile": _OTHERS,
    "journal": _NOT_SENT,
    "closed": _NOT_SENT,
    "banned here": _NOT_SENT,
    "no room": _NOT_SENT,
    # No answer.
    "not sent": _NOT_SENT,
    "cannot be sent": _NOT_SENT,
    "transport failed": _OPEN,
    "connection broke": _OPEN,
    "kept-alive connection broke": _OPEN,
    # An answer without the envelope of the API. The two refusals come before the look-up of the key.
    "unreadable answer": _OPEN,
    "unavailable": _OPEN,
    "throttled": _REFUSED,
    "body too large": _REFUSED,
    "refused by something else": _OPEN,
    "redirect": _OPEN,
    "answer too large": _OPEN,
    "unexpected data": _OPEN,
    # The documented codes.
    "UNAUTHORIZED": _REFUSED,
    "FORBIDDEN": _REFUSED,
    "NOT_FOUND": _REFUSED,
    "CONFLICT": _OPEN,  # "duplicate request or resource conflict": the duplicate may have been bought
    "INSUFFICIENT_BALANCE": _RELEASED,
    "CANCEL_TOO_EARLY": _OPEN,  # no answer to a purchase
    "REQUEST_IN_PROGRESS": _OPEN,
    "VALIDATION_ERROR": _REFUSED,
    "PROVIDER_ERROR": _RECORDED,
    "NO_OFFER_AVAILABLE": _RELEASED,
    # The key is taken by other bytes, which may have been bought; these ones will never be carried out.
    "IDEMPOTENCY_KEY_REUSED": Verdict("unknown", "unknown", "refused", "refused", settles="always"),
    "RATE_LIMIT_EXCEEDED": _REFUSED,
    "TEMP_BANNED_ABUSE_GUARD": _REFUSED,
    "INTERNAL_ERROR": _OPEN,
    "SERVICE_UNAVAILABLE": _OPEN,
    "FX_RATE_UNAVAILABLE": _REFUSED,
    "unknown refusal": _REFUSED,
    "unknown code": _OPEN,
    "unknown code of a failing service": _OPEN,
}

VERDICTS: Mapping[str, Verdict] = for_every_code(_ROWS)
"""What every kind of failure says about a purchase: the table of the design, as data."""


FOUND_HERE = frozenset(
    {
        *("argument", "another order", "under way", "too old", "another token", "settled meanwhile"),
        *("journal", "closed"),
    }
)
"""The kinds of failure for which nothing was sent, so that only earlier attempts matter."""


def kind_of(error: SmscodeError) -> str:
    """Return the kind of an error that was found before anything was sent."""
    if error.trouble in FOUND_HERE:
        return error.trouble
    if isinstance(error, ClientStateError):
        return "closed"
    return "journal" if isinstance(error, JournalError) else "argument"


@define
class Doubt:
    """Whether an attempt under a key is open, and when the last open one had ended.

    ``raised`` is set when the first byte of an attempt is written. It outlives the call, so that a
    cancelled purchase knows whether it has to be looked after. ``ended`` is in seconds of the clock of
    the calls. Once ``forbidden`` is set, no first byte is sent: it is raised instead.
    """

    raised: bool = False
    ended: float = float("-inf")
    forbidden: BaseException | None = None


def judge(kind: str, doubt: Doubt, *, before: bool, sent_at: float, now: float) -> Outcome:
    """Return the outcome of a purchase after a failure of this kind, and update its doubt.

    ``before`` is whether an attempt was open before this one, which was sent at ``sent_at`` or later and
    ended ``now``.
    """
    verdict = VERDICTS[kind]
    open_ = before
    if verdict.settles == "always" or (verdict.settles == "late" and sent_at - doubt.ended >= LATE):
        open_ = False
    if verdict.opens:
        doubt.ended = now
    doubt.raised = open_ or verdict.opens
    return verdict.outcome_open if open_ else verdict.outcome


def row_after(kind: str, outcome: Outcome) -> StateRow:
    """Return what becomes of the row of a purchase that ended with this error."""
    if outcome == "not_sent":
        return "withdrawn"
    verdict = VERDICTS[kind]
    return verdict.row_open if outcome == "unknown" else verdict.row


RecoveredState: TypeAlias = Literal["settled", "undelivered", "open", "unsettled"]


@frozen
class Recovered:
    """A purchase that is unfinished business, and what is known of it.

    ``state`` is "settled" for one that was in doubt and was settled now: ``orders`` has what was bought, or
    ``error`` why nothing was; "undelivered" for one that was bought and never returned to its caller;
    "open" for one that was returned, with orders that have not ended; "unsettled" for one that is still in
    doubt, with the ``error`` that says why. ``orders`` are as they were last seen.
    """

    intent: OrderIntent
    state: RecoveredState
    orders: tuple[Order, ...] = ()
    error: SmscodeError | None = None


class PurchaseHolder(Protocol):
    """The call that has a purchase under way."""

    @property
    def over(self) -> bool:
        """Whether the call has ended, however it did."""
        ...

    def forbid(self, why: BaseException) -> None:
        """Withdraw what has not sent its first byte yet, which raises ``why`` from now on."""
        ...


@define(eq=False)
class Purchase:
    """A purchase in the memory of a client.

    ``written_at`` is the time of its first attempt, in seconds of the wall clock, None before. ``holder`` is
    the call that has it under way, or that has not returned its orders yet. ``handed_over`` says that a
    caller has the ``orders``, of which ``living`` have not been seen to end; ``returned`` that a caller in
    a process that has ended had them. ``finished`` says that it was bought before and its orders have ended.
    ``writing`` is how its call writes it into a journal.
    """

    intent: OrderIntent
    doubt: Doubt = field(factory=Doubt)
    holder: PurchaseHolder | None = None
    written_at: float | None = None
    bought: bool = False
    handed_over: bool = False
    returned: bool = False
    finished: bool = False
    writing: Writing | None = None
    orders: dict[int, Order] = field(factory=dict[int, Order])
    living: set[int] = field(factory=set[int])

    @property
    def key(self) -> str:
        """Its idempotency key."""
        return self.intent.idempotency_key

    @property
    def under_way(self) -> bool:
        """Whether a call has it in hand."""
        return self.holder is not None and not self.holder.over

    @property
    def undelivered(self) -> bool:
        """Whether it was bought, and no caller has its orders."""
        return self.bought and not self.handed_over and not self.returned and bool(self.orders)

    @property
    def certain(self) -> bool:
        """Whether it is known that nothing was bought under its key."""
        return not (self.bought or self.finished or self.doubt.raised)


class PurchaseBook:
    """The purchases of a client: under way, in doubt, or bought and not over, oldest first.

    Every change is one step that leaves the book consistent, because an interrupt may come after each.
    """

    def __init__(self) -> None:
        self._purchases: dict[str, Purchase] = {}
        self._by_order: dict[int, Purchase] = {}
        # What the keys used last stand for, and since when, if something was bought under them.
        self._digests: OrderedDict[str, tuple[bytes, float | None]] = OrderedDict()
        self._early: OrderedDict[int, int | None] = OrderedDict()  # ends of orders that are not known yet

    @property
    def empty(self) -> bool:
        """Whether there is no order that has not ended."""
        return not self._by_order

    def begin(self, intent: OrderIntent, holder: PurchaseHolder) -> Purchase:
        """Return the entry of a purchase that ``holder`` makes from now on, with what earlier tries left.

        Raises `ClientStateError` while another call has it under way, `InvalidArgumentError` when its
        key is in use here for another order.
        """
        key, digest = intent.idempotency_key, _digest(intent)
        purchase = self._purchases.get(key)
        if purchase is not None and purchase.certain and not purchase.under_way:
            # An interrupted call left it behind without a byte sent, so it counts for nothing.
            purchase = None
        known, since = self._digests.get(key, (digest, None))
        if purchase is None:
            if since is not None and known != digest:
                raise another_order("this client")
            purchase = Purchase(intent, holder=holder, written_at=since, finished=since is not None)
            self._purchases[key] = purchase
            self._remember(key, digest, since)
        elif not purchase.intent.same_order(intent):
            raise another_order("this client")
        elif purchase.under_way and purchase.holder is not holder:
            raise under_way("another call of this client")
        purchase.holder = holder
        return purchase

    def _remember(self, key: str, digest: bytes, since: float | None) -> None:
        self._digests[key] = digest, since
        self._digests.move_to_end(key)
        if len(self._digests) > _MOST_KEYS_REMEMBERED:
            self._digests.popitem(last=False)

    def knows(self, key: str) -> bool:
        """Return True if a purchase under this key is under way, may have been made, or was made."""
        purchase = self._purchases.get(key)
        if purchase is not None:
            return purchase.under_way or not purchase.certain
        return self._digests.get(key, (b"", None))[1] is not None

    def buy(self, purchase: Purchase, created: CreatedOrders) -> dict[int, int | None]:
        """Store what a purchase bought; what is known of its orders from before stays.

        Returns the orders that are known to have ended already, with their refunds.
        """
        ended: dict[int, int | None] = {}
        if purchase.finished:
            self._close(purchase)
            return ended
        if not purchase.bought:
            orders = {order.id: as_order(order) for order in created.orders}
            ended = {one: self._early[one] for one in orders if one in self._early}
            over = {one for one, order in orders.items() if is_over(order.status)}
            purchase.orders = orders
            purchase.living = set(orders) - ended.keys() - over
            ended |= {
                one: orders[one].amount.canonical_amount if is_refunded(orders[one].status) else 0
                for one in over
            }
            purchase.bought = True
        purchase.doubt.raised = False
        self._purchases[purchase.key] = purchase
        self._by_order.update(dict.fromkeys(purchase.orders, purchase))
        if not purchase.orders:
            self._close(purchase)
        return ended

    def adopt(self, purchase: Purchase) -> Purchase:
        """Add a purchase that another process made; return the entry to go on with."""
        known = self._purchases.setdefault(purchase.key, purchase)
        if purchase.bought and not known.bought:
            known.orders, known.living, known.returned = purchase.orders, purchase.living, purchase.returned
            known.written_at = purchase.written_at
            known.bought = True
            known.doubt.raised = False
        self._remember(purchase.key, _digest(purchase.intent), None)
        self._by_order.update(dict.fromkeys(known.orders, known))
        return known

    def drop(self, purchase: Purchase) -> None:
        """Forget a purchase under whose key nothing was bought: the key is free for another order."""
        if self._purchases.get(purchase.key) is purchase:
            if not purchase.finished:
                self._digests.pop(purchase.key, None)
            self._purchases.pop(purchase.key, None)

    def dismiss(self, key: str) -> Purchase | None:
        """Forget a purchase, but not that its key was used."""
        purchase = self._purchases.get(key)
        if purchase is not None:
            if purchase.under_way:
                raise under_way("another call of this client")
            self._close(purchase)
        return purchase

    def hand_over(self, purchase: Purchase, *, done: bool) -> None:
        """Store that the caller of a purchase has its orders, or that it has not after all."""
        purchase.handed_over = done
        if done and not purchase.living:
            self._close(purchase)
        elif not done and purchase.orders:
            self._purchases[purchase.key] = purchase

    def unresolved(self) -> tuple[OrderIntent, ...]:
        """Return the purchases that are in doubt, and those whose orders no caller has."""
        return tuple(
            purchase.intent
            for purchase in tuple(self._purchases.values())
            if not purchase.under_way and (purchase.doubt.raised or purchase.undelivered)
        )

    def undelivered(self) -> list[Purchase]:
        """Return the purchases whose orders no caller in this process has."""
        return [
            purchase
            for purchase in tuple(self._purchases.values())
            if purchase.bought and not purchase.handed_over and not purchase.under_way
        ]

    def bought(self) -> tuple[Recovered, ...]:
        """Return the purchases that were bought and are not over."""
        return tuple(
            Recovered(
                purchase.intent,
                "open" if purchase.handed_over or purchase.returned else "undelivered",
                tuple(purchase.orders.values()),
            )
            for purchase in tuple(self._purchases.values())
            if purchase.bought and not purchase.under_way
        )

    def see(self, orders: Iterable[Order | ActiveOrder]) -> dict[Purchase, dict[int, int | None]]:
        """Note orders as they are now; return which have ended, by purchase, with their refunds."""
        ended: dict[Purchase, dict[int, int | None]] = {}
        for order in orders:
            purchase = self._by_order.get(order.id)
            if purchase is None:
                continue
            if isinstance(order, Order):
                purchase.orders[order.id] = order
            if is_over(order.status) and order.id in purchase.living:
                price = purchase.orders[order.id].amount.canonical_amount
                ended.setdefault(purchase, {})[order.id] = price if is_refunded(order.status) else 0
        for purchase, refunds in ended.items():
            self.end(purchase, refunds)
        return ended

    def end_order(
        self, order_id: int, status: OrderStatus | str, refund: int | None
    ) -> dict[Purchase, dict[int, int | None]]:
        """Note that an order has ended; return its purchase, if it is one of the book.

        A ``refund`` of None is the whole price.
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
        purchase.orders[order_id] = evolve(order, status=status)
        self.end(purchase, [order_id])
        return {purchase: {order_id: order.amount.canonical_amount if refund is None else refund}}

    def expire(self, now: datetime) -> dict[Purchase, dict[int, int | None]]:
        """Return the orders whose time is over by the service's date, as having ended."""
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
        """Store that orders have ended; a purchase that was handed over is forgotten with its last one."""
        for order_id in order_ids:
            purchase.living.discard(order_id)
        if not purchase.living and purchase.handed_over:
            self._close(purchase)

    def _close(self, purchase: Purchase) -> None:
        since = purchase.written_at if purchase.written_at is not None else 0.0
        self._remember(purchase.key, _digest(purchase.intent), since)
        for order_id in purchase.orders:
            self._by_order.pop(order_id, None)
        self._purchases.pop(purchase.key, None)


def recovered(
    in_doubt: Iterable[tuple[PurchaseRecord, CreatedOrders | SmscodeError]], bought: Iterable[Purchase]
) -> list[Recovered]:
    """Return what is told of the purchases that were recovered, oldest first.

    ``in_doubt`` are those that were, with their ends; ``bought`` are all that were bought. Of those whose
    caller had the orders, the ones whose orders have ended are left out, and so is what others settled.
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
            orders = tuple(purchase.orders.values())
            found.append((purchase.written_at or 0.0, Recovered(purchase.intent, state, orders)))
    return [one for _, one in sorted(found, key=lambda pair: pair[0])]


def _date_of(seconds: float | None) -> datetime | None:
    """Return a stored time as a date, None for one that no date can say."""
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


def bought_orders(orders: Iterable[Order]) -> tuple[BoughtOrder, ...]:
    """Return what a journal stores of orders that were just bought."""
    return tuple(
        BoughtOrder(
            order.id,
            None if order.expires_at is None else order.expires_at.timestamp(),
            min(order.amount.canonical_amount, 2**62),
        )
        for order in orders
    )


def adopted(record: PurchaseRecord, ended: float) -> Purchase:
    """Return the entry of a purchase that a process which has ended left in the journal.

    ``ended`` is when its last attempt had ended, by the clock of the calls.
    """
    if record.state is PurchaseState.WRITTEN:
        return Purchase(record.intent, Doubt(raised=True, ended=ended), written_at=record.written_at)
    orders = {
        order.id: as_order(
            CreatedOrder(
                id=order.id,
                expires_at=_date_of(order.expires_at),
                amount=None if order.charged is None else Money.idr(order.charged),
            )
        )
        for order in record.orders
    }
    return Purchase(
        record.intent,
        written_at=record.written_at,
        bought=True,
        returned=record.handed_at is not None,
        orders=orders,
        living={order.id for order in record.orders if order.ended_at is None},
    )


def as_order(created: CreatedOrder) -> Order:
    """Return an order as it was created; its price is zero where the answer's could not be read."""
    return Order(
        id=created.id,
        status=created.status or OrderStatus.ACTIVE,
        created_at=None,
        product_id=created.product_id or 0,
        amount=created.amount or Money(Decimal(0), "IDR", 0, "IDR"),
        phone_number=created.phone_number,
        otp_code=created.otp_code,
        otp_received_at=created.otp_received_at,
        expires_at=created.expires_at,
        canceled_at=None,
        failed_reason=created.failed_reason,
        catalog_product_id=created.catalog_product_id,
        operator_id=created.operator_id,
        operator_name=created.operator_name,
        can_finish=created.can_finish,
        can_resend=created.can_resend,
        can_cancel=created.can_cancel,
        can_replace=created.can_replace,
        can_reactivate=created.can_reactivate,
        resend_available_at=created.resend_available_at,
        cancel_available_at=created.cancel_available_at,
        replace_available_at=created.replace_available_at,
    )


def _digest(intent: OrderIntent) -> bytes:
    return hashlib.sha256(f"{intent.operation} {intent.version} ".encode() + intent.body).digest()
