"""Values that are sequences of rows: lists of models, and models that hold rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Generic, TypeVar, overload

T = TypeVar("T")
R = TypeVar("R", covariant=True)


class RowList(list[T]):
    """A list of models, which notebooks show as a table."""

    __slots__ = ()

    def _repr_html_(self) -> str | None:
        from ._display import table

        return table(*self) if self else None


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
