# Generated from smscode/_async/catalog.py by `nox -s generate`: change that file, not this one.

"""The catalog methods of the client: countries, services, operators, products and prices."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Never

from .._choices import SortName
from .._rows import RowList
from ..core.api import arguments, catalog
from ..core.api.call import CallKind
from ..core.api.prices import Price
from ..core.api.references import CountryRef, OperatorRef, ServiceRef
from ..core.paging import ProductWalk
from ..core.product_search import ProductFilter, ProductNames
from ..models import Country, ExchangeRate, Operator, Product, ProductPage, ProductSort, Service
from .driver import Driver
from .pagination import products_of, walk_pages
from .product_search import ProductSearch


class Catalog:
    """The catalog endpoints, as ``client.catalog``.

    Every method takes ``timeout``, the total seconds for the call (None: the client's limit), and can raise
    the errors that every method of ``client.orders`` can raise. Rows that cannot be read are left out.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._finder = ProductSearch(driver)

    def __repr__(self) -> str:
        return f"{type(self).__name__}{self._driver.service}"

    def countries(self, *, timeout: float | None = None) -> list[Country]:
        """Read all countries."""
        return RowList((self._driver.run(catalog.countries(), timeout)).data)

    def services(self, *, country_id: int | None = None, timeout: float | None = None) -> list[Service]:
        """Read all services, or with ``country_id`` those available in that country."""
        return RowList((self._driver.run(catalog.services(country_id=country_id), timeout)).data)

    def operators(
        self, *, country_id: int, platform_id: int, timeout: float | None = None
    ) -> list[Operator]:
        """Read the mobile operators with stock for a service in a country.

        ``platform_id`` is the service's id. An empty list means that an operator cannot be chosen.
        """
        call = catalog.operators(country_id=country_id, platform_id=platform_id)
        return RowList((self._driver.run(call, timeout)).data)

    def products(
        self,
        *,
        country_id: int | None = None,
        platform_id: int | None = None,
        operator_id: int | None = None,
        sort: ProductSort | SortName | None = None,
        page: int = 1,
        limit: int = 1000,
        timeout: float | None = None,
    ) -> ProductPage:
        """Read one page of products. To read all of them use `iter_products`.

        ``country_id``, ``platform_id`` (the service's id) and ``operator_id`` select products; None means
        all. ``sort`` is a `ProductSort`, "price_asc" by default. ``page`` counts from 1, ``limit`` is the
        number of products per page (1..10,000). ``count`` of the result is the number of rows on this page,
        not a total.
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
        sort: ProductSort | SortName | None = None,
        page_size: int = catalog.LARGEST_PAGE,
        timeout: float | None = None,
    ) -> Generator[ProductPage]:
        """Iterate over all products page by page, each product once.

        The filters and ``sort`` are those of `products`. ``page_size`` is the number of products per request
        (1..10,000), and ``timeout`` applies to each request. A row that appears again because prices changed
        between two requests is left out.
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
        sort: ProductSort | SortName | None = None,
        page_size: int = catalog.LARGEST_PAGE,
        timeout: float | None = None,
    ) -> Generator[Product]:
        """Iterate over all products, each once; the arguments are those of `iter_product_pages`.

        >>> for product in client.catalog.iter_products(country_id=6):
        ...     print(product.name, product.price, product.available)

        The rows of a page are decoded slice by slice during the iteration, so only a part of them is in
        memory.
        """
        walk = ProductWalk(
            country_id=country_id,
            platform_id=platform_id,
            operator_id=operator_id,
            sort=sort,
            page_size=page_size,
        )
        return products_of(self._driver, walk, timeout)

    def exchange_rate(self, *, pair: str = "USD/IDR", timeout: float | None = None) -> ExchangeRate:
        """Read an exchange rate; v2 ignores ``pair``. Raises `NotFoundError` for an unknown ``pair``."""
        return (self._driver.run(catalog.exchange_rate(pair=pair), timeout)).data

    def find(
        self,
        *unnamed: Never,
        service: ServiceRef | None = None,
        country: CountryRef | None = None,
        operator: OperatorRef | Sequence[OperatorRef] | None = None,
        max_price: Price | None = None,
        in_stock: bool = True,
        min_stock: int = 1,
        timeout: float | None = None,
    ) -> list[Product]:
        """Find the products of a service in a country, cheapest first.

        >>> products = client.catalog.find(service="WhatsApp", country="ID", max_price="0.50")
        >>> print(products[0].catalog_product_id, products[0].price)

        ``service``, ``country`` and ``operator`` are ids, codes or names ("wa", "WhatsApp", "whatsapp"), in
        any case; None means any. "UK", "USA" and dial codes such as "+62" are names of countries, too.
        ``operator`` can be a list of operators; an operator's name needs a service and a country.
        ``max_price`` is as in `orders.create`. ``in_stock`` leaves out products that are inactive or of which
        less than ``min_stock`` (1) are available. The list is empty if nothing matches. ``timeout`` is the
        total seconds for all requests; lists of countries and services are cached for ten minutes.

        Raises `InvalidArgumentError` for a name that no row or several rows have; the message lists the
        closest.
        """
        if unnamed:
            raise arguments.unnamed("catalog.find", "service='whatsapp'")
        names = ProductNames.of(service, country, operator)
        product_filter = ProductFilter.of(self._driver.version, max_price, in_stock, min_stock=min_stock)
        deadline = self._driver.deadline(CallKind.READ, timeout)
        return RowList(self._finder.find(names, product_filter, deadline))
