"""The thread of a journal, step by step: what it waits for, how it ends, and how it lets forks pass."""

from __future__ import annotations

import _thread
import logging
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import pytest

from smscode import ConfigurationError, _platform
from smscode._journal import thread, write_loop
from smscode._journal.store import Locked, Store
from smscode._journal.write_loop import Fork, QueueItem, Stop, WriteLoop
from smscode._journal.writes import Read, Write
from smscode.errors import JournalError
from smscode.journal import SQLiteJournal, Sweep, shared

from .journal_tools import ACCOUNT, Waiter, begin, do, found, look, purchase, put, store

LONG = 30.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orders.db"


# Writes and reads

FIRST, SECOND = JournalError("the first"), JournalError("the second")


def write_in(state: str) -> tuple[Write[Any], list[int]]:
    """Return a write that something has happened to, and a list that grows when its caller is woken."""
    woken: list[int] = []
    write: Write[Any] = Write(ACCOUNT, "key-1", look, durable=True, wake=lambda: woken.append(1))
    for step in state.split(", "):
        match step:
            case "begun":
                assert write.begin()
            case "given back":
                write.give_back()
            case "abandoned":
                assert write.abandon()
            case "refused":
                write.refuse(FIRST)
            case "failed":
                write.fail(FIRST)
            case "done":
                write.finish("result", None)
            case _:
                pass
    woken.clear()
    return write, woken


@pytest.mark.parametrize(
    ("state", "over", "begins", "is_abandoned", "fails", "is_refused"),
    [
        ("new", False, True, True, True, True),
        ("given back", False, True, True, True, True),
        ("begun", False, False, False, True, False),
        ("begun, given back", False, True, True, True, True),
        ("abandoned", True, False, True, False, False),
        ("abandoned, given back", True, False, True, False, False),
        ("begun, given back, abandoned", True, False, True, False, False),
        ("begun, given back, abandoned, given back", True, False, True, False, False),
        ("refused", True, False, True, False, True),  # by a caller who was interrupted as it was refused
        ("refused, given back", True, False, True, False, True),
        ("failed", True, False, False, False, False),
        ("begun, failed", True, False, False, False, False),
        ("begun, done", True, False, False, False, False),
    ],
)
def test_a_write_is_claimed_and_ends_once(
    state: str, over: bool, begins: bool, is_abandoned: bool, fails: bool, is_refused: bool
) -> None:
    assert write_in(state)[0].over is over
    assert write_in(state)[0].begin() is begins
    assert write_in(state)[0].abandon() is is_abandoned
    for name, expected in (("fail", fails), ("refuse", is_refused)):
        write, woken = write_in(state)
        before = write.done, write.result, write.error
        getattr(write, name)(SECOND)
        assert (write.error is SECOND) is bool(woken) is expected
        assert expected or (write.done, write.result, write.error) == before
        assert not expected or (write.done, write.result) == (True, None)


def test_a_read_is_tried_fifty_times_while_the_file_is_locked() -> None:
    read = Read(lambda store: None, lambda: None)
    assert [read.waits_on() for _ in range(51)] == [True] * 49 + [False] * 2


