"""``smscode stats``: what the account's orders came to, per offer, as a table with bars."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Final, TypeAlias

import typer

from .._plain import plain as record
from .._sync.client import Client
from ..core.statistics import Offer, OfferStats
from ..errors import SmscodeError
from .command import command
from .screen import Count, raw
from .session import Session
from .spans import Since, parse_since

Names: TypeAlias = Mapping[Offer, str | None]

app: typer.Typer = typer.Typer()

_PAST_ORDERS: Final = 2_000
"""How many orders there are with --sandbox."""
_BAR: Final = 10
_COLUMNS: Final = (
    *("=product", "name", ">numbers", ">codes", "success", "=rate", ">median s", ">p90 s", ">per code"),
)
_FIELDS: Final = (
    *("catalog_product_id", "product_id", "numbers", "codes", "waiting", "success_rate", "success_low"),
    *("success_high", "median_seconds", "p90_seconds", "charged", "refunded", "cost_per_code"),
)


@command(app, "stats", panel="Rent", lists=True)
def stats(
    session: Session,
    since: Since = None,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print CSV, with all figures and their names.")
    ] = False,
) -> None:
    """Show for each product how many numbers got a code, how fast, and what a code cost.

    A bar is full up to the success rate's lower limit, and shaded up to its upper one: the rate is between
    them with a probability of 95 %.
    """
    begin = parse_since(since)
    session.past_orders = _PAST_ORDERS
    screen = session.screen
    with session.client() as client:
        with screen.progress("reading the orders"):
            found = client.orders.stats(since=begin)
        names: Names = _names(client) if found else {}
    if as_csv and not screen.as_json:
        _write_csv(found, names)
        return
    values = [{**_plain(one), "name": names.get(_offer(one))} for one in found]
    if screen.pretty:
        screen.rows(values, _COLUMNS, [_shown(one, names, blocks=screen.blocks) for one in found])
    else:
        columns = ("product", "name", *_FIELDS[2:])
        cells = [
            (_product(one), names.get(_offer(one)), *(getattr(one, name) for name in _FIELDS[2:]))
            for one in found
        ]
        screen.rows(values, columns, cells)


def _plain(one: OfferStats) -> Mapping[str, object]:
    found = record(one)
    assert isinstance(found, dict)
    return found


def _product(one: OfferStats) -> int | None:
    return one.product_id if one.catalog_product_id is None else one.catalog_product_id


def _offer(one: OfferStats) -> Offer:
    return one.catalog_product_id, one.product_id


def _names(client: Client) -> Names:
    """Return the names of all offers; the figures are worth showing without them."""
    found: dict[Offer, str | None] = {}
    with suppress(SmscodeError):
        for product in client.catalog.iter_products():
            found[None, product.id] = found[product.catalog_product_id, None] = product.name
    return found


def _shown(one: OfferStats, names: Names, *, blocks: bool) -> Sequence[object]:
    rate = bar = None
    if one.success_rate is not None:
        low, high = one.success_low or 0.0, one.success_high or 0.0
        bar = _bar(low, high, blocks=blocks)
        rate = f"{one.success_rate:4.0%} ({low:.0%}..{high:.0%})"
    times = [None if at is None else f"{at:.0f}" for at in (one.median_seconds, one.p90_seconds)]
    return (
        *(_product(one), names.get(_offer(one)), Count(one.numbers), Count(one.codes), bar, rate),
        *(*times, one.cost_per_code),
    )


def _bar(low: float, high: float, *, blocks: bool) -> str:
    full, shaded, empty = "█▒·" if blocks else "#=."
    first, last = round(low * _BAR), round(high * _BAR)
    return full * first + shaded * (last - first) + empty * (_BAR - last)


def _write_csv(found: Sequence[OfferStats], names: Names) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("name", *_FIELDS, "currency"))
    for one in found:
        cells = [getattr(one, name) for name in _FIELDS]
        shown = ["" if cell is None else raw(cell) for cell in cells]
        writer.writerow((names.get(_offer(one)) or "", *shown, one.charged.currency))
    sys.stdout.flush()
