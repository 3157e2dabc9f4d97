"""The file of a journal: opening, writing and reading it, all in the journal's thread."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final

from attrs import frozen

from .. import _sqlite
from ..core.purchases.records import PurchaseRecord
from ..core.purchases.spending import HOUR
from ..errors import ConfigurationError, JournalError
from .batch import Batch, UnreadableRecord, read
from .owners import Census, Owner
from .rows import COLUMNS, ENDED_AT, FORMAT, OPEN
from .writes import Write

_SLICE: Final = 0.1  # seconds that a statement waits for other processes, before the thread tries again
_CHUNK: Final = 1_000  # rows that are pruned in one transaction

_SET_UP: Final = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_PERM}
_SET_UP_AS_WELL: Final = {sqlite3.SQLITE_AUTH, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_READONLY}

_DAMAGED: Final = "it is damaged, and left as it is; restore it from a copy, or give another path"
_WHY: Final = {
    sqlite3.SQLITE_CANTOPEN: "it, or a file that SQLite keeps beside it, can be neither opened nor created",
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_FULL: "the disk is full; free some space",
    sqlite3.SQLITE_NOTADB: _DAMAGED,
}


class Locked(Exception):
    """Another process has the file locked."""


@frozen
class Totals:
    """The sums of an account's purchases in a journal, deleted ones included.

    ``purchases`` is the number of purchases that the service carried out, ``charged`` and ``refunded`` are
    amounts in rupiah.
    """

    purchases: int = 0
    charged: int = 0
    refunded: int = 0


def real_path(path: str | os.PathLike[str]) -> str:
    """Return the absolute path of a journal without symbolic links; ``~`` is the home folder.

    Raises `ConfigurationError` if the folder or the file cannot be used.
    """
    try:
        given = os.fsdecode(path)
        real = os.path.realpath(os.path.expanduser(given))
    except (TypeError, ValueError) as error:  # ValueError: a null character
        raise ConfigurationError(f"journal: expected the path of a file ({error}).") from error
    if given in ("", ":memory:"):
        raise ConfigurationError(f"journal: {given!r} keeps nothing; give the path of a file.")
    folder = os.path.dirname(real)
    if not os.path.isdir(folder):
        raise unusable(real, f"its folder {folder} does not exist; create it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise unusable(real, f"its folder {folder} is not writable; SQLite keeps files beside it")
    try:
        mode = os.stat(real).st_mode
    except FileNotFoundError:
        return real
    except OSError as error:
        raise unusable(real, str(error.strerror)) from error
    if not stat.S_ISREG(mode):
        raise unusable(real, "it is not a file")
    if not os.access(real, os.R_OK | os.W_OK):
        raise unusable(real, "it is not readable and writable")
    return real


def unusable(path: str, why: str) -> ConfigurationError:
    """Return the error for a file that cannot be used."""
    return ConfigurationError(f"journal: {path} cannot be used ({why}).")


class Store:
    """The file of a journal. Only the journal's thread calls the methods; any thread may make the object.

    The methods raise `Locked` while another process has the file locked, and `JournalError` if the disk or
    the file fails. ``open`` also raises `ConfigurationError`.
    """

    def __init__(self, path: str, keep: float) -> None:
        self.path = path
        self.owner: Owner = Owner(path)
        self._keep = keep
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None

    @property
    def is_open(self) -> bool:
        """Whether the file is open."""
        return self._connection is not None

    def open(self) -> None:
        """Open the file if it is not open yet, and add this journal to its owners."""
        if self._connection is not None:
            return
        with self._failing(opening=True):
            before = self._find()
            connection = _sqlite.connect(self.path, FORMAT, partial(unusable, self.path), patience=_SLICE)
            try:
                found = self._find()
                if found is None or before not in (None, found):
                    raise self._moved()
                census = Census(self.path, connection)
                with _sqlite.transaction(connection):
                    self.owner.enter(connection)
                    census.sweep()
                census.bury()
            except BaseException:
                connection.close()
                raise
        self._connection, self._identity, self._full = connection, found, True

    def commit(self, writes: Sequence[Write[Any]]) -> None:
        """Apply the writes that were not abandoned, in their order, in one transaction."""
        durable = any(write.durable for write in writes)
        with self._failing():
            connection = self._in_place()
            self._synchronize(connection, full=durable)
            census = Census(self.path, connection)
            with _sqlite.transaction(connection):
                begun = [write for write in writes if write.begin()]
                batch = Batch(self.path, connection, census.living)
                batch.fetch(begun)
                outcomes = [(write, *batch.apply(write)) for write in begun]
                batch.store()
                if durable and not batch.stored:
                    # Earlier commits that these steps rely on may not be on disk yet. A commit that writes
                    # nothing forces nothing to disk, so the owner's row is written again.
                    self.owner.enter(connection)
            census.bury()
        for write, result, error in outcomes:
            write.finish(result, error)
        for write in begun:
            write.notify()

    def prune(self) -> bool:
        """Add up to 1000 old closed rows to the sums and delete them; return True if there may be more."""
        with self._failing():
            connection = self._in_place()
            self._synchronize(connection, full=False)
            # What counts towards the spending of the last hour is kept.
            old = (
                f"SELECT number FROM purchase WHERE NOT ({OPEN}) AND {ENDED_AT} < ?"
                f" AND (spent = 0 OR coalesce(answered_at, written_at) < ?)"
                f" ORDER BY {ENDED_AT}, number LIMIT {_CHUNK}"
            )
            now = time.time()
            before = now - self._keep, now - HOUR
            with _sqlite.transaction(connection):
                connection.execute(
                    "INSERT INTO total SELECT account, sum(state = 'bought'), sum(charged), sum(refunded), 0"
                    f" FROM purchase WHERE number IN ({old}) GROUP BY account"
                    " ON CONFLICT (account) DO UPDATE SET purchases = purchases + excluded.purchases,"
                    " charged = charged + excluded.charged, refunded = refunded + excluded.refunded",
                    before,
                )
                pruned = connection.execute(f"DELETE FROM purchase WHERE number IN ({old})", before).rowcount
        return pruned == _CHUNK

    def records(self, account: str, *, ended: bool) -> list[PurchaseRecord]:
        """Return an account's open records, oldest first; with ``ended`` only those whose owner has ended."""
        query = f"SELECT {', '.join(COLUMNS)} FROM purchase WHERE account = ? AND {OPEN} ORDER BY number"
        with self._failing():
            connection = self._in_place()
            rows = connection.execute(query, (account,)).fetchall()
            census = Census(self.path, connection)
            found = [record for row in rows if isinstance(record := read(self.path, row), PurchaseRecord)]
            return [record for record in found if not (ended and census.lives(record.owner))]

    def find(self, account: str, key: str) -> PurchaseRecord | None:
        """Return the record of a purchase, open or closed."""
        query = f"SELECT {', '.join(COLUMNS)} FROM purchase WHERE account = ? AND idempotency_key = ?"
        with self._failing():
            row = self._in_place().execute(query, (account, key)).fetchone()
        record = None if row is None else read(self.path, row)
        if isinstance(record, UnreadableRecord):
            raise JournalError(record.why)
        return record

    def totals(self, account: str) -> Totals:
        """Return the sums of an account's purchases."""
        query = (
            "SELECT coalesce(sum(purchases), 0), coalesce(sum(charged), 0), coalesce(sum(refunded), 0) FROM ("
            "SELECT purchases, charged, refunded FROM total WHERE account = ? UNION ALL"
            " SELECT state = 'bought', charged, refunded FROM purchase WHERE account = ?)"
        )
        with self._failing():
            return Totals(*self._in_place().execute(query, (account, account)).fetchone())

    def leave(self) -> None:
        """Remove this journal from the owners, if the file is open and still there."""
        if self._connection is not None:
            with self._failing():
                connection = self._in_place()
                with _sqlite.transaction(connection):
                    self.owner.leave(connection)
            self.owner.release(left=True)

    def close(self) -> None:
        """Close the file, and unlock the owner's file."""
        self.owner.release(left=self._connection is None)
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def failure(self, why: str, cause: BaseException | None = None) -> JournalError:
        """Return the error for a write or read that failed."""
        error = JournalError(f"journal: {self.path}: {why}.")
        error.__cause__ = cause
        return error

    def _in_place(self) -> sqlite3.Connection:
        """Return the connection. Raises `JournalError` if its file is no longer the one at the path."""
        assert self._connection is not None, "open() comes first"
        if self._find() != self._identity:
            raise self._moved()
        return self._connection

    def _find(self) -> tuple[int, int] | None:
        with suppress(FileNotFoundError):
            found = os.stat(self.path)
            return found.st_dev, found.st_ino
        return None

    def _moved(self) -> JournalError:
        return self.failure(
            "it was deleted, moved or replaced while open; put it back, or restart the program"
        )

    def _synchronize(self, connection: sqlite3.Connection, *, full: bool) -> None:
        if full is not self._full:
            connection.execute(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")
            self._full = full

    @contextmanager
    def _failing(self, *, opening: bool = False) -> Generator[None]:
        """Convert the errors of SQLite and the system to those of this package."""
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
            if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise Locked from error
            if opening and code in _SET_UP | _SET_UP_AS_WELL:
                raise unusable(self.path, _WHY.get(code, str(error))) from error
            raise self.failure(_WHY.get(code, str(error)), error) from error
        except OSError as error:
            raise self.failure(str(error), error) from error
