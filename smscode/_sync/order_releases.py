# Generated from smscode/_async/order_releases.py by `nox -s generate`: change that file, not this one.

"""The order methods that release several orders."""

from __future__ import annotations

from collections.abc import Iterable

from ..core.api import references
from ..core.api.references import OrderRef
from ..core.order_endings import ReleaseOutcome
from ..core.purchases import bulk
from ..core.timeouts import LEAST, check_seconds
from ..errors import SmscodeError
from .order_endpoints import OrderEndpoints


class OrderReleases(OrderEndpoints):
    """The part of ``client.orders`` that releases several orders."""

    def cancel_many(
        self, orders: Iterable[OrderRef], *, wait: bool = False, timeout: float | None = None
    ) -> list[ReleaseOutcome]:
        """Cancel several orders, ten at a time, and return how each ended, in the order given.

        >>> for outcome in client.orders.cancel_many(created, wait=True):
        ...     print(outcome.order_id, outcome.canceled, outcome.error)

        ``wait`` is as in `cancel`. ``timeout`` is the total of seconds for all orders; None means the
        client's limit for each. An order that is given twice is cancelled once. The error that `cancel` would
        have raised for an order is in its outcome. Raises `InvalidArgumentError` for a wrong argument, before
        anything is sent.
        """
        runtime = self._driver.runtime
        ids = references.order_ids("orders", orders)
        until = None if timeout is None else runtime.now() + check_seconds("timeout", timeout)
        outcomes: dict[int, ReleaseOutcome] = {}

        def cancel(order_id: int) -> None:
            left = None if until is None else max(until - runtime.now(), LEAST)
            try:
                outcomes[order_id] = ReleaseOutcome(
                    order_id, self.cancel(order_id, wait=wait, timeout=left)
                )
            except SmscodeError as error:
                outcomes[order_id] = ReleaseOutcome(order_id, error=error)

        for start in range(0, len(ids), bulk.AT_ONCE):
            runtime.for_each(cancel, ids[start : start + bulk.AT_ONCE])
        return [outcomes[order_id] for order_id in ids]
