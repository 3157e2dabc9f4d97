"""Purchases by name: what is bought of what was found, and under a key that is known."""

from __future__ import annotations

import pytest
from attrs import evolve

from smscode import InvalidArgumentError, Money, NoOfferAvailableError, OrderIntent, Product, calls
from smscode.core.api.orders import PurchaseArguments
from smscode.core.api.prices import PriceLimit
from smscode.core.purchase_arguments import purchase_of, same_again, search_for

PRICE = Money.idr(15_000)
TIER = Product(5, 3, PRICE, True, operator_id=2)
STABLE = evolve(TIER, catalog_product_id=87)
OTHER = Product(6, 9, Money.idr(20_000), True, catalog_product_id=88, operator_id=3)
WISH = PurchaseArguments(service="whatsapp", country="id", operator="telkomsel")


@pytest.mark.parametrize(
    ("wish", "product", "fields"),
    [
        (WISH, STABLE, {"catalog_product_id": 87, "operator_id": 2, "max_price": PRICE}),
        (WISH, evolve(STABLE, operator_id=None), {"catalog_product_id": 87, "max_price": PRICE}),
        (WISH, TIER, {"product_id": 5, "max_price": PRICE}),
        (
            evolve(WISH, max_price="1.00", min_price="0.50", policy="cheapest", prefer_provider="p1"),
            STABLE,
            {
                "catalog_product_id": 87,
                "operator_id": 2,
                "max_price": "1.00",
                "min_price": "0.50",
                "policy": "cheapest",
                "prefer_provider": "p1",
            },
        ),
    ],
)
def test_the_first_product_that_was_found_is_bought_for_at_most_its_price_unless_a_limit_is_given(
    wish: PurchaseArguments, product: Product, fields: dict[str, object]
) -> None:
    call = purchase_of(wish, [product, OTHER]).call(quantity=2)
    assert call.fields is not None
    said = {
        name: value.value if isinstance(value, PriceLimit) else value for name, value in call.fields.items()
    }
    assert said == {"quantity": 2, **fields}


def test_nothing_that_was_found_is_a_refusal() -> None:
    with pytest.raises(NoOfferAvailableError, match="so nothing was ordered"):
        purchase_of(WISH, [])


def test_a_search_has_the_names_and_the_price_limits() -> None:
    names, product_filter = search_for(evolve(WISH, max_price="1.00", min_price="0.50"), "v2", 100)
    assert (names.service.text, names.country.text) == ("whatsapp", "id")
    assert [operator.text for operator in names.operators] == ["telkomsel"]
    assert product_filter.max_price == PriceLimit("max_price", "1.00")
    assert product_filter.min_price == PriceLimit("min_price", "0.50")
    assert product_filter.in_stock
    with pytest.raises(InvalidArgumentError, match="quantity: expected"):
        search_for(WISH, "v2", 101)


def bought(key: str, quantity: int) -> OrderIntent:
    call = calls.orders.create(
        catalog_product_id=87, quantity=quantity, max_price="1.00", idempotency_key=key
    )
    return OrderIntent.of(call, "v2")


def test_a_purchase_that_was_stored_is_sent_again_under_its_key() -> None:
    stored = bought("sale-1", 3)
    assert same_again(stored, 3, "sale-1", "v2") is stored
    with pytest.raises(InvalidArgumentError, match="used for another purchase"):
        same_again(stored, 4, "sale-1", "v2")


@pytest.mark.parametrize("quantity", [3, 4])
def test_a_new_key_beside_a_stored_purchase_buys_the_same_in_its_own_quantity(quantity: int) -> None:
    assert same_again(bought("sale-1", 3), quantity, "sale-2", "v2") == bought("sale-2", quantity)


@pytest.mark.parametrize("key", ["again", "another"])
def test_a_stored_reactivation_is_no_purchase_by_name(key: str) -> None:
    stored = OrderIntent.of(calls.orders.reactivate(1001, idempotency_key="again"), "v2")
    with pytest.raises(InvalidArgumentError, match="used for another purchase"):
        same_again(stored, 1, key, "v2")
