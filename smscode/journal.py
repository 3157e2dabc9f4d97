"""A durable journal of purchases, so that a killed process leaves no paid order behind.

``AsyncClient(journal="orders.db")`` writes every purchase down before its first byte is sent, and what
became of it afterwards. ``client.orders.recover()`` gives what earlier processes left unfinished.
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
_CLOSING: Final = 5.0  # seconds


class SQLiteJournal:
    """A journal in a SQLite file; several clients and processes may share one file.

    It holds the idempotency key, the body and the orders of each purchase, never the token. Accounts are
    kept apart. A file that is damaged, or was not made by this class, is refused and left as it is.

    A thread of its own writes the file, so that event loops never wait for the disk. Files beside it
    whose names begin with its name belong to it. Each process opens the journal for itself, after a fork too.
    """

    owner: str
    """The name of this journal object in the rows of its purchases."""

    holders: dict[tuple[str, str], PurchaseHolder]
    """The calls that have a purchase under way, by account and idempotency key: of all clients here."""

    lock: threading.Lock
    """To be held by a client while it looks who holds a purchase, and takes it."""

    def __init__(self, path: str | os.PathLike[str], *, keep: float = _KEEP) -> None:
        """Open the journal at ``path``, creating it if there is no file; ``~`` is the home folder.

        Purchases that are closed are deleted ``keep`` seconds later; what they cost stays in `totals`.

        Raises `ConfigurationError` if the file cannot be used, `JournalError` if another process has it
        locked for some seconds or the disk fails.
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
        writer: Writer | None = getattr(self, "_writer", None)  # there is none if the path was refused
        if writer is not None:
            writer.stop(_CLOSING, wait=False)

    def apply(self, write: Write[R]) -> Write[R]:
        """Queue a write and return it. It never raises, and does not wait for the disk."""
        return self._writer.apply(write)

    def abandon(self, write: Write[Any]) -> bool:
        """Return True if a write had not begun and will never be applied; it does not become done then."""
        return self._writer.abandon(write)

    def find(self, account: str, key: str, wake: Callable[[], object]) -> Read[tuple[PurchaseRecord | None]]:
        """Queue the question for a purchase, open or closed, and return it. It never raises.

        It waits for no other process that has the file locked.
        """
        return self._writer.read(Read(lambda store: (store.find(account, key),), wake))

    @property
    def path(self) -> str:
        """Where the file really lies."""
        return self._writer.path

    def records(self, account: str, *, ended: bool = False) -> list[PurchaseRecord]:
        """Return an account's open purchases, oldest first, as they are after all that was queued.

        ``ended`` leaves out those of journals that are open in another process, or in this one.
        This waits for the thread. Raises `JournalError` if the file cannot be read, `ClientStateError` when
        the journal is closed, `ConfigurationError` in a forked process.
        """
        return self._writer.ask(lambda store: store.records(account, ended=ended))

    def totals(self, account: str) -> Totals:
        """Return what an account's purchases sum up to, deleted ones included.

        It waits and raises as `records` does.
        """
        return self._writer.ask(lambda store: store.totals(account))

    def close(self, *, wait: bool = True) -> None:
        """Write what waits, for at most 5 seconds, and close the file. What is unfinished stays in it.

        Purchases under way that have not sent their first byte are withdrawn: they are not sent any more.
        Without ``wait`` the file is closed soon after. In a forked process this does nothing.
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
    """The journal of all those in this process who gave its path. It is opened at its first use."""

    def __init__(self, path: str) -> None:
        self._begin(path, _KEEP)
        self.uses = 0

    def close(self, *, wait: bool = True) -> None:
        """Close the file when the last one who uses it closes it."""
        with _sharing.lock:
            # An interruption at any line leaves it open and to be had, or closed for good.
            self.uses = max(self.uses - 1, 0)
            if self.uses:
                return
            if _sharing.journals.get(self._writer.path) is self:
                del _sharing.journals[self._writer.path]
        super().close(wait=wait)


class _Sharing:
    """The shared journals of this process, by their real paths."""

    def __init__(self) -> None:
        self.lock: threading.Lock = threading.Lock()
        self.journals: dict[str, _SharedJournal] = {}


_sharing = _Sharing()


def shared(path: str | os.PathLike[str]) -> SQLiteJournal:
    """Return the one journal of this process at a path; each caller closes it once.

    Only folder and permissions are checked now. Raises `ConfigurationError` if they do not do.
    """
    real = real_path(path)
    with _sharing.lock:
        journal = _sharing.journals.get(real)
        if journal is None:
            journal = _sharing.journals[real] = _SharedJournal(real)
        journal.uses += 1
    return journal


def _nothing(store: Store) -> None:
    """Read nothing: the file has been opened when this is called."""


def _after_fork() -> None:
    # The lock may be held by a thread that the child does not have, and the journals are the parent's.
    global _sharing
    _sharing = _Sharing()


if sys.platform != "win32":  # pragma: no branch  # there nothing forks
    os.register_at_fork(after_in_child=_after_fork)
