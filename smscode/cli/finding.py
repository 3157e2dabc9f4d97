"""Interim."""

from __future__ import annotations

from .._sync.client import Client
from ..errors import InvalidArgumentError
from ..models import Country, Product, ProductSort


def find_country(client: Client, given: str) -> Country:
    for row in client.catalog.countries():
        if given.casefold() in (str(row.id), (row.code or "").casefold(), row.name.casefold()):
            return row
    raise InvalidArgumentError(f"country: there is none called {given!r}.")


def find(
    client: Client,
    *,
    service: str | None,
    country: str | None,
    operator: str | None,
    max_price: object,
    in_stock: bool,
    sort: ProductSort | None,
) -> list[Product]:
    country_id = None if country is None else find_country(client, country).id
    platform_id = None
    if service is not None:
        rows = [
            row
            for row in client.catalog.services()
            if service.casefold() in (str(row.id), row.code.casefold(), row.name.casefold())
        ]
        if not rows:
            raise InvalidArgumentError(f"service: there is none called {service!r}.")
        platform_id = rows[0].id
    found = client.catalog.iter_products(country_id=country_id, platform_id=platform_id, sort=sort)
    return [p for p in found if p.available or not in_stock]
