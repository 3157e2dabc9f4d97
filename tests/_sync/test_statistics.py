# Generated from tests/_async/test_statistics.py by `nox -s generate`: change that file, not this one.

"""`orders.stats`: its figures equal those of a reference over the raw rows of the wire."""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from statistics import NormalDist
from typing import Any, Literal

import httpx
import pytest

from smscode import InvalidArgumentError, OfferStats, to_json
from smscode.sandbox import Sandbox

from ..concurrency import VirtualClient
from .helpers import START, Script, rent, still_sandbox, success

pytestmark = pytest.mark.anyio

Version = Literal["v1", "v2"]
Generation = Literal["documented", "current"]
LIST = "GET /orders"


def raw_rows(sandbox: Sandbox, version: Version) -> list[dict[str, Any]]:
    """Return all orders as the service sends them, read without the client."""
    found: list[dict[str, Any]] = []
    headers = {"authorization": f"Bearer {sandbox.token}"}
    with httpx.Client(transport=sandbox.transport(), base_url="http://sandbox", headers=headers) as http:
        while True:
            query = {"limit": 100, "offset": len(found)}
            page = http.get(f"/{version}/orders", params=query).json()["data"]
            found += page
            if len(page) < 100:
                return found


def amount_of(row: dict[str, Any], version: Version) -> tuple[Decimal, int]:
    amount: Any = row["amount"]
    if version == "v1":
        return Decimal(amount), amount
    return Decimal(amount["amount"]), amount["canonical_amount"]


def time_of(row: dict[str, Any], name: str) -> datetime:
    return datetime.fromisoformat(row[name])


def half_up(value: Fraction, places: int) -> Fraction:
    scale: int = 10**places
    return Fraction(math.floor(value * scale + Fraction(1, 2)), scale)


def interval(codes: int, numbers: int) -> tuple[float, float]:
    """Return the roots of (p - share)**2 == z**2 * p * (1 - p) / numbers, which Wilson's interval is."""
    z = NormalDist().inv_cdf(0.975)
    share = codes / numbers
    a, b, c = 1 + z**2 / numbers, -(2 * share + z**2 / numbers), share**2
    root = math.sqrt(max(b**2 - 4 * a * c, 0))
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


