"""``smscode rent``: chooses a product and asks for consent, before `renting` spends money."""

from __future__ import annotations

from typing import Annotated

import anyio
import typer

from .._sync.client import Client
from ..errors import InvalidArgumentError, NoOfferAvailableError
from ..models import Product, RoutingPolicy
from .catalog import Country, MaxPrice, Operator, Service, price_limit
from .command import command
from .orders import PANEL, JournalPath, Patience, Yes
from .renting import Renting, RentRequest
from .session import Session

app: typer.Typer = typer.Typer()


@command(app, "rent", panel=PANEL)
def rent(
    session: Session,
    service: Service = None,
    country: Country = None,
    operator: Operator = None,
    product: Annotated[
        int | None, typer.Option(help="Catalog product id, instead of the names.", metavar="ID")
    ] = None,
    max_price: MaxPrice = None,
    policy: Annotated[RoutingPolicy | None, typer.Option(help="How the offer is picked.")] = None,
    yes: Yes = False,
    timeout: Patience = None,
    journal: JournalPath = None,
) -> int:
    """Rent a number and wait for its code. Shows the price and asks first.

    Never pays more than the price it shows. Ctrl-C gives the number back where that is allowed; a second one
    stops at once. What a killed command left open is in `orders --unresolved`.
    """
    screen = session.screen
    if service is None and product is None:
        raise InvalidArgumentError("Name what the code is for: --service NAME, or --product ID.")
    limit = price_limit(session, max_price)
    with session.journal(journal) as opened:
        with session.client() as client:
            chosen = _choose(client, product, service, country, operator, limit)
            funds = client.balance().balance
        screen.note(f"{chosen.available:,} in stock; your balance is {funds}")
        name = f"{chosen.name}, {chosen.operator_name}" if chosen.operator_name else chosen.name
        screen.confirm(f"Rent a number for {name} for at most {chosen.price}?", yes=yes)
        request = RentRequest(
            catalog_product_id=chosen.catalog_product_id,
            operator_id=chosen.operator_id,
            max_price=chosen.price,
            policy=policy,
        )
        renting = Renting(session, request, timeout)

        async def run() -> int:
            async with session.async_client(opened) as client:
                return await renting.run(client)

        try:
            return anyio.run(run)
        except KeyboardInterrupt:
            return renting.report_interrupted()


def _choose(
    client: Client,
    product: int | None,
    service: str | None,
    country: str | None,
    operator: str | None,
    max_price: int | str | None,
) -> Product:
    """Return the cheapest product in stock that fits. Raises `NoOfferAvailableError` without one."""
    found = client.catalog.find(service=service, country=country, operator=operator, max_price=max_price)
    meant = [row for row in found if product is None or row.catalog_product_id == product]
    if not meant:
        raise NoOfferAvailableError("Nothing like that is in stock at that price.", outcome="rejected")
    return meant[0]
