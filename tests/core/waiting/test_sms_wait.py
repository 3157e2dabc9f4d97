"""A wait for one order's SMS: which message counts, and how it ends without one."""

from __future__ import annotations

import pickle
import re
from datetime import datetime, timedelta
from typing import Any

import attrs
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
    OtpSms,
    RequestTimeoutError,
    Sms,
    SmscodeError,
    errors,
    to_dict,
)
from smscode.core.waiting.sms_wait import OtpOutcome, SmsWait, is_transient

from ..support import NOT_INTEGERS, NULLABLE, WHEN
from ..support import active_order as active


def watch(
    order_id: int = 1,
    *,
    needs_code: bool = True,
    after_revision: Any = None,
    after_code: Any = None,
    pattern: Any = None,
) -> SmsWait:
    return SmsWait(
        order_id,
        needs_code=needs_code,
        pattern=pattern,
        after_revision=after_revision,
        after_code=after_code,
    )


def full(order_id: int, code: str | None, status: OrderStatus | str) -> Order:
    blank: dict[str, Any] = {**dict.fromkeys(NULLABLE), "otp_code": code}
    return Order(id=order_id, status=status, product_id=1, amount=Money.idr(1), **blank)


def seen(one: SmsWait, *orders: ActiveOrder | Order) -> Sms | None:
    """Show a wait its order in these states; return the SMS it ended with, None if it did not."""
    for order in orders:
        one.see(order)
    return one.sms


def test_a_code_ends_the_wait_with_everything_known_about_it() -> None:
    one = watch()
    assert seen(one, active(), active(code="0048", text="Code 0048", revision=1)) == OtpSms(
        1, "Code 0048", 1, WHEN, code="0048"
    )
    assert one.ended
    assert one.result() is one.sms
    assert one.outcome() == OtpOutcome(1, OtpSms(1, "Code 0048", 1, WHEN, code="0048"))


def test_an_ended_wait_looks_at_nothing_more() -> None:
    one = watch()
    seen(one, active(code="1"))
    one.see(active(code="2"))
    one.see(full(1, None, OrderStatus.CANCELED))
    assert one.result().code == "1"


@pytest.mark.parametrize("code", ["0048", None])
def test_a_wait_for_any_message_ends_with_it_even_when_the_order_has_ended(code: str | None) -> None:
    one = watch(needs_code=False)
    one.see(attrs.evolve(full(1, code, OrderStatus.COMPLETED), otp_message="Hello", sms_revision=1))
    assert type(one.result()) is Sms
    assert one.result() == Sms(1, code, "Hello", 1)


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
    error = one.timeout_error(10.04)
    assert isinstance(error, TimeoutError)
    assert error.message == (
        "No SMS for order 1 in time: waited 10 s, order last seen as ACTIVE. A message without a code came."
        " Possible now: orders.wait_for_otp, orders.resend, orders.finish."
    )
    assert (error.order_id, error.text, error.waited) == (1, "Confirm: https://t.example", 10.04)


def test_the_code_of_a_message_may_be_found_after_its_text_was_shown() -> None:
    one = watch()
    assert seen(one, active(text="Code 0048", revision=1)) is None
    assert seen(one, active(code="0048", text="Code 0048", revision=1)) is not None


def test_a_wait_that_saw_nothing_new_times_out_without_a_text() -> None:
    for one in (watch(), watch(needs_code=False), watch(after_code="1"), watch(after_revision=1)):
        one.see(active(code="1" if one.known.code else None, text="old" if one.known.code else None))
        if one.known.revision:
            one.see(active(code="1", text="old", revision=1))
        error = one.timeout_error(0.0)
        assert "A message without a code came" not in error.message
        assert error.text is None


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
    assert one.outcome() == OtpOutcome(1, None, caught.value)


def test_a_code_counts_even_when_its_order_ended() -> None:
    assert seen(watch(), full(1, "77", OrderStatus.COMPLETED)) == OtpSms(1, code="77")
    one = watch(after_code="77")
    one.see(full(1, "77", OrderStatus.COMPLETED))
    assert isinstance(one.error, OrderTerminalError)


EARLIER, LATER = WHEN - timedelta(seconds=1), WHEN + timedelta(seconds=1)


