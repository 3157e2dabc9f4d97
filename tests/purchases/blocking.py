"""A synchronous client behind the names of the asynchronous one, so that one program runs on both."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

_PLAIN = ("unresolved", "bought", "dismiss", "prepare")
_RESOURCES = ("orders", "catalog")


class Blocking:
    """Calls a synchronous object in the thread of the caller; its methods only look asynchronous."""

    def __init__(self, target: Any) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        if name in _RESOURCES:
            return Blocking(value)
        if name in _PLAIN or not callable(value):
            return value
        if name == "rent":

            def rent(**options: Any) -> BlockingBlock:
                return BlockingBlock(value(**options))

            return rent

        async def call(*arguments: Any, **options: Any) -> Any:
            return value(*arguments, **options)

        return call


class BlockingBlock:
    """An asynchronous with block around a synchronous one."""

    def __init__(self, block: Any) -> None:
        self._block = block

    async def __aenter__(self) -> Blocking:
        return Blocking(self._block.__enter__())

    async def __aexit__(self, *error: Any) -> bool | None:
        swallowed: bool | None = self._block.__exit__(*error)
        return swallowed


def drive(program: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that never suspends."""
    try:
        program.send(None)
    except StopIteration:
        return
    raise AssertionError("a synchronous program waited for an event loop")
