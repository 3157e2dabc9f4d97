"""``smscode watch``: the open orders with the time that is left, and their codes as they come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from attrs import define, field

from .._sync.client import Client
from ..errors import (
    InternalError,
    InvalidResponseError,
    NetworkError,
    RateLimitError,
    ServiceUnavailableError,
)
from ..models import ActiveOrder, Order
from .command import command
from .orders import NO_ORDERS, PANEL
from .screen import masked
from .session import Session

app: typer.Typer = typer.Typer()

_COLUMNS = (">order", "status", "=number", ">left", "code")
_NUMBERS = 100
_PASSING = (NetworkError, InternalError, ServiceUnavailableError, RateLimitError, InvalidResponseError)
"""What a later poll may not meet again."""


@command(app, "watch", panel=PANEL)
def watch(
    session: Session,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on when no order is open, until Ctrl-C.")
    ] = False,
) -> None:
    """Show the open orders, how long they last, and their codes as they come.

    Each change is a line. It ends when no order is open any more. The orders are only read.
    """
    screen = session.screen
    seen = False
    with session.client() as client:
        watched = Watched(client)
        with screen.table_while(_COLUMNS, watched.rows):
            while True:
                try:
                    changes = watched.read()
                except _PASSING as error:
                    screen.say(f"{error.message} It is tried again.")
                else:
                    for order in changes:
                        seen = True
                        screen.step("order", {"order": order}, watched.cells(order))
                    if not (follow or watched.open):
                        break
                session.pause(session.poll_interval)
    if not seen:
        screen.say(NO_ORDERS)


@define
class Watched:
    """The open orders as they were read last; ``numbers`` are the phone numbers known so far."""

    client: Client
    open: dict[int, ActiveOrder] = field(factory=dict[int, ActiveOrder])
    numbers: dict[int, str | None] = field(factory=dict[int, str | None])

    def read(self) -> list[ActiveOrder | Order]:
        """Read the orders, and return those that are new, have changed or have ended."""
        found = {order.id: order for order in reversed(self.client.orders.active())}
        if not found.keys() <= self.numbers.keys():
            for row in self.client.orders.list(limit=_NUMBERS):
                self.numbers[row.id] = row.phone_number
        changed: list[ActiveOrder | Order] = [
            order for order in found.values() if _state(order) != _state(self.open.get(order.id))
        ]
        gone = [order_id for order_id in self.open if order_id not in found]
        changed += [self.client.orders.get(order_id) for order_id in gone]
        self.open = found  # as a whole, because the table is drawn by another thread
        return changed

    def rows(self) -> Iterator[Sequence[object]]:
        """Yield the cells of all open orders, for the table."""
        return (self.cells(order) for order in self.open.values())

    def cells(self, order: ActiveOrder | Order) -> Sequence[object]:
        """Return the cells of an order."""
        number = masked(self.numbers.get(order.id))
        left = None if isinstance(order, Order) else _left(order.expires_at)
        return order.id, order.status, number, left, order.otp_code or order.otp_message


def _state(order: ActiveOrder | None) -> object:
    return order and (order.status, order.sms_revision, order.otp_code, order.otp_message)


def _left(until: datetime | None) -> str | None:
    """Return the minutes and seconds until a time."""
    if until is None:
        return None
    seconds = max(0, round((until - datetime.now(UTC)).total_seconds()))
    return f"{seconds // 60}:{seconds % 60:02d}"
