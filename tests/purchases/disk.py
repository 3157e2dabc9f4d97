"""What happens to a journal's file, from outside, at the n-th commit: kills, locks, a full or slow disk."""

from __future__ import annotations

import os
import re
import resource
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from smscode import _sqlite

Deed = Callable[[], object]

_SLOW = 0.03
_MOMENT = 0.45
_NAME = re.compile(r"(none|nojournal|slow|busy|locked|full|deleted|killed)(\d*)")
_SMALL = 32  # bytes that a file may have: nothing of a journal fits

KINDS = ("none", "nojournal", "slow", "busy0", "busy1", "locked0", "locked1", "full0", "full1", "deleted1")
"""Locked for a moment ("busy") or until the life ends, full, or deleted, after so many commits of a call.

"killed" is beside them: the process is killed as soon as the call was left.
"""


class Disk:
    """The disk below one journal file, from the beginning of a call until the end of its life."""

    def __init__(self, name: str, path: Path) -> None:
        matched = _NAME.fullmatch(name)
        if matched is None:
            raise ValueError(f"no such disk: {name}")
        self.kind, self._path = matched[1], path
        self._after = int(matched[2] or 0)
        self._holders: list[sqlite3.Connection] = []
        self._limits: tuple[int, int] | None = None
        self._lock = threading.Lock()
        self._ended = False
        self.commits = 0
        self.before: dict[int, Deed] = {}
        self.after: dict[int, Deed] = {}

    @property
    def journal(self) -> bool:
        """Return whether the client has a journal."""
        return self.kind != "nojournal"

    @property
    def durable(self) -> bool:
        """Return whether the file stays where it is."""
        return self.kind != "deleted"

    @property
    def fatal(self) -> bool:
        """Return whether the process is killed as soon as its call is over."""
        return self.kind == "killed"

    def kill(self, at: int, *, committed: bool) -> None:
        """Kill this process at its n-th commit: just before it, or just after it."""
        deeds = self.after if committed else self.before
        deeds[at] = lambda: os.kill(os.getpid(), signal.SIGKILL)

    def begin(self) -> None:
        """Begin: commits are counted from here."""
        deeds: dict[str, Deed] = {
            "busy": lambda: self._hold(_MOMENT),
            "locked": lambda: self._hold(None),
            "full": self._fill,
            "deleted": self._delete,
        }
        deed = deeds.get(self.kind)
        if deed is not None and self._after == 0:
            deed()
        elif deed is not None:
            self.after[self._after] = deed
        _under_way.append(self)

    def end(self) -> None:
        """End: the file is as any other again."""
        _under_way.clear()
        if self._limits is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, self._limits)
            self._limits = None
        with self._lock:
            self._ended = True
            holders, self._holders = self._holders, []
        for holder in holders:
            holder.close()

    def _hold(self, seconds: float | None) -> None:
        with self._lock:
            if self._ended:  # the commit that it was to follow came too late
                return
            holder = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=10)
            holder.execute("BEGIN IMMEDIATE")
            self._holders.append(holder)
        if seconds is not None:
            timer = threading.Timer(seconds, self._release, [holder])
            timer.daemon = True
            timer.start()

    def _release(self, holder: sqlite3.Connection) -> None:
        with self._lock:
            if holder not in self._holders:
                return
            self._holders.remove(holder)
        holder.close()

    def _fill(self) -> None:
        self._limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (_SMALL, self._limits[1]))

    def _delete(self) -> None:
        for name in (self._path.name, f"{self._path.name}-wal", f"{self._path.name}-shm"):
            self._path.with_name(name).unlink(missing_ok=True)

    def committing(self) -> int:
        """Count a commit that is about to be made."""
        self.commits += 1
        if self.kind == "slow":
            time.sleep(_SLOW)
        self.before.get(self.commits, _nothing)()
        return self.commits

    def committed(self, number: int) -> None:
        """Do what follows a commit."""
        self.after.get(number, _nothing)()


def _nothing() -> None:
    pass


_under_way: list[Disk] = []
_transaction = _sqlite.transaction


@contextmanager
def _watched(connection: Any) -> Generator[None]:
    disk = _under_way[0] if _under_way else None
    number = 0
    with _transaction(connection):
        yield
        if disk is not None:
            number = disk.committing()
    if disk is not None:
        disk.committed(number)


def install() -> None:
    """Watch the commits of this process' journals from now on."""
    _sqlite.transaction = _watched
