"""A durable journal of purchases, so that a killed process leaves no paid order behind.

``AsyncClient(journal=SQLiteJournal("orders.db"))`` writes every purchase down before its first byte is
sent, and what became of it afterwards. ``client.orders.recover()`` settles what is left over.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, Self

from . import _sqlite
from .core.intents import OrderIntent
from .errors import ConfigurationError, InvalidArgumentError

__all__ = ["SQLiteJournal"]

_log = logging.getLogger("smscode.journal")

_PATIENCE: Final = 30.0  # seconds to wait for other threads and processes
_SHORT_PATIENCE: Final = 1.0
_REFUSED: Final = "refused"
_FORMAT: Final = _sqlite.Format(
    application_id=0x534D5343,  # "SMSC"
    version=1,
    schema="""
CREATE TABLE purchase (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    operation TEXT NOT NULL,
    version TEXT NOT NULL,
    body BLOB NOT NULL,
    written_at REAL NOT NULL,
    owner TEXT NOT NULL,
    settled TEXT,
    UNIQUE (account, idempotency_key)
);
CREATE INDEX open_purchase ON purchase (account, number) WHERE settled IS NULL;
""",
)


class SQLiteJournal:
    """A journal in a SQLite file; several clients and processes may share one file.

    What is written holds the idempotency key and the body of each purchase, never the token. Accounts
    are kept apart. A file that is damaged, or was not made by this class, is refused and left as it is.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the journal at ``path``, making it if there is no file.

        Raises `ConfigurationError` when the file cannot be used.
        """
        self._path = Path(path)
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._owner = uuid.uuid4().hex
        self._under_way: set[tuple[str, str]] = set()
        try:
            self._connection = _sqlite.connect(self._path, _FORMAT, self._unusable, patience=_PATIENCE)
            # As long as this process lives it holds a lock on a file of its own: SQLite's locks end with
            # the process, however it ends, on every system.
            self._living = sqlite3.connect(self._lock_file(self._owner), check_same_thread=False)
            self._living.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            raise self._unusable(str(error)) from error

    def _unusable(self, why: str) -> ConfigurationError:
        return ConfigurationError(f"journal: {self._path.name} cannot be used ({why}).")

    def _lock_file(self, owner: str) -> Path:
        return self._path.with_name(f"{self._path.name}-owner-{owner}")

    def __repr__(self) -> str:
        return f"SQLiteJournal({str(self._path)!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. What is unsettled stays in it, for whoever recovers next."""
        with self._lock:
            self._living.close()
            self._connection.close()
            self._lock_file(self._owner).unlink(missing_ok=True)

    def record(self, account: str, intent: OrderIntent) -> bool:
        """Write a purchase down; when this returns it is on disk.

        It tells whether an earlier try is there unsettled: then the purchase may have been carried out.

        Raises `InvalidArgumentError` when its key is there with another order that was not refused,
        `ConfigurationError` when it cannot be written.
        """
        place = (account, intent.idempotency_key)
        order = (intent.operation, intent.version, intent.body)
        with self._transaction(durable=True) as connection:
            found = connection.execute(
                "SELECT operation, version, body, settled FROM purchase"
                " WHERE account = ? AND idempotency_key = ?",
                place,
            ).fetchone()
            if found is not None and found[3] != _REFUSED and found[:3] != order:
                raise InvalidArgumentError(
                    "idempotency_key: the journal has it with another order; a new order takes a new key."
                )
            if found is None or found[3] == _REFUSED:
                connection.execute(
                    "INSERT OR REPLACE INTO purchase"
                    " (account, idempotency_key, operation, version, body, written_at, owner)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (*place, *order, time.time(), self._owner),
                )
            elif found[3] is None:
                connection.execute(
                    "UPDATE purchase SET owner = ? WHERE account = ? AND idempotency_key = ?",
                    (self._owner, *place),
                )
            self._under_way.add(place)
        return found is not None and found[3] is None

    def settle(self, account: str, intent: OrderIntent, order_ids: tuple[int, ...] | None) -> None:
        """Note that a purchase is settled: by these orders, or by a refusal (None).

        It never raises: the purchase is over, and its result must reach the caller. If this cannot be
        written, the purchase is sent once more when it is recovered, under the same key.
        """
        place = (account, intent.idempotency_key)
        what = _REFUSED if order_ids is None else json.dumps(list(order_ids))
        self._under_way.discard(place)
        try:
            with self._transaction(durable=False) as connection:
                connection.execute(
                    "UPDATE purchase SET settled = ? WHERE account = ? AND idempotency_key = ?",
                    (what, *place),
                )
        except ConfigurationError:
            _log.exception("purchase %s is settled, but that could not be written", intent.idempotency_key)

    def leave(self, account: str, intent: OrderIntent) -> None:
        """Note that a purchase is no longer under way, but not settled either."""
        self._under_way.discard((account, intent.idempotency_key))

    def claim(self, account: str) -> list[tuple[OrderIntent, float]]:
        """Take over what ended processes left unsettled; give it oldest first, with its age in seconds.

        What this journal itself left unsettled comes along. A purchase is claimed by one journal only,
        so processes that recover at the same time share the work.
        """
        with self._transaction(durable=True) as connection:
            owners = connection.execute(
                "SELECT DISTINCT owner FROM purchase WHERE account = ? AND settled IS NULL", (account,)
            ).fetchall()
            for (owner,) in owners:
                if owner != self._owner and not self._is_living(owner):
                    connection.execute("UPDATE purchase SET owner = ? WHERE owner = ?", (self._owner, owner))
            rows = connection.execute(
                "SELECT idempotency_key, operation, version, body, written_at FROM purchase"
                " WHERE account = ? AND owner = ? AND settled IS NULL ORDER BY number",
                (account, self._owner),
            ).fetchall()
        now = time.time()
        return [
            (OrderIntent(key, operation, version, body), now - written_at)
            for key, operation, version, body, written_at in rows
            if (account, key) not in self._under_way
        ]

    @contextmanager
    def _transaction(self, *, durable: bool) -> Generator[sqlite3.Connection]:
        """Change the file in one step; if ``durable``, it is on disk when the block ends.

        What need not be durable is written by the event loop itself, so it does not wait for others for
        long.
        """
        if os.getpid() != self._process:
            raise ConfigurationError("journal: it was opened before the process forked: open it again.")
        patience = _PATIENCE if durable else _SHORT_PATIENCE
        if not self._lock.acquire(timeout=patience):
            raise self._unusable("it is busy")
        try:
            self._connection.execute(f"PRAGMA busy_timeout = {patience * 1000:.0f}")
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            with _sqlite.transaction(self._connection):
                yield self._connection
        except sqlite3.Error as error:
            raise self._unusable(str(error)) from error
        finally:
            self._lock.release()

    def _is_living(self, owner: str) -> bool:
        """Tell whether the journal of this owner is still open somewhere; clean up after it if not."""
        path = self._lock_file(owner)
        if not path.exists():
            return False
        with closing(sqlite3.connect(path, timeout=0)) as probe:
            try:
                probe.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError:
                return True
        path.unlink(missing_ok=True)
        return False
