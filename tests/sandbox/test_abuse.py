"""The abuse guard: too many orders without an SMS stop an account from ordering."""

from __future__ import annotations

from typing import Any

from smscode.sandbox import AbuseGuard

from .harness import Api, refusal

GUARD = AbuseGuard(orders=4, percent=75, window=3600, ban=5400)


def guarded(version: str, **options: Any) -> Api:
    return Api(version, otp_after=None, cancel_after=0, abuse_guard=GUARD, **options)


def fail(api: Api, times: int) -> None:
    for order_id in api.rent(times):
        api.post("/orders/cancel", id=order_id)


def succeed(api: Api, times: int) -> None:
    for order_id in api.rent(times):
        api.sandbox.deliver_sms(order_id)
        api.post("/orders/finish", id=order_id)


def test_too_many_failed_orders_begin_a_ban(version: str) -> None:
    api = guarded(version)
    fail(api, 3)
    assert api.rent(1, catalog_product_id=87)
    succeed(api, 1)
    response = api.send("POST", "/orders/create", json={"product_id": 142})
    assert refusal(response) == (
        429,
        "TEMP_BANNED_ABUSE_GUARD",
        {"until": "2026-06-14T05:30:12+00:00", "tier": "HARD", "retry_after_seconds": 5400},
    )
    assert response.headers["retry-after"] == "5400"


def test_a_ban_is_over_when_it_says_so(version: str) -> None:
    api = guarded(version)
    fail(api, 4)
    api.sandbox.advance(5399.5)
    status, code, details = api.refused("POST", "/orders/create", product_id=142)
    assert (status, code, details["retry_after_seconds"]) == (429, "TEMP_BANNED_ABUSE_GUARD", 1)
    api.sandbox.advance(0.5)
    fail(api, 3)  # what led to the first ban does not count for another one
    assert api.rent()


def test_a_ban_stops_new_orders_and_nothing_else(version: str) -> None:
    api = guarded(version)
    succeed(api, 1)
    (kept,) = api.rent()
    first = api.post("/orders/create", "k", product_id=142)
    fail(api, 8)
    assert api.refused("POST", "/orders/create", product_id=142)[1] == "TEMP_BANNED_ABUSE_GUARD"
    assert api.post("/orders/create", "k", product_id=142) == first
    api.sandbox.deliver_sms(kept)
    assert api.post("/orders/finish", id=kept)
    assert api.post("/orders/reactivate", id=kept)
    assert api.get("/balance")


def test_orders_that_expire_count_and_good_ones_make_up_for_them(version: str) -> None:
    api = guarded(version, lifetime=1000)
    succeed(api, 3)
    api.rent(6)
    api.sandbox.advance(1000)  # 6 of 9 are fewer than 75 %
    fail(api, 2)
    assert api.rent()
    fail(api, 1)
    assert api.refused("POST", "/orders/create", product_id=142)[1] == "TEMP_BANNED_ABUSE_GUARD"


def test_old_failures_are_forgotten(version: str) -> None:
    api = guarded(version)
    fail(api, 3)
    api.sandbox.advance(3600)
    fail(api, 3)
    assert api.rent()


def test_the_guard_can_be_switched_off_and_the_documented_service_has_none(version: str) -> None:
    for api in (
        guarded(version, generation="documented"),
        Api(version, otp_after=None, cancel_after=0, abuse_guard=None),
    ):
        fail(api, 10)
        assert api.rent()


def test_the_usual_guard_looks_at_a_hundred_orders() -> None:
    api = Api(otp_after=None, cancel_after=0, balance=10_000_000)
    fail(api, 99)
    assert api.rent()
    fail(api, 1)
    assert api.refused("POST", "/orders/create", product_id=142)[2]["retry_after_seconds"] == 14_400
