"""Buying numbers: validation, routing, money, idempotency keys."""

from __future__ import annotations

from typing import Any

import pytest

from smscode.sandbox import Sandbox

from .harness import Api, refusal, wrong_fields

SCARCE = 120  # Facebook in Brazil: two numbers for 5850, one for 6435
OPERATORS_ONLY = 122  # TikTok in Brazil


def sold_out_product(api: Api) -> int:
    """Return the id of the product that has no stock: the gap in the list."""
    listed = {product["id"] for product in api.get("/catalog/products", limit=10_000)}
    listed |= {
        product["id"] for o in (1, 2, 18, 31) for product in api.get("/catalog/products", operator_id=o)
    }
    (gap,) = set(range(min(listed), max(listed))) - listed
    return gap


def usd(api: Api, idr: int) -> int | str:
    """Write a price limit as the version wants it, at a rate of 10000."""
    return idr if api.version == "v1" else f"{idr / 10_000:.4f}"


@pytest.fixture
def even(version: str) -> Api:
    return Api(version, rate=10_000)


def products(api: Api, **wish: Any) -> list[int]:
    return [order["product_id"] for order in api.post("/orders/create", **wish)["orders"]]


def test_a_rented_number_is_paid_for(api: Api) -> None:
    result = api.post("/orders/create", product_id=142, quantity=3)
    assert result["failed_count"] == 0
    assert [order["id"] for order in result["orders"]] == [1001, 1002, 1003]
    assert api.sandbox.balance == 1_000_000 - 45_000
    numbers = {order["phone_number"] for order in result["orders"]}
    assert len(numbers) == 3
    assert all(number.startswith("+628") and number[1:].isdigit() for number in numbers)
    assert [m.kind for m in api.sandbox.ledger] == ["deposit", "order", "order", "order"]
    (listed, *_) = api.get("/catalog/products", country_id=6, platform_id=3)
    assert listed["available"] == 49_997


def test_a_fresh_order_has_nothing_yet(api: Api) -> None:
    (order,) = api.post("/orders/create", catalog_product_id=87)["orders"]
    assert order["status"] == "ACTIVE"
    assert order["catalog_product_id"] == 87
    assert (order["otp_code"], order["otp_received_at"], order["failed_reason"]) == (None, None, None)
    amount = order["amount"]
    assert amount == 15_000 if api.version == "v1" else amount["amount"] == "0.9231"


def test_the_same_seed_gives_the_same_numbers_and_codes() -> None:
    def run(seed: int) -> list[object]:
        api = Api(seed=seed)
        api.rent(3)
        api.sandbox.advance(2)
        return [(o["phone_number"], o["otp_code"]) for o in api.get("/orders")]

    assert run(1) == run(1) != run(2)


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({}, {"product_id"}),
        ({"product_id": None}, {"product_id"}),
        ({"product_id": 142, "catalog_product_id": 87}, {"product_id"}),
        ({"product_id": "142"}, {"product_id"}),
        ({"product_id": 142, "quantity": 0}, {"quantity"}),
        ({"product_id": 142, "quantity": 101}, {"quantity"}),
        ({"product_id": 142, "quantity": True}, {"quantity"}),
        ({"product_id": 142, "quantity": None}, {"quantity"}),
        ({"catalog_product_id": 87, "policy": None}, {"policy"}),
        ({"product_id": 142, "prefer_provider": "beta"}, {"prefer_provider"}),
        ({"product_id": 142, "policy": "cheapest"}, {"policy"}),
        ({"product_id": 142, "operator_id": 1}, {"operator_id"}),
        ({"catalog_product_id": 87, "policy": "fastest"}, {"policy"}),
        ({"catalog_product_id": 87, "operator_id": "one"}, {"operator_id"}),
        ({"catalog_product_id": 87, "prefer_provider": 7}, {"prefer_provider"}),
        ({"catalog_product_id": 87, "prefer_provider": "a" * 65}, {"prefer_provider"}),
    ],
)
def test_wrong_fields_are_named(version: str, fields: dict[str, Any], wrong: set[str]) -> None:
    assert wrong_fields(Api(version).refused("POST", "/orders/create", **fields)) == wrong


@pytest.mark.parametrize("limit", ["max_price", "min_price"])
@pytest.mark.parametrize(
    ("version", "value"),
    [
        ("v1", "1"),
        ("v1", -1),
        ("v1", 1.5),
        ("v1", True),
        ("v2", 1),
        ("v2", "-1"),
        ("v2", "1e3"),
        ("v2", "NaN"),
    ]
    + [("v2", value) for value in ("", ".5", "5.", "+1", "1,5", " 1", "\u0661")],
)
def test_price_limits_are_rupiah_in_v1_and_decimal_strings_in_v2(
    version: str, limit: str, value: object
) -> None:
    fields: dict[str, Any] = {"catalog_product_id": 87, limit: value}
    assert wrong_fields(Api(version).refused("POST", "/orders/create", **fields)) == {limit}


