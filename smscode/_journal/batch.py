"""The writes of one transaction: their records are read at once, changed in order, and stored at once."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias

from attrs import frozen

from ..core.purchases.records import Living, PurchaseRecord
from ..core.purchases.spending import HOUR, Spent, is_added, spending, spending_within
from ..errors import JournalError, SmscodeError
from .rows import COLUMNS, OPEN, SPENT_AT, JournalRow, placeholders, record_of, row_of
from .writes import Write

JournalPlace: TypeAlias = tuple[str, str]
"""An account and an idempotency key."""

_log = logging.getLogger("smscode.journal")

# sqlite3 releases the interpreter's lock for each statement and each row of a result, and a busy event loop
# can then keep it for milliseconds. So a statement takes many rows. It takes one of a few numbers of rows, to
# stay in sqlite3's cache of statements; a smaller rest is filled up by repeating its last row.
_SIZES: Final = (1, 8, 48)
_KEYS: Final = (1, 16, 256)

_SELECT: Final = f"SELECT {', '.join(COLUMNS)} FROM purchase"
_PLACE: Final = ("account", "idempotency_key")
_UPSERT: Final = (
    f"INSERT INTO purchase ({', '.join(COLUMNS)}) VALUES %s ON CONFLICT ({', '.join(_PLACE)}) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in COLUMNS if name not in _PLACE)
)


_ADD: Final = (
    "INSERT INTO total VALUES (?, 0, 0, 0, ?)"
    " ON CONFLICT (account) DO UPDATE SET spent = max(min(spent + excluded.spent, 1 << 62), 0)"
)
_TOTAL: Final = "SELECT coalesce(sum(spent), 0) FROM total WHERE account = ?"
_HOUR: Final = (
    f"SELECT coalesce(sum(spent), 0) FROM purchase WHERE account = ? AND {SPENT_AT} > ? AND spent > 0"
)


@frozen
class UnreadableRecord:
    """A row that cannot be read; it is left as it is."""

    why: str


class Batch:
    """The records of one transaction, as the steps applied so far have left them."""

    def __init__(self, path: str, connection: sqlite3.Connection, living: Living) -> None:
        self._path = path
        self._connection = connection
        self._living = living
        self._now: dict[JournalPlace, PurchaseRecord | UnreadableRecord | None] = {}
        self._changed: dict[JournalPlace, JournalRow | None] = {}
        self._since = time.time() - HOUR
        self._spent: dict[str, Spent] = {}  # by account, as the steps applied so far have left it
        self._more: dict[str, int] = {}  # what the purchases of an account count as more than is stored
        self.stored: bool = False

    def fetch(self, writes: Iterable[Write[Any]]) -> None:
        """Read the records of the writes."""
        keys: dict[str, dict[str, None]] = {}
        for write in writes:
            if write.account is not None and write.key is not None:
                keys.setdefault(write.account, {})[write.key] = None
                self._now[write.account, write.key] = None
        for account, found in keys.items():
            for some in _portions(list(found), _KEYS):
                query = f"{_SELECT} WHERE account = ? AND idempotency_key IN ({', '.join('?' * len(some))})"
                for row in self._connection.execute(query, (account, *some)).fetchall():
                    self._now[account, row[2]] = read(self._path, row)

    def apply(self, write: Write[Any]) -> tuple[Any, SmscodeError | None]:
        """Apply a step; return its result and None, or None and the error if nothing has changed."""
        account, key = write.account, write.key
        places = self._open(account) if account is None or key is None else [(account, key)]
        changes: dict[JournalPlace, tuple[PurchaseRecord | None, JournalRow | None]] = {}
        results: list[Any] = []
        try:
            for place in places:
                before = self._record(place)
                after, result = write.step(before, self._living)
                results.append(result)
                if after is not before:
                    changes[place] = after, self._row(place, after)
                    if write.rule is not None and after is not None and is_added(before):
                        write.rule.check(after, self._spent_by(place[0]))
        except SmscodeError as error:
            return None, error
        except sqlite3.Error:  # raised by `living`, which reads the file: the whole transaction fails
            raise
        except Exception as error:
            return None, self._defect(write, error)
        for place, (record, row) in changes.items():
            self._count(place[0], self._record(place), record)
            self._now[place] = record
            self._changed[place] = row
        if write.key is None:
            return [result for result in results if result is not None], None
        return results[0], None

    def store(self) -> None:
        """Store the records that have changed."""
        rows = [row for row in self._changed.values() if row is not None]
        gone = [place for place, row in self._changed.items() if row is None]
        for some in _portions(rows, _SIZES):
            values = [value for row in some for value in row]
            self._connection.execute(_UPSERT % placeholders(len(some), COLUMNS), values)
        if gone:
            delete = "DELETE FROM purchase WHERE account = ? AND idempotency_key = ?"
            self._connection.executemany(delete, gone)
        for account, more in self._more.items():
            self._connection.execute(_ADD, (account, more))
        self._more.clear()
        self.stored = self.stored or bool(self._changed)
        self._changed.clear()

    def _count(self, account: str, before: PurchaseRecord | None, after: PurchaseRecord | None) -> None:
        """Add what a changed purchase counts as to the sums of its account."""
        more = spending(after) - spending(before)
        if more:
            self._more[account] = self._more.get(account, 0) + more
        known = self._spent.get(account)
        if known is not None:
            hour = spending_within(after, self._since) - spending_within(before, self._since)
            self._spent[account] = Spent(known.total + more, known.hour + hour)

    def _spent_by(self, account: str) -> Spent:
        """Return what the purchases of an account count as, with the changes so far."""
        if account not in self._spent:
            self.store()  # so that the queries see the changes so far
            values = (account,), (account, self._since)
            total, hour = (
                self._connection.execute(query, value).fetchone()[0]
                for query, value in zip((_TOTAL, _HOUR), values, strict=True)
            )
            self._spent[account] = Spent(total, hour)
        return self._spent[account]

    def _open(self, account: str | None) -> list[JournalPlace]:
        """Return the places of an account's open rows, or of all open rows, oldest first."""
        self.store()  # so that the query sees the changes so far
        which, values = ("", ()) if account is None else ("account = ? AND", (account,))
        query = f"{_SELECT} WHERE {which} {OPEN} ORDER BY number"
        rows = self._connection.execute(query, values).fetchall()
        found = {(str(row[0]), str(row[2])): read(self._path, row) for row in rows}
        self._now.update(found)
        return [place for place, record in found.items() if isinstance(record, PurchaseRecord)]

    def _record(self, place: JournalPlace) -> PurchaseRecord | None:
        record = self._now[place]
        if isinstance(record, UnreadableRecord):
            raise JournalError(record.why)
        return record

    def _row(self, place: JournalPlace, record: PurchaseRecord | None) -> JournalRow | None:
        if record is None:
            return None
        if (record.account, record.intent.idempotency_key) != place:
            raise ValueError("a step returned the record of another purchase")
        return row_of(record)

    def _defect(self, write: Write[Any], cause: Exception) -> JournalError:
        error = JournalError(
            f"journal: {self._path}: nothing was stored, by a defect of this package ({cause!r})."
        )
        error.__cause__ = cause
        _log.error("a step of the purchase %s failed", write.key, exc_info=cause)
        return error


def read(path: str, row: JournalRow) -> PurchaseRecord | UnreadableRecord:
    """Return the record of a row. An unreadable row is logged, and does not affect others."""
    try:
        return record_of(row)
    except (TypeError, ValueError) as error:
        why = f"journal: {path}: the row of key {row[2]} cannot be read ({error}); it is left as it is."
        _log.error("%s", why)
        return UnreadableRecord(why)


def _portions(items: Sequence[Any], sizes: tuple[int, ...]) -> Iterable[Sequence[Any]]:
    """Yield portions of the given sizes; the last one is filled up by repeating its last item."""
    largest = sizes[-1]
    for start in range(0, len(items), largest):
        some = list(items[start : start + largest])
        size = next(size for size in sizes if size >= len(some))
        yield some + some[-1:] * (size - len(some))
