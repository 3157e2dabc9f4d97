"""What a wait for one order makes of what it sees: which SMS counts, and how it ends without one."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from smscode import (
    ActiveOrder,
    InvalidArgumentError,
    InvalidResponseError,
    Money,
    NetworkError,
    Order,
    OrderStatus,
    OrderTerminalError,
    RequestTimeoutError,
    Sms,
    SmscodeError,
    errors,
)
from smscode.core.waiting.sms_wait import SmsWait, rides_out

from ..support import NOT_INTEGERS, NULLABLE, WHEN
from ..support import active_order as active


def watch(
    order_id: int = 1,
    *,
    needs_code: bool = True,
    after_revision: Any = None,
    after_code: Any = None,
) -> SmsWait:
    return SmsWait(order_id, needs_code=needs_code, after_revision=after_revision, after_code=after_code)


def full(order_id: int, code: str | None, status: OrderStatus | str) -> Order:
    blank: dict[str, Any] = {**dict.fromkeys(NULLABLE), "otp_code": code}
    return Order(id=order_id, status=status, product_id=1, amount=Money.idr(1), **blank)


def seen(one: SmsWait, *orders: ActiveOrder | Order) -> Sms | None:
    """Show a wait its order in these states and give the SMS it ended with, if it did."""
    for order in orders:
        one.see(order)
    return one.sms


def test_a_code_ends_the_wait_with_everything_known_about_it() -> None:
    one = watch()
    assert seen(one, active(), active(code="0048", text="Code 0048", revision=1)) == Sms(
        1, "0048", "Code 0048", 1, WHEN
    )
    assert one.ended
    assert one.result() is one.sms


def test_an_ended_wait_looks_at_nothing_more() -> None:
    one = watch()
    seen(one, active(code="1"))
    one.see(active(code="2"))
    one.see(full(1, None, OrderStatus.CANCELED))
    assert one.result().code == "1"


def test_no_message_is_no_sms_even_in_the_state_otp_received() -> None:
    one, any_one = watch(), watch(needs_code=False)
    for order in (active(), active(revision=5), active(status=OrderStatus.OTP_RECEIVED)):
        one.see(order)
        any_one.see(order)
    assert not one.ended
    assert not any_one.ended


def test_a_text_without_a_code_is_enough_only_for_who_waits_for_any_message() -> None:
    text = active(text="Confirm: https://t.example", revision=1)
    assert seen(watch(needs_code=False), text) == Sms(1, None, "Confirm: https://t.example", 1, WHEN)
    one = watch()
    assert seen(one, text) is None
    error = one.timed_out()
    assert isinstance(error, TimeoutError)
    assert error.message == "No SMS for order 1 in time. A message without a code came."
    assert (error.order_id, error.text) == (1, "Confirm: https://t.example")


def test_the_code_of_a_message_may_be_found_after_its_text_was_shown() -> None:
    one = watch()
    assert seen(one, active(text="Code 0048", revision=1)) is None
    assert seen(one, active(code="0048", text="Code 0048", revision=1)) is not None


def test_a_wait_that_saw_nothing_new_times_out_without_a_text() -> None:
    for one in (watch(), watch(needs_code=False), watch(after_code="1"), watch(after_revision=1)):
        one.see(active(code="1" if one.after_code else None, text="old" if one.after_code else None))
        if one.after_revision:
            one.see(active(code="1", text="old", revision=1))
        error = one.timed_out()
        assert (error.message, error.text) == ("No SMS for order 1 in time.", None)


@pytest.mark.parametrize(
    ("after", "order", "new"),
    [
        ({"after_revision": 1}, active(code="1", revision=1), False),
        ({"after_revision": 1}, active(code="1", revision=0), False),
        ({"after_revision": 1}, active(code="1", revision=2), True),
        ({"after_revision": 0}, active(code="1", revision=1), True),
        ({"after_revision": 1, "after_code": "1"}, active(code="1", revision=2), True),
        ({"after_revision": 2, "after_code": "1"}, active(code="2", revision=2), False),
        ({"after_code": "1"}, active(code="1", revision=9), False),
        ({"after_code": "1"}, active(code="1"), False),
        ({"after_code": "1"}, active(code="2"), True),
        ({"after_code": "1"}, active(code="01"), True),
        ({"after_revision": 1}, active(code="1"), True),
        ({"after_revision": 1, "after_code": "1"}, active(code="1"), False),
        ({"after_revision": 1, "after_code": "1"}, active(code="2"), True),
        ({}, active(code="1", revision=0), True),
    ],
)
def test_newer_means_a_higher_revision_or_without_those_another_code(
    after: dict[str, Any], order: ActiveOrder, new: bool
) -> None:
    assert (seen(watch(**after), order) is not None) == new
    assert (seen(watch(needs_code=False, **after), order) is not None) == new


@pytest.mark.parametrize("status", [OrderStatus.COMPLETED, OrderStatus.CANCELED, OrderStatus.EXPIRED])
def test_an_order_that_ended_ends_the_wait(status: OrderStatus) -> None:
    one = watch()
    one.see(full(1, None, status))
    with pytest.raises(OrderTerminalError, match=f"Order 1 ended as {status.value} without") as caught:
        one.result()
    assert (caught.value.order_id, caught.value.status) == (1, status.value)


def test_a_code_counts_even_when_its_order_ended() -> None:
    assert seen(watch(), full(1, "77", OrderStatus.COMPLETED)) == Sms(1, "77")
    one = watch(after_code="77")
    one.see(full(1, "77", OrderStatus.COMPLETED))
    assert isinstance(one.error, OrderTerminalError)


def test_a_state_that_is_not_known_ends_nothing() -> None:
    one = watch()
    one.see(active(status="PAUSED"))
    one.see(active(status="CANCELLED"))
    assert not one.ended


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("order_id", [None, 0, -1, *NOT_INTEGERS]),
        ("after_revision", [-1, 2**63, *NOT_INTEGERS]),
        ("after_code", ["", " ", 1234, True, b"1", "1\n", "1" * 65]),
    ],
)
def test_a_wait_for_something_senseless_is_refused(name: str, values: list[Any]) -> None:
    wrong: Any = watch
    for value in values:
        with pytest.raises(InvalidArgumentError, match=rf"\A{name}: expected"):
            wrong(**{"order_id": 1, name: value})


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (NetworkError("x"), True),
        (RequestTimeoutError("x"), True),
        (errors.RateLimitError("x"), True),
        (errors.InternalError("x"), True),
        (errors.ServiceUnavailableError("x"), True),
        (errors.FxRateUnavailableError("x"), True),
        (InvalidResponseError("x", status_code=502), True),
        (InvalidResponseError("x", status_code=500), True),
        (InvalidResponseError("x", status_code=499), False),
        (InvalidResponseError("x", status_code=200), False),
        (InvalidResponseError("x"), False),
        (errors.UnauthorizedError("x"), False),
        (errors.TempBannedError("x"), False),
        (errors.ForbiddenError("x"), False),
        (errors.APIError("x"), False),
        (errors.ClientStateError("x"), False),
    ],
)
def test_a_wait_rides_out_what_passes_and_nothing_else(error: SmscodeError, passing: bool) -> None:
    assert rides_out(error) == passing


def test_the_errors_of_a_wait_carry_the_order_as_it_was_seen_last() -> None:
    one = watch()
    assert one.timed_out().order is None
    one.see(active())
    one.see(last := active(text="hello", revision=1))
    assert one.timed_out().order == last
    one.see(ended := full(1, None, OrderStatus.EXPIRED))
    for error in (one.timed_out(), one.error):
        again = pickle.loads(pickle.dumps(error))
        assert (again.order, again.order_id, str(again)) == (ended, 1, str(error))


@pytest.mark.parametrize(
    ("code", "text", "after_code", "counts"),
    [
        ("222222", "Your code is 222222", None, True),
        ("222222", "Your code is 222-222", None, True),
        ("111111", "Confirm: https://t.example/c/9", None, False),
        ("111111", "Confirm: https://t.example/c/9", "111111", False),
        ("111111", "Your code is 111111 again", "111111", True),
        ("222222", "no digits here", "111111", True),
        ("222222", None, None, True),
        ("AB12", "your code is ab12", None, True),
    ],
)
def test_an_old_code_beside_a_newer_message_is_not_the_code_waited_for(
    code: str, text: str | None, after_code: str | None, counts: bool
) -> None:
    for needs_code in (True, False):
        one = watch(needs_code=needs_code, after_revision=1, after_code=after_code)
        one.see(active(code=code, text=text, revision=2))
        assert one.ended is (counts or not needs_code)
        if one.sms is not None:
            assert (one.sms.code, one.sms.text) == (code if counts else None, text)
        else:
            assert one.text == text
