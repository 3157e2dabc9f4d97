"""Opens SQLite files of this package's own formats, and leaves all others as they are."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import TypeAlias

from attrs import field, frozen

from .errors import ConfigurationError

Unusable: TypeAlias = Callable[[str], ConfigurationError]
"""Returns the error for a file that cannot be used, from the reason."""

Upgrade: TypeAlias = Callable[[sqlite3.Connection], None]
"""Converts the tables of an older version to the current one, inside a transaction."""


@frozen
class Format:
    """A kind of file, marked by its ``application_id`` and the ``version`` of its tables.

    ``schema`` has the statements that create the tables, separated by semicolons. ``upgrades`` are for files
    of older versions; a version without one is refused.
    """

    application_id: int
    version: int
    schema: str
    upgrades: Mapping[int, Upgrade] = field(factory=dict[int, Upgrade])


def connect(
    path: str | os.PathLike[str],
    format_: Format,
    unusable: Unusable,
    *,
    patience: float,
) -> sqlite3.Connection:
    """Open a file, and create it if there is none. Nothing is committed automatically: see `transaction`.

    A statement waits up to ``patience`` seconds for other processes that use the file. ``PRAGMA synchronous``
    is FULL, so a commit is on disk when it returns. Raises what ``unusable`` returns, or `sqlite3.Error`.
    """
    connection = sqlite3.connect(path, timeout=patience, isolation_level=None, check_same_thread=False)
    try:
        _prepare(connection, format_, unusable)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Generator[None]:
    """Run the block in a transaction: commit at its end, roll back if it raises."""
    if connection.in_transaction:  # the disk failed before an earlier one was rolled back
        connection.execute("ROLLBACK")
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # some errors, such as a full disk, end it themselves
            connection.execute("ROLLBACK")
        raise


def create(connection: sqlite3.Connection, schema: str) -> None:
    """Create the tables of a schema, inside the caller's transaction."""
    for statement in schema.split(";"):
        connection.execute(statement)


def _prepare(connection: sqlite3.Connection, format_: Format, unusable: Unusable) -> None:
    """Check the format of the file; create the tables if it is empty, convert them if it is older."""
    with transaction(connection):
        application, version, tables = (
            connection.execute(query).fetchone()[0]
            for query in (
                "PRAGMA application_id",
                "PRAGMA user_version",
                "SELECT count(*) FROM sqlite_master",
            )
        )
        if application == 0 and tables == 0:
            create(connection, format_.schema)
            connection.execute(f"PRAGMA application_id = {format_.application_id}")
            connection.execute(f"PRAGMA user_version = {format_.version}")
        elif application != format_.application_id:
            raise unusable("it is another program's file, and left as it is")
        elif version in format_.upgrades:
            _check(connection, unusable)
            format_.upgrades[version](connection)
            connection.execute(f"PRAGMA user_version = {format_.version}")
        elif version != format_.version:
            raise unusable(f"it has format {version}, expected {format_.version}")
    _check(connection, unusable)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")  # without it macOS leaves a commit in the disk's own cache


def _check(connection: sqlite3.Connection, unusable: Unusable) -> None:
    """Raise if the file is damaged."""
    damage = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if damage != "ok":
        raise unusable(f"it is damaged, and left as it is: {damage}")
