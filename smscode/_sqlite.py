"""Opening a SQLite file that is this package's own, and leaving any other as it is."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from attrs import frozen

from .errors import ConfigurationError

Unusable: TypeAlias = Callable[[str], ConfigurationError]
"""Makes the error that says why a file cannot be used."""


@frozen
class Format:
    """What a kind of file is known by: its ``application_id``, and the ``version`` of its tables.

    ``schema`` makes the tables, one statement after the other with semicolons between.
    """

    application_id: int
    version: int
    schema: str


def connect(
    path: Path, format_: Format, unusable: Unusable, *, patience: float, exclusive: bool = False
) -> sqlite3.Connection:
    """Open a file, making it if there is none; transactions are the caller's own.

    It waits ``patience`` seconds for whoever else uses the file; with ``exclusive`` nobody else can from
    now on, until this process ends, however it ends. What is committed under ``PRAGMA synchronous =
    FULL``, which is set, is on disk. Raises what ``unusable`` makes, or `sqlite3.Error`.
    """
    connection = sqlite3.connect(path, timeout=patience, isolation_level=None, check_same_thread=False)
    try:
        if exclusive:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        _prepare(connection, format_, unusable)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Generator[None]:
    """Change a file in one step, wholly or not at all."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # some errors, as a full disk, end it by themselves
            connection.execute("ROLLBACK")
        raise


def _prepare(connection: sqlite3.Connection, format_: Format, unusable: Unusable) -> None:
    """Check that the file is of the format, or make it so if it is empty."""
    connection.execute("BEGIN IMMEDIATE")
    application, version, tables = (
        connection.execute(query).fetchone()[0]
        for query in ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_master")
    )
    if application == 0 and tables == 0:
        for statement in format_.schema.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {format_.application_id}")
        connection.execute(f"PRAGMA user_version = {format_.version}")
    elif application != format_.application_id:
        raise unusable("it is another program's file, and left as it is")
    elif version != format_.version:
        raise unusable(f"it has format {version}, expected {format_.version}")
    connection.execute("COMMIT")
    damage = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if damage != "ok":
        raise unusable(f"it is damaged, and left as it is: {damage}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
