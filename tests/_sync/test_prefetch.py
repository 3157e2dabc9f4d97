# Generated from tests/_async/test_prefetch.py by `nox -s generate`: change that file, not this one.

"""Reading the next page of the catalog while the one before is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from smscode import ClientStateError, InvalidArgumentError, NetworkError, Product
from smscode._concurrency import Event

from ..concurrency import VirtualClient
from .helpers import Script, still_sandbox, success

pytestmark = pytest.mark.anyio


def product_page(*ids: int) -> httpx.Response:
    rows: list[dict[str, Any]] = [{"id": row, "available": 5, "price": 15_000, "active": True} for row in ids]
    return success(rows, page=1, limit=2, count=len(ids))


class Watched(Script):
    """Notes when the second request arrives."""

    def __init__(self, results: list[httpx.Response | Exception]) -> None:
        super().__init__(results)
        self.second = Event()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self.requests:
            self.second.set()
        return super().handle_request(request)


def scripted(script: Script) -> VirtualClient:
    return VirtualClient(still_sandbox(), transport=script, api_version="v1")


def collect(products: Iterator[Product], seen: list[int]) -> None:
    """Keep what came before an error."""
    for product in products:
        seen.append(product.id)


def one_of(products: Iterator[Product]) -> int:
    """Read one product, and leave the others."""
    for product in products:
        return product.id
    raise AssertionError("there is none")


def break_off(client: VirtualClient) -> None:
    with client.catalog.prefetch_products(page_size=2) as products:
        assert one_of(products) == 1
        raise KeyError("mine")


def test_it_gives_what_the_iteration_gives() -> None:
    with VirtualClient(still_sandbox()) as client:
        for options in ({}, {"page_size": 1}, {"page_size": 7}, {"country_id": 6, "sort": "name_desc"}):
            arguments: dict[str, Any] = options
            whole = [product for product in client.catalog.iter_products(**arguments)]
            with client.catalog.prefetch_products(**arguments) as products:
                assert [product for product in products] == whole


def test_a_page_with_nothing_new_ends_it_too() -> None:
    script = Script([product_page(1, 2), product_page(2, 1), product_page(3)])
    with scripted(script) as client:
        with client.catalog.prefetch_products(page_size=2) as products:
            assert [product.id for product in products] == [1, 2]


def test_one_page_is_read_ahead_and_no_more() -> None:
    script = Watched([product_page(1, 2), product_page(3, 4), product_page(5)])
    with scripted(script) as client:
        with client.catalog.prefetch_products(page_size=2) as products:
            seen = [one_of(products)]
            assert script.second.wait(10)
            seen.append(one_of(products))
            assert len(script.requests) == 2
            collect(products, seen)
    assert seen == [1, 2, 3, 4, 5]
    assert len(script.requests) == 3


def test_an_error_comes_where_the_iteration_gets_there() -> None:
    script = Watched([product_page(1, 2), *[httpx.ConnectError("no")] * 4])
    seen: list[int] = []
    with scripted(script) as client:
        with client.catalog.prefetch_products(page_size=2, timeout=9) as products:
            with pytest.raises(NetworkError) as caught:
                collect(products, seen)
            collect(products, seen)
    assert (seen, caught.value.attempts) == ([1, 2], 4)


def test_leaving_early_ends_what_is_under_way_and_the_client_goes_on() -> None:
    script = Watched([product_page(1, 2), *[product_page(3, 4)] * 2])
    with scripted(script) as client:
        with client.catalog.prefetch_products(page_size=2) as products:
            assert one_of(products) == 1
            assert script.second.wait(10)
        assert [product for product in products] == []
        assert (client.catalog.products()).items[0].id == 3


def test_an_error_of_the_block_comes_out_as_it_is() -> None:
    script = Watched([product_page(1, 2), product_page(3, 4)])
    with scripted(script) as client:
        with pytest.raises(KeyError, match="mine"):
            break_off(client)


def test_without_products_there_is_nothing() -> None:
    with scripted(Watched([product_page()])) as client:
        with client.catalog.prefetch_products() as products:
            assert [product for product in products] == []


def test_nothing_is_read_before_it_begins_or_by_a_closed_client() -> None:
    script = Watched([])
    client = scripted(script)
    with pytest.raises(InvalidArgumentError, match="page_size"):
        client.catalog.prefetch_products(page_size=0)
    prefetch = client.catalog.prefetch_products()
    client.close()
    with prefetch as products:
        with pytest.raises(ClientStateError):
            one_of(products)
    assert script.requests == []
