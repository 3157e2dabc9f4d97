"""Values that are sequences of the rows they hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Generic, TypeVar, overload

R = TypeVar("R", covariant=True)


class RowSequence(Generic[R]):
    """A value that is also the sequence of its rows: those of the field that ``_rows_in`` names.

    It is no `collections.abc.Sequence`, because ``count`` of a page of products is a number.
    """

    __slots__ = ()
    _rows_in: ClassVar[str] = "items"

    @property
    def _rows(self) -> tuple[R, ...]:
        rows: tuple[R, ...] = getattr(self, self._rows_in)
        return rows

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[R]:
        return iter(self._rows)

    @overload
    def __getitem__(self, index: int) -> R: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[R, ...]: ...
    def __getitem__(self, index: int | slice) -> R | tuple[R, ...]:
        return self._rows[index]
