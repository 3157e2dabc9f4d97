"""Goes through a list page by page."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from types import TracebackType
from typing import Generic, TypeVar

from .._concurrency import AsyncAhead
from ..core.paging import Walk
from .driver import AsyncDriver

P = TypeVar("P")
T = TypeVar("T")

_TURN = 1_000  # rows that are given out before others have a turn


async def walk_pages(driver: AsyncDriver, walk: Walk[P], timeout: float | None) -> AsyncGenerator[P]:
    """Give the pages of a walk; ``timeout`` is for each of them."""
    while (page := await next_page(driver, walk, timeout)) is not None:
        yield page
        del page  # or it would stay until the next one is there


async def next_page(driver: AsyncDriver, walk: Walk[P], timeout: float | None) -> P | None:
    """Give the next page of a walk that has new rows, None at the end."""
    while (call := walk.next_call()) is not None:
        answer = await driver.run(call, timeout)
        page = walk.feed(answer.data)
        if page is not None:
            return page
    return None


async def items_of(driver: AsyncDriver, pages: AsyncGenerator[Iterable[T]]) -> AsyncGenerator[T]:
    """Give the rows of pages one by one; closing this closes the pages, too."""
    try:
        async for page in pages:
            for number, item in enumerate(page):
                if number % _TURN == 0:  # the rows of a page come without any waiting in between
                    await driver.runtime.sleep(0)
                yield item
            del page
    finally:
        await pages.aclose()


class AsyncPrefetch(Generic[T]):
    """The rows of a list, the next page of which is read while those of the page before are used.

    A context manager that gives an iterator. Leaving it, however that comes, ends what is under way.
    """

    def __init__(self, driver: AsyncDriver, ahead: AsyncAhead[Iterable[T]]) -> None:
        self._ahead = ahead
        self._items = items_of(driver, self._pages())

    async def _pages(self) -> AsyncGenerator[Iterable[T]]:
        while (page := await self._ahead.take()) is not None:
            yield page
            del page

    async def __aenter__(self) -> AsyncGenerator[T]:
        await self._ahead.__aenter__()
        return self._items

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self._ahead.__aexit__(exc_type, exc_value, traceback)
        finally:
            await self._items.aclose()
