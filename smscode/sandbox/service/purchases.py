"""Purchases: what is asked for, which offers fill it in which order, and those that settle later."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TypeAlias

from attrs import define, field, frozen

from ...models import RoutingPolicy
from ..http.api_error import Json, Problem, ServiceError
from ..http.idempotency import KeyedPurchase, KeyScope
from .catalog import Catalog, Tier
from .suppliers import Behaviour, Cause

Supply: TypeAlias = tuple[list[Tier], list[Cause]]
"""A tier for each number that the suppliers have, and the answer of each supplier that was asked."""
_NEUTRAL_TENTHS = 5


@frozen(kw_only=True)
class OrderRequest:
    """The arguments of a create, prices in rupiah; exactly one of the two ids is set."""

    product_id: int | None = None
    catalog_product_id: int | None = None
    quantity: int = 1
    max_price: int | None = None
    min_price: int | None = None
    prefer_provider: str | None = None
    policy: RoutingPolicy = RoutingPolicy.CHEAPEST
    operator_id: int | None = None

    def affords(self, price: int) -> bool:
        """Return True if a price is within the price limits."""
        return (self.max_price is None or price <= self.max_price) and (
            self.min_price is None or price >= self.min_price
        )


@frozen
class ReactivationRequest:
    """The arguments of a reactivation: the order whose number is rented again, and a limit in rupiah."""

    order_id: int
    max_price: int | None = None


@define(eq=False)
class Settling:
    """A purchase that is made at ``ready_at``; from then on it has its ``result``.

    ``body`` is the fingerprint that its idempotency ``key`` is bound to; ``key`` is None without one.
    ``behaviour`` is that of the suppliers, ``tier_behaviours`` that of the suppliers of single products.
    """

    number: int
    request: OrderRequest | ReactivationRequest
    key: str | None
    body: str
    behaviour: Behaviour
    ready_at: datetime
    tier_behaviours: Mapping[int, Behaviour] = field(factory=dict[int, Behaviour])
    result: KeyedPurchase | Problem | None = None

    def behaviour_of(self, tier: Tier) -> Behaviour:
        """Return the behaviour of a product's supplier."""
        return self.tier_behaviours.get(tier.id, self.behaviour)

    @property
    def scope(self) -> KeyScope:
        """The scope of its idempotency key."""
        return "create" if isinstance(self.request, OrderRequest) else "reactivate"


def rank(offers: Iterable[Tier], request: OrderRequest, tenths: Mapping[str, int | None]) -> list[Tier]:
    """Return offers sorted by preference.

    By price, a preferred provider first among equal prices; for ``best_success`` by the provider's
    share of orders with a code, in ``tenths`` as `SuccessRates` has them, then by price, a preferred
    provider first of all. A provider without a score ranks in the middle.
    """
    preferred = (request.prefer_provider or "").lower()

    def cheapest(tier: Tier) -> tuple[int, bool, int]:
        return tier.price, tier.provider.code != preferred, tier.id

    def best_success(tier: Tier) -> tuple[bool, int, int, int]:
        known = tenths.get(tier.provider.code)
        score = _NEUTRAL_TENTHS if known is None else known
        return tier.provider.code != preferred, -score, tier.price, tier.id

    if request.policy is RoutingPolicy.BEST_SUCCESS:
        return sorted(offers, key=best_success)
    return sorted(offers, key=cheapest)


def offers_for(
    catalog: Catalog, request: OrderRequest, tenths: Mapping[str, int | None], *, sold_out: bool
) -> list[Tier]:
    """Return the tiers that may fill a request, best first, at least one. Raises `ServiceError`.

    A product that is ordered by its id is returned even without stock or if ``sold_out``, because only its
    supplier rejects it.
    """
    if request.product_id is not None:
        tier = catalog.tiers.get(request.product_id)
        if tier is None:
            raise ServiceError("NOT_FOUND", "Product not found")
        offers = [tier]
    else:
        assert request.catalog_product_id is not None  # the handler ensures that exactly one is set
        offers = rank(catalog.offers(request.catalog_product_id, request.operator_id), request, tenths)
    offers = [tier for tier in offers if request.affords(tier.price)]
    if not offers or (sold_out and request.product_id is None):
        raise ServiceError("NO_OFFER_AVAILABLE", "No offer matches the product, price limits and policy")
    return offers


def supply(offers: list[Tier], quantity: int, behaviour_of: Callable[[Tier], Behaviour]) -> Supply:
    """Ask the suppliers in order for ``quantity`` numbers; no stock is taken yet."""
    numbers: list[Tier] = []
    attempts: list[Cause] = []
    for tier in offers:
        if len(numbers) == quantity:
            break
        behaviour = behaviour_of(tier)
        most = quantity if behaviour.at_most is None else min(quantity, behaviour.at_most)
        answer = behaviour.answer(tier.provider.code)
        if answer == "ok":
            taken = min(tier.stock, max(0, most - len(numbers)))
            numbers += [tier] * taken
            answer = "ok" if taken else "no_numbers"
        attempts.append(answer)
    return numbers, attempts


def supply_error(request: OrderRequest, attempts: list[Cause]) -> ServiceError:
    """Return the error of a purchase that no supplier could fill.

    For an order of a product it counts the numbers by cause, for a routed one it lists each attempt.
    """
    details: Json = {"attempts": attempts}
    if request.product_id is not None:
        details = {"cause_counts": {attempts[0]: request.quantity}}
    return ServiceError("PROVIDER_ERROR", "Upstream refused the order", details=details)
