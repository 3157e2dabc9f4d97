"""Who waits for which orders: strict matching, one poll for all, and a lead that is never lost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from smscode import (
    ActiveOrder,
    InvalidResponseError,
    Money,
    NotFoundError,
    Order,
    OrderStatus,
    OrderTerminalError,
    OtpSms,
    RateLimitError,
    UnauthorizedError,
)
from smscode.core.waiting.order_changes import ChangeReader
from smscode.core.waiting.shared_poll import READS_AT_ONCE, SharedPoll
from smscode.core.waiting.sms_wait import Participant, SmsWait, Waiter
from smscode.webhooks import OrderCompleted, OrderExpired, OtpReceived

from ..support import NULLABLE, RUNS, WHEN, order_event
from ..support import active_order as active


class Flag:
    """A signal that remembers being set."""

    def __init__(self) -> None:
        self.is_set = False

    def wake(self) -> None:
        self.is_set = True


class One(SmsWait):
    """A watch, and the one waiter for it."""

    def __init__(self, order_id: int, **options: Any) -> None:
        super().__init__(order_id, **options)
        self.waiter = Waiter([self], Flag())

    @property
    def woken(self) -> bool:
        return self.waiter.signal.is_set

    @property
    def reads(self) -> list[int]:
        return list(self.waiter.to_read)


def watch(
    order_id: int = 1, *, needs_code: bool = True, after_revision: Any = None, after_code: Any = None
) -> One:
    return One(order_id, needs_code=needs_code, after_revision=after_revision, after_code=after_code)


def full(order_id: int, code: str | None, status: OrderStatus | str) -> Order:
    blank: dict[str, Any] = {**dict.fromkeys(NULLABLE), "otp_code": code}
    return Order(id=order_id, status=status, product_id=1, amount=Money.idr(1), **blank)


def board(*watches: One, interval: float = 3.0) -> SharedPoll[Flag]:
    made: SharedPoll[Flag] = SharedPoll(interval)
    for one in watches:
        join(made, one)
    return made


def join(made: SharedPoll[Flag], one: One) -> None:
    made.join(one.waiter)
    one.waiter.resting = False


def test_a_poll_ends_exactly_the_waits_for_its_orders() -> None:
    first, twin, other = watch(1), watch(1), watch(11)
    made = board(first, twin, other)
    made.feed([active(1, "111"), active(111, "999")], made.begin_poll(0), 0)
    assert (first.result().code, twin.result().code) == ("111", "111")
    assert list(first.waiter.ended) == [first]
    assert not other.ended
    assert [one.woken for one in (first, twin)] == [True, True]
    assert [one.reads for one in (first, twin, other)] == [[], [], [11]]


def test_an_order_that_was_asked_for_and_not_shown_is_to_be_read_by_who_waits_for_it() -> None:
    one, shown, late = watch(5), watch(2), watch(3)
    made = board(one, shown)
    asked = made.begin_poll(0)
    assert asked == {5, 2}
    join(made, late)
    made.feed([active(2)], asked, 0)
    assert (one.reads, one.woken) == ([5], True)
    assert (shown.reads, late.reads) == ([], []), "the late one was not asked for"
    assert made.begin_reading(one.waiter, 0) == [5]
    made.show(full(5, None, OrderStatus.CANCELED))
    made.end_reading(one.waiter, 5)
    assert isinstance(one.error, OrderTerminalError)
    assert made.begin_poll(3) == {2, 3}, "who ended is not asked for any more"


def test_an_order_that_several_wait_for_is_read_by_one_of_them() -> None:
    first, twin = watch(9), watch(9)
    made = board(first, twin)
    made.feed([], made.begin_poll(0), 0)
    assert made.begin_reading(first.waiter, 0) == [9]
    made.feed([], made.begin_poll(3), 3)
    assert (first.reads, twin.reads) == ([], []), "it is being read"
    made.end_reading(first.waiter, 9)
    made.feed([], made.begin_poll(30), 30)
    assert (first.reads, twin.reads) == ([9], []), "the reading failed"
    made.leave(first.waiter)
    made.feed([], made.begin_poll(33), 33)
    assert twin.reads == [9]
    assert made.begin_reading(twin.waiter, 33) == [9]


def test_an_order_that_the_list_lacks_is_read_again_after_a_time_that_doubles() -> None:
    one, neighbour = watch(1), watch(2)
    made = board(one, neighbour, interval=1.0)
    reads: dict[int, list[int]] = {1: [], 2: []}
    for now in range(60):
        made.feed([], made.begin_poll(now), now)
        for each in (one, neighbour):
            for order_id in made.begin_reading(each.waiter, now):
                reads[order_id].append(now)
                made.show(full(order_id, None, OrderStatus.ACTIVE))
                made.end_reading(each.waiter, order_id)
    assert reads[1] == [0, 3, 9, 20, 34, 48]
    assert reads[2] == [0, 3, 8, 17, 29, 41, 53]
    made.feed([active(1)], made.begin_poll(60), 60)
    made.feed([], made.begin_poll(61), 61)
    assert made.begin_reading(one.waiter, 61) == [1], "it was on the list again"


def test_reads_that_hang_leave_room_for_the_poll_and_are_followed_by_those_of_others() -> None:
    waiters = [watch(number) for number in range(1, 5)]
    made: SharedPoll[Flag] = SharedPoll(3.0, reads_at_once=2)
    for one in waiters:
        join(made, one)
    made.feed([], made.begin_poll(0), 0)
    assert [made.begin_reading(one.waiter, 0) for one in waiters] == [[1], [2], [], []]
    for one in waiters:
        one.waiter.signal = Flag()
    made.end_reading(waiters[0].waiter, 1)
    assert [one.woken for one in waiters] == [True, False, True, False]
    assert made.begin_reading(waiters[2].waiter, 0) == [3]
    made.leave(waiters[1].waiter)
    assert waiters[3].woken
    assert made.begin_reading(waiters[3].waiter, 0) == [4]


def test_one_that_left_is_not_woken_for_the_next_read() -> None:
    reading, left, next_one = watch(1), watch(2), watch(3)
    made: SharedPoll[Flag] = SharedPoll(3.0, reads_at_once=1)
    for one in (reading, left, next_one):
        join(made, one)
    made.feed([], made.begin_poll(0), 0)
    assert [made.begin_reading(one.waiter, 0) for one in (reading, left, next_one)] == [[1], [], []]
    made.leave(left.waiter)
    next_one.waiter.signal = Flag()
    made.end_reading(reading.waiter, 1)
    assert next_one.woken


def test_orders_are_read_by_their_ids_and_only_if_the_waiter_still_waits_for_them() -> None:
    many = Waiter([SmsWait(number, needs_code=True) for number in (8, 1, 9)], Flag())
    made = board(watch(9))
    made.join(many)
    many.resting = False
    made.show(active(9))
    made.rest(next(iter(made._participants)))
    made.feed([], made.begin_poll(0), 0)
    assert list(many.to_read) == [1, 8, 9]
    made.unreadable(many, 9, UnauthorizedError("no"))
    assert made.begin_reading(many, 0) == [1, 8]


def test_an_order_that_is_waited_for_again_is_read_as_soon_as_a_poll_lacks_it() -> None:
    one, again = watch(9), watch(9)
    made = board(one)
    made.feed([], made.begin_poll(0), 0)
    assert made.begin_reading(one.waiter, 0) == [9]
    made.show(full(9, None, OrderStatus.ACTIVE))
    made.end_reading(one.waiter, 9)
    made.leave(one.waiter)
    join(made, again)
    made.feed([], made.begin_poll(3), 3)
    assert made.begin_reading(again.waiter, 3) == [9]


def test_one_that_has_joined_and_does_not_wait_yet_is_not_told_of_a_failure() -> None:
    one = watch(1)
    made = board()
    made.join(one.waiter)
    made.fail(UnauthorizedError("no"))
    assert (one.waiter.failure, one.woken) == (None, False)


def test_one_that_polls_is_not_interrupted_to_read() -> None:
    one, other = watch(9), watch(8)
    made = board(one, other)
    one.waiter.polling = True
    made.feed([], made.begin_poll(0), 0)
    assert (one.woken, other.woken) == (False, True)
    assert made.begin_reading(one.waiter, 0) == [9]
    made.end_reading(one.waiter, 9)
    assert not one.woken


def test_one_that_rests_does_not_poll_any_more() -> None:
    one = watch(9)
    made = board(one)
    one.waiter.polling = True
    made.rest(one.waiter)
    assert not one.waiter.polling


def test_what_a_waiter_began_to_read_is_read_at_the_next_poll_when_it_rests() -> None:
    one, twin = watch(9), watch(9)
    made = board(one, twin)
    made.feed([], made.begin_poll(0), 0)
    assert made.begin_reading(one.waiter, 0) == [9]
    made.rest(one.waiter)
    made.end_reading(one.waiter, 9)  # by a thread that could not be stopped
    made.feed([], made.begin_poll(3), 3)
    assert made.begin_reading(twin.waiter, 3) == [9]
    made.end_reading(one.waiter, 9)
    assert made.begin_reading(twin.waiter, 3) == [], "it is still being read"


def test_what_ended_or_is_shown_or_is_being_read_by_now_is_not_read() -> None:
    first, twin = watch(9), watch(9)
    made = board(first, twin)
    made.feed([], made.begin_poll(0), 0)
    first.waiter.resting = True
    made.feed([], made.begin_poll(3), 3)
    assert (first.reads, twin.reads) == ([9], [9])
    assert made.begin_reading(twin.waiter, 3) == [9]
    assert made.begin_reading(first.waiter, 3) == []
    told, listed = watch(8), watch(7)
    join(made, told)
    join(made, listed)
    made.feed([], made.begin_poll(6), 6)
    made.notify(order_event(OtpReceived, 8, code="1"))
    made.feed([active(7)], made.begin_poll(9), 9)
    assert made.begin_reading(told.waiter, 9) == []
    assert made.begin_reading(listed.waiter, 9) == []


def test_many_orders_are_read_a_few_at_once_by_one_that_goes_on_leading() -> None:
    many = Waiter([SmsWait(number, needs_code=True) for number in range(1, 2 * READS_AT_ONCE)], Flag())
    made: SharedPoll[Flag] = SharedPoll(3.0, reads_at_once=100)
    join(made, follower := watch(1000))
    made.join(many)
    many.resting = False
    assert made.leads(many)
    assert not made.leads(follower.waiter)
    made.feed([active(1000)], made.begin_poll(0), 0)
    assert made.begin_reading(many, 0) == list(range(1, READS_AT_ONCE + 1))
    assert not follower.woken
    assert made.leads(many)
    assert made.begin_reading(many, 0) == []
    for order_id in range(1, READS_AT_ONCE + 1):
        made.end_reading(many, order_id)
    assert made.begin_reading(many, 0) == list(range(READS_AT_ONCE + 1, 2 * READS_AT_ONCE))
    assert made.begin_reading(many, 0) == []


def test_a_row_that_cannot_be_read_concerns_its_own_order_only() -> None:
    odd, other = watch(1), watch(2)
    made = board(odd, other)
    error = InvalidResponseError("$.data[0].status: expected a string, got null.", status_code=200)
    made.feed([active(2, "5")], made.begin_poll(0), 0, WHEN, {1: error, 77: error})
    assert other.result().code == "5"
    assert odd.timeout_error(1.0, made.failure).failure is error
    assert made.begin_poll(0) == {1}, "nothing waits for the other order of which a row could not be read"
    assert made.begin_reading(odd.waiter, 0) == [1], "by itself it may be readable"
    made.show(full(1, None, OrderStatus.ACTIVE))
    assert odd.timeout_error(1.0, made.failure).failure is None


def test_a_transient_failure_of_the_poll_is_kept_until_the_next_that_is_answered() -> None:
    one = watch(1)
    made = board(one)
    made.begin_poll(0)
    made.postpone(0, error := InvalidResponseError("no"))
    assert made.failure is error
    assert one.timeout_error(1.0, made.failure).failure is error
    made.feed([active(1)], made.begin_poll(3), 3)
    assert made.failure is None


def test_a_wait_that_left_is_not_asked_for() -> None:
    one, other = watch(1), watch(2)
    made = board(one, other)
    asked = made.begin_poll(0)
    made.leave(one.waiter)
    assert made.begin_poll(0) == {2}
    made.feed([], asked, 0)
    assert (one.reads, other.reads) == ([], [2])
    assert made._absent.keys() == {2}


def test_an_order_that_does_not_exist_ends_the_waits_for_it() -> None:
    one, twin, other, done = watch(1), watch(1), watch(2), watch(1)
    done.see(active(code="5"))
    made = board(one, twin, other, done)
    error = NotFoundError("Order not found", code="NOT_FOUND", status_code=404)
    made.missing(1, error)
    for ended in (one, twin):
        assert ended.woken
        with pytest.raises(NotFoundError) as caught:
            ended.result()
        assert caught.value is error
    assert not other.ended
    assert done.result().code == "5"


def test_an_order_that_cannot_be_read_ends_only_the_wait_that_read_it() -> None:
    one, twin = watch(1), watch(1)
    made = board(one, twin)
    error = UnauthorizedError("no")
    made.unreadable(one.waiter, 1, error)
    made.unreadable(one.waiter, 1, error)
    assert (one.error, twin.error) == (error, None)


def test_a_failure_that_concerns_all_is_told_to_all_who_wait() -> None:
    one, two, done, resting = watch(1), watch(2), watch(3), watch(4)
    made = board(one, two, done, resting)
    made.show(active(3, "5"))
    resting.waiter.resting = True
    error = UnauthorizedError("no", code="UNAUTHORIZED", status_code=401)
    made.fail(error)
    for failed in (one, two):
        assert failed.woken
        assert isinstance(failed.waiter.failure, UnauthorizedError)
        assert failed.waiter.failure is not error
        assert failed.waiter.failure.status_code == 401
    assert (done.waiter.failure, resting.waiter.failure) == (None, None)


def test_the_first_to_ask_leads_and_the_others_follow() -> None:
    one, two = watch(1), watch(2)
    made = board(one, two)
    assert made.leads(two.waiter)
    assert not made.leads(one.waiter)
    assert made.leads(two.waiter)


def test_a_leader_that_leaves_wakes_the_first_that_still_waits() -> None:
    leader, done, failed, resting, looking, follower, last = (watch(number) for number in range(1, 8))
    made = board(leader, done, failed, resting, looking, follower, last)
    assert made.leads(leader.waiter)
    for one in (done, failed, resting, looking, follower, last):
        assert not made.leads(one.waiter)
    made.show(active(2, "5"))
    failed.waiter.failure = UnauthorizedError("no")
    made.rest(resting.waiter)
    made.begin_reading(looking.waiter, 0)  # it is awake, and its time to lead is over
    made.leave(leader.waiter)
    woken = [one.woken for one in (failed, resting, looking, follower, last)]
    assert woken == [False, False, False, True, False]
    assert made.leads(follower.waiter)


def test_one_that_has_joined_and_does_not_follow_yet_is_not_chosen_to_lead() -> None:
    leader, fresh, follower = watch(1), watch(2), watch(3)
    made = board(leader, fresh, follower)
    assert [made.leads(one.waiter) for one in (leader, follower)] == [True, False]
    made.leave(leader.waiter)
    assert [one.woken for one in (fresh, follower)] == [False, True]


def test_who_rests_between_two_results_is_not_chosen_to_lead() -> None:
    leader, resting, follower = watch(1), watch(2), watch(3)
    made = board(leader, resting, follower)
    assert [made.leads(one.waiter) for one in (leader, resting, follower)] == [True, False, False]
    made.rest(resting.waiter)
    made.leave(leader.waiter)
    assert [one.woken for one in (resting, follower)] == [False, True]


def test_results_come_in_the_order_in_which_the_waits_ended() -> None:
    watches = [SmsWait(one, needs_code=True, after_revision=None, after_code=None) for one in (1, 2, 3)]
    waiter = Waiter(watches, Flag())
    made = board()
    made.join(waiter)
    for order_id in (2, 3, 1):
        made.show(active(order_id, "5"))
    assert [one.order_id for one in waiter.ended] == [2, 3, 1]


def test_a_webhook_that_a_poll_overtook_is_not_told_to_later_waits() -> None:
    made = board()
    made.notify(order_event(OtpReceived, 1, code="1", revision=1))
    made.feed([active(1, "2", revision=2)], made.begin_poll(0), 0.0)
    join(made, late := watch(1))
    assert not late.ended


def test_a_webhook_from_before_the_code_that_a_poll_showed_ends_no_wait() -> None:
    one = watch(after_code="222")
    made = board(one)
    made.feed([active(1, "222")], made.begin_poll(0), 0, WHEN.replace(second=10))
    made.notify(order_event(OtpReceived, code="111", second=5))
    assert not one.ended
    made.notify(order_event(OtpReceived, code="333", second=15))
    assert one.result().code == "333"


def test_a_text_that_a_webhook_brings_is_seen_although_it_has_no_revision() -> None:
    one = watch(after_revision=1)
    board(one).notify(order_event(OtpReceived, text="Confirm"))
    assert (one.ended, one.timeout_error(1.0).text) == (False, "Confirm")


def test_a_follower_that_leaves_disturbs_nobody() -> None:
    leader, follower, other = watch(1), watch(2), watch(3)
    made = board(leader, follower, other)
    assert [made.leads(one.waiter) for one in (leader, follower, other)] == [True, False, False]
    made.leave(follower.waiter)
    assert not leader.woken
    assert not other.woken
    assert made.leads(leader.waiter)


def test_the_lead_is_not_lost_with_a_follower_that_leaves_before_it_takes_it() -> None:
    leader, woken, other = watch(1), watch(2), watch(3)
    made = board(leader, woken, other)
    assert [made.leads(one.waiter) for one in (leader, woken, other)] == [True, False, False]
    made.leave(leader.waiter)
    assert woken.woken
    made.leave(woken.waiter)
    assert other.woken


def test_the_last_one_leaves_an_empty_board_to_the_next() -> None:
    one, next_one = watch(1), watch(2)
    made = board(one)
    assert made.leads(one.waiter)
    made.leave(one.waiter)
    join(made, next_one)
    assert made.leads(next_one.waiter)


def test_the_time_of_the_next_poll_belongs_to_the_board() -> None:
    one, two = watch(1), watch(2)
    made = board(one, two, interval=3.0)
    assert made.until_due(100) == 0
    assert made.leads(one.waiter)
    made.begin_poll(100)
    assert made.until_due(101) == 2
    made.leave(one.waiter)
    assert made.leads(two.waiter)
    assert made.until_due(101) == 2, "a new leader polls no sooner"
    assert made.until_due(104) == 0


def test_a_service_that_asks_for_patience_gets_it() -> None:
    made = board(watch(), interval=3.0)
    made.begin_poll(100)
    made.postpone(100, RateLimitError("slow down", retry_after=10))
    assert made.until_due(100) == 10
    made.postpone(100, RateLimitError("slow down", retry_after=5))
    made.postpone(100, RateLimitError("slow down"))
    assert made.until_due(100) == 10
    made.postpone(110, RateLimitError("slow down"))
    assert made.until_due(110) == 0
    made.begin_poll(110)
    assert made.until_due(110) == 3


def test_a_page_that_asks_for_a_day_of_patience_gets_five_minutes() -> None:
    made = board(watch(), interval=3.0)
    made.begin_poll(100)
    made.postpone(100, InvalidResponseError("a page", status_code=403, retry_after=86_400))
    assert made.until_due(100) == 300


def test_a_webhook_ends_the_waits_for_its_order_at_once() -> None:
    one, twin, other = watch(1), watch(1), watch(2)
    made = board(one, twin, other)
    event = order_event(OtpReceived, 1, code="1", text="Code 1", revision=1)
    made.notify(event)
    assert one.result() == twin.result() == OtpSms(1, "Code 1", 1, event.timestamp, code="1")
    assert [each.woken for each in (one, twin, other)] == [True, True, False]
    assert made.begin_poll(0) == {2}


def test_a_webhook_that_came_before_the_wait_is_found_by_it() -> None:
    made = board()
    made.notify(order_event(OtpReceived, 1, code="1"))
    made.notify(order_event(OrderExpired, 2))
    one, over = watch(1), watch(2)
    join(made, one)
    join(made, over)
    assert one.result().code == "1"
    assert isinstance(over.error, OrderTerminalError)


def test_a_webhook_that_says_nothing_new_ends_nothing() -> None:
    made = board()
    for revision in (2, 1, 2):
        made.notify(order_event(OtpReceived, code=str(revision), revision=revision))
    one, newer = watch(), watch(after_revision=2)
    join(made, one)
    join(made, newer)
    assert one.result().code == "2"
    made.notify(order_event(OtpReceived, code="9", revision=1))
    assert not newer.ended
    made.notify(order_event(OtpReceived, code="3", revision=3))
    assert newer.result().code == "3"


def test_a_message_without_a_code_is_told_to_who_waits_for_one() -> None:
    one, any_one = watch(), watch(needs_code=False)
    made = board(one, any_one)
    made.notify(order_event(OtpReceived, text="Confirm", revision=1))
    assert any_one.result().text == "Confirm"
    error = one.timeout_error(1.0)
    assert (one.ended, error.text) == (False, "Confirm")
    assert isinstance(error.order, ActiveOrder)
    assert error.order.status == OrderStatus.OTP_RECEIVED


def test_an_order_that_a_webhook_ended_with_its_code_gives_the_code() -> None:
    one, old = watch(), watch(after_code="1")
    made = board(one, old)
    made.notify(order_event(OrderCompleted, code="1"))
    assert one.result().code == "1"
    assert isinstance(old.error, OrderTerminalError)
    assert old.error.status == "COMPLETED"


@pytest.mark.parametrize(
    ("after", "event", "end"),
    [
        ({"after_revision": 1}, {"code": "1"}, "nothing"),
        ({"after_revision": 1}, {"text": "hello"}, "nothing"),
        ({"after_revision": 1, "after_code": "1"}, {"code": "1"}, "nothing"),
        ({"after_revision": 1, "after_code": "1"}, {"text": "hello"}, "nothing"),
        ({"after_revision": 1, "after_code": "1"}, {"code": "2"}, "code"),
        ({"after_revision": 1}, {"code": "2", "revision": 2}, "code"),
        ({"after_revision": 1}, {"code": "2", "revision": 1}, "error"),
        ({"after_revision": 1}, {}, "error"),
    ],
)
def test_an_end_whose_code_may_be_old_is_left_to_the_next_poll(
    after: dict[str, Any], event: dict[str, Any], end: str
) -> None:
    one = watch(**after)
    board(one).notify(order_event(OrderCompleted, **event))
    assert (one.sms is not None, one.error is not None) == (end == "code", end == "error")


def test_a_poll_that_a_webhook_overtook_changes_nothing() -> None:
    one = watch()
    made = board(one)
    made.notify(order_event(OtpReceived, text="newer", revision=2))
    made.feed([active(code="1", text="older", revision=1)], frozenset(), 0)
    assert not one.ended
    assert (one.text, one.timeout_error(1.0).text) == ("newer", "newer")
    made.feed([active(revision=1, status=OrderStatus.EXPIRED)], frozenset(), 0)
    assert isinstance(one.error, OrderTerminalError)


ORDERS = st.integers(1, 4)  # the account does not have the last one


class Waiting(RuleBasedStateMachine):
    """Run waiters that join and leave while messages arrive, and compare them with a simple model.

    They do what the shell does: whoever is awake takes what ended, begins to read what it is to read, and
    asks for the lead and polls when that is due; else it sleeps until it is woken. Reads go on beside all
    that, for any time. Every poll and every read can be left in the middle, or fail. One that looks once
    never leads. Readers of changes come and go among them, and do the same.
    """

    def __init__(self) -> None:
        super().__init__()
        self.board: SharedPoll[Flag] = SharedPoll(3.0, reads_at_once=2)
        self.looking: set[Participant[Flag]] = set()
        self.everyone: list[Participant[Flag]] = []
        self.asleep: set[Participant[Flag]] = set()
        self.resting: set[Participant[Flag]] = set()  # they are going through a result
        self.reads: dict[int, Participant[Flag]] = {}
        self.poller: tuple[Participant[Flag], frozenset[int]] | None = None
        self.codes: dict[int, str] = {}
        self.told: set[int] = set()  # by webhooks
        self.over: set[int] = set()
        self.now = 100.0
        self.polls: list[float] = []

    @property
    def waiters(self) -> list[Waiter[Flag]]:
        return [one for one in self.everyone if isinstance(one, Waiter)]

    def busy(self, waiter: Participant[Flag]) -> bool:
        return self.poller is not None and self.poller[0] is waiter

    def ready(self) -> list[Participant[Flag]]:
        return [
            one
            for one in self.everyone
            if not (self.busy(one) or one in self.resting) and (one not in self.asleep or one.signal.is_set)
        ]

    def go(self, waiter: Participant[Flag]) -> None:
        self.everyone.remove(waiter)
        self.asleep.discard(waiter)
        self.resting.discard(waiter)
        self.looking.discard(waiter)
        self.stop_reads(waiter)
        if self.poller is not None and self.poller[0] is waiter:
            self.poller = None
        self.board.leave(waiter)

    def stop_reads(self, waiter: Participant[Flag]) -> None:
        self.reads = {one: reader for one, reader in self.reads.items() if reader is not waiter}

    def check(self, watch: SmsWait) -> None:
        """Check that what a watch ended with is about its own order."""
        if watch.sms is not None:
            assert (watch.sms.order_id, watch.sms.code) == (watch.order_id, self.codes[watch.order_id])
        elif isinstance(watch.error, OrderTerminalError):
            assert watch.order_id in self.over
        else:
            assert isinstance(watch.error, NotFoundError)
            assert watch.order_id == 4

    def knows(self, waiter: Waiter[Flag], order_id: int) -> bool:
        """Return True if a waiter that waited for an order has been told of its end."""
        return order_id not in waiter.open and (waiter not in self.asleep or waiter.signal.is_set)

    @rule(order_ids=st.sets(ORDERS, min_size=1), looks=st.booleans())
    def join(self, order_ids: set[int], looks: bool) -> None:
        watches = [
            SmsWait(one, needs_code=True, after_revision=None, after_code=None) for one in sorted(order_ids)
        ]
        waiter = Waiter(watches, Flag())
        self.everyone.append(waiter)
        if looks:
            self.looking.add(waiter)
        self.board.join(waiter)
        for one in watches:
            assert one.ended == (one.order_id in self.told), "what webhooks said is not lost"
        waiter.resting = False

    @rule(looks=st.booleans())
    def read_changes(self, looks: bool) -> None:
        if sum(isinstance(one, ChangeReader) for one in self.everyone) < 2:
            reader = ChangeReader(Flag())
            self.everyone.append(reader)
            if looks:
                self.looking.add(reader)
            self.board.join(reader)
            reader.resting = False

    @precondition(lambda self: self.everyone)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        self.go(data.draw(st.sampled_from(self.everyone)))

    @precondition(lambda self: self.ready())
    @rule(data=st.data())
    def step(self, data: st.DataObject) -> None:
        """Run a waiter that is awake as far as it goes without waiting."""
        waiter = data.draw(st.sampled_from(self.ready()))
        self.asleep.discard(waiter)
        if waiter.ready:  # its reads end with the wait, of which there is another one after the result
            self.board.rest(waiter)
            self.stop_reads(waiter)
            if isinstance(waiter, Waiter):
                self.check(waiter.ended.popleft())
            elif isinstance(waiter, ChangeReader):
                assert waiter.take(waiter.pending()[0]) is not None
            self.resting.add(waiter)
            return
        if waiter.failure is not None or (isinstance(waiter, Waiter) and not waiter.open):
            self.go(waiter)
            return
        waiter.signal = Flag()
        reads = self.board.begin_reading(waiter, self.now)
        assert not self.reads.keys() & set(reads), "read twice"
        self.reads |= dict.fromkeys(reads, waiter)
        assert len(self.reads) <= 2
        if waiter.ready:
            return
        if waiter in self.looking:
            if self.poller is None:  # the machine knows of one poll at a time
                self.poller = waiter, self.board.begin_poll(self.now)
                self.looking.discard(waiter)
                waiter.polling = True
        elif not self.board.leads(waiter):
            self.asleep.add(waiter)
        elif self.board.until_due(self.now) == 0 and self.poller is None:
            self.polls.append(self.now)
            self.poller = waiter, self.board.begin_poll(self.now)
            waiter.polling = True

    @precondition(lambda self: self.resting)
    @rule(data=st.data())
    def ask_for_the_next_result(self, data: st.DataObject) -> None:
        resting = [one for one in self.everyone if one in self.resting]
        waiter = data.draw(st.sampled_from(resting))
        self.resting.discard(waiter)
        waiter.resting = False

    @precondition(lambda self: self.poller)
    @rule(odd=st.booleans())
    def feed(self, odd: bool) -> None:
        assert self.poller is not None
        (poller, asked), self.poller = self.poller, None
        listed = {1, 2, 3} - self.over
        unreadable = {2: InvalidResponseError("odd")} if odd and 2 in listed else {}
        shown = listed - unreadable.keys()
        self.board.feed(
            [active(one, self.codes.get(one)) for one in shown], asked, self.now, None, unreadable
        )
        poller.polling = False
        for waiter in self.waiters:
            for order_id in asked & waiter.open.keys():
                assert order_id not in self.codes.keys() & shown
        for order_id in asked - shown - self.reads.keys():
            assert sum(order_id in one.to_read for one in self.everyone if one.wants(order_id)) <= 1

    @precondition(lambda self: self.poller)
    @rule(passing=st.booleans())
    def fail(self, passing: bool) -> None:
        assert self.poller is not None
        (poller, _), self.poller = self.poller, None
        poller.polling = False
        if passing:
            self.board.postpone(self.now, RateLimitError("slow down", retry_after=5))
            return
        poller.resting = True
        self.board.fail(UnauthorizedError("no"))
        for one in self.everyone:
            if one is not poller and not one.ready and one not in self.resting:
                assert isinstance(one.failure, UnauthorizedError)
                assert one.signal.is_set or one not in self.asleep
        self.go(poller)

    @precondition(lambda self: self.reads)
    @rule(data=st.data(), works=st.booleans())
    def read(self, data: st.DataObject, works: bool) -> None:
        order_id = data.draw(st.sampled_from(sorted(self.reads)))
        if works:
            if order_id == 4:
                self.board.missing(4, NotFoundError("no"))
            else:
                status = OrderStatus.EXPIRED if order_id in self.over else OrderStatus.ACTIVE
                self.board.show(full(order_id, self.codes.get(order_id), status))
            if order_id == 4 or order_id in self.over:
                assert not any(order_id in one.open for one in self.waiters)
        else:
            self.board.read_failed(order_id, InvalidResponseError("a page"))
        self.board.end_reading(self.reads.pop(order_id), order_id)

    @rule(order_id=st.integers(1, 3), code=st.sampled_from(["1", "2"]))
    def message(self, order_id: int, code: str) -> None:
        if order_id not in self.over:
            self.codes.setdefault(order_id, code)

    @rule(order_id=st.integers(1, 3), told=st.booleans())
    def expire(self, order_id: int, told: bool) -> None:
        if order_id in self.codes:
            return
        self.over.add(order_id)
        if told:
            waited = [one for one in self.waiters if order_id in one.open]
            self.told.add(order_id)
            self.board.notify(order_event(OrderExpired, order_id))
            assert all(self.knows(one, order_id) for one in waited)

    @precondition(lambda self: self.codes)
    @rule(data=st.data())
    def notify(self, data: st.DataObject) -> None:
        order_id = data.draw(st.sampled_from(sorted(self.codes)))
        waited = [one for one in self.waiters if order_id in one.open]
        self.told.add(order_id)
        self.board.notify(order_event(OtpReceived, order_id, code=self.codes[order_id]))
        assert all(self.knows(one, order_id) for one in waited)

    @rule(seconds=st.sampled_from([0.5, 3.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def somebody_polls(self) -> None:
        """Nobody waits for a poll that no one will make: one leads, or was woken, or has yet to ask."""
        able = [one for one in self.everyone if one not in self.looking and one not in self.resting]
        assert not self.asleep or any(one not in self.asleep or one.signal.is_set for one in able)

    @invariant()
    def nothing_to_read_is_forgotten(self) -> None:
        """One that sleeps although it has something to read waits for another read to end."""
        for one in self.asleep:
            left = [order_id for order_id in one.to_read if order_id in self.board._absent]
            assert one.signal.is_set or not set(left) - self.reads.keys() or len(self.reads) == 2

    @invariant()
    def polls_keep_their_distance(self) -> None:
        assert all(b - a >= 3.0 for a, b in zip(self.polls, self.polls[1:], strict=False))

    def teardown(self) -> None:
        for waiter in list(self.everyone):
            self.go(waiter)
        board = self.board
        assert (board._known.live, board._known.readers) == ({}, {})
        assert (len(board._participants), len(board._by_order), len(board._reading)) == (0, 0, 0)
        assert (len(board._absent), len(board._queue)) == (0, 0)
        assert board._leader is None


TestWaiting = Waiting.TestCase
TestWaiting.settings = settings(max_examples=75 * RUNS, stateful_step_count=40, deadline=None)


# -- interrupts ------------------------------------------------------------------------------------


class Interrupted(SharedPoll[Flag]):
    """Is interrupted once, when it has told a waiter of an end, and not yet taken the order off its list."""

    interrupted = False

    def _forget(self, waiter: Waiter[Flag], order_id: int) -> None:
        if not self.interrupted:
            self.interrupted = True
            raise KeyboardInterrupt
        super()._forget(waiter, order_id)


def test_an_order_whose_reader_was_interrupted_is_read_by_another_one() -> None:
    reader, other = watch(1), watch(1)
    made = board(reader, other)
    for one in (reader, other):
        one.waiter.resting = False
    made.feed([], made.begin_poll(0.0), 0.0)
    assert made.begin_reading(reader.waiter, 0.0) == [1]
    for _ in range(2):
        made.leave(reader.waiter)
    made.feed([], made.begin_poll(3.0), 3.0)
    assert made.begin_reading(other.waiter, 3.0) == [1]


def test_a_wait_whose_end_was_told_half_way_ends_once() -> None:
    one = watch(1)
    made = Interrupted(3.0)
    join(made, one)
    with pytest.raises(KeyboardInterrupt):
        made.show(full(1, "123456", OrderStatus.OTP_RECEIVED))
    assert (list(one.waiter.ended), list(one.waiter.open)) == ([one], [1])
    made.show(full(1, "123456", OrderStatus.OTP_RECEIVED))
    assert (list(one.waiter.ended), list(one.waiter.open), one.woken) == ([one], [], True)


def test_a_wait_that_was_collected_before_it_was_taken_off_the_list_is_skipped() -> None:
    one, other = watch(1), watch(1)
    made = Interrupted(3.0)
    join(made, one)
    with pytest.raises(KeyboardInterrupt):
        made.show(full(1, "123456", OrderStatus.OTP_RECEIVED))
    join(made, other)
    one.waiter.ended.clear()
    one.waiter.open.clear()  # as its waiter does when it collects the result
    made.show(full(1, "123456", OrderStatus.OTP_RECEIVED))
    assert (list(one.waiter.ended), list(other.waiter.ended)) == ([], [other])


def test_a_wait_whose_result_was_marked_and_not_yet_given_is_given() -> None:
    one = watch(1)
    made = board(one)
    one.reported = True  # an interrupt came before the result was added
    made.show(full(1, "123456", OrderStatus.OTP_RECEIVED))
    assert (list(one.waiter.ended), one.woken) == ([one], True)


def test_a_waiter_goes_on_reading_for_a_moment_before_it_rests_with_a_result() -> None:
    many = Waiter([SmsWait(number, needs_code=True) for number in (1, 2, 3)], Flag())
    made: SharedPoll[Flag] = SharedPoll(3.0)
    made.join(many)
    many.resting = False
    made.feed([active(3)], made.begin_poll(10), 10)
    assert made.begin_reading(many, 10) == [1, 2]
    made.show(full(1, None, OrderStatus.EXPIRED))
    made.end_reading(many, 1)
    assert made.begin_reading(many, 10.125) == []
    assert [made.linger(many, now) for now in (10, 10.125, 10.25, 99)] == [0.25, 0.125, 0, 0]
    made.rest(many)
    assert made.linger(many, 10) == 0
    many.resting = False
    assert made.begin_reading(many, 11) == [2], "it was not read to its end"
    assert made.linger(many, 11) == 0.25, "only a reader of changes has longer the next time"
    made.notify(order_event(OtpReceived, 3, code="1"))
    made.show(full(2, None, OrderStatus.EXPIRED))
    assert made.linger(many, 11) == 0, "nothing is left to wait for"


def test_an_order_whose_waiters_all_rest_is_read_when_one_goes_on() -> None:
    one = watch(9)
    made = board(one)
    one.waiter.resting = True
    made.feed([], made.begin_poll(0), 0)
    assert (one.reads, one.woken) == ([], False)
    one.waiter.resting = False
    made.feed([], made.begin_poll(3), 3)
    assert (one.reads, one.woken) == ([9], True)
