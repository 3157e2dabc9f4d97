"""The order methods of the client: renting many numbers or one for a block, and what became of purchases."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Unpack, overload

from .._choices import PolicyName
from ..core.api import arguments, orders
from ..core.api.orders import PurchaseArguments
from ..core.api.prices import Price, needs_rate
from ..core.api.references import CountryRef, OperatorRef, OrderRef, ServiceRef
from ..core.purchases import bulk
from ..core.purchases.bulk import BulkResult
from ..core.purchases.intents import OrderIntent
from ..core.purchases.states import Recovered
from ..core.timeouts import check_seconds, check_wait
from ..errors import SmscodeError
from ..models import CreatedOrders, RoutingPolicy
from .delivery import AsyncDelivery
from .driver import AsyncDriver
from .order_obtaining import AsyncOrderObtaining
from .purchases import MAX_AGE, AsyncPurchases
from .recovery import AsyncRecovery
from .rental import AsyncRental, Attachment, checked
from .sms_waits import AsyncSmsWaits

if TYPE_CHECKING:
    from ..core.purchase_arguments import ByCatalogProduct, ByName, ByProduct


class AsyncOrders(AsyncOrderObtaining):
    """The order endpoints, as ``client.orders``.

    Wherever an ``order_id`` is expected, a model of the order, a rental or an `Sms` is accepted, too.

    Every method takes ``timeout``: the total seconds for the call, retries and waits included (above 0). None
    means the client's limit. Every method can raise these errors:

    - `InvalidArgumentError`: an argument is wrong, and nothing was sent;
    - `UnauthorizedError`, `ForbiddenError`: the token is wrong, or the account is not allowed to do this;
    - `RateLimitError`: the rate limit leaves no room before the timeout;
    - `RequestTimeoutError`, `NetworkError`: no answer arrived in time, or at all;
    - `InternalError`, `ServiceUnavailableError`, `FxRateUnavailableError` (v2 only), `InvalidResponseError`:
      the service failed, or its answer cannot be read;
    - `ClientStateError`: the client is closed, or belongs to another event loop or process.

    Each method names the errors beyond these.
    """

    def __init__(
        self, driver: AsyncDriver, purchases: AsyncPurchases, recovery: AsyncRecovery, waits: AsyncSmsWaits
    ) -> None:
        self._driver = driver
        self._purchases = purchases
        self._recovery = recovery
        self._waits = waits

    @overload
    async def create_many(
        self,
        count: int,
        *,
        timeout: float | None = None,
        **purchase: Unpack[ByCatalogProduct],
    ) -> BulkResult: ...
    @overload
    async def create_many(
        self,
        count: int,
        *,
        timeout: float | None = None,
        **purchase: Unpack[ByProduct],
    ) -> BulkResult: ...
    @overload
    async def create_many(
        self,
        count: int,
        *,
        timeout: float | None = None,
        **purchase: Unpack[ByName],
    ) -> BulkResult: ...
    async def create_many(
        self,
        count: int,
        *unnamed: object,
        product_id: int | None = None,
        catalog_product_id: int | None = None,
        service: ServiceRef | None = None,
        country: CountryRef | None = None,
        operator: OperatorRef | Sequence[OperatorRef] | None = None,
        max_price: Price | None = None,
        min_price: Price | None = None,
        prefer_provider: str | None = None,
        policy: RoutingPolicy | PolicyName | None = None,
        operator_id: int | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> BulkResult:
        """Rent ``count`` numbers (1..10,000) with calls of up to 100 numbers, ten calls at a time.

        >>> result = await client.orders.create_many(250, catalog_product_id=87, max_price="0.50")
        >>> print(len(result), "rented,", result.failed_count, "missing")

        The other arguments are those of `create`; a ``service`` is searched for once. Each call has its own
        key: ``idempotency_key`` with "-1", "-2" and so on if it is given. Repeating with the same key and
        arguments returns the same orders. ``timeout`` is the total of seconds for all calls; None means the
        client's limit for each call.

        A call that fails does not affect the others: its error is in ``errors`` of the result. If this is
        cancelled or interrupted, every call that rented numbers, or may have, is in `unresolved`. Raises
        `InvalidArgumentError` for a wrong argument, and the errors of reading the exchange rate if
        ``max_price`` or ``min_price`` needs it.
        """
        if unnamed:
            raise arguments.unnamed("orders.create_many")
        purchase = PurchaseArguments(
            product_id=product_id,
            catalog_product_id=catalog_product_id,
            service=service,
            country=country,
            operator=operator,
            max_price=max_price,
            min_price=min_price,
            prefer_provider=prefer_provider,
            policy=policy,
            operator_id=operator_id,
        )

        async def buy(delivery: AsyncDelivery) -> BulkResult:
            intents = await self._intents(purchase, bulk.split(count, idempotency_key), delivery)
            results = await self._purchases.submit_all(intents, delivery, timeout)
            return bulk.collect(count, intents, results)

        return await self._purchases.deliver(buy, timeout, *bulk.keys(idempotency_key))

    @overload
    def rent(
        self,
        *,
        timeout: float | None = None,
        release_timeout: float = 0.0,
        **purchase: Unpack[ByCatalogProduct],
    ) -> AsyncRental: ...
    @overload
    def rent(
        self,
        *,
        timeout: float | None = None,
        release_timeout: float = 0.0,
        **purchase: Unpack[ByProduct],
    ) -> AsyncRental: ...
    @overload
    def rent(
        self,
        *,
        timeout: float | None = None,
        release_timeout: float = 0.0,
        **purchase: Unpack[ByName],
    ) -> AsyncRental: ...
    def rent(
        self,
        *unnamed: object,
        product_id: int | None = None,
        catalog_product_id: int | None = None,
        service: ServiceRef | None = None,
        country: CountryRef | None = None,
        operator: OperatorRef | Sequence[OperatorRef] | None = None,
        max_price: Price | None = None,
        min_price: Price | None = None,
        prefer_provider: str | None = None,
        policy: RoutingPolicy | PolicyName | None = None,
        operator_id: int | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
        release_timeout: float = 0.0,
    ) -> AsyncRental:
        """Rent one number for a with block, and release it at the end of the block.

        >>> async with client.orders.rent(catalog_product_id=87) as rental:
        ...     print(rental.phone_number)
        ...     sms = await rental.wait_for_otp(timeout=120)

        The arguments are those of `create`. At the end of the block the order is finished if an SMS arrived,
        else cancelled. An order cannot be cancelled in its first two minutes: ``release_timeout`` is the
        number of seconds to wait until it can (0, the default, means not to wait). If that is not enough, the
        order is left to expire, which also refunds it. ``released`` of the rental says what happened. An SMS
        that no wait returned is read before the order is finished, and is in ``sms`` of the rental.

        Raises `InvalidArgumentError` for a wrong ``release_timeout``. Entering the block raises the errors of
        `create`, and `ProviderError` if no number could be rented. Leaving it raises the error of the release
        unless the block raised one itself; the error is also in ``release_error``, and ``released`` is None.
        If the block is cancelled, the release is tried once, for a few seconds. If the purchase itself fails
        or is cancelled, nothing is released: if it is in doubt, it is in `unresolved`.
        """
        if unnamed:
            raise arguments.unnamed("orders.rent")
        purchase = PurchaseArguments(
            product_id=product_id,
            catalog_product_id=catalog_product_id,
            service=service,
            country=country,
            operator=operator,
            max_price=max_price,
            min_price=min_price,
            prefer_provider=prefer_provider,
            policy=policy,
            operator_id=operator_id,
        )

        async def buy() -> CreatedOrders:
            make = partial(self._buy, purchase, 1, idempotency_key)
            return await self._purchases.deliver(make, timeout, idempotency_key)

        try:
            patience = check_wait(release_timeout, "release_timeout")
        except SmscodeError as error:
            self._purchases.label_prepared(error, idempotency_key)
            raise
        return AsyncRental(self, self._driver, buy, patience)

    async def submit(
        self, intent: OrderIntent, *, max_age: float = MAX_AGE, timeout: float | None = None
    ) -> CreatedOrders:
        """Send a prepared purchase, or settle one that is in doubt, with the same key and the same bytes.

        However often it is submitted, the service carries it out at most once. If it never arrived, it is
        carried out now. Raises the errors of `create`, and `PurchaseTooOldError`, without sending anything,
        if its first byte was sent more than ``max_age`` seconds ago (a day by default), because the service
        may have forgotten the key. Raises `InvalidArgumentError` for an intent of a client with another
        ``api_version``.
        """
        intent = arguments.instance("intent", intent, OrderIntent)

        async def settle(delivery: AsyncDelivery) -> CreatedOrders:
            longest = check_seconds("max_age", max_age)
            return (await self._purchases.submit(intent, delivery, longest)).data

        return await self._purchases.deliver(settle, timeout, intent.idempotency_key)

    async def reactivate(
        self,
        order_id: OrderRef,
        *,
        max_price: Price | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> CreatedOrders:
        """Rent the number of a completed order again, as a new order.

        ``max_price`` and ``idempotency_key`` are as in `create`. Raises the errors of `create`:
        `NotFoundError` if the account does not have the order, `ConflictError` if it cannot be reactivated.
        """

        async def buy(delivery: AsyncDelivery) -> CreatedOrders:
            needed = needs_rate(self._driver.version, max_price)
            fx = await self._purchases.read_rate(delivery.deadline) if needed else None
            call = orders.reactivate(order_id, max_price=max_price, idempotency_key=idempotency_key, fx=fx)
            intent = OrderIntent.of(call, self._driver.version)
            return (await self._purchases.submit(intent, delivery)).data

        return await self._purchases.deliver(buy, timeout, idempotency_key)

    def attach(
        self, order: Attachment, *, timeout: float | None = None, release_timeout: float = 0.0
    ) -> AsyncRental:
        """Return a rental of an existing order, for a with block that ends like one of `rent`.

        >>> async with client.orders.attach(order_id) as rental:
        ...     sms = await rental.wait_for_otp(timeout=60)

        ``order`` is an order's id, an order that any method returned, or a rental. An id and an `ActiveOrder`
        are read when the block begins, within ``timeout`` seconds. A message that the order has by then is in
        ``sms`` of the rental, and counts as received. ``release_timeout`` is as in `rent`.

        Raises `InvalidArgumentError` for any other ``order``. Entering the block raises `NotFoundError` if
        the account does not have the order, `OrderTerminalError` if it has ended.
        """
        patience = check_wait(release_timeout, "release_timeout")
        return AsyncRental(self, self._driver, checked(order), patience, timeout)

    def unresolved(self) -> tuple[OrderIntent, ...]:
        """Return this client's purchases that may have been carried out without the caller knowing it.

        These are the purchases that were cancelled, or failed, after their first byte was sent, and those
        whose orders were not returned to the caller because that was cancelled or interrupted. `submit`
        settles each. The oldest is first. Nothing is sent.
        """
        return self._recovery.unresolved()

    def bought(self) -> tuple[Recovered, ...]:
        """Return this client's purchases whose orders have not all ended, oldest first. Nothing is sent.

        Their ``state`` is "open", or "undelivered" if the orders were not returned to a caller. A purchase is
        closed when the client learns that its last order has ended: by cancel, finish, a wait, a poll, a
        webhook or any other read, or because the order has expired by the service's date.
        """
        return self._recovery.bought()

    def dismiss(self, intent: OrderIntent) -> None:
        """Close a purchase: `unresolved`, `bought` and `recover` do not return it any more.

        Nothing is sent, so orders that it bought continue. Raises `ClientStateError` while a call is making
        the purchase, `InvalidArgumentError` if ``intent`` is not an `OrderIntent`.
        """
        self._recovery.dismiss(arguments.instance("intent", intent, OrderIntent))

    async def recover(self, *, max_age: float = MAX_AGE, timeout: float | None = None) -> list[Recovered]:
        """Return the unfinished purchases of processes that have ended, oldest first, each to one process.

        >>> for found in await client.orders.recover():
        ...     print(found.state, found.intent.idempotency_key, found.orders, found.error)

        A purchase in doubt is submitted again: its state is "settled" then, or "unsettled" with the error
        that says why. One that was bought and never returned to its caller is "undelivered", one whose orders
        have not all ended is "open"; `attach` returns a rental for such an order. Programs that store their
        purchases themselves can skip the known ones by ``intent.idempotency_key``.

        A purchase in doubt whose first byte was sent more than ``max_age`` seconds ago (a day by default) is
        not sent, because the service may have forgotten its key: its error is a `PurchaseTooOldError`.
        ``timeout`` is the total of seconds for all purchases; None means the client's limit for each.

        Raises `ConfigurationError` for a client without a journal, `JournalError` if the journal cannot be
        used in time.
        """
        return await self._recovery.recover(check_seconds("max_age", max_age), timeout)
