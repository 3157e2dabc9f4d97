"""What a with block of the other flavour raises: it says what to write, which Python's own error does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn


class AsyncBlock:
    """The base of classes for ``async with``: a plain ``with`` raises TypeError."""

    # Type checkers see none of these methods, and report the wrong block before it runs.
    if TYPE_CHECKING:
        pass
    else:

        def __enter__(self) -> NoReturn:
            raise TypeError(f"{type(self).__name__}: use `async with`; a plain `with` takes a `Client`")

        def __exit__(self, *error: object) -> None:
            """Do nothing: Python looks for this method before it calls `__enter__`."""


class Block:
    """The base of classes for ``with``: ``async with`` raises TypeError."""

    if TYPE_CHECKING:
        pass
    else:

        def __aenter__(self) -> NoReturn:
            raise TypeError(f"{type(self).__name__}: use a plain `with`; `async with` takes an `AsyncClient`")

        def __aexit__(self, *error: object) -> None:
            """Do nothing: Python looks for this method before it calls `__aenter__`."""
