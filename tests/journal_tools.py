"""Records of purchases, steps and disks that fail, for the tests of the journal."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

from attrs import evolve, field, mutable

from smscode import _sqlite, calls
from smscode.core.purchases.intents import OrderIntent
from smscode.core.purchases.records import BoughtOrder, Living, PurchaseRecord, PurchaseState, PurchaseStep
from smscode.journal import SQLiteJournal, Write

R = TypeVar("R")

ACCOUNT = "account"
ROOT = Path(__file__).parent.parent
_LONG = 30.0  # seconds after which a test hangs


def intent(key: str = "key-1", quantity: int = 1) -> OrderIntent:
    call = calls.orders.create(catalog_product_id=87, quantity=quantity, idempotency_key=key)
    return OrderIntent.of(call, "v2")


def purchase(key: str = "key-1", **facts: Any) -> PurchaseRecord:
    """Return the record of a purchase that was written at 1000."""
    usual: dict[str, Any] = {
        "account": ACCOUNT,
        "credential": "credential",
        "intent": intent(key),
        "owner": "gone",
        "written_at": 1000.0,
    }
    return PurchaseRecord(**{**usual, **facts})


def put(record: PurchaseRecord | None) -> PurchaseStep[PurchaseRecord | None]:
    """Return the step that stores a record; the result is the one before."""

    def step(
        before: PurchaseRecord | None, living: Living
    ) -> tuple[PurchaseRecord | None, PurchaseRecord | None]:
        return record, before

    return step


def buy(*ids: int) -> PurchaseStep[str]:
    """Return the step that stores orders."""

    def step(before: PurchaseRecord | None, living: Living) -> tuple[PurchaseRecord | None, str]:
        assert before is not None
        orders = tuple(BoughtOrder(id_, charged=100) for id_ in ids)
        return evolve(before, state=PurchaseState.BOUGHT, answered_at=2000.0, orders=orders), "bought"

    return step


def look(
    before: PurchaseRecord | None, living: Living
) -> tuple[PurchaseRecord | None, PurchaseRecord | None]:
    return before, before


def lives(before: PurchaseRecord | None, living: Living) -> tuple[PurchaseRecord | None, bool]:
    """Find out whether the owner lives. A step."""
    assert before is not None
    return before, living(before.owner)


class Waiter:
    """Waits until a write is done."""

    def __init__(self) -> None:
        self.done = threading.Event()

    def wait(self) -> None:
        assert self.done.wait(_LONG), "the write is not done"


def begin(
    journal: SQLiteJournal,
    key: str | None,
    step: PurchaseStep[R],
    *,
    account: str = ACCOUNT,
    durable: bool = True,
    lasting: bool = False,
) -> tuple[Write[R], Waiter]:
    """Queue a write."""
    waiter = Waiter()
    write = Write(account, key, step, durable=durable, lasting=lasting, wake=waiter.done.set)
    return journal.apply(write), waiter


def do(journal: SQLiteJournal, key: str | None, step: PurchaseStep[R], **how: Any) -> Write[R]:
    """Apply a write, and wait until it is done."""
    write, waiter = begin(journal, key, step, **how)
    waiter.wait()
    assert write.done
    return write


def each(journal: SQLiteJournal, step: PurchaseStep[R], *, account: str = ACCOUNT) -> list[R]:
    """Apply a step to all open records; return its results that are not None."""
    return cast(list[R], do(journal, None, step, account=account).result)


def store(journal: SQLiteJournal, *records: PurchaseRecord) -> None:
    """Store records, each as it is."""
    for record in records:
        error = do(journal, record.intent.idempotency_key, put(record), account=record.account).error
        assert error is None, error


def found(journal: SQLiteJournal, key: str = "key-1", account: str = ACCOUNT) -> PurchaseRecord | None:
    """Read the record of a key."""
    return do(journal, key, look, account=account).result


def keys(journal: SQLiteJournal, account: str = ACCOUNT) -> list[str]:
    return [record.intent.idempotency_key for record in journal.records(account)]


def lock_files(path: Path) -> list[str]:
    return sorted(name for name in os.listdir(path.parent) if "-owner-" in name)


@contextmanager
def locked(path: Path) -> Generator[None]:
    """Lock the file as another program does that writes it."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


@mutable
class Disk:
    """Stands between a journal and its file: counts commits, holds them up, or is full."""

    full: bool = False
    tries: int = 0
    synchronous: list[int] = field(factory=list[int])
    """What was in force for each transaction that was committed: 1 for NORMAL, 2 for FULL."""
    free: threading.Event = field(factory=threading.Event)
    """While it is not set, a transaction waits before it begins."""
    waits: threading.Event = field(factory=threading.Event)
    """Set when a transaction waits."""

    def hold(self) -> None:
        self.waits.clear()
        self.free.clear()

    def held(self) -> None:
        assert self.waits.wait(_LONG), "nothing is written"

    @contextmanager
    def transaction(self, connection: sqlite3.Connection) -> Generator[None]:
        self.tries += 1
        self.waits.set()
        assert self.free.wait(_LONG)
        pages = max(connection.execute("PRAGMA page_count").fetchone()[0], 1) if self.full else 2**30
        connection.execute(f"PRAGMA max_page_count = {pages}")
        with _transaction(connection):
            yield
        self.synchronous.append(connection.execute("PRAGMA synchronous").fetchone()[0])


_transaction = _sqlite.transaction


def python(program: str, *arguments: str, **more: Any) -> subprocess.Popen[str]:
    """Start a Python program in a process of its own; ``tests`` can be imported there."""
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **more,
    )


def run(program: str, *arguments: str) -> str:
    """Run a Python program in a process of its own; return what it printed."""
    process = python(program, *arguments)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return printed


KILLED = """
import os, signal, sys
from tests.journal_tools import *
journal = SQLiteJournal(sys.argv[1])
for key in sys.argv[2:]:
    store(journal, purchase(key, owner=journal.owner))
print(journal.owner, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def leave_behind(path: Path, *wanted: str) -> str:
    """Store purchases in a process that is killed; return its owner."""
    process = python(KILLED, str(path), *wanted)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == -9
    return printed.strip()
