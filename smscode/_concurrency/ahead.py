"""Fetching one thing while the one before is used."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

import anyio

T = TypeVar("T")


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
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="smscode-ahead")
        self._next: Future[T | None] | None = None

    def __enter__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._next = self._thread.submit(contextvars.copy_context().run, self._fetch)

    def take(self) -> T | None:
        """Wait for the next thing, and begin with the one after it. Raises what its fetching raised."""
        fetched, self._next = self._next, None
        assert fetched is not None, "whoever takes stops at the end"
        value = fetched.result()
        if value is not None:
            self._begin()
        return value

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._next = None
        self._thread.shutdown(cancel_futures=True)  # and wait: a thread cannot be interrupted
