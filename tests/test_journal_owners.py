"""Journals of several objects and processes on one file: which of them live, and what ended ones leave."""

from __future__ import annotations

import errno
import gc
import os
import re
import sqlite3
import stat
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from attrs import evolve

from smscode import ClientStateError, ConfigurationError
from smscode import journal as journal_module
from smscode._journal import owners, thread, write_loop
from smscode.core.purchases.records import Living, PurchaseRecord
from smscode.journal import SQLiteJournal, Write, shared

from .journal_tools import (
    ACCOUNT,
    do,
    each,
    found,
    keys,
    leave_behind,
    lives,
    lock_files,
    look,
    purchase,
    put,
    python,
    store,
)

GONE = 2**22 + 1
HERE = -1  # stands for this process; tests are named by it
"""A process id that Linux never uses."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orders.db"


@pytest.fixture
def journal(path: Path) -> Iterator[SQLiteJournal]:
    with SQLiteJournal(path) as opened:
        yield opened


def living(journal: SQLiteJournal, owner: str) -> bool:
    """Ask whether an owner lives, as a step does."""

    def step(before: PurchaseRecord | None, living: Living) -> tuple[PurchaseRecord | None, bool]:
        return before, living(owner)

    result = do(journal, "key-1", step).result
    assert result is not None
    return result


def owner_rows(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT id FROM owner").fetchall()
    connection.close()
    return [id_ for (id_,) in rows]


def open_lock_files() -> list[str]:
    """Return the lock files of journals that this process has open, once for each descriptor."""
    names: list[str] = []
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # it was closed meanwhile
            names.append(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
    return [name.removesuffix(" (deleted)") for name in names if "-owner-" in name]


LIVING = """
import sys
from tests.journal_tools import *
with SQLiteJournal(sys.argv[1]) as journal:
    print(journal.owner, flush=True)
    for line in sys.stdin:
        owner = line.strip()
        print(do(journal, "key-1", lambda before, living: (before, living(owner))).result, flush=True)
