"""The journal: what steps store in it, in which order, and what is read from it."""

from __future__ import annotations

import copy
import logging
import math
import pickle
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from smscode import ClientStateError, InvalidArgumentError, SpendingLimitError, _sqlite
from smscode._journal import rows
from smscode.core.purchases.records import BoughtOrder, Living, PurchaseRecord, PurchaseState
from smscode.core.purchases.spending import SpendingRule
from smscode.errors import JournalError
from smscode.journal import Read, SQLiteJournal, Sweep, Totals, Write

from .journal_tools import (
    ACCOUNT,
    Disk,
    Waiter,
    begin,
    buy,
    do,
    each,
    found,
    keys,
    locked,
    look,
    purchase,
    put,
    store,
)


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


FULL = purchase(
    state=PurchaseState.BOUGHT,
    cap=20_000,
    written_at=1000.5,
    open_until=1090.25,
    answered_at=1002.0,
    handed_at=1003.0,
    closed_at=1004.0,
    orders=(
        BoughtOrder(1001, expires_at=2200.0, charged=15_000, refunded=15_000, ended_at=1500.0),
        BoughtOrder(1002),
    ),
)


@pytest.mark.parametrize(
    "record",
    [FULL, purchase(), purchase(state=PurchaseState.BOUGHT), purchase(cap=-(2**63)), purchase(cap=2**63 - 1)],
)
def test_a_record_is_read_as_it_was_stored(record: PurchaseRecord, path: Path) -> None:
    with SQLiteJournal(path) as first:
        store(first, record)
    with SQLiteJournal(path, keep=math.inf) as second:
        assert found(second) == record


def test_a_step_gets_what_the_one_before_it_stored(journal: SQLiteJournal) -> None:
    assert do(journal, "key-1", put(purchase())).result is None
    assert do(journal, "key-1", buy(1001)).result == "bought"
    now = found(journal)
    assert now is not None
    assert (now.state, now.orders) == (PurchaseState.BOUGHT, (BoughtOrder(1001, charged=100),))


def test_steps_that_wait_together_are_applied_in_order_in_one_commit(
    journal: SQLiteJournal, disk: Disk
) -> None:
    disk.hold()
    begin(journal, "first", put(purchase("first")))
    disk.held()
    seen: list[str] = []

    def note(name: str) -> Any:
        def step(before: PurchaseRecord | None, living: Living) -> tuple[PurchaseRecord | None, None]:
            seen.append(f"{name} {before and before.state}")
            return (before and evolve(before, state=PurchaseState.BOUGHT)) or purchase(name), None

        return step

    for name in ("b", "a", "b", "c"):
        begin(journal, name, note(name))
    _, last = begin(journal, "a", note("a"))
    disk.free.set()
    last.wait()
    assert seen == ["b None", "a None", "b written", "c None", "a written"]
    assert disk.tries == 2


def test_more_steps_than_fit_into_one_statement_are_all_stored(journal: SQLiteJournal, disk: Disk) -> None:
    disk.hold()
    wanted = [f"key-{number}" for number in range(1_300)]
    writes = [begin(journal, key, put(purchase(key, cap=number))) for number, key in enumerate(wanted)]
    disk.free.set()
    for _, waiter in writes:
        waiter.wait()
    assert keys(journal) == wanted
    assert [record.cap for record in journal.records(ACCOUNT)] == list(range(1_300))
    assert disk.tries <= 3  # the one that was held, and two of at most 1,000


def test_a_step_without_a_key_is_applied_to_all_open_records_of_the_account_oldest_first(
    journal: SQLiteJournal,
) -> None:
    store(journal, purchase("b"), purchase("closed", closed_at=1.0), purchase("a"), FULL)
    store(
        journal,
        purchase("refused", state=PurchaseState.REFUSED),
        purchase("gone", state=PurchaseState.WITHDRAWN),
    )
    store(journal, purchase("other", account="other"))

    def claim(before: PurchaseRecord | None, living: Living) -> tuple[PurchaseRecord | None, str | None]:
        assert before is not None
        key = before.intent.idempotency_key
        return evolve(before, owner="taken"), None if key == "a" else key

    assert each(journal, claim) == ["b"]
    assert [record.owner for record in journal.records(ACCOUNT)] == ["taken", "taken"]
    assert [record.owner for record in journal.records("other")] == ["gone"]
    assert found(journal, "closed") == purchase("closed", closed_at=1.0)


