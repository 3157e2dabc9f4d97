# Generated from smscode/_async/product_search.py by `nox -s generate`: change that file, not this one.

"""Finds products by names, with cached lists of countries and services."""

from __future__ import annotations

from ..core.api import catalog
from ..core.paging import ProductWalk
from ..core.product_search import KEPT, ProductFilter, ProductNames, cheapest_first
from ..errors import InvalidArgumentError
from ..models import Country, Product, Service
from .cached_list import CachedList
from .driver import Driver


class ProductSearch:
    """The searches of one client."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._countries: CachedList[Country] = CachedList(driver, catalog.countries, KEPT)
        self._services: CachedList[Service] = CachedList(driver, catalog.services, KEPT)

    def find(
        self, names: ProductNames, product_filter: ProductFilter, deadline: float
    ) -> list[Product]:
        """Find the products of a service, country and operators that match the filter, cheapest first."""
        service, country = names.service, names.country
        for operator in names.operators:
            if operator.text is not None and None in (service.text or service.id, country.text or country.id):
                raise InvalidArgumentError("operator: give service and country, too, or the operator's id.")
        platform_id, country_id = service.id, country.id
        if service.text is not None:
            platform_id = service.among(self._services.rows(deadline)).id
        if country.text is not None:
            country_id = country.among(self._countries.rows(deadline)).id
        operator_ids = [operator.id for operator in names.operators]
        if any(operator.text is not None for operator in names.operators):
            assert country_id is not None
            assert platform_id is not None
            call = catalog.operators(country_id=country_id, platform_id=platform_id)
            rows = (self._driver.run(call, deadline=deadline)).data
            operator_ids = [operator.identify(rows) for operator in names.operators]
        found: list[Product] = []
        for operator_id in dict.fromkeys(operator_ids):
            walk = ProductWalk(country_id=country_id, platform_id=platform_id, operator_id=operator_id)
            while (page_call := walk.next_call()) is not None:
                page = walk.feed((self._driver.run(page_call, deadline=deadline)).data)
                if page is not None:
                    found += product_filter.select(page.items, page.fx)
        return cheapest_first(found)
