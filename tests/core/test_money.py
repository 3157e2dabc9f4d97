"""Money: rounding as the service rounds, caps that admit the price they were made from, no floats."""

from __future__ import annotations

import decimal
import operator
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smscode import FxRate, InvalidArgumentError, Money
from smscode.money import BALANCE_PLACES, PRICE_PLACES

STEP = Decimal("0.0001")

prices = st.integers(1, 10**12)
rates = st.integers(1, 10**6).map(lambda rate: FxRate("USD/IDR", rate))
places = st.sampled_from([2, 4])


def shown(price: int, rate: FxRate) -> Money:
    """Make the Money that v2 shows for a price."""
    return Money(rate.to_usd(price, places=4), "USD", price, "IDR")


@pytest.mark.parametrize(
    ("idr", "rate", "decimals", "expected"),
    [
        (15000, 16250, 4, "0.9231"),
        (15000, 16250, 2, "0.92"),
        (500000, 16250, 2, "30.77"),
        (515000, 16250, 2, "31.69"),
        (139, 17970, 4, "0.0077"),
        (517231, 17970, 2, "28.78"),
        (1250000, 16000, 2, "78.13"),
        (750000, 16000, 4, "46.8750"),
        (1, 16250, 2, "0.01"),
        (1, 1_000_000, 4, "0.0001"),
        (0, 16250, 2, "0.00"),
        (-515000, 16250, 2, "-31.69"),
        (-1250000, 16000, 2, "-78.13"),
        (-1, 10**6, 2, "0.00"),
        (3, 2, 0, "2"),
        (1, 16250, 12, "0.000061538462"),
    ],
)
def test_rupiah_are_shown_in_dollars_as_the_service_shows_them(
    idr: int, rate: int, decimals: int, expected: str
) -> None:
    assert str(FxRate("USD/IDR", rate).to_usd(idr, places=decimals)) == expected


def test_balances_are_shown_with_two_digits_and_prices_with_four() -> None:
    rate = FxRate("USD/IDR", 16250)
    assert str(rate.to_usd(15000, places=BALANCE_PLACES)) == "0.92"
    assert str(rate.to_usd(15000, places=PRICE_PLACES)) == "0.9231"


@given(prices, rates, places)
def test_a_shown_amount_is_the_nearest_one_with_ties_up_and_never_zero(
    price: int, rate: FxRate, decimals: int
) -> None:
    usd = rate.to_usd(price, places=decimals)
    exact = Fraction(price, rate.rate) * 10**decimals
    assert usd > 0
    assert usd.as_tuple().exponent == -decimals
    assert Fraction(usd) * 10**decimals == max(floor(exact + Fraction(1, 2)), 1)


@pytest.mark.parametrize(
    ("usd", "rounding", "expected"),
    [
        ("0.0077", "ROUND_FLOOR", 138),
        ("0.0077", "ROUND_CEILING", 139),
        ("0.0077", "ROUND_HALF_UP", 138),
        ("0.50", "ROUND_FLOOR", 8985),
        ("1E+1", "ROUND_FLOOR", 179700),
        ("0", "ROUND_CEILING", 0),
        ("-0.0077", "ROUND_FLOOR", -139),
        ("-0.0077", "ROUND_CEILING", -138),
        ("-0.0077", "ROUND_HALF_UP", -138),
    ],
)
def test_dollars_become_rupiah_by_the_named_rounding(usd: str, rounding: Any, expected: int) -> None:
    assert FxRate("USD/IDR", 17970).to_idr(Decimal(usd), rounding=rounding) == expected


@given(st.decimals(0, 10**9, places=6), rates)
def test_dollars_become_rupiah_exactly(usd: Decimal, rate: FxRate) -> None:
    exact = Fraction(usd) * rate.rate
    assert rate.to_idr(usd, rounding="ROUND_FLOOR") == floor(exact)
    assert rate.to_idr(usd, rounding="ROUND_CEILING") == ceil(exact)
    assert rate.to_idr(usd, rounding="ROUND_HALF_UP") == floor(exact + Fraction(1, 2))


