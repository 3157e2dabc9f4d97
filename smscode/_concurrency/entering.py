"""The function that a caller gives to `orders.obtain`, in both flavours."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeAlias, TypeVar, cast

from ..core.api import arguments
from ..errors import InvalidArgumentError

R = TypeVar("R")

AsyncEnter: TypeAlias = Callable[[R], Awaitable[None]]
"""A function that uses the number of a rental, for the asynchronous client."""

Enter: TypeAlias = Callable[[R], None]
"""A function that uses the number of a rental, for the synchronous client."""


class AsyncEntering:
    """Calls the function of an asynchronous caller."""

    @staticmethod
    def check(enter: object) -> None:
        """Raise `InvalidArgumentError` unless it can be called."""
        if not callable(enter):
            raise arguments.wrong("enter", "a function that takes a rental", enter)

    @staticmethod
    async def call(enter: AsyncEnter[R], rental: R) -> None:
        """Call the function, and wait for its result."""
        result: object = enter(rental)
        if not inspect.isawaitable(result):
            raise InvalidArgumentError(
                "enter: it returned nothing to await; write it with async def, or use the synchronous client."
            )
        await result


class Entering:
    """Calls the function of a synchronous caller."""

    @staticmethod
    def check(enter: object) -> None:
        """Raise `InvalidArgumentError` unless it can be called, and does not have to be awaited."""
        if not callable(enter) or _is_coroutine_function(enter):
            raise arguments.wrong("enter", "a function that takes a rental and is no coroutine", enter)

    @staticmethod
    def call(enter: Enter[R], rental: R) -> None:
        """Call the function."""
        result = cast(Callable[[R], object], enter)(rental)
        if inspect.isawaitable(result):
            if inspect.iscoroutine(result):
                result.close()
            raise InvalidArgumentError("enter: it returned an awaitable, which this client cannot await.")


def _is_coroutine_function(function: object) -> bool:
    """Return True if calling it makes a coroutine, also behind a partial, a method or ``__call__``."""
    while isinstance(function, partial):
        function = function.func
    return any(
        inspect.iscoroutinefunction(one) or inspect.isasyncgenfunction(one)
        for one in (function, getattr(function, "__call__", None))  # noqa: B004  # the method, not whether
    )
