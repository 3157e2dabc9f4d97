"""What webhooks said is kept for the waits to come: the newest of each order, of so many orders."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smscode import OrderStatus
from smscode.core.waiting.webhook_inbox import WebhookInbox, order_of
from smscode.webhooks import OrderCanceled, OrderCompleted, OrderExpired, OtpReceived

from ..support import WHEN, active_order, order_event


def codes(inbox: WebhookInbox, order_id: int = 1) -> list[tuple[str | None, Any]]:
    return [(order.otp_code, order.status) for order in inbox.about(order_id)]


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (OtpReceived, OrderStatus.OTP_RECEIVED),
        (OrderCompleted, OrderStatus.COMPLETED),
        (OrderExpired, OrderStatus.EXPIRED),
        (OrderCanceled, OrderStatus.CANCELED),
    ],
)
def test_an_event_describes_the_order(kind: Any, status: OrderStatus) -> None:
    event = order_event(kind, 7, code="1", text="Code 1", revision=3, can_resend=True, operator_id=5)
    order = order_of(event)
    assert (order.id, order.status, order.otp_code, order.otp_message) == (7, status, "1", "Code 1")
    assert (order.sms_revision, order.can_resend, order.operator_id) == (3, True, 5)
    assert order.otp_received_at == (event.timestamp if kind is OtpReceived else None)


def test_the_message_and_the_end_of_an_order_are_kept_beside_each_other() -> None:
    inbox = WebhookInbox()
    assert inbox.add(order_event(OrderCompleted, code="1"))
    assert inbox.add(order_event(OtpReceived, code="1", revision=1))
    assert codes(inbox) == [("1", OrderStatus.OTP_RECEIVED), ("1", OrderStatus.COMPLETED)]
    assert inbox.about(2) == []


def test_an_end_that_is_told_twice_is_no_news() -> None:
    inbox = WebhookInbox()
    assert inbox.add(order_event(OrderExpired))
    assert inbox.add(order_event(OrderExpired)) is False
    assert not inbox.add(order_event(OrderCanceled, second=9))
    assert codes(inbox) == [(None, OrderStatus.EXPIRED)]


@pytest.mark.parametrize(
    ("first", "then", "news"),
    [
        ({"revision": 1}, {"revision": 2}, True),
        ({"revision": 2}, {"revision": 2, "second": 9, "code": "2"}, False),
        ({"revision": 2}, {"revision": 1, "second": 9}, False),
        ({}, {"second": 9}, True),
        ({"second": 9}, {}, False),
        ({}, {}, False),
        ({}, {"code": "2"}, True),
        ({}, {"text": "other"}, True),
        ({"revision": 5}, {"second": 9}, True),
        ({}, {"revision": 1, "second": 9}, True),
    ],
)
def test_newer_means_a_higher_revision_or_without_those_a_later_time(
    first: dict[str, Any], then: dict[str, Any], news: bool
) -> None:
    usual: dict[str, Any] = {"code": "1"}
    known = order_event(OtpReceived, **(usual | first))
    event = order_event(OtpReceived, **(usual | then))
    inbox = WebhookInbox()
    assert inbox.add(known)
    assert inbox.add(event) is news
    assert inbox.about(1) == [order_of(event if news else known)]


@pytest.mark.parametrize(
    ("kept", "shown", "forgotten"),
    [
        ({"revision": 1}, {"revision": 2, "code": "1"}, True),
        ({"revision": 2}, {"revision": 2, "code": "1"}, False),
        ({"revision": 2}, {"revision": 1, "code": "9"}, False),
        ({}, {"code": "1"}, False),
        ({}, {"code": None}, False),
        ({}, {"code": "2"}, True),
        ({"revision": 1}, {"code": "2"}, True),
        ({}, {"revision": 2, "code": "2"}, True),
        ({}, {"revision": 2, "code": "1"}, False),
    ],
)
def test_a_message_that_a_poll_shows_to_be_old_is_forgotten(
    kept: dict[str, Any], shown: dict[str, Any], forgotten: bool
) -> None:
    inbox = WebhookInbox()
    inbox.add(order_event(OtpReceived, code="1", **kept))
    inbox.add(order_event(OrderCompleted, code="1"))
    inbox.compare(active_order(1, **shown))
    assert len(inbox.about(1)) == (1 if forgotten else 2)


def test_a_poll_says_nothing_about_what_was_not_heard() -> None:
    inbox = WebhookInbox()
    inbox.compare(active_order(1, code="1"))
    inbox.add(order_event(OrderExpired, 2))
    inbox.compare(active_order(2, code="1"))
    assert codes(inbox, 2) == [(None, OrderStatus.EXPIRED)]


def test_the_orders_heard_of_first_are_forgotten_first() -> None:
    inbox = WebhookInbox(most=2)
    for order_id in (1, 2, 1, 3):
        inbox.add(order_event(OtpReceived, order_id, code="1"))
    assert [bool(inbox.about(order_id)) for order_id in (1, 2, 3)] == [True, False, True]


def test_the_last_ten_thousand_orders_are_kept() -> None:
    inbox = WebhookInbox()
    for order_id in range(10_001):
        inbox.add(OtpReceived(order_id=order_id, otp_code="1"))
    assert [bool(inbox.about(order_id)) for order_id in (0, 1, 10_000)] == [False, True, True]


def test_an_order_that_is_neither_waited_for_nor_shows_a_message_takes_no_place() -> None:
    inbox = WebhookInbox(most=1)
    inbox.add(order_event(OtpReceived, 1, code="1"))
    inbox.compare(active_order(2, code="2"), WHEN)
    inbox.compare(active_order(2), WHEN, watched=True)
    assert codes(inbox, 1) == [("1", OrderStatus.OTP_RECEIVED)]
    inbox.compare(active_order(2, code="2"), WHEN, watched=True)
    assert codes(inbox, 1) == []


@given(st.lists(st.integers(0, 9), min_size=1))
def test_whatever_the_order_of_arrival_the_highest_revision_stays(revisions: list[int]) -> None:
    inbox = WebhookInbox()
    for revision in revisions:
        inbox.add(order_event(OtpReceived, code=str(revision), revision=revision))
    assert [order.sms_revision for order in inbox.about(1)] == [max(revisions)]


def test_events_without_times_are_compared_by_what_they_say() -> None:
    for times in ((None, WHEN), (WHEN, None), (None, None)):
        inbox = WebhookInbox()
        first, again = (OtpReceived(order_id=1, otp_code="1", timestamp=time) for time in times)
        assert inbox.add(first)
        assert not inbox.add(again)
        assert inbox.add(attrs.evolve(again, otp_code="2"))
        assert [code for code, _ in codes(inbox)] == ["2"]


def test_an_sms_of_which_nothing_could_be_read_does_not_replace_one_with_a_code() -> None:
    inbox = WebhookInbox()
    assert inbox.add(OtpReceived(order_id=1, otp_code="1", sms_revision=1))
    assert inbox.add(OtpReceived(order_id=1, sms_revision=2, timestamp=WHEN)) is False
    assert [code for code, _ in codes(inbox)] == ["1"]


@pytest.mark.parametrize(
    ("second", "revision", "news"),
    [(0, None, False), (9, None, False), (10, None, True), (11, None, True), (0, 1, True)],
)
def test_what_was_sent_before_the_service_showed_a_message_is_no_news(
    second: int, revision: int | None, news: bool
) -> None:
    for watched in (True, False):
        inbox = WebhookInbox()
        if not watched:  # then it is one that was heard of before
            inbox.add(order_event(OtpReceived, code="111", text="Code 111"))
        inbox.compare(active_order(1, code="222"), WHEN.replace(second=10), watched=watched)
        event = order_event(OtpReceived, code="333", second=second, revision=revision)
        assert inbox.add(event) is news


@pytest.mark.parametrize("before", [None, OrderExpired])
def test_a_poll_that_shows_no_message_is_behind_every_webhook(before: Any) -> None:
    inbox = WebhookInbox()
    if before is not None:
        inbox.add(order_event(before))
    inbox.compare(active_order(1), WHEN.replace(second=10), watched=True)
    assert inbox.add(order_event(OtpReceived, code="111"))


def test_a_text_alone_that_the_service_showed_makes_earlier_webhooks_old() -> None:
    inbox = WebhookInbox()
    inbox.compare(active_order(1, text="Welcome"), WHEN.replace(second=10), watched=True)
    assert not inbox.add(order_event(OtpReceived, text="Hello", second=9))
    assert inbox.add(order_event(OtpReceived, text="Hello", second=10))


def test_a_poll_without_a_date_leaves_the_last_one() -> None:
    inbox = WebhookInbox()
    inbox.compare(active_order(1, code="222"), WHEN.replace(second=10), watched=True)
    inbox.compare(active_order(1, text="again"), None, watched=True)
    assert not inbox.add(order_event(OtpReceived, code="111", second=9))
