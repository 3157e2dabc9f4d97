"""Which offers fill an order, in which order, and what their suppliers make of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from attrs import field, frozen

from ...models import RoutingPolicy
from ..http.api_error import Json, Refusal
from .catalog import Catalog, Tier
from .suppliers import Behaviour, Cause

_NEUTRAL_STEP = 5


@frozen(kw_only=True)
class OrderRequest:
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
        """Return True if the price limits admit a price."""
        return (self.max_price is None or price <= self.max_price) and (
            self.min_price is None or price >= self.min_price
        )


@frozen
class Again:
    """What a reactivation asks for: the number of an order, for at most so many rupiah."""

    order_id: int
    max_price: int | None = None


@frozen
class Supply:
    """What the suppliers gave: a tier for each number, and each answer on the way to them."""

    numbers: list[Tier] = field(factory=list[Tier])
    attempts: list[Cause] = field(factory=list[Cause])


def rank(offers: Iterable[Tier], wish: OrderRequest, steps: Mapping[str, int | None]) -> list[Tier]:
    """Sort offers, best first.

    By price, a preferred provider first among equal prices; for ``best_success`` by the provider's
    share of orders with a code, in the ``steps`` of its `TrackRecord`, then by price, a preferred
    provider first of all. A provider without a score ranks in the middle.
    """
    preferred = (wish.prefer_provider or "").lower()

    def cheapest(tier: Tier) -> tuple[int, bool, int]:
        return tier.price, tier.provider.code != preferred, tier.id

    def best_success(tier: Tier) -> tuple[bool, int, int, int]:
        step = steps.get(tier.provider.code)
        score = _NEUTRAL_STEP if step is None else step
        return tier.provider.code != preferred, -score, tier.price, tier.id

    if wish.policy is RoutingPolicy.BEST_SUCCESS:
        return sorted(offers, key=best_success)
    return sorted(offers, key=cheapest)


def choose(catalog: Catalog, wish: OrderRequest, steps: Mapping[str, int | None]) -> list[Tier]:
    """Return the tiers that may fill a wish, best first; there is at least one.

    A product asked for by its id is given even without stock: only its supplier says so.
    """
    if wish.product_id is not None:
        tier = catalog.tiers.get(wish.product_id)
        if tier is None:
            raise Refusal("NOT_FOUND", "Product not found")
        offers = [tier]
    else:
        assert wish.catalog_product_id is not None  # the handler lets exactly one of the two in
        offers = rank(catalog.offers(wish.catalog_product_id, wish.operator_id), wish, steps)
    offers = [tier for tier in offers if wish.affords(tier.price)]
    if not offers:
        raise no_offer()
    return offers


def no_offer() -> Refusal:
    """Make the refusal of a purchase that nobody has a number for."""
    return Refusal("NO_OFFER_AVAILABLE", "No offer matches the product, price limits and policy")


def supply(offers: list[Tier], quantity: int, behaviour_of: Callable[[Tier], Behaviour]) -> Supply:
    """Ask the offers' suppliers, in order, for up to ``quantity`` numbers out of their stock, on paper."""
    found = Supply()
    for tier in offers:
        if len(found.numbers) == quantity:
            break
        behaviour = behaviour_of(tier)
        most = quantity if behaviour.at_most is None else min(quantity, behaviour.at_most)
        answer = behaviour.answer(tier.provider.code)
        if answer == "ok":
            taken = min(tier.stock, max(0, most - len(found.numbers)))
            found.numbers.extend([tier] * taken)
            answer = "ok" if taken else "no_numbers"
        found.attempts.append(answer)
    return found


def refused(wish: OrderRequest, attempts: list[Cause]) -> Refusal:
    """Make the refusal of a purchase that no supplier could fill.

    An order of a product tells how many numbers failed for which cause, a routed one each attempt.
    """
    details: Mapping[str, Json] = (
        {"attempts": attempts} if wish.product_id is None else {"cause_counts": {attempts[0]: wish.quantity}}
    )
    return Refusal("PROVIDER_ERROR", "Upstream refused the order", details=details)