def reference(rows: list[dict[str, Any]], version: Version) -> dict[int, dict[str, Any]]:
    """Return the figures of each offer, computed row by row in the plainest way."""
    grouped: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        grouped[row.get("catalog_product_id") or row["product_id"]].append(row)
    found: dict[int, dict[str, Any]] = {}
    for offer, orders in grouped.items():
        with_code = [row for row in orders if row["otp_code"]]
        open_ = [row for row in orders if row["status"] in ("ACTIVE", "OTP_RECEIVED")]
        waiting = [row for row in open_ if not row["otp_code"]]
        refunded = [row for row in orders if row["status"] in ("CANCELED", "EXPIRED")]
        times = sorted(
            (time_of(row, "otp_received_at") - time_of(row, "created_at")).seconds for row in with_code
        )
        decided, places = len(orders) - len(waiting), 0 if version == "v1" else 4
        low, high = interval(len(with_code), decided) if decided else (None, None)

        def total(rows: list[dict[str, Any]]) -> tuple[Decimal, int]:
            amounts = [amount_of(row, version) for row in rows]
            return sum((one for one, _ in amounts), Decimal(0)), sum(idr for _, idr in amounts)

        charged, back, held = total(orders), total(refunded), total(waiting)
        found[offer] = {
            "numbers": len(orders),
            "codes": len(with_code),
            "waiting": len(waiting),
            "rate": len(with_code) / decided if decided else None,
            "low": low,
            "high": high,
            "median": None if not times else (times[(len(times) - 1) // 2] + times[len(times) // 2]) / 2,
            "p90": None if not times else times[math.ceil(len(times) * Fraction(9, 10)) - 1],
            "charged": charged,
            "refunded": back,
            "cost": None
            if not with_code
            else (
                half_up(Fraction(charged[0] - back[0] - held[0]) / len(with_code), places),
                half_up(Fraction(charged[1] - back[1] - held[1], len(with_code)), 0),
            ),
        }
    return found


def figures(stats: list[OfferStats]) -> dict[int, dict[str, Any]]:
    def money(one: Any) -> Any:
        return None if one is None else (one.amount, one.canonical_amount)

    return {
        one.catalog_product_id or one.product_id or 0: {
            "numbers": one.numbers,
            "codes": one.codes,
            "waiting": one.waiting,
            "rate": one.success_rate,
            "low": None if one.success_low is None else pytest.approx(one.success_low, abs=1e-9),
            "high": None if one.success_high is None else pytest.approx(one.success_high, abs=1e-9),
            "median": one.median_seconds,
            "p90": one.p90_seconds,
            "charged": money(one.charged),
            "refunded": money(one.refunded),
            "cost": money(one.cost_per_code),
        }
        for one in stats
    }


@pytest.mark.parametrize("seed", [0, 1])
def test_the_figures_equal_those_of_the_raw_rows(
    version: Version, generation: Generation, seed: int
) -> None:
    sandbox = still_sandbox(past_orders=1_234, generation=generation, seed=seed, otp_after=None)
    with VirtualClient(sandbox, api_version=version) as client:
        waiting, received, without = [rent(client) for _ in range(3)]
        sandbox.deliver_sms(received)
        sandbox.deliver_sms(without, text="no code in here")
        rent(client, catalog_product_id=110)
        stats = client.orders.stats()
    assert figures(stats) == reference(raw_rows(sandbox, version), version)
    assert sum(offer.numbers for offer in stats) == 1_238
    assert [offer.numbers for offer in stats] == sorted((one.numbers for one in stats), reverse=True)
    assert all((one.catalog_product_id is None) == (generation == "documented") for one in stats)
    assert waiting in {order.id for order in sandbox.transport().app.world.open.values()}


def test_an_offer_whose_first_number_still_waits_says_nothing_yet(version: Version) -> None:
    sandbox = still_sandbox(otp_after=None)
    with VirtualClient(sandbox, api_version=version) as client:
        assert client.orders.stats() == []
        order_id = rent(client)
        (one,) = client.orders.stats()
        assert (one.numbers, one.codes, one.waiting, one.charged) == (1, 0, 1, one.charged)
        assert (one.success_rate, one.success_low, one.success_high) == (None, None, None)
        assert (one.median_seconds, one.p90_seconds, one.cost_per_code) == (None, None, None)
        assert one.refunded.canonical_amount == 0
        sandbox.advance(60)
        sandbox.deliver_sms(order_id)
        (one,) = client.orders.stats()
    assert (one.codes, one.waiting, one.success_rate, one.median_seconds, one.p90_seconds) == (
        1,
        0,
        1,
        60,
        60,
    )
    assert one.cost_per_code == one.charged
    assert one.success_low == pytest.approx(0.2065493143772375)
    assert one.success_high == 1


def test_what_is_older_is_left_out_and_not_read() -> None:
    sandbox = still_sandbox(past_orders=1_000)
    with VirtualClient(sandbox) as client:
        rows = raw_rows(sandbox, "v2")
        for since in (timedelta(days=10), START - timedelta(days=10)):
            before = sandbox.requests[LIST]
            stats = client.orders.stats(since=since)
            some = [row for row in rows if time_of(row, "created_at") >= START - timedelta(days=10)]
            assert figures(stats) == reference(some, "v2")
            assert 300 < len(some) < 400
            assert sandbox.requests[LIST] - before == 5, "four pages with newer orders, and one without"
        assert client.orders.stats(since=timedelta(0)) == []


def test_rows_that_cannot_be_read_do_not_end_it() -> None:
    row = raw_rows(still_sandbox(past_orders=1), "v1")[0]
    unreadable = [{**row, "id": 3_000 + number, "amount": "?"} for number in range(100)]
    script = Script([success(unreadable), success([{**row, "created_at": None}, {**row, "id": 9}])])
    with VirtualClient(still_sandbox(), transport=script, api_version="v1") as client:
        (one,) = client.orders.stats(since=START - timedelta(days=40))
    assert one.numbers == 1, "and one whose time is unknown does not count"


def test_a_page_of_old_orders_that_were_read_before_does_not_end_it() -> None:
    rows = raw_rows(still_sandbox(past_orders=150), "v1")
    script = Script([success(rows[:100]), success(rows[:100]), success(rows[100:])])
    with VirtualClient(still_sandbox(), transport=script, api_version="v1") as client:
        stats = client.orders.stats(since=timedelta(days=40))
    assert sum(one.numbers for one in stats) == 150


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        (30, "a datetime.datetime"),
        ("2026-06-14", "a datetime.datetime"),
        (datetime(2026, 6, 14), "a datetime with an offset"),
        (timedelta(days=-1), "a timedelta that is not negative"),
    ],
)
def test_a_wrong_since_is_refused_before_anything_is_sent(since: Any, expected: str) -> None:
    sandbox = still_sandbox()
    with VirtualClient(sandbox) as client:
        with pytest.raises(InvalidArgumentError, match=f"^since: expected {expected}"):
            client.orders.stats(since=since)
    assert not sandbox.requests


def test_they_are_written_as_json() -> None:
    with VirtualClient(still_sandbox(past_orders=5)) as client:
        written = to_json(client.orders.stats())
    assert written.startswith('[{"catalog_product_id": ')
    assert '"charged": {"amount": "' in written