def test_a_write_whose_caller_cannot_be_woken_is_logged_for_debugging(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def closed_loop() -> None:
        raise RuntimeError("Event loop is closed")

    caplog.set_level(logging.DEBUG, "smscode.journal")
    Write(ACCOUNT, "key-1", look, durable=True).notify()
    assert caplog.records == []
    Write(ACCOUNT, "key-1", look, durable=True, wake=closed_loop).notify()
    assert len(caplog.records) == 1
    assert "cannot be woken: RuntimeError('Event loop is closed')" in caplog.text


# The loop


class Clock:
    """Stands for the clock of the thread."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(write_loop, "RealTime", clock)
    return clock


class Script(Store):
    """A store whose operations take the next of their outcomes; without one, all is well."""

    def __init__(self, **outcomes: list[Exception | bool]) -> None:
        super().__init__("orders.db", 0.0)
        self.done: list[str] = []
        self._outcomes = outcomes
        self._opened = False

    def _next(self, name: str) -> bool:
        self.done.append(name)
        outcomes = self._outcomes.get(name)
        outcome = outcomes.pop(0) if outcomes else False
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    @property
    def is_open(self) -> bool:
        return self._opened

    def open(self) -> None:
        if not self._opened:
            self._next("open")
            self._opened = True

    def commit(self, writes: Any) -> None:
        if writes:
            self._next("commit")
        for write in writes:
            assert write.begin()
            write.finish("committed", None)

    def prune(self) -> bool:
        return self._next("prune")

    def totals(self, account: str) -> Any:
        return self._next("read")

    def leave(self) -> None:
        self._next("leave")

    def close(self) -> None:
        self._next("close")


class Items(SimpleQueue[QueueItem]):
    """A queue that notes how long the thread would wait for an item, and lets the time pass meanwhile."""

    def __init__(self, clock: Clock) -> None:
        self.asked: list[float | None] = []
        self._clock = clock

    def get(self, block: bool = True, timeout: float | None = None) -> QueueItem:
        self.asked.append(timeout)
        try:
            return super().get_nowait()
        except Empty:
            self._clock.now = round(self._clock.now + (timeout or 0.0), 6)
            raise


def failing() -> JournalError:
    return JournalError("pretended")


def lasting() -> Write[Any]:
    return Write(ACCOUNT, "key-1", look, durable=True, lasting=True)


def question() -> Read[Any]:
    return Read(lambda store: store.totals(ACCOUNT), lambda: None)


def turn(loop: WriteLoop, items: Items, *new: QueueItem) -> float | None:
    """Run the next turn of the loop with some new items; return how long it would wait for them."""
    for item in new:
        items.put(item)
    loop._turn()
    asked = items.asked[-1]
    return asked if asked is None else round(asked, 6)


def test_the_thread_waits_for_the_next_item_until_something_is_due(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    items = Items(clock)
    opened = Script(
        open=[failing(), Locked(), failing()],
        commit=[False, failing(), failing()],
        read=[Locked(), Locked(), False, Locked()],
    )
    loop = WriteLoop(opened, items)
    assert turn(loop, items, lasting()) is None, "there is nothing to do"
    assert turn(loop, items) == 0.05, "it failed"
    assert turn(loop, items) == 0.01, "it was locked"
    assert turn(loop, items) == 0.1, "it failed again"
    first, second = question(), question()
    assert turn(loop, items, first) == 3_600.0, "old rows are looked for"
    assert turn(loop, items) == 0.01, "reading was locked"
    assert turn(loop, items) == 0.01
    assert first.done
    assert turn(loop, items, lasting(), second) == 3_599.98
    assert turn(loop, items) == 0.05, "writing failed, and reading was locked"
    assert second.done
    assert turn(loop, items) == 0.1
    assert turn(loop, items) == 3_599.83
    assert opened.done.count("commit") == 4
    assert caplog.messages == ["pretended", "pretended"], "each outage once"
    assert {record.name for record in caplog.records} == {"smscode.journal"}


def test_old_rows_are_looked_for_each_hour_and_a_minute_after_a_failure(clock: Clock) -> None:
    items = Items(clock)
    opened = Script(prune=[False, True, True, failing(), Locked(), False])
    loop = WriteLoop(opened, items)
    turn(loop, items, question())
    waited = [turn(loop, items) for _ in range(8)]
    assert waited == [3_600.0, 0.0, 0.0, 60.0, 60.0, 3_600.0, 3_600.0, 3_600.0]
    assert opened.done == ["open", "read", *["prune"] * 9]
    turn(loop, items, question())
    assert opened.done[-1] == "read", "it is not time yet"


def test_a_file_that_is_not_open_is_not_opened_to_look_for_old_rows(clock: Clock) -> None:
    items = Items(clock)
    opened = Script(open=[failing()])
    loop = WriteLoop(opened, items)
    abandoned = lasting()
    assert abandoned.abandon()
    turn(loop, items, abandoned)
    assert opened.done == []
    turn(loop, items, lasting())
    assert opened.done == ["open"]


def test_a_file_that_cannot_be_used_fails_what_waits_once(clock: Clock) -> None:
    woken: list[str] = []
    items = Items(clock)
    refusal = ConfigurationError("damaged")
    loop = WriteLoop(Script(open=[refusal, ConfigurationError("still damaged")]), items)
    write = Write(ACCOUNT, "key-1", look, durable=True, lasting=True, wake=lambda: woken.append("write"))
    read: Read[Any] = Read(lambda store: None, lambda: woken.append("read"))
    turn(loop, items, write, read)
    assert woken == ["write", "read"]
    for one in (write, read):
        assert isinstance(one.error, ConfigurationError)
        assert one.error is not refusal, "each caller adds to its own one"
        assert one.error.message == "damaged"


def test_a_stop_is_due_when_nothing_waits_or_its_time_is_over(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    items = Items(clock)
    opened = Script(open=[failing() for _ in range(99)])
    waiting, more, abandoned, read = lasting(), lasting(), lasting(), question()
    for item in (waiting, more, abandoned, read, Stop(2.75)):
        items.put(item)
    assert abandoned.abandon()
    WriteLoop(opened, items).run()
    assert items.asked == [None, 0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    for write in (waiting, more):
        assert isinstance(write.error, JournalError)
        assert "closed before this could be written" in write.error.message
    assert isinstance(read.error, JournalError)
    assert caplog.messages == [
        "pretended",
        "journal: orders.db was closed before 2 changes could be written",
    ]


def test_a_stop_is_over_at_its_very_time(clock: Clock) -> None:
    items = Items(clock)
    loop = WriteLoop(Script(open=[failing() for _ in range(99)]), items)
    items.put(lasting())
    items.put(Stop(0.15))
    loop.run()
    assert [round(asked or 0.0, 6) for asked in items.asked] == [0.0, 0.05, 0.1]


@pytest.mark.parametrize("waiting", [lasting, question])
def test_what_waits_for_a_lock_is_done_before_a_stop(
    waiting: Callable[[], Write[Any] | Read[Any]], clock: Clock
) -> None:
    items = Items(clock)
    item = waiting()
    items.put(item)
    items.put(Stop(60.0))
    opened = Script(commit=[Locked(), Locked()], read=[Locked(), Locked()])
    WriteLoop(opened, items).run()
    assert (item.done, item.error) == (True, None)
    assert items.asked == [None, 0.01, 0.01]
    assert opened.done[-2:] == ["leave", "close"]
    assert "prune" not in opened.done, "the next one who opens the file does that"


@pytest.mark.parametrize(
    ("outcomes", "tries"),
    [
        ([], 1),
        ([Locked(), Locked()], 3),
        ([Locked() for _ in range(9)], 4),
        ([Locked(), failing()], 2),
    ],
)
def test_the_owners_row_is_removed_unless_the_file_stays_locked_or_fails(
    outcomes: list[Exception | bool], tries: int, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(Script):
        def leave(self) -> None:
            clock.now += 0.5
            super().leave()

    opened, items = Slow(leave=outcomes), Items(clock)
    items.put(Stop(2.0))
    WriteLoop(opened, items).run()
    assert opened.done == [*["leave"] * tries, "close"]


def test_a_thread_that_is_ended_from_outside_does_not_wait_for_a_lock(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Script(leave=[Locked(), Locked()])
    loop = WriteLoop(opened, Items(clock))

    def ends() -> None:
        raise SystemExit

    monkeypatch.setattr(loop, "_take", ends)
    with pytest.raises(SystemExit):
        loop.run()
    assert opened.done == ["leave", "close"]


@pytest.mark.parametrize("error", [failing(), ConfigurationError("damaged"), ZeroDivisionError()])
def test_a_stop_does_not_wait_for_what_has_failed(error: Exception, clock: Clock) -> None:
    items = Items(clock)
    write = Write(ACCOUNT, "key-1", look, durable=True)
    items.put(write)
    items.put(Stop(60.0))
    WriteLoop(Script(open=[error]), items).run()
    assert write.error is not None
    assert items.asked == [None]


def test_a_defect_is_logged_with_its_traceback(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    defect = ZeroDivisionError()
    items = Items(clock)
    write = Write(ACCOUNT, "key-1", look, durable=True)
    items.put(write)
    items.put(Stop(1.0))
    WriteLoop(Script(open=[defect]), items).run()
    assert [record.exc_info and record.exc_info[1] for record in caplog.records] == [defect, None]
    assert isinstance(write.error, JournalError)
    assert write.error.__cause__ is defect


# Closing


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Return how long the ends of threads are waited for, which takes no time; wait for them at last."""
    waited: list[float] = []
    with monkeypatch.context() as patched:

        def wait(_: thread.Writer, patience: float) -> None:
            waited.append(patience)

        patched.setattr(thread.Writer, "wait", wait)
        yield waited
    for writer in list(thread._running):
        writer.wait(LONG)


def test_closing_waits_five_seconds_at_most_or_not_at_all(path: Path, waited: list[float]) -> None:
    for wait, expected in ((True, [5.0]), (False, [])):
        own = SQLiteJournal(path)
        common = shared(path)
        own.close(wait=wait)
        assert waited == expected
        common.close(wait=wait)
        assert waited == expected, "its thread was never started"
        common = shared(path)
        store(common, purchase())
        common.close(wait=wait)
        assert waited == 2 * expected
        waited.clear()
    with SQLiteJournal(path), shared(path) as common:
        store(common, purchase())
    assert waited == [5.0, 5.0]


def test_a_journal_that_is_dropped_or_interrupted_is_not_waited_for(
    path: Path, waited: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = SQLiteJournal(path)
    del journal
    with monkeypatch.context() as patched:
        patched.setattr(_platform, "get", interrupted)
        with pytest.raises(KeyboardInterrupt):
            SQLiteJournal(path)
    assert waited == []


def interrupted(*arguments: object) -> None:
    raise KeyboardInterrupt


def test_the_thread_does_not_wait_for_its_own_end(path: Path, waited: list[float]) -> None:
    journal, waiter = SQLiteJournal(path), Waiter()

    def close() -> None:
        journal.close()
        waiter.done.set()

    journal.apply(Write(ACCOUNT, "key-1", put(purchase()), durable=True, wake=close))
    waiter.wait()
    assert waited == []


def test_a_thread_that_could_not_be_started_is_not_waited_for(
    path: Path, waited: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def launch_here(launch: Callable[[], None], arguments: tuple[()]) -> None:
        launch()

    def failing(*arguments: object) -> None:
        raise cause

    cause = RuntimeError("can't start new thread")
    writer = thread.Writer(Store(str(path), 0.0))
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", failing)
        patched.setattr(_thread, "start_new_thread", launch_here)
        error = writer.apply(Write(ACCOUNT, "a", look, durable=True)).error
    assert isinstance(error, JournalError)
    assert error.__cause__ is cause
    assert error is not writer._failure, "each caller adds to its own one"
    writer.stop(LONG, wait=True)
    assert waited == []


def test_a_thread_that_has_not_begun_yet_is_waited_for(
    path: Path, waited: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_yet(launch: Callable[[], None], arguments: tuple[()]) -> None:
        """Start a thread that the system lets run later."""

    writer = thread.Writer(Store(str(path), 0.0))
    monkeypatch.setattr(_thread, "start_new_thread", not_yet)
    writer.apply(Write(ACCOUNT, "a", look, durable=True))
    writer.stop(LONG, wait=True)
    assert waited == [LONG]


def test_a_thread_whose_start_was_interrupted_is_waited_for(
    path: Path, waited: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(launch: Callable[[], None], arguments: tuple[()]) -> None:
        launch()
        while writer not in thread._running:
            pass
        raise KeyboardInterrupt

    writer = thread.Writer(Store(str(path), 0.0))
    monkeypatch.setattr(_thread, "start_new_thread", interrupt)
    with pytest.raises(KeyboardInterrupt):
        writer.apply(Write(ACCOUNT, "a", look, durable=True))
    writer.stop(LONG, wait=True)
    assert waited == [LONG]


class Waits:
    """Stands for waiting until an item is in a queue: notes how long, and whether it is there at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[tuple[float, str]] = []
        monkeypatch.setattr(_platform, "get", self._get)

    def _get(self, queue: SimpleQueue[None], seconds: float) -> None:
        self.seen.append((seconds, "nothing" if queue.empty() else "found"))
        queue.get_nowait()


def test_closing_it_twice_waits_twice_for_a_thread_that_has_not_ended(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, go_on = SQLiteJournal(path), threading.Event()
    begin(journal, "key-1", lambda before, living: (before, go_on.wait(LONG)))
    with monkeypatch.context() as patched:
        waits = Waits(patched)
        for _ in range(2):
            journal.close()
        assert waits.seen == [(5.0, "nothing"), (5.0, "nothing")]
    go_on.set()
    journal.close()
    assert journal._writer not in thread._running
    waits = Waits(monkeypatch)
    journal.close()
    assert waits.seen == [], "it has ended"


def test_the_end_of_a_thread_is_seen_by_all_who_wait_for_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = thread.Writer(Store(str(path), 0.0))
    waits = Waits(monkeypatch)
    writer._end.put(None)
    for _ in range(3):
        writer.wait(1.0)
    assert waits.seen == [(1.0, "found")] * 3
    monkeypatch.setattr("smscode._journal.thread.os.getpid", lambda: -1)
    writer.wait(1.0)
    assert len(waits.seen) == 3, "a forked process has no such thread"


def test_what_a_closed_journal_left_is_taken_over_though_its_thread_still_waits_for_the_disk(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smscode.journal._CLOSING", 0.0)
    journal, go_on = SQLiteJournal(path), threading.Event()
    store(journal, left := purchase(owner=journal.owner))
    with SQLiteJournal(path) as other:
        assert other.records(ACCOUNT, ended=True) == []
        begin(journal, "key-1", lambda before, living: (before, go_on.wait(LONG)))
        journal.close()
        assert other.records(ACCOUNT, ended=True) == [left]
        go_on.set()
        journal._writer.wait(LONG)


def test_a_read_that_was_answered_as_the_thread_ended_keeps_its_result(path: Path) -> None:
    class Answering(SimpleQueue[QueueItem]):
        def put(self, item: QueueItem, block: bool = True, timeout: float | None = None) -> None:
            assert isinstance(item, Read)
            item.answer(None)
            writer._ended = True

    writer = thread.Writer(Store(str(path), 0.0))
    writer._started = True
    writer._queue = Answering()
    woken: list[int] = []
    read = writer.read(Read(lambda store: "answer", lambda: woken.append(1)))
    assert (read.result, read.error, woken) == ("answer", None, [1])


def test_the_end_of_the_process_waits_one_second_for_all_journals_together(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[tuple[str, float, bool | None]] = []
    clock = Clock()

    class Slow:
        def stop(self, patience: float, *, wait: bool) -> None:
            happened.append(("stop", patience, wait))

        def wait(self, patience: float) -> None:
            happened.append(("wait", round(patience, 6), None))
            clock.now += 0.75

    monkeypatch.setattr(thread, "RealTime", clock)
    monkeypatch.setattr(thread, "_running", {Slow(): None for _ in range(3)})
    thread._flush()
    waits: list[tuple[str, float, None]] = [("wait", 1.0, None), ("wait", 0.25, None), ("wait", 0.0, None)]
    assert happened == [*[("stop", 1.0, False)] * 3, *waits]


# What is kept


def test_a_journal_keeps_closed_purchases_for_thirty_days(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, month = 1_790_000_000.0, 30 * 86_400.0
    monkeypatch.setattr("time.time", lambda: now)
    with SQLiteJournal(path, keep=float("inf")) as journal:
        store(journal, purchase("old", closed_at=now - month - 1), purchase("young", closed_at=now - month))
    for opening in (SQLiteJournal, shared):
        with opening(path) as journal:
            for _ in range(2):  # so that it has looked for old rows
                journal.totals(ACCOUNT)
            assert (found(journal, "old") is None, found(journal, "young") is None) == (True, False)
            store(journal, purchase("old", closed_at=now - month - 1))


def test_a_sweep_is_not_repeated_on_a_failing_disk(path: Path) -> None:
    with SQLiteJournal(path) as journal:
        path.rename(away := path.with_name("away.db"))
        waiter = Waiter()
        sweep: Sweep[Any] = Sweep(look, durable=True, wake=waiter.done.set)
        write = Write(ACCOUNT, "key-1", look, durable=True)
        journal.apply(write)
        journal.apply(sweep)
        waiter.wait()
        away.rename(path)
        assert isinstance(sweep.error, JournalError)
        assert isinstance(write.error, JournalError)


# Forks


def test_a_fork_is_waited_for_until_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    fork = Fork()
    fork.forked.put(None)
    fork.pause()
    assert (fork.waits.qsize(), fork.forked.qsize()) == (1, 0)
    monkeypatch.setattr(write_loop, "FORK_WAIT", 0.0)
    fork.pause()
    assert fork.waits.qsize() == 2


def test_a_fork_is_told_when_the_thread_is_outside_of_sqlite(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, go_on = SQLiteJournal(path), threading.Event()
    writer, fork = journal._writer, Fork()
    begun = threading.Event()

    def slow(before: Any, living: Any) -> tuple[Any, bool]:
        begun.set()
        return before, go_on.wait(LONG)

    begin(journal, "key-1", slow)
    assert begun.wait(LONG)
    writer.before_fork(fork)
    assert fork.waits.empty()
    go_on.set()
    fork.waits.get(timeout=LONG)
    fork.forked.put(None)
    assert do(journal, "key-1", look).error is None
    journal.close()
    writer.before_fork(ended := Fork())
    assert ended.waits.qsize() == 1
    with monkeypatch.context() as patched:
        patched.setattr(writer, "_ended", False)
        writer.before_fork(other := Fork())
        assert other.waits.empty()
        patched.setattr(writer, "_thread", threading.get_ident())
        writer.before_fork(own := Fork())
    assert own.waits.qsize() == 1


@pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="there nothing forks")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_asks_all_threads_and_waits_ten_seconds_for_all_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, asked, forks = Clock(), list[float | None](), list[Fork]()

    class Waits(SimpleQueue[None]):
        def get(self, block: bool = True, timeout: float | None = None) -> None:
            asked.append(timeout)
            assert len(forks) == 3, "all are asked before the first is waited for"
            clock.now += 6.0
            raise Empty

    class Slow:
        def before_fork(self, fork: Any) -> None:
            fork.waits = Waits()
            forks.append(fork)

    monkeypatch.setattr(thread, "RealTime", clock)
    monkeypatch.setattr(thread, "_running", {Slow(): None for _ in range(3)})
    child = os.fork()
    if child == 0:
        os._exit(0 if not thread._running and not thread._forks else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert asked == [10.0, 4.0, 0.0]
    assert [fork.forked.qsize() for fork in forks] == [1, 1, 1]
    assert thread._forks == {}