def test_a_step_without_a_key_sees_what_the_same_commit_stored_before_it(
    journal: SQLiteJournal, disk: Disk
) -> None:
    store(journal, purchase("old"), purchase("closing"))
    disk.hold()
    begin(journal, "old", look)
    disk.held()
    begin(journal, "new", put(purchase("new")))
    begin(journal, "closing", put(purchase("closing", closed_at=1.0)))
    write, waiter = begin(journal, None, look)
    after, waiter_after = begin(journal, "new", buy(1))
    disk.free.set()
    waiter.wait()
    waiter_after.wait()
    results: Any = write.result
    assert results == [purchase("old"), purchase("new")]
    assert after.result == "bought"
    assert disk.tries == 2 + 2


def test_a_step_without_a_key_changes_nothing_if_it_fails_for_one_record(journal: SQLiteJournal) -> None:
    store(journal, purchase("a"), purchase("b"))

    def step(before: PurchaseRecord | None, living: Living) -> tuple[PurchaseRecord | None, None]:
        assert before is not None
        if before.intent.idempotency_key == "b":
            raise ClientStateError("not that one")
        return evolve(before, owner="taken"), None

    assert isinstance(do(journal, None, step).error, ClientStateError)
    assert {record.owner for record in journal.records(ACCOUNT)} == {"gone"}


def test_an_error_of_a_step_is_the_writes_own_and_changes_nothing(journal: SQLiteJournal, disk: Disk) -> None:
    refusal = InvalidArgumentError("idempotency_key: another order")

    def refuse(before: PurchaseRecord | None, living: Living) -> tuple[PurchaseRecord | None, None]:
        raise refusal

    disk.hold()
    before, waiter_before = begin(journal, "a", put(purchase("a")))
    write, waiter = begin(journal, "key-1", refuse)
    after, waiter_after = begin(journal, "b", put(purchase("b")))
    disk.free.set()
    for one in (waiter_before, waiter, waiter_after):
        one.wait()
    assert (write.error, write.result) == (refusal, None)
    assert before.error is after.error is None
    assert keys(journal) == ["a", "b"]


def defects() -> Iterator[Any]:
    def fails(before: PurchaseRecord | None, living: Living) -> tuple[PurchaseRecord | None, None]:
        raise ZeroDivisionError

    yield fails
    yield put(purchase("another"))
    yield put(purchase(account="another"))
    yield put(purchase(cap=2**63))
    yield put(purchase(cap=-(2**63) - 1))
    yield put(purchase(credential="\ud800"))
    yield put(purchase(written_at=float("nan")))


