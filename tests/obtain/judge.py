"""What must be so after a run, by the service's books."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from smscode import OrderStatus, Try
from smscode.sandbox.service.orders import ServiceOrder
from tests.obtain.flavours import Told
from tests.obtain.world import CANCEL_AFTER, World

LAWS = {
    "budget": "what is spent and open is never above the budget",
    "tries": "no more numbers are bought than asked for",
    "code": "the code is that of the order, which is paid",
    "thrown": "no paid code is thrown away",
    "told": "every order is told, or named by the client",
    "left": "nothing is left that could be given back",
    "sum": "what the caller is told about money is so",
    "books": "the service's own sums add up",
    "twice": "nothing is bought twice under a key",
    "polls": "all calls share one poll per interval",
}


_OPEN = (OrderStatus.ACTIVE, OrderStatus.OTP_RECEIVED)


def judge(world: World, told: Told) -> Iterator[str]:
    """Yield the laws that a run broke."""
    given, sandbox = world.given, world.sandbox
    orders = list(sandbox._app.world.orders.values())
    if given.budget is not None and world.peak > given.budget:
        yield "budget"
    if len(orders) > given.arguments["tries"]:
        yield "tries"
    if sandbox.audit().discrepancies:
        yield "books"
    if told.obtained is not None:
        won = next(order for order in orders if order.id == told.obtained.order_id)
        newer = won.sms_revision > (told.obtained.sms.revision or 0)  # one that was asked for once more
        if not newer and won.otp_code != told.obtained.code:
            yield "code"
        if won.phone_number != told.obtained.phone_number:
            yield "code"
    named = {one.order_id: one for one in told.tried}
    doubts = told.doubts | {one.idempotency_key for one in told.tried if one.result == "in_doubt"}
    untold = [order for order in orders if order.id not in named and order.id not in told.known]
    if sum(order.status in _OPEN for order in untold) > len(doubts):
        yield "told"
    for order in orders:
        yield from _judge_order(world, told, order, named)
    spent = None if (end := told.obtained or told.error) is None else end.spent
    if spent is not None:
        known = [order for order in orders if order.id in named]
        cost = sum(order.amount for order in known if not _refunded(order))
        if spent.canonical_amount != cost and not _unread(told):
            yield "sum"


def _judge_order(
    world: World, told: Told, order: ServiceOrder, named: Mapping[int | None, Try]
) -> Iterator[str]:
    one = named.get(order.id)
    received = order.otp_code is not None
    finished = order.status is OrderStatus.COMPLETED
    if finished and received:
        sms = None if one is None else one.sms
        # A call that is interrupted while it finishes its result has told nobody.
        if (sms is None or sms.code is None) and told.ended != "interrupted":
            yield "thrown"
    age = (world.sandbox.now - order.created_at).total_seconds()
    # An order that has an SMS is active again after a resend; it is paid.
    without_sms = order.status is OrderStatus.ACTIVE and order.otp_received_at is None
    known = told.ended == "interrupted" and not world.rate and order.id in told.known
    if known and without_sms and age > CANCEL_AFTER + 3:
        yield "left"
    if without_sms and one is not None:
        failed = one.error is not None
        if age > CANCEL_AFTER + 3 and not failed:
            yield "left"
        if world.given.arguments["release_timeout"] > CANCEL_AFTER and not failed:
            yield "left"


def _refunded(order: ServiceOrder) -> bool:
    return order.status in (OrderStatus.CANCELED, OrderStatus.EXPIRED)


def _unread(told: Told) -> bool:
    """Return True if the end of a number could not be followed to its end, which its try says."""
    return any(one.error is not None and one.order_id is not None for one in told.tried)
