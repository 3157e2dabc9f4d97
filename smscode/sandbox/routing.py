"""Which offers fill an order, in which order."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from ..models import RoutingPolicy
from .catalog import Catalog, Provider, Tier
from .refusal import Refusal

_NEUTRAL_BUCKET = 5


@frozen(kw_only=True)
class Wish:
    """What a create asks for, prices in rupiah; exactly one of the two ids is set."""

    product_id: int | None = None
    catalog_product_id: int | None = None
    quantity: int = 1
    max_price: int | None = None
    min_price: int | None = None
    prefer_provider: str | None = None
    policy: RoutingPolicy = RoutingPolicy.CHEAPEST
    operator_id: int | None = None

    def affords(self, price: int) -> bool:
        """Tell whether the price limits admit a price."""
        return (self.max_price is None or price <= self.max_price) and (
            self.min_price is None or price >= self.min_price
        )


def _bucket(provider: Provider) -> int:
    return _NEUTRAL_BUCKET if provider.success is None else provider.success // 10


def rank(offers: Iterable[Tier], wish: Wish) -> list[Tier]:
    """Sort offers, best first.

    By price, a preferred provider first among equal prices; for ``best_success`` by the provider's
    share of orders with an SMS in steps of 10 %, then by price, a preferred provider first of all.
    """
    preferred = (wish.prefer_provider or "").lower()

    def cheapest(tier: Tier) -> tuple[int, bool, int]:
        return tier.price, tier.provider.code != preferred, tier.id

    def best_success(tier: Tier) -> tuple[bool, int, int, int]:
        return tier.provider.code != preferred, -_bucket(tier.provider), tier.price, tier.id

    if wish.policy is RoutingPolicy.BEST_SUCCESS:
        return sorted(offers, key=best_success)
    return sorted(offers, key=cheapest)


def choose(catalog: Catalog, wish: Wish) -> list[Tier]:
    """Give the tiers that may fill a wish, best first; there is at least one.

    A product asked for by its id is given even without stock: only its supplier says so.
    """
    if wish.product_id is not None:
        tier = catalog.tiers.get(wish.product_id)
        if tier is None:
            raise Refusal("NOT_FOUND", "Product not found")
        offers = [tier]
    else:
        assert wish.catalog_product_id is not None  # the handler lets exactly one of the two in
        offers = rank(catalog.offers(wish.catalog_product_id, wish.operator_id), wish)
    offers = [tier for tier in offers if wish.affords(tier.price)]
    if not offers:
        raise Refusal("NO_OFFER_AVAILABLE", "No offer matches the product, price limits and policy")
    return offers


def allocate(offers: list[Tier], quantity: int) -> list[Tier]:
    """Take up to ``quantity`` numbers out of the offers' stock, on paper: one tier per number."""
    numbers: list[Tier] = []
    for tier in offers:
        numbers += [tier] * min(tier.stock, quantity - len(numbers))
    return numbers
