"""The commands that read the catalogue: countries, services, products and the balance."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import typer

from .._sync.client import Client
from ..core.api.prices import PriceLimit
from ..core.product_search import NameOrId
from ..core.versions import VERSIONS
from ..models import Country as CountryRow
from ..models import Product
from ..models import Service as ServiceRow
from .command import command
from .screen import Count, day
from .session import Session

PANEL = "Look around"
app: typer.Typer = typer.Typer()

Service = Annotated[str | None, typer.Option(help="Service, by name, code or id.", metavar="NAME")]
Country = Annotated[str | None, typer.Option(help="Country, by name, code or id.", metavar="NAME")]
Operator = Annotated[str | None, typer.Option(help="Operator, by name, code or id.", metavar="NAME")]
MaxPrice = Annotated[str | None, typer.Option(help="Most to pay: dollars, on v1 rupiah.", metavar="AMOUNT")]


MinPrice = Annotated[str | None, typer.Option(help="Least to pay: dollars, on v1 rupiah.", metavar="AMOUNT")]


def price_limit(session: Session, given: str | None) -> int | str | None:
    """Return a price limit as the API version takes it: on v1 whole rupiah, on v2 a decimal string."""
    whole = session.version == "v1" and given is not None and given.isdecimal()
    return int(given) if whole and given is not None else given


def find(
    client: Client,
    session: Session,
    service: str | None,
    country: str | None,
    operator: str | None,
    max_price: str | None,
    min_price: str | None,
) -> list[Product]:
    """Return the products in stock that fit, cheapest first. Raises `InvalidArgumentError`."""
    limits = [price_limit(session, given) for given in (max_price, min_price)]
    if limits[1] is not None:  # checked before anything is sent; the search itself has no lower limit
        VERSIONS[session.version].write(PriceLimit("min_price", limits[1]), None)
    found = client.catalog.find(service=service, country=country, operator=operator, max_price=limits[0])
    least = limits[1]
    return found if least is None else [row for row in found if row.price.amount >= Decimal(least)]


@command(app, "balance", panel=PANEL)
def balance(session: Session) -> None:
    """Show the balance."""
    with session.client() as client:
        found = client.balance()
    session.screen.fields(found, {"balance": found.balance})


@command(app, "countries", panel=PANEL, lists=True)
def countries(session: Session) -> None:
    """List the countries."""
    with session.client() as client:
        found = client.catalog.countries()
    cells = [(country.id, country.code, country.dial_code, country.name) for country in found]
    session.screen.rows(found, (">id", "=code", "=dial", "name"), cells)


@command(app, "services", panel=PANEL, lists=True)
def services(session: Session, country: Country = None) -> None:
    """List the services, all of them or those of a country."""
    with session.client() as client:
        country_id = None
        if country is not None:
            country_id = NameOrId.of("country", country, CountryRow).among(client.catalog.countries()).id
        found = client.catalog.services(country_id=country_id)
    session.screen.rows(found, (">id", "=code", "name"), [(row.id, row.code, row.name) for row in found])


@command(app, "operators", panel=PANEL, lists=True)
def operators(
    session: Session,
    service: Annotated[str, typer.Option(help="Service, by name, code or id.", metavar="NAME")],
    country: Annotated[str, typer.Option(help="Country, by name, code or id.", metavar="NAME")],
) -> None:
    """List the operators that have numbers for a service in a country."""
    with session.client() as client:
        country_id = NameOrId.of("country", country, CountryRow).among(client.catalog.countries()).id
        platform_id = NameOrId.of("service", service, ServiceRow).among(client.catalog.services()).id
        found = client.catalog.operators(country_id=country_id, platform_id=platform_id)
    cells = [(row.operator_id, row.code, row.name) for row in found]
    session.screen.rows(found, (">id", "=code", "name"), cells)


@command(app, "exchange-rate", panel=PANEL)
def exchange_rate(session: Session) -> None:
    """Show the rate between dollars and rupiah."""
    with session.client() as client:
        found = client.catalog.exchange_rate()
    session.screen.fields(
        found, {"pair": found.pair, "rate": Count(found.rate), "as of": day(found.rate_as_of)}
    )


@command(app, "products", panel=PANEL, lists=True)
def products(
    session: Session,
    service: Service = None,
    country: Country = None,
    operator: Operator = None,
    max_price: MaxPrice = None,
    min_price: MinPrice = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most rows to show.")] = 20,
) -> None:
    """List what can be rented, cheapest first."""
    with session.client() as client:
        found = find(client, session, service, country, operator, max_price, min_price)
    shown = found[:limit]
    cells = [
        (row.catalog_product_id, row.name, row.operator_name, row.price, Count(row.available))
        for row in shown
    ]
    session.screen.rows(shown, (">product", "name", "operator", ">price", ">in stock"), cells)
    if len(found) > len(shown):
        session.screen.note(
            f"{len(found) - len(shown):,} more: raise --limit, or name --service and --country."
        )
