"""Which message is newer than a known one, and which code beside it is an old one."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from smscode import ActiveOrder, Sms
from smscode._visible_text import is_blank, not_blank
from smscode.core.waiting.codes import compare_times, has_old_code, is_newer, normal, same, stands_in
from smscode.core.waiting.sms_wait import SmsWait
from smscode.core.waiting.webhook_inbox import order_of
from smscode.webhooks import OtpReceived

from ..support import WHEN, active_order, order_event

EARLIER, LATER = WHEN - timedelta(seconds=1), WHEN + timedelta(seconds=1)


def sms(code: str | None = None, text: str | None = None, **others: Any) -> Sms:
    return Sms(1, code, text, others.get("revision"), others.get("at"))


# -- newer -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "known", "newer"),
    [
        # Messages are counted: nothing else says anything.
        (sms("1", "a", revision=2, at=EARLIER), sms("1", "a", revision=1, at=WHEN), True),
        (sms("2", "b", revision=1, at=LATER), sms("1", "a", revision=1, at=WHEN), False),
        (sms("2", "b", revision=0, at=LATER), sms("1", "a", revision=1, at=WHEN), False),
        # By time.
        (sms("1", "a", at=LATER), sms("1", "a", at=WHEN), True),
        (sms("1", "a", revision=3, at=LATER), sms("1", "a", at=WHEN), True),
        # By what they say.
        (sms("1", "a", at=WHEN), sms("1", "a", at=WHEN), False),
        (sms("1", "a"), sms("1", "a", at=WHEN), False),
        (sms("2", "a"), sms("1", "a"), True),
        (sms("1", "b"), sms("1", "a"), True),
        (sms(None, "a"), sms("1", "a"), False),
        (sms(None, "b"), sms("1", "a"), True),
        (sms(None, "a"), sms(None, "a"), False),
        (sms("1", "a"), sms(None, "a"), True),
        (sms("1"), sms("1", "a"), False),
        (sms("2"), sms("1", "a"), True),
        (sms("1", "b"), sms("1"), False),
        (sms(None, "b"), sms("1"), True),
        (sms("\u200f1\n", "\ufeffa"), sms("1", "a "), False),
        (sms("٤٨٢١"), sms("4821"), False),
        (sms("AB1"), sms("ab1"), True),
        # Nothing is known.
        (sms("1"), sms(), True),
        (sms(None, "a", at=EARLIER), sms(at=WHEN), True),
        (sms("1", revision=1), sms(), True),
        (sms("1"), sms(revision=1), True),
    ],
)
def test_newer_means_a_higher_revision_else_a_later_time_else_another_code_or_text(
    found: Sms, known: Sms, newer: bool
) -> None:
    assert is_newer(found, known, of_event=found.received_at != EARLIER) is newer


@pytest.mark.parametrize("known", [sms("1", "a", at=WHEN), sms(at=WHEN)])
def test_only_the_time_of_an_event_can_be_too_early(known: Sms) -> None:
    other = sms("2", "b", at=EARLIER)
    assert is_newer(other, known, of_event=False), "the time of an order's first message never moves"
    assert not is_newer(other, known, of_event=True)


def test_a_time_without_a_zone_is_in_utc() -> None:
    naive = WHEN.replace(tzinfo=None)
    assert compare_times(naive, WHEN) == compare_times(WHEN, naive) == 0
    assert (compare_times(naive, EARLIER), compare_times(EARLIER, naive)) == (1, -1)
    assert compare_times(None, WHEN) == compare_times(WHEN, None) == 0


def test_times_of_different_zones_are_compared_as_moments() -> None:
    elsewhere = WHEN.astimezone(timezone(timedelta(hours=7)))
    assert compare_times(elsewhere, WHEN) == compare_times(WHEN, elsewhere) == 0
    assert (compare_times(elsewhere, EARLIER), compare_times(elsewhere, LATER)) == (1, -1)


# -- old codes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "4821",
        "Code 4821.",
        "4821, valid for 5 minutes",
        "G-4821 is your code",
        "<#>4821: do not share",
        "code:4821",
        "'4821'",
        "رمز التحقق ٤٨٢١",
        "کد تایید شما ۴۸۲۱ است",
        "आपका कोड ४८२१ है",
        "認証コードは\uff14\uff18\uff12\uff11です",
        "인증번호4821입니다",
        "Code 4\u200b8\u200d2\u00ad1",
        "Order 10482130, code 4821",
        "Ends with 4821-",
        "Code 4821 30 minutes",
    ],
)
def test_a_code_stands_in_a_text_as_a_whole_word(text: str) -> None:
    assert stands_in("4821", text)


@pytest.mark.parametrize(
    "text",
    [
        "Your order 1048213 is on its way",
        "You paid 48.21 today",
        "You paid 4821.50 today",
        "You paid 1,4821 today",
        "You paid 4'821 or 4821'50",
        "Signed in at 14:48 21 June",
        "At 12:4821",
        "Call +62 812 482 1000",
        "Call 4821-1000",
        "Call 62-4821",
        "Room A4821",
        "4821x",
        "id_4821",
        "A4821",
        "1-4821",
        "x1-4821",
        "4821-1x",
        "\u13a04821",
        "4821_",
        "٤٨٢١٠",
        "no digits",
        "",
    ],
)
def test_digits_that_are_part_of_something_longer_are_no_code(text: str) -> None:
    assert stands_in("4821", text) is False


def test_a_code_of_letters_stands_in_a_text_in_any_case_and_not_inside_a_word() -> None:
    assert stands_in("AbC12", "Your code is ABC12!")
    assert stands_in("\u200eAbC12\n", "Your code is ABC12!")
    assert not stands_in("كلمة", "الكلمة")
    assert stands_in("**", "a***")
    assert stands_in("כן", "ענו כן")


@pytest.mark.parametrize(("code", "text"), [("G11", "1-G11"), ("11G", "11G-1")])
def test_a_number_beside_the_letter_of_a_code_is_not_part_of_it(code: str, text: str) -> None:
    assert stands_in(code, text)


def test_a_code_is_old_only_if_it_is_known_and_the_newer_text_lacks_it() -> None:
    known = sms("4821", "Code 4821")
    assert has_old_code(sms("4821", "Welcome"), known) is True
    assert has_old_code(sms("4821\u200b", "Welcome"), known)
    assert not has_old_code(sms("4821", "Again: 4821"), known)
    assert not has_old_code(sms("1111", "Welcome"), known)
    assert not has_old_code(sms("4821", None), known)
    assert not has_old_code(sms(None, "Welcome"), known)
    assert has_old_code(sms("4821", "Welcome"), sms()) is False
    assert has_old_code(sms(None, "Welcome"), sms()) is False


# -- blank -----------------------------------------------------------------------------------------

BLANK = [
    *(
        "",
        " ",
        "\t\r\n",
        "\u00a0\u3000",
        "\u200b\u200d\ufeff",
        "\u2060\u00ad",
        "\u3164",
        "\u115f\u1160\uffa0",
    ),
    *("\u2800", "\ufe0f", "\u034f", "\u180e", "\x00\x1b", "\U000e0020", "\U000e0100"),
]


@pytest.mark.parametrize("text", BLANK)
def test_what_shows_nothing_is_no_code_and_no_message(text: str) -> None:
    assert is_blank(text)
    order = active_order(code=text, text=text)
    assert (order.otp_code, order.otp_message) == (None, None)
    event = order_event(OtpReceived, code=text, text=text)
    assert (event.otp_code, event.otp_message) == (None, None)


@pytest.mark.parametrize("text", ["0", "48 21", "\u200f4821", "٤", "\U0001f510", "-", "\u0301", "é"])
def test_whatever_can_be_seen_is_kept_as_it_came(text: str) -> None:
    assert not is_blank(text)
    assert not_blank(text) == text
    assert normal(text)


def test_codes_are_compared_as_they_look() -> None:
    assert normal("\u200e \uff14\uff18\uff12\u00a0\uff19१३\n") == "482 913"
    assert normal("48\x0721\x00") == "4821"
    assert same("\uff14\uff18\uff12\uff11", "4821")
    assert same(None, None)
    assert not same("4821", None)
    assert not same(None, "4821")


# -- in a wait -------------------------------------------------------------------------------------


def wait(*orders: ActiveOrder, needs_code: bool = True, **after: Any) -> SmsWait:
    one = SmsWait(1, needs_code=needs_code, **after)
    for order in orders:
        one.see(order)
    return one


def test_a_message_without_a_code_is_not_new_after_a_resend_although_none_are_counted() -> None:
    stale = active_order(text="Welcome!")
    assert not wait(stale, needs_code=False, after_text="Welcome!", after_time=WHEN).ended
    newer = wait(
        stale, active_order(text="Confirm"), needs_code=False, after_text="Welcome!", after_time=WHEN
    )
    assert newer.result().text == "Confirm"


def test_the_code_that_stays_beside_a_newer_text_is_not_given_out_again() -> None:
    after: dict[str, Any] = {"after_code": "4821", "after_text": "Code 4821"}
    shown = active_order(code="4821", text="You paid 48.21")
    one = wait(shown, needs_code=False, **after)
    assert (one.result().code, one.result().text) == (None, "You paid 48.21")
    waiting = wait(shown, **after)
    assert (waiting.ended, waiting.text) == (False, "You paid 48.21")


def test_the_time_of_an_order_is_that_of_its_first_message_and_makes_no_code_old() -> None:
    shown = active_order(code="222", text="Code 222", otp_received_at=EARLIER)
    assert wait(shown, after_code="111", after_text="Code 111", after_time=WHEN).result().code == "222"


@pytest.mark.parametrize(("timestamp", "ends"), [(0, False), (12, True), (30, True)])
def test_a_late_webhook_of_an_earlier_code_does_not_end_a_wait_for_the_next(
    timestamp: int, ends: bool
) -> None:
    resent: datetime = WHEN.replace(second=12)
    one = SmsWait(1, needs_code=True, after_code="222", after_text="Code 222", after_time=resent)
    one.see_event(order_of(order_event(OtpReceived, code="111", text="Code 111", second=timestamp)))
    assert one.ended is ends
