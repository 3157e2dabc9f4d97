"""Finding products by service, country and operator, cheapest first.

A name is a code ("wa", "ID") or a name ("WhatsApp", "Indonesia"); case, accents, spaces and punctuation are
ignored. It must match exactly one row, so that a number is never rented for something with a similar name.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from decimal import Decimal
from difflib import get_close_matches
from typing import TypeAlias, TypeVar

from attrs import frozen

from .. import _exact
from ..errors import InvalidArgumentError
from ..models import Country, Operator, Product, Service
from ..money import FxRate, Money
from .api import arguments
from .api.prices import Price, PriceLimit
from .offers import Offer
from .versions import VERSIONS, ApiVersion

KEPT = 600.0
"""Seconds for which the lists of countries and services are cached: they rarely change."""

NamedRow: TypeAlias = Country | Service | Operator
R = TypeVar("R", Country, Service, Operator)

_LONGEST_NAME = 100
_MOST_NAMED = 5


@frozen
class NameOrId:
    """A service, country or operator to search for, by ``id`` or by ``text``; both None for any."""

    name: str
    id: int | None = None
    text: str | None = None

    @classmethod
    def of(cls, name: str, value: object, row: type[NamedRow]) -> NameOrId:
        """Check a caller's argument ``name``: an id, a text, or a row itself."""
        if isinstance(value, row):
            return cls(name, _identity(value))
        if isinstance(value, str):
            return cls(name, text=arguments.text(name, value, _LONGEST_NAME).strip())
        if value is None:
            return cls(name)
        if _exact.whole(value) is None:
            raise arguments.wrong(name, f"an id, a code, a name or a {row.__name__}", value)
        return cls(name, arguments.identity(name, value))

    @property
    def given(self) -> bool:
        """Whether it stands for a particular one."""
        return self.id is not None or self.text is not None

    def among(self, rows: Sequence[R]) -> R:
        """Return the row that the text names.

        Inactive rows count only if no active row has that name. Raises `InvalidArgumentError` if none or
        several match; the message lists the closest.
        """
        assert self.text is not None
        key = _key(self.text)
        fitting = [row for row in rows if key in _keys(row)]
        fitting = [row for row in fitting if _active(row)] or fitting
        if not fitting and self.text.isascii() and self.text.isdigit():
            fitting = [row for row in rows if _identity(row) == int(self.text)]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise InvalidArgumentError(
                f"{self.name}: {self.text!r} names several: {_listed(fitting)}; give the id of one."
            )
        close = _close(key, rows)
        help_ = f"the closest are {_listed(close)}" if close else f"none of the {len(rows)} comes close"
        raise InvalidArgumentError(f"{self.name}: nothing is called {self.text!r}; {help_}.")


def _identity(row: NamedRow) -> int | None:
    return row.operator_id if isinstance(row, Operator) else row.id


def _active(row: NamedRow) -> bool:
    return isinstance(row, Operator) or row.active


def _names(row: NamedRow) -> list[str]:
    names = [row.code, row.name, row.local_name if isinstance(row, Operator) else None]
    return [name for name in names if name]


def _keys(row: NamedRow) -> set[str]:
    return {_key(name) for name in _names(row)}


def _key(text: str) -> str:
    """Reduce a name to its letters and digits; one without any stays as it is."""
    letters = [c for c in unicodedata.normalize("NFKD", text.casefold()) if c.isalnum()]
    return "".join(letters) or text.strip()


def _close(key: str, rows: Sequence[R]) -> list[R]:
    """Return the rows whose names contain the text or are similar to it."""
    named = {name: row for row in rows for name in sorted(_keys(row))}
    close = get_close_matches(key, named, _MOST_NAMED)
    close += sorted((name for name in named if len(key) > 1 and key in name), key=len)
    found = {id(named[name]): named[name] for name in close}
    return list(found.values())[:_MOST_NAMED]


def _listed(rows: Iterable[NamedRow]) -> str:
    return ", ".join(f"{' / '.join(dict.fromkeys(_names(row)))} (id {_identity(row)})" for row in rows)


@frozen
class ProductFilter:
    """Which products to return: those in stock, and those within a price limit."""

    version: ApiVersion
    max_price: PriceLimit | None
    in_stock: bool

    @classmethod
    def of(cls, version: ApiVersion, max_price: Price | None, in_stock: bool) -> ProductFilter:
        """Check the arguments. Raises `InvalidArgumentError` for a price of the other version."""
        limit = None if max_price is None else PriceLimit("max_price", max_price)
        if limit is not None and not isinstance(limit.value, Money):
            # Raises for an amount in the currency of the other version, before anything is sent.
            VERSIONS[version].write(limit, None)
        return cls(version, limit, in_stock)

    def select(self, products: Iterable[Product], fx: FxRate | None) -> list[Product]:
        """Return the products that match; ``fx`` is the rate of the answer that stated their prices."""
        return [
            product
            for product in products
            if (not self.in_stock or (product.active and product.available > 0))
            and self._affords(product.price, fx)
        ]

    def _affords(self, price: Money, fx: FxRate | None) -> bool:
        if self.max_price is None:
            return True
        value = self.max_price.value
        if isinstance(value, Money):
            return price <= value
        if isinstance(value, int):
            return price.canonical_amount <= value
        dollars = Decimal(value)
        if fx is None:
            return price.amount <= dollars
        # Round as the service rounds max_price, so that what is found here can be bought with it.
        return price.canonical_amount <= fx.to_idr(dollars, rounding="ROUND_FLOOR")


def offers_of(products: Iterable[Product], by_operator: bool) -> tuple[Offer, ...]:
    """Return what to buy of products, each product and operator once, in the order of the products."""
    offers: dict[tuple[int | None, int | None, int | None], Offer] = {}
    for product in products:
        stable = product.catalog_product_id
        operator_id = product.operator_id if by_operator and stable is not None else None
        product_id = product.id if stable is None else None
        offer = Offer(
            catalog_product_id=stable,
            product_id=product_id,
            operator_id=operator_id,
            price=product.price,
            name=product.name,
        )
        offers.setdefault((stable, product_id, operator_id), offer)
    return tuple(offers.values())


def cheapest_first(products: Iterable[Product]) -> list[Product]:
    """Sort by price, and those of one price by stock, the largest first."""
    return sorted(products, key=lambda product: (product.price, -product.available, product.id))
