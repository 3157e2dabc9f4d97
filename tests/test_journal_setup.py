"""Where a journal may be, what is refused, sharing one by its path, and files of all formats."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from smscode import ConfigurationError, InvalidArgumentError, SpendingLimitError, calls
from smscode.core.purchases.intents import OrderIntent
from smscode.core.purchases.records import BoughtOrder, PurchaseRecord, PurchaseState
from smscode.core.purchases.spending import SpendingRule
from smscode.journal import SQLiteJournal, Totals, Write, shared

from .journal_tools import (
    ACCOUNT,
    Waiter,
    begin,
    do,
    each,
    found,
    keys,
    lives,
    lock_files,
    look,
    purchase,
    put,
    store,
)

DATA = Path(__file__).parent / "data"
TIME = 1_790_000_000.0
"""When the files in the folder of data were written."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orders.db"


@pytest.fixture(params=[SQLiteJournal, shared])
def opening(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_the_home_folder_may_be_written_as_a_tilde(
    opening: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    with opening("~/orders.db") as journal:
        store(journal, purchase())
        assert repr(journal).endswith(f"SQLiteJournal({str(tmp_path / 'orders.db')!r})")
    assert os.listdir(tmp_path) == ["orders.db"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("var/orders.db", "its folder {folder}/var does not exist"),
        ("~nobody-of-this-name/orders.db", "its folder {folder}/~nobody-of-this-name does not exist"),
        (":memory:", "journal: ':memory:' keeps nothing; give"),
        ("", "journal: '' keeps nothing; give"),
        (".", "{folder} cannot be used (it is not a file)"),
        ("/dev/null", "/dev/null cannot be used (it is not a file)"),
        ("\0", "expected the path of a file"),
        (None, "expected the path of a file"),
        (3, "expected the path of a file"),
    ],
)
def test_a_path_where_nothing_can_be_kept_is_refused_with_the_whole_path(
    given: Any, message: str, opening: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        opening(given)
    assert message.format(folder=os.path.realpath(tmp_path)) in caught.value.message
    assert caught.value.message.startswith("journal: ")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("refused", "missing", "message"),
    [
        ("", os.W_OK, "its folder {path.parent} is not writable"),
        ("", os.X_OK, "its folder {path.parent} is not writable"),
        ("orders.db", os.R_OK, "it is not readable and writable"),
        ("orders.db", os.W_OK, "it is not readable and writable"),
    ],
)
def test_a_folder_or_file_without_permission_is_refused(
    refused: str, missing: int, message: str, opening: Any, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_bytes(b"")
    real = os.path.realpath(path.parent / refused) if refused else os.path.realpath(path.parent)

    def access(asked: str, mode: int) -> bool:
        return not (asked == real and mode & missing)

    monkeypatch.setattr("os.access", access)
    with pytest.raises(ConfigurationError) as caught:
        opening(path)
    assert message.format(path=path) in caught.value.message
    assert str(path) in caught.value.message


def test_bytes_are_a_path_too(path: Path) -> None:
    with SQLiteJournal(os.fsencode(path)) as journal:  # type: ignore[arg-type]  # not promised
        assert repr(journal) == f"SQLiteJournal({str(path)!r})"


@pytest.mark.parametrize("keep", [-1, float("nan"), True, "30", None])
def test_a_time_to_keep_purchases_that_is_none_is_refused(keep: Any, path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="keep: expected a number of seconds"):
        SQLiteJournal(path, keep=keep)
    assert not path.exists()


@pytest.mark.parametrize("keep", [0, 0.5, float("inf")])
def test_any_time_from_zero_on_can_be_kept(path: Path, keep: float) -> None:
    SQLiteJournal(path, keep=keep).close()
    assert path.exists()


def test_links_and_relative_paths_lead_to_one_file_and_one_place_for_its_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, linked = tmp_path / "real", tmp_path / "linked"
    real.mkdir()
    linked.symlink_to(real)
    monkeypatch.chdir(real)
    with SQLiteJournal("orders.db") as first, SQLiteJournal(linked / "orders.db") as second:
        monkeypatch.chdir(tmp_path)
        store(first, purchase("a", owner=first.owner))
        store(second, purchase("b", owner=second.owner))
        assert each(first, lives) == each(second, lives) == [True, True]
        assert len(lock_files(real / "orders.db")) == 2
    assert os.listdir(real) == ["orders.db"]


def test_a_file_that_does_not_open_is_named_with_the_reason(opening: Any, tmp_path: Path) -> None:
    loop = tmp_path / "loop.db"
    loop.symlink_to(loop)
    with pytest.raises(ConfigurationError, match=r"loop\.db cannot be used \(Too many levels"):
        opening(loop)


def test_a_file_that_cannot_be_created_is_named_with_its_path(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a folder of a kind that has no such files, which permissions do not show."""

    def connect(*arguments: Any, **more: Any) -> Any:
        return real(path / "not a folder", **more)

    path.write_bytes(b"")
    real: Any = sqlite3.connect
    with monkeypatch.context() as patched:
        patched.setattr("smscode._sqlite.sqlite3.connect", connect)
        with pytest.raises(ConfigurationError) as caught:
            SQLiteJournal(path)
    assert (
        f"{path} cannot be used (it, or a file that SQLite keeps beside it, can be neither"
        in caught.value.message
    )


# Files that are not a journal


def refusal(path: Path, opening: Any) -> str:
    """Return why a file is refused: at once by one's own journal, at its first use by a shared one."""
    if opening is SQLiteJournal:
        with pytest.raises(ConfigurationError) as caught:
            SQLiteJournal(path)
        return caught.value.message
    with shared(path) as journal:
        writes = [begin(journal, f"key-{n}", put(purchase(f"key-{n}")), lasting=bool(n)) for n in range(2)]
        messages: set[str] = set()
        for write, waiter in writes:
            waiter.wait()
            assert isinstance(write.error, ConfigurationError)
            messages.add(write.error.message)
        with pytest.raises(ConfigurationError) as caught:
            journal.records(ACCOUNT)
        assert messages == {caught.value.message}
    return caught.value.message


@pytest.mark.parametrize("content", [b"not a database" * 100, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_damaged_file_is_refused_and_left_as_it_is(content: bytes, opening: Any, path: Path) -> None:
    path.write_bytes(content)
    assert refusal(path, opening).startswith(
        f"journal: {path} cannot be used (it is damaged, and left as it is; restore it from a copy, or give"
        " another path)."
    )
    assert path.read_bytes() == content
    assert os.listdir(path.parent) == ["orders.db"]


def test_a_page_that_was_damaged_later_is_noticed(opening: Any, path: Path) -> None:
    with SQLiteJournal(path) as journal:
        store(journal, *(purchase(f"key-{number}", credential="x" * 200) for number in range(100)))
    content = bytearray(path.read_bytes())
    for start in range(2 * 4096, len(content), 4096):
        content[start : start + 100] = b"\x55" * 100
    path.write_bytes(content)
    assert f"{path} cannot be used" in refusal(path, opening)
    assert path.read_bytes() == content


def test_another_programs_database_is_refused_and_left_as_it_is(opening: Any, path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE precious (x)")
    connection.close()
    before = path.read_bytes()
    assert "another program's file" in refusal(path, opening)
    assert path.read_bytes() == before


def test_a_journal_of_a_later_format_is_refused(opening: Any, path: Path) -> None:
    SQLiteJournal(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 4")
    connection.close()
    assert "format 4, expected 3" in refusal(path, opening)


def test_a_shared_journal_is_opened_again_when_its_file_was_put_right(path: Path) -> None:
    path.write_bytes(b"not a database" * 100)
    with shared(path) as journal:
        assert isinstance(do(journal, "key-1", look).error, ConfigurationError)
        path.unlink()
        assert do(journal, "key-1", put(purchase())).error is None


# Sharing


def test_one_journal_is_shared_by_all_who_give_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    journal = shared("orders.db")
    assert os.listdir(tmp_path) == []  # it is opened at its first use
    assert shared(tmp_path / "orders.db") is journal
    assert shared(tmp_path / "other.db") is not journal
    store(journal, purchase("a"))
    journal.close()
    assert do(journal, "b", put(purchase("b"))).error is None
    with SQLiteJournal("orders.db") as own:
        assert own.owner != journal.owner
    journal.close()
    assert do(journal, "c", put(purchase("c"))).error is not None
    journal.close()
    again = shared("orders.db")
    assert again is not journal
    assert keys(again) == ["a", "b"]
    again.close()
    assert os.listdir(tmp_path) == ["orders.db"]


def test_a_shared_journal_that_was_never_used_makes_no_file(path: Path) -> None:
    shared(path).close()
    assert os.listdir(path.parent) == []


def test_an_own_journal_that_is_closed_twice_does_not_close_a_shared_one(path: Path) -> None:
    used = shared(path)
    with SQLiteJournal(path) as own:
        pass
    own.close()
    assert do(used, "key-1", put(purchase())).error is None
    used.close()


# Formats


def load(name: str, path: Path) -> None:
    """Make a file of what a version of this package wrote."""
    connection = sqlite3.connect(path)
    connection.executescript((DATA / name).read_text("utf-8"))
    connection.close()


def dump(path: Path) -> str:
    """Return the SQL that makes such a file, the same on every version of Python."""
    connection = sqlite3.connect(path)
    run = connection.execute
    lines = [
        f"PRAGMA {name} = {run(f'PRAGMA {name}').fetchone()[0]};"
        for name in ("application_id", "user_version")
    ]
    made = run(
        "SELECT type, name, sql FROM sqlite_master WHERE sql <> '' ORDER BY type DESC, name"
    ).fetchall()
    lines += [f"{sql};" for _, name, sql in made if not name.startswith("sqlite_")]
    for table in (name for kind, name, _ in made if kind == "table"):
        columns = [row[1] for row in run(f"PRAGMA table_info({table})")]
        for values in run(f"SELECT {', '.join(f'quote({column})' for column in columns)} FROM {table}"):
            lines.append(f"INSERT INTO {table} VALUES ({', '.join(values)});")
    connection.close()
    return "\n".join(lines) + "\n"


def create(key: str, **facts: Any) -> OrderIntent:
    return OrderIntent.of(calls.orders.create(idempotency_key=key, **facts), "v2")


OLD_OWNER = "0123456789abcdef0123456789abcdef"


def test_a_file_of_format_1_is_carried_over(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: TIME)
    load("journal-format-1.sql", path)

    def old(at: float, intent: OrderIntent, account: str = "one", **facts: Any) -> PurchaseRecord:
        usual: dict[str, Any] = {
            "account": account,
            "credential": "",
            "owner": OLD_OWNER,
            "written_at": TIME + at,
        }
        return PurchaseRecord(**usual, intent=intent, **facts)

    def bought(at: float, intent: OrderIntent, *ids: int, closed_at: float | None) -> PurchaseRecord:
        orders = tuple(BoughtOrder(id_) for id_ in ids)
        when: dict[str, Any] = {"answered_at": TIME + at, "handed_at": TIME + at, "closed_at": closed_at}
        return old(at, intent, state=PurchaseState.BOUGHT, orders=orders, **when)

    in_doubt = old(-200_000.5, create("in-doubt-old", catalog_product_id=87))
    open_one = bought(
        -3_600.5, create("bought", catalog_product_id=87, max_price="1.50"), 1003, closed_at=None
    )
    reactivated = OrderIntent.of(calls.orders.reactivate(1001, idempotency_key="in-doubt"), "v1")
    for _ in range(2):  # it is carried over once, and then it is a file of today
        with SQLiteJournal(path) as journal:
            assert journal.records("one") == [in_doubt, open_one]
            assert journal.records("two") == [old(-60, reactivated, "two")]
            assert found(journal, "bought-old", "one") == bought(
                -100_000.25,
                create("bought-old", catalog_product_id=87, quantity=2),
                1001,
                1002,
                closed_at=TIME - 100_000.25 + 86_400,
            )
            assert found(journal, "bought-none", "one") == bought(
                -3_000, create("bought-none", catalog_product_id=87), closed_at=TIME - 3_000
            )
            assert found(journal, "refused", "one") == old(
                -90_000,
                create("refused", catalog_product_id=87),
                state=PurchaseState.REFUSED,
                answered_at=TIME - 90_000,
                closed_at=TIME - 90_000,
            )
            assert each(journal, lives, account="one") == [False, False]
            assert journal.totals("one") == Totals(purchases=3)


def test_an_old_bought_purchase_of_format_1_is_open_where_the_clock_was_set_back(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: TIME - 1e6)
    load("journal-format-1.sql", path)
    with SQLiteJournal(path) as journal:
        assert keys(journal, "one") == ["in-doubt-old", "bought-old", "bought"]


def test_a_file_of_format_1_that_cannot_be_carried_over_is_left_as_it_is(path: Path) -> None:
    load("journal-format-1.sql", path)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE purchase SET settled = 'damaged' WHERE idempotency_key = 'bought'")
    connection.commit()
    connection.close()
    before = dump(path)
    with pytest.raises(ConfigurationError, match="cannot be used"):
        SQLiteJournal(path)
    assert dump(path) == before


def test_a_process_of_the_older_version_fails_safely_on_a_file_that_was_carried_over(path: Path) -> None:
    load("journal-format-1.sql", path)
    older = sqlite3.connect(path, isolation_level=None)
    older.execute("PRAGMA journal_mode = WAL")
    statements = (
        "SELECT operation, version, body, settled FROM purchase WHERE account = 'a'",
        "UPDATE purchase SET settled = '[1]' WHERE account = 'one' AND idempotency_key = 'in-doubt-old'",
        "SELECT DISTINCT owner FROM purchase WHERE account = 'one' AND settled IS NULL",
    )  # the first ones of what it did to record, settle and claim
    for statement in statements:
        older.execute(statement).fetchall()
    older.execute("UPDATE purchase SET settled = NULL WHERE idempotency_key = 'in-doubt-old'")
    with SQLiteJournal(path) as journal:
        before = journal.records("one")
        for statement in statements:
            with pytest.raises(sqlite3.OperationalError, match="no such column: settled"):
                older.execute(statement)
        assert journal.records("one") == before
    older.close()


GOLDEN = (
    purchase(
        state=PurchaseState.BOUGHT,
        cap=20_000,
        written_at=TIME,
        open_until=TIME + 90.25,
        answered_at=TIME + 2,
        handed_at=TIME + 3,
        orders=(
            BoughtOrder(1001, expires_at=TIME + 1200, charged=15_000, refunded=15_000, ended_at=TIME + 500),
            BoughtOrder(1002),
        ),
    ),
    purchase("key-2", written_at=TIME),
    purchase(
        "key-3",
        written_at=TIME,
        state=PurchaseState.REFUSED,
        answered_at=TIME,
        closed_at=TIME,
        account="other",
    ),
    purchase(
        "key-4",
        intent=OrderIntent.of(calls.orders.reactivate(1001, idempotency_key="key-4"), "v1"),
        state=PurchaseState.WITHDRAWN,
        written_at=TIME,
        answered_at=TIME + 1,
        closed_at=TIME + 1,
    ),
)


def test_every_state_is_in_the_file_that_pins_the_format() -> None:
    assert {record.state for record in GOLDEN} == set(PurchaseState)


def test_a_file_of_format_3_is_written_as_ever(path: Path) -> None:
    with SQLiteJournal(path) as journal:
        store(journal, *GOLDEN)
    assert dump(path) == (DATA / "journal-format-3.sql").read_text("utf-8")


@pytest.mark.parametrize("version", [1, 2])
def test_a_file_that_was_carried_over_has_the_tables_of_a_new_one(path: Path, version: int) -> None:
    def tables(path: Path) -> list[Any]:
        connection = sqlite3.connect(path)
        made = connection.execute("SELECT type, name FROM sqlite_master ORDER BY name").fetchall()
        connection.close()
        return [(type_, name) for type_, name in made if not name.startswith("sqlite_")]

    load(f"journal-format-{version}.sql", path)
    for file in (path, path.with_name("new.db")):
        SQLiteJournal(file).close()
    assert tables(path) == tables(path.with_name("new.db"))


def test_what_purchases_of_format_2_cost_is_carried_over(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: TIME + 2.0)
    load("journal-format-2.sql", path)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE purchase SET refunded = 5000 WHERE idempotency_key = 'key-1'")
    connection.execute("UPDATE purchase SET cap = 700 WHERE idempotency_key = 'key-2'")
    connection.execute("INSERT INTO total VALUES ('account', 3, 900, 200), ('third', 1, 50, 0)")
    connection.commit()
    connection.close()
    with SQLiteJournal(path, keep=float("inf")) as journal:
        assert journal.totals("account") == Totals(purchases=4, charged=15_900, refunded=5_200)
        assert journal.totals("third") == Totals(purchases=1, charged=50)
        assert left(journal, "account", total=100_000) == 100_000 - 10_000 - 700 - 700
        assert left(journal, "account", per_hour=100_000) == 100_000 - 10_000 - 700
        assert left(journal, "third", total=100_000) == 100_000 - 50
        assert left(journal, "third", per_hour=100_000) == 100_000


def left(journal: SQLiteJournal, account: str, **limit: int) -> int | None:
    """Return what a limit leaves, by trying to exceed it."""
    waiter = Waiter()
    record = purchase("too-much", account=account, cap=1_000_000)
    rule, wake = SpendingRule(**limit), waiter.done.set
    write = Write(account, "too-much", put(record), durable=False, rule=rule, wake=wake)
    journal.apply(write)
    waiter.wait()
    assert isinstance(write.error, SpendingLimitError)
    return write.error.left


@pytest.mark.parametrize("version", [2, 3])
def test_a_file_of_formats_2_and_3_is_read_as_ever(path: Path, version: int) -> None:
    load(f"journal-format-{version}.sql", path)
    with SQLiteJournal(path, keep=float("inf")) as journal:
        for record in GOLDEN:
            assert found(journal, record.intent.idempotency_key, record.account) == record
