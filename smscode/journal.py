"""A durable journal of purchases, so that no paid order is lost when a process is killed.

``AsyncClient(journal="orders.db")`` stores each purchase before its first byte is sent, and its result after
that. ``client.orders.recover()`` returns what earlier processes left unfinished.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import Any, Final, NoReturn, Self, TypeVar

from ._journal.store import Store, Totals, real_path
from ._journal.thread import Writer
from ._journal.writes import Read, Sweep, Write
from .core.api.arguments import wrong
from .core.purchases.records import PurchaseRecord
from .core.purchases.states import PurchaseHolder
from .errors import ClientStateError

__all__ = ["Read", "SQLiteJournal", "Sweep", "Totals", "Write", "shared"]

R = TypeVar("R")

_KEEP: Final = 30 * 86_400.0  # seconds
_CLOSING: Final = 5.0  # seconds that closing waits for the queue to be written


class SQLiteJournal:
    """A journal in a SQLite file; several clients and processes may share one file.

    It stores the idempotency key, the body and the orders of each purchase, never the token. Accounts are
    kept apart. A file that is damaged, or was not made by this class, is refused and left as it is.

    A thread of its own writes the file, so event loops never wait for the disk. Files beside it whose names
    begin with its name belong to it. Each process has to open the journal itself, also after a fork.

    ``AsyncClient(journal=path)`` opens one by itself. To share one object between clients::

        with SQLiteJournal("orders.db") as journal:
            client = Client(journal=journal)
    """

    owner: str
    """The id of this journal object, stored with its purchases."""

    holders: dict[tuple[str, str], PurchaseHolder]
    """The calls with a purchase under way, by account and idempotency key, of all clients of this object."""

    lock: threading.Lock
    """Held while a client checks and changes `holders`. No other lock is taken under it."""

    def __init__(self, path: str | os.PathLike[str], *, keep: float = _KEEP) -> None:
        """Open the journal at ``path``, and create it if there is no file; ``~`` is the home folder.

        Closed purchases are deleted after ``keep`` seconds (0 or more, default 30 days); what they cost stays
        in `totals`.

        Raises `InvalidArgumentError` for another ``keep``, `ConfigurationError` if the file cannot be used,
        and `JournalError` if another process has it locked for more than 5 seconds or the disk fails.
        """
        self._begin(real_path(path), keep)
        try:
            self._writer.ask(_nothing)
        except BaseException as error:
            self._writer.stop(_CLOSING, wait=isinstance(error, Exception))
            raise

    def _begin(self, path: str, keep: float) -> None:
        if type(keep) not in (int, float) or not keep >= 0:
            raise wrong("keep", "a number of seconds, at least 0", keep)
        self._writer = Writer(Store(path, keep))
        self.owner = self._writer.owner
        self.holders = {}
        self.lock = threading.Lock()

    def __repr__(self) -> str:
        return f"SQLiteJournal({self._writer.path!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("A journal cannot be pickled or copied: open it again, in each process that uses it.")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __del__(self) -> None:
        writer: Writer | None = getattr(self, "_writer", None)  # absent if the constructor raised
        if writer is not None:
            writer.stop(_CLOSING, wait=False)

    def apply(self, write: Write[R]) -> Write[R]:
        """Queue a write and return it. This never raises, and does not wait for the disk."""
        return self._writer.apply(write)

    def abandon(self, write: Write[Any]) -> bool:
        """Withdraw a write. Return True if it had not begun: then it is never applied, and never ``done``."""
        return self._writer.abandon(write)

    def find(self, account: str, key: str, wake: Callable[[], object]) -> Read[tuple[PurchaseRecord | None]]:
        """Queue the read of one purchase, open or closed, and return it. This never raises.

        ``result`` is a tuple of the record, or of None if there is none. ``wake`` is called when it is done.
        The read does not wait for another process that has the file locked.
        """
        return self._writer.read(Read(lambda store: (store.find(account, key),), wake))

    @property
    def path(self) -> str:
        """The absolute path of the file, without symbolic links."""
        return self._writer.path

    def records(self, account: str, *, ended: bool = False) -> list[PurchaseRecord]:
        """Return an account's open purchases, oldest first, after all writes that were queued before.

        With ``ended`` those of journals that are still open, in this or another process, are left out. This
        waits for the journal's thread. Raises `JournalError` if the file cannot be read, `ClientStateError`
        if the journal is closed, and `ConfigurationError` in a forked process.
        """
        return self._writer.ask(lambda store: store.records(account, ended=ended))

    def totals(self, account: str) -> Totals:
        """Return the sums of an account's purchases, deleted ones included; waits and raises as `records`."""
        return self._writer.ask(lambda store: store.totals(account))

    def close(self, *, wait: bool = True) -> None:
        """Write what is queued, for at most 5 seconds, and close the file. Unfinished purchases stay in it.

        Purchases under way whose first byte was not sent are withdrawn, and never sent. Without ``wait`` this
        returns at once, and the file is closed soon after. In a forked process this does nothing.
        """
        self._forbid()
        self._writer.stop(_CLOSING, wait=wait)

    def _forbid(self) -> None:
        if self._writer.usable:
            for holder in tuple(self.holders.values()):
                holder.forbid(
                    ClientStateError(f"journal: {self.path} was closed before this purchase was sent.")
                )


class _SharedJournal(SQLiteJournal):
    """The journal of all clients of this process that gave the same path; opened at its first use."""

    def __init__(self, path: str) -> None:
        self._begin(path, _KEEP)
        self.uses = 0

    def close(self, *, wait: bool = True) -> None:
        """Close the file when its last user closes it."""
        with _sharing.lock:
            # In this order, so that an interrupt at any line leaves the journal open and shared, or closed.
            self.uses = max(self.uses - 1, 0)
            if self.uses:
                return
            if _sharing.journals.get(self._writer.path) is self:
                del _sharing.journals[self._writer.path]
        super().close(wait=wait)


class _Sharing:
    """The shared journals of this process, by their paths, under a lock that comes before all others."""

    def __init__(self) -> None:
        self.lock: threading.Lock = threading.Lock()
        self.journals: dict[str, _SharedJournal] = {}


_sharing = _Sharing()


def shared(path: str | os.PathLike[str]) -> SQLiteJournal:
    """Return the shared journal of this process for a path; each caller has to close it once.

    The file is opened at its first use. Raises `ConfigurationError` if its folder does not exist, or the
    permissions are missing.
    """
    real = real_path(path)
    with _sharing.lock:
        journal = _sharing.journals.get(real)
        if journal is None:
            journal = _sharing.journals[real] = _SharedJournal(real)
        journal.uses += 1
    return journal


def _nothing(store: Store) -> None:
    """Read nothing, just to have the file opened."""


def _after_fork() -> None:
    # In a forked child: the lock may be held by a thread that only the parent has, and so may the journals.
    global _sharing
    _sharing = _Sharing()


if sys.platform != "win32":  # pragma: no branch  # there nothing forks
    os.register_at_fork(after_in_child=_after_fork)
