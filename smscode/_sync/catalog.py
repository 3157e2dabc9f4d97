# Generated from smscode/_async/catalog.py by `nox -s generate`: change that file, not this one.

"""What can be rented, where and for how much."""

from __future__ import annotations

from collections.abc import Generator

from ..core.api import catalog
from ..core.api.prices import Price
from ..core.paging import ProductWalk
from ..core.product_search import NameOrId, ProductFilter
from ..models import Country, ExchangeRate, Operator, Product, ProductPage, ProductSort, Service
from .driver import Driver
from .pagination import products_of, walk_pages, walk_rows
from .product_search import ProductSearch


class Catalog:
    """The catalog endpoints; ``timeout`` is in seconds, all in all, instead of the client's."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._finder = ProductSearch(driver)

    def countries(self, *, timeout: float | None = None) -> list[Country]:
        """List the countries."""
        return (self._driver.run(catalog.countries(), timeout)).data

    def services(self, *, country_id: int | None = None, timeout: float | None = None) -> list[Service]:
        """List the services; with ``country_id`` those available there."""
        return (self._driver.run(catalog.services(country_id=country_id), timeout)).data

    def operators(
        self, *, country_id: int, platform_id: int, timeout: float | None = None
    ) -> list[Operator]:
        """List the mobile operators with stock for a service in a country.

        ``platform_id`` is the service's id. An empty list means that there is no choice of operator.
        """
        call = catalog.operators(country_id=country_id, platform_id=platform_id)
        return (self._driver.run(call, timeout)).data

    def products(
        self,
        *,
        country_id: int | None = None,
        platform_id: int | None = None,
        operator_id: int | None = None,
        sort: ProductSort | str | None = None,
        page: int = 1,
        limit: int = 1000,
        timeout: float | None = None,
    ) -> ProductPage:
        """Read one page of products.

        ``page`` counts from 1 and ``limit`` is 1..10,000; ``count`` of the page is its number of
        rows, not a total. To read them all use `iter_products`.
        """
        call = catalog.products(
            country_id=country_id,
            platform_id=platform_id,
            operator_id=operator_id,
            sort=sort,
            page=page,
            limit=limit,
        )
        return (self._driver.run(call, timeout)).data

    def iter_product_pages(
        self,
        *,
        country_id: int | None = None,
        platform_id: int | None = None,
        operator_id: int | None = None,
        sort: ProductSort | str | None = None,
        page_size: int = catalog.LARGEST_PAGE,
        timeout: float | None = None,
    ) -> Generator[ProductPage]:
        """Go through all products page by page, each product once.

        ``page_size`` is 1..10,000; ``timeout`` is for each page. Rows that appear again because
        prices moved between two pages are dropped.
        """
        walk = ProductWalk(
            country_id=country_id,
            platform_id=platform_id,
            operator_id=operator_id,
            sort=sort,
            page_size=page_size,
        )
        return walk_pages(self._driver, walk, timeout)

    def iter_products(
        self,
        *,
        country_id: int | None = None,
        platform_id: int | None = None,
        operator_id: int | None = None,
        sort: ProductSort | str | None = None,
        page_size: int = catalog.LARGEST_PAGE,
        timeout: float | None = None,
    ) -> Generator[Product]:
        """Go through all products, each once; see `iter_product_pages`.

        A page is read bit by bit as one gets there, so at no time are all of its products there.
        """
        walk = ProductWalk(
            country_id=country_id,
            platform_id=platform_id,
            operator_id=operator_id,
            sort=sort,
            page_size=page_size,
        )
        return products_of(self._driver, walk, timeout, walk_rows(self._driver, walk, timeout))

    def exchange_rate(self, *, pair: str = "USD/IDR", timeout: float | None = None) -> ExchangeRate:
        """Read an exchange rate; v2 knows only USD/IDR and ignores ``pair``."""
        return (self._driver.run(catalog.exchange_rate(pair=pair), timeout)).data

    def find(
        self,
        *,
        service: int | str | Service | None = None,
        country: int | str | Country | None = None,
        operator: int | str | Operator | None = None,
        max_price: Price | None = None,
        in_stock: bool = True,
        timeout: float | None = None,
    ) -> list[Product]:
        """Find the products of a service in a country, the cheapest first.

        ``service``, ``country`` and ``operator`` are ids, codes or names ("wa", "WhatsApp", "whatsapp"),
        in any case; None is any. Countries and services are read once and kept for ten minutes, however
        many ask at the same time. An operator's name needs a service and a country. ``max_price`` is as in
        `orders.create`. ``in_stock`` leaves out what is sold out or switched off. An empty list means
        that there is nothing like that. ``timeout`` is for all that has to be read.

        Raises `InvalidArgumentError` for a name that nothing has or that several have; it names those
        that come closest.
        """
        return self._finder.find(
            NameOrId.of("service", service, Service),
            NameOrId.of("country", country, Country),
            NameOrId.of("operator", operator, Operator),
            ProductFilter.of(self._driver.version, max_price, in_stock),
            timeout,
        )