"""


class Other:
    """Another process that has the journal open."""

    def __init__(self, path: Path) -> None:
        self._process = python(LIVING, str(path))
        self.owner = self._read()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def sees(self, owner: str) -> bool:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{owner}\n")
        self._process.stdin.flush()
        return self._read() == "True"

    def end(self, *, kill: bool = False) -> None:
        if kill:
            self._process.kill()
        self._process.communicate(timeout=60)


@pytest.fixture
def other(path: Path, journal: SQLiteJournal) -> Iterator[Other]:
    process = Other(path)
    yield process
    process.end()


def test_journals_of_two_processes_see_each_other_living(journal: SQLiteJournal, other: Other) -> None:
    assert living(journal, other.owner)
    assert other.sees(journal.owner)
    assert living(journal, journal.owner)


@pytest.mark.parametrize("kill", [False, True])
def test_a_journal_whose_process_has_ended_does_not_live(
    kill: bool, journal: SQLiteJournal, path: Path
) -> None:
    other = Other(path)
    assert len(lock_files(path)) == 2
    other.end(kill=kill)
    assert not living(journal, other.owner)
    assert lock_files(path) == [f"orders.db-owner-{journal.owner}"]
    assert owner_rows(path) == [journal.owner]


def test_journals_in_one_process_see_each_other_and_keep_their_locks(
    path: Path, journal: SQLiteJournal, other: Other
) -> None:
    """Closing any descriptor of a lock file would unlock it: here, none but its own is ever opened."""
    with SQLiteJournal(path) as second:
        for owner in (journal.owner, second.owner):
            assert living(journal, owner)
            assert living(second, owner)
            assert other.sees(owner)
    assert not living(journal, second.owner)
    assert not other.sees(second.owner)
    assert other.sees(journal.owner)


def test_an_owner_that_is_not_known_does_not_live(journal: SQLiteJournal) -> None:
    assert not living(journal, "unknown")


@pytest.mark.parametrize(
    ("host", "pid", "started", "expected"),
    [
        ("here", HERE, "now", True),
        ("here", HERE, "", True),  # where it cannot be known when a process started
        ("here", HERE, "another time", False),
        ("here", 1, "", True),
        ("here", GONE, "now", False),
        ("another machine", GONE, "another time", True),
    ],
)
def test_an_owner_without_its_lock_file_lives_until_its_process_is_known_to_be_gone(
    host: str, pid: int, started: str, expected: bool, journal: SQLiteJournal, path: Path
) -> None:
    connection = sqlite3.connect(path)
    row = connection.execute("SELECT host, started FROM owner").fetchone()
    values = (
        host.replace("here", row[0]),
        os.getpid() if pid == HERE else pid,
        started.replace("now", row[1]),
    )
    connection.execute("INSERT INTO owner VALUES ('somebody', ?, ?, ?)", values)
    connection.commit()
    connection.close()
    assert living(journal, "somebody") is expected
    assert ("somebody" in owner_rows(path)) is expected


def test_a_process_of_another_user_lives(
    journal: SQLiteJournal, path: Path, other: Other, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_allowed(pid: int, signal: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("smscode._journal.owners.os.kill", not_allowed)
    os.unlink(path.with_name(f"orders.db-owner-{other.owner}"))
    assert living(journal, other.owner)


def test_where_nothing_says_when_a_process_started_its_id_counts(
    journal: SQLiteJournal, path: Path, other: Other, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(pid: int) -> None:
        return None

    monkeypatch.setattr(owners, "_started", unknown)
    os.unlink(path.with_name(f"orders.db-owner-{other.owner}"))
    assert living(journal, other.owner)
    with SQLiteJournal(path.with_name("other.db")) as second:
        assert living(second, second.owner)


def test_a_process_that_has_gone_did_not_start() -> None:
    assert owners._started(GONE) is None
    assert owners._started(os.getpid()) == owners._started(os.getpid())
    assert owners._started(os.getpid()) != owners._started(1)


def test_an_owner_whose_lock_file_was_deleted_still_lives(
    journal: SQLiteJournal, path: Path, other: Other
) -> None:
    os.unlink(path.with_name(f"orders.db-owner-{journal.owner}"))
    assert living(journal, journal.owner)
    assert other.sees(journal.owner)


def test_an_owner_whose_lock_file_may_not_be_read_counts_as_living(
    journal: SQLiteJournal, path: Path, other: Other, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_allowed(*arguments: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    path.with_name("orders.db-owner-older").write_bytes(b"")  # one of format 1, which has no row
    monkeypatch.setattr("smscode._journal.owners.os.open", not_allowed)
    assert living(journal, other.owner)
    assert living(journal, "older")


def test_a_file_system_without_locks_is_an_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(descriptor: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("smscode._platform.lock_byte", no_locks)
    with pytest.raises(Exception, match="No locks available"):
        SQLiteJournal(path)
    assert open_lock_files() == []


def test_a_journal_has_its_own_lock_file_open_once_and_no_other_one(
    journal: SQLiteJournal, path: Path, other: Other
) -> None:
    path.with_name("orders.db-owner-ended").write_bytes(b"")
    assert (living(journal, other.owner), living(journal, "ended")) == (True, False)
    for _ in range(2):
        do(journal, "key-1", look, durable=True)  # which writes the owner's row again
    assert open_lock_files() == [f"orders.db-owner-{journal.owner}"]


def test_who_may_use_the_file_may_use_its_lock_files_which_nobody_can_run(path: Path) -> None:
    SQLiteJournal(path).close()
    path.chmod(0o751)
    before = os.umask(0)
    try:
        with SQLiteJournal(path):
            (name,) = lock_files(path)
            assert stat.S_IMODE(path.with_name(name).stat().st_mode) == 0o640
    finally:
        os.umask(before)


def test_a_process_is_known_by_when_it_started(
    path: Path, journal: SQLiteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def started(at: str | None) -> None:
        monkeypatch.setattr(owners, "_started", {os.getpid(): at}.get)

    def left(second: SQLiteJournal) -> str:
        """Hide everything but its row that shows that a journal is open."""
        owners.forget(second.owner)
        os.unlink(path.with_name(f"orders.db-owner-{second.owner}"))
        return second.owner

    started("on Monday")
    with SQLiteJournal(path) as second:
        monday = left(second)
        assert living(journal, monday)
        started("on Tuesday")
        assert not living(journal, monday), "another process has its id"
    started(None)
    with SQLiteJournal(path) as third:
        unknown = left(third)
        started("on Monday")
        assert living(journal, unknown)


def test_the_start_of_a_process_is_the_boot_and_the_tick_since_then() -> None:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().rstrip()
    fields = re.sub(r"\(.*\)", "name", Path("/proc/self/stat").read_text(), flags=re.DOTALL).split(" ")
    assert owners._started(os.getpid()) == f"{boot} {fields[21]}"


def test_each_owner_is_looked_at_once_in_a_commit(
    journal: SQLiteJournal, path: Path, other: Other, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(journal, *(purchase(f"key-{number}", owner=other.owner) for number in range(5)))
    asked: list[str] = []

    def is_locked(file: str) -> bool | None:
        asked.append(file)
        return real(file)

    real = owners._is_locked
    monkeypatch.setattr(owners, "_is_locked", is_locked)
    assert each(journal, lives) == [True] * 5
    assert len(asked) == 1


def test_what_killed_processes_left_is_found_in_order_and_their_files_are_swept(path: Path) -> None:
    ended = [leave_behind(path, f"{number}-b", f"{number}-a") for number in range(3)]
    assert len(lock_files(path)) == 1  # each one swept what the one before it left
    with SQLiteJournal(path) as journal:
        assert keys(journal) == ["0-b", "0-a", "1-b", "1-a", "2-b", "2-a"]
        assert {record.owner for record in journal.records(ACCOUNT)} == set(ended)
        assert lock_files(path) == [f"orders.db-owner-{journal.owner}"]
        assert owner_rows(path) == [journal.owner]
        assert each(journal, lives) == [False] * 6
    assert os.listdir(path.parent) == ["orders.db"]


def test_files_of_processes_that_were_killed_together_are_swept(path: Path) -> None:
    together = [Other(path) for _ in range(4)]
    assert len(lock_files(path)) == 4
    for process in together:
        process.end(kill=True)
    SQLiteJournal(path).close()
    assert os.listdir(path.parent) == ["orders.db"]


def test_lock_files_that_older_versions_left_are_swept_with_their_journals(path: Path) -> None:
    SQLiteJournal(path).close()
    for name in ("one", "one-journal", "two-journal"):
        path.with_name(f"orders.db-owner-{name}").write_bytes(b"")
    beside = path.with_name("orders.db.owner")
    beside.write_bytes(b"")
    with SQLiteJournal(path) as journal:
        assert lock_files(path) == [f"orders.db-owner-{journal.owner}"]
    assert beside.exists()


def test_lock_files_that_sqlite_locks_are_of_the_living(journal: SQLiteJournal, path: Path) -> None:
    """The files of format 1 are locked so, by their processes."""
    locking = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""
    file, beside = path.with_name("orders.db-owner-older"), path.with_name("orders.db-owner-older-journal")
    process = python(locking, str(file))
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    beside.touch()
    assert living(journal, "older")
    SQLiteJournal(path).close()
    assert beside.exists(), "it belongs to the living"
    process.communicate(timeout=60)
    assert not living(journal, "older")
    assert not file.exists()


def test_files_are_swept_only_when_the_transaction_is_committed(
    journal: SQLiteJournal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = leave_behind(path, "key-1")

    def step(before: PurchaseRecord | None, living: Living) -> tuple[PurchaseRecord | None, bool]:
        result = living(ended)
        if monkeypatch_once:
            monkeypatch_once.pop()
            raise sqlite3.OperationalError("disk I/O error")
        return before, result

    monkeypatch_once = [True]
    assert do(journal, "key-1", step).error is not None
    assert f"orders.db-owner-{ended}" in lock_files(path)
    assert ended in owner_rows(path)
    assert do(journal, "key-1", step).result is False
    assert f"orders.db-owner-{ended}" not in lock_files(path)


def test_a_folder_that_cannot_be_listed_is_not_swept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def not_allowed(folder: str) -> list[str]:
        raise PermissionError(errno.EACCES, "Permission denied")

    ended = leave_behind(path, "key-1")
    with monkeypatch.context() as patched:
        patched.setattr("smscode._journal.owners.os.listdir", not_allowed)
        SQLiteJournal(path).close()
    assert ended not in owner_rows(path)


def test_a_claim_of_one_open_purchase_does_not_touch_the_history_of_its_owner(path: Path) -> None:
    with SQLiteJournal(path, keep=float("inf")) as first:
        for number in range(3_000):
            key = f"closed-{number}"
            first.apply(Write(ACCOUNT, key, put(purchase(key, closed_at=1.0)), durable=False))
        store(first, purchase("open"), purchase("of-another", account="other"))
    with SQLiteJournal(path, keep=float("inf")) as second:

        def claim(before: PurchaseRecord | None, living: Living) -> tuple[PurchaseRecord | None, str | None]:
            assert before is not None
            if living(before.owner):
                return before, None
            return evolve(before, owner=second.owner), before.intent.idempotency_key

        assert each(second, claim) == ["open"]
        assert each(second, claim) == []
    connection = sqlite3.connect(path)
    changed = connection.execute("SELECT count(*) FROM purchase WHERE owner <> 'gone'").fetchone()[0]
    connection.close()
    assert changed == 1


def test_a_purchase_is_claimed_by_one_of_several_processes(path: Path) -> None:
    claiming = """
