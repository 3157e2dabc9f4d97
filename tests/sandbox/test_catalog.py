"""Countries, services, operators, products, the exchange rate and the balance."""

from __future__ import annotations

from typing import Any

import pytest

from .harness import Api, refusal, wrong_fields

WHATSAPP_INDONESIA = {"country_id": 6, "platform_id": 3}


def test_indonesia_is_country_6(api: Api) -> None:
    countries = {country["id"]: country for country in api.get("/catalog/countries")}
    assert len(countries) == 6
    assert countries[6] == {
        "id": 6,
        "code": "id",
        "name": "Indonesia",
        "dial_code": "62",
        "emoji": "🇮🇩",
        "active": True,
    }


def test_services_can_be_those_with_stock_in_a_country(api: Api) -> None:
    everything = api.get("/catalog/services")
    assert {"id": 3, "code": "whatsapp", "name": "WhatsApp", "active": True} in everything
    assert len(everything) == len(api.get("/catalog/services", country_id=6)) == 6
    brazil = {service["name"] for service in api.get("/catalog/services", country_id=73)}
    assert "Instagram" not in brazil  # sold out
    assert "TikTok" in brazil
    assert api.get("/catalog/services", country_id=999) == []
    assert wrong_fields(api.refused("GET", "/catalog/services", country_id="six")) == {"country_id"}


def test_operators_start_with_any_where_that_has_stock(api: Api) -> None:
    operators = api.get("/catalog/operators", **WHATSAPP_INDONESIA)
    assert operators == [
        {"operator_id": None, "code": "any", "name": "Any", "local_name": None},
        {"operator_id": 1, "code": "telkomsel", "name": "Telkomsel", "local_name": None},
        {"operator_id": 2, "code": "indosat", "name": "Indosat", "local_name": None},
    ]
    assert [row["code"] for row in api.get("/catalog/operators", country_id=73, platform_id=8)] == ["vivo"]
    assert api.get("/catalog/operators", country_id=4, platform_id=3) == []  # no choice
    assert api.get("/catalog/operators", country_id=999, platform_id=3) == []
    assert wrong_fields(api.refused("GET", "/catalog/operators", country_id=6)) == {"platform_id"}
    assert wrong_fields(api.refused("GET", "/catalog/operators")) == {"country_id", "platform_id"}


def test_product_142_is_whatsapp_in_indonesia() -> None:
    (first, *others) = Api("v1").get("/catalog/products", **WHATSAPP_INDONESIA)
    assert first == {
        "id": 142,
        "name": "WhatsApp - Indonesia",
        "country_id": 6,
        "platform_id": 3,
        "catalog_product_id": 87,
        "available": 50_000,
        "price": 15_000,
        "active": True,
        "operator_id": None,
        "operator_name": None,
    }
    assert {product["catalog_product_id"] for product in others} == {87}
    v2 = Api("v2").get("/catalog/products", **WHATSAPP_INDONESIA)[0]
    assert v2["price"] == {
        "amount": "0.9231",
        "currency": "USD",
        "canonical_amount": 15_000,
        "canonical_currency": "IDR",
    }


def test_products_without_an_operator_are_those_of_any(api: Api) -> None:
    assert all(product["operator_id"] is None for product in api.get("/catalog/products"))
    (product,) = api.get("/catalog/products", operator_id=1, **WHATSAPP_INDONESIA)
    assert product["operator_name"] == "Telkomsel"
    assert api.get("/catalog/products", operator_id=18, **WHATSAPP_INDONESIA) == []


def test_products_are_sorted_as_asked() -> None:
    api = Api()

    def column(name: str, sort: str) -> list[Any]:
        return [product[name] for product in api.get("/catalog/products", sort=sort)]

    for sort, name in (("price", "price"), ("available", "available"), ("name", "name")):
        ascending = column(name, f"{sort}_asc")
        assert ascending == sorted(ascending)
        assert column(name, f"{sort}_desc") == ascending[::-1]
    assert column("id", "by_color") == column("id", "price_asc") == column("id", "")
    assert column("price", "name_desc") != column("price", "name_asc")