@given(st.integers(2, 400), st.integers(0, 100))
def test_half_a_rupiah_is_rounded_away_from_zero(rate: int, whole: int) -> None:
    half = Decimal(2 * whole + 1) / 2
    assert FxRate("USD/IDR", 1).to_idr(half, rounding="ROUND_HALF_UP") == whole + 1
    assert FxRate("USD/IDR", 1).to_idr(-half, rounding="ROUND_HALF_UP") == -whole - 1
    assert FxRate("USD/IDR", 2 * rate).to_usd(rate, places=0) == 1


@given(prices, rates)
def test_a_cap_made_from_a_shown_price_admits_it_and_is_at_most_one_step_too_wide(
    price: int, rate: FxRate
) -> None:
    cap, exact = shown(price, rate).as_max_price(), shown(price, rate).as_max_price(rate)
    assert isinstance(cap, Decimal)
    assert rate.to_idr(cap, rounding="ROUND_FLOOR") >= price
    assert exact <= cap <= exact + STEP
    assert exact == rate.smallest_cap(price)


@given(prices, rates)
def test_a_cap_made_with_the_rate_is_the_smallest_that_admits_the_price(price: int, rate: FxRate) -> None:
    cap = rate.smallest_cap(price)
    assert cap.as_tuple().exponent == -4
    assert rate.to_idr(cap, rounding="ROUND_FLOOR") >= price
    assert rate.to_idr(cap - STEP, rounding="ROUND_FLOOR") < price


@given(prices, rates)
def test_a_floor_made_from_a_shown_price_admits_it_and_is_at_most_one_step_too_low(
    price: int, rate: FxRate
) -> None:
    low, exact = shown(price, rate).as_min_price(), shown(price, rate).as_min_price(rate)
    assert isinstance(low, Decimal)
    assert low >= 0
    assert rate.to_idr(low, rounding="ROUND_CEILING") <= price
    assert exact - STEP <= low <= exact
    assert exact == rate.largest_floor(price)


@given(prices, rates)
def test_a_floor_made_with_the_rate_is_the_largest_that_admits_the_price(price: int, rate: FxRate) -> None:
    low = rate.largest_floor(price)
    assert rate.to_idr(low, rounding="ROUND_CEILING") <= price
    assert rate.to_idr(low + STEP, rounding="ROUND_CEILING") > price


def test_the_shown_price_itself_falls_short_and_its_cap_does_not() -> None:
    rate = FxRate("USD/IDR", 17970)
    money = shown(139, rate)
    assert str(money.amount) == "0.0077"
    assert rate.to_idr(money.amount, rounding="ROUND_FLOOR") == 138
    assert str(money.as_max_price()) == "0.0078"
    assert str(money.as_min_price()) == "0.0076"


def test_the_limits_of_rupiah_are_their_integer() -> None:
    money, rate = Money.idr(15000), FxRate("USD/IDR", 16250)
    for limit in (
        money.as_max_price(),
        money.as_min_price(),
        money.as_max_price(rate),
        money.as_min_price(rate),
    ):
        assert type(limit) is int
        assert limit == 15000


@pytest.mark.parametrize(
    ("amount", "cap", "low"),
    [
        ("0.9231", "0.9232", "0.9230"),
        ("30.77", "30.78", "30.76"),
        ("0.0000", "0.0001", "0.0000"),
        ("7", "8", "6"),
        ("1E+1", "11", "9"),
    ],
)
def test_a_limit_without_a_rate_moves_the_last_digit(amount: str, cap: str, low: str) -> None:
    money = Money(Decimal(amount), "USD", 15000, "IDR")
    assert str(money.as_max_price()) == cap
    assert str(money.as_min_price()) == low


