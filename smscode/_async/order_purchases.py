"""The order methods that rent numbers with one call, by a product's id or by names."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Unpack, overload

from .._choices import PolicyName
from ..core.api import arguments
from ..core.api.orders import PurchaseArguments
from ..core.api.prices import Price, needs_rate
from ..core.api.references import CountryRef, OperatorRef, ServiceRef
from ..core.purchases.intents import OrderIntent
from ..core.purchases.records import PurchaseState
from ..errors import ConfigurationError, SmscodeError
from ..models import CreatedOrders, FxRate, RoutingPolicy
from .delivery import AsyncDelivery
from .order_releases import AsyncOrderReleases
from .order_waits import AsyncOrderWaits
from .purchases import AsyncPurchases

if TYPE_CHECKING:  # imported when something is rented by name
    from ..core.purchase_arguments import ByCatalogProduct, ByName, ByProduct
    from .product_search import AsyncProductSearch


class AsyncOrderPurchases(AsyncOrderReleases, AsyncOrderWaits):
    """The part of ``client.orders`` that rents numbers with one call, or prepares that."""

    _purchases: AsyncPurchases

    @cached_property
    def _finder(self) -> AsyncProductSearch:
        from .product_search import AsyncProductSearch

        return AsyncProductSearch(self._driver)

    @overload
    async def create(
        self,
        *,
        quantity: int = 1,
        timeout: float | None = None,
        **purchase: Unpack[ByCatalogProduct],
    ) -> CreatedOrders: ...
    @overload
    async def create(
        self,
        *,
        quantity: int = 1,
        timeout: float | None = None,
        **purchase: Unpack[ByProduct],
    ) -> CreatedOrders: ...
    @overload
    async def create(
        self,
        *,
        quantity: int = 1,
        timeout: float | None = None,
        **purchase: Unpack[ByName],
    ) -> CreatedOrders: ...
    async def create(
        self,
        *unnamed: object,
        product_id: int | None = None,
        catalog_product_id: int | None = None,
        quantity: int = 1,
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
    ) -> CreatedOrders:
        """Rent ``quantity`` numbers (1..100) of one product; the balance is charged at once.

        >>> created = await client.orders.create(catalog_product_id=87, max_price="0.50")
        >>> for order in created:
        ...     print(order.id, order.phone_number)

        >>> created = await client.orders.create(service="whatsapp", country="indonesia")

        Exactly one of ``catalog_product_id`` (the service selects the offer), ``product_id`` (one price tier
        of one supplier) and ``service`` is required. With ``service``, and ``country`` and ``operator`` if
        given, the product is found as by `catalog.find`: the cheapest in stock is rented, and ``max_price``
        is its price unless given. ``max_price`` and ``min_price`` limit the price of one number: an
        int of rupiah on v1, a `Decimal` or string of dollars on v2, or a `Money` of either version (for one
        of v1, a v2 client reads the exchange rate first). ``prefer_provider`` is a supplier's code (at most
        64 characters) to prefer among equal offers; ``policy`` is a `RoutingPolicy`, "cheapest" by default.
        ``min_price`` and ``policy`` do not go with ``product_id``, ``operator_id`` needs
        ``catalog_product_id``.

        ``idempotency_key`` (1..128 characters of A-Z a-z 0-9 - _) makes sure that the purchase happens at
        most once. It is generated unless given, used by every attempt, and set on the result and on every
        error. Together with ``service`` it needs a journal: a key that is known there sends what was found
        the first time, without reading the catalog.

        The result can have fewer numbers than requested: see ``failed_count``. If the call is cancelled, or
        fails with the outcome "unknown", the purchase is in `unresolved`, and `submit` settles it. The
        outcomes "not_sent", "rejected" and "failed" mean that nothing was bought under the key and nothing
        will be.

        Raises `InsufficientBalanceError`, `NoOfferAvailableError` (no offer within the limits, or nothing
        found in stock), `ProviderError` (the supplier failed), `NotFoundError` (no such product),
        `TempBannedError` (ordering is paused), `IdempotencyKeyReuseError` or `InvalidArgumentError` (the key
        was used for another order), `ConflictError` or `RequestInProgressError` (the key is in use),
        `ConfigurationError` (``service`` and a key without a journal), `PurchaseTooOldError` (the key was
        first used more than a day ago) and `JournalError` (the journal could not be written).
        """
        if unnamed:
            raise arguments.unnamed("orders.create")
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
        buy = partial(self._buy, purchase, quantity, idempotency_key)
        return await self._purchases.deliver(buy, timeout, idempotency_key)

    async def _buy(
        self, purchase: PurchaseArguments, quantity: int, key: str | None, delivery: AsyncDelivery
    ) -> CreatedOrders:
        (intent,) = await self._intents(purchase, [(quantity, key)], delivery)
        return (await self._purchases.submit(intent, delivery)).data

    @overload
    def prepare(
        self,
        *,
        quantity: int = 1,
        fx: FxRate | None = None,
        **purchase: Unpack[ByCatalogProduct],
    ) -> OrderIntent: ...
    @overload
    def prepare(
        self,
        *,
        quantity: int = 1,
        fx: FxRate | None = None,
        **purchase: Unpack[ByProduct],
    ) -> OrderIntent: ...
    def prepare(
        self,
        *unnamed: object,
        product_id: int | None = None,
        catalog_product_id: int | None = None,
        quantity: int = 1,
        max_price: Price | None = None,
        min_price: Price | None = None,
        prefer_provider: str | None = None,
        policy: RoutingPolicy | PolicyName | None = None,
        operator_id: int | None = None,
        idempotency_key: str | None = None,
        fx: FxRate | None = None,
    ) -> OrderIntent:
        """Return a purchase for `submit`, with key and body fixed, without sending anything.

        >>> intent = client.orders.prepare(catalog_product_id=87)
        >>> store(intent.idempotency_key)
        >>> created = await client.orders.submit(intent)

        The arguments are those of `create`, without names, because nothing is read. ``fx`` is the exchange
        rate for writing a `Money` limit on v2; a `Money` of v1 needs it. Raises `InvalidArgumentError` for a
        wrong argument.
        """
        if unnamed:
            raise arguments.unnamed("orders.prepare")
        purchase = PurchaseArguments(
            product_id=product_id,
            catalog_product_id=catalog_product_id,
            max_price=max_price,
            min_price=min_price,
            prefer_provider=prefer_provider,
            policy=policy,
            operator_id=operator_id,
        )
        try:
            call = purchase.call(quantity=quantity, idempotency_key=idempotency_key, fx=fx)
            return OrderIntent.of(call, self._driver.version)
        except SmscodeError as error:
            self._purchases.label_prepared(error, idempotency_key)
            raise

    async def _intents(
        self, purchase: PurchaseArguments, parts: Sequence[tuple[int, str | None]], delivery: AsyncDelivery
    ) -> tuple[OrderIntent, ...]:
        """Return the purchases to submit: one for each quantity, with its key."""
        fx: FxRate | None = None
        if not (purchase.service is purchase.country is purchase.operator is None):
            from ..core.purchase_arguments import purchase_of, search_for

            names, product_filter = search_for(purchase, self._driver.version, parts[0][0])
            stored = await self._stored(parts, delivery)
            if stored:
                return stored
            found = await self._finder.find(names, product_filter, delivery.deadline)
            purchase, fx = purchase_of(purchase, found), self._purchases.rate
        if needs_rate(self._driver.version, purchase.max_price, purchase.min_price):
            fx = await self._purchases.read_rate(delivery.deadline)
        intents: list[OrderIntent] = []
        for quantity, key in parts:
            call = purchase.call(quantity=quantity, idempotency_key=key, fx=fx)
            intents.append(OrderIntent.of(call, self._driver.version))
        return tuple(intents)

    async def _stored(
        self, parts: Sequence[tuple[int, str | None]], delivery: AsyncDelivery
    ) -> tuple[OrderIntent, ...]:
        """Return the purchases by name that were sent before under these keys, none if no key is known.

        What was found once stays: a key that is new beside a known one buys the same product, for at most
        the same price.
        """
        keys = [arguments.idempotency_key(key) for _, key in parts if key is not None]
        if keys and self._purchases.journal is None:
            raise ConfigurationError(
                "idempotency_key: beside service it needs a client with journal=, so that a repeated call"
                " buys what was found the first time. Or find the product first, and give its id."
            )
        known: dict[str, OrderIntent] = {}
        for key in keys:
            record = await self._purchases.stored(key, delivery.deadline)
            if record is not None and record.state is not PurchaseState.WITHDRAWN:
                known[key] = record.intent
        if not known:
            return ()
        from ..core.purchase_arguments import same_again

        first = next(iter(known.values()))
        return tuple(
            same_again(known.get(key, first), quantity, key, self._driver.version)
            for (quantity, _), key in zip(parts, keys, strict=True)
        )
