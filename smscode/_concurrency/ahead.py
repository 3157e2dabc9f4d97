"""Fetching one thing while the one before is used."""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine
from functools import partial
from types import TracebackType
from typing import Generic, TypeVar

import anyio

from .crew import Crew
from .events import Event

T = TypeVar("T")

_SETTLING = 1.0  # seconds for a thread to settle its call after an interrupt


class AsyncAhead(Generic[T]):
    """Fetches things one by one, each while the one before is used; None is the end of them."""

    def __init__(self, fetch: Callable[[], Coroutine[object, object, T | None]]) -> None:
        self._fetch = fetch
        self._next: _Fetched[T] | None = None

    async def __aenter__(self) -> None:
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._begin()

    def _begin(self) -> None:
        self._next = _Fetched()
        self._tasks.start_soon(self._run, self._next)

    async def _run(self, fetched: _Fetched[T]) -> None:
        try:
            fetched.value = await self._fetch()
        except Exception as error:
            fetched.error = error
        fetched.done.set()

    async def take(self) -> T | None:
        """Wait for the next thing, and begin with the one after it. Raises what its fetching raised."""
        fetched = self._next
        assert fetched is not None, "whoever takes stops at the end"
        await fetched.done.wait()
        self._next = None
        if fetched.error is not None:
            raise fetched.error
        if fetched.value is not None:
            self._begin()
        return fetched.value

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._next = None
        self._tasks.cancel_scope.cancel()
        # The block's own exception goes on by itself: given to the task group, it would come out in a group.
        await self._tasks.__aexit__(None, None, None)


class _Fetched(Generic[T]):
    """What came of a fetch that was begun."""

    def __init__(self) -> None:
        self.done = anyio.Event()
        self.value: T | None = None
        self.error: Exception | None = None


class Ahead(Generic[T]):
    """Fetches things one by one, each while the one before is used; None is the end of them."""

    def __init__(self, fetch: Callable[[], T | None]) -> None:
        self._fetch = fetch
        self._crew = Crew()
        self._next: _FetchedByThread[T] | None = None

    def __enter__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._next = fetched = _FetchedByThread[T]()
        self._crew.start(partial(self._run, fetched))

    def _run(self, fetched: _FetchedByThread[T]) -> None:
        try:
            fetched.value = self._fetch()
        except BaseException as error:
            fetched.error = error
        fetched.done.set()

    def take(self) -> T | None:
        """Wait for the next thing, and begin with the one after it. Raises what its fetching raised."""
        fetched = self._next
        assert fetched is not None, "whoever takes stops at the end"
        while not fetched.done.is_set():
            fetched.done.wait(1.0)  # not without an end: on Windows that cannot be interrupted
        self._next = None
        if fetched.error is not None:
            raise fetched.error
        if fetched.value is not None:
            self._begin()
        return fetched.value

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._next = None
        self._crew.interrupt()
        # What a caller's own transport does goes on; an interrupted program does not wait for it.
        self._crew.join(math.inf if exc_value is None or isinstance(exc_value, Exception) else _SETTLING)


class _FetchedByThread(Generic[T]):
    """What came of a fetch that was begun in a thread."""

    def __init__(self) -> None:
        self.done = Event()
        self.value: T | None = None
        self.error: BaseException | None = None
