"""The commands that change orders, one or several: ``cancel``, ``finish`` and ``resend``."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from .._plain import plain as record
from .._sync.client import Client
from ..errors import ConflictError, InvalidArgumentError, SmscodeError
from ..journal import SQLiteJournal
from ..models import ActiveOrder, CanceledOrder, FinishedOrder, OrderStatus, ResendResult
from .command import command
from .error_report import ErrorReport
from .exits import Exit
from .orders import NO_ORDERS, PANEL, JournalPath, Patience, Yes, order_hint, show_code
from .screen import when
from .session import Session

app: typer.Typer = typer.Typer()

OrderIds = Annotated[list[int], typer.Argument(metavar="ID...", help="The orders' ids.", show_default=False)]
SomeOrderIds = Annotated[
    list[int] | None, typer.Argument(metavar="[ID...]", help="The orders' ids.", show_default=False)
]
Ended: TypeAlias = CanceledOrder | FinishedOrder | ResendResult
NOT_RESENT = "no: its supplier cannot send again"


@command(app, "cancel", panel=PANEL, lists=True)
def cancel(
    session: Session,
    order_ids: SomeOrderIds = None,
    all_orders: Annotated[
        bool, typer.Option("--all", help="Cancel every open order of the journal that got no SMS.")
    ] = False,
    foreign: Annotated[
        bool, typer.Option("--foreign", help="With --all: also those that other programs bought.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it is allowed.")] = False,
    yes: Yes = False,
    journal: JournalPath = None,
) -> int:
    """Cancel orders that got no SMS, and have them refunded.

    With --all the orders are listed, and it asks first.
    """
    ids = list(dict.fromkeys(order_ids or ()))
    if bool(ids) is all_orders:
        raise InvalidArgumentError("Name the orders by their ids, or give --all.")
    if foreign and not all_orders:
        raise InvalidArgumentError("--foreign needs --all.")
    if all_orders:
        return _cancel_all(session, journal, foreign=foreign, wait=wait, yes=yes)
    if len(ids) > 1:
        with session.client() as client:
            return _change_each(session, client, ids, partial(client.orders.cancel, wait=wait))
    (order_id,) = ids
    with (
        session.client() as client,
        session.changing(order_hint(order_id)),
        session.screen.progress("canceling"),
        _naming_status(client, order_id),
    ):
        done = client.orders.cancel(order_id, wait=wait)
    pairs = {
        "order": order_id,
        "status": done.status,
        "refunded": done.refund_amount,
        "balance": done.new_balance,
    }
    session.screen.fields(done, pairs)
    return Exit.OK


@command(app, "finish", panel=PANEL, lists=True)
def finish(session: Session, order_ids: OrderIds) -> int:
    """Finish orders that got their SMS; their numbers are free then."""
    with session.client() as client:
        if len(order_ids) > 1:
            return _change_each(session, client, order_ids, client.orders.finish)
        (order_id,) = order_ids
        with session.changing(order_hint(order_id)), _naming_status(client, order_id):
            done = client.orders.finish(order_id)
    session.screen.fields(done, {"order": order_id, "status": done.status})
    return Exit.OK


@command(app, "resend", panel=PANEL, lists=True)
def resend(
    session: Session,
    order_ids: OrderIds,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the new code of one order.")] = False,
    timeout: Patience = None,
) -> int:
    """Ask for another SMS."""
    with session.client() as client:
        if len(order_ids) > 1:
            if wait:
                raise InvalidArgumentError("--wait is for one order; `smscode watch` shows the codes of all.")
            return _change_each(session, client, order_ids, client.orders.resend)
        (order_id,) = order_ids
        before = client.orders.get(order_id)
        with session.changing(order_hint(order_id)), _naming_status(client, order_id):
            done = client.orders.resend(order_id)
        if not done.resent or not wait:
            pairs = {
                "order": order_id,
                "status": done.status,
                "resent": "yes" if done.resent else NOT_RESENT,
            }
            session.screen.fields(done, pairs)
            return Exit.OK if done.resent else Exit.FAILED
        with session.screen.progress("waiting for the new code"):
            sms = client.orders.wait_for_otp(
                order_id, timeout=timeout, after_revision=before.sms_revision, after_code=before.otp_code
            )
    show_code(session, sms)
    return Exit.OK


def _cancel_all(session: Session, path: Path | None, *, foreign: bool, wait: bool, yes: bool) -> int:
    with session.journal(path) as journal, session.client(journal) as client:
        active = client.orders.active()
        found = [order for order in active if not _has_sms(order)]
        left_out = 0
        if not foreign and journal is not None:
            own = _bought(journal, session)
            left_out = sum(order.id not in own for order in found)
            found = [order for order in found if order.id in own]
            if left_out:
                session.screen.say(f"{left_out} of other programs are left out; --foreign takes them, too.")
        if not found:
            if not left_out:
                session.screen.say("no open order that can be canceled" if active else NO_ORDERS)
            if session.screen.as_json:
                session.screen.rows((), (), ())
            return Exit.OK
        for order in found:
            session.screen.say(f"order {order.id}: cancel from {_from(order)}, ends {when(order.expires_at)}")
        session.screen.confirm(f"Cancel {len(found)} order(s)?", yes=yes)
        ids = [order.id for order in found]
        return _change_each(session, client, ids, partial(client.orders.cancel, wait=wait))


def _bought(journal: SQLiteJournal, session: Session) -> set[int]:
    """Return the ids of the orders that the journal has, whose end it has not seen."""
    records = journal.records(session.settings.account)
    return {order.id for one in records for order in one.orders}


def _has_sms(order: ActiveOrder) -> bool:
    return bool(order.sms_revision or order.otp_message or order.otp_code) or (
        order.status == OrderStatus.OTP_RECEIVED
    )


def _from(order: ActiveOrder) -> str:
    return "now" if order.cancel_available_at is None else when(order.cancel_available_at)


@contextmanager
def _naming_status(client: Client, order_id: int) -> Generator[None]:
    """Add the order's status to a refusal because of it, which the service does not name."""
    try:
        yield
    except ConflictError as error:
        with suppress(SmscodeError):  # the refusal is what is reported
            status = (error.order or client.orders.get(order_id)).status
            if status is not None and status not in error.message:
                error.message = f"{error.message.rstrip('.')}: order {order_id} is {status}."
        raise


