"""The journal: what is on disk, who may touch it, and what it refuses."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from smscode import ConfigurationError, InvalidArgumentError, calls
from smscode.core.intents import OrderIntent
from smscode.journal import SQLiteJournal

ACCOUNT = "account"


def intent(key: str = "key-1", quantity: int = 1) -> OrderIntent:
    call = calls.orders.create(catalog_product_id=87, quantity=quantity, idempotency_key=key)
    return OrderIntent.of(call, "v2")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orders.db"


@pytest.fixture
def journal(path: Path) -> Iterator[SQLiteJournal]:
    with SQLiteJournal(path) as opened:
        yield opened


def keys(journal: SQLiteJournal, account: str = ACCOUNT) -> list[str]:
    return [found.idempotency_key for found, _ in journal.claim(account)]


def leave_behind(path: Path, *purchases: OrderIntent) -> None:
    """Write purchases down in a process that is killed."""
    program = """
import os, pickle, signal, sys
from smscode.journal import SQLiteJournal
journal = SQLiteJournal(sys.argv[1])
for purchase in pickle.loads(sys.stdin.buffer.read()):
    journal.record("account", purchase)
os.kill(os.getpid(), signal.SIGKILL)
"""
    root = str(Path(__file__).parent.parent)
    command = [sys.executable, "-c", program, str(path)]
    environment = {**os.environ, "PYTHONPATH": root}
    done = subprocess.run(command, env=environment, input=pickle.dumps(purchases), timeout=30)
    assert done.returncode == -signal.SIGKILL


def test_what_a_killed_process_left_behind_is_found_in_order(path: Path) -> None:
    leave_behind(path, intent("b"), intent("a"))
    with SQLiteJournal(path) as journal:
        found = journal.claim(ACCOUNT)
    assert [purchase for purchase, _ in found] == [intent("b"), intent("a")]
    assert all(0 <= age < 60 for _, age in found)


def test_what_is_under_way_is_not_claimed(journal: SQLiteJournal) -> None:
    journal.record(ACCOUNT, intent())
    assert keys(journal) == []
    journal.leave(ACCOUNT, intent())
    assert keys(journal) == ["key-1"]


def test_what_a_living_process_has_is_not_claimed(path: Path, journal: SQLiteJournal) -> None:
    journal.record(ACCOUNT, intent())
    journal.leave(ACCOUNT, intent())
    with SQLiteJournal(path) as other:
        assert keys(other) == []


def test_what_a_closed_journal_left_is_claimed_by_one_other_only(path: Path) -> None:
    with SQLiteJournal(path) as first:
        first.record(ACCOUNT, intent())
    with SQLiteJournal(path) as second, SQLiteJournal(path) as third:
        assert keys(second) == ["key-1"]
        assert keys(third) == []


def test_several_processes_write_to_one_file_at_once(path: Path) -> None:
    program = """
import sys
from smscode import calls
from smscode.core.intents import OrderIntent
from smscode.journal import SQLiteJournal
with SQLiteJournal(sys.argv[1]) as journal:
    for number in range(50):
        call = calls.orders.create(catalog_product_id=87, idempotency_key=f"{sys.argv[2]}-{number}")
        journal.record("account", OrderIntent.of(call, "v2"))
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    writers = [
        subprocess.Popen([sys.executable, "-c", program, str(path), str(number)], env=environment)
        for number in range(4)
    ]
    assert [writer.wait(60) for writer in writers] == [0] * 4
    with SQLiteJournal(path) as journal:
        assert len(set(keys(journal))) == 200


@pytest.mark.parametrize("orders", [(1001,), (), None])
def test_what_is_settled_is_not_claimed(orders: tuple[int, ...] | None, path: Path) -> None:
    with SQLiteJournal(path) as first:
        first.record(ACCOUNT, intent())
        first.settle(ACCOUNT, intent(), orders)
    with SQLiteJournal(path) as second:
        assert keys(second) == []


def test_accounts_are_kept_apart(path: Path) -> None:
    with SQLiteJournal(path) as first:
        first.record("one", intent())
    with SQLiteJournal(path) as second:
        assert keys(second, "other") == []
        assert keys(second, "one") == ["key-1"]


def test_it_tells_what_an_earlier_try_left_unsettled(path: Path) -> None:
    with SQLiteJournal(path) as first:
        assert first.record(ACCOUNT, intent()) is False
    with SQLiteJournal(path) as second:
        assert second.record(ACCOUNT, intent()) is True
        second.settle(ACCOUNT, intent(), None)
        assert second.record(ACCOUNT, intent()) is False


