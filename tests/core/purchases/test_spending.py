"""What a purchase counts as under a spending limit, and the sums: of a ledger in memory, and of a journal."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from smscode import InvalidArgumentError, Money, SpendingLimit, SpendingLimitError, calls
from smscode.core.purchases.intents import OrderIntent
from smscode.core.purchases.records import (
    BoughtOrder,
    Living,
    PurchaseRecord,
    PurchaseState,
    Writing,
    buy,
    close,
    end_orders,
    end_unbought,
    hand_over,
)
from smscode.core.purchases.spending import (
    HOUR,
    SpendingLedger,
    SpendingRule,
    Spent,
    spending,
    spending_within,
)
from smscode.journal import SQLiteJournal, Write
from smscode.money import FxRate

from ...journal_tools import put

NOW = 1_790_000_000.0
RATE = FxRate("USD/IDR", 16_000)


def intent(key: str = "key", quantity: int = 1) -> OrderIntent:
    call = calls.orders.create(
        catalog_product_id=87, quantity=quantity, max_price="0.50", idempotency_key=key
    )
    return OrderIntent.of(call, "v2")


def row(key: str = "key", **facts: Any) -> PurchaseRecord:
    usual: dict[str, Any] = {
        "account": "mine",
        "credential": "here:token",
        "intent": intent(key),
        "owner": "me",
        "written_at": NOW,
        "cap": 8_000,
    }
    return PurchaseRecord(**(usual | facts))


BOUGHT = PurchaseState.BOUGHT


@pytest.mark.parametrize(
    ("record", "cost"),
    [
        (None, 0),
        (row(), 8_000),
        (row(cap=None), 0),
        (row(closed_at=NOW), 8_000),  # dismissed in doubt: it may have been bought
        (row(state=PurchaseState.REFUSED), 0),
        (row(state=PurchaseState.WITHDRAWN), 0),
        (row(state=BOUGHT), 0),
        (row(state=BOUGHT, orders=(BoughtOrder(1, charged=7_500),)), 7_500),
        (row(state=BOUGHT, orders=(BoughtOrder(1, charged=7_500, refunded=7_500),)), 0),
        (row(state=BOUGHT, orders=(BoughtOrder(1, charged=7_500, refunded=9_000),)), 0),
        (row(state=BOUGHT, orders=(BoughtOrder(1, charged=7_500, ended_at=NOW),)), 7_500),
        (row(state=BOUGHT, orders=(BoughtOrder(1),)), 8_000),
        (row(state=BOUGHT, cap=16_000, intent=intent(quantity=2), orders=(BoughtOrder(1),)), 8_000),
        (row(state=BOUGHT, cap=None, orders=(BoughtOrder(1),)), 0),
        (row(state=BOUGHT, orders=(BoughtOrder(1, refunded=7_500),)), 0),
        (row(cap=2**63 - 1), 2**62),
        (row(state=BOUGHT, orders=(BoughtOrder(1, charged=2**62), BoughtOrder(2, charged=1))), 2**62),
    ],
)
def test_a_purchase_counts_as_its_cap_and_then_as_what_it_cost(
    record: PurchaseRecord | None, cost: int
) -> None:
    assert spending(record) == cost


def test_for_an_hour_counts_what_was_answered_in_it_or_is_in_doubt() -> None:
    since = NOW - HOUR
    assert spending_within(row(written_at=NOW - 9_000), since) == 8_000
    answered = row(state=BOUGHT, orders=(BoughtOrder(1, charged=7_500),), answered_at=since + 1)
    assert spending_within(answered, since) == 7_500
    assert spending_within(evolve(answered, answered_at=since), since) == 0
    assert spending_within(None, since) == 0


@pytest.mark.parametrize(
    ("limit", "problem"),
    [
        ({}, "SpendingLimit: expected total, per_hour or both"),
        ({"total": 0}, "total: expected a positive price"),
        ({"total": 0.5}, "total: expected an int"),
        ({"total": True}, "total: expected an int"),
        ({"per_hour": "-1"}, "per_hour: expected a positive decimal number"),
        ({"total": 1, "per_hour": 0}, "per_hour: expected a positive price"),
    ],
)
def test_a_limit_is_a_price(limit: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"^{problem}"):
        SpendingLimit(**limit)


def test_a_limit_is_in_the_currency_of_the_version() -> None:
    SpendingLimit(total=Money.idr(5), per_hour="0.5").check("v2")
    SpendingLimit(total=Money.idr(5), per_hour=7).check("v1")
    with pytest.raises(InvalidArgumentError, match=r"\Atotal: "):
        SpendingLimit(total=5_000).check("v2")
    with pytest.raises(InvalidArgumentError, match=r"\Aper_hour: "):
        SpendingLimit(per_hour="0.5").check("v1")


def test_a_limit_in_dollars_is_rounded_down_to_rupiah() -> None:
    assert SpendingLimit(total="1.00009").in_rupiah(RATE) == SpendingRule(total=16_001)
    assert SpendingLimit(per_hour=Money.idr(5)).in_rupiah(None) == SpendingRule(per_hour=5)
    assert SpendingLimit(total=5, per_hour=4).in_rupiah(None) == SpendingRule(5, 4)


def test_the_error_names_what_is_left() -> None:
    with pytest.raises(SpendingLimitError) as refused:
        SpendingRule(total=20_000).check(row(), Spent(total=15_000))
    error = refused.value
    assert (error.period, error.left, error.cap, error.outcome) == ("total", 5_000, 8_000, "not_sent")
    assert error.trouble == "spending limit"
    assert "leaves Rp 5,000 in total, and this purchase may cost Rp 8,000" in str(error)
    with pytest.raises(SpendingLimitError, match="leaves Rp 0 for this hour, and") as refused:
        SpendingRule(per_hour=10).check(row(), Spent(hour=15_000))
    assert (refused.value.period, refused.value.left) == ("per_hour", 0)


def test_a_purchase_without_a_cap_is_refused_under_a_limit() -> None:
    with pytest.raises(InvalidArgumentError, match="max_price"):
        SpendingRule(total=20_000).check(row(cap=None), Spent())


def test_just_what_is_left_may_be_spent() -> None:
    SpendingRule(total=8_000, per_hour=8_000).check(row(), Spent())


# The sums


KEYS = ("a", "b", "c", "d")


class Written:
    """The rule of a purchase's life, applied to a journal and to a ledger in memory alike."""

    def __init__(self, path: Path, rule: SpendingRule) -> None:
        self.journal = SQLiteJournal(path, keep=0)
        self.ledger = SpendingLedger(threading.RLock())
        self.rule = rule
        self.rows: dict[str, PurchaseRecord] = {}

    def apply(self, key: str, step: Any, rule: SpendingRule | None, now: float) -> bool:
        """Apply a step to both; return False if both refused it."""
        done = threading.Event()
        write = Write("mine", key, step, durable=False, rule=rule, wake=done.set)
        self.journal.apply(write)
        refused = False
        try:
            self.ledger.change(key, step, rule, now)
        except SpendingLimitError:
            refused = True
        assert done.wait(10)
        assert write.error is None or isinstance(write.error, SpendingLimitError), write.error
        assert (write.error is not None) == refused, (write.error, refused)
        return not refused


