"""The catalog endpoints: countries, services, operators, products, exchange rate."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from attrs import evolve, frozen

from ..._choices import SortName
from ...models import (
    Country,
    EndpointGroup,
    ExchangeRate,
    Operator,
    Product,
    ProductPage,
    ProductSort,
    Service,
)
from ..decoding.converter import Envelope, RowProblem
from . import arguments
from .arguments import INT32, INT64
from .call import Call, CallKind, Endpoint
from .parameters import OneOf, Parameter, Text, Whole

LARGEST_PAGE = 10_000
_LARGEST_PAGE_NUMBER = 2**31 - 1

_COUNTRY_ID = Parameter(name="country_id", kind=Whole(*INT32), about="Only this country.")
_PLATFORM_ID = Parameter(name="platform_id", kind=Whole(*INT32), about="Only this service.")
_FILTERS = (
    _COUNTRY_ID,
    _PLATFORM_ID,
    Parameter(
        name="operator_id",
        kind=Whole(*INT32),
        about="Only this operator; without it, the tiers of no particular operator.",
        current_only=True,
    ),
    Parameter(
        name="sort",
        kind=OneOf(ProductSort, lenient=True),
        about="The order of the products.",
        default="price_asc",
    ),
    Parameter(name="page", kind=Whole(1, INT64[1], clamped=True), about="Which page, from 1.", default=1),
    Parameter(
        name="limit",
        kind=Whole(1, LARGEST_PAGE, clamped=True),
        about="How many products a page has.",
        default=1000,
    ),
)


def _products(envelope: Envelope) -> ProductPage:
    items = tuple(envelope.rows(Product))
    page, limit, count = envelope.page
    return ProductPage(items, page, limit, count, envelope.fx, tuple(map(str, envelope.problems)))


@frozen
class ProductRows:
    """A page of products that are decoded during iteration, so that few of them are in memory.

    Iterating over the ``parts`` appends the rows that cannot be read to ``problems``, and raises `Mismatch`
    if the array itself cannot be read.
    """

    parts: Iterable[list[Product]]
    limit: int
    count: int
    problems: list[RowProblem]


def _product_rows(envelope: Envelope) -> ProductRows:
    parts = envelope.parts(Product)
    _, limit, count = envelope.page
    return ProductRows(parts, limit, count, envelope.problems)


COUNTRIES = Endpoint(
    "catalog.countries",
    "GET",
    "/catalog/countries",
    EndpointGroup.CATALOG,
    CallKind.READ,
    list[Country],
    rows=Country,
)
SERVICES = Endpoint(
    "catalog.services",
    "GET",
    "/catalog/services",
    EndpointGroup.CATALOG,
    CallKind.READ,
    list[Service],
    query=(_COUNTRY_ID,),
    refusals=("VALIDATION_ERROR",),
    rows=Service,
)
OPERATORS = Endpoint(
    "catalog.operators",
    "GET",
    "/catalog/operators",
    EndpointGroup.CATALOG,
    CallKind.READ,
    list[Operator],
    query=(evolve(_COUNTRY_ID, required=True), evolve(_PLATFORM_ID, required=True)),
    refusals=("VALIDATION_ERROR",),
    current_only=True,
    rows=Operator,
)
PRODUCTS = Endpoint(
    "catalog.products",
    "GET",
    "/catalog/products",
    EndpointGroup.CATALOG,
    CallKind.READ,
    ProductPage,
    _products,
    money=True,
    query=_FILTERS,
    refusals=("VALIDATION_ERROR",),
    rows=Product,
)
_PRODUCT_ROWS: Endpoint[ProductRows] = evolve(
    cast(Any, PRODUCTS), result=ProductRows, decode=_product_rows, later=True
)
EXCHANGE_RATE = Endpoint(
    "catalog.exchange_rate",
    "GET",
    "/catalog/exchange-rate",
    EndpointGroup.CATALOG,
    CallKind.READ,
    ExchangeRate,
    money=True,
    query=(Parameter(name="pair", kind=Text(), about="Which rate; v2 ignores it.", default="USD/IDR"),),
    refusals=("NOT_FOUND",),
)


def countries() -> Call[list[Country]]:
    """List the countries."""
    return Call(COUNTRIES, COUNTRIES.path)


def services(*, country_id: int | None = None) -> Call[list[Service]]:
    """List the services; with ``country_id`` those available there."""
    query = {} if country_id is None else {"country_id": arguments.identity("country_id", country_id)}
    return Call(SERVICES, SERVICES.path, query)


def operators(*, country_id: int, platform_id: int) -> Call[list[Operator]]:
    """List the mobile operators with stock for a service in a country."""
    query = {
        "country_id": arguments.identity("country_id", country_id),
        "platform_id": arguments.identity("platform_id", platform_id),
    }
    return Call(OPERATORS, OPERATORS.path, query)


def products(
    *,
    country_id: int | None = None,
    platform_id: int | None = None,
    operator_id: int | None = None,
    sort: ProductSort | SortName | None = None,
    page: int = 1,
    limit: int = 1000,
) -> Call[ProductPage]:
    """Read one page of products; ``limit`` is 1..10,000 and ``page`` counts from 1."""
    filters = {"country_id": country_id, "platform_id": platform_id, "operator_id": operator_id}
    query: dict[str, int | str] = {
        name: arguments.identity(name, value) for name, value in filters.items() if value is not None
    }
    if sort is not None:
        query["sort"] = arguments.member("sort", sort, ProductSort).value
    query["page"] = arguments.integer("page", page, 1, _LARGEST_PAGE_NUMBER)
    query["limit"] = arguments.integer("limit", limit, 1, LARGEST_PAGE)
    return Call(PRODUCTS, PRODUCTS.path, query)


def product_rows(page: Call[ProductPage]) -> Call[ProductRows]:
    """Return a call for the same page whose products are decoded during iteration."""
    return Call(_PRODUCT_ROWS, page.path, page.query)


def exchange_rate(*, pair: str = "USD/IDR") -> Call[ExchangeRate]:
    """Read an exchange rate; v2 knows only USD/IDR and ignores ``pair``."""
    return Call(EXCHANGE_RATE, EXCHANGE_RATE.path, {"pair": arguments.currency_pair("pair", pair)})