def test_min_price_needs_a_routed_order(even: Api) -> None:
    answer = even.refused("POST", "/orders/create", product_id=142, min_price=usd(even, 1))
    assert wrong_fields(answer) == {"min_price"}


def test_the_cheapest_offer_is_taken(api: Api) -> None:
    assert products(api, catalog_product_id=87) == [142]
    assert products(api, catalog_product_id=87, policy="cheapest") == [142]


def test_a_preferred_provider_wins_among_equal_prices(api: Api) -> None:
    assert products(api, catalog_product_id=87, prefer_provider="Beta") == [143]
    assert products(api, catalog_product_id=87, prefer_provider="gamma") == [142]  # it is dearer
    assert products(api, catalog_product_id=87, prefer_provider="nobody") == [142]


def test_best_success_ranks_providers_in_steps_of_ten_percent(api: Api) -> None:
    # beta and gamma are in the same step, and beta is cheaper.
    assert products(api, catalog_product_id=87, policy="best_success") == [143]
    assert products(api, catalog_product_id=87, policy="best_success", prefer_provider="gamma") == [144]


def test_offers_outside_the_price_limits_are_skipped(even: Api) -> None:
    def wish(**limits: int) -> dict[str, Any]:
        return {"catalog_product_id": 87, **{name: usd(even, idr) for name, idr in limits.items()}}

    assert products(even, **wish(max_price=15_000, min_price=15_000)) == [142]
    assert products(even, **wish(min_price=15_001)) == [144]
    for limits in ({"max_price": 14_999}, {"min_price": 20_000}, {"max_price": 0}):
        assert even.refused("POST", "/orders/create", **wish(**limits))[:2] == (422, "NO_OFFER_AVAILABLE")


def test_dollar_limits_are_read_as_whole_rupiah_inside_them() -> None:
    api = Api("v2", rate=17_970)
    # 15000 rupiah are 0.83472... dollars: the cap is rounded down, the floor up.
    too_low = api.refused("POST", "/orders/create", catalog_product_id=87, max_price="0.8347")
    assert too_low[1] == "NO_OFFER_AVAILABLE"
    assert products(api, catalog_product_id=87, max_price="0.8348") == [142]
    assert products(api, catalog_product_id=87, min_price="0.8347") == [142]
    assert products(api, catalog_product_id=87, min_price="0.8348") == [144]


def test_a_product_above_the_cap_is_no_offer_of_the_documented_service(version: str) -> None:
    even = Api(version, rate=10_000, generation="documented")
    wish: dict[str, Any] = {"product_id": 142, "max_price": usd(even, 14_999)}
    assert even.refused("POST", "/orders/create", **wish)[:2] == (422, "NO_OFFER_AVAILABLE")
    fitting = {"max_price": usd(even, 15_000), "prefer_provider": "beta"}
    assert products(even, product_id=142, **fitting) == [142]


def test_an_operator_limits_a_routed_order_to_its_tiers(api: Api) -> None:
    (order,) = api.post("/orders/create", catalog_product_id=87, operator_id=2)["orders"]
    assert (order["operator_id"], order["operator_name"]) == (2, "Indosat")
    assert (
        api.refused("POST", "/orders/create", catalog_product_id=87, operator_id=9)[1] == "NO_OFFER_AVAILABLE"
    )
    assert api.refused("POST", "/orders/create", catalog_product_id=OPERATORS_ONLY)[1] == "NO_OFFER_AVAILABLE"


def test_unknown_products(api: Api) -> None:
    assert api.refused("POST", "/orders/create", product_id=9999)[:2] == (404, "NOT_FOUND")
    assert api.refused("POST", "/orders/create", catalog_product_id=9999)[:2] == (422, "NO_OFFER_AVAILABLE")


def test_an_order_spreads_over_offers_and_may_be_filled_in_part(api: Api) -> None:
    result = api.post("/orders/create", catalog_product_id=SCARCE, quantity=5)
    amounts = [
        o["amount"] if api.version == "v1" else o["amount"]["canonical_amount"] for o in result["orders"]
    ]
    assert amounts == [5_850, 5_850, 6_435]
    assert result["failed_count"] == 2
    assert api.sandbox.balance == 1_000_000 - sum(amounts)
    answer = api.refused("POST", "/orders/create", catalog_product_id=SCARCE)
    assert answer[:2] == (422, "NO_OFFER_AVAILABLE")


def test_a_product_without_stock_is_refused_by_its_supplier(api: Api) -> None:
    answer = api.refused("POST", "/orders/create", product_id=sold_out_product(api), quantity=2)
    assert answer == (422, "PROVIDER_ERROR", {"cause_counts": {"no_numbers": 2}})
    assert api.sandbox.balance == 1_000_000


