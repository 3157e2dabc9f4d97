"""What the service sells: countries, services, operators, and the price tiers of each pair."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from attrs import Factory, define, frozen


@frozen
class CatalogEntry:
    """What countries, services and operators have in common."""

    id: int
    code: str
    name: str


@frozen
class CatalogCountry(CatalogEntry):
    """A country. After the dial code its mobile numbers have ``prefix`` and then ``digits`` more digits."""

    dial_code: str
    emoji: str
    prefix: str
    digits: int


class CatalogService(CatalogEntry):
    """A service that sends codes."""


class CatalogOperator(CatalogEntry):
    """A mobile operator of a country."""


@frozen
class Provider:
    """A supplier of numbers; ``repeats``: it can resend an SMS and rent a number again.

    ``past`` is the number of its orders on each day before the sandbox was made, and of those with a code.
    """

    code: str
    past: tuple[int, int] = (0, 0)
    repeats: bool = True


@define(eq=False)
class Tier:
    """A product: one supplier's price for one service in one country.

    ``stock`` changes with orders, ``price`` only by scenarios, from ``usual_price``. With ``restocks`` the
    number of an order that ends is in stock again.
    """

    id: int
    catalog_product_id: int
    country: CatalogCountry
    service: CatalogService
    provider: Provider
    operator: CatalogOperator | None
    price: int
    stock: int
    usual_price: int = Factory(lambda tier: tier.price, takes_self=True)
    restocks: bool = True

    @property
    def name(self) -> str:
        """The name in the product list."""
        return f"{self.service.name} {self.country.name}"

    @property
    def operator_id(self) -> int | None:
        """The id of its operator, None for any operator."""
        return self.operator.id if self.operator else None

    @property
    def operator_name(self) -> str | None:
        """The name of its operator, None for any operator."""
        return self.operator.name if self.operator else None


_Key: TypeAlias = Callable[[Tier], tuple[int | str, ...]]

SORTS: dict[str, _Key] = {
    "price_asc": lambda tier: (tier.price, tier.id),
    "price_desc": lambda tier: (-tier.price, tier.id),
    "available_asc": lambda tier: (tier.stock, tier.id),
    "available_desc": lambda tier: (-tier.stock, tier.id),
    "name_asc": lambda tier: (tier.name, tier.price, tier.id),
}
"""The sort keys. ``name_desc`` has none: it reverses names but not prices; see `Catalog.products`."""


class Catalog:
    """The tiers, and the queries of the catalog endpoints.

    Without an ``operator_id`` only the tiers of no particular operator match, as on the service. ``changed``:
    scenarios have set prices or stock.
    """

    def __init__(
        self, countries: Iterable[CatalogCountry], services: Iterable[CatalogService], tiers: Iterable[Tier]
    ) -> None:
        self.countries: tuple[CatalogCountry, ...] = tuple(countries)
        self.services: tuple[CatalogService, ...] = tuple(services)
        self.tiers: dict[int, Tier] = {tier.id: tier for tier in tiers}
        self.providers: tuple[Provider, ...] = tuple(
            {tier.provider.code: tier.provider for tier in self.tiers.values()}.values()
        )
        self.changed: bool = False
        self._routed: dict[int, list[Tier]] = {}
        for tier in self.tiers.values():
            self._routed.setdefault(tier.catalog_product_id, []).append(tier)

    @property
    def stock(self) -> tuple[int, ...]:
        """The stock of every tier, in the order of ``tiers``; it can be set."""
        return tuple(tier.stock for tier in self.tiers.values())

    @stock.setter
    def stock(self, stock: Sequence[int]) -> None:
        for tier, number in zip(self.tiers.values(), stock, strict=True):
            tier.stock = number

    def services_in(self, country_id: int | None) -> list[CatalogService]:
        """Return all services, or those with stock in one country."""
        if country_id is None:
            return list(self.services)
        stocked = {
            tier.service.id for tier in self.tiers.values() if tier.stock and tier.country.id == country_id
        }
        return [service for service in self.services if service.id in stocked]

    def operators(self, country_id: int, platform_id: int) -> list[CatalogOperator | None]:
        """Return the operators with stock for a pair; None, which comes first, stands for any of them.

        The list is empty if no tier is of a particular operator.
        """
        found = {
            tier.operator_id or 0: tier.operator
            for tier in self.tiers.values()
            if tier.stock and tier.country.id == country_id and tier.service.id == platform_id
        }
        return [] if found.keys() == {0} else [found[key] for key in sorted(found)]

    def products(
        self, country_id: int | None, platform_id: int | None, operator_id: int | None, sort: str
    ) -> list[Tier]:
        """Return the tiers with stock that match the filters; an unknown ``sort`` is ``price_asc``."""
        found = [
            tier
            for tier in self.tiers.values()
            if tier.stock
            and (country_id is None or tier.country.id == country_id)
            and (platform_id is None or tier.service.id == platform_id)
            and operator_id == tier.operator_id
        ]
        if sort == "name_desc":
            found.sort(key=SORTS["price_asc"])
            found.sort(key=lambda tier: tier.name, reverse=True)
        else:
            found.sort(key=SORTS.get(sort, SORTS["price_asc"]))
        return found

    def routed(self, catalog_product_id: int | None) -> Sequence[Tier]:
        """Return the tiers that belong to a ``catalog_product_id``, with or without stock."""
        return self._routed.get(catalog_product_id or 0, ())

    def offers(self, catalog_product_id: int, operator_id: int | None) -> list[Tier]:
        """Return the tiers with stock that a routed order may be filled from."""
        tiers = self.routed(catalog_product_id)
        return [tier for tier in tiers if tier.stock and operator_id == tier.operator_id]
