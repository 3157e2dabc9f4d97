"""The sandbox object: its arguments, its time, its transports, its audit trail."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smscode.errors import InvalidArgumentError
from smscode.sandbox import Sandbox

from .harness import START, URL, Api


@pytest.mark.parametrize(
    "options",
    [
        {"balance": -1},
        {"balance": 1.5},
        {"balance": True},
        {"rate": 0},
        {"rate": "16250"},
        {"otp_after": -1},
        {"lifetime": float("nan")},
        {"cancel_after": float("inf")},
        {"resend_cooldown": -0.1},
        {"generation": "newest"},
        {"clock": lambda: datetime(2026, 6, 14)},
    ],
)
def test_wrong_arguments_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError):
        Sandbox(**options)


def test_wrong_uses_are_refused() -> None:
    sandbox = Sandbox()
    wrong_uses: list[Callable[[], object]] = [
        lambda: sandbox.advance(-1),
        lambda: sandbox.advance(float("nan")),
        lambda: sandbox.set_rate(0),
        lambda: sandbox.deliver_sms(1001),
        lambda: sandbox.fail_next("orders.buy", 500),
        lambda: sandbox.fail_next("orders.get", "TEAPOT"),
        lambda: sandbox.fail_next("orders.get", 500, times=0),
    ]
    for wrong in wrong_uses:
        with pytest.raises(InvalidArgumentError):
            wrong()


def test_the_time_is_the_real_one_unless_given() -> None:
    before = datetime.now(UTC)
    assert before <= Sandbox().now <= datetime.now(UTC)


def test_the_time_is_utc_and_never_goes_back() -> None:
    jakarta = timezone(timedelta(hours=7))
    times = [START, START.astimezone(jakarta) + timedelta(seconds=5), START]
    sandbox = Sandbox(clock=lambda: times.pop(0))
    seen = [sandbox.now, sandbox.now]
    assert seen == [START + timedelta(seconds=5)] * 2
    assert all(time.tzinfo is UTC for time in seen)


def test_times_ahead_are_rounded_up_so_that_they_are_true() -> None:
    api = Api(clock=lambda: START + timedelta(seconds=0.75), cancel_after=0.5, otp_after=None)
    (order_id,) = api.rent()
    order = api.order(order_id)
    assert order["created_at"] == "2026-06-14T04:00:12+00:00"
    assert order["cancel_available_at"] == "2026-06-14T04:00:14+00:00"
    assert order["expires_at"] == "2026-06-14T04:20:12+00:00"


def test_what_fell_due_happens_in_the_order_of_time() -> None:
    api = Api(otp_after=5)
    api.patch("/webhook", webhook_url=URL)
    api.rent()
    api.sandbox.advance(3)
    api.rent()
    api.sandbox.advance(5000)
    assert [movement.kind for movement in api.sandbox.ledger] == ["deposit", "order", "order"]
    times = [delivery.body.split(b'"timestamp":"')[1][:19] for delivery in api.sandbox.deliveries]
    assert times == [
        b"2026-06-14T04:00:17",
        b"2026-06-14T04:00:20",
        b"2026-06-14T04:20:12",
        b"2026-06-14T04:20:15",
    ]


def test_reading_the_balance_lets_what_is_due_happen() -> None:
    ahead = [0]
    api = Api(clock=lambda: START + timedelta(seconds=ahead[0]), otp_after=None)
    api.rent()
    assert api.sandbox.balance == 985_000
    ahead[0] = 1200
    assert api.sandbox.balance == 1_000_000
    assert sum(movement.amount for movement in api.sandbox.ledger) == 1_000_000


@pytest.mark.anyio
async def test_the_transport_serves_async_clients_too() -> None:
    sandbox = Sandbox(clock=lambda: START, deliver=lambda _: 201)
    headers = {"authorization": f"Bearer {sandbox.token}"}
    options: dict[str, Any] = {"base_url": "http://sandbox", "headers": headers}
    async with httpx.AsyncClient(transport=sandbox.transport(), **options) as http:
        await http.patch("/v1/webhook", json={"webhook_url": URL})
        created = await http.post("/v1/orders/create", json={"product_id": 142})
        order_id = created.json()["data"]["orders"][0]["id"]
        async with http.stream("GET", f"/v1/orders/{order_id}") as response:
            pieces = [piece async for piece in response.aiter_raw()]
        assert b"ACTIVE" in b"".join(pieces)
        # These two send a webhook before they are answered, which must not stop the event loop.
        tested = await http.post("/v1/webhook/test")
        assert tested.json()["data"] == {"status_code": 201}
        sandbox.deliver_sms(order_id)
        finished = await http.post("/v1/orders/finish", json={"id": order_id})
        assert finished.json()["data"]["status"] == "COMPLETED"
    assert len(sandbox.deliveries) == 3


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("create"), st.integers(1, 4)),
        st.tuples(st.sampled_from(["cancel", "finish", "resend", "reactivate", "sms"]), st.integers(0, 8)),
        st.tuples(st.just("advance"), st.sampled_from([1, 30, 120, 700])),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(STEPS)
def test_the_ledger_adds_up_whatever_happens(steps: list[tuple[str, int]]) -> None:
    api = Api(balance=200_000, otp_after=None)
    for action, number in steps:
        listed = api.get("/orders", limit=100)
        if action == "create":
            api.send("POST", "/orders/create", json={"catalog_product_id": 87, "quantity": number})
        elif action == "advance":
            api.sandbox.advance(number)
        elif action == "sms" and (active := api.get("/orders/active")):
            api.sandbox.deliver_sms(active[number % len(active)]["id"])
        elif action != "sms" and listed:
            api.send("POST", f"/orders/{action}", json={"id": listed[number % len(listed)]["id"]})
    orders = api.get("/orders", limit=100)
    refunded = [order for order in orders if order["status"] in ("CANCELED", "EXPIRED")]
    expected = 200_000 - sum(o["amount"] for o in orders) + sum(o["amount"] for o in refunded)
    assert api.sandbox.balance == expected >= 0
    assert sum(movement.amount for movement in api.sandbox.ledger) == expected
    assert [m.order_id for m in api.sandbox.ledger if m.kind == "order"] == sorted(o["id"] for o in orders)
    refunds = [m.order_id for m in api.sandbox.ledger if m.kind == "refund"]
    assert sorted(refunds, key=lambda value: value or 0) == sorted(o["id"] for o in refunded)
    held = sum(order["status"] in ("ACTIVE", "OTP_RECEIVED") for order in orders)
    assert len(api.get("/orders/active")) == held


def test_how_soon_an_sms_comes_can_be_changed() -> None:
    api = Api(otp_after=None)
    (waiting,) = api.rent()
    api.sandbox.set_otp_after(5)
    (served,) = api.rent()
    api.sandbox.advance(5)
    assert [api.order(order)["status"] for order in (waiting, served)] == ["ACTIVE", "OTP_RECEIVED"]
    with pytest.raises(InvalidArgumentError, match=r"^otp_after: expected seconds"):
        api.sandbox.set_otp_after(-1)


@pytest.mark.parametrize(
    ("code", "known"),
    [
        ("PROVIDERERROR", "; the closest is 'PROVIDER_ERROR'"),
        ("not_found", "; the closest is 'NOT_FOUND'"),
        ("TEAPOT", ""),
    ],
)
def test_an_error_code_that_is_not_documented_is_refused_with_the_closest(code: str, known: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        Sandbox().fail_next("orders.create", code)
    assert caught.value.message == f"code: {code!r} is not documented{known}. Another one needs a status=."
