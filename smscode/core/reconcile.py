"""What reading an order tells about a cancel or finish whose answer was lost."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from ..errors import ConflictError, SmscodeError
from ..models import Balance, CanceledOrder, FinishedOrder, Order, OrderStatus
from .api import balance, orders
from .api.call import Answer, Call
from .order_status import has_ended, known_status

_TARGETS = {
    orders.CANCEL.name: OrderStatus.CANCELED,
    orders.FINISH.name: OrderStatus.COMPLETED,
}

State = Literal["done", "waiting", "ended"]


def reads(call: Call[object]) -> tuple[Call[Order], Call[Balance] | None]:
    """Return the calls that show what became of a cancel or finish.

    A cancel's answer states the balance, so that has to be read, too.
    """
    order_id = call.subject
    assert order_id is not None
    return orders.get(order_id), balance.get() if call.endpoint is orders.CANCEL else None


def judge(call: Call[object], order: Order, now: datetime | None) -> State:
    """Return "done" if the call was carried out, "ended" if the order has ended otherwise at ``now``."""
    if known_status(order.status) == _TARGETS[call.endpoint.name]:
        return "done"
    return "ended" if has_ended(order, now) else "waiting"


def result(found: Answer[Order], account: Answer[Balance] | None) -> Answer[CanceledOrder | FinishedOrder]:
    """Make the answer that was lost, out of the order and the balance as they are now."""
    order = found.data
    if account is None:
        data: CanceledOrder | FinishedOrder = FinishedOrder(order.id, order.status)
    else:
        data = CanceledOrder(order.id, order.status, order.amount, account.data.balance)
    return Answer(data, found.request_id, found.status_code, found.fx)


def conflict(order: Order, error: SmscodeError) -> ConflictError:
    """Make the error for an order that ended otherwise; the order is attached."""
    ended = ConflictError(
        f"The order has ended as {order.status}.",
        code="CONFLICT",
        status_code=error.status_code,
        request_id=error.request_id,
        outcome="rejected",
        attempts=error.attempts,
    )
    ended.trouble, ended.order = "CONFLICT", order
    return ended