import sys
from tests.journal_tools import *
with SQLiteJournal(sys.argv[1]) as journal:
    print("ready", flush=True)
    sys.stdin.readline()
    def claim(before, living):
        if living(before.owner):
            return before, None
        return evolve(before, owner=journal.owner), before.intent.idempotency_key
    print(*each(journal, claim), flush=True)
    sys.stdin.readline()
"""
    wanted = {f"key-{number}" for number in range(20)}
    leave_behind(path, *wanted)
    processes = [python(claiming, str(path)) for _ in range(4)]
    claimed: list[str] = []
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        assert process.stdout is not None
        claimed += process.stdout.readline().split()
    for process in processes:
        process.communicate("end\n", timeout=60)
    assert sorted(claimed) == sorted(wanted)


def test_several_processes_write_to_one_file_at_once(path: Path) -> None:
    writing = """
import sys
from tests.journal_tools import *
with SQLiteJournal(sys.argv[1]) as journal:
    for number in range(50):
        key = f"{sys.argv[2]}-{number}"
        assert do(journal, key, put(purchase(key))).error is None
        assert do(journal, key, buy(number), durable=False).error is None
"""
    processes = [python(writing, str(path), str(number)) for number in range(4)]
    for process in processes:
        process.communicate(timeout=60)
    assert [process.returncode for process in processes] == [0] * 4
    with SQLiteJournal(path) as journal:
        assert len(set(keys(journal))) == 200
        assert journal.totals(ACCOUNT).charged == 200 * 100
        assert lock_files(path) == [f"orders.db-owner-{journal.owner}"]


def test_a_killed_process_leaves_on_disk_what_it_was_told_is_stored(path: Path) -> None:
    writing = """
