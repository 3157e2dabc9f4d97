"""Finding by names: what fits, what is close, and what a price limit lets through."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smscode import Country, FxRate, InvalidArgumentError, Money, Operator, Product, Service
from smscode.core.api.prices import Price
from smscode.core.offers import Offer
from smscode.core.product_search import NameOrId, ProductFilter, ProductNames, cheapest_first, offers_of

INDONESIA = Country(6, "Indonesia", True, "ID", "62")
INDIA = Country(22, "India", True, "IN", "+91")
KINGDOM = Country(16, "United Kingdom", True, "GB", "+44")
IVORY = Country(27, "Côte d'Ivoire", True, "CI")
GONE = Country(99, "India", False, "I2")
NAMELESS = Country(100, "中国", True, None)
COUNTRIES = [INDONESIA, INDIA, KINGDOM, IVORY, GONE, NAMELESS]
SERVICES = [
    Service(3, "wa", "WhatsApp", True),
    Service(7, "go", "Google", True),
    Service(9, "12", "Go", True),
]
ANY = Operator(None, "any", "Any operator")
VIVO = Operator(31, "vivo", "Vivo", "ВИВО")


def country(text: str) -> Country:
    return NameOrId.of("country", text, Country).among(COUNTRIES)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Indonesia", INDONESIA),
        ("iNDONESIA", INDONESIA),
        ("id", INDONESIA),
        ("ID", INDONESIA),
        (" Indonesia ", INDONESIA),
        ("united-kingdom", KINGDOM),
        ("UnitedKingdom", KINGDOM),
        ("gb", KINGDOM),
        ("Cote d Ivoire", IVORY),
        ("CÔTE D.IVOIRE", IVORY),
        ("中国", NAMELESS),
        ("India", INDIA),
        ("i2", GONE),
        ("99", GONE),
        ("6", INDONESIA),
        ("+62", INDONESIA),
        ("+91", INDIA),
        (" +4-4 ", KINGDOM),
        ("UK", KINGDOM),
        ("Great Britain", KINGDOM),
    ],
)
def test_a_name_is_found_however_it_is_written(text: str, found: Country) -> None:
    assert country(text) is found


@pytest.mark.parametrize(
    ("text", "closest"),
    [
        ("Indonesai", "Indonesia (id 6)"),
        ("Indo", "Indonesia"),
        ("kingdom", "GB / United Kingdom (id 16)"),
        ("Ind", "India"),
        ("98", "none of the 6 comes close"),
        ("Atlantis", "none of the 6 comes close"),
        ("²", "the closest are I2"),
        ("!!", "none of the 6 comes close"),
    ],
)
def test_a_name_that_nothing_has_is_refused_with_the_closest(text: str, closest: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        country(text)
    assert str(refused.value).startswith(f"country: nothing is called {text!r}; ")
    assert closest in str(refused.value)


def test_a_name_that_several_have_is_refused() -> None:
    with pytest.raises(
        InvalidArgumentError, match=r"'go' names several: go / Google \(id 7\), 12 / Go \(id 9\)"
    ):
        NameOrId.of("service", "go", Service).among(SERVICES)


def test_a_code_of_digits_comes_before_an_id() -> None:
    assert NameOrId.of("service", "12", Service).among([*SERVICES, Service(12, "x", "X", True)]).id == 9


def test_an_operator_is_found_by_any_of_its_names() -> None:
    for text in ("VIVO", "vivo", "виво", "31"):
        assert NameOrId.of("operator", text, Operator).among([ANY, VIVO]) is VIVO
    assert NameOrId.of("operator", "ANY", Operator).among([ANY, VIVO]) is ANY


def test_ids_and_rows_are_taken_as_they_are() -> None:
    assert NameOrId.of("country", 5, Country) == NameOrId("country", 5)
    assert NameOrId.of("country", INDIA, Country) == NameOrId("country", 22)
    assert NameOrId.of("operator", ANY, Operator) == NameOrId("operator", None)
    assert NameOrId.of("country", None, Country) == NameOrId("country")


@pytest.mark.parametrize("value", [0, -1, True, 1.0, "", "  ", "a\n", "x" * 101, b"id", SERVICES[0], [6]])
def test_what_is_no_name_is_refused(value: object) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^country: expected"):
        NameOrId.of("country", value, Country)


@given(st.text(min_size=1, max_size=30))
def test_every_text_is_found_or_refused(text: str) -> None:
    refused: InvalidArgumentError | None = None
    try:
        assert country(text) in COUNTRIES
    except InvalidArgumentError as error:
        refused = error
    assert refused is None or str(refused).startswith("country: ")


@given(st.sampled_from(COUNTRIES), st.randoms(use_true_random=False))
def test_case_and_spaces_never_matter(row: Country, random: Any) -> None:
    text = "".join(random.choice((c.upper(), c.lower(), f"{c} ", f"-{c}")) for c in row.name)
    assert country(text).name == row.name


# -- products --------------------------------------------------------------------------------------

FX = FxRate("USD/IDR", 16_250)


def product(row: int, idr: int, available: int = 5, active: bool = True, fx: FxRate | None = FX) -> Product:
    price = Money.idr(idr) if fx is None else Money(fx.to_usd(idr, places=4), "USD", idr)
    return Product(row, available, price, active)


def granted(wish: ProductFilter, fx: FxRate | None = FX) -> list[int]:
    rows = [product(idr, idr, fx=fx) for idr in (9_999, 10_000, 10_001)]
    return [row.id for row in wish.select(rows, fx)]


def test_what_cannot_be_had_is_left_out() -> None:
    rows = [product(1, 5), product(2, 5, available=0), product(3, 5, active=False)]
    assert [row.id for row in ProductFilter.of("v2", None, True).select(rows, FX)] == [1]
    assert [row.id for row in ProductFilter.of("v2", None, False).select(rows, FX)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("max_price", "ids"),
    [
        (10_000, [9_999, 10_000]),
        (Money.idr(10_000), [9_999, 10_000]),
        (9_998, []),
        (20_000, [9_999, 10_000, 10_001]),
    ],
)
def test_a_limit_in_rupiah_includes_itself(max_price: Price, ids: list[int]) -> None:
    assert granted(ProductFilter.of("v1", max_price, True), None) == ids


@pytest.mark.parametrize(
    ("max_price", "ids"),
    [
        ("0.6154", [9_999, 10_000]),  # 10,000.25 rupiah
        (Decimal("0.61538"), [9_999]),  # 9,999.925
        (FX.smallest_cap(10_000), [9_999, 10_000]),
        (Money(Decimal("0.6154"), "USD", 10_000), [9_999, 10_000]),
        (Money.idr(10_000), [9_999, 10_000]),
    ],
)
def test_a_limit_in_dollars_is_read_as_the_service_reads_it(max_price: Price, ids: list[int]) -> None:
    assert granted(ProductFilter.of("v2", max_price, True)) == ids


def test_without_a_rate_dollars_are_compared_as_they_are_shown() -> None:
    rows = [product(idr, idr) for idr in (9_000, 10_000, 11_000)]
    assert [row.id for row in ProductFilter.of("v2", "0.6154", True).select(rows, None)] == [9_000, 10_000]


@pytest.mark.parametrize(
    ("version", "max_price"),
    [("v1", "0.50"), ("v1", Decimal(1)), ("v2", 20_000), ("v2", "x"), ("v2", 0.5), ("v1", 0)],
)
def test_a_limit_of_the_other_version_is_refused(version: Any, max_price: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^max_price: "):
        ProductFilter.of(version, max_price, True)


def test_the_cheapest_come_first_and_the_best_stocked_of_them() -> None:
    rows = [product(1, 7), product(2, 5, 3), product(3, 5, 8), product(5, 5, 3), product(4, 6)]
    assert [row.id for row in cheapest_first(rows)] == [3, 2, 5, 4, 1]


def test_an_alias_stands_for_a_country_by_whichever_name_it_is_listed() -> None:
    states = [Country(1, "USA", True), Country(2, "UK", True, None, "44"), Country(3, "Ukraine", True, "UA")]
    found = {text: NameOrId.of("country", text, Country).among(states).id for text in ("us", "U.S.A.", "gb")}
    assert found == {"us": 1, "U.S.A.": 1, "gb": 2}
    uk = Service(4, "x", "United Kingdom", True)
    with pytest.raises(InvalidArgumentError, match="service: nothing is called 'uk'"):
        NameOrId.of("service", "uk", Service).among([uk])


def test_a_dial_code_of_several_countries_is_refused() -> None:
    both = [Country(1, "USA", True, "US", "+1"), Country(2, "Canada", True, "CA", "1")]
    with pytest.raises(InvalidArgumentError, match=r"'\+1' names several: US / USA \(id 1\), CA / Canada"):
        NameOrId.of("country", "+1", Country).among(both)
    with pytest.raises(InvalidArgumentError, match="nothing is called '\\+7'"):
        NameOrId.of("country", "+7", Country).among(both)


def test_of_the_closest_names_those_that_begin_alike_come_first() -> None:
    listed = [Country(1, "Nigeria", True), Country(2, "Niue", True), Country(3, "Algeria", True)]
    with pytest.raises(InvalidArgumentError, match=r"the closest are Nigeria \(id 1\)"):
        NameOrId.of("country", "Niger", Country).among(listed)


@pytest.mark.parametrize(
    ("min_price", "fx", "ids"),
    [
        ("0.6154", FX, [10_001]),  # 10000.25 rupiah, rounded up
        ("0.6153", FX, [9_999, 10_000, 10_001]),
        (Money.idr(10_000), FX, [10_000, 10_001]),
        ("10000", None, [10_000, 10_001]),
    ],
)
def test_the_least_price_is_rounded_as_the_service_rounds_it(
    min_price: Any, fx: FxRate | None, ids: list[int]
) -> None:
    assert granted(ProductFilter.of("v2", None, True, min_price=min_price), fx) == ids


@pytest.mark.parametrize(("by_operator", "operators"), [(True, [18, 31]), (False, [None])])
def test_an_offer_has_an_operator_only_where_one_was_asked_for(
    by_operator: bool, operators: list[int | None]
) -> None:
    price = Money.idr(9_000)
    products = [
        Product(number, 1, price, True, catalog_product_id=87, operator_id=one)
        for number, one in ((1, 18), (2, 31), (3, 18))
    ]
    found = offers_of(products, by_operator)
    assert [(one.catalog_product_id, one.product_id, one.operator_id) for one in found] == [
        (87, None, operator) for operator in operators
    ]
    (older,) = offers_of([Product(1, 1, price, True, operator_id=18)], by_operator)
    assert (older.catalog_product_id, older.product_id, older.operator_id) == (None, 1, None)


def test_an_offer_has_the_price_and_the_name_of_its_product() -> None:
    products = [Product(1, 1, Money.idr(idr), True, name=name) for idr, name in ((9_000, "WhatsApp"),)]
    assert offers_of(products, False) == (Offer(product_id=1, price=Money.idr(9_000), name="WhatsApp"),)


@pytest.mark.parametrize(
    "names",
    [
        ("GB", "UK", "United Kingdom", "Great Britain"),
        ("US", "USA", "United States", "United States of America"),
        ("AE", "UAE", "United Arab Emirates"),
    ],
)
def test_each_usual_name_finds_the_country_by_each_other_one(names: tuple[str, ...]) -> None:
    for listed in names:
        rows = [INDIA, Country(1, listed, True)]
        assert [NameOrId.of("country", name, Country).among(rows).id for name in names] == [1] * len(names)


def test_a_name_without_letters_is_compared_as_it_is() -> None:
    rows = [Service(1, None, " ★ ", True), Service(2, None, "☆", True)]  # type: ignore[arg-type]
    assert NameOrId.of("service", "★", Service).among(rows).id == 1
    with pytest.raises(InvalidArgumentError, match="nothing is called '!'"):
        NameOrId.of("service", "!", Service).among(rows)


def test_a_dial_code_begins_with_a_plus_sign() -> None:
    with pytest.raises(InvalidArgumentError, match="nothing is called '62'"):
        country("62")


@pytest.mark.parametrize(
    ("text", "names", "closest"),
    [
        ("ia", ["Zambia-Land", "Qatia", "Andiastan"], ["Qatia", "Andiastan", "Zambia-Land"]),
        ("nia", ["Tania", "Niagara", "Land of Nia"], ["Niagara", "Tania", "Land of Nia"]),
        (
            "go",
            [f"{'x' * length}go" for length in (9, 3, 8, 4, 7, 5, 6)],
            [f"{'x' * length}go" for length in (3, 4, 5, 6, 7)],
        ),
    ],
)
def test_the_closest_begin_alike_are_similar_or_contain_the_text_in_this_order(
    text: str, names: list[str], closest: list[str]
) -> None:
    rows = [Country(place, name, True) for place, name in enumerate(names, 1)]
    with pytest.raises(InvalidArgumentError) as refused:
        NameOrId.of("country", text, Country).among(rows)
    listed = ", ".join(f"{name} (id {names.index(name) + 1})" for name in closest)
    assert str(refused.value) == f"country: nothing is called {text!r}; the closest are {listed}."


NO_NAME = "expected an id, a code, a name or a"


def test_one_letter_is_close_to_nothing() -> None:
    with pytest.raises(InvalidArgumentError, match="none of the 6 comes close"):
        country("e")


@pytest.mark.parametrize(
    ("name", "row", "message"),
    [
        ("country", Country, f"{NO_NAME} Country (only orders.obtain takes several), got list."),
        ("service", Service, f"{NO_NAME} Service, got list."),
        ("operator", Operator, f"{NO_NAME} Operator, got list."),
    ],
)
def test_what_is_neither_name_nor_id_is_refused(name: str, row: Any, message: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        NameOrId.of(name, [6], row)
    assert str(refused.value) == f"{name}: {message}"


@pytest.mark.parametrize(
    ("value", "given", "found"),
    [("vivo", True, 31), (7, True, 7), (ANY, False, None), (None, False, None)],
)
def test_a_name_is_identified_among_the_rows_and_an_id_stands_for_itself(
    value: Any, given: bool, found: int | None
) -> None:
    name = NameOrId.of("operator", value, Operator)
    assert (name.given, name.identify([ANY, VIVO])) == (given, found)


def test_the_names_of_products_are_a_service_a_country_and_some_operators() -> None:
    names = ProductNames.of("WhatsApp", 6, ["vivo", 31, "vivo"])
    assert names.service == NameOrId("service", text="WhatsApp")
    assert names.country == NameOrId("country", 6)
    assert names.operators == (NameOrId("operator", text="vivo"), NameOrId("operator", 31))
    assert ProductNames.of(None, None, "vivo").operators == (NameOrId("operator", text="vivo"),)
    assert ProductNames.of(None, None, VIVO).operators == (NameOrId("operator", 31),)
    assert ProductNames.of(None, None, None).operators == (NameOrId("operator"),)
    assert len(ProductNames.of(None, None, range(1, 21)).operators) == 20


@pytest.mark.parametrize(
    ("operator", "message"),
    [
        ([], "operator: expected 1..20 operators."),
        (range(1, 22), "operator: expected 1..20 operators."),
        (b"vivo", "operator: expected an id, a code, a name or a Operator, got bytes."),
    ],
)
def test_a_wrong_number_of_operators_is_refused(operator: Any, message: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        ProductNames.of(None, None, operator)
    assert str(refused.value) == message


def test_what_is_in_stock_has_as_many_as_are_asked_for() -> None:
    rows = [product(1, 5, available=0), product(2, 5, available=1), product(3, 5, available=2)]

    def in_stock(**given: Any) -> list[int]:
        return [row.id for row in ProductFilter.of("v2", None, **given).select(rows, FX)]

    assert (in_stock(), in_stock(min_stock=2), in_stock(in_stock=False)) == ([2, 3], [3], [1, 2, 3])
    with pytest.raises(InvalidArgumentError, match=r"\Amin_stock: expected an int of 1\.\.2147483647, got 0"):
        in_stock(min_stock=0)


def test_the_least_price_may_be_nothing() -> None:
    assert granted(ProductFilter.of("v1", None, min_price=0), None) == [9_999, 10_000, 10_001]
    with pytest.raises(InvalidArgumentError, match=r"\Amin_price: "):
        ProductFilter.of("v1", None, min_price="0.50")


def test_an_int_is_rupiah_whatever_the_rate() -> None:
    assert granted(ProductFilter.of("v1", 10_000), FX) == [9_999, 10_000]
