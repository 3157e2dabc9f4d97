"""The journal on a disk that is locked, full, failing or gone, and writes that are abandoned meanwhile."""

from __future__ import annotations

import math
import os
import signal
import sqlite3
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import pytest
from attrs import evolve

from smscode import ClientStateError, ConfigurationError, _sqlite
from smscode._journal import store as store_module
from smscode._journal import thread, write_loop
from smscode._journal.write_loop import QueueItem, Stop
from smscode._journal.writes import Read
from smscode.core.purchases.records import BoughtOrder, Living, PurchaseRecord, PurchaseState
from smscode.errors import JournalError, SmscodeError
from smscode.journal import SQLiteJournal, Totals, Write, shared

from .journal_tools import (
    ACCOUNT,
    Disk,
    Waiter,
    begin,
    do,
    found,
    keys,
    locked,
    look,
    purchase,
    put,
    python,
    store,
)

LONG = 30.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orders.db"


@pytest.fixture
def journal(path: Path) -> Iterator[SQLiteJournal]:
    with SQLiteJournal(path) as opened:
        yield opened


@pytest.fixture
def disk(journal: SQLiteJournal, monkeypatch: pytest.MonkeyPatch) -> Disk:
    """Return the disk of the journal, from when it is open."""
    journal.totals(ACCOUNT)  # so that it has looked for old rows, too
    disk = Disk()
    disk.free.set()
    monkeypatch.setattr(_sqlite, "transaction", disk.transaction)
    return disk


def turn(journal: SQLiteJournal) -> None:
    """Wait until the thread has looked at all that waits: reading needs no lock."""
    journal.totals(ACCOUNT)


# Locked


def test_a_write_waits_while_another_process_has_the_file_locked(journal: SQLiteJournal, path: Path) -> None:
    with locked(path):
        write, waiter = begin(journal, "key-1", put(purchase()))
        turn(journal)
        assert not write.done
    waiter.wait()
    assert write.error is None
    assert found(journal) == purchase()


def test_reading_does_not_wait_for_another_process(journal: SQLiteJournal, path: Path) -> None:
    store(journal, purchase("a"))
    with locked(path):
        write, _ = begin(journal, "b", put(purchase("b")))
        assert keys(journal) == ["a"]
        assert journal.totals(ACCOUNT) == Totals()
        assert not write.done


