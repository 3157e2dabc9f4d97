"""Functions that run beside a block, and end with it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import TaskGroup

from .crew import Crew

_SETTLING = 1.0  # seconds for threads to finish their calls after an interrupt


class AsyncHelpers:
    """Tasks beside a block, cancelled when the block ends. It costs next to nothing until the first one."""

    def __init__(self) -> None:
        self._tasks: TaskGroup | None = None
        self._error: Exception | None = None

    async def __aenter__(self) -> Self:
        return self

    async def start(self, function: Callable[[], Coroutine[object, object, None]]) -> None:
        """Run a function in a task."""
        if self._tasks is None:
            tasks = anyio.create_task_group()
            await tasks.__aenter__()
            self._tasks = tasks
        self._tasks.start_soon(self.run, function)

    async def run(self, function: Callable[[], Coroutine[object, object, None]]) -> None:
        """Run a function; its exception is kept for `check`."""
        try:
            await function()
        except Exception as error:
            self._error = error

    def check(self) -> None:
        """Raise the exception of a function, if one raised."""
        if self._error is not None:
            raise self._error

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._tasks is not None:
            self._tasks.cancel_scope.cancel()
            # The block's own exception is not given to the task group, which would wrap it in a group.
            await self._tasks.__aexit__(None, None, None)


class Helpers:
    """Threads beside a block, interrupted when the block ends. It costs next to nothing until the first one.

    The connections of the threads are shut then. The caller's own transport cannot be interrupted: its
    threads are waited for at most a second, and their results are ignored.
    """

    def __init__(self) -> None:
        self._crew: Crew | None = None
        self._error: Exception | None = None

    def __enter__(self) -> Self:
        return self

    def start(self, function: Callable[[], None]) -> None:
        """Run a function in a thread, or in this one if none can be started."""
        if self._crew is None:
            self._crew = Crew()
        try:
            self._crew.start(partial(self.run, function))
        except RuntimeError:
            self.run(function)

    def run(self, function: Callable[[], None]) -> None:
        """Run a function; its exception is kept for `check`."""
        try:
            function()
        except Exception as error:
            self._error = error

    def check(self) -> None:
        """Raise the exception of a function, if one raised."""
        if self._error is not None:
            raise self._error

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._crew is not None:
            self._crew.interrupt()
            self._crew.join(_SETTLING)
