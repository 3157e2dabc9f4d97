"""The commands that rent the number of a completed order again."""

from __future__ import annotations

import typer

from .command import command
from .orders import PANEL, JournalPath, OrderId, Yes
from .renting import IN_DOUBT
from .screen import when
from .session import Session

app: typer.Typer = typer.Typer()


@command(app, "reactivate-options", panel=PANEL)
def reactivate_options(session: Session, order_id: OrderId) -> None:
    """Show what it costs to rent the number of a completed order again."""
    with session.client() as client:
        found = client.orders.reactivate_options(order_id)
    session.screen.fields(found, {"order": order_id, "cost": found.cost})


@command(app, "reactivate", panel=PANEL)
def reactivate(session: Session, order_id: OrderId, yes: Yes = False, journal: JournalPath = None) -> None:
    """Rent the number of a completed order again. Shows the cost and asks first; never pays more."""
    screen = session.screen
    with session.journal(journal) as opened, session.client(opened) as client:
        cost = client.orders.reactivate_options(order_id).cost
        what = f"the number of order {order_id} again for at most {cost}"
        screen.confirm(f"Rent {what}?", yes=yes, instead=f"Renting {what}.")
        with session.changing(IN_DOUBT):
            created = client.orders.reactivate(order_id, max_price=cost)
    for order in created:
        pairs = {
            "order": order.id,
            "number": order.phone_number,
            "price": order.amount,
            "until": when(order.expires_at),
        }
        screen.fields(order, pairs)
        screen.say(f"`smscode order {order.id} --wait` waits for its code.")
