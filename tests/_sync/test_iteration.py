# Generated from tests/_async/test_iteration.py by `nox -s generate`: change that file, not this one.

"""Walking through the catalog and the orders."""

from __future__ import annotations

from collections.abc import Iterator, Callable
from itertools import pairwise
from typing import Any, Literal

import httpx
import pytest

from smscode import InvalidArgumentError, InvalidResponseError, NetworkError, Product

from ..concurrency import VirtualClient
from .helpers import Script, rent, still_sandbox, success

pytestmark = pytest.mark.anyio

Version = Literal["v1", "v2"]
Generation = Literal["documented", "current"]

CREATED = "2026-06-14T04:00:12Z"


def product_row(product_id: int) -> dict[str, Any]:
    return {"id": product_id, "available": 5, "price": 15_000, "active": True}


def product_page(ids: list[int], limit: int) -> httpx.Response:
    return success([product_row(row) for row in ids], page=1, limit=limit, count=len(ids))


def order_row(order_id: int) -> dict[str, Any]:
    ends = ("phone_number", "otp_code", "otp_received_at", "expires_at", "canceled_at", "failed_reason")
    row = {"id": order_id, "status": "ACTIVE", "created_at": CREATED, "product_id": 142, "amount": 15_000}
    return {**row, **dict.fromkeys(ends)}


def order_page(ids: list[int]) -> httpx.Response:
    return success([order_row(row) for row in ids])


class Endless(Script):
    """Answers every request with the result of a function of its number."""

    def __init__(self, answer: Callable[[int], httpx.Response]) -> None:
        super().__init__([])
        self._answer = answer

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self._answer(len(self.requests))


def scripted(script: Script) -> VirtualClient:
    return VirtualClient(still_sandbox(), transport=script, api_version="v1")


def queries(script: Script, *names: str) -> list[tuple[str, ...]]:
    return [tuple(request.url.params[name] for name in names) for request in script.requests]


def collect(products: Iterator[Product], seen: list[Product]) -> None:
    """Keep what came before an error."""
    for product in products:
        seen.append(product)


def named(arguments: dict[str, Any]) -> str:
    """Return what names the wrong argument: the page size is the service's limit."""
    name = next(iter(arguments))
    return "page_size|limit" if name == "page_size" else name


def test_all_products_come_once_whatever_the_page_size(
    version: Version, generation: Generation
) -> None:
    sandbox = still_sandbox(generation=generation)
    with VirtualClient(sandbox, api_version=version) as client:
        whole = [product for product in client.catalog.iter_products()]
        assert whole == list(client.catalog.products())
        for size in (1, 7, len(whole), len(whole) + 1):
            assert [product for product in client.catalog.iter_products(page_size=size)] == whole


def test_filters_and_order_hold_for_all_pages(version: Version) -> None:
    sandbox = still_sandbox()
    script = Script([], sandbox.transport())
    with VirtualClient(sandbox, transport=script, api_version=version) as client:
        pages = [
            page
            for page in client.catalog.iter_product_pages(
                country_id=6, platform_id=3, sort="price_desc", page_size=1
            )
        ]
    prices = [product.price for page in pages for product in page]
    assert prices == sorted(prices, reverse=True)
    assert [page.page for page in pages] == [1, 2, 3]
    assert queries(script, "country_id", "platform_id", "sort", "page", "limit") == [
        ("6", "3", "price_desc", str(page), "1") for page in (1, 2, 3, 4)
    ]


def test_a_limit_the_server_lowered_is_followed() -> None:
    script = Script([product_page([1, 2], 2), product_page([3, 4], 2), product_page([5], 2)])
    with scripted(script) as client:
        assert [product.id for product in client.catalog.iter_products()] == [1, 2, 3, 4, 5]
    assert queries(script, "page", "limit") == [("1", "10000"), ("2", "2"), ("3", "2")]


def test_rows_that_come_again_are_dropped() -> None:
    script = Script([product_page([1, 2], 2), product_page([2, 3], 2), product_page([3], 2)])
    with scripted(script) as client:
        pages = [page for page in client.catalog.iter_product_pages(page_size=2)]
    assert [[product.id for product in page] for page in pages] == [[1, 2], [3]]