import random, sys
from tests.journal_tools import *
journal = SQLiteJournal(sys.argv[1])
for number in range(10_000):
    key = f"{sys.argv[2]}-{number}"
    do(journal, key, put(purchase(key)))
    begin(journal, key, buy(number), durable=False, lasting=True)
    print(key, flush=True)
"""
    for attempt in range(3):
        process = python(writing, str(path), str(attempt))
        assert process.stdout is not None
        told = [process.stdout.readline().strip() for _ in range(20 + 7 * attempt)]
        process.kill()
        told += process.communicate(timeout=60)[0].split("\n")[:-1]  # without what may be half a line
        with SQLiteJournal(path) as journal:
            assert set(told) - {""} <= set(keys(journal))


# Forks


def in_child(act: Callable[[], None]) -> None:
    """Run a function in a forked process; fail if it fails there."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            act()
            os.write(writer, b"fine")
        except BaseException:
            os.write(writer, traceback.format_exc().encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, encoding="utf-8") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    assert said == "fine"


forks = [
    pytest.mark.skipif(sys.platform == "win32", reason="there nothing forks"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),  # the journal has a thread
]


class TestForks:
    pytestmark = forks

    def test_a_forked_process_has_to_open_the_journal_again(
        self, journal: SQLiteJournal, path: Path, other: Other
    ) -> None:
        store(journal, purchase("a"))
        waiting = Write(ACCOUNT, "b", put(purchase("b")), durable=True)

        def child() -> None:
            assert list(thread._running) == []  # of the parent only
            write = journal.apply(Write(ACCOUNT, "c", put(purchase("c")), durable=True))
            assert write.done
            assert isinstance(write.error, ConfigurationError)
            assert "opened before the process forked: open it again" in write.error.message
            assert not journal.abandon(waiting)
            for read in (journal.records, journal.totals):
                with pytest.raises(ConfigurationError, match="forked"):
                    read(ACCOUNT)
            journal.close()
            with SQLiteJournal(path) as again:
                assert again.owner != journal.owner
                assert living(again, journal.owner)
                assert found(again, "a") == purchase("a")
                store(again, purchase("d"))

        in_child(child)
        assert other.sees(journal.owner)
        journal.apply(waiting)
        assert do(journal, "e", put(purchase("e"))).error is None
        assert keys(journal) == ["a", "d", "b", "e"]

    def test_a_child_that_drops_what_it_inherited_does_no_harm(self, path: Path, other: Other) -> None:
        journals = [SQLiteJournal(path), shared(path)]
        for opened in journals:
            store(opened, purchase(opened.owner))
        names = [opened.owner for opened in journals]

        def child() -> None:
            journals.clear()
            gc.collect()
            thread._flush()  # what the end of the process runs

        in_child(child)
        assert all(other.sees(name) for name in names)
        for opened in journals:
            assert do(opened, opened.owner, put(None)).error is None
            opened.close()

    def test_a_child_that_outlives_its_parent_does_not_make_it_live(
        self, journal: SQLiteJournal, path: Path
    ) -> None:
        parent = """
import os, signal, sys
from tests.journal_tools import *
journal = SQLiteJournal(sys.argv[1])
store(journal, purchase(owner=journal.owner))
if os.fork():
    os.kill(os.getpid(), signal.SIGKILL)
print(journal.owner, flush=True)
sys.stdin.read()
os._exit(0)
"""
        process = python("import warnings; warnings.simplefilter('ignore')\n" + parent, str(path))
        assert process.stdout is not None
        owner = process.stdout.readline().strip()
        process.wait(60)  # of the parent; its child still reads
        assert not living(journal, owner)
        process.communicate(timeout=60)

    def test_a_forked_process_shares_a_journal_of_its_own(self, path: Path) -> None:
        journal = shared(path)
        store(journal, purchase("a"))

        def child() -> None:
            mine = shared(path)
            assert mine is not journal
            store(mine, purchase("b"))
            mine.close()

        in_child(child)
        assert shared(path) is journal
        assert keys(journal) == ["a", "b"]
        journal.close()
        journal.close()
        assert os.listdir(path.parent) == ["orders.db"]

    def test_a_fork_in_the_middle_of_writing_leaves_no_lock_taken(self, path: Path) -> None:
        """The child opens the same file; SQLite's own locks are those that the parent held as it forked."""

        def child() -> None:
            mine = shared(path)
            store(mine, purchase("child"))
            mine.close()

        journal = shared(path)
        for turn in range(20):
            for key in (f"{turn}-{n}" for n in range(5)):
                journal.apply(Write(ACCOUNT, key, put(purchase(key)), durable=True))
            in_child(child)
        assert len(keys(journal)) == 101
        journal.close()

    def test_a_fork_waits_for_no_journal_that_has_ended(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        journal = SQLiteJournal(path)
        store(journal, purchase())
        writer = next(iter(thread._running))
        journal.close()
        monkeypatch.setitem(thread._running, writer, None)  # it ends between the look and the question
        in_child(lambda: None)
        monkeypatch.setattr(writer, "_thread", threading.get_ident())  # a fork in the journal's own thread
        in_child(lambda: None)

    def test_an_ending_journal_lets_a_fork_go_on(self, path: Path) -> None:
        journal = SQLiteJournal(path)
        store(journal, purchase())
        writer = next(iter(thread._running))
        journal.close()
        writer._queue.put(fork := write_loop.Fork())
        writer._refuse_queued(ClientStateError("closed"))
        assert not fork.waits.empty()

    def test_a_forked_process_has_no_threads_of_journals(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as child:
            child.setattr(thread, "_running", dict(thread._running))
            child.setattr(thread, "_forks", {1: [write_loop.Fork()]})
            thread._after_fork_in_child()
            assert (thread._running, thread._forks) == ({}, {})


def test_a_forked_process_is_told_by_its_process_id(
    journal: SQLiteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same as above, in this process, where its lines are counted."""
    sharing = journal_module._sharing
    told: list[BaseException] = []

    class Call:
        over = False

        def forbid(self, why: BaseException) -> None:
            told.append(why)

    journal.holders[ACCOUNT, "key-1"] = Call()
    with monkeypatch.context() as forked:
        forked.setattr("smscode._journal.thread.os.getpid", lambda: -1)
        forked.setattr(journal_module, "_sharing", sharing)
        journal_module._after_fork()
        assert journal_module._sharing is not sharing
        write = journal.apply(Write(ACCOUNT, "key-1", put(purchase()), durable=True))
        assert isinstance(write.error, ConfigurationError)
        assert not journal.abandon(Write(ACCOUNT, "key-1", put(purchase()), durable=True))
        journal.close()
    assert told == [], "the call is of the parent, whose journal stays open"
    assert journal_module._sharing is sharing
    assert found(journal) is None


def test_nothing_is_left_beside_a_closed_journal(path: Path) -> None:
    with SQLiteJournal(path) as journal:
        store(journal, purchase())
    assert os.listdir(path.parent) == ["orders.db"]


def test_a_journal_that_was_closed_without_waiting_does_not_live(path: Path, journal: SQLiteJournal) -> None:
    second = SQLiteJournal(path)
    second.close(wait=False)
    second._writer.wait(30.0)
    assert not living(journal, second.owner)


def test_a_journal_that_cannot_take_its_row_back_shows_that_it_has_ended(
    path: Path, journal: SQLiteJournal, other: Other, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smscode.journal._CLOSING", 0.15)  # for a second attempt
    second = SQLiteJournal(path)
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    second.close()
    second._writer.wait(30.0)
    blocker.execute("ROLLBACK")
    blocker.close()
    assert second.owner in owner_rows(path)
    assert not other.sees(second.owner)
    assert not living(journal, second.owner)
    assert sorted(owner_rows(path)) == sorted([journal.owner, other.owner])
