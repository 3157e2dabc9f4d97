# Generated from smscode/_async/orders.py by `nox -s generate`: change that file, not this one.

"""Renting numbers, waiting for their codes, giving them back."""

from __future__ import annotations

import builtins
import math
from collections.abc import Generator, Iterable
from functools import partial

from ..core.api import arguments, catalog, orders
from ..core.api.call import Call
from ..core.api.prices import Price, needs_rate
from ..core.cancelable import seconds_until
from ..core.paging import OrderWalk
from ..core.purchases import bulk
from ..core.purchases.bulk import BulkResult
from ..core.purchases.intents import OrderIntent
from ..core.purchases.states import Recovered
from ..core.timeouts import check_seconds, check_wait
from ..core.waiting.sms_wait import OtpOutcome, SmsWait
from ..errors import CancelTooEarlyError, SmscodeError
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
from .driver import Driver
from .pagination import items_of, walk_pages
from .purchases import MAX_AGE, Delivery, Purchases
from .recovery import Recovery
from .rental import Rental, Attachment, checked
from .sms_waits import SmsWaits


class Orders:
    """The order endpoints; ``timeout`` is in seconds, all in all, instead of the client's."""

    def __init__(
        self, driver: Driver, purchases: Purchases, recovery: Recovery, waits: SmsWaits
    ) -> None:
        self._driver = driver
        self._purchases = purchases
        self._recovery = recovery
        self._waits = waits

    def list(
        self,
        *,
        limit: int = 20,
        offset: int = 0,
        status: OrderStatus | str | None = None,
        timeout: float | None = None,
    ) -> OrderPage:
        """Read a slice of the orders, newest first; ``limit`` is 1..100."""
        call = orders.list(limit=limit, offset=offset, status=status)
        return (self._driver.run(call, timeout)).data

    def iter(
        self,
        *,
        status: OrderStatus | str | None = None,
        page_size: int = orders.LARGEST_PAGE,
        timeout: float | None = None,
    ) -> Generator[Order]:
        """Go through all orders, newest first, each once.

        ``page_size`` is 1..100; ``timeout`` is for each page. Of the orders placed
        meanwhile some may be shown.
        """
        pages = walk_pages(self._driver, OrderWalk(status=status, page_size=page_size), timeout)
        return items_of(self._driver, pages)

    def get(self, order_id: int, *, timeout: float | None = None) -> Order:
        """Read one order. Raises `NotFoundError` when the account does not have it."""
        return (self._driver.run(orders.get(order_id), timeout)).data

    def active(self, *, timeout: float | None = None) -> builtins.list[ActiveOrder]:
        """Read all orders that have not ended, newest first.

        A row that cannot be read is left out and logged once.
        """
        return (self._driver.run(orders.active(), timeout)).data

    def create(
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

        Fewer numbers than asked for may come back: see ``failed_count``. When this is cancelled, or
        fails with the outcome "unknown", the purchase is in `unresolved`, and `submit` settles it. The
        ``outcome`` of an error speaks of the key: "not_sent", "rejected" and "failed" mean that nothing was
        bought under it and nothing will be.
        """

        def buy(delivery: Delivery) -> CreatedOrders:
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
                fx=self._rate(delivery, max_price, min_price),
            )
            return (self._purchases.submit(self._frozen(call), delivery)).data

        return self._purchases.deliver(buy, timeout, idempotency_key)

    def prepare(
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
        fx: FxRate | None = None,
    ) -> OrderIntent:
        """Freeze a purchase without sending anything; arguments as in `create`.

        ``fx`` is the rate to write a `Money` limit with on v2; one of v1 needs it.
        """
        try:
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
            return self._frozen(call)
        except SmscodeError as error:
            self._purchases.label_prepared(error, idempotency_key)
            raise

    def _frozen(self, call: Call[CreatedOrders]) -> OrderIntent:
        return OrderIntent.of(call, self._driver.version)

    def submit(
        self, intent: OrderIntent, *, max_age: float = MAX_AGE, timeout: float | None = None
    ) -> CreatedOrders:
        """Send a prepared purchase, or settle one that is in doubt: same key, same bytes, always.

        However often it is submitted, the service carries it out at most once. One that never arrived
        is carried out now. Raises `PurchaseTooOldError`, and sends nothing, when its first byte was sent more
        than ``max_age`` seconds ago: the service may have forgotten its key.
        """
        intent = arguments.instance("intent", intent, OrderIntent)

        def settle(delivery: Delivery) -> CreatedOrders:
            longest = check_seconds("max_age", max_age)
            return (self._purchases.submit(intent, delivery, longest)).data

        return self._purchases.deliver(settle, timeout, intent.idempotency_key)

    def create_many(
        self,
        count: int,
        *,
        product_id: int | None = None,
        catalog_product_id: int | None = None,
        max_price: Price | None = None,
        min_price: Price | None = None,
        prefer_provider: str | None = None,
        policy: RoutingPolicy | str | None = None,
        operator_id: int | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> BulkResult:
        """Rent ``count`` numbers (1..10,000) by calls of up to 100, ten at once; arguments as in `create`.

        Each call has a key of its own: ``idempotency_key`` with "-1", "-2" and so on, if it is given.
        Repeating this with the same key and arguments gives the same orders. ``timeout`` is the total of
        seconds for all of them; without it each call has the client's limit.

        A call that fails takes nothing from the others: its error is in the result. When this is
        cancelled or interrupted, every call that rented numbers, or may have, is in `unresolved`.
        """

        def buy(delivery: Delivery) -> BulkResult:
            parts = bulk.split(count, idempotency_key)
            create = partial(
                orders.create,
                product_id=product_id,
                catalog_product_id=catalog_product_id,
                max_price=max_price,
                min_price=min_price,
                prefer_provider=prefer_provider,
                policy=policy,
                operator_id=operator_id,
                fx=self._rate(delivery, max_price, min_price),
            )
            intents = tuple(
                self._frozen(create(quantity=quantity, idempotency_key=key)) for quantity, key in parts
            )
            results = self._purchases.submit_all(intents, delivery, timeout)
            return bulk.collect(count, intents, results)

        return self._purchases.deliver(buy, timeout, *bulk.keys(idempotency_key))

    def rent(
        self,
        *,
        product_id: int | None = None,
        catalog_product_id: int | None = None,
        max_price: Price | None = None,
        min_price: Price | None = None,
        prefer_provider: str | None = None,
        policy: RoutingPolicy | str | None = None,
        operator_id: int | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
        release_timeout: float = 0.0,
    ) -> Rental:
        """Rent one number for a with block, and give it back at its end; arguments as in `create`.

        At the end the order is finished if an SMS came, else cancelled. It cannot be cancelled in its first
        minutes: then up to ``release_timeout`` seconds are spent waiting for that, and if they do not
        suffice it is left to expire, which refunds it as well. ``released`` of the rental says which. An
        SMS that no wait saw is read before the order is finished, and is in ``sms`` of the rental.

        An error at the end is raised, unless the block raised one itself; it is in ``release_error``, too,
        and ``released`` is None then. When the block is cancelled, giving the number back is tried once,
        for a few seconds. A purchase that fails or is cancelled gives nothing back: if in doubt, it is in
        `unresolved`.
        """
        purchase = partial(
            self.create,
            product_id=product_id,
            catalog_product_id=catalog_product_id,
            max_price=max_price,
            min_price=min_price,
            prefer_provider=prefer_provider,
            policy=policy,
            operator_id=operator_id,
            idempotency_key=idempotency_key,
            timeout=timeout,
        )
        try:
            patience = check_wait(release_timeout, "release_timeout")
        except SmscodeError as error:
            self._purchases.label_prepared(error, idempotency_key)
            raise
        return Rental(self, self._driver, purchase, patience)

    def attach(
        self, order: Attachment, *, timeout: float | None = None, release_timeout: float = 0.0
    ) -> Rental:
        """Return a rental of an order that exists, for a with block that ends as one of `rent` does.

        ``order`` is an order's id, an order as any method returned it, or a rental. An id and an
        `ActiveOrder` are read when the block begins, with ``timeout`` as in `get`. A message that the
        order has by then is in ``sms`` of the rental, and counts as received.

        Raises `InvalidArgumentError` for anything else. Beginning the block raises `NotFoundError` when
        the account does not have the order, `OrderTerminalError` when it has ended.
        """
        patience = check_wait(release_timeout, "release_timeout")
        return Rental(self, self._driver, checked(order), patience, timeout)

    def unresolved(self) -> tuple[OrderIntent, ...]:
        """Return this client's purchases that may have been carried out unknown to it, oldest first.

        Those are the ones that were cancelled, or failed, after their first byte was sent, and those whose
        orders came but never reached their caller, because that was cancelled or interrupted. `submit`
        settles each.
        """
        return self._recovery.unresolved()

    def bought(self) -> tuple[Recovered, ...]:
        """Return this client's purchases whose orders have not ended, oldest first, without a request.

        Their ``state`` is "open", or "undelivered" where no caller has the orders. A purchase is closed when
        the end of its last order is seen: by cancel, finish, a wait, a poll, a webhook or any reading, and
        once its time is over by the service's date.
        """
        return self._recovery.bought()

    def dismiss(self, intent: OrderIntent) -> None:
        """Close a purchase by hand: `unresolved`, `bought` and `recover` do not return it any more.

        Nothing is sent, so an order that it bought lives on.
        """
        self._recovery.dismiss(arguments.instance("intent", intent, OrderIntent))

    def recover(
        self, *, max_age: float = MAX_AGE, timeout: float | None = None
    ) -> builtins.list[Recovered]:
        """Return all unfinished business of processes that have ended, oldest first, once per process.

        A purchase in doubt is submitted again: "settled", or "unsettled" with the error that says why not.
        One that was bought and never returned to its caller is "undelivered", one whose orders have not
        ended "open"; `attach` makes a rental of such an order. Programs with a record of their own skip what
        they know by ``intent.idempotency_key``.

        Purchases in doubt whose first byte was sent more than ``max_age`` seconds ago are not sent, because
        the service may have forgotten their keys: their error is a `PurchaseTooOldError`. ``timeout`` is the
        total of seconds for all of it; without it each purchase has the client's limit. Raises
        `ConfigurationError` for a client without a journal, `JournalError` if that cannot be used in time.
        """
        return self._recovery.recover(check_seconds("max_age", max_age), timeout)

    def cancel(
        self, order_id: int, *, wait: bool = False, timeout: float | None = None
    ) -> CanceledOrder:
        """Cancel an order that has received no SMS, and have its price refunded.

        Raises `CancelTooEarlyError` within two minutes of its creation, unless ``wait`` is true: then
        it waits until the service allows it, by the service's clock, for at most ``timeout`` seconds.
        Raises `ConflictError` when an SMS arrived or the order has ended. If an answer is lost, the order
        is read to learn whether it was cancelled.
        """
        call = orders.cancel(order_id)
        deadline = None
        if timeout is not None:
            deadline = self._driver.runtime.now() + check_seconds("timeout", timeout)
        while True:
            try:
                return (self._driver.run(call, deadline=deadline)).data
            except CancelTooEarlyError:
                if not wait:
                    raise
                answer = self._driver.run(orders.get(order_id), deadline=deadline)
                assert answer.date is not None
                pause = seconds_until(answer.data, answer.date)
                if deadline is not None and self._driver.runtime.now() + pause >= deadline:
                    raise
            self._driver.runtime.sleep(pause)

    def finish(self, order_id: int, *, timeout: float | None = None) -> FinishedOrder:
        """Finish an order that has received its SMS; the number is free at once.

        Raises `ConflictError` when no SMS arrived or the order has ended.
        """
        return (self._driver.run(orders.finish(order_id), timeout)).data

    def resend(self, order_id: int, *, timeout: float | None = None) -> ResendResult:
        """Ask for another SMS; ``resent`` of the result is False where the platform cannot do it.

        To wait for it, give `wait_for_otp` the revision and code that came before.
        """
        return (self._driver.run(orders.resend(order_id), timeout)).data

    def reactivate(
        self,
        order_id: int,
        *,
        max_price: Price | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> CreatedOrders:
        """Rent the number of a completed order again, as a new order; arguments as in `create`."""

        def buy(delivery: Delivery) -> CreatedOrders:
            fx = self._rate(delivery, max_price)
            call = orders.reactivate(order_id, max_price=max_price, idempotency_key=idempotency_key, fx=fx)
            return (self._purchases.submit(self._frozen(call), delivery)).data

        return self._purchases.deliver(buy, timeout, idempotency_key)

    def reactivate_options(self, order_id: int, *, timeout: float | None = None) -> ReactivateOptions:
        """Read what `reactivate` would cost now."""
        return (self._driver.run(orders.reactivate_options(order_id), timeout)).data

    def wait_for_otp(
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
        counts. All waits of a client share one poll per ``poll_interval``; transient failures of
        the service are retried until the time is over, and the last is in the error then.

        Raises `OtpTimeoutError` when the time is over, `OrderTerminalError` when the order ended
        without such an SMS, `NotFoundError` when the account does not have the order.
        """
        sms_wait = SmsWait(order_id, needs_code=True, after_revision=after_revision, after_code=after_code)
        return self._wait(sms_wait, timeout)

    def wait_for_sms(
        self, order_id: int, *, timeout: float | None = None, after_revision: int | None = None
    ) -> Sms:
        """Wait for any SMS, also one in which the service found no code; see `wait_for_otp`."""
        return self._wait(SmsWait(order_id, needs_code=False, after_revision=after_revision), timeout)

    def otps(self, order_ids: Iterable[int], *, timeout: float | None = None) -> Generator[OtpOutcome]:
        """Wait for the codes of several orders, and give each order's outcome as it comes.

        Each order is given once: with its SMS, or with the error that `wait_for_otp` would have raised
        for it; so one that ended, or that the account does not have, does not end the others. ``timeout``
        is for all of them. A failure that concerns them all, such as a wrong token, is raised.
        """
        waits = [SmsWait(order_id, needs_code=True) for order_id in order_ids]
        once = {sms_wait.order_id: sms_wait for sms_wait in waits}
        return self._waits.each([*once.values()], math.inf if timeout is None else check_wait(timeout))

    def _wait(self, sms_wait: SmsWait, timeout: float | None) -> Sms:
        return self._waits.wait(sms_wait, math.inf if timeout is None else check_wait(timeout))

    def _rate(self, delivery: Delivery, *limits: Price | None) -> FxRate | None:
        """Return the exchange rate if writing these price limits takes it."""
        if not needs_rate(self._driver.version, *limits):
            return None
        return (self._driver.run(catalog.exchange_rate(), deadline=delivery.deadline)).data.fx