def test_a_key_with_another_order_is_refused(journal: SQLiteJournal) -> None:
    journal.record(ACCOUNT, intent(quantity=1))
    with pytest.raises(InvalidArgumentError, match="another order"):
        journal.record(ACCOUNT, intent(quantity=2))
    journal.record(ACCOUNT, intent(quantity=1))


def test_a_refused_purchase_leaves_its_key_to_another(journal: SQLiteJournal) -> None:
    journal.record(ACCOUNT, intent(quantity=1))
    journal.settle(ACCOUNT, intent(quantity=1), None)
    journal.record(ACCOUNT, intent(quantity=2))
    journal.leave(ACCOUNT, intent(quantity=2))
    assert [purchase for purchase, _ in journal.claim(ACCOUNT)] == [intent(quantity=2)]


def test_a_settled_purchase_stays_settled_when_it_is_sent_again(journal: SQLiteJournal) -> None:
    journal.record(ACCOUNT, intent())
    journal.settle(ACCOUNT, intent(), (1001,))
    journal.record(ACCOUNT, intent())
    journal.leave(ACCOUNT, intent())
    assert keys(journal) == []


@pytest.mark.parametrize("content", [b"not a database" * 100, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_damaged_file_is_refused_and_left_as_it_is(content: bytes, path: Path) -> None:
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"orders\.db cannot be used"):
        SQLiteJournal(path)
    assert path.read_bytes() == content
    assert os.listdir(path.parent) == ["orders.db"]


def test_a_page_that_was_damaged_later_is_noticed(path: Path) -> None:
    with SQLiteJournal(path) as journal:
        for number in range(200):
            journal.record(ACCOUNT, intent(f"key-{number}"))
    content = bytearray(path.read_bytes())
    content[8192:16384] = b"\x55" * 8192
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="cannot be used"):
        SQLiteJournal(path)
    assert path.read_bytes() == content


def test_another_programs_database_is_refused_and_left_as_it_is(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE precious (x)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="another program's file"):
        SQLiteJournal(path)
    assert path.read_bytes() == before


def test_a_journal_of_a_later_format_is_refused(path: Path) -> None:
    SQLiteJournal(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    with pytest.raises(ConfigurationError, match="format 2, expected 1"):
        SQLiteJournal(path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"orders\.db cannot be used"):
        SQLiteJournal(tmp_path / "nowhere" / "orders.db")


def test_nothing_is_left_beside_a_closed_journal(path: Path) -> None:
    with SQLiteJournal(path):
        pass
    assert os.listdir(path.parent) == ["orders.db"]


def test_what_cannot_be_noted_as_settled_is_logged_and_does_no_harm(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = SQLiteJournal(path)
    journal.record(ACCOUNT, intent())
    journal.close()
    with caplog.at_level(logging.ERROR, "smscode.journal"):
        journal.settle(ACCOUNT, intent(), (1001,))
    assert "key-1 is settled, but that could not be written" in caplog.text
    with SQLiteJournal(path) as other:
        assert keys(other) == ["key-1"]


def test_noting_what_is_settled_does_not_wait_for_others_for_long(
    journal: SQLiteJournal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    journal.record(ACCOUNT, intent())
    monkeypatch.setattr("smscode.journal._SHORT_PATIENCE", 0.01)
    with journal._lock, caplog.at_level(logging.ERROR, "smscode.journal"):
        journal.settle(ACCOUNT, intent(), (1001,))
    assert "it is busy" in caplog.text


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # the server here has threads
def test_a_forked_process_has_to_open_it_again(journal: SQLiteJournal) -> None:
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def child() -> None:
        try:
            journal.claim(ACCOUNT)
        except ConfigurationError as error:
            sender.send(error.message)

    process = context.Process(target=child)
    process.start()
    process.join(30)
    assert "forked" in receiver.recv()
    receiver.close()
    sender.close()
    process.close()


def test_another_process_is_noticed(journal: SQLiteJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as forked:
        forked.setattr("smscode.journal.os.getpid", lambda: -1)
        with pytest.raises(ConfigurationError, match="forked"):
            journal.record(ACCOUNT, intent())


def test_its_name_is_shown(journal: SQLiteJournal, path: Path) -> None:
    assert repr(journal) == f"SQLiteJournal({str(path)!r})"