def test_the_balance_has_to_cover_the_whole_quantity(version: str) -> None:
    api = Api(version, balance=44_999)
    answer = api.refused("POST", "/orders/create", product_id=142, quantity=3)
    assert answer[:2] == (409, "INSUFFICIENT_BALANCE")
    assert api.sandbox.balance == 44_999
    assert len(api.rent(2)) == 2
    short = Api(version, balance=5_850 * 2 + 6_435 * 2)
    answer = short.refused("POST", "/orders/create", catalog_product_id=SCARCE, quantity=5)
    assert answer[:2] == (409, "INSUFFICIENT_BALANCE")


def test_without_a_key_every_request_buys(api: Api) -> None:
    assert api.rent() != api.rent()


def test_a_repeated_key_replays_the_result(api: Api) -> None:
    first = api.post("/orders/create", "k", catalog_product_id=SCARCE, quantity=5)
    api.sandbox.advance(10)  # the SMS are there, and the replay still shows the orders as they were
    again = api.post("/orders/create", "k", quantity=5, catalog_product_id=SCARCE, max_price=None)
    assert again == first
    assert again["failed_count"] == 2
    assert len(api.get("/orders")) == 3


def test_a_field_that_may_be_null_may_be_left_out_as_well(api: Api) -> None:
    assert api.rent(product_id=142, catalog_product_id=None, max_price=None, operator_id=None)


def test_a_key_is_bound_to_its_body(api: Api) -> None:
    api.post("/orders/create", "k", product_id=142)
    answer = api.refused("POST", "/orders/create", "k", product_id=143)
    assert answer[:2] == (422, "IDEMPOTENCY_KEY_REUSED")


def test_a_v2_replay_is_shown_at_the_rate_of_now() -> None:
    api = Api("v2")
    first = api.post("/orders/create", "k", product_id=142)["orders"][0]
    api.sandbox.set_rate(10_000)
    response = api.send(
        "POST", "/orders/create", json={"product_id": 142}, headers={"Idempotency-Key": "k"}
    ).json()
    again = response["data"]["orders"][0]
    assert (first["amount"]["amount"], again["amount"]["amount"]) == ("0.9231", "1.5000")
    assert again["id"] == first["id"]
    assert response["meta"]["fx"]["rate"] == 10_000
    api.sandbox.set_rate(None)
    assert api.refused("POST", "/orders/create", "k", product_id=142)[1] == "FX_RATE_UNAVAILABLE"


def test_a_suppliers_refusal_is_recorded(api: Api) -> None:
    product_id = sold_out_product(api)
    first = api.refused("POST", "/orders/create", "k", product_id=product_id)
    assert api.refused("POST", "/orders/create", "k", product_id=product_id) == first
    attempts = {"attempts": ["no_numbers", "provider_unavailable"]}
    api.sandbox.fail_next("orders.create", "PROVIDER_ERROR", details=attempts)
    scripted = (422, "PROVIDER_ERROR", attempts)
    assert api.refused("POST", "/orders/create", "k2", catalog_product_id=87) == scripted
    assert api.refused("POST", "/orders/create", "k2", catalog_product_id=87) == scripted
    assert api.post("/orders/create", "k3", catalog_product_id=87)


def test_a_failure_without_effect_releases_the_key(version: str) -> None:
    api = Api(version, balance=20_000)
    assert api.refused("POST", "/orders/create", "k", product_id=142, quantity=2)[1] == "INSUFFICIENT_BALANCE"
    assert api.refused("POST", "/orders/create", "k", catalog_product_id=9999)[1] == "NO_OFFER_AVAILABLE"
    assert api.refused("POST", "/orders/create", "k", quantity=1)[1] == "VALIDATION_ERROR"
    api.sandbox.fail_next("orders.create", "INTERNAL_ERROR")
    assert api.refused("POST", "/orders/create", "k", product_id=142)[1] == "INTERNAL_ERROR"
    assert api.post("/orders/create", "k", product_id=142)


@pytest.mark.parametrize("key", ["", "a b", "a" * 129, "a.b", "\u00e4"])
def test_a_key_has_a_form(version: str, key: str) -> None:
    api = Api(version)
    headers = [(b"Idempotency-Key", key.encode())]
    response = api.send("POST", "/orders/create", json={"product_id": 142}, headers=headers)
    assert refusal(response)[:2] == (422, "VALIDATION_ERROR")
    assert api.sandbox.balance == 1_000_000
    assert api.post("/orders/create", "Az09-_" + "a" * 122, product_id=142)


def test_no_two_orders_get_the_same_number() -> None:
    api = Api(balance=10_000_000)
    for _ in range(10):
        api.rent(100, catalog_product_id=110)
    numbers = [
        o["phone_number"]
        for offset in range(0, 1000, 100)
        for o in api.get("/orders", limit=100, offset=offset)
    ]
    assert len(set(numbers)) == 1000


def test_the_sandbox_says_what_it_holds() -> None:
    assert repr(Sandbox(balance=5)) == "<Sandbox 0 orders, balance 5 IDR>"


def test_a_least_price_may_be_null() -> None:
    assert Api("v1").rent(catalog_product_id=87, min_price=None)
