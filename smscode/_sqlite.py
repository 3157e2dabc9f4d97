"""Opening a SQLite file that is this package's own, and leaving any other as it is."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import TypeAlias

from attrs import field, frozen

from .errors import ConfigurationError

Unusable: TypeAlias = Callable[[str], ConfigurationError]
"""Returns the error that says why a file cannot be used."""

Upgrade: TypeAlias = Callable[[sqlite3.Connection], None]
"""Changes the tables of an older version into those of the current one, inside a transaction."""


@frozen
class Format:
    """What a kind of file is known by: its ``application_id``, and the ``version`` of its tables.

    ``schema`` makes the tables, one statement after the other with semicolons between. ``upgrades`` are for
    files of older versions; a version without one is refused.
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
    """Open a file, creating it if there is none; transactions are the caller's own.

    A statement waits up to ``patience`` seconds for other processes that use the file. What is committed
    under ``PRAGMA synchronous = FULL``, which is set, is on disk. Raises what ``unusable`` returns, or
    `sqlite3.Error`.
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
    """Change a file in one step, wholly or not at all."""
    if connection.in_transaction:  # an earlier one could not be rolled back: its disk had failed
        connection.execute("ROLLBACK")
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # some errors, as a full disk, end it by themselves
            connection.execute("ROLLBACK")
        raise


def create(connection: sqlite3.Connection, schema: str) -> None:
    """Create the tables of a schema, inside the caller's transaction."""
    for statement in schema.split(";"):
        connection.execute(statement)


def _prepare(connection: sqlite3.Connection, format_: Format, unusable: Unusable) -> None:
    """Check that the file is of the format, or make it so if it is empty or older."""
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


def _check(connection: sqlite3.Connection, unusable: Unusable) -> None:
    """Raise if the file is damaged."""
    damage = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if damage != "ok":
        raise unusable(f"it is damaged, and left as it is: {damage}")