def everybody(owner: str) -> bool:
    """Return True: every owner lives."""
    return True


def is_gone(record: PurchaseRecord | None, living: Living) -> tuple[PurchaseRecord | None, bool]:
    """Return whether there is no record, and change nothing."""
    return record, record is None


def reserve(key: str, cap: int, now: float) -> Any:
    return Writing(row(key, cap=cap, written_at=now), 1e9, rule=None).write


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(("write", "buy", "refuse", "end", "hand", "close")),
        st.sampled_from(KEYS),
        st.integers(1, 30),
        st.sampled_from((0.0, 10.0, 2_000.0)),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(ACTIONS)
def test_journal_and_ledger_agree_and_never_let_more_than_the_limit_be_spent(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[str, str, int, float]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        now = NOW
        patch.setattr("time.time", lambda: now)
        both = Written(tmp_path_factory.mktemp("j") / "orders.db", SpendingRule(total=60, per_hour=40))
        records: dict[str, PurchaseRecord] = {}
        with both.journal:
            for action, key, amount, passed in actions:
                now += passed
                before = records.get(key)
                step: Any
                if action == "write":
                    step = reserve(key, amount, now)
                elif action == "buy":
                    cap = before.cap if before is not None and before.cap is not None else 0
                    orders = (BoughtOrder(1, charged=min(amount, cap)),)
                    step = None if before is None else buy(before, orders, now)
                elif action == "refuse":
                    step = end_unbought("me", PurchaseState.REFUSED, now)
                elif action == "end":
                    charged = before.charged if before is not None else 0
                    step = end_orders({1: charged if amount % 2 else 0}, now)
                else:
                    step = hand_over(now) if action == "hand" else close(now)
                if step is None:
                    continue
                rule = both.rule if action == "write" else None
                if not both.apply(key, step, rule, now):
                    continue
                after, _ = step(before, everybody)
                if after is not None:
                    records[key] = after
                total = sum(map(spending, records.values()))
                hour = sum(spending_within(record, now - HOUR) for record in records.values())
                assert both.ledger.spent(now) == Spent(total, hour)
                assert total <= 60
                assert hour <= 40


def test_a_ledger_forgets_only_what_is_closed_and_older_than_an_hour_and_keeps_its_sum() -> None:
    ledger = SpendingLedger(threading.RLock())
    ago, hour = NOW - 9_000, NOW - HOUR
    usual: dict[str, Any] = {"state": BOUGHT, "answered_at": hour, "closed_at": hour}
    kept: dict[str, dict[str, Any]] = {
        "recent": {**usual, "orders": (BoughtOrder(1, charged=7),), "answered_at": hour + 1},
        "open": {**usual, "orders": (BoughtOrder(1, charged=11),), "closed_at": None},
        "in doubt": {"cap": 13, "written_at": ago},
        "dismissed in doubt": {"cap": 17, "written_at": ago, "closed_at": ago},
    }
    forgotten: dict[str, dict[str, Any]] = {
        "old": {**usual, "orders": (BoughtOrder(1, charged=1_000_000),)},
        "closed now": {**usual, "orders": (BoughtOrder(1, charged=2_000_000),), "closed_at": NOW},
        "refused": {"state": PurchaseState.REFUSED, "closed_at": ago},
    }
    some = row(**usual, orders=(BoughtOrder(1, charged=1),))

    def gone() -> set[str]:
        return {key for key in kept | forgotten if ledger.change(key, is_gone, None, NOW)}

    for key, facts in (kept | forgotten).items():
        ledger.change(key, put(row(**facts)), None, NOW)
    for number in range(993):
        ledger.change(f"k{number}", put(some), None, NOW)
    assert ledger.change("never written", is_gone, None, NOW)
    assert (ledger.spent(NOW), gone()) == (Spent(3_001_041, 37), set())
    for number in range(993, 3_000):
        ledger.change(f"k{number}", put(some), None, NOW)
    assert (ledger.spent(NOW), gone()) == (Spent(3_003_048, 37), set(forgotten))


def test_a_purchase_in_doubt_that_is_repeated_counts_once() -> None:
    ledger = SpendingLedger(threading.RLock())
    for _ in range(2):
        ledger.change("key", Writing(row(), 1e9).write, SpendingRule(total=8_000), NOW)
    assert ledger.spent(NOW) == Spent(8_000, 8_000)


def test_a_limit_counts_pruned_purchases_and_other_processes(tmp_path: Path) -> None:
    path = tmp_path / "orders.db"
    rule = SpendingRule(total=100)

    def run(journal: SQLiteJournal, key: str, step: Any, rule: SpendingRule | None = None) -> Write[Any]:
        done = threading.Event()
        write = journal.apply(Write("mine", key, step, durable=True, rule=rule, wake=done.set))
        assert done.wait(10)
        return write

    old = row("old", cap=90, written_at=1_000.0)
    with SQLiteJournal(path) as journal:
        assert run(journal, "old", Writing(old, 1e9).write, rule).error is None
        run(journal, "old", buy(old, (BoughtOrder(1, charged=80),), 1_000.0))
        run(journal, "old", hand_over(1_001.0))
        run(journal, "old", end_orders({1: 0}, 1_002.0))
        doubt = row("doubt", cap=5, written_at=1_000.0)
        run(journal, "doubt", Writing(doubt, 1e9).write, rule)
        run(journal, "doubt", close(1_003.0))
    with SQLiteJournal(path, keep=0) as first, SQLiteJournal(path) as second:
        while first.find("mine", "old", lambda: None) and first.totals("mine").purchases:
            if run(first, "old", is_gone).result:
                break
        refused = run(second, "new", Writing(row("new", cap=16), 1e9).write, rule).error
        assert isinstance(refused, SpendingLimitError)
        assert refused.left == 15
        assert run(second, "new", Writing(row("new", cap=15), 1e9).write, rule).error is None
        assert isinstance(
            run(first, "more", Writing(row("more", cap=1), 1e9).write, rule).error, SpendingLimitError
        )


def test_the_spending_of_an_hour_is_kept_however_soon_purchases_are_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: NOW)
    with SQLiteJournal(tmp_path / "orders.db", keep=0) as journal:
        done = threading.Event()
        bought = row(
            state=BOUGHT, orders=(BoughtOrder(1, charged=30),), answered_at=NOW - 60, closed_at=NOW - 60
        )
        gone = evolve(bought, intent=intent("gone"), answered_at=NOW - 4_000, closed_at=NOW - 4_000)
        for one in (bought, gone):
            key = one.intent.idempotency_key
            done.clear()
            journal.apply(Write("mine", key, put(one), durable=True, wake=done.set))
            assert done.wait(10)
    with SQLiteJournal(tmp_path / "orders.db", keep=0) as journal:
        while True:
            done.clear()
            left = journal.find("mine", "gone", done.set)
            assert done.wait(10)
            if left.result == (None,):
                break
        done.clear()
        write = Write(
            "mine",
            "new",
            Writing(row("new", cap=11), 1e9).write,
            durable=True,
            rule=SpendingRule(per_hour=40),
            wake=done.set,
        )
        journal.apply(write)
        assert done.wait(10)
        assert isinstance(write.error, SpendingLimitError)
        assert write.error.left == 10


