"""``smscode rent``: chooses a product and asks for consent, before `renting` spends money."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, cast

import anyio
import typer

from .._async.client import AsyncClient
from ..errors import InvalidArgumentError, NoOfferAvailableError, SmscodeError
from ..models import Product, RoutingPolicy
from .catalog import Country, MaxPrice, MinPrice, Operator, Service, find, price_limit
from .command import command
from .error_report import ErrorReport
from .exits import Exit
from .interrupts import InterruptHandler
from .orders import PANEL, JournalPath, Patience, Yes
from .renting import IN_DOUBT, Renting, RentRequest
from .session import Session

app: typer.Typer = typer.Typer()

MOST_AT_ONCE = 100


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
    min_price: MinPrice = None,
    count: Annotated[int, typer.Option(min=1, max=MOST_AT_ONCE, help="How many numbers.")] = 1,
    policy: Annotated[RoutingPolicy | None, typer.Option(help="How the offer is picked.")] = None,
    yes: Yes = False,
    timeout: Patience = None,
    journal: JournalPath = None,
) -> int:
    """Rent a number, or several, and wait for the code. Shows product and price, and asks first.

    Never pays more than the price it shows. Ctrl-C gives the number back where that is allowed; a second one
    stops at once. What a killed command left open is in `orders --unresolved`.
    """
    screen = session.screen
    if service is None and product is None:
        raise InvalidArgumentError("Name what the code is for: --service NAME, or --product ID.")
    with session.journal(journal) as opened:
        with session.client() as client:
            found = find(client, session, service, country, operator, max_price, min_price)
            chosen = _choose(session, found, product, max_price, min_price)
            funds = client.balance().balance
        name = f"{chosen.name}, {chosen.operator_name}" if chosen.operator_name else chosen.name
        what = f"a number for {name} for" if count == 1 else f"{count} numbers for {name}, each for"
        stock = f"{chosen.available:,} in stock; your balance is {funds}"
        if not yes:
            screen.note(stock)
        what = f"{what} at most {chosen.price}"
        screen.confirm(f"Rent {what}?", yes=yes, instead=f"Renting {what}; {stock}.")
        if screen.as_json:
            screen.event("offer", {"product": chosen, "count": count}, {})
        request = RentRequest(
            catalog_product_id=cast(int, chosen.catalog_product_id),  # checked when the block is entered
            operator_id=chosen.operator_id,
            max_price=chosen.price,
            policy=policy,
        )
        if min_price is not None:
            request["min_price"] = price_limit(session, min_price)
        rentings = [Renting(session, request, timeout, count == 1) for _ in range(count)]

        async def run() -> int:
            async with session.async_client(opened) as client:
                return await rent_numbers(session, rentings, client)

        try:
            return anyio.run(run)
        except KeyboardInterrupt:
            for renting in rentings:
                renting.report_interrupted()
            return Exit.INTERRUPTED


async def rent_numbers(session: Session, rentings: Sequence[Renting], client: AsyncClient) -> int:
    """Rent all numbers at once, report each, and return the worst exit code; one alone raises its error."""
    screen = session.screen
    interrupts = InterruptHandler(
        lambda: screen.note("Stopping. Ctrl-C again does not wait for the service's answer.")
    )
    with interrupts.installed(), session.changing(IN_DOUBT), interrupts.everything:
        async with anyio.create_task_group() as group:
            for renting in rentings:
                group.start_soon(renting.take, client, interrupts)
    worst = 0
    for renting in rentings:
        try:
            worst = max(worst, renting.report(client, interrupts))
        except SmscodeError as error:
            if renting.alone:
                raise
            report = ErrorReport(error, IN_DOUBT if renting.order is None else "", renting.order is not None)
            screen.fail(report)
            worst = max(worst, report.exit)
            session.doubt = ""
    return worst


def _choose(
    session: Session,
    found: Sequence[Product],
    product: int | None,
    max_price: str | None,
    min_price: str | None,
) -> Product:
    """Return the cheapest product that is meant. Raises `NoOfferAvailableError` without one."""
    meant = [row for row in found if product is None or row.catalog_product_id == product]
    if meant:
        return meant[0]
    limits = ["raise --max-price"] if max_price is not None else []
    limits += ["lower --min-price"] if min_price is not None else []
    price = " at that price" if limits else ""
    if product is None:
        problem = f"Nothing like that is in stock{price}."
        rest = "try later, or another country or operator."
    else:
        problem = f"There is no product {product}, or it is not in stock{price}."
        rest = "`smscode products` lists what can be rented."
    advice = ", or ".join([*limits, rest])
    session.advice = advice[0].upper() + advice[1:]
    raise NoOfferAvailableError(problem, outcome="rejected")
