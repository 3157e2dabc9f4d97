# Generated from smscode/_async/pager.py by `nox -s generate`: change that file, not this one.

"""Goes through a list page by page."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import TypeVar

from ..core.paging import Walk
from .driver import Driver

P = TypeVar("P")
T = TypeVar("T")


def walk_pages(driver: Driver, walk: Walk[P], timeout: float | None) -> Generator[P]:
    """Give the pages of a walk; ``timeout`` is for each of them."""
    while (call := walk.next_call()) is not None:
        answer = driver.run(call, timeout)
        page = walk.feed(answer.data)
        if page is not None:
            yield page


def items_of(pages: Generator[Iterable[T]]) -> Generator[T]:
    """Give the rows of pages one by one; closing this closes the pages, too."""
    try:
        for page in pages:
            for item in page:
                yield item
    finally:
        pages.close()