def test_results_do_not_depend_on_the_decimal_context_of_the_caller() -> None:
    rate = FxRate("USD/IDR", 16250)

    def everything() -> list[object]:
        money = shown(987654321, rate)
        return [
            money,
            money.amount,
            str(money),
            str(Money.idr(987654321)),
            money.as_max_price(),
            money.as_max_price(rate),
            money.as_min_price(),
            money.as_min_price(rate),
            rate.to_idr(Decimal("60778.7274"), rounding="ROUND_HALF_UP"),
        ]

    expected = everything()
    context = decimal.Context(prec=3, rounding=decimal.ROUND_UP, Emax=4, Emin=-4, traps=[decimal.Inexact])
    with decimal.localcontext(context):
        assert everything() == expected
    assert str(expected[1]) == "60778.7274"


REFUSED: dict[str, Callable[[], object]] = {
    "a float amount": lambda: Money(0.5, "USD", 1),  # type: ignore[arg-type]
    "an int amount": lambda: Money(1, "USD", 1),  # type: ignore[arg-type]
    "NaN": lambda: Money(Decimal("NaN"), "USD", 1),
    "infinity": lambda: Money(Decimal("Infinity"), "USD", 1),
    "a float ledger value": lambda: Money(Decimal(1), "USD", 1.0),  # type: ignore[arg-type]
    "a bool ledger value": lambda: Money(Decimal(1), "USD", True),
    "float dollars of a person": lambda: Money.usd(0.5),  # type: ignore[arg-type]
    "int dollars of a person": lambda: Money.usd(5),  # type: ignore[arg-type]
    "bool dollars of a person": lambda: Money.usd(True),  # type: ignore[arg-type]
    "no dollars of a person": lambda: Money.usd(None),  # type: ignore[arg-type]
    "blank dollars of a person": lambda: Money.usd(""),
    "NaN dollars of a person": lambda: Money.usd(Decimal("NaN")),
    "infinite dollars of a person": lambda: Money.usd(Decimal("-Infinity")),
    "dollars of a person with a comma": lambda: Money.usd("0,50"),
    "dollars of a person with a sign": lambda: Money.usd("$0.50"),
    "dollars of a person with an exponent": lambda: Money.usd("5e-1"),
    "dollars of a person with spaces": lambda: Money.usd(" 0.50\n"),
    "dollars of a person that are too exact": lambda: Money.usd("0.123456789"),
    "more dollars than there are": lambda: Money.usd("1" + 12 * "0"),
    "dollars of a person that nobody writes out": lambda: Money.usd(Decimal("1e5000000")),
    "float rupiah": lambda: Money.idr(1.0),  # type: ignore[arg-type]
    "bool rupiah": lambda: Money.idr(True),
    "rupiah in a string": lambda: Money.idr("1"),  # type: ignore[arg-type]
    "a float rate": lambda: FxRate("USD/IDR", 16250.0),  # type: ignore[arg-type]
    "a bool rate": lambda: FxRate("USD/IDR", True),
    "a rate of zero": lambda: FxRate("USD/IDR", 0),
    "a negative rate": lambda: FxRate("USD/IDR", -1),
    "floats to show": lambda: FxRate("USD/IDR", 1).to_usd(1.0, places=2),  # type: ignore[arg-type]
    "bools to show": lambda: FxRate("USD/IDR", 1).to_usd(True, places=2),
    "negative places": lambda: FxRate("USD/IDR", 1).to_usd(1, places=-1),
    "too many places": lambda: FxRate("USD/IDR", 1).to_usd(1, places=13),
    "bool places": lambda: FxRate("USD/IDR", 1).to_usd(1, places=True),
    "float dollars": lambda: FxRate("USD/IDR", 1).to_idr(0.5, rounding="ROUND_FLOOR"),  # type: ignore[arg-type]
    "int dollars": lambda: FxRate("USD/IDR", 1).to_idr(1, rounding="ROUND_FLOOR"),  # type: ignore[arg-type]
    "NaN dollars": lambda: FxRate("USD/IDR", 1).to_idr(Decimal("NaN"), rounding="ROUND_FLOOR"),
    "another rounding": lambda: FxRate("USD/IDR", 1).to_idr(Decimal(1), rounding="ROUND_UP"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_an_exact_amount_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(InvalidArgumentError, match="expected"):
        make()


def test_both_versions_of_one_price_are_equal_and_hash_alike() -> None:
    old, new = Money.idr(15000), Money(Decimal("0.9231"), "USD", 15000, "IDR")
    assert old == new
    assert {old: "x"}[new] == "x"
    assert old != Money.idr(15001)
    assert old != Money(Decimal(15000), "IDR", 15000, "XXX")
    unlike: object = 15000
    assert old != unlike


def test_amounts_sort_by_their_ledger_value() -> None:
    cheap = Money(Decimal("9.99"), "USD", 1, "IDR")
    middle = Money.idr(2)
    dear = Money(Decimal("0.01"), "USD", 3, "IDR")
    assert sorted([dear, cheap, middle]) == [cheap, middle, dear]
    assert cheap < middle <= middle < dear > cheap >= cheap
    assert not middle < Money.idr(2)
    assert not middle > Money.idr(2)
    with pytest.raises(TypeError):
        _ = cheap < 5  # type: ignore[operator]


@pytest.mark.parametrize(
    ("money", "text"),
    [
        (Money(Decimal("0.9231"), "USD", 15000), "$0.9231"),
        (Money(Decimal("1234567.80"), "USD", 1), "$1,234,567.80"),
        (Money(Decimal("-2.50"), "USD", -1), "-$2.50"),
        (Money(Decimal("1E+3"), "USD", 1), "$1,000"),
        (Money.idr(15000), "Rp 15,000"),
        (Money.idr(-15000), "-Rp 15,000"),
        (Money.idr(0), "Rp 0"),
        (Money(Decimal("0.00"), "USD", 0), "$0.00"),
        (Money(Decimal("-0.00"), "USD", 0), "$0.00"),
        (Money(Decimal("1234.5"), "EUR", 1), "1,234.5 EUR"),
    ],
)
def test_an_amount_is_written_for_people(money: Money, text: str) -> None:
    assert str(money) == text


# Calculating


@given(prices, prices, rates, st.integers(-1000, 1000))
def test_calculations_are_exact_in_the_ledger_and_on_display(
    one: int, other: int, rate: FxRate, times: int
) -> None:
    first, second = shown(one, rate), shown(other, rate)
    with decimal.localcontext() as context:
        context.prec = 1  # the caller's precision does not count
        results = first + second, first - second, first * times, times * first
    amounts = (
        first.amount + second.amount,
        first.amount - second.amount,
        first.amount * times,
        first.amount * times,
    )
    canonical = (one + other, one - other, one * times, one * times)
    assert [result.amount for result in results] == [*amounts]
    assert [result.canonical_amount for result in results] == [*canonical]
    assert {(result.currency, result.canonical_currency) for result in results} == {("USD", "IDR")}


def test_an_amount_is_never_rounded_by_a_calculation() -> None:
    large, small = Money(Decimal(10**40), "USD", 1), Money(Decimal("0.0001"), "USD", 1)
    for result in (large + small, small + large, large - small * -1):
        assert result.amount == Decimal("1" + 40 * "0" + ".0001")
    with pytest.raises(decimal.Inexact):
        _ = Money(Decimal("1E+6000"), "USD", 1) + Money(Decimal("1E-6000"), "USD", 1)


def test_amounts_are_summed() -> None:
    prices = [Money.idr(15_000), Money.idr(500)]
    assert sum(prices) == Money.idr(15_500)
    assert sum(prices, Money.idr(1)) == Money.idr(15_501)
    assert sum([], Money.idr(0)) == Money.idr(0)
    assert str(Money.idr(500) - Money.idr(15_000)) == "-Rp 14,500"
    assert max(prices) - min(prices) < 2 * min(prices) + max(prices)


def test_amounts_of_two_versions_are_not_mixed() -> None:
    dollars = Money(Decimal("0.9231"), "USD", 15_000)
    rupiah = Money.idr(15_000)
    for calculate in (Money.__add__, Money.__sub__):
        for one, other in ((dollars, rupiah), (rupiah, dollars)):
            with pytest.raises(
                InvalidArgumentError,
                match=r"of different API versions or currencies, .*; use the canonical_amount of both\.\Z",
            ):
                calculate(one, other)
    with pytest.raises(ValueError, match=r"Money: \$0.9231 and Rp 15,000 are amounts of different"):
        sum([dollars, rupiah])


DOLLARS = st.decimals(-(10**9), 10**9, allow_nan=False, allow_infinity=False, places=8)


@pytest.mark.parametrize("amount", ["0.50", Decimal("0.50"), Decimal("50E-2")])
def test_dollars_of_a_person_are_exactly_what_was_written(amount: Decimal | str) -> None:
    money = Money.usd(amount)
    assert (str(money), repr(money)) == ("$0.50", "Money($0.50)")
    assert (money.amount, money.currency) == (Decimal("0.50"), "USD")
    assert (money.canonical_amount, money.canonical_currency) == (50_000_000, "USD")
    for fx in (None, FxRate("USD/IDR", 16250)):
        assert (str(money.as_max_price(fx)), str(money.as_min_price(fx))) == ("0.50", "0.50")
    assert Money.usd(Decimal("1e-8")).canonical_amount == 1
    assert str(Money.usd("-1000.5")) == "-$1,000.5"


@given(DOLLARS, DOLLARS, st.integers(-1000, 1000))
def test_dollars_of_a_person_are_compared_and_calculated_among_themselves(
    one: Decimal, other: Decimal, times: int
) -> None:
    first, second = Money.usd(one), Money.usd(other)
    for compare in (operator.lt, operator.le, operator.eq, operator.ge, operator.gt):
        assert compare(first, second) == compare(one, other)
    with decimal.localcontext(prec=50):
        results = {one + other: first + second, one - other: first - second, one * times: first * times}
    for amount, result in results.items():
        assert result.amount == amount
        assert result.canonical_amount == amount.scaleb(8)
        assert (result.currency, result.canonical_currency) == ("USD", "USD")
    assert hash(first) == hash(Money.usd(format(one.normalize(), "f")))


@pytest.mark.parametrize("price", [Money.idr(50_000_000), Money(Decimal("0.50"), "USD", 50_000_000)])
def test_dollars_of_a_person_have_no_place_among_rupiah(price: Money) -> None:
    dollars = Money.usd("0.50")
    assert dollars != price
    assert price != dollars
    assert len({dollars, price}) == 2
    for compare in (operator.lt, operator.le, operator.ge, operator.gt):
        for one, another in ((dollars, price), (price, dollars)):
            with pytest.raises(InvalidArgumentError, match=r"cannot be compared without .* FxRate.to_idr"):
                compare(one, another)
    for calculate in (operator.add, operator.sub):
        for one, another in ((dollars, price), (price, dollars)):
            with pytest.raises(
                InvalidArgumentError, match=r"cannot be added or .*; convert dollars with FxRate\.to_idr\.\Z"
            ):
                calculate(one, another)
    with pytest.raises(InvalidArgumentError, match="cannot be compared"):
        sorted([price, dollars])
    with pytest.raises(InvalidArgumentError, match="cannot be added"):
        sum([price, dollars])


@pytest.mark.parametrize(
    ("calculate", "other"),
    [
        *((calculate, other) for calculate in (operator.add, operator.sub) for other in (1, False, "1")),
        *((operator.mul, other) for other in (1.5, True, Decimal(2), Money.idr(2))),
        *((compare, 1) for compare in (operator.lt, operator.le, operator.ge, operator.gt)),
    ],
)
def test_an_amount_is_calculated_only_with_amounts_and_multiplied_only_by_ints(
    calculate: Callable[[object, object], object], other: object
) -> None:
    price = Money.idr(15_000)
    with pytest.raises(TypeError):
        calculate(price, other)
    with pytest.raises(TypeError):
        calculate(other, price)


def test_what_calculates_with_amounts_itself_is_asked() -> None:
    class Discount:
        def __rmul__(self, price: Money) -> str:
            return f"{price} less"

    assert Money.idr(15_000) * Discount() == "Rp 15,000 less"
