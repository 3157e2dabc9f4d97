"""The commands for existing orders, and for purchases whose result is not known."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from pathlib import Path
from typing import Annotated

import typer

from .._sync.client import Client
from ..core.api.orders import LARGEST_PAGE
from ..core.decoding import strict_json
from ..core.purchases.intents import OrderIntent
from ..core.purchases.records import PurchaseRecord, PurchaseState
from ..journal import SQLiteJournal
from ..models import Order, OrderStatus, Sms
from .command import command
from .error_report import ErrorReport
from .exits import Exit
from .renting import IN_DOUBT
from .screen import day, masked, moment, short_day
from .session import Session
from .spans import Since, parse_since

PANEL = "Rent"
MOST_ROWS = 1_000_000
NO_ORDERS = "no open orders"
app: typer.Typer = typer.Typer()

OrderId = Annotated[int, typer.Argument(metavar="ID", help="The order's id.", show_default=False)]
Patience = Annotated[
    float | None, typer.Option("--timeout", min=0, metavar="SECONDS", help="Most time to wait for a code.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
MaxAge = Annotated[
    float,
    typer.Option(
        "--max-age", min=0.001, metavar="HOURS", help="Send nothing whose first byte is older than this."
    ),
]
JournalPath = Annotated[
    Path | None,
    typer.Option(
        "--journal", envvar="SMSCODE_JOURNAL", metavar="FILE", help="Where purchases are written down."
    ),
]


@command(app, "orders", panel=PANEL, lists=True)
def orders(
    session: Session,
    status: Annotated[OrderStatus | None, typer.Option(help="Only these.", case_sensitive=False)] = None,
    since: Since = None,
    limit: Annotated[int, typer.Option(min=1, max=MOST_ROWS, help="Most rows to show.")] = 20,
    unresolved: Annotated[
        bool, typer.Option("--unresolved", help="Show purchases whose end is not known.")
    ] = False,
    journal: JournalPath = None,
) -> None:
    """List the orders, newest first; their numbers are shown by `order ID`."""
    if unresolved:
        _show_unresolved(session, journal)
        return
    begin = parse_since(since)
    with session.client() as client:
        found = _newest(client, status, begin, limit)
    shown = short_day if session.screen.narrow else day
    cells = [
        (order.id, order.status, masked(order.phone_number), order.amount, shown(order.created_at))
        for order in found
    ]
    session.screen.rows(found, (">id", "status", "=number", ">price", "created"), cells)


def _newest(
    client: Client,
    status: OrderStatus | None,
    since: datetime | timedelta | None,
    limit: int,
) -> list[Order]:
    """Return the newest orders, at most ``limit``, of any number of pages."""
    if isinstance(since, timedelta):
        since = datetime.now(UTC) - since

    def recent(row: Order) -> bool:
        return since is None or row.created_at is None or row.created_at >= since

    pages = client.orders.iter(status=status, page_size=min(limit, LARGEST_PAGE))
    with closing(pages):
        return list(islice(takewhile(recent, pages), limit))


@command(app, "order", panel=PANEL)
def order(
    session: Session,
    order_id: OrderId,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for its code.")] = False,
    timeout: Patience = None,
) -> None:
    """Show an order with its number and code, or wait for its code."""
    with session.client() as client:
        if wait:
            with session.screen.progress("waiting for the code"):
                sms = client.orders.wait_for_otp(order_id, timeout=timeout)
            show_code(session, sms)
        else:
            _show_order(session, client.orders.get(order_id))


@command(app, "recover", panel=PANEL, lists=True)
def recover(session: Session, journal: JournalPath = None, max_age: MaxAge = 24.0, yes: Yes = False) -> int:
    """Settle purchases that were interrupted, and show numbers that are still rented.

    A purchase whose result is not known is sent again with its own key: the service carries it out at most
    once, and buys now what never reached it.
    """
    screen = session.screen
    with session.journal(journal) as opened, session.client(opened) as client:
        found = [] if opened is None else unfinished(opened, session)
        in_doubt = sum(record.state is PurchaseState.WRITTEN for record in found)
        if in_doubt:
            screen.confirm(f"Settle {in_doubt} purchase(s)? What never arrived is bought now.", yes=yes)
        with session.changing(IN_DOUBT):
            done = client.orders.recover(max_age=max_age * 3600) if found else []
    values: list[object] = []
    cells: list[tuple[str, str, str]] = []
    worst = Exit.OK
    for result in done:
        report = None if result.error is None else ErrorReport(result.error, IN_DOUBT)
        key = result.intent.idempotency_key
        failure = None if report is None else report.record
        values.append(
            {"idempotency_key": key, "state": result.state, "orders": result.orders, "error": failure}
        )
        text = " ".join(report.lines) if report else " ".join(map(_short, result.orders)) or "no number"
        cells.append((key, result.state, text))
        worst = worst if report is None else max(worst, report.exit)
    screen.rows(values, ("=key", "state", "orders"), cells)
    return worst


def unfinished(journal: SQLiteJournal, session: Session) -> list[PurchaseRecord]:
    """Return the purchases in a journal that are in doubt, or whose orders have not ended."""
    return journal.records(session.settings.account, ended=True)


def _short(order: Order) -> str:
    return f"{order.id} {order.status}"


def order_hint(order_id: int) -> str:
    """Return the hint for an order that may have been changed."""
    return f"`smscode order {order_id}` shows its state."


def _show_unresolved(session: Session, path: Path | None) -> None:
    with session.journal(path) as journal:
        found = [] if journal is None else unfinished(journal, session)
    found = [record for record in found if record.state is PurchaseState.WRITTEN]
    values = [
        {
            "idempotency_key": record.intent.idempotency_key,
            "operation": record.intent.operation,
            "api_version": record.intent.version,
            "request": strict_json.parse(record.intent.body),
            "created_at": moment(record.written_at),
        }
        for record in found
    ]
    cells = [
        (
            record.intent.idempotency_key,
            day(moment(record.written_at)),
            _requested(record.intent),
        )
        for record in found
    ]
    session.screen.rows(values, ("=key", "since", "what"), cells)
    if found:
        session.screen.note("`smscode recover` settles them.")


def _requested(intent: OrderIntent) -> str:
    body = strict_json.parse(intent.body)
    assert isinstance(body, dict)
    product = body.get("catalog_product_id") or body.get("product_id") or body.get("id")
    return f"{intent.operation.removeprefix('orders.')} {product}"


def _show_order(session: Session, found: Order) -> None:
    pairs = {
        "order": found.id,
        "status": found.status,
        "number": found.phone_number,
        "code": found.otp_code,
        "message": found.otp_message,
        "price": found.amount,
        "created": day(found.created_at),
        "ends": day(found.expires_at),
    }
    session.screen.fields(found, pairs)


def show_code(session: Session, sms: Sms) -> None:
    """Show a code."""
    session.screen.fields(sms, {"code": sms.code})
