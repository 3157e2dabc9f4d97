"""The changes of orders: each once, the newest of each order, for every reader, and within bounds."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from smscode import (
    ActiveOrder,
    ForbiddenError,
    InvalidResponseError,
    Money,
    NotFoundError,
    Order,
    OrderChange,
    OrderStatus,
    RateLimitError,
    Sms,
    UnauthorizedError,
)
from smscode.core.waiting.order_changes import ChangeReader, KnownOrders
from smscode.core.waiting.shared_poll import SharedPoll
from smscode.core.waiting.sms_wait import SmsWait, Waiter
from smscode.webhooks import OrderCanceled, OrderCompleted, OrderExpired, OtpReceived

from ..support import NULLABLE, RUNS, WHEN, order_event
from ..support import active_order as active

ACTIVE, OTP_RECEIVED = OrderStatus.ACTIVE, OrderStatus.OTP_RECEIVED


class Flag:
    """A signal that remembers being set."""

    def __init__(self) -> None:
        self.is_set = False

    def wake(self) -> None:
        self.is_set = True


def full(order_id: int, status: OrderStatus | str, code: str | None = None, **others: Any) -> Order:
    """Make an order as it is read by itself."""
    blank: dict[str, Any] = {**dict.fromkeys(NULLABLE), "otp_code": code}
    return Order(id=order_id, status=status, product_id=1, amount=Money.idr(1), **(blank | others))


class Consumer:
    """A reader of changes, and what its consumer does with them."""

    def __init__(self, poll: SharedPoll[Flag]) -> None:
        self.poll = poll
        self.reader = ChangeReader(Flag())
        poll.join(self.reader)
        self.reader.resting = False

    def take(self) -> list[OrderChange]:
        changes = [self.reader.take(order_id) for order_id in self.reader.pending()]
        assert not self.reader.ready
        return [change for change in changes if change is not None]

    def took(self) -> list[tuple[int, str]]:
        return [(change.order_id, change.status) for change in self.take()]

    def read(self, *orders: Order, now: float = 0) -> list[int]:
        """Read what the reader is to read now, of which these orders are found; return what was read."""
        reads = self.poll.begin_reading(self.reader, now)
        found = {order.id: order for order in orders}
        for order_id in reads:
            if order_id in found:
                self.poll.show(found[order_id], WHEN)
            self.poll.end_reading(self.reader, order_id)
        return reads


def poll(made: SharedPoll[Flag], *orders: ActiveOrder, now: float = 0, **others: Any) -> None:
    """Feed a poll that shows these orders."""
    made.feed(orders, made.begin_poll(now), now, WHEN, **others)


def begun(*orders: ActiveOrder) -> tuple[SharedPoll[Flag], Consumer]:
    """Make a shared poll, and a consumer that has taken these orders."""
    made: SharedPoll[Flag] = SharedPoll(3.0)
    consumer = Consumer(made)
    poll(made, *orders)
    consumer.take()
    return made, consumer


# -- what is a change ------------------------------------------------------------------------------


def test_the_first_changes_are_the_orders_as_they_are() -> None:
    made: SharedPoll[Flag] = SharedPoll(3.0)
    consumer = Consumer(made)
    second, first = active(2, "22", "Code 22", 1, OTP_RECEIVED), active(1)
    assert not consumer.reader.begun
    poll(made, second, first)
    assert consumer.reader.begun
    assert consumer.reader.signal.is_set
    assert consumer.take() == [
        OrderChange(
            order_id=2,
            status=OTP_RECEIVED,
            sms=Sms(2, "22", "Code 22", 1, WHEN),
            order=second,
        ),
        OrderChange(order_id=1, status=ACTIVE, order=first),
    ]


def test_a_poll_that_shows_the_same_again_gives_nothing() -> None:
    made, consumer = begun(active(1), active(2, "22"))
    consumer.reader.signal = Flag()
    poll(made, active(2, "22"), active(1))
    assert not consumer.reader.ready
    assert not consumer.reader.signal.is_set


@pytest.mark.parametrize(
    "changed",
    [
        {"status": "PAUSED"},
        {"revision": 1, "text": "Hello"},
        {"expires_at": WHEN},
        {"failed_reason": "no"},
        {"can_cancel": True},
        {"can_resend": False},
        {"resend_available_at": WHEN},
        {"operator_name": "Telkomsel"},
    ],
)
def test_whatever_differs_is_a_change(changed: dict[str, Any]) -> None:
    made, consumer = begun(active(1), active(2))
    before, after = active(1), active(1, **changed)
    poll(made, after, active(2))
    (change,) = consumer.take()
    assert (change.order, change.previous, change.ended) == (after, before, False)
    assert (change.sms is not None) == ("text" in changed)


def test_a_change_that_is_not_taken_yet_and_is_shown_again_wakes_nobody() -> None:
    made: SharedPoll[Flag] = SharedPoll(3.0)
    consumer = Consumer(made)
    for wakes in (True, False):
        consumer.reader.signal = Flag()
        poll(made, active(1))
        assert consumer.reader.signal.is_set is wakes
    assert consumer.took() == [(1, "ACTIVE")]


def test_a_message_without_a_revision_is_new_by_its_code() -> None:
    made, consumer = begun(active(1, "1"))
    poll(made, active(1, "2"))
    (change,) = consumer.take()
    assert change.sms == Sms(1, "2", None, None, WHEN)


def test_the_time_of_the_first_message_alone_is_no_change() -> None:
    made, consumer = begun(active(1, "1"))
    poll(made, active(1, "1", otp_received_at=WHEN + timedelta(seconds=1)))
    assert consumer.took() == []


def test_each_message_is_in_one_change() -> None:
    made, consumer = begun(active(1))
    found: list[Sms | None] = []
    for shown in (
        active(1, "11", "Code 11", 1, OTP_RECEIVED),
        active(1, "11", "Code 11", 1, ACTIVE),  # after a resend the last code stays
        active(1, "11", "Welcome", 2, OTP_RECEIVED),  # the code is that of the message before
        active(1, "11", "Again 11", 3, OTP_RECEIVED),
    ):
        poll(made, shown)
        found += [change.sms for change in consumer.take()]
    assert [sms and (sms.code, sms.text, sms.revision) for sms in found] == [
        ("11", "Code 11", 1),
        None,
        (None, "Welcome", 2),
        ("11", "Again 11", 3),
    ]


# -- the newest of each order ----------------------------------------------------------------------


def test_a_slow_consumer_takes_the_newest_of_each_order_and_what_it_took_before() -> None:
    made, consumer = begun(active(1), active(2))
    consumer.reader.resting = True
    poll(made, active(2), active(1, can_cancel=True))
    poll(made, active(2, "2", revision=1), active(1, can_cancel=True))
    poll(made, active(2, "2", revision=1), active(1, "1", revision=1))
    first, second = consumer.take()
    assert (first.order_id, first.previous, first.order.otp_code) == (1, active(1), "1")
    assert (second.order_id, second.previous, second.sms and second.sms.code) == (2, active(2), "2")


def test_what_has_changed_back_before_it_was_taken_is_no_change() -> None:
    made, consumer = begun(active(1), active(2))
    poll(made, active(1, can_cancel=True), active(2, can_cancel=True))
    poll(made, active(1), active(2, can_cancel=True))
    assert consumer.reader.take(1) is None
    assert consumer.took() == [(2, "ACTIVE")]


def test_a_reader_that_joins_later_begins_with_the_orders_as_they_are() -> None:
    made, first = begun(active(1), active(2))
    second = Consumer(made)
    made.notify(order_event(OtpReceived, 1, code="1", revision=1))
    assert second.took() == [(1, "OTP_RECEIVED")]
    poll(made, active(1, "1", None, 1, OTP_RECEIVED), active(2), active(3))
    assert second.took() == [(2, "ACTIVE"), (3, "ACTIVE")]
    assert first.took() == [(1, "OTP_RECEIVED"), (3, "ACTIVE")]


def test_a_reader_that_joins_later_is_given_what_its_first_poll_does_not_show() -> None:
    made, first = begun(active(1), active(2))
    second = Consumer(made)
    poll(made, unreadable={1: InvalidResponseError("odd")})
    assert second.took() == [(1, "ACTIVE")]
    first.read(full(2, ACTIVE, otp_received_at=WHEN))
    assert second.took() == [(2, "ACTIVE")]
    assert first.took() == []


# -- webhooks --------------------------------------------------------------------------------------


def test_a_webhook_shows_at_once_and_the_poll_after_it_gives_nothing() -> None:
    expires = WHEN + timedelta(minutes=10)
    made, consumer = begun(active(1, expires_at=expires, otp_received_at=None))
    consumer.reader.signal = Flag()
    made.notify(
        order_event(OtpReceived, 1, code="11", text="Code 11", revision=1, second=30, can_finish=True)
    )
    assert consumer.reader.signal.is_set
    (change,) = consumer.take()
    assert (change.status, change.sms and change.sms.code) == (OTP_RECEIVED, "11")
    assert (change.order.expires_at, change.order.can_finish) == (expires, True)
    shown = active(1, "11", "Code 11", 1, OTP_RECEIVED, expires_at=expires, can_finish=True)
    poll(made, shown)
    assert consumer.took() == []


@pytest.mark.parametrize("revisions", [True, False])
def test_an_old_webhook_after_a_newer_poll_gives_nothing(revisions: bool) -> None:
    def revision(number: int) -> int | None:
        return number if revisions else None

    made, consumer = begun(active(1))
    poll(made, active(1, "2", "Code 2", revision(2), ACTIVE))  # after a resend
    consumer.take()
    for code, second in (("1", -0), ("2", 0)):
        made.notify(
            OtpReceived(
                timestamp=WHEN - timedelta(seconds=5 - second),
                order_id=1,
                otp_code=code,
                otp_message=f"Code {code}",
                sms_revision=revision(int(code)),
            )
        )
    assert consumer.took() == []


def test_the_webhook_of_a_message_that_a_poll_has_shown_is_old_although_it_was_sent_later() -> None:
    made, consumer = begun(active(1))
    poll(made, active(1, "1", "Code 1", status=ACTIVE))
    consumer.take()
    made.notify(order_event(OtpReceived, 1, code="1", text="Code 1", second=59))
    assert consumer.took() == []
    made.notify(order_event(OtpReceived, 1, code="2", text="Code 2", second=59))
    assert consumer.took() == [(1, "OTP_RECEIVED")]


@pytest.mark.parametrize("revision", [1, None])
def test_an_old_poll_after_a_newer_webhook_gives_nothing(revision: int | None) -> None:
    made, consumer = begun(active(1, revision=None if revision is None else 0))
    made.notify(order_event(OtpReceived, 1, code="1", revision=revision))
    consumer.take()
    poll(made, active(1, revision=None if revision is None else 0))
    assert consumer.took() == []


@pytest.mark.parametrize("shown", [active(1, "1", revision=1), active(1)])
def test_a_poll_that_shows_an_older_message_or_none_gives_nothing(shown: ActiveOrder) -> None:
    made, consumer = begun(active(1, "1", revision=1))
    made.notify(order_event(OtpReceived, 1, code="2", revision=2))
    assert consumer.took() == [(1, "OTP_RECEIVED")]
    poll(made, shown)
    assert consumer.took() == []


def test_a_webhook_does_not_undo_what_a_later_poll_shows() -> None:
    made, consumer = begun(active(1))
    made.notify(order_event(OtpReceived, 1, code="1", text="Code 1"))
    consumer.take()
    poll(made, active(1, "1", "Welcome"))
    (change,) = consumer.take()
    assert change.order.otp_message == "Welcome"


@pytest.mark.parametrize(
    ("revisions", "second", "newer"),
    [
        ((None, None), 9, False),
        ((None, None), 10, True),
        ((None, None), 11, True),
        ((1, 2), 9, True),
        ((2, 1), 11, False),
        ((None, 2), 9, False),
        ((None, 2), 10, True),
        ((1, None), 9, False),
        ((1, None), 10, True),
    ],
)
def test_a_webhook_without_a_revision_is_older_by_its_time_than_the_message_that_is_known(
    revisions: tuple[int | None, int | None], second: int, newer: bool
) -> None:
    known: KnownOrders[Flag] = KnownOrders()
    known.add(ChangeReader(Flag()))
    before, after = revisions
    known.see(active(1, "1", revision=before, otp_received_at=WHEN.replace(second=10)), None, ())
    known.see_event(active(1, "2", revision=after, otp_received_at=WHEN.replace(second=second)))
    order = known.live[1]
    assert order is not None
    assert (order.otp_code, order.sms_revision) == (("2", after) if newer else ("1", before))
    assert order.otp_received_at == WHEN.replace(second=10), (
        "the time of an order's first message never moves"
    )


def test_the_first_message_of_an_order_has_the_time_of_its_webhook() -> None:
    made, consumer = begun(active(1, otp_received_at=None))
    made.notify(order_event(OtpReceived, 1, code="1", second=7))
    (change,) = consumer.take()
    assert change.sms == Sms(1, "1", None, None, WHEN.replace(second=7))


def test_an_end_without_a_message_leaves_the_revision_as_it_is() -> None:
    made, consumer = begun(active(1, revision=0))
    made.notify(order_event(OrderExpired, 1))
    (change,) = consumer.take()
    assert (change.ended, change.order.sms_revision) == (True, 0)


def test_a_webhook_from_before_the_code_that_a_poll_showed_is_not_kept_for_waits() -> None:
    made, _ = begun()
    made.feed([active(1, "222")], made.begin_poll(3), 3, WHEN.replace(second=10))
    made.notify(order_event(OtpReceived, 1, code="111", second=5))
    waiter = Waiter([SmsWait(1, needs_code=True, after_code="222")], Flag())
    made.join(waiter)
    assert list(waiter.open) == [1]


def test_what_webhooks_said_before_the_reader_began_belongs_to_the_first_sight() -> None:
    made: SharedPoll[Flag] = SharedPoll(3.0)
    made.notify(order_event(OtpReceived, 1, code="1", revision=1))
    made.notify(order_event(OrderExpired, 2))
    consumer = Consumer(made)
    poll(made, active(1), active(2), active(3))
    assert consumer.took() == [(1, "OTP_RECEIVED"), (2, "EXPIRED"), (3, "ACTIVE")]


def test_the_webhook_of_an_end_is_the_last_change_whatever_comes_after_it() -> None:
    made, consumer = begun(active(1, "1", "Code 1", 1, OTP_RECEIVED, expires_at=WHEN))
    made.notify(order_event(OrderCompleted, 1, code="1", text="Code 1"))
    (change,) = consumer.take()
    assert (change.status, change.ended, change.sms) == ("COMPLETED", True, None)
    assert (change.order.sms_revision, change.order.expires_at) == (1, WHEN)
    poll(made, active(1, "1", "Code 1", 1, OTP_RECEIVED))
    made.notify(order_event(OtpReceived, 1, code="2", revision=2))
    made.show(full(1, OrderStatus.COMPLETED))
    for now in (3, 30):
        poll(made, unreadable={1: InvalidResponseError("odd")}, now=now)
        assert consumer.took() == []
        assert consumer.read(now=now) == []


def test_an_end_whose_webhook_has_an_older_message_keeps_the_newer_one() -> None:
    made, consumer = begun(active(1, "2", "Code 2", 2, OTP_RECEIVED))
    made.notify(order_event(OrderCompleted, 1, code="1", text="Code 1", revision=1))
    (change,) = consumer.take()
    assert (change.ended, change.sms) == (True, None)
    assert (change.order.otp_code, change.order.otp_message, change.order.sms_revision) == ("2", "Code 2", 2)


def test_an_end_whose_webhook_has_a_newer_message_gives_the_message() -> None:
    made, consumer = begun(active(1, "1", "Code 1", 1, OTP_RECEIVED))
    made.notify(order_event(OrderCompleted, 1, code="2", text="Code 2", second=5))
    (change,) = consumer.take()
    assert (change.ended, change.sms and change.sms.code) == (True, "2")


def test_a_webhook_of_an_order_that_no_poll_has_shown_is_its_first_sight() -> None:
    made, consumer = begun()
    made.notify(order_event(OrderCanceled, 8))
    made.notify(order_event(OtpReceived, 9, code="9"))
    first, second = consumer.take()
    assert (first.order_id, first.previous, first.ended) == (8, None, True)
    assert (second.order_id, second.previous, second.sms and second.sms.code) == (9, None, "9")
    poll(made, now=3)
    assert consumer.read(full(9, OrderStatus.COMPLETED, "9"), now=3) == [9]
    assert consumer.took() == [(9, "COMPLETED")]


# -- orders that leave the list --------------------------------------------------------------------


def test_an_order_that_leaves_the_list_is_read_once_for_its_end() -> None:
    made, consumer = begun(active(1), active(2))
    poll(made, active(2))
    assert consumer.reader.signal.is_set
    over = full(1, OrderStatus.EXPIRED)
    assert consumer.read(over) == [1]
    assert consumer.take() == [
        OrderChange(order_id=1, status=OrderStatus.EXPIRED, ended=True, order=over, previous=active(1))
    ]
    poll(made, active(2), now=300)
    assert consumer.read(now=300) == []
    assert not made._absent


def test_an_order_that_ends_by_a_webhook_before_it_is_read_is_not_read() -> None:
    made, consumer = begun(active(1))
    poll(made)
    made.notify(order_event(OrderExpired, 1))
    assert consumer.took() == [(1, "EXPIRED")]
    assert consumer.read() == []


@pytest.mark.parametrize("missing", [True, False])
def test_an_order_whose_read_ends_it_is_not_read_again_if_the_reader_rests_then(missing: bool) -> None:
    made, consumer = begun(active(1))
    poll(made)
    assert made.begin_reading(consumer.reader, 0) == [1]
    if missing:
        made.missing(1, NotFoundError("no"))
    else:
        made.unreadable(consumer.reader, 1, ForbiddenError("no"))
    made.rest(consumer.reader)
    assert made.begin_reading(consumer.reader, 0) == []


def test_a_wait_that_leaves_does_not_bring_the_next_read_of_an_order_forward() -> None:
    made, consumer = begun(active(1))
    waiter = Waiter([SmsWait(1, needs_code=True)], Flag())
    made.join(waiter)
    waiter.resting = False
    poll(made)
    assert made.begin_reading(waiter, 0) == [1]
    made.show(full(1, ACTIVE, otp_received_at=WHEN))
    made.end_reading(waiter, 1)
    made.leave(waiter)
    for now, reads in ((3, []), (30, [1])):
        poll(made, now=now)
        assert consumer.read(now=now) == reads


def test_a_reader_does_not_read_an_order_that_only_a_wait_knows() -> None:
    made, consumer = begun()
    waiter = Waiter([SmsWait(9, needs_code=True)], Flag())
    made.join(waiter)
    poll(made, now=3)
    assert consumer.read(now=3) == []


def test_an_end_that_is_read_keeps_a_message_that_only_a_webhook_has_shown() -> None:
    made, consumer = begun(active(1))
    made.notify(order_event(OtpReceived, 1, code="1"))
    poll(made)
    consumer.read(full(1, OrderStatus.COMPLETED))
    (change,) = consumer.take()
    assert (change.ended, change.sms and change.sms.code) == (True, "1")


def test_an_order_that_the_list_lacks_is_read_again_after_a_time_that_grows() -> None:
    made, consumer = begun(active(1))
    reads: list[int] = []
    for now in range(0, 60, 3):
        poll(made, now=now)
        if consumer.read(full(1, ACTIVE, otp_received_at=WHEN), now=now):
            reads.append(now)
    assert reads == [0, 9, 27]
    assert consumer.took() == []


def test_an_order_of_an_unknown_status_ends_by_the_date_of_the_service() -> None:
    made, consumer = begun(active(1, status="PAUSED", expires_at=WHEN))
    poll(made)
    assert consumer.read(full(1, "PAUSED", expires_at=WHEN)) == [1]
    assert consumer.took() == []
    poll(made, now=30)
    assert consumer.read(full(1, "PAUSED", expires_at=WHEN - timedelta(seconds=1)), now=30) == [1]
    (change,) = consumer.take()
    assert (change.status, change.ended) == ("PAUSED", True)


def test_an_order_that_does_not_exist_any_more_ends_with_a_problem_for_all_readers() -> None:
    made, consumer = begun(active(1), active(2))
    other = Consumer(made)
    made.missing(1, NotFoundError("Order not found", code="NOT_FOUND", status_code=404))
    made.unreadable(consumer.reader, 2, ForbiddenError("Not yours", code="FORBIDDEN", status_code=403))
    for each in (consumer, other):
        found = [(change.order_id, change.status, change.ended, change.problem) for change in each.take()]
        assert found == [(1, "ACTIVE", True, "Order not found"), (2, "ACTIVE", True, "Not yours")]
    poll(made, active(1))
    (change,) = consumer.take()
    assert (change.previous, change.ended) == (None, False), "it is there again"


def test_an_order_that_is_there_again_before_its_end_was_taken_has_not_ended() -> None:
    made, consumer = begun(active(1))
    made.missing(1, NotFoundError("Order not found"))
    poll(made, active(1, can_cancel=True))
    (change,) = consumer.take()
    assert (change.previous, change.ended, change.problem) == (active(1), False, None)


def test_the_end_of_an_order_that_no_reader_knows_is_no_change() -> None:
    made, consumer = begun()
    made.show(full(1, OrderStatus.EXPIRED))
    made.missing(2, NotFoundError("no"))
    assert consumer.took() == []
    made.show(full(3, ACTIVE))  # a wait has read it, and the list will have it
    assert consumer.took() == [(3, "ACTIVE")]


def test_an_order_whose_row_cannot_be_read_is_read_by_itself() -> None:
    made, consumer = begun()
    odd = {7: InvalidResponseError("$.data[0].status: expected a string, got null.")}
    poll(made, unreadable=odd)
    assert consumer.read() == []
    poll(made, unreadable=odd, now=3)
    assert consumer.read(full(7, OTP_RECEIVED, "7"), now=3) == [7]
    assert consumer.took() == [(7, "OTP_RECEIVED")]
    poll(made, unreadable={8: odd[7]}, now=6)
    made.missing(8, NotFoundError("no"))
    poll(made, now=30)
    assert consumer.read(full(7, OrderStatus.COMPLETED, "7"), now=30) == [7]
    assert consumer.took() == [(7, "COMPLETED")]
    poll(made, unreadable={9: odd[7]}, now=60)
    poll(made, unreadable={9: odd[7]}, now=90)
    assert consumer.read(full(9, OrderStatus.EXPIRED), now=90) == [9]
    assert consumer.took() == [(9, "EXPIRED")]


def test_one_read_serves_a_wait_and_the_readers_and_a_resting_reader_reads_nothing() -> None:
    made, resting = begun(active(1), active(2))
    other = Consumer(made)
    sms_wait = SmsWait(1, needs_code=True)
    waiter = Waiter([sms_wait], Flag())
    made.join(waiter)
    waiter.resting = False
    made.rest(resting.reader)
    poll(made)
    assert (list(waiter.to_read), list(resting.reader.to_read), list(other.reader.to_read)) == ([1], [], [2])
    assert made.begin_reading(waiter, 0) == [1]
    made.show(full(1, OrderStatus.COMPLETED, "1"))
    made.end_reading(waiter, 1)
    assert sms_wait.result().code == "1"
    assert resting.took() == [(1, "COMPLETED")]
    assert other.took() == [(1, "COMPLETED")]


def test_a_read_that_hangs_when_the_reader_rests_is_begun_again() -> None:
    made, consumer = begun(active(1))
    poll(made)
    assert made.begin_reading(consumer.reader, 0) == [1]
    assert made.linger(consumer.reader, 0.1) == pytest.approx(0.15)
    made.rest(consumer.reader)
    assert made.linger(consumer.reader, 0.1) == 0
    assert made.begin_reading(consumer.reader, 0.2) == [1]


def test_reads_that_were_broken_off_have_longer_the_next_time() -> None:
    made, consumer = begun(active(1))
    poll(made)
    found: list[float] = []
    for _ in range(4):
        assert made.begin_reading(consumer.reader, 7) == [1]
        found.append(made.linger(consumer.reader, 7))
        made.rest(consumer.reader)
    assert found == [0.25, 0.5, 1.0, 1.0]
    assert consumer.read(full(1, ACTIVE, otp_received_at=WHEN), now=8) == [1]
    made.rest(consumer.reader)
    poll(made, now=900)
    consumer.reader.resting = False
    poll(made, now=903)
    assert made.begin_reading(consumer.reader, 903) == [1]
    assert made.linger(consumer.reader, 903) == 0.25


# -- leading, failing and leaving ------------------------------------------------------------------


def test_a_final_failure_ends_readers_that_have_nothing_to_take() -> None:
    made, waiting = begun(active(1))
    ready, resting = Consumer(made), Consumer(made)
    ready.reader.push(active(5))
    resting.reader.resting = True
    made.fail(UnauthorizedError("no"))
    assert isinstance(waiting.reader.failure, UnauthorizedError)
    assert (ready.reader.failure, resting.reader.failure) == (None, None)


def test_the_lead_goes_to_a_reader_that_can_poll() -> None:
    made, leader = begun(active(1))
    ready, resting, follower = Consumer(made), Consumer(made), Consumer(made)
    assert [made.leads(one.reader) for one in (leader, ready, resting, follower)] == [True, *[False] * 3]
    ready.reader.push(active(5))
    made.rest(resting.reader)
    follower.reader.signal = Flag()
    made.leave(leader.reader)
    assert follower.reader.signal.is_set
    assert made.leads(follower.reader)


def test_a_change_breaks_off_a_poll_but_not_two_in_a_row() -> None:
    made: SharedPoll[Flag] = SharedPoll(3.0)
    consumer = Consumer(made)

    def woken_by(revision: int, *, polling: bool = True) -> bool:
        consumer.reader.signal = Flag()
        consumer.reader.polling = polling
        made.notify(order_event(OtpReceived, 1, code=str(revision), revision=revision))
        consumer.reader.polling = False
        assert consumer.took() == [(1, "OTP_RECEIVED")]
        return consumer.reader.signal.is_set

    assert [woken_by(revision) for revision in (1, 2, 3)] == [True, False, False]
    made.postpone(0, RateLimitError("slow down"))
    assert [woken_by(revision) for revision in (4, 5)] == [True, False]
    poll(made, active(1, "5", revision=5, status=OTP_RECEIVED))
    assert woken_by(6)
    assert woken_by(7, polling=False), "only a poll is not broken off"


def test_with_the_last_reader_all_that_is_known_is_dropped() -> None:
    made, consumer = begun(active(1), active(2), active(3))
    other = Consumer(made)
    made.notify(order_event(OrderCompleted, 3))
    poll(made, active(2))
    assert made.begin_reading(consumer.reader, 0) == [1]
    made.leave(consumer.reader)
    assert list(made._known.live) == [1, 2]
    for _ in range(2):
        made.leave(other.reader)
    known = made._known
    assert (known.live, known._ended, known.readers) == ({}, {}, {})
    assert (made._absent, made._reading, made._participants) == ({}, {}, {})
    poll(made, active(4))
    made.notify(order_event(OtpReceived, 4, code="4"))
    assert known.live == {}, "without a reader nothing is kept"


def test_an_interrupted_update_is_repeated_by_the_next_one() -> None:
    made, consumer = begun(active(1))

    class Interrupting(ChangeReader[Flag]):
        def push(self, *args: Any, **options: Any) -> None:
            raise KeyboardInterrupt

    interrupting = Interrupting(Flag())
    made.join(interrupting)
    over = full(1, OrderStatus.COMPLETED, "1", sms_revision=1)
    with pytest.raises(KeyboardInterrupt):
        poll(made, active(1, "1", revision=1))
    with pytest.raises(KeyboardInterrupt):
        made.show(over)
    made.leave(interrupting)
    made.show(over)
    (change,) = consumer.take()
    assert (change.ended, change.sms and change.sms.code) == (True, "1")


def test_a_reader_that_is_collected_in_the_middle_of_an_update_leaves_nothing_behind() -> None:
    made: SharedPoll[Flag] = SharedPoll(3.0)

    class Collected(ChangeReader[Flag]):
        def push(self, *args: Any, **options: Any) -> None:
            made.leave(self)

    made.join(Collected(Flag()))
    made.notify(order_event(OtpReceived, 1, code="1"))
    assert made._known.live == {}
    made.join(Collected(Flag()))
    made.notify(order_event(OrderExpired, 2))
    consumer = Consumer(made)
    poll(made, active(2))
    assert consumer.took() == [(2, "EXPIRED")], "an order that ended before the first reader is new to it"


# -- bounds ----------------------------------------------------------------------------------------


def test_of_the_ends_that_are_not_taken_the_newest_are_kept() -> None:
    reader = ChangeReader(Flag(), most=2)
    for order_id in (1, 2, 3, 4):
        reader.push(active(order_id))
        assert reader.take(order_id) is not None
    for order_id in (3, 1, 2):
        reader.push(full(order_id, OrderStatus.EXPIRED), ended=True)
    reader.push(active(4, "4"))
    assert reader.pending() == (1, 2, 4)
    assert reader._taken.keys() == {1, 2, 4}


def test_of_the_ends_that_are_not_taken_ten_thousand_are_kept() -> None:
    reader = ChangeReader(Flag())
    for order_id in range(10_001):
        reader.push(active(order_id), ended=True)
    assert (len(reader.pending()), reader.pending()[0]) == (10_000, 1)


def test_an_end_that_was_none_takes_no_place_among_the_ends() -> None:
    reader = ChangeReader(Flag(), most=1)
    reader.push(active(1), ended=True)
    reader.push(active(1))
    reader.push(active(2), ended=True)
    assert reader.pending() == (1, 2)


def test_as_many_orders_are_known_as_the_last_poll_has_listed() -> None:
    known: KnownOrders[Flag] = KnownOrders(most=2)
    known.add(ChangeReader(Flag()))
    for order_id in (4, 5):
        known.see(active(order_id), None, ())
    known.polled((4, 5, 6), (7,))
    known.see_event(active(8, "1"))
    assert list(known.live) == [4, 5, 7, 8]


def test_what_only_webhooks_and_ends_have_shown_is_bounded() -> None:
    known: KnownOrders[Flag] = KnownOrders(most=2)
    reader = ChangeReader(Flag())
    known.add(reader)
    for order_id in (1, 2, 3):
        known.see_event(active(order_id, "1"))
    assert (list(known.live), reader.pending()) == ([2, 3], (2, 3))
    for order_id in (4, 5, 6):
        known.see(active(order_id), None, ())
    known.polled((4, 5, 6), ())
    for order_id in (7, 7):
        known.see_event(active(order_id, "1"))
    assert list(known.live) == [3, 4, 5, 6, 7]
    for order_id in (3, 4, 5, 6, 7):
        known.see(full(order_id, OrderStatus.EXPIRED), None, ())
    assert (list(known._ended), known.live) == ([6, 7], {})


# -- against a reference ---------------------------------------------------------------------------

COUNTED = [field.name for field in attrs.fields(ActiveOrder) if field.name != "otp_received_at"]


def state(order: Order | ActiveOrder) -> list[object]:
    return [getattr(order, name) for name in COUNTED]


class Changing(RuleBasedStateMachine):
    """Orders that change while polls, reads and webhooks show them in any order, late and repeated.

    The reference is the service itself, and what each consumer took: a change is from what was taken last to
    something else, an end is the last of its order, and after a poll and the reads that it requires, what was
    taken is how the orders are.
    """

    revisions = True

    def __init__(self) -> None:
        super().__init__()
        self.poll: SharedPoll[Flag] = SharedPoll(3.0, reads_at_once=100)
        self.truth: dict[int, Order] = {}
        self.consumers: list[Consumer] = []
        self.taken: dict[Consumer, dict[int, Order | ActiveOrder]] = {}
        self.over: dict[Consumer, set[int]] = {}
        self.sent: list[Any] = []  # webhooks, which come again and in any order
        self.answer: tuple[frozenset[int], list[ActiveOrder]] | None = None
        self.now = 0.0
        self.second = 0

    @initialize()
    def begin(self) -> None:
        self.join()

    def live(self) -> list[int]:
        return [one for one, order in self.truth.items() if not OrderStatus(order.status).terminal]

    def listed(self) -> list[ActiveOrder]:
        fields = [field.name for field in attrs.fields(ActiveOrder)]
        orders = [self.truth[one] for one in self.live()]
        return [ActiveOrder(**{name: getattr(order, name) for name in fields}) for order in orders]

    def change(self, order_id: int, **changes: Any) -> Order:
        self.truth[order_id] = attrs.evolve(self.truth[order_id], **changes)
        return self.truth[order_id]

    @rule()
    def buy(self) -> None:
        order_id = len(self.truth) + 1
        self.truth[order_id] = full(order_id, ACTIVE, sms_revision=0 if self.revisions else None)

    @precondition(lambda self: self.live())
    @rule(data=st.data(), told=st.booleans())
    def message(self, data: st.DataObject, told: bool) -> None:
        order_id = data.draw(st.sampled_from(self.live()))
        self.second += 1
        code, before = str(self.second), self.truth[order_id]
        time = WHEN + timedelta(seconds=self.second)
        order = self.change(
            order_id,
            status=OTP_RECEIVED,
            otp_code=code,
            otp_message=f"Code {code}",
            otp_received_at=before.otp_received_at or time,
            sms_revision=None if before.sms_revision is None else before.sms_revision + 1,
        )
        event = OtpReceived(
            timestamp=time,
            order_id=order_id,
            otp_code=code,
            otp_message=order.otp_message,
            sms_revision=order.sms_revision,
        )
        self.tell(event, told)

    @precondition(lambda self: self.live())
    @rule(data=st.data(), told=st.booleans())
    def end(self, data: st.DataObject, told: bool) -> None:
        order_id = data.draw(st.sampled_from(self.live()))
        before = self.truth[order_id]
        completed = before.otp_code is not None
        order = self.change(order_id, status=OrderStatus.COMPLETED if completed else OrderStatus.EXPIRED)
        kind = OrderCompleted if completed else OrderExpired
        self.tell(kind(order_id=order_id, otp_code=order.otp_code, otp_message=order.otp_message), told)

    def tell(self, event: Any, told: bool) -> None:
        self.sent.append(event)
        if told:
            self.poll.notify(event)

    @precondition(lambda self: self.live())
    @rule(data=st.data())
    def allow(self, data: st.DataObject) -> None:
        """Change what can be done, which no webhook says; or resend, after which the order waits again."""
        order_id = data.draw(st.sampled_from(self.live()))
        order = self.truth[order_id]
        self.change(order_id, can_cancel=not order.can_cancel, status=ACTIVE)

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        if self.revisions:
            self.poll.notify(data.draw(st.sampled_from(self.sent)))

    @rule()
    def ask(self) -> None:
        self.answer = self.poll.begin_poll(self.now), self.listed()

    @precondition(lambda self: self.answer)
    @rule(odd=st.booleans())
    def arrive(self, odd: bool) -> None:
        """Feed the answer, which is as old as it is; with ``odd``, one row cannot be read."""
        assert self.answer is not None
        (asked, orders), self.answer = self.answer, None
        unreadable = {order.id: InvalidResponseError("odd") for order in orders[:1] if odd}
        self.poll.feed(orders[1:] if odd else orders, asked, self.now, WHEN, unreadable)

    @rule()
    def join(self) -> None:
        if len(self.consumers) < 3:
            consumer = Consumer(self.poll)
            self.consumers.append(consumer)
            self.taken[consumer], self.over[consumer] = {}, set()

    @precondition(lambda self: len(self.consumers) > 1)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        consumer = data.draw(st.sampled_from(self.consumers))
        self.consumers.remove(consumer)
        self.poll.leave(consumer.reader)

    @rule(data=st.data())
    def take_one(self, data: st.DataObject) -> None:
        consumer = data.draw(st.sampled_from(self.consumers))
        self.note(consumer, consumer.reader.pending()[:1])

    def note(self, consumer: Consumer, order_ids: Iterable[int]) -> None:
        taken, over = self.taken[consumer], self.over[consumer]
        for order_id in order_ids:
            change = consumer.reader.take(order_id)
            assert change is not None
            assert change.order_id == change.order.id == order_id
            assert order_id not in over, "after its end"
            assert change.previous == taken.get(order_id)
            assert change.ended or change.previous is None or state(change.previous) != state(change.order)
            assert change.ended == OrderStatus(change.status).terminal
            before = None if change.previous is None else change.previous.otp_message
            if self.revisions:
                assert (change.sms is None) == (change.order.otp_message == before)
            if change.ended:
                over.add(order_id)
            taken[order_id] = change.order

    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        self.read_by(data.draw(st.sampled_from(self.consumers)))

    def read_by(self, consumer: Consumer) -> None:
        consumer.read(*self.truth.values(), now=self.now)

    @rule()
    def catch_up(self) -> None:
        """Poll, read and take all: then each consumer knows how everything is."""
        self.answer = None
        for _ in range(2):  # an order whose row was odd is asked for by the next poll
            self.now += 1000
            self.poll.feed(self.listed(), self.poll.begin_poll(self.now), self.now, WHEN)
            for consumer in self.consumers:
                self.read_by(consumer)
        live = set(self.live())
        for consumer in self.consumers:
            self.note(consumer, consumer.reader.pending())
            taken, over = self.taken[consumer], self.over[consumer]
            assert taken.keys() - over == live
            for order_id in live:
                assert state(taken[order_id]) == state(self.truth[order_id])
            assert all(taken[one].status == self.truth[one].status for one in over)
        assert self.poll._known.live.keys() == live
        assert not self.poll._absent

    @invariant()
    def nothing_is_kept_of_what_is_over(self) -> None:
        for consumer in self.consumers:
            kept = consumer.reader._taken.keys() | set(consumer.reader.pending())
            assert not kept & self.over[consumer]

    def teardown(self) -> None:
        for consumer in self.consumers:
            self.poll.leave(consumer.reader)
        made = self.poll
        assert (made._known.live, made._known._ended, made._absent, made._reading) == ({}, {}, {}, {})


class ChangingWithoutRevisions(Changing):
    """The same at an older server, which does not count messages: its webhooks come once, and in time."""

    revisions = False


TestChanging = Changing.TestCase
TestChanging.settings = settings(max_examples=75 * RUNS, stateful_step_count=40, deadline=None)
TestChangingWithoutRevisions = ChangingWithoutRevisions.TestCase
TestChangingWithoutRevisions.settings = TestChanging.settings
