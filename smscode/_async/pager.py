"""Goes through a list page by page."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from typing import TypeVar

from ..core.paging import Walk
from .driver import AsyncDriver

P = TypeVar("P")
T = TypeVar("T")


async def walk_pages(driver: AsyncDriver, walk: Walk[P], timeout: float | None) -> AsyncGenerator[P]:
    """Give the pages of a walk; ``timeout`` is for each of them."""
    while (call := walk.next_call()) is not None:
        answer = await driver.run(call, timeout)
        page = walk.feed(answer.data)
        if page is not None:
            yield page


async def items_of(pages: AsyncGenerator[Iterable[T]]) -> AsyncGenerator[T]:
    """Give the rows of pages one by one; closing this closes the pages, too."""
    try:
        async for page in pages:
            for item in page:
                yield item
    finally:
        await pages.aclose()