def test_a_page_with_nothing_new_ends_the_catalog() -> None:
    endless = Endless(lambda number: product_page([1, 2], 2))
    with scripted(endless) as client:
        assert [product.id for product in client.catalog.iter_products(page_size=2)] == [1, 2]
    assert len(endless.requests) == 2


def test_an_empty_catalog_gives_nothing() -> None:
    with scripted(Script([product_page([], 10_000)])) as client:
        assert [page for page in client.catalog.iter_product_pages()] == []


def test_a_catalog_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smscode.core.paging._MOST_ROWS", 10)
    endless = Endless(lambda number: product_page([3 * number, 3 * number + 1, 3 * number + 2], 3))
    seen: list[Product] = []
    with scripted(endless) as client:
        with pytest.raises(InvalidResponseError, match="does not end"):
            collect(client.catalog.iter_products(page_size=3), seen)
    assert len(seen) == 9


def test_products_come_page_by_page_as_they_are_asked_for() -> None:
    sandbox = still_sandbox()
    with VirtualClient(sandbox) as client:
        taken = 0
        for _ in client.catalog.iter_products(page_size=10):
            taken += 1
            assert sandbox.requests["GET /catalog/products"] == (taken + 9) // 10
        assert taken > 20


def test_others_have_a_turn_before_every_thousandth_row() -> None:
    script = Script([product_page(list(range(1, 2_502)), 2_501), product_page([], 2_501)])
    with scripted(script) as client:
        turns: list[int] = []
        for product in client.catalog.iter_products(page_size=2_501):
            if len(client.runtime.slept) > len(turns):
                turns += [product.id] * (len(client.runtime.slept) - len(turns))
    assert turns[0] == 1
    assert all(0 < later - earlier <= 1_000 for earlier, later in pairwise(sorted({*turns, 2_502})))


def long_page(*rows: dict[str, Any]) -> httpx.Response:
    return success([*rows], page=1, limit=10_000, count=len(rows))


@pytest.mark.parametrize("plain", [0, 700])
def test_a_page_that_cannot_be_read_bit_by_bit_is_read_as_a_whole(
    plain: int, caplog: pytest.LogCaptureFixture
) -> None:
    # Wherever the answer is cut after the plain rows, it is cut inside a name.
    odd = ({**product_row(row), "name": "},{" * 400} for row in range(plain + 1, plain + 201))
    rows = [*map(product_row, range(1, plain + 1)), *odd]
    rows[-3]["available"] = "many"
    script = Script([long_page(*rows)])
    with scripted(script) as client:
        found = [product.id for product in client.catalog.iter_products()]
    assert found == [row["id"] for row in rows if row is not rows[-3]]
    assert f"$.data[{plain + 197}].available: expected an integer, got a string" in caplog.text
    assert len(script.requests) == 1


def test_a_page_that_is_no_json_in_the_middle_is_an_error_after_the_rows_before() -> None:
    body = long_page(*map(product_row, range(1, 2_001))).content
    place = body.index(b'"id":1500,')
    broken = httpx.Response(200, content=body[:place] + b'"id";' + body[place + 5 :])
    script, seen = Script([broken]), list[Product]()
    with scripted(script) as client:
        with pytest.raises(InvalidResponseError, match="data: expected an array of objects") as caught:
            collect(client.catalog.iter_products(), seen)
    assert [product.id for product in seen] == list(range(1, len(seen) + 1))
    assert (caught.value.outcome, caught.value.trouble) == ("unknown", "unexpected data")
    assert 0 < len(seen) < 1_500


