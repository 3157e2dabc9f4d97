"""Price limits: exact on the wire, unmistakable about their currency, and never narrower than meant."""

from __future__ import annotations

import json
import math
import re
import tracemalloc
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smscode import FxRate, InvalidArgumentError, Money, calls
from smscode.core.api.prices import Price, PriceLimit, needs_rate
from smscode.core.versions import ApiVersion

RATE = FxRate("USD/IDR", 17970)
SHOWN = Money(Decimal("0.0077"), "USD", 139, "IDR")


def body(version: ApiVersion, fx: FxRate | None = None, **limits: Price) -> dict[str, Any]:
    """Return the JSON body of a purchase with these limits."""
    call = calls.orders.create(catalog_product_id=87, fx=fx, **limits)  # type: ignore[arg-type]
    content = call.request(version).body
    assert content is not None
    return {name: value for name, value in json.loads(content).items() if name in limits}


@pytest.mark.parametrize(
    ("value", "fx", "wire"),
    [
        (20000, None, 20000),
        (2**63 - 1, None, 2**63 - 1),
        (Money.idr(15000), None, 15000),
        (SHOWN, None, 139),
        (SHOWN, RATE, 139),
    ],
)
def test_v1_states_whole_rupiah(value: Price, fx: FxRate | None, wire: int) -> None:
    for name in ("max_price", "min_price"):
        found = body("v1", fx, **{name: value})[name]
        assert type(found) is int
        assert found == wire


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        ("0.50", "0.50"),
        ("12", "12"),
        ("0.00000001", "0.00000001"),
        ("999999999999.99999999", "999999999999.99999999"),
        (Decimal("0.50"), "0.50"),
        (Decimal("1E+2"), "100"),
        (Decimal("1E-4"), "0.0001"),
    ],
)
def test_v2_states_dollars_in_a_plain_decimal_string(value: Price, wire: str) -> None:
    assert body("v2", max_price=value) == {"max_price": wire}
    assert body("v2", min_price=value) == {"min_price": wire}


def test_v2_widens_the_money_it_showed_so_that_it_stays_inside() -> None:
    assert body("v2", max_price=SHOWN, min_price=SHOWN) == {"max_price": "0.0078", "min_price": "0.0076"}
    assert body("v2", RATE, max_price=SHOWN, min_price=SHOWN) == {
        "max_price": "0.0078",
        "min_price": "0.0077",
    }


@given(st.integers(1, 10**12), st.integers(1, 10**6))
def test_v2_takes_rupiah_with_a_rate_and_is_exact_then(price: int, rate: int) -> None:
    fx = FxRate("USD/IDR", rate)
    found = body("v2", fx, max_price=Money.idr(price), min_price=Money.idr(price))
    assert Decimal(found["max_price"]) == fx.smallest_cap(price)
    assert Decimal(found["min_price"]) == fx.largest_floor(price)


@pytest.mark.parametrize("name", ["max_price", "min_price"])
@pytest.mark.parametrize(
    "value",
    [
        0.1,
        float("nan"),
        True,
        False,
        b"0.5",
        [1],
        object(),
        -1,
        2**63,
        10**5000,
        Money.idr(-1),
        Money.idr(2**63),
        Decimal("NaN"),
        Decimal("Infinity"),
        Decimal("-0"),
        Decimal("-1"),
        Decimal("1E-400"),
        Decimal("0.123456789012"),
        Decimal("1E+12"),
        "",
        "-1",
        "-0",
        "+1",
        "1e-400",
        "1e1",
        "1,5",
        "\uff11.\uff15",
        " 1",
        "1 ",
        "1\n",
        "1.",
        ".5",
        "$1",
        "nan",
        "1_0",
    ],
    ids=lambda value: repr(value).partition(" at ")[0][:24] if value != 10**5000 else "10**5000",
)
def test_what_is_no_exact_positive_price_is_refused(name: str, value: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=rf"\A{name}: expected"):
        calls.orders.create(catalog_product_id=87, **{name: value})


def test_a_number_too_long_to_write_out_is_refused_without_doing_so() -> None:
    tracemalloc.start()
    for value in (Decimal("1e-5000000"), Decimal("1e5000000")):
        with pytest.raises(InvalidArgumentError, match="max_price: expected"):
            body("v2", max_price=value)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1_000_000


@pytest.mark.parametrize(
    ("value", "hint"), [("1,5", "; write a point, not a comma."), ("1,5,5", "."), ("15 cents", ".")]
)
def test_the_error_for_a_text_says_to_write_a_point_only_where_a_comma_is_all_that_is_wrong(
    value: str, hint: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=rf"at most 8 digits after the point{re.escape(hint)}\Z"):
        calls.orders.create(catalog_product_id=87, max_price=value)


