"""The versions of the API are told apart in one table, and nowhere else in the core."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any, get_args

import pytest

from smscode import InvalidArgumentError, Money, calls
from smscode.core import settings
from smscode.core.api.prices import PriceLimit, needs_rate
from smscode.core.decoding.columns import columns
from smscode.core.decoding.converter import structure
from smscode.core.product_search import ProductFilter
from smscode.core.versions import VERSIONS, ApiVersion, check_version
from smscode.models import Product

CORE = sorted(Path(settings.__file__).parent.rglob("*.py"))
THIRD: Any = "v3"


def test_every_version_is_in_the_table() -> None:
    assert tuple(VERSIONS) == get_args(ApiVersion)


def test_each_version_has_its_own_paths_currency_and_amounts() -> None:
    v1, v2 = VERSIONS["v1"], VERSIONS["v2"]
    assert (v1.prefix, v1.currency, v1.money_parts) == ("/v1", "IDR", {})
    assert (v2.prefix, v2.currency) == ("/v2", "USD")
    assert v1.write(PriceLimit("max_price", 15_000), None) == 15_000
    assert v2.write(PriceLimit("max_price", "0.50"), None) == "0.50"
    assert v2.money_parts == {
        "amount": str,
        "currency": str,
        "canonical_amount": int,
        "canonical_currency": str,
    }


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.stem)
def test_no_module_of_the_core_compares_with_a_version(path: Path) -> None:
    compared = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Compare | ast.MatchValue)
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and part.value in VERSIONS
    ]
    assert compared == [], f"{path.name}: give the version a field in VERSIONS instead"


def test_a_version_that_is_not_in_the_table_is_never_taken_for_another_one() -> None:
    for use in (
        lambda: calls.catalog.countries().request(THIRD),
        lambda: calls.orders.create(product_id=1, max_price=5).request(THIRD),
        lambda: structure(THIRD, 5, Money, "$"),
        lambda: columns(THIRD, Product),
        lambda: needs_rate(THIRD, Money.idr(1)),
        lambda: ProductFilter.of(THIRD, 5, True),
    ):
        with pytest.raises(KeyError, match="v3"):
            use()
    with pytest.raises(InvalidArgumentError, match=r"^version: expected 'v1' or 'v2'\.$"):
        check_version("version", THIRD)
