"""Who waits for which SMS: strict matching, one poll for all, and a lead that is never lost."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from smscode import (
    ActiveOrder,
    InvalidArgumentError,
    InvalidResponseError,
    Money,
    NetworkError,
    NotFoundError,
    Order,
    OrderStatus,
    OrderTerminalError,
    RequestTimeoutError,
    Sms,
    SmscodeError,
    errors,
)
from smscode.core.otp import Watch, WatchBoard, rides_out
from smscode.webhooks import OrderCompleted, OrderExpired, OtpReceived

from .support import NOT_INTEGERS, NULLABLE, WHEN, order_event
from .support import active_order as active


class Flag:
    """A signal that remembers being set."""

    def __init__(self) -> None:
        self.is_set = False

    def wake(self) -> None:
        self.is_set = True


def watch(
    order_id: int = 1,
    *,
    needs_code: bool = True,
    after_revision: Any = None,
    after_code: Any = None,
) -> Watch[Flag]:
    return Watch(
        order_id,
        needs_code=needs_code,
        after_revision=after_revision,
        after_code=after_code,
        signal=Flag(),
    )


def full(order_id: int, code: str | None, status: OrderStatus | str) -> Order:
    blank: dict[str, Any] = {**dict.fromkeys(NULLABLE), "otp_code": code}
    return Order(id=order_id, status=status, product_id=1, amount=Money.idr(1), **blank)


def board(*watches: Watch[Flag], interval: float = 3.0) -> WatchBoard[Flag]:
    made: WatchBoard[Flag] = WatchBoard(interval)
    for one in watches:
        made.join(one)
    return made


def seen(one: Watch[Flag], *orders: ActiveOrder | Order) -> Sms | None:
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


def test_a_poll_ends_exactly_the_waits_for_its_orders() -> None:
    first, twin, other = watch(1), watch(1), watch(11)
    made = board(first, twin, other)
    gone = made.feed([active(1, "111"), active(111, "999")], made.polling(0))
    assert (first.result().code, twin.result().code) == ("111", "111")
    assert not other.ended
    assert [one.signal.is_set for one in (first, twin, other)] == [True, True, False]
    assert gone == [11]


def test_an_order_that_was_asked_for_and_not_shown_is_to_be_read() -> None:
    one, shown, late = watch(5), watch(2), watch(3)
    made = board(one, shown)
    asked = made.polling(0)
    assert asked == {5, 2}
    made.join(late)
    assert made.feed([active(2)], asked) == [5], "the late one was not asked for"
    assert made.feed([full(5, None, OrderStatus.CANCELED)], frozenset()) == []
    assert isinstance(one.error, OrderTerminalError)
    assert one.signal.is_set
    assert made.polling(3) == {2, 3}, "who ended is not asked for any more"


def test_the_orders_to_be_read_are_sorted_and_named_once() -> None:
    made = board(watch(9), watch(3), watch(9), watch(7))
    assert made.feed([], made.polling(0)) == [3, 7, 9]


def test_a_wait_that_left_is_not_asked_for() -> None:
    one, other = watch(1), watch(2)
    made = board(one, other)
    asked = made.polling(0)
    made.leave(one)
    assert made.feed([], asked) == [2]


def test_an_order_that_does_not_exist_ends_the_waits_for_it() -> None:
    one, twin, other, done = watch(1), watch(1), watch(2), watch(1)
    done.see(active(code="5"))
    made = board(one, twin, other, done)
    error = NotFoundError("Order not found", code="NOT_FOUND", status_code=404)
    made.missing(1, error)
    for ended in (one, twin):
        assert ended.signal.is_set
        with pytest.raises(NotFoundError) as caught:
            ended.result()
        assert caught.value is error
    assert not other.ended
    assert done.result().code == "5"
    assert not done.signal.is_set


def test_the_first_to_ask_leads_and_the_others_follow() -> None:
    one, two = watch(1), watch(2)
    made = board(one, two)
    assert made.leads(two)
    assert not made.leads(one)
    assert made.leads(two)


def test_a_leader_that_leaves_wakes_the_first_that_still_waits() -> None:
    leader, done, follower, last = watch(1), watch(2), watch(3), watch(4)
    made = board(leader, done, follower, last)
    assert made.leads(leader)
    done.see(active(2, "5"))
    made.leave(leader)
    assert [one.signal.is_set for one in (done, follower, last)] == [False, True, False]
    assert made.leads(follower)


def test_a_follower_that_leaves_disturbs_nobody() -> None:
    leader, follower, other = watch(1), watch(2), watch(3)
    made = board(leader, follower, other)
    assert made.leads(leader)
    made.leave(follower)
    assert not leader.signal.is_set
    assert not other.signal.is_set
    assert made.leads(leader)


def test_the_lead_is_not_lost_with_a_follower_that_leaves_before_it_takes_it() -> None:
    leader, woken, other = watch(1), watch(2), watch(3)
    made = board(leader, woken, other)
    assert made.leads(leader)
    made.leave(leader)
    assert woken.signal.is_set
    made.leave(woken)
    assert other.signal.is_set


def test_the_last_one_leaves_an_empty_board_to_the_next() -> None:
    one, next_one = watch(1), watch(2)
    made = board(one)
    assert made.leads(one)
    made.leave(one)
    made.join(next_one)
    assert made.leads(next_one)


def test_the_time_of_the_next_poll_belongs_to_the_board() -> None:
    one, two = watch(1), watch(2)
    made = board(one, two, interval=3.0)
    assert made.until_due(100) == 0
    assert made.leads(one)
    made.polling(100)
    assert made.until_due(101) == 2
    made.leave(one)
    assert made.leads(two)
    assert made.until_due(101) == 2, "a new leader polls no sooner"
    assert made.until_due(104) == 0


def test_a_service_that_asks_for_patience_gets_it() -> None:
    made = board(watch(), interval=3.0)
    made.polling(100)
    made.postpone(100, 10)
    assert made.until_due(100) == 10
    made.postpone(100, 5)
    made.postpone(100, 0)
    assert made.until_due(100) == 10
    made.polling(110)
    assert made.until_due(110) == 3


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


def test_a_webhook_ends_the_waits_for_its_order_at_once() -> None:
    one, twin, other = watch(1), watch(1), watch(2)
    made = board(one, twin, other)
    event = order_event(OtpReceived, 1, code="1", text="Code 1", revision=1)
    made.notify(event)
    assert one.result() == twin.result() == Sms(1, "1", "Code 1", 1, event.timestamp)
    assert [each.signal.is_set for each in (one, twin, other)] == [True, True, False]
    assert made.polling(0) == {2}


def test_a_webhook_that_came_before_the_wait_is_found_by_it() -> None:
    made = board()
    made.notify(order_event(OtpReceived, 1, code="1"))
    made.notify(order_event(OrderExpired, 2))
    one, over = watch(1), watch(2)
    made.join(one)
    made.join(over)
    assert one.result().code == "1"
    assert isinstance(over.error, OrderTerminalError)


def test_a_webhook_that_says_nothing_new_ends_nothing() -> None:
    made = board()
    for revision in (2, 1, 2):
        made.notify(order_event(OtpReceived, code=str(revision), revision=revision))
    one, newer = watch(), watch(after_revision=2)
    made.join(one)
    made.join(newer)
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
    error = one.timed_out()
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
    made.feed([active(code="1", text="older", revision=1)], frozenset())
    assert not one.ended
    assert (one.text, one.timed_out().text) == ("newer", "newer")
    made.feed([active(revision=1, status=OrderStatus.EXPIRED)], frozenset())
    assert isinstance(one.error, OrderTerminalError)


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


class Waiting(RuleBasedStateMachine):
    """Waits that come and go while messages arrive, beside a plain model of who should know what.

    As the clients do, whoever is awake asks for the lead at once; an ended wait leaves.
    """

    def __init__(self) -> None:
        super().__init__()
        self.board: WatchBoard[Flag] = WatchBoard(3.0)
        self.waits: list[Watch[Flag]] = []
        self.codes: dict[int, str] = {}
        self.told: set[int] = set()
        self.over: set[int] = set()
        self.asleep: set[Watch[Flag]] = set()
        self.now = 0.0
        self.polls: list[float] = []

    def wake(self, one: Watch[Flag]) -> None:
        self.asleep.discard(one)
        if one.ended:
            self.waits.remove(one)
            self.board.leave(one)
        elif not self.board.leads(one):
            one.signal = Flag()
            self.asleep.add(one)

    @rule(order_id=st.integers(1, 4))
    def join(self, order_id: int) -> None:
        one = watch(order_id)
        self.waits.append(one)
        self.board.join(one)
        assert one.ended == (order_id in self.told | self.over), "what webhooks said is not lost"
        self.wake(one)

    @precondition(lambda self: self.waits)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.waits))
        self.waits.remove(one)
        self.asleep.discard(one)
        self.board.leave(one)

    @precondition(lambda self: self.waits)
    @rule(data=st.data())
    def notice(self, data: st.DataObject) -> None:
        ready = [one for one in self.waits if one not in self.asleep or one.signal.is_set]
        if ready:
            self.wake(data.draw(st.sampled_from(ready)))

    @rule(order_id=st.integers(1, 4), code=st.sampled_from(["1", "2"]))
    def message(self, order_id: int, code: str) -> None:
        if order_id not in self.over:
            self.codes.setdefault(order_id, code)

    @precondition(lambda self: self.codes)
    @rule(data=st.data())
    def webhook(self, data: st.DataObject) -> None:
        order_id = data.draw(st.sampled_from(sorted(self.codes)))
        self.told.add(order_id)
        self.board.notify(order_event(OtpReceived, order_id, code=self.codes[order_id]))
        for one in self.waits:
            if one.order_id == order_id:
                assert one.result().code == self.codes[order_id]
                assert one.signal.is_set or one not in self.asleep

    @rule(order_id=st.integers(1, 4))
    def expire(self, order_id: int) -> None:
        if order_id not in self.codes:
            self.over.add(order_id)
            self.board.notify(order_event(OrderExpired, order_id))
            for one in self.waits:
                if one.order_id == order_id:
                    assert isinstance(one.error, OrderTerminalError)
                    assert one.signal.is_set or one not in self.asleep

    @rule(seconds=st.sampled_from([0.5, 3.0]))
    def poll(self, seconds: float) -> None:
        self.now += seconds
        awake = [one for one in self.waits if one not in self.asleep and not one.ended]
        leaders = [one for one in awake if self.board.leads(one)]
        assert len(leaders) <= 1
        if leaders and self.board.until_due(self.now) == 0:
            self.polls.append(self.now)
            asked = self.board.polling(self.now)
            listed = {1, 2, 3} - self.over  # order 4 never is
            shown = {one: self.codes.get(one) for one in listed}
            gone = self.board.feed([active(one, code) for one, code in shown.items()], asked)
            assert gone == ([4] if any(one.order_id == 4 and not one.ended for one in self.waits) else [])
            for one in self.waits:
                known = shown.get(one.order_id) is not None or one.order_id in self.told | self.over
                assert one.ended == known
                assert one.sms is None or one.sms.code == self.codes[one.order_id]

    @invariant()
    def somebody_is_awake(self) -> None:
        """Nobody waits for a poll that no one will make."""
        waiting = [one for one in self.waits if not one.ended]
        assert not waiting or any(one not in self.asleep or one.signal.is_set for one in self.waits)

    @invariant()
    def polls_keep_their_distance(self) -> None:
        assert all(b - a >= 3.0 for a, b in zip(self.polls, self.polls[1:], strict=False))


TestWaiting = Waiting.TestCase
TestWaiting.settings = settings(max_examples=60, stateful_step_count=30)


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
