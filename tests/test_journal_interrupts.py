"""A KeyboardInterrupt at any line of the journal that a caller runs."""

from __future__ import annotations

import contextlib
import linecache
import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from smscode import _sqlite
from smscode.journal import SQLiteJournal, Write, shared

from .interrupts import traced
from .journal_tools import ACCOUNT, Disk, Waiter, do, found, keys, look, purchase, put

PACKAGE = str(Path(__file__).parent.parent / "smscode")


class Interrupting:
    """Raises KeyboardInterrupt at the n-th line of this package that this thread comes to.

    The exit of a ``with`` block does not count: there, an exception of a trace function leaves the lock
    taken, which one of a signal cannot.
    """

    def __init__(self, line: int) -> None:
        self.left = line
        self.where = ""
        self._entered: set[tuple[int, int]] = set()

    def _trace(self, frame: FrameType, event: str, argument: object) -> Any:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "line" and not self._leaves_a_block(frame):
            self.left -= 1
            if self.left < 0 and not self.where:
                self.where = f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
                raise KeyboardInterrupt
        return self._trace

    def _leaves_a_block(self, frame: FrameType) -> bool:
        place = id(frame), frame.f_lineno
        if not linecache.getline(frame.f_code.co_filename, frame.f_lineno).lstrip().startswith("with "):
            return False
        known = place in self._entered
        self._entered.add(place)
        return known

    def run(self, act: Callable[[], object]) -> bool:
        """Run a function; return True if it was interrupted."""
        with traced(self._trace), contextlib.suppress(KeyboardInterrupt):
            act()
        return bool(self.where)


def at_each_line(attempt: Callable[[Interrupting], bool]) -> None:
    """Repeat with an interruption one line later each time, until there is none."""
    places: list[str] = []
    while True:
        interrupting = Interrupting(len(places))
        if not attempt(interrupting):
            break
        assert interrupting.where
        places.append(interrupting.where)
    assert len(places) >= 3


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orders.db"


def works(journal: SQLiteJournal) -> None:
    """Fail unless writes from this thread and another one are stored."""
    assert do(journal, "works", put(purchase("works"))).error is None
    errors: list[object] = []
    other = threading.Thread(target=lambda: errors.append(do(journal, "other", look).error))
    other.start()
    other.join(30)
    assert errors == [None]


@pytest.mark.parametrize("opening", [SQLiteJournal, shared])
def test_an_interrupted_apply_has_queued_the_write_or_not_and_can_be_repeated(
    opening: Callable[[Path], SQLiteJournal], tmp_path: Path
) -> None:
    """A shared journal starts its thread meanwhile."""

    def attempt(interrupting: Interrupting) -> bool:
        path = tmp_path / f"{interrupting.left}.db"
        applied: list[int] = []
        waiter = Waiter()

        def step(before: Any, living: Any) -> Any:
            applied.append(1)
            return purchase(), None

        with opening(path) as journal:
            write = Write(ACCOUNT, "key-1", step, durable=True, wake=waiter.done.set)
            interrupted = interrupting.run(lambda: journal.apply(write))
            works(journal)
            journal.apply(write)
            waiter.wait()
            assert write.error is None
            works(journal)
            assert applied == [1]
            assert found(journal) == purchase()
        assert not [name for name in os.listdir(tmp_path) if "owner" in name]
        return interrupted

    at_each_line(attempt)


def test_an_interrupted_abandon_says_the_same_when_it_is_asked_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk()
    disk.free.set()
    with SQLiteJournal(path) as journal:
        monkeypatch.setattr(_sqlite, "transaction", disk.transaction)

        def attempt(interrupting: Interrupting) -> bool:
            key = f"key-{interrupting.left}"
            disk.hold()
            write = journal.apply(Write(ACCOUNT, key, put(purchase(key)), durable=True))
            disk.held()
            interrupted = interrupting.run(lambda: journal.abandon(write))
            assert journal.abandon(write)
            disk.free.set()
            works(journal)
            assert found(journal, key) is None
            assert not write.done
            return interrupted

        at_each_line(attempt)


def test_a_write_that_a_closed_journal_refuses_is_refused_or_abandoned_when_that_is_interrupted(
    path: Path,
) -> None:
    journal = SQLiteJournal(path)
    journal.close()

    def attempt(interrupting: Interrupting) -> bool:
        write = Write(ACCOUNT, "key-1", put(purchase()), durable=True)
        interrupted = interrupting.run(lambda: journal.apply(write))
        assert write.done or journal.abandon(write)
        assert not write.done or write.error is not None
        return interrupted

    at_each_line(attempt)
    with SQLiteJournal(path) as other:
        assert keys(other) == []


def test_an_interrupted_close_can_be_repeated(path: Path) -> None:
    def attempt(interrupting: Interrupting) -> bool:
        journal = SQLiteJournal(path)
        key = f"key-{interrupting.left}"
        write = journal.apply(Write(ACCOUNT, key, put(purchase(key)), durable=True))
        interrupted = interrupting.run(journal.close)
        journal.close()
        assert write.done
        assert write.error is None
        assert os.listdir(path.parent) == ["orders.db"]
        with SQLiteJournal(path) as other:
            assert found(other, key) == purchase(key)
            works(other)
        return interrupted

    at_each_line(attempt)


def test_an_interrupted_close_of_a_shared_journal_can_be_repeated(path: Path) -> None:
    def attempt(interrupting: Interrupting) -> bool:
        journal = shared(path)
        key = f"key-{interrupting.left}"
        write = journal.apply(Write(ACCOUNT, key, put(purchase(key)), durable=True))
        interrupted = interrupting.run(journal.close)
        journal.close()
        assert write.done
        assert os.listdir(path.parent) == ["orders.db"]
        with shared(path) as again:
            assert again is not journal
            works(again)
        return interrupted

    at_each_line(attempt)


def test_an_interrupted_opening_leaves_nothing_behind(path: Path) -> None:
    SQLiteJournal(path).close()

    def attempt(interrupting: Interrupting) -> bool:
        opened: list[SQLiteJournal] = []
        interrupted = interrupting.run(lambda: opened.append(SQLiteJournal(path)))
        for journal in opened:
            works(journal)
            journal.close()
        with SQLiteJournal(path) as other:
            works(other)
        return interrupted

    at_each_line(attempt)
    settle(path)
    assert os.listdir(path.parent) == ["orders.db"]


def settle(path: Path) -> None:
    """Wait until the threads of interrupted openings have ended: they close their journals by themselves."""
    from smscode._journal import thread

    for writer in list(thread._running):
        writer.wait(30.0)
