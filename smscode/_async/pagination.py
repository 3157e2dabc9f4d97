"""Goes through a list page by page."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from typing import TypeVar

from ..core import answers
from ..core.decoding.converter import Mismatch
from ..core.paging import ProductWalk, Walk
from ..models import Product
from .driver import AsyncDriver

P = TypeVar("P")
T = TypeVar("T")

_TURN = 1_000  # rows that are given out before others have a turn


async def walk_pages(driver: AsyncDriver, walk: Walk[P], timeout: float | None) -> AsyncGenerator[P]:
    """Return the pages of a walk; ``timeout`` is for each of them."""
    while (page := await next_page(driver, walk, timeout)) is not None:
        yield page
        del page  # or it would stay until the next one is there


async def next_page(driver: AsyncDriver, walk: Walk[P], timeout: float | None) -> P | None:
    """Return the next page of a walk that has new rows, None at the end."""
    while (call := walk.next_call()) is not None:
        answer = await driver.run(call, timeout)
        page = walk.feed(answer.data)
        if page is not None:
            return page
    return None


async def items_of(driver: AsyncDriver, pages: AsyncGenerator[Iterable[T]]) -> AsyncGenerator[T]:
    """Return the rows of pages one by one; closing this closes the pages, too."""
    try:
        async for page in pages:
            for number, item in enumerate(page):
                if number % _TURN == 0:  # the rows of a page come without any waiting in between
                    await driver.runtime.sleep(0)
                yield item
            del page
    finally:
        await pages.aclose()


def _bits(parts: Iterable[Sequence[Product]]) -> Iterator[Sequence[Product]]:
    return (part[start : start + _TURN] for part in parts for start in range(0, len(part), _TURN))


async def products_of(
    driver: AsyncDriver, walk: ProductWalk, timeout: float | None
) -> AsyncGenerator[Product]:
    """Return the products of a walk one by one; ``timeout`` is for each page, which is read bit by bit.

    What was read is dropped again before the next bit: were all of a page kept until its end, Python's
    garbage collector would look at everything in the process about once for each page.
    """
    while (call := walk.next_rows()) is not None:
        answer = await driver.run(call, timeout)
        page = answer.data
        walk.turn(page.limit, page.count)
        bits = _bits(page.parts)
        new = 0
        while True:
            await driver.runtime.sleep(0)  # between two bits there is no waiting otherwise
            try:
                bit = next(bits, None)
            except Mismatch as mismatch:
                raise answers.unexpected_data(answer, mismatch) from None
            if bit is None:
                break
            for product in walk.fresh(bit):
                new += 1
                yield product
        driver.report(call, page.problems)
        walk.see_rows(new, len(page.problems))
        del answer, page, bits  # or they would stay until the next page is there
