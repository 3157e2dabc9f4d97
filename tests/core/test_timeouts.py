"""How long a call may take."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest

from smscode import InvalidArgumentError, Timeouts
from smscode.core.api.call import CallKind
from smscode.core.timeouts import check_seconds, check_wait

WRONG: list[Any] = [-1, -0.5, math.nan, -math.inf, True, False, "5", b"5", Decimal(5), [5]]


def test_the_limits_are_finite_unless_asked_otherwise() -> None:
    assert Timeouts() == Timeouts(total=30.0, create=90.0, connect=5.0, read=30.0)


@pytest.mark.parametrize("value", [0, *WRONG, None])
@pytest.mark.parametrize("name", ["total", "create", "connect", "read"])
def test_a_limit_is_a_number_of_seconds_above_zero(name: str, value: Any) -> None:
    with pytest.raises(
        InvalidArgumentError, match=rf"\Atimeout\.{name}: expected a number of seconds above 0"
    ):
        Timeouts(**{name: value})


@pytest.mark.parametrize("value", [1e-9, 1, 5.5, math.inf, 10**400])
def test_any_number_above_zero_is_one(value: float) -> None:
    found = check_seconds("timeout", value)
    assert type(found) is float
    assert found == value or (value == 10**400 and found > 1e308)


def test_the_error_shows_the_number_that_was_given() -> None:
    with pytest.raises(InvalidArgumentError, match=r"seconds above 0, got -2\.5\.\Z"):
        check_seconds("timeout", -2.5)


def test_a_number_is_the_limit_of_every_call_and_none_is_no_limit() -> None:
    assert Timeouts.of(5) == Timeouts(total=5.0, create=5.0)
    assert Timeouts.of(None) == Timeouts(total=math.inf, create=math.inf)
    mine = Timeouts(read=1.0)
    assert Timeouts.of(mine) is mine
    for wrong in (0, *WRONG):
        with pytest.raises(InvalidArgumentError, match=r"\Atimeout: expected"):
            Timeouts.of(wrong)


@pytest.mark.parametrize("kind", CallKind)
def test_buying_may_take_longer_and_the_caller_decides(kind: CallKind) -> None:
    timeouts = Timeouts(total=10.0, create=20.0)
    assert timeouts.budget(kind, None) == (20.0 if kind is CallKind.CREATE else 10.0)
    assert timeouts.budget(kind, 7) == 7.0
    for wrong in (0, *WRONG):
        with pytest.raises(InvalidArgumentError, match=r"\Atimeout: expected"):
            timeouts.budget(kind, wrong)


def test_the_longest_call_takes_ten_minutes_where_there_is_no_limit() -> None:
    assert Timeouts().longest == 90.0
    assert Timeouts(total=100.0, create=2.0).longest == 100.0
    assert Timeouts.of(None).longest == 600.0


def test_a_wait_of_zero_means_one_look() -> None:
    assert [check_wait(value) for value in (0, 0.0, -0.0, 2, math.inf)] == [0.0, 0.0, 0.0, 2.0, math.inf]
    said = r"\Atimeout: expected a number of seconds above 0 \(or 0 to check once\), got "
    for wrong in (*WRONG, None):
        with pytest.raises(InvalidArgumentError, match=said):
            check_wait(wrong)