def test_products_come_in_pages(api: Api) -> None:
    everything = [product["id"] for product in api.get("/catalog/products")]
    paged: list[int] = []
    for page in range(1, 100):
        envelope = api.send("GET", "/catalog/products", params={"page": page, "limit": 7}).json()
        meta = envelope["meta"]
        assert (meta["page"], meta["limit"], meta["count"]) == (page, 7, len(envelope["data"]))
        paged += [product["id"] for product in envelope["data"]]
        if meta["count"] < 7:
            break
    assert paged == everything
    assert api.get("/catalog/products", page=1000) == []


@pytest.mark.parametrize(
    ("asked", "used"),
    [
        ({}, (1, 1000)),
        ({"limit": 0, "page": 0}, (1, 1)),
        ({"limit": -5, "page": -5}, (1, 1)),
        ({"limit": -(2**63), "page": -(2**63)}, (1, 1)),
        ({"limit": 10_001}, (1, 10_000)),
    ],
)
def test_page_and_limit_are_moved_into_their_range(asked: dict[str, int], used: tuple[int, int]) -> None:
    meta = Api().send("GET", "/catalog/products", params=asked).json()["meta"]
    assert (meta["page"], meta["limit"]) == used


@pytest.mark.parametrize("name", ["country_id", "platform_id", "operator_id", "limit", "page"])
@pytest.mark.parametrize("value", ["", "x", "1.0", "9" * 20])
def test_numbers_in_the_query_must_be_integers(name: str, value: str) -> None:
    assert wrong_fields(Api().refused("GET", "/catalog/products", **{name: value})) == {name}


def test_v1_knows_one_pair_of_currencies() -> None:
    api = Api("v1")
    rate = {"pair": "USD/IDR", "base_currency": "USD", "quote_currency": "IDR", "rate": 16_250}
    assert api.get("/catalog/exchange-rate") == rate
    assert api.get("/catalog/exchange-rate", pair="USD/IDR") == rate
    assert api.refused("GET", "/catalog/exchange-rate", pair="EUR/IDR")[:2] == (404, "NOT_FOUND")
    api.sandbox.set_rate(None)
    assert api.refused("GET", "/catalog/exchange-rate")[:2] == (404, "NOT_FOUND")


def test_v2_ignores_the_pair() -> None:
    api = Api("v2")
    api.sandbox.advance(60)
    api.sandbox.set_rate(17_970)
    assert api.get("/catalog/exchange-rate", pair="EUR/IDR") == {
        "pair": "USD/IDR",
        "rate": 17_970,
        "rate_as_of": "2026-06-14T04:01:12+00:00",
    }


def test_the_balance_has_two_decimals_in_v2() -> None:
    assert Api("v1", balance=515_000).get("/balance") == {"currency": "IDR", "balance": 515_000}
    assert Api("v2", balance=515_000).get("/balance") == {
        "balance": {
            "amount": "31.69",
            "currency": "USD",
            "canonical_amount": 515_000,
            "canonical_currency": "IDR",
        }
    }
    assert Api("v2", balance=1).get("/balance")["balance"]["amount"] == "0.01"
    assert Api("v2", balance=0).get("/balance")["balance"]["amount"] == "0.00"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/catalog/products"),
        ("GET", "/catalog/exchange-rate"),
        ("GET", "/balance"),
        ("GET", "/orders"),
        ("GET", "/orders/1001"),
        ("POST", "/orders/create"),
        ("POST", "/orders/cancel"),
        ("POST", "/orders/reactivate"),
        ("GET", "/orders/1001/reactivate-options"),
    ],
)
def test_v2_states_no_money_without_a_rate(method: str, path: str) -> None:
    api = Api("v2")
    (order_id,) = api.rent()
    api.sandbox.advance(300)
    api.sandbox.set_rate(None)
    before = api.sandbox.ledger
    response = api.send(method, path, json={"id": order_id} if method == "POST" else None)
    assert refusal(response)[:2] == (503, "FX_RATE_UNAVAILABLE")
    assert response.headers["retry-after"] == "30"
    assert api.sandbox.ledger == before


def test_what_states_no_money_needs_no_rate() -> None:
    v1, v2 = Api("v1", rate=None), Api("v2", rate=None)
    assert v1.rent() == [1001]
    for path in ("/catalog/countries", "/catalog/services", "/orders/active", "/webhook"):
        assert v2.send("GET", path).status_code == 200
