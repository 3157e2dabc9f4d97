"""The catalogue of a new sandbox: 6 countries, 6 services, 36 pairs, 3 suppliers.

Ids are fixed. ``catalog_product_id`` counts the pairs from 87 (WhatsApp in Indonesia), country by
country; ``product_id`` counts the tiers from 142 (that pair's first, 15000 rupiah).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, product
from typing import Final

from .catalog import Catalog, CatalogCountry, CatalogOperator, CatalogService, Provider, Tier

ALPHA: Final = Provider("alpha", (100, 64))
BETA: Final = Provider("beta", (100, 91))
GAMMA: Final = Provider("gamma", (100, 97), repeats=False)

COUNTRIES: Final = (
    CatalogCountry(6, "ID", "Indonesia", "+62", "🇮🇩", "8", 10),
    CatalogCountry(10, "VN", "Vietnam", "+84", "🇻🇳", "9", 8),
    CatalogCountry(4, "PH", "Philippines", "+63", "🇵🇭", "9", 9),
    CatalogCountry(22, "IN", "India", "+91", "🇮🇳", "9", 9),
    CatalogCountry(16, "GB", "United Kingdom", "+44", "🇬🇧", "7", 9),
    CatalogCountry(73, "BR", "Brazil", "+55", "🇧🇷", "119", 8),
)
SERVICES: Final = (
    CatalogService(3, "wa", "WhatsApp"),
    CatalogService(1, "tg", "Telegram"),
    CatalogService(2, "go", "Google"),
    CatalogService(4, "fb", "Facebook"),
    CatalogService(5, "ig", "Instagram"),
    CatalogService(8, "tt", "TikTok"),
)
_OPERATORS: Final = {
    "ID": (CatalogOperator(1, "telkomsel", "Telkomsel"), CatalogOperator(2, "indosat", "Indosat")),
    "VN": (CatalogOperator(18, "viettel", "Viettel"),),
    "BR": (CatalogOperator(31, "vivo", "Vivo"),),
}
_PRICES: Final = {"wa": 15_000, "tg": 12_000, "go": 6_000, "fb": 4_500, "ig": 5_000, "tt": 3_500}
_PERCENT: Final = {"ID": 100, "VN": 65, "PH": 80, "IN": 50, "GB": 220, "BR": 130}

_SOLD_OUT: Final = ("BR", "ig")
_SCARCE: Final = ("BR", "fb")
_OPERATORS_ONLY: Final = ("BR", "tt")


def _plan(
    index: int, country: CatalogCountry, service: CatalogService
) -> Iterator[tuple[Provider, CatalogOperator | None, int, int]]:
    """Yield supplier, operator, price in percent of the pair's, and stock of each tier of a pair."""
    pair = (country.code, service.code)
    if pair == _SOLD_OUT:
        yield ALPHA, None, 100, 0
    elif pair == _SCARCE:
        yield ALPHA, None, 100, 2
        yield BETA, None, 110, 1
    elif pair == _OPERATORS_ONLY:
        yield ALPHA, _OPERATORS["BR"][0], 100, 300
    else:
        yield ALPHA, None, 100, 50_000
        if index % 2 == 0:
            # The same price as the first tier, so that preferring a provider makes a difference.
            yield BETA, None, 100, 2_500
        if index % 3 == 0:
            yield GAMMA, None, 110, 800
        if service.code == "wa":
            for operator in _OPERATORS.get(country.code, ()):
                yield BETA, operator, 120, 300


def make_catalog() -> Catalog:
    """Return a new catalogue with full stock."""
    ids = count(142)
    return Catalog(
        COUNTRIES,
        SERVICES,
        [
            Tier(
                next(ids),
                87 + index,
                country,
                service,
                provider,
                operator,
                _PRICES[service.code] * _PERCENT[country.code] * percent // 10_000,
                stock,
            )
            for index, (country, service) in enumerate(product(COUNTRIES, SERVICES))
            for provider, operator, percent, stock in _plan(index, country, service)
        ],
    )
