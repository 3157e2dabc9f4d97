"""The state machine by itself, where HTTP cannot show it."""

from __future__ import annotations

from datetime import timedelta

from smscode.models import RoutingPolicy
from smscode.sandbox.service.catalog import Catalog, CatalogCountry, CatalogService, Provider, Tier
from smscode.sandbox.service.catalogue_data import ALPHA, BETA, GAMMA
from smscode.sandbox.service.order_book import Rules
from smscode.sandbox.service.purchases import OrderRequest, rank
from smscode.sandbox.service.world import World

from .harness import START

COUNTRY = CatalogCountry(1, "XX", "Nowhere", "+999", "", "5", 1)
SERVICE = CatalogService(1, "sv", "Service")
RULES = Rules(otp_after=2, lifetime=1200, cancel_after=120, resend_cooldown=30)


def tier(number: int, provider: Provider = ALPHA, price: int = 100) -> Tier:
    return Tier(number, 1, COUNTRY, SERVICE, provider, None, price, 100)


def world(*tiers: Tier) -> World:
    return World(RULES, Catalog([COUNTRY], [SERVICE], tiers), balance=10_000, rate=None, now=START)


def test_a_number_is_never_given_twice() -> None:
    # The country has ten numbers, so that chance alone would give some of them twice.
    service = world(tier(1))
    service.buy(OrderRequest(product_id=1, quantity=10), START)
    assert len({order.phone_number for order in service.newest()}) == 10


def test_the_next_thing_due_is_an_sms_then_the_end_then_nothing() -> None:
    service = world(tier(1))
    assert service.next_due() is None
    service.buy(OrderRequest(product_id=1), START)
    assert service.next_due() == START + timedelta(seconds=2)
    service.settle(START + timedelta(seconds=2))
    assert service.next_due() == START + timedelta(seconds=1200)
    service.finish(1001, START + timedelta(seconds=3))
    assert service.next_due() is None


def test_what_was_due_for_an_ended_order_does_not_happen() -> None:
    service = world(tier(1))
    service.buy(OrderRequest(product_id=1), START)
    service.receive_sms(service.order(1001), START)
    service.finish(1001, START)
    service.settle(START + timedelta(seconds=5000))
    assert service.order(1001).sms_revision == 1
    assert service.ledger.balance == 9_900


def test_a_provider_with_too_few_orders_ranks_in_the_middle() -> None:
    unknown = Provider("unknown")
    poor = Provider("poor")
    steps = {"poor": 4, "alpha": 6, "beta": 9, "gamma": 9}
    offers = [tier(1, poor), tier(2, unknown), tier(3, ALPHA), tier(4, GAMMA, 200), tier(5, BETA)]
    ranked = rank(offers, OrderRequest(catalog_product_id=1, policy=RoutingPolicy.BEST_SUCCESS), steps)
    assert [offer.id for offer in ranked] == [5, 4, 3, 2, 1]
