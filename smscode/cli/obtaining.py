"""``smscode obtain``: a code, by as many numbers as it takes within a budget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import typer

from .._sync.client import Client
from .._sync.rental import Rental
from ..core.offers import CodeNotObtainedError, Obtained, Try
from ..core.order_endings import Released
from ..errors import InvalidArgumentError, NumberRefused
from .catalog import price_limit
from .command import command
from .exits import Exit
from .orders import PANEL, JournalPath, Yes
from .renting import IN_DOUBT
from .screen import when
from .session import Session

app: typer.Typer = typer.Typer()

Names = Annotated[list[str] | None, typer.Option(metavar="NAME", help="Repeat for several.")]
_MEANINGS = {
    "code": "its code is the result",
    "late_code": "its code came late",
    "no_code": "no code came",
    "refused": "refused",
    "not_bought": "not bought",
    "in_doubt": "it may have been bought",
}


@command(app, "obtain", panel=PANEL)
def obtain(
    session: Session,
    service: Annotated[str, typer.Option(help="Service, by name, code or id.", metavar="NAME")],
    country: Names = None,
    operator: Names = None,
    max_price: Annotated[
        list[str] | None,
        typer.Option(metavar="AMOUNT", help="Most to pay for a number. Repeat for a rising ladder."),
    ] = None,
    budget: Annotated[
        str | None, typer.Option(metavar="AMOUNT", help="Most to pay for all numbers together.")
    ] = None,
    tries: Annotated[int, typer.Option(min=1, max=100, help="Most numbers to buy.")] = 3,
    wait: Annotated[
        float, typer.Option(min=1, max=1200, metavar="SECONDS", help="Wait for the code of each number.")
    ] = 120.0,
    resend_after: Annotated[
        float | None, typer.Option(min=1, metavar="SECONDS", help="Ask for the SMS again after this.")
    ] = None,
    release_timeout: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="Wait to give numbers back at the end.")
    ] = 0.0,
    timeout: Annotated[
        float | None, typer.Option(min=1, metavar="SECONDS", help="Most time for all of it.")
    ] = None,
    pattern: Annotated[
        str | None, typer.Option(metavar="REGEX", help="What the code looks like in the message.")
    ] = None,
    prefer: Annotated[
        Literal["price", "success"], typer.Option(help="Try the cheapest or the surest offer first.")
    ] = "price",
    keep: Annotated[bool, typer.Option("--keep", help="Do not finish the order of the code.")] = False,
    key: Annotated[
        str | None, typer.Option(metavar="KEY", help="With the same key nothing is bought twice.")
    ] = None,
    yes: Yes = False,
    journal: JournalPath = None,
) -> int:
    """Obtain a code: take another number when none comes, elsewhere or dearer, within a budget.

    One of --budget and --max-price is needed. Each number is shown when it is bought; on a terminal it then
    asks whether the site has sent its code. Numbers without a code are given back.
    """
    screen = session.screen
    if budget is None and not max_price:
        raise InvalidArgumentError("Give --budget or --max-price, so that it is known what a code may cost.")
    limits = [price_limit(session, one) for one in max_price or ()]
    ladder = ", then ".join(_amount(session, one) for one in max_price or ())
    most = [f"at most {_amount(session, budget)} in all"] if budget is not None else []
    most += [f"at most {ladder} each"] if ladder else []
    where = f" in {', '.join(country)}" if country else ""
    what = f"a code for {service}{where} with up to {tries} numbers, for {' and '.join(most)}"

    def enter(rental: Rental) -> None:
        order = rental.order
        pairs: dict[str, object] = {"order": order.id, "number": order.phone_number}
        if screen.pretty:
            pairs["until"] = when(order.expires_at)
        screen.event("rented", {"order": order}, pairs)
        if not yes and screen.refuses("Press Enter when the site has sent its code, n for another number: "):
            raise NumberRefused

    with session.journal(journal) as opened, session.client(opened) as client:
        screen.confirm(f"Obtain {what}?", yes=yes, instead=f"Obtaining {what}.")
        try:
            with session.changing(IN_DOUBT):
                obtained = client.orders.obtain(
                    enter,
                    service=service,
                    country=country,
                    operator=operator,
                    max_price=[limit for limit in limits if limit is not None] or None,
                    budget=price_limit(session, budget),
                    tries=tries,
                    wait=wait,
                    resend_after=resend_after,
                    release_timeout=release_timeout,
                    timeout=timeout,
                    pattern=pattern,
                    prefer=prefer,
                    keep=keep,
                    idempotency_key=key,
                )
        except CodeNotObtainedError as error:
            _show_tries(session, error.tried)
            in_doubt = any(one.result == "in_doubt" for one in error.tried)
            session.doubt = IN_DOUBT if in_doubt else ""
            session.rented = any(one.order_id is not None for one in error.tried) and not in_doubt
            raise
        except KeyboardInterrupt:
            _report_interrupted(session, client)
            return Exit.INTERRUPTED
    _show(session, obtained)
    return Exit.OK


def _amount(session: Session, given: str) -> str:
    return f"${given}" if session.version == "v2" else f"Rp {given}"


def _show(session: Session, obtained: Obtained) -> None:
    screen = session.screen
    screen.event("code", {"sms": obtained.sms}, {"code": obtained.code})
    others = [one for one in obtained.tried if one.result != "code"]
    _show_tries(session, others)
    if screen.as_json:
        screen.event("obtained", {"order_id": obtained.order_id, "spent": obtained.spent}, {})
    screen.say(f"{obtained.spent} was charged for {len(others) + 1} number(s).")


def _show_tries(session: Session, tried: Sequence[Try]) -> None:
    """Show what became of the numbers that the result is not of."""
    for one in tried:
        if session.screen.as_json:
            released = None if one.released is None else one.released.value
            data = {"order_id": one.order_id, "result": one.result, "spent": one.spent, "released": released}
            session.screen.event("tried", data, {})
            continue
        order = "A purchase" if one.order_id is None else f"Order {one.order_id}"
        code = "" if one.sms is None or one.sms.code is None else f" ({one.sms.code})"
        open_ = one.order_id is not None and one.released in (None, Released.LEFT_TO_EXPIRE)
        left = " It is open, and refunded at its end if no SMS came." if open_ else ""
        session.screen.warn(f"{order}: {_MEANINGS[one.result]}{code}; {one.spent} was charged.{left}")


def _report_interrupted(session: Session, client: Client) -> None:
    """Report what an interrupt left open."""
    screen = session.screen
    left = [order for bought in client.orders.bought() for order in bought.orders]
    doubts = client.orders.unresolved()
    if doubts:
        screen.warn(f"Interrupted. A number may have been bought: {IN_DOUBT}")
    for order in left:
        ends = f"Order {order.id} ends by itself at {when(order.expires_at)}"
        screen.warn(f"Interrupted. {ends}. Sooner: `smscode cancel {order.id} --wait`.")
    if not left and not doubts:
        screen.warn("Interrupted. No number is left open.")
