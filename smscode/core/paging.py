"""Iterating over lists that change while they are read.

A walk returns the call for the next page, is given the page, and returns it without the rows of earlier
pages. It always ends, whatever the server answers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import compress
from typing import Protocol, TypeVar

import attrs

from .._choices import SortName, StatusName
from ..errors import InvalidResponseError
from ..models import OrderPage, OrderStatus, Product, ProductPage, ProductSort
from .api import arguments, catalog, orders
from .api.call import Call
from .api.catalog import ProductRows

P = TypeVar("P")
T = TypeVar("T")

_MOST_ROWS = 10_000_000
_BLOCK, _BITS = 8, 255  # ids are remembered in blocks of 256
# Orders are listed newest first: each purchase moves older rows down, so they appear again on the next page.
# The create limit of 3,000 a minute can repeat this many pages between two reads; more is a faulty server.
_MOST_REPEATED_PAGES = 30
_MOST_UNREAD_PAGES = 30


class Walk(Protocol[P]):
    """A walk through the pages of a list."""

    def next_call(self) -> Call[P] | None:
        """Return the call for the next page, None at the end."""
        ...

    def feed(self, page: P) -> P | None:
        """Process the page; return a page with its new rows, None if there are none."""
        ...


class _Seen:
    """The ids that a walk has returned so far, as bits: ids are dense, and lists may be long."""

    def __init__(self) -> None:
        self._blocks: dict[int, int] = {}
        self._count = 0

    def fresh(self, ids: list[int]) -> list[bool] | None:
        """Remember ids; return for each whether it is new, or None if all surely are."""
        blocks: defaultdict[int, int] = defaultdict(int)
        for row in ids:
            blocks[row >> _BLOCK] |= 1 << (row & _BITS)
        new = None
        if sum(map(int.bit_count, blocks.values())) < len(ids) or not self._blocks.keys().isdisjoint(blocks):
            new = self._compare(ids)
        for number, block in blocks.items():
            self._blocks[number] = self._blocks.get(number, 0) | block
        self._count += len(ids) if new is None else sum(new)
        if self._count > _MOST_ROWS:
            raise InvalidResponseError("The list does not end.", outcome="unknown")
        return new

    def _compare(self, ids: list[int]) -> list[bool]:
        """Return for each id whether it is new, also compared with those before it."""
        page: set[int] = set()
        new: list[bool] = []
        for row in ids:
            known = row in page or self._blocks.get(row >> _BLOCK, 0) >> (row & _BITS) & 1
            new.append(not known)
            page.add(row)
        return new


def _only(items: Sequence[T], new: list[bool] | None) -> tuple[T, ...]:
    """Return the items that are new. ``new`` is None if all are."""
    return tuple(items) if new is None else tuple(compress(items, new))


class ProductWalk:
    """A walk through the catalog, page by page.

    It ends with a page whose ``count`` is below the server's ``limit``, which may be lower than requested, or
    that has no new rows. If prices change meanwhile, a row can appear on two pages or on none: use as few
    pages as possible for a consistent view.
    """

    def __init__(
        self,
        *,
        country_id: int | None = None,
        platform_id: int | None = None,
        operator_id: int | None = None,
        sort: ProductSort | SortName | None = None,
        page_size: int = catalog.LARGEST_PAGE,
    ) -> None:
        self._call: Call[ProductPage] | None = catalog.products(
            country_id=country_id,
            platform_id=platform_id,
            operator_id=operator_id,
            sort=sort,
            limit=arguments.integer("page_size", page_size, 1, catalog.LARGEST_PAGE),
        )
        self._seen = _Seen()
        self._unread = 0

    def next_call(self) -> Call[ProductPage] | None:
        """Return the call for the next page, None at the end."""
        return self._call

    def next_rows(self) -> Call[ProductRows] | None:
        """Return the call for the next page, to be decoded slice by slice; None at the end."""
        return None if self._call is None else catalog.product_rows(self._call)

    def feed(self, page: ProductPage) -> ProductPage | None:
        """Add the page; return its new rows as a page, None when there are none."""
        items = self.fresh(page.items)
        self.turn(page.limit, page.count)
        self.see_rows(len(items), len(page.problems))
        return attrs.evolve(page, items=items) if items or page.problems else None

    def fresh(self, products: Sequence[Product]) -> tuple[Product, ...]:
        """Return the products that were not returned before."""
        return _only(products, self._seen.fresh([product.id for product in products]))

    def turn(self, limit: int, count: int) -> None:
        """Turn to the next page, after one of ``count`` rows where the server allows ``limit``."""
        call = self._call
        if call is None or count < limit:
            self._call = None
        else:
            # Use the page size that the server used, so that no page overlaps the next.
            query = {**call.query, "page": int(call.query["page"]) + 1, "limit": max(limit, 1)}
            self._call = attrs.evolve(call, query=query)

    def see_rows(self, new: int, unreadable: int) -> None:
        """End the walk after a page without ``new`` or ``unreadable`` rows, or many with no readable row."""
        self._unread = 0 if new else self._unread + 1
        if not new and (not unreadable or self._unread > _MOST_UNREAD_PAGES):
            self._call = None


class OrderWalk:
    """A walk through the orders, newest first. Some of the orders placed meanwhile may be included."""

    def __init__(
        self, *, status: OrderStatus | StatusName | None = None, page_size: int = orders.LARGEST_PAGE
    ):
        self._call: Call[OrderPage] | None = orders.list(
            status=status, limit=arguments.integer("page_size", page_size, 1, orders.LARGEST_PAGE)
        )
        self._seen = _Seen()
        self._repeated = 0

    def next_call(self) -> Call[OrderPage] | None:
        """Return the call for the next page, None at the end."""
        return self._call

    def feed(self, page: OrderPage) -> OrderPage | None:
        """Add the page; return its new rows as a page, None when there are none."""
        new = self._seen.fresh([order.id for order in page.items])
        items = _only(page.items, new)
        self._repeated = 0 if items else self._repeated + 1
        call, rows = self._call, len(page.items) + len(page.problems)
        if call is None or rows < page.limit or self._repeated > _MOST_REPEATED_PAGES:
            self._call = None
        else:
            self._call = attrs.evolve(call, query={**call.query, "offset": page.offset + rows})
        return attrs.evolve(page, items=items) if items or page.problems else None
