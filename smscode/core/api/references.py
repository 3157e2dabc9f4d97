"""What identifies an order or a row of the catalog, as callers give it.

Apart from the other `arguments`, because a first call can do without the models.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeAlias, cast

from ... import _exact
from ...models import Country, CreatedOrder, Operator, OrderFields, Service
from .arguments import LARGEST_ID, wrong


class OfOrder(Protocol):
    """An object about an order, such as a rental or an `Sms`."""

    @property
    def order_id(self) -> int:
        """The order's id."""
        ...


OrderRef: TypeAlias = int | OrderFields | CreatedOrder | OfOrder
"""What identifies an order: its id, a model of it, or an object about it, such as a rental or an `Sms`."""


ServiceRef: TypeAlias = int | str | Service
CountryRef: TypeAlias = int | str | Country
OperatorRef: TypeAlias = int | str | Operator
"""An id, a code, a name or a row of the catalog."""


def order_id(order: object) -> int:
    """Check what identifies an order (see `OrderRef`), and return the order's id."""
    value = order
    if isinstance(order, OrderFields | CreatedOrder):
        value = order.id
    elif _exact.whole(order) is None:
        value = getattr(order, "order_id", None)
    whole = _exact.whole(value)
    if whole is None or not 1 <= whole <= LARGEST_ID:
        raise wrong("order_id", f"a positive int of at most {LARGEST_ID}, an order or a rental", order)
    return whole


def order_ids(name: str, orders: object) -> list[int]:
    """Check several orders (see `OrderRef`), and return their ids, each once."""
    if not isinstance(orders, Iterable):
        raise wrong(name, "several orders or their ids, such as [1001, 1002]", orders)
    return list(dict.fromkeys(order_id(order) for order in cast(Iterable[object], orders)))