@pytest.mark.parametrize("value", [0, "0", "0.00", Decimal(0), Money.idr(0), Money.usd("0")])
def test_zero_is_a_floor_but_no_cap(value: Price) -> None:
    with pytest.raises(InvalidArgumentError, match="max_price: expected a positive price"):
        calls.orders.create(catalog_product_id=87, max_price=value)
    assert calls.orders.create(catalog_product_id=87, min_price=value).fields is not None


def test_a_bare_int_is_refused_on_v2() -> None:
    call = calls.orders.create(catalog_product_id=87, max_price=20000)
    with pytest.raises(InvalidArgumentError, match="max_price: an int is ambiguous on v2"):
        call.request("v2")


@pytest.mark.parametrize("value", ["0.50", Decimal("0.50"), "20000"])
def test_dollars_are_refused_on_v1(value: Price) -> None:
    call = calls.orders.create(catalog_product_id=87, min_price=value)
    with pytest.raises(InvalidArgumentError, match="min_price: v1 counts in rupiah"):
        call.request("v1")


@pytest.mark.parametrize("name", ["max_price", "min_price"])
def test_rupiah_are_refused_on_v2_without_a_rate(name: str) -> None:
    call = calls.orders.create(catalog_product_id=87, **{name: Money.idr(15000)})  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match=f"{name}: a Money of v1 needs a rate on v2"):
        call.request("v2")


@pytest.mark.parametrize("fx", [None, RATE])
@pytest.mark.parametrize("amount", ["0.50", "0.00000001", "999999999999.99999999", "2"])
def test_v2_states_the_dollars_of_a_person_as_they_were_written(fx: FxRate | None, amount: str) -> None:
    limits: dict[str, Price] = {"max_price": Money.usd(amount), "min_price": Money.usd(amount)}
    assert body("v2", fx, **limits) == {"max_price": amount, "min_price": amount}
    assert body("v2", max_price=Money.usd("0.25") * 2) == {"max_price": "0.50"}


def test_v1_refuses_the_dollars_of_a_person_and_says_what_to_write() -> None:
    call = calls.orders.create(catalog_product_id=87, max_price=Money.usd("0.50"))
    with pytest.raises(InvalidArgumentError, match=r"v1 counts in rupiah: .*Money\.idr.*FxRate\.to_idr"):
        call.request("v1")


@pytest.mark.parametrize(
    ("value", "fx", "rupiah"),
    [
        (139, None, 139),
        (Money.idr(139), None, 139),
        (SHOWN, RATE, 139),
        ("0.0077", RATE, 138),
        (Decimal("0.0077"), RATE, 138),
    ],
)
def test_a_budget_is_counted_in_whole_rupiah_rounded_down(
    value: Price, fx: FxRate | None, rupiah: int
) -> None:
    assert PriceLimit("budget", value).canonical(fx) == rupiah


def test_the_dollars_of_a_person_are_rupiah_only_at_a_rate() -> None:
    limit = PriceLimit("budget", Money.usd("0.0077"))
    assert limit.value == Decimal("0.0077")
    assert limit.canonical(RATE) == 138
    with pytest.raises(InvalidArgumentError, match="budget: v1 counts in rupiah"):
        limit.in_rupiah()
    assert not needs_rate("v1", Money.usd("1"))
    assert not needs_rate("v2", Money.usd("1"))


@pytest.mark.parametrize("name", ["max_price", "min_price"])
@pytest.mark.parametrize(
    "value",
    [
        Money.usd("-0.50"),
        Money.usd("999999999999") * 10,
        Money(Decimal(1), "EUR", 100, "EUR"),
        Money(Decimal(5000), "IDR", 5000, "USD"),
    ],
)
def test_amounts_that_are_no_price_are_refused(name: str, value: Money) -> None:
    with pytest.raises(InvalidArgumentError, match=rf"\A{name}: expected"):
        calls.orders.create(catalog_product_id=87, **{name: value})  # type: ignore[arg-type]
    assert not needs_rate("v2", value)


def test_only_a_money_of_rupiah_on_v2_needs_a_rate() -> None:
    assert needs_rate("v2", Money.idr(1))
    assert needs_rate("v2", None, Money.idr(1))
    assert not needs_rate("v1", Money.idr(1))
    assert not needs_rate("v2", SHOWN, None, "0.5", Decimal(1), 5)


def test_only_the_error_for_a_float_shows_how_to_write_it() -> None:
    class Quotient:
        def __repr__(self) -> str:
            return "0.5"

    value: Any = Quotient()
    with pytest.raises(InvalidArgumentError, match=r"got Quotient\.\Z"):
        calls.orders.create(catalog_product_id=87, max_price=value)


@pytest.mark.parametrize(
    ("value", "hint"), [(0.1, ': write "0.1", as floats are not exact.'), (math.nan, "."), (1e300, ".")]
)
def test_the_error_for_a_float_shows_how_to_write_it_where_it_is_a_price(value: Any, hint: str) -> None:
    with pytest.raises(InvalidArgumentError, match=rf"got float{re.escape(hint)}\Z"):
        calls.orders.create(catalog_product_id=87, max_price=value)