def _change_each(
    session: Session, client: Client, order_ids: Sequence[int], change: Callable[[int], Ended]
) -> int:
    """Change orders one after another, show what became of each, and return the worst exit code.

    One that fails does not keep the others from being changed.
    """
    values: list[object] = []
    cells: list[tuple[object, ...]] = []
    worst = Exit.OK
    try:
        for order_id in dict.fromkeys(order_ids):
            try:
                with (
                    session.changing(order_hint(order_id)),
                    session.screen.progress(f"order {order_id}"),
                    _naming_status(client, order_id),
                ):
                    done = change(order_id)
            except SmscodeError as error:
                report = ErrorReport(error, session.doubt)
                session.doubt = ""
                worst = max(worst, report.exit)
                values.append({"order_id": order_id, "error": report.record})
                cells.append((order_id, None, None, " ".join(report.lines)))
            else:
                values.append(record(done))
                refunded = done.refund_amount if isinstance(done, CanceledOrder) else None
                cells.append((order_id, done.status, refunded, _about(done)))
                if isinstance(done, ResendResult) and not done.resent:
                    worst = max(worst, Exit.FAILED)
    finally:  # also when it is interrupted: these are done
        session.screen.rows(values, (">order", "status", ">refunded", "result"), cells)
    return worst


def _about(done: Ended) -> str:
    """Return what a change came to, in words."""
    if isinstance(done, ResendResult):
        return "resent" if done.resent else NOT_RESENT
    return "canceled" if isinstance(done, CanceledOrder) else "finished"
