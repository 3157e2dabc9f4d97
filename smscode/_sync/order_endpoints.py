# Generated from smscode/_async/order_endpoints.py by `nox -s generate`: change that file, not this one.

"""The order methods that are one endpoint each: read, cancel, finish, and what a reactivation would cost."""

from __future__ import annotations

import builtins
from collections.abc import Generator

from .._choices import StatusName
from .._rows import RowList
from ..core.api import orders
from ..core.api.references import OrderRef
from ..core.order_endings import name_time
from ..core.paging import OrderWalk
from ..core.timeouts import check_seconds
from ..errors import CancelTooEarlyError, SmscodeError
from ..models import (
    ActiveOrder,
    CanceledOrder,
    FinishedOrder,
    Order,
    OrderPage,
    OrderStatus,
    ReactivateOptions,
    ResendResult,
)
from .driver import Driver
from .pagination import items_of, walk_pages


class OrderEndpoints:
    """The part of ``client.orders`` that is one endpoint per method."""

    _driver: Driver

    def __repr__(self) -> str:
        return f"{type(self).__name__}{self._driver.service}"

    def list(
        self,
        *,
        limit: int = 20,
        offset: int = 0,
        status: OrderStatus | StatusName | None = None,
        timeout: float | None = None,
    ) -> OrderPage:
        """Read a slice of the orders, newest first.

        ``limit`` is the number of orders (1..100), ``offset`` how many to skip (from 0). ``status`` selects
        the orders in this state; None means all. Rows that cannot be read are named in ``problems`` of the
        page.
        """
        call = orders.list(limit=limit, offset=offset, status=status)
        return (self._driver.run(call, timeout)).data

    def iter(
        self,
        *,
        status: OrderStatus | StatusName | None = None,
        page_size: int = orders.LARGEST_PAGE,
        timeout: float | None = None,
    ) -> Generator[Order]:
        """Iterate over all orders, newest first, each once.

        ``status`` selects the orders in this state; None means all. ``page_size`` is the number of orders per
        request (1..100), and ``timeout`` applies to each request. Some of the orders that are placed during
        the iteration may be included.
        """
        pages = walk_pages(self._driver, OrderWalk(status=status, page_size=page_size), timeout)
        return items_of(self._driver, pages)

    def get(self, order_id: OrderRef, *, timeout: float | None = None) -> Order:
        """Read one order. Raises `NotFoundError` if the account does not have it."""
        return (self._driver.run(orders.get(order_id), timeout)).data

    def active(self, *, timeout: float | None = None) -> builtins.list[ActiveOrder]:
        """Read all orders that have not ended, newest first.

        A row that cannot be read is left out, and a warning is logged once.
        """
        return RowList((self._driver.run(orders.active(), timeout)).data)

    def cancel(
        self, order_id: OrderRef, *, wait: bool = False, timeout: float | None = None
    ) -> CanceledOrder:
        """Cancel an order that has received no SMS. Its price is refunded.

        With ``wait``, wait until the service allows it (two minutes after the order's creation), for at most
        ``timeout`` seconds, or as long as it takes if that is None. If the answer is lost, the order is read
        to find out whether it was cancelled.

        Raises `CancelTooEarlyError` if the service does not allow it yet, with ``wait`` only if ``timeout``
        does not suffice; its ``retry_after`` is the number of seconds until it is allowed, for which the
        order is read. Raises `ConflictError` if an SMS arrived or the order has ended; `NotFoundError` if the
        account does not have the order; `ProviderError` if the supplier refuses.
        """
        call = orders.cancel(order_id)
        deadline = None
        if timeout is not None:
            deadline = self._driver.runtime.now() + check_seconds("timeout", timeout)
        while True:
            try:
                return (self._driver.run(call, deadline=deadline)).data
            except CancelTooEarlyError as early:
                try:
                    answer = self._driver.run(orders.get(order_id), deadline=deadline)
                except SmscodeError:
                    if wait:
                        raise
                    raise early from None  # which the reading was only to explain
                assert answer.date is not None
                pause = name_time(early, answer.data, answer.date)
                if not wait or (deadline is not None and self._driver.runtime.now() + pause >= deadline):
                    raise
            self._driver.runtime.sleep(pause)

    def finish(self, order_id: OrderRef, *, timeout: float | None = None) -> FinishedOrder:
        """Finish an order that has received its SMS. Its number is free again at once.

        Raises `ConflictError` if no SMS arrived or the order has ended, `NotFoundError` if the account does
        not have the order, `ProviderError` if the supplier refuses.
        """
        return (self._driver.run(orders.finish(order_id), timeout)).data

    def resend(self, order_id: OrderRef, *, timeout: float | None = None) -> ResendResult:
        """Request another SMS. ``resent`` of the result is False if the platform does not support it.

        >>> client.orders.resend(sms.order_id)
        >>> newer = client.orders.wait_for_otp(
        ...     sms.order_id, after_revision=sms.revision, after_code=sms.code
        ... )

        It is not repeated if the answer is lost, because each request can send an SMS. Raises `ConflictError`
        if the order's state does not allow it, `NotFoundError` if the account does not have the order,
        `ProviderError` if the supplier refuses.
        """
        return (self._driver.run(orders.resend(order_id), timeout)).data

    def reactivate_options(
        self, order_id: OrderRef, *, timeout: float | None = None
    ) -> ReactivateOptions:
        """Read what `reactivate` would cost now.

        Raises `NotFoundError` if the account does not have the order, `ConflictError` if it cannot be
        reactivated, `ProviderError` if the supplier refuses.
        """
        return (self._driver.run(orders.reactivate_options(order_id), timeout)).data
