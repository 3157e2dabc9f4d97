"""Finds products by names, with lists of countries and services that are kept for a while."""

from __future__ import annotations

from collections.abc import Callable

from ..core.api import catalog
from ..core.paging import ProductWalk
from ..core.product_search import KEPT, NameOrId, ProductFilter, cheapest_first
from ..core.timeouts import check_seconds
from ..errors import InvalidArgumentError
from ..models import Country, Product, Service
from .cached_list import AsyncCachedList
from .driver import AsyncDriver

_HARDLY_ANY = 1e-9


class AsyncProductSearch:
    """The searches of one client."""

    def __init__(self, driver: AsyncDriver) -> None:
        self._driver = driver
        self._countries: AsyncCachedList[Country] = AsyncCachedList(driver, catalog.countries, KEPT)
        self._services: AsyncCachedList[Service] = AsyncCachedList(driver, catalog.services, KEPT)

    async def find(
        self,
        service: NameOrId,
        country: NameOrId,
        operator: NameOrId,
        wish: ProductFilter,
        timeout: float | None,
    ) -> list[Product]:
        """Find the products of a service in a country, by an operator, that are as wished."""
        if operator.text is not None and None in (service.text or service.id, country.text or country.id):
            raise InvalidArgumentError("operator: give service and country, too, or the operator's id.")
        left = self._countdown(timeout)
        platform_id, country_id, operator_id = service.id, country.id, operator.id
        if service.text is not None:
            platform_id = service.among(await self._services.rows(left)).id
        if country.text is not None:
            country_id = country.among(await self._countries.rows(left)).id
        if operator.text is not None:
            assert country_id is not None
            assert platform_id is not None
            call = catalog.operators(country_id=country_id, platform_id=platform_id)
            operator_id = operator.among((await self._driver.run(call, left())).data).operator_id
        walk = ProductWalk(country_id=country_id, platform_id=platform_id, operator_id=operator_id)
        found: list[Product] = []
        while (page_call := walk.next_call()) is not None:
            page = walk.feed((await self._driver.run(page_call, left())).data)
            if page is not None:
                found += wish.grants(page.items, page.fx)
        return cheapest_first(found)

    def _countdown(self, timeout: float | None) -> Callable[[], float | None]:
        """Return a function that tells the seconds left; one call after the end is the one that fails."""
        if timeout is None:
            return lambda: None
        deadline = self._driver.runtime.now() + check_seconds("timeout", timeout)
        return lambda: max(deadline - self._driver.runtime.now(), _HARDLY_ANY)
