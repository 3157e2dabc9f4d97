"""The arguments of `orders.obtain`: what is refused, what they mean, what a purchase is sent as."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve, frozen

from smscode import ConfigurationError, Country, FxRate, InvalidArgumentError, Money, Operator, Service
from smscode.core.api.prices import PriceLimit
from smscode.core.obtain_plan import ObtainPlan, Search, best_first
from smscode.core.offers import Offer
from smscode.core.product_search import NameOrId
from smscode.core.versions import ApiVersion

from .test_obtain_machine import GIVEN

HALF = Money(Decimal("0.5000"), "USD", 8_125)
CAPPED = Offer(catalog_product_id=2, max_price="0.50")
OPEN = Offer(catalog_product_id=3)
NOT_NONE = "{}: expected at least one, none of them None; omit it for any."
WA: dict[str, Any] = {"service": "wa", "budget": "1"}


def plan(version: ApiVersion = "v2", stored: bool = False, **given: Any) -> ObtainPlan:
    return ObtainPlan.of(version, stored=stored, **GIVEN | given)


def test_every_argument_is_in_the_plan() -> None:
    found = plan(
        "v1",
        stored=True,
        service="whatsapp",
        country=["ID", 6],
        operator=(31, "vivo"),
        max_price=[8_000, 9_000],
        tries=4,
        wait=60,
        resend_after=30,
        budget=20_000,
        timeout=900,
        release_timeout=5,
        pattern=r"\d+",
        keep=True,
        prefer="success",
        idempotency_key="sale",
    )
    assert found == ObtainPlan(
        version="v1",
        offers=(),
        search=Search(
            NameOrId("service", text="whatsapp"),
            (NameOrId("country", text="ID"), NameOrId("country", 6)),
            (NameOrId("operator", 31), NameOrId("operator", text="vivo")),
        ),
        ladder=(PriceLimit("max_price", 8_000), PriceLimit("max_price", 9_000)),
        tries=4,
        wait=60.0,
        resend_after=30.0,
        budget=PriceLimit("budget", 20_000),
        timeout=900.0,
        release_timeout=5.0,
        pattern=re.compile(r"\d+"),
        keep=True,
        by_success=True,
        key="sale",
        stored=True,
    )


def test_what_is_not_given_does_not_limit() -> None:
    found = plan(offers=[CAPPED])
    assert (found.offers, found.search, found.ladder, found.budget) == ((CAPPED,), None, (None,), None)
    assert (found.timeout, found.resend_after, found.by_success, found.key) == (math.inf, None, False, None)
    assert [found.key_of(1), evolve(found, key="sale").key_of(2)] == [None, "sale-2"]
    assert plan(**WA).search == Search(
        NameOrId("service", text="wa"), (NameOrId("country"),), (NameOrId("operator"),)
    )


@pytest.mark.parametrize(
    "given",
    [
        WA | {"tries": 1},
        WA | {"tries": 100},
        WA | {"wait": 0.1},
        WA | {"wait": 1_200},
        WA | {"release_timeout": 0},
        WA | {"release_timeout": math.inf},
        WA | {"country": [None]},
        WA | {"country": Country(6, "Indonesia", True), "operator": Operator(31, "vivo", "Vivo")},
        WA | {"service": Service(3, "wa", "WhatsApp", True)},
        WA | {"idempotency_key": "x" * 122, "stored": True},
        {"service": "wa", "max_price": "0.50"},
        {"service": "wa", "max_price": ["0.50", Decimal("0.50"), "0.60"]},
        {"service": "wa", "max_price": [HALF, HALF]},
        {"service": "wa", "max_price": Money.idr(8_000), "budget": "0.10"},
        {"service": "wa", "max_price": ["0.50", "0.90"], "budget": "0.50"},
        {"offers": [CAPPED] * 1_000},
        {"offers": (CAPPED, OPEN), "max_price": "0.50"},
        {"offers": iter([CAPPED])},
        {"offers": [CAPPED], "budget": "0.50"},
        {"offers": [CAPPED], "budget": Money.idr(1)},
        {"offers": [CAPPED, Offer(product_id=1, max_price="2")], "budget": "1"},
        {"offers": [CAPPED], "idempotency_key": "sale"},
        {"offers": [Offer(product_id=1, max_price=Money.idr(1))], "idempotency_key": "sale", "stored": True},
    ],
)
def test_what_can_be_meant_is_taken(given: dict[str, Any]) -> None:
    assert plan(**given)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "service, offers: give one, to say what to buy."),
    ({"country": "ID", "budget": "1"}, "service, offers: give one, to say what to buy."),
    ({"offers": [CAPPED], "service": "wa"}, "offers, service: expected only one of them."),
    ({"offers": [CAPPED], "country": "ID"}, "offers, country: expected only one of them."),
    ({"offers": [CAPPED], "operator": 31}, "offers, operator: expected only one of them."),
    ({"offers": CAPPED}, "offers: expected a list or tuple, got Offer."),
    ({"offers": "wa"}, "offers: expected a list or tuple, got str."),
    ({"offers": [87]}, "offers: expected a smscode.Offer, got 87."),
    ({"offers": []}, "offers: expected 1..1000 offers, got 0."),
    ({"offers": [CAPPED] * 1_001}, "offers: expected 1..1000 offers, got 1001."),
    ({"offers": [CAPPED, OPEN]}, "offers: give each offer a max_price, or give max_price."),
    ({"offers": [OPEN], "budget": "1"}, "offers: give each offer a max_price, or give max_price."),
    (
        {"offers": [OPEN]},
        "budget, max_price: give at least one, so that it is known what a code may cost.",
    ),
    (
        {"service": "wa"},
        "budget, max_price: give at least one, so that it is known what a code may cost.",
    ),
    (
        {"offers": [CAPPED], "prefer": "success"},
        "prefer, offers: given offers are tried in their order.",
    ),
    (WA | {"prefer": "luck"}, "prefer: expected 'price' or 'success'."),
    (WA | {"keep": 1}, "keep: expected True or False, got 1."),
    (WA | {"tries": 0}, "tries: expected an int of 1..100, got 0."),
    (WA | {"tries": 101}, "tries: expected an int of 1..100, got 101."),
    (WA | {"wait": 0}, "wait: expected a number of seconds above 0, got 0."),
    (WA | {"wait": 1_201}, "wait: expected at most 1200 seconds, after which an order has ended."),
    (WA | {"resend_after": 0}, "resend_after: expected a number of seconds above 0, got 0."),
    (WA | {"timeout": 0}, "timeout: expected a number of seconds above 0, got 0."),
    (
        WA | {"release_timeout": -1},
        "release_timeout: expected a number of seconds above 0 (or 0 to check once), got -1.",
    ),
    (WA | {"service": 0}, "service: expected a positive int of at most 9223372036854775807, got 0."),
    (WA | {"country": [0]}, "country: expected a positive int of at most 9223372036854775807, got 0."),
    (WA | {"operator": 0}, "operator: expected a positive int of at most 9223372036854775807, got 0."),
    (WA | {"country": []}, NOT_NONE.format("country")),
    (
        WA | {"country": ["ID", None]},
        NOT_NONE.format("country"),
    ),
    (WA | {"operator": ()}, NOT_NONE.format("operator")),
    (
        WA | {"idempotency_key": "x" * 123, "stored": True},
        "idempotency_key: expected 1..122 characters, to number them.",
    ),
    ({"service": "wa", "max_price": []}, "max_price: expected at least one price."),
    (
        {"service": "wa", "max_price": ["0.50", "0.90", "0.60"]},
        "max_price: each price has to be at least the one before.",
    ),
    (
        {"service": "wa", "max_price": [Money.idr(9_000), Money.idr(8_000)]},
        "max_price: each price has to be at least the one before.",
    ),
    (
        {"service": "wa", "max_price": ["0.50", Money.idr(20_000)]},
        "max_price: give all prices of the ladder in the same currency.",
    ),
    (
        {"service": "wa", "max_price": ["0.60", "0.90"], "budget": "0.50"},
        "budget: below what the cheapest number may cost.",
    ),
    (
        {"service": "wa", "max_price": Money.idr(9_000), "budget": Money.idr(8_999)},
        "budget: below what the cheapest number may cost.",
    ),
    ({"offers": [CAPPED], "budget": "0.49"}, "budget: below what the cheapest number may cost."),
]


@pytest.mark.parametrize(("given", "message"), WRONG)
def test_a_wrong_argument_is_refused_with_its_name(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        plan(**given)
    assert str(refused.value) == message


def test_rupiah_are_compared_however_they_are_given() -> None:
    ladder = [8_000, Money.idr(8_000), 9_000]
    assert len(plan("v1", service="wa", max_price=ladder, budget=Money.idr(8_000)).ladder) == 3
    with pytest.raises(InvalidArgumentError, match="each price has to be at least the one before"):
        plan("v1", service="wa", max_price=[9_000, Money.idr(8_000)])
    with pytest.raises(InvalidArgumentError, match="budget: below what the cheapest number may cost"):
        plan("v1", service="wa", max_price=ladder, budget=Money.idr(7_999))


@pytest.mark.parametrize(
    ("version", "given", "name"),
    [
        ("v2", {"service": "wa", "budget": 2}, "budget"),
        ("v2", {"service": "wa", "budget": "x"}, "budget"),
        ("v2", {"service": "wa", "max_price": 9_000}, "max_price"),
        ("v2", {"service": "wa", "max_price": [True]}, "max_price"),
        ("v2", {"offers": [Offer(product_id=1, max_price=9_000)]}, "max_price"),
        ("v1", {"offers": [CAPPED]}, "max_price"),
        ("v1", {"offers": [OPEN], "max_price": "0.50"}, "max_price"),
        ("v1", {"service": "wa", "budget": "0.50"}, "budget"),
    ],
)
def test_a_limit_in_the_currency_of_the_other_version_is_refused(
    version: ApiVersion, given: dict[str, Any], name: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=rf"\A{name}: "):
        plan(version, **given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (WA, "idempotency_key: give the client a journal, or give offers= with max_price: otherwise"),
        (
            {"offers": [Offer(product_id=1, max_price=Money.idr(1))]},
            "idempotency_key: without a journal, prices have to be in the currency of this version.",
        ),
        (
            {"offers": [CAPPED], "max_price": Money.idr(9_000)},
            "idempotency_key: without a journal, prices have to be in the currency of this version.",
        ),
    ],
)
def test_a_key_needs_a_journal_unless_the_same_bytes_can_be_sent_again(
    given: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        plan(**given, idempotency_key="sale")
    assert plan(**given, idempotency_key="sale", stored=True)


# -- what they mean --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offer", "given", "fields"),
    [
        (CAPPED, {}, {"catalog_product_id": 2, "max_price": "0.50"}),
        (Offer(product_id=7, max_price="0.50"), {}, {"product_id": 7, "max_price": "0.50"}),
        (
            Offer(catalog_product_id=2, operator_id=31, max_price="0.50"),
            {},
            {"catalog_product_id": 2, "operator_id": 31, "max_price": "0.50"},
        ),
        (
            Offer(catalog_product_id=2, max_price=HALF),
            {},
            {"catalog_product_id": 2, "max_price": "0.4063"},
        ),
        (
            Offer(catalog_product_id=2, max_price=HALF),
            {"idempotency_key": "sale", "stored": True},
            {"catalog_product_id": 2, "max_price": "0.4063"},
        ),
        (
            Offer(catalog_product_id=2, max_price=HALF),
            {"idempotency_key": "sale"},
            {"catalog_product_id": 2, "max_price": "0.5001"},
        ),
    ],
)
def test_a_purchase_is_sent_at_the_rate_unless_its_key_is_all_that_is_known_of_it(
    offer: Offer, given: dict[str, Any], fields: dict[str, Any]
) -> None:
    found = plan(offers=[offer], **given)
    ((_, limit),) = found.positions(0)
    intent = found.intent(offer, limit, "key-1", FxRate("USD/IDR", 20_000))
    assert intent.fields == fields | {"quantity": 1}
    assert (intent.idempotency_key, intent.version) == ("key-1", "v2")


def test_an_offer_without_a_limit_has_that_of_each_step() -> None:
    found = plan(offers=[CAPPED, OPEN], max_price=["0.60", "0.90"])
    assert [
        [(offer, limit.name, limit.value) for offer, limit in found.positions(step)] for step in (0, 1)
    ] == [
        [(CAPPED, "max_price", "0.50"), (OPEN, "max_price", "0.60")],
        [(CAPPED, "max_price", "0.50"), (OPEN, "max_price", "0.90")],
    ]


@pytest.mark.parametrize(
    ("version", "rupiah", "fx", "text"),
    [
        ("v1", 0, None, "Rp 0"),
        ("v1", 8_125, FxRate("USD/IDR", 16_250), "Rp 8,125"),
        ("v2", 0, None, "$0.0000"),
        ("v2", 8_125, None, "Rp 8,125"),
        ("v2", 8_125, FxRate("USD/IDR", 16_250), "$0.5000"),
        ("v2", 8_126, FxRate("USD/IDR", 16_250), "$0.5001"),
    ],
)
def test_money_is_stated_as_the_version_states_it(
    version: ApiVersion, rupiah: int, fx: FxRate | None, text: str
) -> None:
    money = plan(version, offers=[Offer(product_id=1, max_price=Money.idr(1))]).money(rupiah, fx)
    assert (str(money), money.canonical_amount) == (text, rupiah)


@frozen
class Figures:
    catalog_product_id: int | None
    product_id: int | None
    success_low: float | None


def test_offers_that_gave_codes_come_first_and_unknown_ones_last() -> None:
    offers = [Offer(catalog_product_id=one) for one in (1, 2, 3, 4)] + [Offer(product_id=2)]
    figures = [Figures(2, None, 0.4), Figures(None, 2, 0.7), Figures(4, None, None), Figures(None, 1, 0.9)]
    assert best_first(offers, figures) == (offers[4], offers[1], offers[0], offers[2], offers[3])
    assert best_first(offers, []) == tuple(offers)