@pytest.mark.parametrize("count", [10, 3_000])
def test_a_row_that_cannot_be_read_is_left_out_and_logged(
    count: int, caplog: pytest.LogCaptureFixture
) -> None:
    rows: list[dict[str, Any]] = [product_row(row) for row in range(1, count + 1)]
    rows[count // 2]["available"] = "many"
    page = long_page(*rows)
    with scripted(Script([page, page, page])) as client:
        found = [product.id for product in client.catalog.iter_products()]
        again = [product.id for product in client.catalog.iter_products()]
        whole = client.catalog.products(limit=10_000)
    assert found == again == [row["id"] for row in rows if row["id"] != count // 2 + 1]
    assert [product.id for product in whole] == found
    said = f"$.data[{count // 2}].available: expected an integer, got a string"
    assert whole.problems == (said,)
    assert caplog.messages == [
        f"catalog.products: rows that cannot be read were left out: id {count // 2 + 1}, {said}."
    ]


def test_pages_of_which_nothing_can_be_read_do_not_end_a_list() -> None:
    odd = [{**product_row(row), "active": None} for row in (1, 2)]
    pages = [
        success(rows, page=number, limit=2, count=len(rows))
        for number, rows in enumerate([odd, [product_row(3), product_row(4)], [odd[0]]], 1)
    ]
    with scripted(Script(pages)) as client:
        assert [product.id for product in client.catalog.iter_products(page_size=2)] == [3, 4]
    with scripted(Script(pages)) as client:
        found = [page for page in client.catalog.iter_product_pages(page_size=2)]
    assert [(len(page.items), len(page.problems)) for page in found] == [(0, 2), (2, 0), (0, 1)]
    endless = [success(odd, page=1, limit=2, count=2)] * 40
    with scripted(Script(endless)) as client:
        assert [product for product in client.catalog.iter_products(page_size=2)] == []


def test_an_error_comes_through_where_it_happens() -> None:
    failures = [httpx.ConnectError("no")] * 4
    script = Script([product_page([1, 2], 2), *failures])
    seen: list[Product] = []
    with scripted(script) as client:
        with pytest.raises(NetworkError) as caught:
            collect(client.catalog.iter_products(page_size=2, timeout=9), seen)
    assert ([product.id for product in seen], caught.value.attempts) == ([1, 2], 4)
    assert [request.extensions["timeout"]["pool"] for request in script.requests[:2]] == [9, 9]


def test_all_orders_come_once(version: Version) -> None:
    sandbox = still_sandbox(otp_after=None)
    with VirtualClient(sandbox, api_version=version) as client:
        created = client.orders.create(catalog_product_id=88, quantity=7)
        newest = [order.id for order in created][::-1]
        for size in (1, 3, 7, 100):
            assert [order.id for order in client.orders.iter(page_size=size)] == newest


def test_orders_placed_meanwhile_are_not_shown() -> None:
    sandbox = still_sandbox(otp_after=None)
    with VirtualClient(sandbox) as client:
        created = client.orders.create(catalog_product_id=88, quantity=5)
        seen: list[int] = []
        for order in client.orders.iter(page_size=2):
            seen.append(order.id)
            if len(seen) < 4:
                rent(client)
    assert seen == [order.id for order in created][::-1]


def test_order_pages_that_only_repeat_come_to_an_end() -> None:
    endless = Endless(lambda number: order_page([1, 2]))
    with scripted(endless) as client:
        assert [order.id for order in client.orders.iter(page_size=2)] == [1, 2]
    assert 2 < len(endless.requests) < 100
    assert queries(endless, "offset", "limit")[:3] == [("0", "2"), ("2", "2"), ("4", "2")]


@pytest.mark.parametrize(
    "arguments",
    [{"page_size": 0}, {"page_size": 10_001}, {"sort": "cheap"}, {"country_id": "6"}, {"operator_id": 0}],
)
def test_arguments_are_checked_before_the_first_product_is_asked_for(arguments: dict[str, Any]) -> None:
    client = VirtualClient(still_sandbox())
    for iterate in (client.catalog.iter_products, client.catalog.iter_product_pages):
        with pytest.raises(InvalidArgumentError, match=named(arguments)):
            iterate(**arguments)


@pytest.mark.parametrize("arguments", [{"page_size": 0}, {"page_size": 101}, {"status": "GONE"}])
def test_arguments_are_checked_before_the_first_order_is_asked_for(arguments: dict[str, Any]) -> None:
    client = VirtualClient(still_sandbox())
    with pytest.raises(InvalidArgumentError, match=named(arguments)):
        client.orders.iter(**arguments)
