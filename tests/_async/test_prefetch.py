"""Reading the next page of the catalog while the one before is used."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from smscode import ClientStateError, InvalidArgumentError, NetworkError, Product
from smscode._concurrency import AsyncEvent

from ..concurrency import AsyncVirtualClient
from .helpers import AsyncScript, still_sandbox, success

pytestmark = pytest.mark.anyio


def product_page(*ids: int) -> httpx.Response:
    rows: list[dict[str, Any]] = [{"id": row, "available": 5, "price": 15_000, "active": True} for row in ids]
    return success(rows, page=1, limit=2, count=len(ids))


class AsyncWatched(AsyncScript):
    """Notes when the second request arrives."""

    def __init__(self, results: list[httpx.Response | Exception]) -> None:
        super().__init__(results)
        self.second = AsyncEvent()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.requests:
            self.second.set()
        return await super().handle_async_request(request)


def scripted(script: AsyncScript) -> AsyncVirtualClient:
    return AsyncVirtualClient(still_sandbox(), transport=script, api_version="v1")


async def collect(products: AsyncIterator[Product], seen: list[int]) -> None:
    """Keep what came before an error."""
    async for product in products:
        seen.append(product.id)


async def one_of(products: AsyncIterator[Product]) -> int:
    """Read one product, and leave the others."""
    async for product in products:
        return product.id
    raise AssertionError("there is none")


async def break_off(client: AsyncVirtualClient) -> None:
    async with client.catalog.prefetch_products(page_size=2) as products:
        assert await one_of(products) == 1
        raise KeyError("mine")


async def test_it_gives_what_the_iteration_gives() -> None:
    async with AsyncVirtualClient(still_sandbox()) as client:
        for options in ({}, {"page_size": 1}, {"page_size": 7}, {"country_id": 6, "sort": "name_desc"}):
            arguments: dict[str, Any] = options
            whole = [product async for product in client.catalog.iter_products(**arguments)]
            async with client.catalog.prefetch_products(**arguments) as products:
                assert [product async for product in products] == whole


async def test_a_page_with_nothing_new_ends_it_too() -> None:
    script = AsyncScript([product_page(1, 2), product_page(2, 1), product_page(3)])
    async with scripted(script) as client:
        async with client.catalog.prefetch_products(page_size=2) as products:
            assert [product.id async for product in products] == [1, 2]


async def test_one_page_is_read_ahead_and_no_more() -> None:
    script = AsyncWatched([product_page(1, 2), product_page(3, 4), product_page(5)])
    async with scripted(script) as client:
        async with client.catalog.prefetch_products(page_size=2) as products:
            seen = [await one_of(products)]
            assert await script.second.wait(10)
            seen.append(await one_of(products))
            assert len(script.requests) == 2
            await collect(products, seen)
    assert seen == [1, 2, 3, 4, 5]
    assert len(script.requests) == 3


async def test_an_error_comes_where_the_iteration_gets_there() -> None:
    script = AsyncWatched([product_page(1, 2), *[httpx.ConnectError("no")] * 4])
    seen: list[int] = []
    async with scripted(script) as client:
        async with client.catalog.prefetch_products(page_size=2, timeout=9) as products:
            with pytest.raises(NetworkError) as caught:
                await collect(products, seen)
            await collect(products, seen)
    assert (seen, caught.value.attempts) == ([1, 2], 4)


async def test_leaving_early_ends_what_is_under_way_and_the_client_goes_on() -> None:
    script = AsyncWatched([product_page(1, 2), *[product_page(3, 4)] * 2])
    async with scripted(script) as client:
        async with client.catalog.prefetch_products(page_size=2) as products:
            assert await one_of(products) == 1
            assert await script.second.wait(10)
        assert [product async for product in products] == []
        assert (await client.catalog.products()).items[0].id == 3


async def test_an_error_of_the_block_comes_out_as_it_is() -> None:
    script = AsyncWatched([product_page(1, 2), product_page(3, 4)])
    async with scripted(script) as client:
        with pytest.raises(KeyError, match="mine"):
            await break_off(client)


async def test_without_products_there_is_nothing() -> None:
    async with scripted(AsyncWatched([product_page()])) as client:
        async with client.catalog.prefetch_products() as products:
            assert [product async for product in products] == []


async def test_nothing_is_read_before_it_begins_or_by_a_closed_client() -> None:
    script = AsyncWatched([])
    client = scripted(script)
    with pytest.raises(InvalidArgumentError, match="page_size"):
        client.catalog.prefetch_products(page_size=0)
    prefetch = client.catalog.prefetch_products()
    await client.aclose()
    async with prefetch as products:
        with pytest.raises(ClientStateError):
            await one_of(products)
    assert script.requests == []