def test_a_read_that_meets_a_lock_is_tried_again(
    journal: SQLiteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite locks out readers too while it repairs what a killed process left."""
    busy = [1, 2, 3]

    def totals(self: store_module.Store, account: str) -> Totals:
        if busy:
            busy.pop()
            raise store_module.Locked
        return real(self, account)

    real = store_module.Store.totals
    monkeypatch.setattr(store_module.Store, "totals", totals)
    assert journal.totals(ACCOUNT) == Totals()
    assert not busy


def test_a_write_that_is_abandoned_while_the_file_is_locked_is_never_applied(
    journal: SQLiteJournal, path: Path, disk: Disk
) -> None:
    with locked(path):
        write, _ = begin(journal, "a", put(purchase("a")))
        other, waiter = begin(journal, "b", put(purchase("b")))
        turn(journal)
        assert journal.abandon(write)
        assert journal.abandon(write)  # asked again after an interruption, it says the same
    waiter.wait()
    assert other.error is None
    assert keys(journal) == ["b"]
    assert not write.done


def test_the_thread_rests_when_all_that_waited_for_a_lock_is_abandoned(
    journal: SQLiteJournal, path: Path, disk: Disk
) -> None:
    with locked(path):
        writes = [begin(journal, f"key-{number}", look)[0] for number in range(3)]
        turn(journal)
        assert all(journal.abandon(write) for write in writes)
        turn(journal)
        tries = disk.tries
        turn(journal)
        turn(journal)
        assert disk.tries == tries


def test_a_write_is_abandoned_before_it_is_queued(journal: SQLiteJournal) -> None:
    write = Write(ACCOUNT, "key-1", put(purchase()), durable=True)
    assert journal.abandon(write)
    journal.apply(write)
    turn(journal)
    assert not write.done
    assert found(journal) is None


def test_a_write_is_abandoned_while_another_one_is_committed(journal: SQLiteJournal, disk: Disk) -> None:
    disk.hold()
    _, first = begin(journal, "a", put(purchase("a")))
    disk.held()
    write, _ = begin(journal, "b", put(purchase("b")))
    assert journal.abandon(write)
    disk.free.set()
    first.wait()
    assert keys(journal) == ["a"]
    assert not write.done


def test_a_write_is_abandoned_until_its_transaction_has_begun(journal: SQLiteJournal, disk: Disk) -> None:
    disk.hold()
    write, _ = begin(journal, "key-1", put(purchase()))
    disk.held()  # the thread has taken the write, and is about to begin
    assert journal.abandon(write)
    disk.free.set()
    assert found(journal) is None
    assert not write.done


def test_a_write_that_is_abandoned_just_as_a_lock_is_met_is_never_applied(
    journal: SQLiteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    abandoned: list[bool] = []

    @contextmanager
    def transaction(connection: sqlite3.Connection) -> Generator[None]:
        if not abandoned:
            abandoned.append(journal.abandon(write))
            raise sqlite3_error("database is locked", sqlite3.SQLITE_BUSY)
        with real(connection):
            yield

    real = _sqlite.transaction
    write = Write(ACCOUNT, "key-1", put(purchase()), durable=True, lasting=True)
    monkeypatch.setattr(_sqlite, "transaction", transaction)
    journal.apply(write)
    assert found(journal) is None
    assert abandoned == [True]
    assert not write.done


def test_a_write_that_was_given_back_can_be_abandoned_and_then_does_not_fail() -> None:
    write = Write(ACCOUNT, "key-1", look, durable=True)
    assert write.begin()
    write.give_back()
    assert write.abandon()
    write.fail(JournalError("pretended"))
    assert not write.done


def test_a_write_that_has_begun_cannot_be_abandoned(journal: SQLiteJournal) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(before: PurchaseRecord | None, living: Living) -> tuple[PurchaseRecord | None, str]:
        begun.set()
        assert go_on.wait(LONG)
        return purchase(), "applied"

    write, waiter = begin(journal, "key-1", slow)
    assert begun.wait(LONG)
    assert not journal.abandon(write)
    go_on.set()
    waiter.wait()
    assert not journal.abandon(write)
    assert (write.result, write.error) == ("applied", None)


def test_a_lock_that_is_met_while_committing_is_waited_for(
    journal: SQLiteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = [True, True]

    @contextmanager
    def transaction(connection: sqlite3.Connection) -> Generator[None]:
        with real(connection):
            yield
            if busy:
                busy.pop()
                raise sqlite3_error("database is locked", sqlite3.SQLITE_BUSY)

    real = _sqlite.transaction
    monkeypatch.setattr(_sqlite, "transaction", transaction)
    assert do(journal, "key-1", put(purchase())).error is None
    assert found(journal) == purchase()


def sqlite3_error(message: str, code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(message)
    error.sqlite_errorcode = code
    return error


def test_a_file_that_is_locked_while_it_is_opened_is_an_error_of_the_disk(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smscode._journal.writes._READS", 2)
    SQLiteJournal(path).close()
    with locked(path):
        with pytest.raises(JournalError) as caught:
            SQLiteJournal(path)
    assert caught.value.message == f"journal: {path}: another process has it locked."
    assert os.listdir(path.parent) == ["orders.db"]


# Full and failing


def test_a_full_disk_fails_a_write_and_nothing_of_it_is_stored(journal: SQLiteJournal, disk: Disk) -> None:
    big = purchase("big", credential="x" * 100_000)
    disk.full = True
    write = do(journal, "big", put(big))
    assert isinstance(write.error, JournalError)
    assert "the disk is full; free some space" in write.error.message
    assert write.error.outcome == "not_sent"
    disk.full = False
    assert found(journal, "big") is None
    assert do(journal, "big", put(big)).error is None


def test_each_write_has_an_error_of_its_own(journal: SQLiteJournal, disk: Disk) -> None:
    disk.hold()
    writes = [begin(journal, key, put(purchase(key, credential="x" * 100_000))) for key in ("a", "b")]
    disk.full = True
    disk.free.set()
    for _, waiter in writes:
        waiter.wait()
    (first, _), (second, _) = writes
    assert isinstance(first.error, JournalError)
    assert first.error is not second.error
    assert isinstance(first.error.__cause__, sqlite3.Error)


def test_a_lasting_write_is_stored_when_the_disk_has_room_again(
    journal: SQLiteJournal, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    order = ["b", "a", "c"]
    disk.full = True
    writes = [
        begin(journal, key, put(purchase(key, credential="x" * 50_000)), lasting=True, durable=False)
        for key in order
    ]
    while disk.tries < 4:
        failed = do(journal, "other", put(purchase("other", credential="x" * 50_000)))
        assert isinstance(failed.error, JournalError)
    assert not any(write.done for write, _ in writes)
    disk.full = False
    for write, waiter in writes:
        waiter.wait()
        assert write.error is None
    assert keys(journal) == order
    assert len(caplog.records) == 1  # one outage
    assert "the disk is full" in caplog.text


def test_each_outage_is_logged_once(
    journal: SQLiteJournal, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        disk.full = True
        for _ in range(3):
            do(journal, "key-1", put(purchase(credential="x" * 50_000)))
        disk.full = False
        do(journal, "key-1", look)
    assert len(caplog.records) == 2


def test_an_abandoned_write_is_not_failed_by_a_failing_disk(
    journal: SQLiteJournal, path: Path, disk: Disk
) -> None:
    disk.hold()
    disk.full = True
    abandoned, _ = begin(journal, "a", put(purchase("a", credential="x" * 50_000)))
    write, waiter = begin(journal, "b", put(purchase("b", credential="x" * 50_000)))
    disk.held()
    assert journal.abandon(abandoned)
    disk.free.set()
    waiter.wait()
    assert isinstance(write.error, JournalError)
    assert not abandoned.done


def test_a_lasting_write_can_be_abandoned_between_two_attempts(journal: SQLiteJournal, disk: Disk) -> None:
    disk.full = True
    write, _ = begin(journal, "key-1", put(purchase(credential="x" * 50_000)), lasting=True)
    do(journal, "other", put(purchase("other", credential="x" * 50_000)))
    disk.hold()
    disk.held()
    assert journal.abandon(write)
    disk.full = False
    disk.free.set()
    assert found(journal) is None
    assert not write.done


def test_the_pauses_between_attempts_grow_to_a_second() -> None:
    class Broken(store_module.Store):
        def open(self) -> None:
            raise self.failure("broken")

    work = write_loop.WriteLoop(Broken("orders.db", 0.0), SimpleQueue())
    pauses: list[float | None] = []
    work._writes.append(Write(ACCOUNT, "key-1", look, durable=False, lasting=True))
    for _ in range(7):
        work._fail(JournalError("broken"))
        pauses.append(work._pause)
    assert pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_closing_does_not_wait_for_a_failing_disk_for_ever(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("smscode.journal._CLOSING", 0.2)
    journal = SQLiteJournal(path)
    with locked(path):
        write, waiter = begin(journal, "key-1", put(purchase()), lasting=True)
        abandoned, _ = begin(journal, "key-2", put(purchase()), lasting=True)
        assert journal.abandon(abandoned)
        journal.close()
        waiter.wait()
    assert isinstance(write.error, JournalError)
    assert "closed before this could be written" in write.error.message
    assert "closed before 1 changes could be written" in caplog.text
    assert not abandoned.done
    with SQLiteJournal(path) as other:
        assert found(other) is None


def test_a_journal_that_is_being_closed_refuses_what_is_new(journal: SQLiteJournal, disk: Disk) -> None:
    disk.hold()
    before, waiter = begin(journal, "key-1", put(purchase()))
    disk.held()
    journal.close(wait=False)
    write, _ = begin(journal, "key-2", put(purchase("key-2")))
    assert write.done
    assert isinstance(write.error, ClientStateError)
    disk.free.set()
    waiter.wait()
    assert before.error is None


SET_UP, DISK = ConfigurationError, JournalError
DAMAGED = "it is damaged, and left as it is; restore it from a copy, or give another path"


@pytest.mark.parametrize(
    ("code", "opening", "why"),
    [
        (
            sqlite3.SQLITE_CANTOPEN,
            SET_UP,
            "it, or a file that SQLite keeps beside it, can be neither opened nor created",
        ),
        (sqlite3.SQLITE_CORRUPT, SET_UP, DAMAGED),
        (sqlite3.SQLITE_NOTADB, SET_UP, DAMAGED),
        (sqlite3.SQLITE_FULL, DISK, "the disk is full; free some space"),
        (sqlite3.SQLITE_PERM, SET_UP, "pretended"),
        (sqlite3.SQLITE_AUTH, SET_UP, "pretended"),
        (sqlite3.SQLITE_READONLY, SET_UP, "pretended"),
        (sqlite3.SQLITE_ERROR, SET_UP, "pretended"),
        (None, SET_UP, "pretended"),
        (sqlite3.SQLITE_IOERR, DISK, "pretended"),
        (sqlite3.SQLITE_CORRUPT_VTAB, SET_UP, DAMAGED),
        (sqlite3.SQLITE_IOERR_FSYNC, DISK, "pretended"),
    ],
)
def test_an_error_of_sqlite_says_what_to_do_and_is_one_of_the_set_up_only_while_the_file_is_opened(
    code: int | None,
    opening: type[SmscodeError],
    why: str,
    journal: SQLiteJournal,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @contextmanager
    def transaction(connection: sqlite3.Connection) -> Generator[None]:
        raise error
        yield

    error = sqlite3.OperationalError("pretended")
    if code is not None:
        error.sqlite_errorcode = code
    monkeypatch.setattr(_sqlite, "transaction", transaction)
    later = do(journal, "key-1", put(purchase())).error
    other = path.with_name("other.db")
    with pytest.raises(opening) as caught:
        SQLiteJournal(other)
    expected = f"{other} cannot be used ({why})." if opening is SET_UP else f"{other}: {why}."
    assert caught.value.message == f"journal: {expected}"
    assert isinstance(later, JournalError)
    assert later.message == f"journal: {path}: {why}."


@pytest.mark.parametrize("code", [sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_BUSY_SNAPSHOT])
def test_every_kind_of_lock_is_waited_for(
    code: int, journal: SQLiteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    locks = [sqlite3_error("locked", code)] * 2

    @contextmanager
    def transaction(connection: sqlite3.Connection) -> Generator[None]:
        if locks:
            raise locks.pop()
        with real(connection):
            yield

    real = _sqlite.transaction
    monkeypatch.setattr(_sqlite, "transaction", transaction)
    assert do(journal, "key-1", put(purchase())).error is None
    assert locks == []


def test_of_several_who_close_it_the_least_patient_is_waited_for(path: Path) -> None:
    journal = SQLiteJournal(path)
    with locked(path):
        write, waiter = begin(journal, "key-1", put(purchase()), lasting=True)
        for patience in (3600.0, 0.0, 3600.0):
            journal._writer.stop(patience, wait=False)
        waiter.wait()
    assert isinstance(write.error, JournalError)


def test_a_file_on_a_disk_without_room_is_an_error_of_the_disk(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(full=True)
    disk.free.set()
    monkeypatch.setattr(_sqlite, "transaction", disk.transaction)
    with pytest.raises(JournalError, match="the disk is full"):
        SQLiteJournal(path)


FULL_DISK = """
import resource, signal, sys
from tests.journal_tools import *
from smscode.errors import JournalError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with SQLiteJournal(sys.argv[1]) as journal:
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    stored = []
    while True:
        key = f"key-{len(stored)}"
        write = do(journal, key, put(purchase(key, credential="x" * 10_000)))
        if write.error is not None:
            break
        stored.append(key)
    assert isinstance(write.error, JournalError) and sys.argv[1] in write.error.message, write.error
    lasting, waiter = begin(journal, "last", put(purchase("last", credential="x" * 10_000)), lasting=True)
    assert isinstance(do(journal, key, put(purchase(key, credential="x" * 10_000))).error, JournalError)
    assert not lasting.done
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    waiter.wait()
    assert lasting.error is None
print(*stored, "last")
"""


def test_a_real_limit_on_the_size_of_files_loses_nothing_that_was_said_to_be_stored(path: Path) -> None:
    process = python(FULL_DISK, str(path))
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert len(printed.split()) > 3
    with SQLiteJournal(path) as journal:
        assert keys(journal) == printed.split()


def test_a_rollback_that_failed_is_done_before_the_next_transaction(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    connection.execute("CREATE TABLE x (x)")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO x VALUES (1)")
    with _sqlite.transaction(connection):
        connection.execute("INSERT INTO x VALUES (2)")
    assert connection.execute("SELECT x FROM x").fetchall() == [(2,)]
    connection.close()


def test_an_error_of_sqlite_while_an_owner_is_looked_up_concerns_the_whole_commit(
    journal: SQLiteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: object, owner: str) -> bool:
        raise sqlite3_error("disk I/O error", sqlite3.SQLITE_IOERR)

    def step(before: PurchaseRecord | None, living: Living) -> tuple[PurchaseRecord | None, bool]:
        return before, living("somebody")

    with monkeypatch.context() as patched:
        patched.setattr("smscode._journal.owners.Census.living", broken)
        write = do(journal, "key-1", step)
    assert isinstance(write.error, JournalError)
    assert "disk I/O error" in write.error.message


# Gone


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_was_deleted_or_replaced_is_not_written(
    replaced: bool, journal: SQLiteJournal, path: Path
) -> None:
    store(journal, purchase("before"))
    away = path.with_name("away.db")
    path.rename(away)
    if replaced:
        path.write_bytes(b"")
    write = do(journal, "key-1", put(purchase()))
    assert isinstance(write.error, JournalError)
    assert str(path) in write.error.message
    assert "deleted, moved or replaced while open; put it back, or restart" in write.error.message
    lasting, waiter = begin(journal, "lasting", put(purchase("lasting")), lasting=True)
    with pytest.raises(JournalError, match="deleted, moved or replaced"):
        journal.records(ACCOUNT)
    assert not lasting.done
    away.replace(path)
    waiter.wait()
    assert lasting.error is None
    assert keys(journal) == ["before", "lasting"]


def test_a_journal_whose_file_was_deleted_is_closed_all_the_same(path: Path) -> None:
    journal = SQLiteJournal(path)
    path.unlink()
    journal.close()
    with SQLiteJournal(path):  # it sweeps what the other one could not
        assert len([name for name in os.listdir(path.parent) if "-owner-" in name]) == 1


def test_a_file_that_is_replaced_while_it_is_opened_is_not_used(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replacing(*arguments: object, **more: object) -> sqlite3.Connection:
        connection = connect(*arguments, **more)  # type: ignore[arg-type]  # passed on as they are
        path.rename(path.with_name("away.db"))
        path.write_bytes(b"")
        return connection

    connect = _sqlite.connect
    SQLiteJournal(path).close()
    monkeypatch.setattr(_sqlite, "connect", replacing)
    with pytest.raises(JournalError, match="replaced while open"):
        SQLiteJournal(path)
    assert path.read_bytes() == b""


def test_a_file_that_is_deleted_while_it_is_opened_is_not_used(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[sqlite3.Connection] = []

    def deleting(*arguments: object, **more: object) -> sqlite3.Connection:
        opened.append(connect(*arguments, **more))  # type: ignore[arg-type]  # passed on as they are
        path.unlink()
        return opened[-1]

    connect = _sqlite.connect
    monkeypatch.setattr(_sqlite, "connect", deleting)
    with pytest.raises(JournalError, match="deleted, moved or replaced while open"):
        SQLiteJournal(path)
    with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
        opened[0].execute("SELECT 1")


def test_a_file_is_opened_to_wait_a_tenth_of_a_second_for_locks_and_closed_with_its_journal(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[sqlite3.Connection] = []

    def noted(*arguments: object, **more: object) -> sqlite3.Connection:
        assert more == {"patience": 0.1}
        opened.append(connect(*arguments, **more))  # type: ignore[arg-type]  # passed on as they are
        return opened[-1]

    connect = _sqlite.connect
    monkeypatch.setattr(_sqlite, "connect", noted)
    SQLiteJournal(path).close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
        opened[0].execute("SELECT 1")


def test_what_was_made_beside_a_file_that_could_not_be_opened_is_removed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: object) -> None:
        raise OSError(5, "Input/output error")

    SQLiteJournal(path).close()
    with monkeypatch.context() as patched:
        patched.setattr("smscode._journal.owners.Census.sweep", broken)
        with pytest.raises(JournalError, match="Input/output error"):
            SQLiteJournal(path)
    assert os.listdir(path.parent) == ["orders.db"]


def test_a_system_error_while_opening_is_an_error_of_the_disk(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*arguments: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("smscode._journal.owners.os.open", failing)
        with pytest.raises(JournalError, match="No space left on device"):
            SQLiteJournal(path)
    SQLiteJournal(path).close()


# Callers and defects


def test_what_waking_the_caller_raises_is_ignored(journal: SQLiteJournal) -> None:
    def closed_loop() -> None:
        raise RuntimeError("Event loop is closed")

    write = journal.apply(Write(ACCOUNT, "a", put(purchase("a")), durable=False, wake=closed_loop))
    assert do(journal, "b", put(purchase("b"))).error is None
    assert write.done
    assert keys(journal) == ["a", "b"]


def test_all_writes_of_a_commit_are_done_before_the_first_caller_is_woken(
    journal: SQLiteJournal, disk: Disk
) -> None:
    seen: list[bool] = []
    waiter = Waiter()
    disk.hold()
    first = Write(ACCOUNT, "a", look, durable=True, wake=lambda: seen.append(second.done))
    second = Write(ACCOUNT, "b", look, durable=True, wake=waiter.done.set)
    begin(journal, "other", look)
    disk.held()
    journal.apply(first)
    journal.apply(second)
    disk.free.set()
    waiter.wait()
    assert seen == [True]


def test_a_defect_of_the_thread_fails_what_waits_and_the_thread_goes_on(
    journal: SQLiteJournal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(self: object, writes: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(store_module.Store, "commit", broken)
        lasting = journal.apply(
            Write(ACCOUNT, "lasting", put(purchase("lasting")), durable=True, lasting=True)
        )
        write = do(journal, "key-1", put(purchase()))
        assert not lasting.done, "it is tried again"
    assert isinstance(write.error, JournalError)
    assert isinstance(write.error.__cause__, ZeroDivisionError)
    assert "has a defect" in caplog.text
    assert do(journal, "key-1", put(purchase())).error is None
    assert (lasting.done, lasting.error) == (True, None)

    def cannot_read(self: object, account: str) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(store_module.Store, "totals", cannot_read)
        with pytest.raises(JournalError, match="by a defect"):
            journal.totals(ACCOUNT)


@pytest.mark.parametrize("name", ["_thread.start_new_thread", "threading.Thread.start"])
def test_a_thread_that_cannot_be_started_fails_the_write_and_the_next_one_tries_again(
    name: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*arguments: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(f"smscode._journal.thread.{name}", failing)
        with pytest.raises(JournalError, match="can't start new thread"):
            SQLiteJournal(path)
        writer = thread.Writer(store_module.Store(str(path), 0.0))
        waiter = Waiter()
        write = writer.apply(Write(ACCOUNT, "a", look, durable=True, wake=waiter.done.set))
        waiter.wait()
        assert isinstance(write.error, JournalError)
        if "Thread" in name:
            writer._launch()  # here, where its lines are counted
    waiter = Waiter()
    write = writer.apply(Write(ACCOUNT, "a", look, durable=True, wake=waiter.done.set))
    waiter.wait()
    assert write.error is None
    writer.stop(5.0, wait=True)


def test_a_write_that_comes_just_after_the_thread_could_not_be_started_fails(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*arguments: object) -> None:
        raise RuntimeError("can't start new thread")

    def launch_here(launch: Callable[[], None], arguments: tuple[()]) -> None:
        launch()

    monkeypatch.setattr("smscode._journal.thread.threading.Thread.start", failing)
    monkeypatch.setattr("smscode._journal.thread._thread.start_new_thread", launch_here)
    writer = thread.Writer(store_module.Store(str(path), 0.0))
    write = writer.apply(Write(ACCOUNT, "a", look, durable=True))
    assert write.done
    assert isinstance(write.error, JournalError)


# Pruning


def test_closed_purchases_are_deleted_after_some_time_and_what_they_cost_is_kept(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 10_000.0)
    monkeypatch.setattr(store_module, "_CHUNK", 2)
    cost = (BoughtOrder(1, charged=100, refunded=40),)
    refunded = BoughtOrder(1, charged=100, refunded=100)
    closed = [
        purchase(f"closed-{number}", state=PurchaseState.BOUGHT, orders=cost, closed_at=8_000.0)
        for number in range(5)
    ]
    old: dict[str, Any] = {"state": PurchaseState.BOUGHT, "closed_at": 8_000.0}
    kept = [
        purchase("open"),
        purchase("bought", state=PurchaseState.BOUGHT, orders=cost),
        purchase("young", state=PurchaseState.BOUGHT, orders=cost, closed_at=9_500.0),
        purchase("spent", orders=cost, answered_at=6_400.0, **old),  # in the last hour
    ]
    with SQLiteJournal(path) as journal:
        store(journal, *closed, *kept)
        store(journal, purchase("refused", state=PurchaseState.REFUSED, answered_at=1001.0))
        store(journal, purchase("withdrawn", state=PurchaseState.WITHDRAWN))
        store(journal, purchase("dismissed", closed_at=1500.0))
        store(journal, purchase("earlier", orders=cost, answered_at=6_399.5, **old))
        store(journal, purchase("refunded", orders=(refunded,), answered_at=6_400.0, **old))
        store(journal, evolve(closed[0], account="other"))
        before = journal.totals(ACCOUNT)
        assert before == Totals(purchases=10, charged=1_000, refunded=460)
    for _ in range(2):  # the second time there is nothing left to prune, and the totals are added up once
        with SQLiteJournal(path, keep=1_000) as journal:
            assert journal.totals(ACCOUNT) == before
            pruned(journal, 0)
            assert journal.totals(ACCOUNT) == before
            assert journal.totals("other") == Totals(purchases=1, charged=100, refunded=40)
            assert keys(journal) == ["open", "bought"]
            assert all(found(journal, each.intent.idempotency_key) == each for each in kept)
    with sqlite3.connect(path) as connection:
        left = connection.execute("SELECT count(*) FROM purchase").fetchone()[0]
    connection.close()
    assert left == len(kept)


def pruned(journal: SQLiteJournal, left: int) -> None:
    """Wait until no more old rows are there: that many closed ones are left of those that were stored."""
    while any(found(journal, f"closed-{number}") is not None for number in range(left, 5)):
        pass


def test_old_purchases_are_looked_for_again_while_the_journal_is_open(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_loop, "_PRUNING", 0.01)
    with SQLiteJournal(path) as journal:
        store(journal, purchase("closed-0", closed_at=1.0))
        pruned(journal, 0)


def test_pruning_waits_for_a_file_that_is_locked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_loop, "_PRUNING", 0.01)
    monkeypatch.setattr(write_loop, "_PRUNING_AGAIN", 0.01)
    with SQLiteJournal(path) as journal:
        with locked(path):
            _, waiter = begin(journal, "closed-0", put(purchase("closed-0", closed_at=1.0)))
            turn(journal)
            turn(journal)
        waiter.wait()
        pruned(journal, 0)


def test_with_an_infinite_time_nothing_is_deleted(path: Path) -> None:
    with SQLiteJournal(path) as journal:
        store(journal, purchase(closed_at=1.0))
    with SQLiteJournal(path, keep=float("inf")) as journal:
        turn(journal)
        turn(journal)
        assert found(journal) == purchase(closed_at=1.0)


# The end of the process


AT_EXIT = """
import sys
from smscode._journal import thread
from tests.journal_tools import *
thread._EXIT = 30.0  # the disk may be slow
journal = SQLiteJournal(sys.argv[1])
for number in range(200):
    journal.apply(Write(ACCOUNT, f"key-{number}", put(purchase(f"key-{number}")), durable=True))
"""


def test_what_waits_is_stored_when_the_process_ends(path: Path) -> None:
    process = python(AT_EXIT, str(path))
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert os.listdir(path.parent) == ["orders.db"]
    with SQLiteJournal(path) as journal:
        assert len(keys(journal)) == 200


def test_a_locked_file_does_not_keep_the_process_from_ending(path: Path) -> None:
    SQLiteJournal(path).close()
    locking = """
import sqlite3, sys
from tests.journal_tools import *
journal = SQLiteJournal(sys.argv[1])
other = sqlite3.connect(sys.argv[1], isolation_level=None)
other.execute("BEGIN IMMEDIATE")
for number in range(3):
    begin(journal, f"key-{number}", put(purchase(f"key-{number}")), lasting=True)
print("ends", flush=True)
"""
    process = python(locking, str(path))
    printed, _ = process.communicate(timeout=60)
    assert (process.returncode, printed) == (0, "ends\n")


def test_the_end_of_the_process_waits_for_all_journals_but_those_of_its_parent(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thread, "_EXIT", LONG)  # the disk may be slow
    journals = [SQLiteJournal(path), SQLiteJournal(path.with_name("other.db")), shared(path)]
    for opened in journals:
        begin(opened, opened.owner, put(purchase(opened.owner)))
    with monkeypatch.context() as forked:
        forked.setattr("smscode._journal.thread.os.getpid", lambda: -1)
        thread._flush()
    assert all(do(opened, opened.owner, look).error is None for opened in journals)
    thread._flush()
    assert all(do(opened, opened.owner, look).error is not None for opened in journals)
    # Two connections that close at the same moment can each find that the other one still has the file, and
    # then neither removes SQLite's write-ahead log.
    log = {"orders.db-wal", "orders.db-shm"}
    assert set(os.listdir(path.parent)) - log == {"orders.db", "other.db"}
    for opened in journals:
        opened.close()


def test_a_journal_that_is_dropped_without_closing_it_is_closed(path: Path) -> None:
    journal = SQLiteJournal(path)
    writer = journal._writer
    write, waiter = begin(journal, "key-1", put(purchase()))
    del journal
    waiter.wait()
    writer.wait(LONG)
    assert write.error is None
    assert os.listdir(path.parent) == ["orders.db"]


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="there are no such signals on Windows")
def test_signals_are_left_to_the_threads_of_the_program(journal: SQLiteJournal) -> None:
    def blocked(before: PurchaseRecord | None, living: Living) -> tuple[PurchaseRecord | None, bool]:
        return before, signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())

    assert do(journal, "key-1", blocked).result is True
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_the_thread_does_not_wait_for_itself(path: Path) -> None:
    journal = SQLiteJournal(path)
    waiter = Waiter()

    def close() -> None:
        journal.close()
        waiter.done.set()

    journal.apply(Write(ACCOUNT, "key-1", put(purchase()), durable=True, wake=close))
    waiter.wait()
    journal._writer.wait(LONG)
    assert os.listdir(path.parent) == ["orders.db"]


def test_a_thread_that_is_ended_from_outside_refuses_what_waits_and_what_comes_later(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ends(self: object) -> None:
        raise SystemExit

    monkeypatch.setattr(write_loop.WriteLoop, "_turn", ends)
    writer = thread.Writer(store_module.Store(str(path), 0.0))
    write = Write(ACCOUNT, "key-1", look, durable=True)
    abandoned = Write(ACCOUNT, "key-1", look, durable=True)
    assert writer.abandon(abandoned)
    read = Read(lambda store: None, lambda: None)
    for item in (write, write_loop.Stop(LONG), abandoned, read):
        writer._queue.put(item)
    with pytest.raises(SystemExit):
        writer._run()
    assert write.done
    assert not abandoned.done
    assert isinstance(read.error, ClientStateError)
    assert writer.apply(Write(ACCOUNT, "key-1", look, durable=True)).error is not None
    writer.stop(LONG, wait=True)


def test_a_write_that_comes_just_after_the_thread_has_ended_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = thread.Writer(store_module.Store(str(path), 0.0))

    def ends_meanwhile() -> None:
        writer._ended = True

    monkeypatch.setattr(writer, "_begin", ends_meanwhile)
    assert isinstance(writer.apply(Write(ACCOUNT, "key-1", look, durable=True)).error, ClientStateError)
    with pytest.raises(ClientStateError):
        writer.ask(lambda store: None)


def test_a_write_that_the_thread_has_is_not_refused_by_its_caller() -> None:
    write = Write(ACCOUNT, "key-1", look, durable=True)
    assert write.begin()
    write.refuse(ClientStateError("closed"))
    assert not write.done


def fill(
    journal: SQLiteJournal, go: threading.Barrier, writes: list[tuple[Write[PurchaseRecord | None], Waiter]]
) -> None:
    go.wait()
    writes += [begin(journal, f"key-{number}", put(purchase(f"key-{number}"))) for number in range(50)]


def test_what_is_queued_while_the_journal_is_closing_is_stored_or_refused(path: Path) -> None:
    for _ in range(20):
        journal = SQLiteJournal(path)
        go = threading.Barrier(3)
        writes: list[tuple[Write[PurchaseRecord | None], Waiter]] = []

        threads = [threading.Thread(target=fill, args=(journal, go, writes)) for _ in range(2)]
        for each in threads:
            each.start()
        go.wait()
        journal.close()
        for each in threads:
            each.join(LONG)
        for write, waiter in writes:
            waiter.wait()
            assert write.done
        with SQLiteJournal(path) as other:
            stored = set(keys(other))
        assert {write.key for write, _ in writes if write.error is None} <= stored


def test_a_write_that_meets_a_lock_while_the_journal_is_closing_is_tried_until_its_time_is_over(
    path: Path,
) -> None:
    SQLiteJournal(path).close()
    queue: SimpleQueue[QueueItem] = SimpleQueue()
    loop = write_loop.WriteLoop(store_module.Store(str(path), math.inf), queue)
    write = Write(ACCOUNT, "key-1", put(purchase()), durable=True)
    queue.put(write)
    queue.put(Stop(60.0))
    with locked(path):
        loop._turn()
    assert not write.done
    loop.run()
    assert (write.done, write.error) == (True, None)


def test_the_thread_waits_only_until_it_has_to_look_for_old_purchases(path: Path) -> None:
    asked: list[float | None] = []

    class Nothing(SimpleQueue[QueueItem]):
        def get(self, block: bool = True, timeout: float | None = None) -> QueueItem:
            asked.append(timeout)
            raise Empty

    opened = store_module.Store(str(path), math.inf)
    opened.open()
    loop = write_loop.WriteLoop(opened, Nothing())
    loop._take()
    loop._prune_at += 500.0
    loop._take()
    opened.close()
    first, second = asked
    assert first == 0.0
    assert second is not None
    assert 0.0 < second <= 500.0