def test_an_hour_has_3600_seconds() -> None:
    ledger = SpendingLedger(threading.RLock())
    ledger.change("key", reserve("key", 100, NOW), None, NOW)
    ledger.change("key", buy(row(), (BoughtOrder(1, charged=60),), NOW), None, NOW)
    assert [ledger.spent(NOW + seconds) for seconds in (0, 3_599, 3_600)] == [
        *(Spent(60, 60), Spent(60, 60), Spent(60, 0)),
    ]


def test_a_purchase_that_is_repeated_after_an_hour_counts_once() -> None:
    ledger = SpendingLedger(threading.RLock())
    later = NOW + 2 * HOUR
    orders = (BoughtOrder(1, charged=5_000, ended_at=NOW),)
    first = row("first", state=BOUGHT, orders=orders, answered_at=NOW, handed_at=NOW, closed_at=NOW)
    ledger.change("first", put(first), None, NOW)
    ledger.change("second", put(row("second")), None, later)
    again = Writing(row("first", written_at=later), 1e9).write
    ledger.change("first", again, SpendingRule(total=20_000), later)
    assert ledger.spent(later).total == 5_000 + 8_000


@pytest.mark.parametrize("state", [PurchaseState.REFUSED, PurchaseState.WITHDRAWN])
def test_a_purchase_that_is_repeated_after_a_refusal_has_to_fit_again(state: PurchaseState) -> None:
    ledger = SpendingLedger(threading.RLock())
    ledger.change("key", put(row(state=state, closed_at=NOW)), None, NOW)
    with pytest.raises(SpendingLimitError):
        ledger.change("key", Writing(row(), 10).write, SpendingRule(total=7_999), NOW)
