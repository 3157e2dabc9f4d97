"""Dead numbers, late codes, prices that move and stock that runs out: by chance, and the same for a seed."""

from __future__ import annotations

from typing import Any

import pytest

from smscode.errors import InvalidArgumentError
from smscode.sandbox import Sandbox

from .harness import Api

CREATE = "/orders/create"


def prices(api: Api) -> dict[int, int]:
    return {product["id"]: product["price"] for product in api.get("/catalog/products", limit=1000)}


def stock(api: Api, product_id: int = 142) -> int | None:
    """Return what the catalogue shows of a product, None if it does not show it."""
    products = api.get("/catalog/products", limit=1000)
    return next((one["available"] for one in products if one["id"] == product_id), None)


def statuses(scenario: str, *, seed: int = 0, numbers: int = 200) -> list[str]:
    """Return the status of orders after the usual two seconds."""
    api = Api(seed=seed, balance=10_000_000)
    api.sandbox.play(scenario)
    for _ in range(numbers // 100):
        api.rent(100)
    api.sandbox.advance(2)
    return [order["status"] for order in api.get("/orders", limit=100, offset=0)] + [
        order["status"] for order in api.get("/orders", limit=100, offset=100)
    ]


# -- numbers -------------------------------------------------------------------------------------


def test_about_so_many_numbers_are_dead() -> None:
    found = statuses("dead_numbers(0.3)")
    assert 40 <= found.count("ACTIVE") <= 80
    assert found.count("ACTIVE") + found.count("OTP_RECEIVED") == 200
    assert set(statuses("dead_numbers(0)")) == {"OTP_RECEIVED"}
    assert set(statuses("dead_numbers(1)")) == {"ACTIVE"}


def test_the_same_seed_has_the_same_dead_numbers() -> None:
    assert statuses("dead_numbers(0.5)", seed=7) == statuses("dead_numbers(0.5)", seed=7)
    assert statuses("dead_numbers(0.5)", seed=7) != statuses("dead_numbers(0.5)", seed=8)


def test_a_dead_number_stays_dead_and_is_refunded() -> None:
    api = Api()
    api.sandbox.play("dead_numbers(1)")
    (order_id,) = api.rent()
    api.sandbox.advance(1200)
    assert (api.order(order_id)["status"], api.sandbox.balance) == ("EXPIRED", 1_000_000)


def test_a_late_code_comes_late_and_the_others_as_usual() -> None:
    found = statuses("late_code(150, 0.5)")
    assert 70 <= found.count("ACTIVE") <= 130
    api = Api()
    api.sandbox.play("late_code(150, 1)")
    (order_id,) = api.rent()
    api.sandbox.advance(149)
    assert api.order(order_id)["status"] == "ACTIVE"
    api.sandbox.advance(1)
    assert api.order(order_id)["status"] == "OTP_RECEIVED"


@pytest.mark.parametrize("scenario", ["dead_numbers(1)", "late_code(150, 1)"])
def test_an_order_can_become_dead_or_late_later(scenario: str) -> None:
    api = Api()
    (order_id,) = api.rent()
    api.sandbox.play(scenario, order_id=order_id)
    api.sandbox.advance(2)
    assert api.order(order_id)["status"] == "ACTIVE"


# -- prices --------------------------------------------------------------------------------------


def test_prices_move_within_their_limits_and_come_back() -> None:
    api = Api()
    usual = prices(api)
    api.sandbox.play("prices_move(20, 60)")
    first = prices(api)
    assert first == prices(api)
    assert first != usual
    assert all(0.79 <= price / usual[id_] <= 1.21 for id_, price in first.items())
    api.sandbox.advance(60)
    assert prices(api) not in (first, usual)
    api.sandbox.clear_scenarios()
    assert prices(api) == usual


def test_the_same_seed_moves_prices_in_the_same_way() -> None:
    def moved(seed: int) -> dict[int, int]:
        api = Api(seed=seed)
        api.sandbox.advance(1234)
        api.sandbox.play("prices_move")
        api.sandbox.advance(600)
        return prices(api)

    assert moved(3) == moved(3)
    assert moved(3) != moved(4)


def test_a_purchase_costs_what_the_catalogue_shows_and_a_cap_holds() -> None:
    api = Api()
    api.sandbox.play("prices_move(50, 60)")
    shown = min(prices(api)[id_] for id_ in (142, 143, 144))
    (order,) = api.post(CREATE, catalog_product_id=87, max_price=shown)["orders"]
    assert order["amount"] == shown
    refused = api.refused("POST", CREATE, catalog_product_id=87, max_price=shown - 1)
    assert refused[1] == "NO_OFFER_AVAILABLE"
    assert api.sandbox.audit().discrepancies == ()


def test_prices_can_move_between_the_catalogue_and_the_purchase() -> None:
    api = Api()
    api.sandbox.play("prices_move(50, 60)", operation="orders.create")
    shown = prices(api)[142]
    (order,) = api.post(CREATE, product_id=142)["orders"]
    assert (shown, order["amount"] != shown) == (15_000, True)


def test_a_price_never_becomes_nothing() -> None:
    api = Api()
    api.sandbox.play("prices_move(1000, 0)")
    assert min(prices(api).values()) == 1


# -- stock ---------------------------------------------------------------------------------------


def test_stock_runs_out_and_does_not_come_back() -> None:
    api = Api(cancel_after=0, otp_after=None)
    api.sandbox.play("stock_runs_out(2)", product_id=142)
    assert stock(api) == 2
    first, _ = api.rent(2)
    assert stock(api) is None
    assert api.refused("POST", CREATE, product_id=142)[1] == "PROVIDER_ERROR"
    api.post("/orders/cancel", id=first)
    assert stock(api) is None
    api.sandbox.clear_scenarios()
    assert stock(api) is None
    assert stock(api, 143) == 2_500


def test_numbers_that_were_sold_before_come_back_up_to_what_is_left() -> None:
    api = Api(cancel_after=0, otp_after=None)
    (order_id,) = api.rent()
    api.sandbox.play("stock_runs_out(1)", product_id=142)
    api.rent()
    api.post("/orders/cancel", id=order_id)
    assert stock(api) == 1


def test_the_narrower_choice_counts_and_usual_ends_the_wider_ones() -> None:
    api = Api()
    usual = prices(api)
    api.sandbox.play("prices_move")
    api.sandbox.play("usual", catalog_product_id=87)
    found = prices(api)
    assert found[142] == usual[142]
    assert found != usual
    api.sandbox.play("stock_runs_out(5)", product_id=142)
    assert (stock(api), prices(api)[142]) == (5, usual[142])


def test_a_header_changes_the_market_for_one_request() -> None:
    api = Api()
    moved = {"x-sandbox-scenario": "prices_move(50)"}
    response = api.send("GET", "/catalog/products", params={"limit": 1000}, headers=moved)
    assert {one["id"]: one["price"] for one in response.json()["data"]} != prices(api)
    assert prices(api)[142] == 15_000


@pytest.mark.parametrize(("target", "name"), [({"order_id": 1001}, "order_id"), ({"times": 2}, "times")])
def test_the_market_is_no_matter_of_an_order_or_of_single_requests(target: dict[str, Any], name: str) -> None:
    api = Api()
    api.rent()
    with pytest.raises(InvalidArgumentError, match=f"^{name}: prices_move.* applies to products"):
        api.sandbox.play("prices_move", **target)


def test_the_market_goes_on_in_a_file(tmp_path: Any) -> None:
    def opened() -> Sandbox:
        return Sandbox(state=tmp_path / "sandbox.json")

    with opened() as sandbox:
        sandbox.play("dead_numbers(1), stock_runs_out(1)", catalog_product_id=87)
    with opened() as sandbox:
        (choice,) = sandbox.transport().app.selection.all()
        assert [scenario.name for scenario in choice.scenarios] == ["dead_numbers(1)", "stock_runs_out(1)"]
