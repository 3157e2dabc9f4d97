"""What a caller wants to buy: a product by its id, or the cheapest one of a service, country and operator.

The typed dicts describe the arguments of purchases for type checkers, one for each way to name the product.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Required, TypedDict

from attrs import evolve

from .._choices import PolicyName
from ..errors import InvalidArgumentError, JsonValue, NoOfferAvailableError
from ..models import Product, RoutingPolicy
from .api import orders
from .api.call import Call
from .api.orders import PurchaseArguments
from .api.prices import Price
from .api.references import CountryRef, OperatorRef, ServiceRef
from .product_search import ProductFilter, ProductNames
from .purchases.intents import OrderIntent
from .versions import ApiVersion


class PurchaseTerms(TypedDict, total=False):
    """What every purchase can have."""

    max_price: Price | None
    prefer_provider: str | None
    idempotency_key: str | None


class ByProduct(PurchaseTerms):
    """A purchase of one price tier of one supplier."""

    product_id: int


class RoutedTerms(PurchaseTerms, total=False):
    """What a purchase can have whose offer the service selects."""

    min_price: Price | None
    policy: RoutingPolicy | PolicyName | None


class ByCatalogProduct(RoutedTerms, total=False):
    """A purchase of a product of the catalog."""

    catalog_product_id: Required[int]
    operator_id: int | None


class ByName(RoutedTerms, total=False):
    """A purchase of the cheapest product of a service that is in stock."""

    service: Required[ServiceRef]
    country: CountryRef | None
    operator: OperatorRef | Sequence[OperatorRef] | None


def search_for(
    purchase: PurchaseArguments, version: ApiVersion, quantity: int
) -> tuple[ProductNames, ProductFilter]:
    """Return what to search for, with all arguments checked before the catalog is read.

    Raises `InvalidArgumentError` for a wrong argument.
    """
    if purchase.service is None:
        raise InvalidArgumentError("service: expected it beside country or operator.")
    if not (purchase.product_id is purchase.catalog_product_id is None):
        raise InvalidArgumentError(
            "orders.create: expected product_id, catalog_product_id or service, exactly one."
        )
    if purchase.operator_id is not None:
        raise InvalidArgumentError("operator_id: goes with catalog_product_id; beside service use operator.")
    names = ProductNames.of(purchase.service, purchase.country, purchase.operator)
    product_filter = ProductFilter.of(version, purchase.max_price, min_price=purchase.min_price)
    evolve(purchase, catalog_product_id=1).call(quantity=quantity)
    return names, product_filter


def purchase_of(purchase: PurchaseArguments, products: Sequence[Product]) -> PurchaseArguments:
    """Return the purchase of the first of these products, for at most its price unless a limit is given.

    Raises `NoOfferAvailableError` if there is none.
    """
    if not products:
        raise NoOfferAvailableError(
            "Nothing that was asked for is in stock within the price limits, so nothing was ordered."
        )
    product = products[0]
    stable = product.catalog_product_id
    return evolve(
        purchase,
        product_id=product.id if stable is None else None,
        catalog_product_id=stable,
        operator_id=None if stable is None else product.operator_id,
        max_price=product.price if purchase.max_price is None else purchase.max_price,
    )


def same_again(stored: OrderIntent, quantity: int, key: str, version: ApiVersion) -> OrderIntent:
    """Return a stored purchase by name with this quantity and key, without what it was found by.

    Raises `InvalidArgumentError` if it was stored under this key for another quantity or as a reactivation.
    """
    fields: dict[str, JsonValue] = stored.fields
    if stored.operation != orders.CREATE.name or (
        stored.idempotency_key == key and fields["quantity"] != quantity
    ):
        raise InvalidArgumentError("idempotency_key: it was used for another purchase.")
    if stored.idempotency_key == key:
        return stored
    call = Call(
        orders.CREATE, orders.CREATE.path, fields={**fields, "quantity": quantity}, idempotency_key=key
    )
    return OrderIntent.of(call, version)
