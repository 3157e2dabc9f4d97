"""The parts of a sandbox's state, each as named entries of plain JSON, and which of them changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, Protocol, TypeVar

from attrs import frozen

from .tracking import Numbered, Tracked

K = TypeVar("K")
V = TypeVar("V")


class Shelf(Protocol):
    """A part of the state; its entries are named ``kind/name``.

    A part that is ``lasting`` is what answers promise; others only count along. What ``changes`` gives
    has changed since `forget`, None for an entry that is gone.
    """

    kind: str
    lasting: bool

    def changes(self) -> Iterator[tuple[str, Any]]:
        """Return the entries that changed."""
        ...

    def whole(self) -> Iterator[tuple[str, Any]]:
        """Return all entries."""
        ...

    def load(self, entries: Mapping[str, Any]) -> None:
        """Restore what was kept."""
        ...

    def forget(self) -> None:
        """Mark all changes as kept."""
        ...


@frozen
class Coder(Generic[V]):
    """Makes plain JSON of a value, and the value of that again."""

    dump: Callable[[V], Any]
    load: Callable[[Any], V]


class MapShelf(Generic[K, V]):
    """A dict; ``name`` shows a key as text and ``key`` reads it."""

    lasting = True

    def __init__(
        self,
        kind: str,
        coder: Coder[V],
        items: Tracked[K, V],
        name: Callable[[K], str],
        key: Callable[[str], K],
    ) -> None:
        self.kind = kind
        self._items = items
        self._name = name
        self._key = key
        self._coder = coder

    def changes(self) -> Iterator[tuple[str, Any]]:
        for key in self._items.changed:
            yield self._name(key), self._coder.dump(self._items[key]) if key in self._items else None

    def whole(self) -> Iterator[tuple[str, Any]]:
        for key, value in self._items.items():
            yield self._name(key), self._coder.dump(value)

    def load(self, entries: Mapping[str, Any]) -> None:
        self._items.clear()
        for key, entry in sorted((self._key(name), entry) for name, entry in entries.items()):
            self._items[key] = self._coder.load(entry)

    def forget(self) -> None:
        self._items.changed.clear()


class LogShelf(Generic[V]):
    """A list that only grows."""

    lasting = True

    def __init__(self, kind: str, coder: Coder[V], items: list[V]) -> None:
        self.kind = kind
        self._items = items
        self._kept = 0
        self._coder = coder

    def changes(self) -> Iterator[tuple[str, Any]]:
        for number in range(self._kept, len(self._items)):
            yield str(number), self._coder.dump(self._items[number])

    def whole(self) -> Iterator[tuple[str, Any]]:
        for number, item in enumerate(self._items):
            yield str(number), self._coder.dump(item)

    def load(self, entries: Mapping[str, Any]) -> None:
        self._items[:] = [self._coder.load(entries[str(number)]) for number in range(len(entries))]

    def forget(self) -> None:
        self._kept = len(self._items)


class QueueShelf(Generic[V]):
    """A queue, named by the numbers of its items."""

    def __init__(self, kind: str, coder: Coder[V], items: Numbered[V], *, lasting: bool) -> None:
        self.kind = kind
        self.lasting = lasting
        self._items = items
        self._kept = (0, 0)
        self._coder = coder

    def changes(self) -> Iterator[tuple[str, Any]]:
        first, count = self._kept
        for number in range(first, min(count, self._items.first)):
            yield str(number), None
        for number in range(max(count, self._items.first), self._items.appended):
            yield str(number), self._coder.dump(self._items[number - self._items.first])

    def whole(self) -> Iterator[tuple[str, Any]]:
        return (
            (str(number), self._coder.dump(item))
            for number, item in enumerate(self._items, self._items.first)
        )

    def load(self, entries: Mapping[str, Any]) -> None:
        numbers = sorted(map(int, entries))
        self._items.extend(self._coder.load(entries[str(number)]) for number in numbers)
        self._items.appended = numbers[-1] + 1 if numbers else 0

    def forget(self) -> None:
        self._kept = (self._items.first, self._items.appended)


class PartShelf(Generic[V]):
    """One value that is replaced when it changes; ``get`` gives it as it is now, to be kept unchanged."""

    def __init__(
        self,
        kind: str,
        coder: Coder[V],
        get: Callable[[], V],
        put: Callable[[V], None],
        *,
        lasting: bool = True,
    ) -> None:
        self.kind = kind
        self.lasting = lasting
        self._get = get
        self._put = put
        self._kept: list[V] = []
        self._coder = coder

    def changes(self) -> Iterator[tuple[str, Any]]:
        value = self._get()
        if self._kept != [value]:
            yield "", self._coder.dump(value)

    def whole(self) -> Iterator[tuple[str, Any]]:
        yield "", self._coder.dump(self._get())

    def load(self, entries: Mapping[str, Any]) -> None:
        self._put(self._coder.load(entries[""]))

    def forget(self) -> None:
        self._kept = [self._get()]
