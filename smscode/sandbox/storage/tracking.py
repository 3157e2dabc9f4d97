"""Containers that know what changed in them, for a sandbox that is kept in a file; others use plain ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from ..service.orders import ServiceOrder

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")


class Tracked(dict[K, V]):
    """A dict that remembers which keys were set or taken out, those it begins with included.

    It is only changed by ``[]`` and `pop`.
    """

    def __init__(self, given: Mapping[K, V]) -> None:
        super().__init__(given)
        self.changed: set[K] = set(given)

    def __setitem__(self, key: K, value: V) -> None:
        super().__setitem__(key, value)
        self.changed.add(key)

    def pop(self, key: K, *default: Any) -> Any:
        """Remove a key and return its value."""
        self.changed.add(key)
        return super().pop(key, *default)


class Numbered(deque[T]):
    """A queue whose items have numbers: ``appended`` is how many there ever were.

    It is only changed by `append`, `extend`, ``popleft`` and ``clear``.
    """

    def __init__(self, given: Iterable[T]) -> None:
        super().__init__(given, given.maxlen if isinstance(given, deque) else None)
        self.appended: int = len(self)

    def append(self, item: T) -> None:
        """Add an item at the end."""
        super().append(item)
        self.appended += 1

    def extend(self, items: Iterable[T]) -> None:
        """Add items at the end."""
        for item in items:
            self.append(item)

    @property
    def first(self) -> int:
        """The number of the oldest item that is there, counted from 0."""
        return self.appended - len(self)


def telling(changed: Callable[[int], None]) -> type[ServiceOrder]:
    """Make a type of order that tells its id whenever one of its fields is set."""

    class TellingOrder(ServiceOrder):
        __slots__ = ()

        def __setattr__(self, name: str, value: object) -> None:
            super().__setattr__(name, value)
            changed(self.id)

    return TellingOrder
