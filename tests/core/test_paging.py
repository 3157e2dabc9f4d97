"""Walks through moving lists: every row once, and an end, whatever the server answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, cast

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from smscode import (
    FxRate,
    InvalidArgumentError,
    InvalidResponseError,
    Money,
    Order,
    OrderPage,
    Product,
    ProductPage,
)
from smscode.core import paging
from smscode.core.api.call import Call
from smscode.core.paging import OrderWalk, ProductWalk, Walk

from .support import NULLABLE

P = TypeVar("P", ProductPage, OrderPage)
FX = FxRate("USD/IDR", 16250)


def products(ids: Iterable[int], page: int, limit: int, count: int | None = None) -> ProductPage:
    items = tuple(Product(number, 1, Money.idr(number + 1), True) for number in ids)
    return ProductPage(items, page, limit, len(items) if count is None else count, FX)


def orders(ids: Iterable[int], call: Call[OrderPage]) -> OrderPage:
    blank: dict[str, Any] = dict.fromkeys(NULLABLE)
    items = tuple(
        Order(id=number, status="ACTIVE", product_id=1, amount=Money.idr(1), **blank) for number in ids
    )
    return OrderPage(items, int(call.query["limit"]), int(call.query["offset"]), FX)


def walked(
    walk: Walk[P], serve: Callable[[Call[P]], P], most: int = 200, *, rows: bool = True
) -> tuple[list[Call[P]], list[P]]:
    """Walk to the end; return the calls and the pages, each of which has ``rows``."""
    made: list[Call[P]] = []
    pages: list[P] = []
    while (call := walk.next_call()) is not None:
        made.append(call)
        assert len(made) <= most, "the walk does not end"
        page = walk.feed(serve(call))
        if page is not None:
            assert not rows or len(page) > 0
            pages.append(page)
    return made, pages


def ids(pages: Sequence[ProductPage | OrderPage]) -> list[int]:
    return [item.id for page in pages for item in page.items]


def catalog(size: int, largest: int = 10_000) -> Callable[[Call[ProductPage]], ProductPage]:
    """Make a healthy server of ``size`` products that allows ``largest`` per page."""

    def serve(call: Call[ProductPage]) -> ProductPage:
        page, limit = int(call.query["page"]), min(int(call.query["limit"]), largest)
        return products(range(size)[(page - 1) * limit : page * limit], page, limit)

    return serve


def history(size: int) -> Callable[[Call[OrderPage]], OrderPage]:
    """Make a healthy server of ``size`` orders."""

    def serve(call: Call[OrderPage]) -> OrderPage:
        limit, offset = int(call.query["limit"]), int(call.query["offset"])
        return orders(range(size)[offset : offset + limit], call)

    return serve


@pytest.mark.parametrize(
    ("size", "page_size", "requests"),
    [(0, 10, 1), (1, 10, 1), (9, 10, 1), (10, 10, 2), (25, 10, 3), (30, 10, 4)],
)
def test_every_product_comes_once(size: int, page_size: int, requests: int) -> None:
    made, pages = walked(ProductWalk(page_size=page_size), catalog(size))
    assert ids(pages) == list(range(size))
    assert [call.query["page"] for call in made] == list(range(1, requests + 1))


def test_a_page_size_that_the_server_cuts_down_is_followed() -> None:
    made, pages = walked(ProductWalk(page_size=10_000), catalog(25, largest=10))
    assert ids(pages) == list(range(25))
    assert [(call.query["page"], call.query["limit"]) for call in made] == [(1, 10_000), (2, 10), (3, 10)]


def test_the_filters_go_with_every_page() -> None:
    walk = ProductWalk(country_id=6, platform_id=3, operator_id=18, sort="name_asc", page_size=10)
    made, _ = walked(walk, catalog(25))
    kept = {"country_id": 6, "platform_id": 3, "operator_id": 18, "sort": "name_asc"}
    for call in made:
        assert kept.items() <= call.query.items()


def test_the_whole_catalog_is_asked_for_in_the_largest_pages() -> None:
    call = ProductWalk().next_call()
    assert call is not None
    assert dict(call.query) == {"page": 1, "limit": 10_000}


def test_a_page_keeps_what_the_server_said_about_it() -> None:
    answers = iter([products([1, 2], 1, 2), products([2, 3], 2, 2), products([4], 3, 2)])
    _, pages = walked(ProductWalk(page_size=2), lambda _: next(answers))
    assert [ids([page]) for page in pages] == [[1, 2], [3], [4]]
    assert [(page.page, page.limit, page.count, page.fx) for page in pages] == [
        (1, 2, 2, FX),
        (2, 2, 2, FX),
        (3, 2, 1, FX),
    ]


def test_a_row_that_moved_to_the_next_page_or_is_twice_on_one_comes_once() -> None:
    answers = iter([products([1, 2, 2], 1, 3), products([3, 1, 4], 2, 3), products([5], 3, 3)])
    _, pages = walked(ProductWalk(page_size=3), lambda _: next(answers))
    assert ids(pages) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("twice", [0, 2, 256, 65_280, 10**9])
def test_an_id_of_any_size_that_is_twice_on_one_page_comes_once(twice: int) -> None:
    answers = iter([products([twice, twice], 1, 2), products([], 2, 2)])
    _, pages = walked(ProductWalk(page_size=2), lambda _: next(answers))
    assert ids(pages) == [twice]


@pytest.mark.parametrize("new", [0, 3, 256, 257, 512, 10**9])
def test_an_id_of_any_size_beside_one_that_was_seen_is_new(new: int) -> None:
    answers = iter([products([1, 2], 1, 2), products([2, new], 2, 2), products([], 3, 2)])
    _, pages = walked(ProductWalk(page_size=2), lambda _: next(answers))
    assert ids(pages) == [1, 2, new]


def test_ids_near_those_of_an_earlier_page_are_new() -> None:
    answers = iter([products([257, 511], 1, 2), products([256, 258], 2, 2), products([], 3, 2)])
    _, pages = walked(ProductWalk(page_size=2), lambda _: next(answers))
    assert ids(pages) == [257, 511, 256, 258]


def test_a_catalog_of_which_no_row_can_be_read_is_left_after_thirty_one_pages() -> None:
    walk = ProductWalk(page_size=2)
    for _ in range(30):
        walk.see_rows(0, 2)
        assert walk.next_call() is not None
    walk.see_rows(0, 2)
    assert walk.next_call() is None


def test_a_page_with_a_row_that_can_be_read_starts_the_count_of_pages_without_any_anew() -> None:
    walk = ProductWalk(page_size=2)
    for _ in range(30):
        walk.see_rows(0, 2)
    walk.see_rows(1, 1)
    for _ in range(30):
        walk.see_rows(0, 2)
        assert walk.next_call() is not None
    walk.see_rows(0, 2)
    assert walk.next_call() is None


def test_rows_that_cannot_be_read_are_reported_and_count_for_the_offset_of_the_next_page() -> None:
    def serve(call: Call[OrderPage]) -> OrderPage:
        shown = {0: orders([1], call), 2: orders([], call), 4: orders([2, 3], call), 6: orders([], call)}
        page = shown[int(call.query["offset"])]
        return evolve(page, problems=("a row",) * (2 - len(page)) if page.offset < 4 else ())

    walk, found = OrderWalk(page_size=2), list[OrderPage | None]()
    while (call := walk.next_call()) is not None:
        found.append(walk.feed(serve(call)))
    assert [None if page is None else (ids([page]), len(page.problems)) for page in found] == [
        ([1], 1),
        ([], 2),
        ([2, 3], 0),
        None,
    ]


def test_a_server_that_ignores_the_page_is_asked_twice() -> None:
    made, pages = walked(ProductWalk(page_size=3), lambda _: products([1, 2, 3], 1, 3))
    assert len(made) == 2
    assert ids(pages) == [1, 2, 3]


@pytest.mark.parametrize("limit", [0, -5])
def test_a_server_with_a_senseless_limit_is_still_asked_for_something(limit: int) -> None:
    def serve(call: Call[ProductPage]) -> ProductPage:
        page = int(call.query["page"])
        return products([page] if page < 4 else [], page, limit)

    made, pages = walked(ProductWalk(), serve)
    assert [call.query["limit"] for call in made[1:]] == [1, 1, 1]
    assert ids(pages) == [1, 2, 3]


def test_the_servers_word_on_a_short_page_is_believed() -> None:
    made, pages = walked(ProductWalk(page_size=2), lambda _: products([1, 2], 1, 2, count=1))
    assert (len(made), ids(pages)) == (1, [1, 2])


def test_an_endless_server_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "_MOST_ROWS", 50)

    def endless(call: Call[ProductPage]) -> ProductPage:
        page = int(call.query["page"])
        return products(range(page * 10, page * 10 + 10), page, 10)

    with pytest.raises(InvalidResponseError, match="The list does not end"):
        walked(ProductWalk(page_size=10), endless)
    with pytest.raises(InvalidResponseError, match="The list does not end") as ended:
        walked(OrderWalk(page_size=10), history(10**6))
    assert ended.value.outcome == "unknown"


def test_the_limit_of_rows_counts_each_row_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(paging, "_MOST_ROWS", 20)
    served = [range(1, 11), range(1, 11), range(5, 15), range(11, 21)]
    answers = iter([*served, range(0)])
    _, pages = walked(OrderWalk(page_size=10), lambda call: orders(next(answers), call))
    assert ids(pages) == list(range(1, 21))
    answers = iter([*served, range(12, 22)])
    with pytest.raises(InvalidResponseError, match="The list does not end"):
        walked(OrderWalk(page_size=10), lambda call: orders(next(answers), call))


def test_a_walk_that_ended_stays_ended() -> None:
    products_walk, orders_walk = ProductWalk(page_size=2), OrderWalk(page_size=2)
    first = orders_walk.next_call()
    assert first is not None
    products_walk.feed(products([1], 1, 2))
    orders_walk.feed(orders([1], first))
    assert products_walk.feed(products([2, 3], 2, 2)) is not None
    assert orders_walk.feed(orders([2, 3], first)) is not None
    assert products_walk.next_call() is None
    assert orders_walk.next_call() is None


@pytest.mark.parametrize(("size", "offsets"), [(0, [0]), (9, [0]), (10, [0, 10]), (25, [0, 10, 20])])
def test_every_order_comes_once(size: int, offsets: list[int]) -> None:
    made, pages = walked(OrderWalk(page_size=10, status=cast(Any, "active")), history(size))
    assert ids(pages) == list(range(size))
    assert [call.query["offset"] for call in made] == offsets
    assert {call.query["status"] for call in made} == {"ACTIVE"}
    assert all(page.fx == FX for page in pages)


def test_orders_placed_meanwhile_push_old_ones_down_and_neither_repeats_nor_hides_them() -> None:
    placed = list(range(100, 0, -1))

    def serve(call: Call[OrderPage]) -> OrderPage:
        limit, offset = int(call.query["limit"]), int(call.query["offset"])
        found = orders(placed[offset : offset + limit], call)
        placed[:0] = range(placed[0] + 7, placed[0], -1)  # most of a page between any two reads
        return found

    made, pages = walked(OrderWalk(page_size=10), serve)
    assert ids(pages) == list(range(100, 0, -1))
    assert len(made) == 1 + 30 + 1, "ten rows, three more with each read, and a short page"


def test_a_list_of_orders_of_which_no_row_can_be_read_is_left_after_thirty_one_pages() -> None:
    walk = OrderWalk(page_size=2)
    made, _ = walked(walk, lambda call: evolve(orders([], call), problems=("a row",) * 2), rows=False)
    assert [call.query["offset"] for call in made] == list(range(0, 62, 2))


def test_a_server_that_ignores_the_offset_is_left_after_thirty_repeated_pages() -> None:
    made, pages = walked(OrderWalk(page_size=3), lambda call: orders([1, 2, 3], call))
    assert len(made) == 32
    assert ids(pages) == [1, 2, 3]


def test_repeated_pages_with_something_new_between_them_are_no_reason_to_stop() -> None:
    reads = iter(range(1000))

    def serve(call: Call[OrderPage]) -> OrderPage:
        number = next(reads)
        new = number // 25  # 24 repeated pages, then a new row
        return orders([new, 10_001] if number < 250 else [], call)

    _, pages = walked(OrderWalk(page_size=2), serve, most=300)
    assert ids(pages) == [0, 10_001, *range(1, 10)]


@pytest.mark.parametrize("walk", [ProductWalk, OrderWalk])
@pytest.mark.parametrize("page_size", [0, -1, 10**9, 1.5, True, "10"])
def test_a_page_size_out_of_range_is_refused(walk: Any, page_size: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"\Apage_size: expected an int of 1\.\."):
        walk(page_size=page_size)


rows = st.lists(st.integers(1, 12), max_size=6)


@given(st.lists(st.tuples(rows, st.integers(-3, 8), st.integers(-3, 8), st.integers(-2, 9)), min_size=1))
def test_no_catalog_server_can_keep_a_walk_from_ending(
    answers: list[tuple[list[int], int, int, int]],
) -> None:
    served = iter(answers * 20)

    def adversary(_: Call[ProductPage]) -> ProductPage:
        found, page, limit, count = next(served)
        return products(found, page, limit, count)

    made, pages = walked(ProductWalk(), adversary, most=14)
    assert len(set(ids(pages))) == len(ids(pages))
    assert len(made) - 1 <= len(ids(pages)) <= 12


@given(st.lists(rows, min_size=1, max_size=8), st.integers(1, 6))
def test_no_order_server_can_keep_a_walk_from_ending(answers: list[list[int]], page_size: int) -> None:
    served = iter(answers * 1000)
    _, pages = walked(OrderWalk(page_size=page_size), lambda call: orders(next(served), call), most=14 * 31)
    assert len(set(ids(pages))) == len(ids(pages))


def test_a_page_is_a_page_of_its_own_and_the_servers_stays_whole() -> None:
    page = products([1, 1, 2], 1, 10)
    fed = ProductWalk().feed(page)
    assert fed == evolve(page, items=page.items[1:])
    assert len(page) == 3
