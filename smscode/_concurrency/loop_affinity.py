"""Restricts the use of a client to one event loop of one process."""

from __future__ import annotations

import os

from ..errors import ClientStateError
from .backend import run_here, run_is_over

_FORKED = "This client was used before the process forked: make a new client after the fork."


class AsyncLoopAffinity:
    """The event loop and process that a client belongs to, from its first use on.

    In another loop its connections fail. A forked process would share them with its parent, and read the
    parent's responses.
    """

    def __init__(self) -> None:
        self._process: int | None = None
        self._run: object = None

    @property
    def over(self) -> bool:
        """Whether the client can never be used again: its loop is closed, or this process is a fork."""
        if self._process is None:
            return False
        return self._process != os.getpid() or run_is_over(self._run)

    def check(self) -> None:
        """Raise `ClientStateError` in another event loop or process; the first call decides which."""
        run = run_here()
        if self._process is None:
            self._process, self._run = os.getpid(), run
        if self._process != os.getpid():
            raise ClientStateError(_FORKED)
        if self._run is not run:
            raise ClientStateError("This client belongs to another event loop: make a client for each loop.")


class LoopAffinity:
    """The process that a client belongs to, from its first use on.

    A forked process would share its connections with the parent, and read the parent's responses.
    """

    def __init__(self) -> None:
        self._process: int | None = None

    @property
    def over(self) -> bool:
        """Whether the client can never be used again, because this process is a fork."""
        return self._process not in (None, os.getpid())

    def check(self) -> None:
        """Raise `ClientStateError` in another process than that of the first call."""
        if self._process is None:
            self._process = os.getpid()
        if self._process != os.getpid():
            raise ClientStateError(_FORKED)
