"""The judge and the walks, proved before they judge: each simulated client that is wrong is found out."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from smscode.core.api import arguments
from tests.faults.harness import Book, Purchase
from tests.faults.keyed import plan_of, step_of
from tests.purchases import lines
from tests.purchases.diary import Fact
from tests.purchases.fakes import FAKES, Right
from tests.purchases.judge import Violation, judge
from tests.purchases.lines import Lines

_ROOT = Path(__file__).resolve().parents[2]

Laws = dict[str, dict[str, int]]
Told = tuple[str, float, dict[str, Any]]


@pytest.fixture(scope="module")
def broken() -> Laws:
    command = [sys.executable, "-m", "tests.purchases.fakes"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=_ROOT, timeout=100, check=True)
    laws: Laws = json.loads(done.stdout)
    return laws


def test_a_client_that_is_right_breaks_no_law(broken: Laws) -> None:
    assert broken[Right.__name__] == {}


@pytest.mark.parametrize("fake", FAKES, ids=lambda fake: fake.__name__)
def test_a_client_that_is_wrong_breaks_its_law_and_no_other(broken: Laws, fake: type[Right]) -> None:
    _, allowed = FAKES[fake]
    found = broken[fake.__name__]

    assert allowed[0] in found
    assert found.keys() <= set(allowed)


def book_of(*orders: tuple[int, str, str], at: float = 5.0, times: int = 1) -> Book:
    made: dict[str, tuple[tuple[float, tuple[int, ...]], ...]] = {
        key: tuple((at, (order,)) for _ in range(times)) for order, key, _ in orders
    }
    rows = tuple(Purchase(order, "i", key, status, 0) for order, key, status in orders)
    return Book(rows, {"i": times}, 0, 0, 0, 0, (), {}, (), 0, 0, 0, made)


def judged(book: Book, *facts: Told, journal: bool = True) -> list[str]:
    point: Told = ("point", 0.0, {"journal": journal, "durable": True})
    asked: Told = ("asked", 1.0, {"key": "k", "intent": "i"})
    told = [Fact(what, "p", 1, at, details) for what, at, details in (point, asked, *facts)]
    return sorted({violation.law for violation in judge(book, told)})


RESULT = ("result", 6.0, {"orders": [1]})


def listed(at: float, *unresolved: str) -> Told:
    return ("listed", at, {"unresolved": list(unresolved), "bought": [], "after": ["k"]})


def recovered(*orders: int, state: str = "settled") -> Told:
    rows = [{"key": "k", "state": state, "orders": list(orders)}]
    return ("recovered", 9.0, {"rows": rows})


NOTHING = ("recovered", 9.0, {"rows": list[Any]()})


def test_an_order_that_is_returned_and_recovered_is_in_good_hands() -> None:
    assert judged(book_of((1, "k", "ACTIVE")), RESULT, recovered(1, state="open")) == []


def test_an_order_in_doubt_that_the_next_process_settles_is_in_good_hands() -> None:
    assert judged(book_of((1, "k", "ACTIVE")), listed(7.0, "k"), recovered(1)) == []


def test_an_order_that_no_recover_gives_is_lost() -> None:
    assert judged(book_of((1, "k", "ACTIVE")), listed(7.0, "k"), NOTHING) == ["I2"]


def test_a_living_order_that_was_returned_is_still_recovered() -> None:
    assert judged(book_of((1, "k", "ACTIVE")), RESULT, NOTHING) == ["I2"]


def test_an_order_that_was_given_back_need_not_be_recovered() -> None:
    assert judged(book_of((1, "k", "CANCELED")), RESULT, NOTHING) == []
    assert judged(book_of((1, "k", "CANCELED")), listed(7.0), NOTHING) == []


def test_a_purchase_that_was_made_before_its_client_left_it_out_is_lost() -> None:
    assert judged(book_of((1, "k", "ACTIVE"), at=5.0), listed(7.0), recovered(1)) == ["I2"]


def test_a_purchase_that_is_made_after_its_client_left_it_out_was_denied() -> None:
    assert judged(book_of((1, "k", "ACTIVE"), at=8.0), listed(7.0), recovered(1)) == ["I3"]


@pytest.mark.parametrize("outcome", ["not_sent", "rejected", "failed"])
def test_an_error_that_denies_a_purchase_is_a_lie(outcome: str) -> None:
    error = ("error", 6.0, {"key": "k", "outcome": outcome, "error": "X"})

    assert judged(book_of((1, "k", "ACTIVE")), error, listed(7.0, "k"), recovered(1)) == ["I3"]


def test_an_error_that_leaves_it_open_is_none() -> None:
    error = ("error", 6.0, {"key": "k", "outcome": "unknown", "error": "X"})

    assert judged(book_of((1, "k", "ACTIVE")), error, listed(7.0, "k"), recovered(1)) == []


def test_a_key_that_buys_twice_is_seen_although_the_service_forgot_it() -> None:
    assert "I1" in judged(book_of((1, "k", "ACTIVE"), times=2), RESULT, recovered(1))


def test_without_a_journal_an_order_must_be_listed_at_the_end() -> None:
    book = book_of((1, "k", "ACTIVE"))

    assert judged(book, listed(7.0, "k"), journal=False) == []
    assert judged(book, listed(7.0), journal=False) == ["I2"]


@pytest.mark.parametrize(
    ("what", "law"), [("held", "I4"), ("late", "I5")], ids=["the loop is held", "a call is late"]
)
def test_seconds_count_above_a_quarter(what: str, law: str) -> None:
    facts = [(what, 3.0, {"seconds": seconds, "call": "create"}) for seconds in (0.2, 0.3)]

    assert judged(book_of(), facts[0]) == []
    assert judged(book_of(), facts[1]) == [law]


def test_a_violation_names_its_law_and_point() -> None:
    assert str(Violation("I2", "kill/create/1", "lost")) == "I2 kill/create/1: lost"


def test_the_key_holds_the_plan() -> None:
    assert plan_of("c12--lost--NO_OFFER_AVAILABLE") == ("lost", "NO_OFFER_AVAILABLE")
    assert plan_of("m12--lost-3") == ("lost",)
    assert plan_of("c12") == ()
    assert step_of("late150").milliseconds == 150
    with pytest.raises(ValueError, match="no such step"):
        step_of("lots")


def test_an_interrupt_comes_before_its_line() -> None:
    whole = Lines()
    with whole:
        arguments.idempotency_key("k")
    assert whole.seen
    assert all(path.startswith(lines.ROOT) for path, _, _ in whole.seen)

    for number, place in enumerate(whole.seen, 1):
        until = Lines(at=place)
        with pytest.raises(KeyboardInterrupt), until:
            arguments.idempotency_key("k")
        assert len(until.seen) == number


def test_no_interrupt_comes_as_a_with_block_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "ROOT", str(tmp_path))
    path = tmp_path / "blocks.py"
    path.write_text("for _ in 1, 2:\n    with lock:\n        last = 1\n", "utf-8")
    lock, program = threading.Lock(), compile(path.read_text("utf-8"), path, "exec")
    whole = Lines()
    with whole:
        exec(program, {"lock": lock})
    assert [line for _, line, _ in whole.seen] == [1, 2, 3, 1, 2, 3, 1]

    for place in whole.seen:
        with pytest.raises(KeyboardInterrupt), Lines(at=place):
            exec(program, {"lock": lock})
        assert not lock.locked(), f"held after an interrupt at {place}"


def test_the_second_interrupt_comes_in_the_clean_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "ROOT", str(tmp_path))
    path = tmp_path / "clean_up.py"
    path.write_text("try:\n    done(1)\nfinally:\n    done(2)\n    wait()\n    done(3)\n", "utf-8")
    done: list[int] = []
    program = compile(path.read_text("utf-8"), path, "exec")
    both = Lines(2, then=0.01)
    with pytest.raises(KeyboardInterrupt), both:
        exec(program, {"done": done.append, "wait": threading.Event().wait})

    assert both.places == ["/clean_up.py:2", "/clean_up.py:5"]
    assert done == [2]