@pytest.mark.parametrize("step", list(defects()))
def test_a_defect_in_a_step_fails_its_own_write_only(
    step: Any, journal: SQLiteJournal, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    disk.hold()
    write, waiter = begin(journal, "key-1", step, lasting=True)
    other, other_waiter = begin(journal, "other", put(purchase("other")))
    disk.free.set()
    waiter.wait()
    other_waiter.wait()
    assert isinstance(write.error, JournalError)
    assert isinstance(write.error.__cause__, ZeroDivisionError | ValueError)
    (logged,) = caplog.records
    assert (logged.name, logged.getMessage()) == ("smscode.journal", "a step of the purchase key-1 failed")
    assert logged.exc_info is not None
    assert logged.exc_info[1] is write.error.__cause__
    assert other.error is None
    assert keys(journal) == ["other"]


def test_an_infinite_time_is_stored(journal: SQLiteJournal) -> None:
    record = purchase(open_until=float("inf"))
    store(journal, record)
    assert found(journal) == record


def test_a_step_that_returns_none_removes_the_record(journal: SQLiteJournal) -> None:
    store(journal, purchase())
    assert do(journal, "key-1", put(None)).result == purchase()
    assert found(journal) is None


def test_a_step_that_changes_nothing_stores_nothing(journal: SQLiteJournal, path: Path) -> None:
    store(journal, purchase())
    with sqlite3.connect(path) as reader:
        before = reader.execute("PRAGMA data_version").fetchone()
        assert do(journal, "key-1", look, durable=False).result == purchase()
        assert reader.execute("PRAGMA data_version").fetchone() == before
    reader.close()


def test_only_durable_writes_are_forced_to_disk(journal: SQLiteJournal, disk: Disk) -> None:
    do(journal, "key-1", put(purchase()), durable=False)
    do(journal, "key-1", buy(1), durable=True)
    do(journal, "key-1", buy(2), durable=True)
    do(journal, "key-1", buy(3), durable=False)
    assert disk.synchronous == [1, 2, 2, 1]


def test_a_durable_write_that_changes_nothing_forces_what_it_saw_to_disk(
    journal: SQLiteJournal, path: Path, disk: Disk
) -> None:
    do(journal, "key-1", put(purchase()), durable=False)
    log = path.with_name("orders.db-wal")
    before = log.stat().st_size
    assert do(journal, "key-1", look, durable=True).result == purchase()
    assert log.stat().st_size > before  # a commit that writes nothing would not be forced to disk
    assert disk.synchronous == [1, 2]


def test_records_are_the_open_ones_of_the_account_oldest_first(journal: SQLiteJournal) -> None:
    store(journal, purchase("b", written_at=2000.0), purchase("a"), purchase("closed", closed_at=1.0))
    store(journal, purchase("other", account="other"))
    assert keys(journal) == ["b", "a"]
    assert keys(journal, "other") == ["other"]
    assert keys(journal, "nobody's") == []


def test_records_hold_what_was_queued_before(journal: SQLiteJournal, disk: Disk) -> None:
    disk.hold()
    for number in range(20):
        begin(journal, f"key-{number}", put(purchase(f"key-{number}")), durable=False)
    disk.free.set()
    assert len(keys(journal)) == 20


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("state", "eaten"),
        ("operation", "x"),
        ("version", "v9"),
        ("orders", "{"),
        ("orders", '[{"x": 1}]'),
        ("orders", "[1]"),
    ],
)
def test_a_row_that_cannot_be_read_concerns_itself_only(
    column: str, value: str, journal: SQLiteJournal, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store(journal, purchase("bad"), purchase("good"))
    with sqlite3.connect(path) as other:
        other.execute(f"UPDATE purchase SET {column} = ? WHERE idempotency_key = 'bad'", (value,))
    other.close()
    if column != "state":  # a row in an unknown state is not an open one
        assert keys(journal) == ["good"]
        assert "key bad cannot be read" in caplog.text
    assert each(journal, look) == [purchase("good")]
    error = do(journal, "bad", put(purchase("bad"))).error
    assert isinstance(error, JournalError)
    assert "key bad cannot be read" in error.message
    assert error.message in caplog.messages
    assert {logged.name for logged in caplog.records} == {"smscode.journal"}
    assert found(journal, "good") == purchase("good")


def test_records_of_living_owners_are_left_out_where_only_those_of_ended_ones_are_asked_for(
    journal: SQLiteJournal,
) -> None:
    store(journal, purchase("mine", owner=journal.owner), purchase("left"))
    assert [record.intent.idempotency_key for record in journal.records(ACCOUNT, ended=True)] == ["left"]
    assert keys(journal) == ["mine", "left"]


def find(journal: SQLiteJournal, key: str) -> Read[tuple[PurchaseRecord | None]]:
    """Ask for a purchase; wait for the answer."""
    waiter = Waiter()
    question = journal.find(ACCOUNT, key, waiter.done.set)
    waiter.wait()
    assert question.done
    return question


def test_a_purchase_is_found_by_its_key_open_or_closed(journal: SQLiteJournal, path: Path) -> None:
    closed = purchase("closed", closed_at=1.0)
    store(journal, purchase("open"), closed)
    with locked(path):  # another process does not hold up reading
        assert find(journal, "open").result == (purchase("open"),)
        assert find(journal, "closed").result == (closed,)
        assert find(journal, "unknown").result == (None,)


def test_a_purchase_whose_row_cannot_be_read_is_not_just_missing(journal: SQLiteJournal, path: Path) -> None:
    store(journal, purchase("bad"))
    with sqlite3.connect(path) as other:
        other.execute("UPDATE purchase SET orders = '{'")
    other.close()
    question = find(journal, "bad")
    assert question.result is None
    assert isinstance(question.error, JournalError)
    assert "key bad cannot be read" in question.error.message


def test_what_waking_the_caller_of_a_read_raises_is_ignored(
    journal: SQLiteJournal, caplog: pytest.LogCaptureFixture
) -> None:
    def closed_loop() -> None:
        raise RuntimeError("Event loop is closed")

    caplog.set_level(logging.DEBUG, "smscode.journal")
    question = journal.find(ACCOUNT, "key-1", closed_loop)
    assert find(journal, "key-1").error is None
    assert (question.done, question.result) == (True, (None,))
    assert len(caplog.records) == 1
    assert "cannot be woken: RuntimeError('Event loop is closed')" in caplog.text


def test_a_sweep_applies_its_step_to_the_open_records_of_all_accounts_oldest_first(
    journal: SQLiteJournal,
) -> None:
    others = purchase("b", account="other"), purchase("a", account="another")
    store(journal, *others, purchase("a"), purchase("closed", closed_at=1.0))
    waiter = Waiter()

    def claim(before: PurchaseRecord | None, living: Living) -> tuple[PurchaseRecord | None, str | None]:
        assert before is not None
        taken = before.account != "another"
        return evolve(before, owner="taken"), before.account if taken else None

    sweep = Sweep(claim, durable=True, wake=waiter.done.set)
    journal.apply(sweep)
    waiter.wait()
    assert sweep.result == ["other", ACCOUNT]
    assert {journal.records(name)[0].owner for name in ("other", "another", ACCOUNT)} == {"taken"}


def test_totals_sum_up_what_an_account_bought(journal: SQLiteJournal) -> None:
    bought = BoughtOrder(1, charged=500, refunded=200)
    store(journal, purchase("a", state=PurchaseState.BOUGHT, orders=(bought, BoughtOrder(2, charged=70))))
    store(journal, purchase("b", state=PurchaseState.BOUGHT, orders=(BoughtOrder(3),), closed_at=1.0))
    store(journal, purchase("c"), purchase("d", state=PurchaseState.REFUSED))
    store(journal, purchase("e", account="other", state=PurchaseState.BOUGHT, orders=(bought,)))
    assert journal.totals(ACCOUNT) == Totals(purchases=2, charged=570, refunded=200)
    assert journal.totals("other") == Totals(purchases=1, charged=500, refunded=200)
    assert journal.totals("nobody's") == Totals()


def bought(key: str, charged: int, answered_at: float) -> PurchaseRecord:
    orders = (BoughtOrder(1, charged=charged),)
    return purchase(key, state=PurchaseState.BOUGHT, answered_at=answered_at, orders=orders)


def test_a_limit_counts_what_the_same_commit_changed_before(
    journal: SQLiteJournal, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 10_000.0)
    store(journal, bought("old", 1_000, 6_400.0), bought("recent", 200, 6_400.5))
    store(journal, purchase("theirs", account="other", cap=9_000))
    refused: list[Write[Any]] = []
    waiter = Waiter()

    def write(record: PurchaseRecord, **limit: int) -> Write[Any]:
        rule = SpendingRule(**limit) if limit else None
        step = put(record)
        key = record.intent.idempotency_key
        return journal.apply(Write(ACCOUNT, key, step, durable=False, rule=rule, wake=waiter.done.set))

    def ask() -> None:
        """Try to exceed each limit, which tells what is left."""
        refused.append(write(purchase("refused", cap=10_000), total=10_000))
        refused.append(write(purchase("refused", cap=10_000), per_hour=10_000))

    disk.hold()
    begin(journal, "old", look)
    disk.held()
    write(purchase("a", cap=40))  # in doubt
    ask()
    write(purchase("b", cap=7), total=2_000, per_hour=2_000)
    ask()
    write(bought("b", 5, 9_000.0))
    write(purchase("a", state=PurchaseState.REFUSED))
    write(bought("c", 90, 6_000.0))
    ask()
    write(purchase("a", cap=8_705), total=10_000)  # the whole of what was refused is free again
    write(purchase("a", state=PurchaseState.REFUSED))
    disk.free.set()
    do(journal, "old", look)
    ask()
    do(journal, "old", look)
    left = [one.error.left for one in refused if isinstance(one.error, SpendingLimitError)]
    assert left == [8_760, 9_760, 8_753, 9_753, 8_705, 9_795, 8_705, 9_795]
    assert keys(journal) == ["old", "recent", "b", "c"]


def test_a_limit_does_not_keep_a_purchase_from_being_removed(journal: SQLiteJournal) -> None:
    store(journal, purchase(state=PurchaseState.REFUSED))
    waiter = Waiter()
    rule = SpendingRule(total=0)
    write = Write(ACCOUNT, "key-1", put(None), durable=False, rule=rule, wake=waiter.done.set)
    journal.apply(write)
    waiter.wait()
    assert write.error is None
    assert found(journal) is None


@pytest.mark.parametrize(
    "query",
    [
        f"SELECT * FROM purchase WHERE account = 'a' AND {rows.OPEN} ORDER BY number",
        f"SELECT number FROM purchase WHERE NOT ({rows.OPEN}) AND {rows.ENDED_AT} < 1"
        f" ORDER BY {rows.ENDED_AT}, number",
        "SELECT * FROM purchase WHERE account = 'a' AND idempotency_key IN ('a', 'b')",
    ],
)
def test_queries_find_their_rows_by_an_index(query: str) -> None:
    connection = sqlite3.connect(":memory:")
    _sqlite.create(connection, rows.FORMAT.schema)
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}")]
    connection.close()
    assert len(plan) == 1  # no step that sorts
    assert plan[0].startswith("SEARCH purchase USING INDEX")


