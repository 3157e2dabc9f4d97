# Generated from smscode/_async/pager.py by `nox -s generate`: change that file, not this one.

"""Goes through a list page by page."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from types import TracebackType
from typing import Generic, TypeVar

from .._concurrency import Ahead
from ..core.paging import Walk
from .driver import Driver

P = TypeVar("P")
T = TypeVar("T")

_TURN = 1_000  # rows that are given out before others have a turn


def walk_pages(driver: Driver, walk: Walk[P], timeout: float | None) -> Generator[P]:
    """Give the pages of a walk; ``timeout`` is for each of them."""
    while (page := next_page(driver, walk, timeout)) is not None:
        yield page
        del page  # or it would stay until the next one is there


def next_page(driver: Driver, walk: Walk[P], timeout: float | None) -> P | None:
    """Give the next page of a walk that has new rows, None at the end."""
    while (call := walk.next_call()) is not None:
        answer = driver.run(call, timeout)
        page = walk.feed(answer.data)
        if page is not None:
            return page
    return None


def items_of(driver: Driver, pages: Generator[Iterable[T]]) -> Generator[T]:
    """Give the rows of pages one by one; closing this closes the pages, too."""
    try:
        for page in pages:
            for number, item in enumerate(page):
                if number % _TURN == 0:  # the rows of a page come without any waiting in between
                    driver.runtime.sleep(0)
                yield item
            del page
    finally:
        pages.close()


class Prefetch(Generic[T]):
    """The rows of a list, the next page of which is read while those of the page before are used.

    A context manager that gives an iterator. Leaving it, however that comes, ends what is under way.
    """

    def __init__(self, driver: Driver, ahead: Ahead[Iterable[T]]) -> None:
        self._ahead = ahead
        self._items = items_of(driver, self._pages())

    def _pages(self) -> Generator[Iterable[T]]:
        while (page := self._ahead.take()) is not None:
            yield page
            del page

    def __enter__(self) -> Generator[T]:
        self._ahead.__enter__()
        return self._items

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._ahead.__exit__(exc_type, exc_value, traceback)
        finally:
            self._items.close()
