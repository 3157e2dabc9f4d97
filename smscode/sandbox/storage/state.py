"""A sandbox's state in a SQLite file: what changed is on disk before an answer that tells of it goes out.

Entries of text by their names, see `Keeper`. One sandbox uses a file at a time.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final

from cattrs import BaseValidationError

from ... import _sqlite
from ...errors import ClientStateError, ConfigurationError
from ..clock import Clock
from ..http.app import App
from ..options import Options
from .snapshot import OPTIONS, Keeper, read_options

_PATIENCE: Final = 0.2  # seconds; whoever else has the file does not let go of it soon
_FORMAT: Final = _sqlite.Format(
    application_id=0x534D5342,  # "SMSB"
    version=1,
    schema="CREATE TABLE entry (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
)


class StateFile:
    """The file. It is this process's own until it is closed or the process ends, however it ends."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._process = os.getpid()
        try:
            self._connection = _sqlite.connect(
                self._path, _FORMAT, self.unusable, patience=_PATIENCE, exclusive=True
            )
        except sqlite3.Error as error:
            locked = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
            raise self.unusable("another sandbox is using it" if locked else str(error)) from error

    def unusable(self, why: str) -> ConfigurationError:
        """Make the error that says why the file cannot be used."""
        return ConfigurationError(f"state: {self._path.name} cannot be used ({why}).")

    def read(self, name: str | None = None) -> list[tuple[str, str]]:
        """Return all entries, or the one of a name if there is one."""
        query = "SELECT name, value FROM entry"
        if name is None:
            return self._connection.execute(query).fetchall()
        return self._connection.execute(f"{query} WHERE name = ?", (name,)).fetchall()

    def write(self, entries: Mapping[str, str | None], *, lasting: bool, anew: bool = False) -> None:
        """Replace entries, None takes one out: all of them or, if this process is killed, none.

        With ``anew`` all others are taken out. With ``lasting`` they are on disk when this returns, so that
        they are there after a loss of power, too.
        """
        if os.getpid() != self._process:
            raise ClientStateError("state: a forked process cannot go on with the sandbox of its parent.")
        run = self._connection.execute
        try:
            run(f"PRAGMA synchronous = {'FULL' if lasting else 'NORMAL'}")
            with _sqlite.transaction(self._connection):
                if anew:
                    run("DELETE FROM entry")
                for name, value in entries.items():
                    if value is None:
                        run("DELETE FROM entry WHERE name = ?", (name,))
                    else:
                        run("INSERT OR REPLACE INTO entry VALUES (?, ?)", (name, value))
        except sqlite3.ProgrammingError:
            raise ClientStateError("state: the sandbox is closed.") from None
        except sqlite3.Error as error:
            raise self.unusable(str(error)) from error

    def close(self) -> None:
        """Release the file to others."""
        self._connection.close()


class SavedState:
    """The state of one sandbox, kept in a file."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = StateFile(path)
        self.close: Callable[[], None] = self._file.close

    def options(self, wanted: Options) -> Options:
        """Return what the sandbox was made with, which for a new one is what is ``wanted``."""
        found = self._file.read(OPTIONS)
        if not found:
            return wanted
        with self._reading():
            kept = read_options(found[0][1])
        return wanted.goes_on_as(kept)

    def keep(self, app: App, clock: Clock, options: Options) -> None:
        """Bring a sandbox to where it was, and from now on keep whatever changes in it."""
        saving = Saving(app, lambda: Keeper(app, clock, options), self._file)
        entries = self._file.read()
        if entries:
            with self._reading():
                saving.keeper.restore(entries, clock)
        app.lock = saving
        with app.lock:
            pass

    @contextmanager
    def _reading(self) -> Generator[None]:
        try:
            yield
        except (BaseValidationError, LookupError, TypeError, ValueError) as error:
            raise self._file.unusable(f"it is damaged, and left as it is: {error!r}") from error


class Saving(AbstractContextManager[None]):
    """The lock of an app, let go of when what changed under it is in the file.

    ``keeper`` takes apart the world that the app serves; for another one, another is made.
    """

    def __init__(self, app: App, make_keeper: Callable[[], Keeper], file: StateFile) -> None:
        self.keeper: Keeper = make_keeper()
        self.file: StateFile = file
        self._app = app
        self._lock = app.lock
        self._make_keeper = make_keeper
        self._anew = False

    def __enter__(self) -> None:
        self._lock.__enter__()

    def __exit__(
        self,
        type_: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._save()
        finally:
            self._lock.__exit__(type_, error, traceback)

    def _save(self) -> None:
        if self.keeper.world is not self._app.world:
            self.keeper, self._anew = self._make_keeper(), True
        entries, lasting = self.keeper.changes()
        if entries:
            self.file.write(entries, lasting=lasting, anew=self._anew)
            self.keeper.forget()
            self._anew = False
