"""The commands that read the catalogue: countries, services, products and the balance."""

from __future__ import annotations

from typing import Annotated

import typer

from ..core.product_search import NameOrId
from ..models import Country as CountryRow
from .command import command
from .session import Session

PANEL = "Look around"
app: typer.Typer = typer.Typer()

Service = Annotated[str | None, typer.Option(help="Service, by name, code or id.", metavar="NAME")]
Country = Annotated[str | None, typer.Option(help="Country, by name, code or id.", metavar="NAME")]
Operator = Annotated[str | None, typer.Option(help="Operator, by name, code or id.", metavar="NAME")]
MaxPrice = Annotated[str | None, typer.Option(help="Most to pay: dollars, on v1 rupiah.", metavar="AMOUNT")]


def price_limit(session: Session, given: str | None) -> int | str | None:
    """Return a price limit as the API version takes it: on v1 whole rupiah, on v2 a decimal string."""
    whole = session.version == "v1" and given is not None and given.isdecimal()
    return int(given) if whole and given is not None else given


@command(app, "balance", panel=PANEL)
def balance(session: Session) -> None:
    """Show the balance."""
    with session.client() as client:
        found = client.balance()
    session.screen.fields(found, {"balance": found.balance})


@command(app, "countries", panel=PANEL)
def countries(session: Session) -> None:
    """List the countries."""
    with session.client() as client:
        found = client.catalog.countries()
    cells = [(country.id, country.code, country.dial_code, country.name) for country in found]
    session.screen.rows(found, (">id", "=code", "=dial", "name"), cells)


@command(app, "services", panel=PANEL)
def services(session: Session, country: Country = None) -> None:
    """List the services, all of them or those of a country."""
    with session.client() as client:
        country_id = None
        if country is not None:
            country_id = NameOrId.of("country", country, CountryRow).among(client.catalog.countries()).id
        found = client.catalog.services(country_id=country_id)
    session.screen.rows(found, (">id", "=code", "name"), [(row.id, row.code, row.name) for row in found])


@command(app, "products", panel=PANEL)
def products(
    session: Session,
    service: Service = None,
    country: Country = None,
    operator: Operator = None,
    max_price: MaxPrice = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most rows to show.")] = 20,
) -> None:
    """List what can be rented, cheapest first."""
    with session.client() as client:
        found = client.catalog.find(
            service=service, country=country, operator=operator, max_price=price_limit(session, max_price)
        )
    shown = found[:limit]
    cells = [
        (row.catalog_product_id, row.name, row.operator_name, row.price, f"{row.available:,}")
        for row in shown
    ]
    session.screen.rows(shown, (">product", "name", "operator", ">price", ">in stock"), cells)
    if len(found) > len(shown):
        session.screen.note(
            f"{len(found) - len(shown):,} more: raise --limit, or name --service and --country."
        )