def odd(status: str, **times: Any) -> Order:
    return attrs.evolve(full(1, None, status), **times)


@pytest.mark.parametrize(
    ("order", "now", "ended"),
    [
        (odd("CANCELLED", canceled_at=EARLIER), None, True),
        (odd("REFUNDED", expires_at=EARLIER), WHEN, True),
        (odd("REFUNDED", expires_at=LATER), WHEN, False),
        (odd("REFUNDED", expires_at=WHEN), WHEN, False),
        (odd("REFUNDED", expires_at=EARLIER), None, False),
        (odd("PAUSED"), WHEN, False),
        (odd("canceled"), None, True),
        (odd("Expired", expires_at=LATER), WHEN, True),
        (odd("active", canceled_at=EARLIER, expires_at=EARLIER), WHEN, False),
        (odd("Otp_Received", expires_at=EARLIER), WHEN, False),
        (full(1, None, OrderStatus.ACTIVE), WHEN, False),
        (active(status="REFUNDED", expires_at=EARLIER), WHEN, False),
        (active(status="completed"), WHEN, True),
    ],
)
def test_an_order_in_an_unknown_state_has_ended_once_it_was_cancelled_or_its_time_is_over(
    order: Order | ActiveOrder, now: datetime | None, ended: bool
) -> None:
    one = watch()
    one.see(order, now)
    assert one.ended is ended
    if ended:
        assert isinstance(one.error, OrderTerminalError)
        assert one.error.status == order.status


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("order_id", [None, 0, -1, *NOT_INTEGERS]),
        ("after_revision", [-1, 2**63, *NOT_INTEGERS]),
        ("after_code", ["", " ", "\u200b\u3164", 1234, True, b"1"]),
    ],
)
def test_a_wait_for_something_senseless_is_refused(name: str, values: list[Any]) -> None:
    wrong: Any = watch
    for value in values:
        with pytest.raises(InvalidArgumentError, match=rf"\A{name}: expected"):
            wrong(**{"order_id": 1, name: value})


def refused(code: str | None, status: int) -> errors.APIError:
    class_ = errors.API_ERRORS.get(code or "", (errors.APIError, 0))[0]
    return class_("x", code=code, status_code=status)


FINAL_CODES = {
    *("UNAUTHORIZED", "FORBIDDEN", "NOT_FOUND", "CONFLICT", "INSUFFICIENT_BALANCE", "CANCEL_TOO_EARLY"),
    *("REQUEST_IN_PROGRESS", "VALIDATION_ERROR", "PROVIDER_ERROR", "NO_OFFER_AVAILABLE"),
    *("IDEMPOTENCY_KEY_REUSED", "TEMP_BANNED_ABUSE_GUARD"),
}
PASSING_CODES = {"RATE_LIMIT_EXCEEDED", "INTERNAL_ERROR", "SERVICE_UNAVAILABLE", "FX_RATE_UNAVAILABLE"}


@pytest.mark.parametrize("code", sorted(FINAL_CODES | PASSING_CODES))
def test_a_documented_refusal_ends_a_wait_if_asking_again_does_not_change_it(code: str) -> None:
    assert is_transient(refused(code, errors.API_ERRORS[code][1])) is (code in PASSING_CODES)


@pytest.mark.parametrize(
    "status", [200, 204, 302, 400, 401, 403, 404, 408, 413, 429, 451, 499, 500, 502, None]
)
def test_a_wait_goes_on_after_an_answer_without_the_envelope_whatever_its_status(status: int | None) -> None:
    assert is_transient(InvalidResponseError("x", status_code=status))
    if status is not None:
        assert is_transient(refused(None, status)), "an envelope without a code"


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (NetworkError("x"), True),
        (RequestTimeoutError("x"), True),
        (errors.PayloadTooLargeError("x", status_code=413), True),
        (refused("GATEWAY_TIMEOUT", 504), True),
        (refused("TRY_AGAIN", 408), True),
        (refused("TRY_AGAIN", 409), True),
        (refused("SLOW_DOWN", 429), True),
        (refused("ACCOUNT_CLOSED", 403), False),
        (errors.ClientStateError("x"), False),
        (errors.ConfigurationError("x"), False),
        (InvalidArgumentError("x"), False),
    ],
)
def test_a_wait_goes_on_after_what_may_pass_and_nothing_else(error: SmscodeError, transient: bool) -> None:
    assert is_transient(error) is transient


