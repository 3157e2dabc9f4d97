"""The owners of a database: the journals that are open now, in any process.

The purchases of a living owner are not taken over by others. Each owner has a lock file beside the database,
locked until its process ends, however that ends, and a row in the table ``owner``. Both are made and checked
under the database's write lock only, which therefore comes before the lock of the file.
"""

from __future__ import annotations

import errno
import os
import socket
import sqlite3
import stat
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from .. import _platform

SCHEMA: Final = """
CREATE TABLE owner (
    id TEXT NOT NULL PRIMARY KEY,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    started TEXT NOT NULL
)"""

# A POSIX lock is lost as soon as its process closes any descriptor of the file, so this process never opens
# its own lock files to check them: its owners are listed here. The process id excludes a forked child, which
# inherits the list but not the locks.
_here: set[tuple[int, str]] = set()


class Owner:
    """The lock file and the row that show that a journal is open; for the journal's thread only."""

    def __init__(self, path: str) -> None:
        self.id: Final = uuid.uuid4().hex
        self._path = path
        self._file = _lock_file(path, self.id)
        self._descriptor: int | None = None

    def enter(self, connection: sqlite3.Connection) -> None:
        """Lock the file and write the row again. To be called inside a transaction."""
        if self._descriptor is None:
            _here.add((os.getpid(), self.id))
            mode = stat.S_IMODE(os.stat(self._path).st_mode) & 0o666  # as SQLite does for its files
            descriptor = os.open(self._file, os.O_CREAT | os.O_RDWR, mode)
            try:
                _platform.lock_byte(descriptor)
            except OSError:
                os.close(descriptor)
                raise
            self._descriptor = descriptor
        # Not an UPDATE, which writes nothing if nothing changes: `Store` relies on a page being written.
        connection.execute("DELETE FROM owner WHERE id = ?", (self.id,))
        row = (self.id, _host(), os.getpid(), _started(os.getpid()) or "")
        connection.execute("INSERT INTO owner VALUES (?, ?, ?, ?)", row)

    def leave(self, connection: sqlite3.Connection) -> None:
        """Delete the row. To be called inside a transaction, followed by `release` after the commit."""
        connection.execute("DELETE FROM owner WHERE id = ?", (self.id,))

    def release(self, *, left: bool) -> None:
        """Unlock the file, and remove it if the row was deleted (``left``).

        Otherwise the file stays: unlocked, it shows that the owner has ended.
        """
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            _platform.unlock_and_close(descriptor)
            if left:
                _remove(self._file)
        _here.discard((os.getpid(), self.id))


def forget(owner: str) -> None:
    """Treat an owner of this process as ended, even if its lock file is still there."""
    _here.discard((os.getpid(), owner))


class Census:
    """Checks which owners are alive, each once; to be used for one transaction."""

    def __init__(self, path: str, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection
        self._found: dict[str, bool] = {}

    def living(self, owner: str) -> bool:
        """Return True if the owner's journal is or may be open; else delete its row."""
        if owner not in self._found:
            self._found[owner] = self.lives(owner)
            if not self._found[owner]:
                self._connection.execute("DELETE FROM owner WHERE id = ?", (owner,))
        return self._found[owner]

    def sweep(self) -> None:
        """Check all owners that have a row or a file."""
        rows = self._connection.execute("SELECT id FROM owner").fetchall()
        for owner in {owner for (owner,) in rows}.union(_with_files(self._path)):
            self.living(owner)

    def bury(self) -> None:
        """Remove the files of ended owners. To be called after the commit.

        If the file were removed first and the transaction failed, nothing would show that the owner of the
        row has ended.
        """
        for owner, lives in self._found.items():
            if not lives:
                _remove(_lock_file(self._path, owner))

    def lives(self, owner: str) -> bool:
        """Return True if the owner's journal is or may be open; this changes nothing."""
        if (os.getpid(), owner) in _here:
            return True
        locked = _is_locked(_lock_file(self._path, owner))
        if locked is not None:
            return locked
        row = self._connection.execute(
            "SELECT host, pid, started FROM owner WHERE id = ?", (owner,)
        ).fetchone()
        return row is not None and not _has_ended(*row)


def _lock_file(path: str, owner: str) -> str:
    return f"{path}-owner-{owner}"


def _with_files(path: str) -> Iterator[str]:
    """Yield the owners that have files beside the database, those that SQLite made in format 1 included."""
    prefix = _lock_file(os.path.basename(path), "")
    with suppress(PermissionError):  # the folder may not be listed
        for name in os.listdir(os.path.dirname(path)):
            if name.startswith(prefix):
                yield name.removeprefix(prefix).removesuffix("-journal")


def _remove(file: str) -> None:
    """Remove a lock file and the rollback journal that SQLite made for one of format 1."""
    for name in (file, f"{file}-journal"):
        with suppress(OSError):  # it is gone, or the next sweep tries again
            os.unlink(name)


def _is_locked(file: str) -> bool | None:
    """Return True if the file is locked, or cannot be checked; None if there is no file."""
    try:
        descriptor = os.open(file, os.O_RDWR)
    except OSError as error:
        return None if error.errno == errno.ENOENT else True
    try:
        _platform.lock_byte(descriptor)
    except OSError:
        os.close(descriptor)
        return True
    _platform.unlock_and_close(descriptor)
    return False


def _has_ended(host: str, pid: int, started: str) -> bool:
    """Return True if a process without a lock file has surely ended; never known of another machine's."""
    if host != _host():
        return False
    if _platform.WINDOWS:  # nobody can remove a file that is open, so its owner has closed it
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass  # it belongs to another user
    now = _started(pid)
    return bool(started and now) and now != started


def _host() -> str:
    """Return a name for the machine or container in which a process id is unique."""
    with suppress(OSError):
        return f"{socket.gethostname()} {os.readlink('/proc/self/ns/pid')}"
    return socket.gethostname()  # systems without name spaces


def _started(pid: int) -> str | None:
    """Return the boot and start time of a process, which identify it with its id; None if unknown."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        facts = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return f"{boot} {facts[19].decode('ascii')}"  # "starttime", the 22nd; the name in brackets is the 2nd
    return None
