"""Renting numbers, waiting for their codes, giving them back."""

from __future__ import annotations

import builtins
import math
from collections.abc import AsyncGenerator

from .._concurrency import AsyncEvent
from ..core import catalog, orders
from ..core.otp import Watch
from ..core.paging import OrderWalk
from ..core.prices import Price, needs_rate
from ..core.timeouts import check_wait
from ..models import (
    ActiveOrder,
    CanceledOrder,
    CreatedOrders,
    FinishedOrder,
    FxRate,
    Order,
    OrderPage,
    OrderStatus,
    ReactivateOptions,
    ResendResult,
    RoutingPolicy,
    Sms,
)
from .driver import AsyncDriver
from .pager import items_of, walk_pages
from .waiting import AsyncWaits


class AsyncOrders:
    """The order endpoints; ``timeout`` is in seconds, all in all, instead of the client's."""

    def __init__(self, driver: AsyncDriver, waits: AsyncWaits) -> None:
        self._driver = driver
        self._waits = waits

    async def list(
        self,
        *,
        limit: int = 20,
        offset: int = 0,
        status: OrderStatus | str | None = None,
        timeout: float | None = None,
    ) -> OrderPage:
        """Read a slice of the orders, newest first; ``limit`` is 1..100."""
        call = orders.list(limit=limit, offset=offset, status=status)
        return (await self._driver.run(call, timeout)).data

    def iter(
        self,
        *,
        status: OrderStatus | str | None = None,
        page_size: int = orders.LARGEST_PAGE,
        timeout: float | None = None,
    ) -> AsyncGenerator[Order]:
        """Go through all orders, newest first, each once.

        ``page_size`` is 1..100; ``timeout`` is for each page. Orders placed meanwhile are not shown.
        """
        pages = walk_pages(self._driver, OrderWalk(status=status, page_size=page_size), timeout)
        return items_of(pages)

    async def get(self, order_id: int, *, timeout: float | None = None) -> Order:
        """Read one order. Raises `NotFoundError` when the account does not have it."""
        return (await self._driver.run(orders.get(order_id), timeout)).data

    async def active(self, *, timeout: float | None = None) -> builtins.list[ActiveOrder]:
        """Read all orders that have not ended, newest first."""
        return (await self._driver.run(orders.active(), timeout)).data

    async def create(
        self,
        *,
        product_id: int | None = None,
        catalog_product_id: int | None = None,
        quantity: int = 1,
        max_price: Price | None = None,
        min_price: Price | None = None,
        prefer_provider: str | None = None,
        policy: RoutingPolicy | str | None = None,
        operator_id: int | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> CreatedOrders:
        """Rent ``quantity`` numbers (1..100) of one product; the balance is charged at once.

        Give ``catalog_product_id`` to have the service pick the offer, or ``product_id`` for one exact
        price tier. ``max_price`` and ``min_price`` are an int of rupiah on v1, a `Decimal` or string of
        dollars on v2, or a `Money` of either version (one of v1 costs v2 a look at the exchange
        rate). ``min_price``, ``policy`` and ``operator_id`` go with ``catalog_product_id`` only.

        ``idempotency_key`` (1..128 of A-Z a-z 0-9 - _) makes the purchase happen at most once; it is
        made up unless given, repeated by every attempt, and on the result and on every error.

        Fewer numbers than asked for may come back: see ``failed_count``.
        """
        fx = await self._rate(timeout, max_price, min_price)
        call = orders.create(
            product_id=product_id,
            catalog_product_id=catalog_product_id,
            quantity=quantity,
            max_price=max_price,
            min_price=min_price,
            prefer_provider=prefer_provider,
            policy=policy,
            operator_id=operator_id,
            idempotency_key=idempotency_key,
            fx=fx,
        )
        return (await self._driver.run(call, timeout)).data

    async def cancel(self, order_id: int, *, timeout: float | None = None) -> CanceledOrder:
        """Cancel an order that has received no SMS, and have its price refunded.

        Raises `CancelTooEarlyError` within two minutes of its creation, `ConflictError` when an SMS
        arrived or the order has ended.
        """
        return (await self._driver.run(orders.cancel(order_id), timeout)).data

    async def finish(self, order_id: int, *, timeout: float | None = None) -> FinishedOrder:
        """Finish an order that has received its SMS; the number is free at once.

        Raises `ConflictError` when no SMS arrived or the order has ended.
        """
        return (await self._driver.run(orders.finish(order_id), timeout)).data

    async def resend(self, order_id: int, *, timeout: float | None = None) -> ResendResult:
        """Ask for another SMS; ``resent`` of the result is False where the platform cannot do it.

        To wait for it, give `wait_for_otp` the revision and code that came before.
        """
        return (await self._driver.run(orders.resend(order_id), timeout)).data

    async def reactivate(
        self,
        order_id: int,
        *,
        max_price: Price | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> CreatedOrders:
        """Rent the number of a completed order again, as a new order; arguments as in `create`."""
        fx = await self._rate(timeout, max_price)
        call = orders.reactivate(order_id, max_price=max_price, idempotency_key=idempotency_key, fx=fx)
        return (await self._driver.run(call, timeout)).data

    async def reactivate_options(self, order_id: int, *, timeout: float | None = None) -> ReactivateOptions:
        """Read what `reactivate` would cost now."""
        return (await self._driver.run(orders.reactivate_options(order_id), timeout)).data

    async def wait_for_otp(
        self,
        order_id: int,
        *,
        timeout: float | None = None,
        after_revision: int | None = None,
        after_code: str | None = None,
    ) -> Sms:
        """Wait for an SMS with a code.

        ``timeout`` is in seconds, 0 looks once, None waits until the order ends. After a resend give
        what the last `Sms` said as ``after_revision`` and ``after_code``, so that only a newer one
        counts. All waits of a client share one poll per ``poll_interval``; passing failures of
        the service are sat out.

        Raises `OtpTimeoutError` when the time is over, `OrderTerminalError` when the order ended
        without such an SMS, `NotFoundError` when the account does not have the order.
        """
        return await self._wait(order_id, True, timeout, after_revision, after_code)

    async def wait_for_sms(
        self, order_id: int, *, timeout: float | None = None, after_revision: int | None = None
    ) -> Sms:
        """Wait for any SMS, also one in which the service found no code; see `wait_for_otp`."""
        return await self._wait(order_id, False, timeout, after_revision, None)

    async def _wait(
        self,
        order_id: int,
        needs_code: bool,
        timeout: float | None,
        after_revision: int | None,
        after_code: str | None,
    ) -> Sms:
        watch = Watch(
            order_id,
            needs_code=needs_code,
            after_revision=after_revision,
            after_code=after_code,
            signal=AsyncEvent(),
        )
        return await self._waits.wait(watch, math.inf if timeout is None else check_wait(timeout))

    async def _rate(self, timeout: float | None, *limits: Price | None) -> FxRate | None:
        """Read the exchange rate if writing these price limits takes it."""
        if not needs_rate(self._driver.version, *limits):
            return None
        return (await self._driver.run(catalog.exchange_rate(), timeout)).data.fx
