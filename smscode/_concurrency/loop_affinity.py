"""Where a client may be used: in one event loop of one process."""

from __future__ import annotations

import asyncio
import os

from ..errors import ClientStateError
from .backend import trio_lowlevel

_FORKED = "This client was used before the process forked: make a new one after the fork."


class AsyncLoopAffinity:
    """The event loop and process that a client belongs to from its first use on.

    Connections do not survive a change of either: in another loop they fail, and a forked process
    would share them with its parent and read its answers.
    """

    def __init__(self) -> None:
        self._process: int | None = None
        self._run: object = None

    def check(self) -> None:
        """Raise `ClientStateError` anywhere else."""
        trio = trio_lowlevel()
        run = asyncio.get_running_loop() if trio is None else trio.current_trio_token()
        if self._process is None:
            self._process, self._run = os.getpid(), run
        if self._process != os.getpid():
            raise ClientStateError(_FORKED)
        if self._run is not run:
            raise ClientStateError("This client belongs to another event loop: make one for each.")


class LoopAffinity:
    """The process that a client belongs to from its first use on.

    Connections do not survive a fork: the new process would share them and read its parent's answers.
    """

    def __init__(self) -> None:
        self._process: int | None = None

    def check(self) -> None:
        """Raise `ClientStateError` anywhere else."""
        if self._process is None:
            self._process = os.getpid()
        if self._process != os.getpid():
            raise ClientStateError(_FORKED)