def test_a_write_that_is_queued_twice_is_applied_once(journal: SQLiteJournal, disk: Disk) -> None:
    applied: list[int] = []

    def count(before: PurchaseRecord | None, living: Living) -> tuple[PurchaseRecord | None, None]:
        applied.append(1)
        return before, None

    disk.hold()
    begin(journal, "other", look)
    disk.held()
    write, waiter = begin(journal, "key-1", count)
    journal.apply(write)
    disk.free.set()
    waiter.wait()
    journal.apply(write)
    do(journal, "key-1", look)
    assert applied == [1]


def test_its_path_is_shown(journal: SQLiteJournal, path: Path) -> None:
    assert repr(journal) == f"SQLiteJournal({str(path)!r})"
    assert journal.path == str(path)


def test_it_is_neither_pickled_nor_copied(journal: SQLiteJournal) -> None:
    for take in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="open it again"):
            take(journal)


def test_closing_a_journal_of_which_nothing_waits_logs_nothing(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = SQLiteJournal(path)
    store(journal, purchase("a"))
    assert "smscode journal" in {thread.name for thread in threading.enumerate()}
    journal.close()
    assert caplog.messages == []


def test_a_closed_journal_refuses_writes_and_reads(path: Path) -> None:
    journal = SQLiteJournal(path)
    journal.close()
    journal.close()
    woken: list[int] = []
    write = Write(ACCOUNT, "key-1", look, durable=True, wake=lambda: woken.append(1))
    assert journal.apply(write) is write
    assert write.done
    assert woken == [1]
    assert isinstance(write.error, ClientStateError)
    assert f"{path} is closed" in write.error.message
    with pytest.raises(ClientStateError, match="is closed"):
        journal.records(ACCOUNT)
    with pytest.raises(ClientStateError, match="is closed"):
        journal.totals(ACCOUNT)


def test_closing_it_forbids_once_what_has_not_sent_its_first_byte(path: Path) -> None:
    class Call:
        over = False

        def __init__(self) -> None:
            self.told: list[BaseException] = []

        def forbid(self, why: BaseException) -> None:
            self.told.append(why)

    journal, call = SQLiteJournal(path), Call()
    journal.holders[ACCOUNT, "key-1"] = call
    journal.close()
    (why,) = call.told
    journal.close()
    assert call.told == [why]
    assert isinstance(why, ClientStateError)
    assert str(path) in str(why)


def test_closing_it_again_while_it_is_still_written_forbids_nothing_again(
    journal: SQLiteJournal, disk: Disk
) -> None:
    told: list[BaseException] = []

    class Call:
        over = False

        def forbid(self, why: BaseException) -> None:
            told.append(why)

    disk.hold()
    begin(journal, "key-1", look)
    disk.held()
    journal.holders[ACCOUNT, "key-2"] = Call()
    for _ in range(2):
        journal.close(wait=False)
    assert len(told) == 1
    disk.free.set()


def test_what_was_queued_before_it_is_closed_is_stored(path: Path) -> None:
    with SQLiteJournal(path) as journal:
        wanted = [f"key-{number}" for number in range(500)]
        for key in wanted:
            journal.apply(Write(ACCOUNT, key, put(purchase(key)), durable=False))
    with SQLiteJournal(path) as journal:
        assert keys(journal) == wanted