def test_the_errors_of_a_wait_carry_the_order_as_it_was_seen_last() -> None:
    one = watch()
    assert one.timeout_error(1.0).order is None
    one.see(active())
    one.see(last := active(text="hello", revision=1))
    assert one.timeout_error(1.0).order == last
    one.see(ended := full(1, None, OrderStatus.EXPIRED))
    for error in (one.timeout_error(1.0), one.error):
        again = pickle.loads(pickle.dumps(error))
        assert (again.order, again.order_id, str(again)) == (ended, 1, str(error))


@pytest.mark.parametrize(
    ("code", "text", "after_code", "counts"),
    [
        ("222222", "Your code is 222222", None, True),
        ("222222", "Your code is 222-222", None, True),
        ("111111", "Confirm: https://t.example/c/9", None, True),
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


def test_a_timeout_says_what_the_last_look_met_and_what_can_be_done() -> None:
    one = watch(needs_code=False)
    failed = InvalidResponseError("$: expected a JSON object, got 9 bytes of text/html.", status_code=403)
    error = one.timeout_error(60.25, failed)
    assert error.message == (
        "No SMS for order 1 in time: waited 60.2 s, order not seen. The last look at the service failed:"
        " $: expected a JSON object, got 9 bytes of text/html. Possible now: orders.wait_for_sms, orders.get."
    )
    assert (error.failure, error.__cause__, error.choices) == (failed, failed, ("wait_for_sms", "get"))
    again = pickle.loads(pickle.dumps(error))
    assert (str(again.failure), again.waited, again.choices) == (str(failed), 60.25, error.choices)


def test_what_a_look_at_the_order_met_is_forgotten_with_the_next_that_shows_it() -> None:
    one = watch()
    one.failure = failed = NetworkError("broken")
    assert one.timeout_error(1.0).failure is failed
    assert one.timeout_error(1.0, other := NetworkError("the poll's")).failure is other
    one.see(active())
    assert (one.timeout_error(1.0).failure, one.timeout_error(1.0).__cause__) == (None, None)


@pytest.mark.parametrize(
    ("order", "choices"),
    [
        (active(), ("cancel",)),
        (active(text="hello"), ("resend", "finish")),
        (active(code="1"), ("resend", "finish")),
        (active(can_cancel=False, can_resend=False, can_finish=False), ()),
        (active(can_cancel=True, can_resend=True, can_finish=True), ("resend", "finish", "cancel")),
        (active(can_cancel=False, can_resend=True, can_finish=False), ("resend",)),
        (active(can_cancel=False, can_resend=False, can_finish=True), ("finish",)),
    ],
)
def test_a_timeout_names_what_the_order_allows(order: ActiveOrder, choices: tuple[str, ...]) -> None:
    one = watch(after_code="1")
    one.see(order)
    assert one.timeout_error(1.0).choices == ("wait_for_otp", *choices)


@pytest.mark.parametrize("revision", [0, 2**63 - 1])
def test_any_revision_can_be_given_back(revision: int) -> None:
    assert watch(after_revision=revision).known.revision == revision


def test_a_code_can_be_given_back_whatever_the_service_gave() -> None:
    for code in ("\u200f482913", "482\u00a0913", "482913\n", "x" * 5_000, "\U0001f510 4711"):
        one = watch(after_code=code)
        assert seen(one, active(code=code)) is None
        assert seen(one, active(code="999111")) is not None


def test_an_ended_wait_hears_nothing_more() -> None:
    one = watch()
    one.see_event(active(code="1"))
    one.see_event(active(code="2"))
    assert one.result().code == "1"


# A pattern


@pytest.mark.parametrize(
    ("pattern", "code"),
    [
        (r"G-(\d{6})", "482913"),
        (re.compile(r"g-(\d{6})", re.IGNORECASE), "482913"),
        (r"G-\d{6}", "G-482913"),  # no group: the whole match
        (r"code is (\w+)|G-(\d+)", "482913"),  # the first group that took part
        (r"code is (\w+)|G-\d+", "G-482913"),  # none took part
        (r"G-(\d\d)(\d+)", "48"),
    ],
)
def test_a_pattern_finds_the_code_where_the_service_found_none(pattern: object, code: str) -> None:
    text = "G-482913 is for your login"
    assert seen(watch(pattern=pattern), active(text=text, revision=1)) == OtpSms(1, text, 1, WHEN, code=code)


@pytest.mark.parametrize("pattern", [r"G-(\d{6})", r"(\s*)login", "(x?)"])
def test_a_message_that_a_pattern_does_not_match_is_skipped(pattern: str) -> None:
    one = watch(pattern=pattern)
    assert seen(one, active(code="20", text="Your login: 20% off", revision=1)) is None
    error = one.timeout_error(1.0)
    assert "A message that the pattern does not match came." in error.message
    assert error.text == "Your login: 20% off"


def test_what_comes_after_a_skipped_message_ends_the_wait() -> None:
    one = watch(pattern=r"G-(\d{6})")
    sms = seen(one, active(text="20% off", revision=1), active(text="G-482913", revision=2))
    assert sms is not None
    assert (sms.code, sms.revision) == ("482913", 2)


def test_a_pattern_decides_also_where_the_service_found_another_code() -> None:
    sms = seen(watch(pattern=r"G-(\d{6})"), active(code="24", text="Within 24 h: G-482913"))
    assert sms is not None
    assert sms.code == "482913"


def test_a_code_without_its_text_counts_with_a_pattern_too() -> None:
    sms = seen(watch(pattern=r"G-(\d{6})"), full(1, "482913", OrderStatus.COMPLETED))
    assert sms is not None
    assert sms.code == "482913"


def test_a_code_that_a_pattern_found_before_is_an_old_one_also_without_revisions() -> None:
    known = watch(pattern=r"(\d{4})x", after_code="4711")
    assert seen(known, active(text="It is 4711x")) is None
    assert seen(known, active(text="It is 4712x")) == OtpSms(1, "It is 4712x", None, WHEN, code="4712")


def test_a_newer_message_may_repeat_the_code_that_a_pattern_finds() -> None:
    known = watch(pattern=r"(\d{4})x", after_code="4711", after_revision=1)
    assert seen(known, active(text="It is 4711x", revision=2)) is not None


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("", "pattern: expected a regular expression, got an empty text"),
        ("(", "pattern: this is no regular expression: missing ), unterminated subpattern at position 0."),
        ("a{99999999999999999999}", "pattern: this is no regular expression: "),
        (b"x", "pattern: expected a string or a compiled regular expression of strings, got bytes"),
        (
            re.compile(b"x"),
            "pattern: expected a string or a compiled regular expression of strings, got Pattern",
        ),
        (7, "pattern: expected a string or a compiled regular expression of strings, got 7"),
    ],
)
def test_what_is_no_pattern_is_refused(pattern: object, message: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        watch(pattern=pattern)
    assert caught.value.message.startswith(message)


def test_an_otp_sms_is_shown_like_any_message_with_its_code_masked() -> None:
    sms = OtpSms(1, "Code 1", 1, WHEN, code="482913")
    assert repr(sms).startswith("OtpSms(order_id=1, code='******', text='******', revision=1, received_at=")
    assert list(to_dict(sms)) == list(to_dict(Sms(1)))
    assert pickle.loads(pickle.dumps(sms)) == sms


@pytest.mark.parametrize(
    ("allowed", "since", "said"),
    [
        (None, None, "orders.wait_for_otp, orders.cancel (from two minutes after its creation on)."),
        (True, None, "orders.wait_for_otp, orders.cancel."),
        (False, None, "orders.wait_for_otp."),
        (False, WHEN, f"orders.wait_for_otp, orders.cancel from {WHEN.isoformat()} on."),
        (None, WHEN, f"orders.wait_for_otp, orders.cancel (from {WHEN.isoformat()} on)."),
    ],
)
def test_a_wait_that_timed_out_says_from_when_the_order_can_be_cancelled(
    allowed: bool | None, since: datetime | None, said: str
) -> None:
    one = watch()
    one.see(attrs.evolve(active(), can_cancel=allowed, cancel_available_at=since))
    assert one.timeout_error(10).message.endswith(f"Possible now: {said}")
