"""Finding products by service, country and operator, cheapest first.

A name is a code ("wa", "ID") or a name ("WhatsApp", "Indonesia"); case, accents, spaces and punctuation are
ignored. A country also has a few other usual names ("UK", "USA") and its dial code ("+62"). It must match
exactly one row as a whole: "Niger" must not rent a number in Nigeria where Niger is not offered.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from decimal import Decimal
from difflib import get_close_matches
from typing import TypeAlias, TypeVar

from attrs import frozen

from .. import _exact
from ..errors import InvalidArgumentError
from ..models import Country, Operator, Product, Service
from ..money import FxRate, Money, Rounding
from .api import arguments
from .api.arguments import INT32
from .api.prices import Price, PriceLimit
from .api.references import CountryRef, OperatorRef, ServiceRef
from .offers import Offer
from .versions import VERSIONS, ApiVersion

KEPT = 600.0
"""Seconds for which the lists of countries and services are cached: they rarely change."""

NamedRow: TypeAlias = Country | Service | Operator
R = TypeVar("R", Country, Service, Operator)

_LONGEST_NAME = 100
_MOST_NAMED = 5
_MOST_OPERATORS = 20
_ALIASES = (
    frozenset({"gb", "uk", "unitedkingdom", "greatbritain"}),
    frozenset({"us", "usa", "unitedstates", "unitedstatesofamerica"}),
    frozenset({"ae", "uae", "unitedarabemirates"}),
)
"""Keys that stand for one country, whichever of them the catalog has."""
_DIAL_CODE = re.compile(r"\+[0-9][0-9 -]*")


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
            several = " (only orders.obtain takes several)" if row is Country else ""
            raise arguments.wrong(name, f"an id, a code, a name or a {row.__name__}{several}", value)
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
        fitting = [row for row in rows if _has_dial_code(row, self.text) or key in _keys(row)]
        if not fitting:
            fitting = [row for row in rows if isinstance(row, Country) and _keys(row) & _aliases(key)]
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

    def identify(self, rows: Sequence[R]) -> int | None:
        """Return the id, that of the row which the text names if there is a text; None for any."""
        return self.id if self.text is None else _identity(self.among(rows))


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


def _aliases(key: str) -> frozenset[str]:
    return frozenset[str]().union(*(names for names in _ALIASES if key in names))


def _has_dial_code(row: NamedRow, text: str) -> bool:
    """Return True if a text such as "+62" is the dial code of a country, which may lack the plus sign."""
    if not isinstance(row, Country) or row.dial_code is None or not _DIAL_CODE.fullmatch(text):
        return False
    return _key(row.dial_code) == _key(text)


def _close(key: str, rows: Sequence[R]) -> list[R]:
    """Return the rows whose names begin with the text, are similar to it or contain it, in this order."""
    named: dict[str, R] = {name: row for row in rows for name in sorted(_keys(row))}
    containing: list[str] = sorted((name for name in named if len(key) > 1 and key in name), key=len)
    close = [name for name in containing if name.startswith(key)]
    close += [*get_close_matches(key, named, _MOST_NAMED), *containing]
    found = {id(named[name]): named[name] for name in close}
    return list(found.values())[:_MOST_NAMED]


def _listed(rows: Iterable[NamedRow]) -> str:
    return ", ".join(f"{' / '.join(dict.fromkeys(_names(row)))} (id {_identity(row)})" for row in rows)


@frozen
class ProductNames:
    """The service, the country and the operators of the products to search for."""

    service: NameOrId
    country: NameOrId
    operators: tuple[NameOrId, ...]

    @classmethod
    def of(
        cls,
        service: ServiceRef | None,
        country: CountryRef | None,
        operator: OperatorRef | Sequence[OperatorRef] | None,
    ) -> ProductNames:
        """Check the caller's arguments; ``operator`` may be several. Raises `InvalidArgumentError`."""
        several: Sequence[object] = (operator,)
        if isinstance(operator, Sequence) and not isinstance(operator, str | bytes):
            several = operator
        if not 1 <= len(several) <= _MOST_OPERATORS:
            raise InvalidArgumentError(f"operator: expected 1..{_MOST_OPERATORS} operators.")
        return cls(
            NameOrId.of("service", service, Service),
            NameOrId.of("country", country, Country),
            tuple(dict.fromkeys(NameOrId.of("operator", each, Operator) for each in several)),
        )


@frozen
class ProductFilter:
    """Which products to return: those with at least ``min_stock``, and those within the price limits."""

    version: ApiVersion
    max_price: PriceLimit | None
    in_stock: bool
    min_price: PriceLimit | None
    min_stock: int

    @classmethod
    def of(
        cls,
        version: ApiVersion,
        max_price: Price | None,
        in_stock: bool = True,
        *,
        min_price: Price | None = None,
        min_stock: int = 1,
    ) -> ProductFilter:
        """Check the arguments. Raises `InvalidArgumentError` for a price of the other version."""
        most = None if max_price is None else PriceLimit("max_price", max_price)
        least = None if min_price is None else PriceLimit("min_price", min_price)
        for limit in (most, least):
            if limit is not None and not isinstance(limit.value, Money):
                # Raises for an amount in the currency of the other version, before anything is sent.
                VERSIONS[version].write(limit, None)
        return cls(version, most, in_stock, least, arguments.integer("min_stock", min_stock, 1, INT32[1]))

    def select(self, products: Iterable[Product], fx: FxRate | None) -> list[Product]:
        """Return the products that match; ``fx`` is the rate of the answer that stated their prices."""
        return [
            product
            for product in products
            if (not self.in_stock or (product.active and product.available >= self.min_stock))
            and (self.max_price is None or _compare(product.price, self.max_price, fx) <= 0)
            and (self.min_price is None or _compare(product.price, self.min_price, fx) >= 0)
        ]


def _compare(price: Money, limit: PriceLimit, fx: FxRate | None) -> int:
    """Return whether a price is above a limit (1), equal (0) or below (-1), as the service compares them."""
    value = limit.value
    stated: int | Decimal = price.canonical_amount
    bound: int | Decimal
    if isinstance(value, Money):
        bound = value.canonical_amount
    elif isinstance(value, int):
        bound = value
    elif fx is None:
        stated, bound = price.amount, Decimal(value)
    else:
        # Round as the service rounds, so that what is found here can be bought with the limit.
        rounding: Rounding = "ROUND_FLOOR" if limit.name == "max_price" else "ROUND_CEILING"
        bound = fx.to_idr(Decimal(value), rounding=rounding)
    return (stated > bound) - (stated < bound)


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
