"""The queue for a rate limit: order, pauses, deadlines, and that nothing is lost by giving up."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from smscode.core.ratelimit.limiter import GroupLimiter, Lease, NoRoom
from smscode.core.ratelimit.slots import RequestEnding, SlotWindow
from smscode.errors import RateLimitError

from ..support import RUNS

FOREVER = float("inf")
PERIOD = 60.25  # a window, and a little for clocks that run at different rates
LINGER = 10.0  # seconds for which a request that was given up may still be on its way


class Bell:
    """Stands for a waiter: remembers that it was woken; ``there`` is False for a dead loop."""

    def __init__(self, *, there: bool = True) -> None:
        self.woken = 0
        self.there = there

    def wake(self) -> bool:
        self.woken += 1
        return self.there


def ask(bucket: GroupLimiter, now: float = 0.0, deadline: float = FOREVER, *, urgent: bool = False) -> Lease:
    lease = bucket.ask(now, deadline, urgent)
    assert isinstance(lease, Lease)
    lease.signal = Bell()
    return lease


def used_up(limit: int = 2, now: float = 0.0) -> tuple[GroupLimiter, list[Lease]]:
    bucket = GroupLimiter("create", limit, SlotWindow(60.0))
    leases = [ask(bucket, now) for _ in range(limit)]
    assert all(lease.granted for lease in leases)
    return bucket, leases


def bell(lease: Lease) -> Bell:
    assert isinstance(lease.signal, Bell)
    return lease.signal


def test_slots_are_granted_in_the_order_of_asking() -> None:
    bucket, busy = used_up()
    waiting = [ask(bucket) for _ in range(3)]
    for lease in busy:
        bucket.end(lease, 1.0, RequestEnding.ANSWERED)
    assert bucket.advance(waiting[0], 1.0) == PERIOD
    assert bucket.advance(waiting[0], 1.0 + PERIOD) == 0
    assert [lease.granted for lease in waiting] == [True, True, False]
    assert bell(waiting[1]).woken == 1


@pytest.mark.parametrize("urgent", [False, True])
def test_nobody_overtakes_those_who_wait(urgent: bool) -> None:
    bucket, busy = used_up()
    first = ask(bucket, urgent=urgent)
    bucket.end(busy[0], 0.0, RequestEnding.ANSWERED)
    late = ask(bucket, PERIOD + 1)
    assert (first.granted, late.granted) == (True, False)


def test_who_does_not_say_so_is_not_urgent() -> None:
    bucket, busy = used_up()
    plain, urgent = bucket.ask(0.0, FOREVER), ask(bucket, urgent=True)
    bucket.end(busy[0], 0.0, RequestEnding.UNSENT)
    assert isinstance(plain, Lease)
    assert (plain.granted, urgent.granted) == (False, True)


def test_urgent_ones_go_first_in_their_own_order() -> None:
    bucket, busy = used_up()
    ordinary = ask(bucket)
    urgent = [ask(bucket, urgent=True) for _ in range(2)]
    for lease in busy:
        bucket.end(lease, 0.0, RequestEnding.UNSENT)
    assert [urgent[0].granted, urgent[1].granted, ordinary.granted] == [True, True, False]


def test_whoever_gives_up_makes_room_for_the_next() -> None:
    bucket, busy = used_up()
    first, second = ask(bucket), ask(bucket)
    bucket.leave(first, 0.0)
    assert bell(second).woken == 1  # it keeps the time now
    bucket.end(busy[0], 0.0, RequestEnding.UNSENT)
    assert second.granted


def test_the_next_in_the_queue_keeps_the_time_when_the_first_has_its_slot() -> None:
    bucket, busy = used_up()
    first, second = ask(bucket), ask(bucket)
    bucket.end(busy[0], 0.0, RequestEnding.UNSENT)
    assert (first.granted, second.granted) == (True, False)
    assert bell(second).woken == 1


def test_a_slot_granted_to_one_who_just_gave_up_goes_to_the_next() -> None:
    bucket, busy = used_up()
    first, second = ask(bucket), ask(bucket)
    bucket.end(busy[0], 0.0, RequestEnding.UNSENT)
    assert first.granted
    bucket.leave(first, 0.0)
    assert second.granted


def test_a_slot_is_not_lost_on_one_whose_event_loop_is_gone() -> None:
    bucket, busy = used_up()
    gone, there, last = (ask(bucket) for _ in range(3))
    gone.signal = Bell(there=False)
    bucket.end(busy[0], 0.0, RequestEnding.UNSENT)
    assert (gone.granted, there.granted, last.granted) == (False, True, False)
    bucket.end(busy[1], 0.0, RequestEnding.UNSENT)
    for lease in (there, last):
        bucket.end(lease, 0.0, RequestEnding.UNSENT)
    assert bucket.idle(0.0)


def test_one_whose_event_loop_is_gone_does_not_probe() -> None:
    bucket = GroupLimiter("create", 10, SlotWindow(60.0))
    bucket.pause(None, 0.0, 1.0)
    gone, there, *others = (ask(bucket) for _ in range(5))
    gone.signal = Bell(there=False)
    bucket.advance(there, 1.0)
    assert (gone.granted, there.granted) == (False, True)
    bucket.end(there, 1.0, RequestEnding.ANSWERED)
    assert [lease.granted for lease in others] == [True, True, False]


def test_a_pause_wakes_the_first_who_waits() -> None:
    bucket, _ = used_up()
    first, second = ask(bucket), ask(bucket)
    bucket.pause(None, 0.0, 5.0)
    assert (bell(first).woken, bell(second).woken) == (1, 0)


def test_one_whose_call_is_over_waits_no_longer() -> None:
    bucket, _ = used_up()
    over, other = Call(), Call()
    for holder in (over, other):
        bucket.ask(0.0, FOREVER, False, holder)
    assert bucket.waiting == 2
    over.over = True
    ask(bucket, 1.0)
    assert bucket.waiting == 2


def test_a_call_has_its_lease_as_soon_as_it_asks() -> None:
    bucket = GroupLimiter("create", 1, SlotWindow(60.0))
    holders = [Call(), Call()]
    leases = [bucket.ask(0.0, FOREVER, False, holder) for holder in holders]
    assert [holder.lease for holder in holders] == leases


@pytest.mark.parametrize(
    ("over", "sent", "expected"),
    [
        (False, False, NoRoom("create", 1, 60.0, PERIOD)),
        (True, False, 0.0),
        (True, True, NoRoom("create", 1, 60.0, PERIOD + LINGER)),  # it may still arrive
    ],
)
def test_one_that_looks_takes_the_slot_of_a_call_that_is_over(
    over: bool, sent: bool, expected: float | NoRoom
) -> None:
    bucket, holder = GroupLimiter("create", 1, SlotWindow(60.0)), Call()
    busy = bucket.ask(0.0, FOREVER, False, holder)
    assert isinstance(busy, Lease)
    waiting = ask(bucket, 0.0, PERIOD)
    holder.over, busy.sent = over, sent
    assert bucket.advance(waiting, 1.0) == expected
    assert waiting.granted is (expected == 0.0)


@pytest.mark.parametrize(
    ("late", "wait"), [(LINGER - 1.0, 5.0), (LINGER, 5.0), (LINGER + 1.0, PERIOD + LINGER)]
)
def test_a_request_that_was_given_up_unnoticed_may_still_arrive(late: float, wait: float) -> None:
    bucket = GroupLimiter("create", 1, SlotWindow(60.0))
    lost = ask(bucket, 0.0, 5.0)
    lost.sent = True
    other = ask(bucket, 5.0 + late)
    assert not other.granted
    assert bucket.advance(other, 5.0 + late) == wait


def test_a_request_whose_call_gives_up_may_still_arrive_if_it_was_sent() -> None:
    bucket, busy = used_up()
    waiting = ask(bucket)
    busy[0].sent = True
    bucket.leave(busy[0], 0.0)
    assert bucket.advance(waiting, 0.0) == 5.0
    assert bucket.advance(waiting, 69.0) == PERIOD + LINGER - 69.0
    bucket.leave(busy[1], 69.0)
    assert waiting.granted


def test_a_limiter_is_idle_as_soon_as_its_last_slot_is_free() -> None:
    bucket, busy = used_up()
    assert not bucket.idle(0.0)
    for lease in busy:
        bucket.end(lease, 0.0, RequestEnding.ANSWERED)
    assert [bucket.idle(now) for now in (PERIOD - 0.1, PERIOD)] == [False, True]


def test_a_limiter_is_idle_a_window_after_a_pause_if_nothing_is_sent() -> None:
    """Else each account that was paused once would be kept for ever, long after its last client."""
    bucket = GroupLimiter("create", 4, SlotWindow(60.0))
    bucket.pause(None, 0.0, 5.0)
    assert [bucket.idle(now) for now in (4.9, 5.0, 64.9, 65.0)] == [False, False, False, True]
    bucket.end(ask(bucket, 100.0), 100.0, RequestEnding.ANSWERED)
    assert [bucket.idle(now) for now in (100.0, 100.0 + PERIOD)] == [False, True]


def test_a_limiter_is_not_idle_in_a_pause_that_a_request_from_before_the_last_one_brought() -> None:
    bucket = GroupLimiter("create", 4, SlotWindow(60.0))
    old = ask(bucket)
    bucket.pause(None, 0.0, 1.0)
    for _ in range(2):
        bucket.end(ask(bucket, 1.0), 1.0, RequestEnding.ANSWERED)
    bucket.pause(old, 2.0, 100.0)
    bucket.end(old, 2.0, RequestEnding.REFUSED)
    assert [bucket.idle(now) for now in (70.0, 101.9, 102.0)] == [False, False, True]


def test_a_limiter_is_idle_once_the_requests_after_a_pause_were_answered_and_its_share_is_whole() -> None:
    bucket = GroupLimiter("create", 4, SlotWindow(60.0))
    bucket.pause(None, 0.0, 5.0)
    assert not bucket.idle(5.0)
    for _ in range(2):  # one, then two, then four at once are allowed
        bucket.end(ask(bucket, 5.0), 5.0, RequestEnding.ANSWERED)
    assert [bucket.idle(now) for now in (5.0, 65.0, 66.0)] == [False, False, True]
    refused = ask(bucket, 100.0)
    bucket.pause(refused, 100.0, 0.0)
    for lease in (refused, ask(bucket, 100.0), ask(bucket, 100.0)):
        bucket.end(lease, 100.0, RequestEnding.ANSWERED)
    assert [bucket.idle(now) for now in (161.0, 339.0, 341.0)] == [False, False, True]


def test_a_slot_is_given_back_once() -> None:
    bucket, busy = used_up()
    bucket.end(busy[0], 0.0, RequestEnding.UNSENT)
    bucket.end(busy[0], 0.0, RequestEnding.UNSENT)
    assert ask(bucket).granted
    assert not ask(bucket).granted


def test_a_wait_without_hope_is_not_begun() -> None:
    bucket, busy = used_up()
    bucket.end(busy[0], 0.0, RequestEnding.ANSWERED)
    refused = bucket.ask(10.0, 30.0)
    assert refused == NoRoom("create", 2, 60.0, PERIOD - 10.0)
    ask(bucket, 10.0, PERIOD)
    behind = bucket.ask(10.0, PERIOD + 1)  # the other slot is busy, and cools for a window
    assert behind == NoRoom("create", 2, 60.0, PERIOD)


def test_the_error_says_how_long_it_would_take() -> None:
    error = NoRoom("create", 3000, 60.0, 12.34).error()
    assert isinstance(error, RateLimitError)
    assert (error.retry_after, error.outcome, error.trouble) == (12.34, "not_sent", "no room")
    assert str(error).startswith("The rate limit of create (3000 per 60 s) leaves no room for another 12.3 s")


def test_the_error_says_that_the_service_asked_for_a_pause() -> None:
    message = NoRoom("create", 3000, 60.0, 90.0, paused=True).error().message
    assert message.startswith("The service asked for a pause of the group create for another 90.0 s")


def test_a_wait_that_turns_out_too_long_ends_at_its_deadline() -> None:
    bucket, _ = used_up()
    waiting = ask(bucket, 0.0, PERIOD)  # the busy ones might have ended at once, but did not
    assert bucket.advance(waiting, PERIOD - 1) == NoRoom("create", 2, 60.0, PERIOD)
    behind = ask(bucket, 0.0, PERIOD)
    assert bucket.advance(behind, PERIOD) == NoRoom("create", 2, 60.0, PERIOD)


def test_a_slot_that_is_free_just_at_the_deadline_is_waited_for() -> None:
    bucket, busy = used_up()
    for lease in busy:
        bucket.end(lease, 0.0, RequestEnding.ANSWERED)
    waiting = ask(bucket, 0.0, PERIOD)
    assert bucket.advance(waiting, 0.0) == PERIOD


def test_those_behind_the_first_look_by_themselves_only_if_it_is_held_up() -> None:
    bucket, busy = used_up()
    for lease in busy:
        bucket.end(lease, 0.0, RequestEnding.ANSWERED)
    first, second = ask(bucket), ask(bucket)
    assert bucket.advance(first, 0.0) == PERIOD
    assert bucket.advance(second, 0.0) == PERIOD + 5
    assert bucket.advance(second, PERIOD + 5) == 0  # the first never looked, and has its slot all the same
    assert first.granted


def test_an_ordinary_one_is_told_that_the_urgent_ones_before_it_leave_no_slot_in_time() -> None:
    bucket, busy = used_up(limit=4)
    ordinary = ask(bucket, deadline=PERIOD + 25.0)
    for _ in range(3):
        ask(bucket, urgent=True)
    for number, lease in enumerate(busy):
        bucket.end(lease, 10.0 * number, RequestEnding.ANSWERED)
    refused = bucket.advance(ordinary, 31.0)  # the fourth slot is free at 30 + PERIOD
    assert isinstance(refused, NoRoom)


def test_an_ordinary_one_may_be_the_next_after_the_urgent_ones() -> None:
    bucket, busy = used_up()
    for number, lease in enumerate(busy):
        bucket.end(lease, 10.0 * number, RequestEnding.ANSWERED)
    urgent, ordinary = ask(bucket, 10.0, urgent=True), ask(bucket, 10.0, PERIOD + 10.0)
    assert bucket.advance(ordinary, 11.0) == PERIOD - 1.0
    assert bucket.advance(urgent, 11.0) == PERIOD - 11.0


def test_an_urgent_one_asks_for_the_next_slot_that_is_free() -> None:
    bucket, busy = used_up(1)
    bucket.end(busy[0], 0.0, RequestEnding.ANSWERED)
    ask(bucket)
    urgent = ask(bucket, 0.0, PERIOD, urgent=True)
    assert bucket.advance(urgent, 0.0) == PERIOD


def test_an_urgent_one_is_not_taken_for_the_last_of_the_urgent_ones() -> None:
    bucket, busy = used_up()
    urgent = [ask(bucket, 0.0, deadline, urgent=True) for deadline in (FOREVER, PERIOD + 20.0, FOREVER)]
    bucket.end(busy[0], 0.0, RequestEnding.ANSWERED)
    assert bucket.advance(urgent[1], 10.0) == PERIOD + 5.0  # the other slot may come in time


def test_the_first_waits_for_an_end_where_nothing_cools() -> None:
    bucket, busy = used_up()
    first = ask(bucket)
    assert bucket.advance(first, 0.0) == 5.0  # it looks in between, for requests that will never end
    bucket.end(busy[0], 1.0, RequestEnding.ANSWERED)
    assert bell(first).woken == 1
    bucket.end(busy[1], 1.0, RequestEnding.ANSWERED)
    assert bell(first).woken == 1  # it knows when the first slot is free
    assert bucket.advance(first, 1.0) == PERIOD


def test_a_pause_is_over_at_its_very_end() -> None:
    bucket, busy = used_up(10)
    first = ask(bucket)
    bucket.pause(None, 0.0, 5.0)
    assert bucket.advance(first, 5.0) == 5.0  # it looks for calls that are over
    assert bucket.ask(5.0, 6.0) == NoRoom("create", 10, 60.0, PERIOD, paused=False)
    for lease in busy:
        bucket.end(lease, 5.0, RequestEnding.UNSENT)
    bucket.end(first, 5.0, RequestEnding.ANSWERED)
    bucket.pause(None, 5.0, 5.0)  # a new one, after which one request goes first again
    waiting = [ask(bucket, 5.0) for _ in range(2)]
    bucket.advance(waiting[0], 10.0)
    assert [lease.granted for lease in waiting] == [True, False]


def test_a_refusal_pauses_everybody_until_its_time_and_only_time_lifts_that() -> None:
    bucket = GroupLimiter("create", 10, SlotWindow(60.0))
    busy = [ask(bucket) for _ in range(3)]
    assert bucket.pause(busy[0], 0.0, 7.0)
    bucket.end(busy[0], 0.0, RequestEnding.ANSWERED)
    waiting = ask(bucket, 1.0)
    assert bucket.advance(waiting, 1.0) == 6.0
    bucket.pause(busy[1], 2.0, 1.0)  # a shorter one does not lift the longer
    bucket.end(busy[1], 2.0, RequestEnding.ANSWERED)
    bucket.end(busy[2], 3.0, RequestEnding.UNSENT)
    bucket.advance(waiting, 6.9)
    assert not waiting.granted
    bucket.advance(waiting, 7.0)
    assert waiting.granted


def test_a_pause_beyond_a_deadline_is_told_at_once() -> None:
    bucket, busy = used_up()
    waiting = ask(bucket, 0.0, 65.0)
    bucket.pause(busy[0], 0.0, 90.0)
    assert bell(waiting).woken == 1
    assert bucket.advance(waiting, 0.0) == NoRoom("create", 2, 60.0, 90.0, paused=True)
    assert bucket.ask(0.0, 89.0) == NoRoom("create", 2, 60.0, 90.0, paused=True)


def test_behind_a_probe_the_slot_is_what_is_waited_for_if_it_takes_longer() -> None:
    bucket, busy = used_up(1)
    bucket.pause(busy[0], 0.0, 5.0)
    bucket.end(busy[0], 0.0, RequestEnding.ANSWERED)
    probe = ask(bucket)
    assert bucket.advance(probe, 61.0) == 0.0
    assert bucket.ask(61.0, 62.0) == NoRoom("create", 1, 60.0, PERIOD, paused=True)


def test_a_pause_takes_back_what_was_granted_but_is_not_on_its_way() -> None:
    bucket, busy = used_up()
    first, second, last = (ask(bucket, deadline=65.0), ask(bucket), ask(bucket))
    for lease in busy:
        bucket.end(lease, 0.0, RequestEnding.UNSENT)
    assert (first.granted, second.granted) == (True, True)
    bucket.pause(None, 0.0, 7.0)
    assert [bucket.advance(lease, 0.0) for lease in (first, second)] == [7.0, 12.0]
    assert not first.granted
    assert bucket.paused(6.9)
    assert not bucket.paused(7.0)
    bucket.pause(None, 7.0, 60.0)
    assert bell(first).woken == 2  # when it was granted, and now that there is no hope
    assert bucket.advance(first, 7.0) == NoRoom("create", 2, 60.0, 60.0, paused=True)
    bucket.advance(last, 67.0)
    assert (second.granted, last.granted) == (True, False)  # in their order, one at a time
    bucket.end(second, 67.0, RequestEnding.ANSWERED)
    assert last.granted


def test_a_pause_that_is_prolonged_tells_those_who_wait_in_vain_by_that() -> None:
    bucket, busy = used_up(10)
    waiting = [ask(bucket, 0.0, deadline) for deadline in (70.0, 75.0, 80.0, 91.0, 200.0)]
    bucket.pause(busy[0], 0.0, 75.0)
    assert [bell(lease).woken for lease in waiting] == [1, 0, 0, 0, 0]
    bucket.pause(busy[1], 1.0, 90.0)
    assert [bell(lease).woken for lease in waiting] == [1, 1, 1, 0, 0]


def test_after_a_pause_one_probes_and_answers_let_more_through() -> None:
    bucket = GroupLimiter("create", 10, SlotWindow(60.0))
    bucket.pause(ask(bucket), 0.0, 5.0)
    waiting = [ask(bucket) for _ in range(8)]
    bucket.advance(waiting[0], 5.0)
    assert [lease.granted for lease in waiting] == [True] + [False] * 7
    bucket.end(waiting[0], 5.0, RequestEnding.ANSWERED)
    assert [lease.granted for lease in waiting[1:]] == [True] * 2 + [False] * 5
    bucket.end(waiting[1], 5.0, RequestEnding.LOST)  # no answer is no news, but its place is free
    assert [lease.granted for lease in waiting[2:]] == [True] * 2 + [False] * 4
    bucket.end(waiting[2], 5.0, RequestEnding.ANSWERED)
    # Only eight of the ten may be used by now: two are busy, and three cool.
    assert [lease.granted for lease in waiting[3:]] == [True] * 4 + [False]


def test_the_ramp_ends_with_the_limit() -> None:
    bucket = GroupLimiter("create", 4, SlotWindow(60.0))
    bucket.pause(None, 0.0, 1.0)
    now = 1.0
    for _ in range(3):
        lease = ask(bucket, now)
        assert lease.granted
        bucket.end(lease, now, RequestEnding.ANSWERED)
    now += PERIOD
    assert all(ask(bucket, now).granted for _ in range(4))


def test_those_who_still_probe_when_the_ramp_ends_are_forgotten_with_it() -> None:
    bucket = GroupLimiter("create", 4, SlotWindow(60.0))
    bucket.pause(None, 0.0, 1.0)
    waiting = [ask(bucket, 0.0) for _ in range(3)]
    bucket.advance(waiting[0], 1.0)
    for lease in waiting:  # the first lets two more go, the second the rest
        bucket.end(lease, 1.0, RequestEnding.ANSWERED)
    assert (bucket._ramp, bucket._probes) == (None, {})


def probing(limit: int = 10) -> tuple[GroupLimiter, list[Lease]]:
    """Make a bucket whose pause is over at 5, with the first of six on its way since then."""
    bucket = GroupLimiter("create", limit, SlotWindow(60.0))
    bucket.pause(None, 0.0, 5.0)
    waiting = [ask(bucket, 0.0, deadline) for deadline in (FOREVER, FOREVER, 20.0, FOREVER, FOREVER, FOREVER)]
    assert bucket.advance(waiting[0], 5.0) == 0
    assert [lease.granted for lease in waiting] == [True] + [False] * 5
    return bucket, waiting


def test_a_probe_without_an_answer_holds_the_others_up_for_ten_seconds() -> None:
    bucket, waiting = probing()
    assert bucket.advance(waiting[1], 6.0) == 5.0  # it looks in between, for requests that will never end
    assert bucket.advance(waiting[1], 14.0) == 1.0
    assert bucket.advance(waiting[1], 15.0) == 0
    assert [lease.granted for lease in waiting] == [True, True] + [False] * 4
    assert bucket.advance(waiting[2], 16.0) == 4.0  # another one may go at 25, after its deadline
    assert bucket.advance(waiting[2], 20.0) == NoRoom("create", 10, 60.0, 5.0, paused=True)
    bucket.advance(waiting[3], 25.0)
    assert [lease.granted for lease in waiting[3:]] == [True, False, False]


def test_an_answer_that_a_probe_gets_late_lets_more_through_all_the_same() -> None:
    bucket, waiting = probing()
    bucket.advance(waiting[1], 15.0)
    bucket.end(waiting[0], 16.0, RequestEnding.ANSWERED)
    assert [lease.granted for lease in waiting[1:]] == [True, True] + [False] * 3
    bucket.end(waiting[1], 17.0, RequestEnding.LOST)
    assert [lease.granted for lease in waiting[3:]] == [True, False, False]


def test_nothing_follows_a_probe_that_was_refused_before_its_pause_begins() -> None:
    bucket, waiting = probing()
    bucket.end(waiting[0], 6.0, RequestEnding.REFUSED)
    bucket.advance(waiting[1], 6.0)
    assert not waiting[1].granted
    bucket.pause(waiting[0], 6.0, 3.0)
    assert bucket.advance(waiting[1], 6.0) == 3.0
    bucket.advance(waiting[1], 9.0)
    assert [lease.granted for lease in waiting[1:]] == [True] + [False] * 4


def test_a_probe_that_was_refused_and_whose_call_ends_holds_nothing_up() -> None:
    bucket, waiting = probing()
    bucket.end(waiting[0], 6.0, RequestEnding.REFUSED)
    bucket.leave(waiting[0], 6.0)
    assert [lease.granted for lease in waiting[1:]] == [True] + [False] * 4


def test_a_refusal_without_a_pause_holds_up_for_ten_seconds_too() -> None:
    bucket, waiting = probing()
    bucket.end(waiting[0], 6.0, RequestEnding.REFUSED)
    assert bucket.advance(waiting[1], 14.0) == 1.0
    bucket.advance(waiting[1], 15.0)
    assert waiting[1].granted


def test_an_answer_from_before_the_last_pause_lets_nobody_through() -> None:
    bucket, waiting = probing()
    bucket.pause(None, 6.0, 3.0)
    bucket.advance(waiting[1], 9.0)
    bucket.end(waiting[0], 9.5, RequestEnding.ANSWERED)
    assert [lease.granted for lease in waiting[1:]] == [True] + [False] * 4


def test_a_refusal_within_the_limit_shrinks_it_once_for_all_that_were_under_way() -> None:
    bucket, busy = used_up(10)
    assert [bucket.pause(lease, 0.0, 1.0) for lease in busy] == [True] + [False] * 9
    for lease in busy:
        bucket.end(lease, 0.0, RequestEnding.UNSENT)
    assert not bucket.idle(1.0)
    assert bucket._share.of(10, 0.0) == 8
    assert not bucket.pause(busy[0], 1.5, 1.0)  # it was granted before the pause
    assert bucket._share.of(10, 1.5) == 8
    again = ask(bucket, 2.5)
    assert not bucket.pause(again, 2.5, 1.0)  # it shrinks again, but that was said before
    assert bucket._share.of(10, 2.5) == 6
    bucket.end(again, 2.5, RequestEnding.UNSENT)


def test_a_limit_that_grows_back_is_noticed() -> None:
    bucket, busy = used_up(10)
    bucket.pause(busy[0], 0.0, 0.0)
    for lease in busy[:3]:
        bucket.end(lease, 0.0, RequestEnding.UNSENT)
    bucket.pause(None, 0.0, 0.0)
    probe = ask(bucket, 0.0)
    assert probe.granted  # the eighth of eight
    bucket.end(probe, 0.0, RequestEnding.LOST)
    waiting = ask(bucket, 1.0)
    assert bucket.advance(waiting, 1.0) == 5.0  # now and then it looks for requests that will never end
    for lease in busy[3:]:
        bucket.end(lease, 1000.0, RequestEnding.UNSENT)
    assert waiting.granted


def test_a_pause_for_everything_shrinks_nothing() -> None:
    bucket = GroupLimiter("create", 10, SlotWindow(60.0))
    assert not bucket.pause(None, 0.0, 5.0)
    assert not bucket.pause(None, 1.0, 5.0)
    assert bucket._share.of(10, 0.0) == 10
    waiting = ask(bucket, 5.0)
    assert bucket.advance(waiting, 5.5) == 0.5


def test_other_numbers_hold_from_now_on_and_those_who_wait_are_told() -> None:
    bucket, busy = used_up()
    waiting = [ask(bucket) for _ in range(2)]
    bucket.set_limits(3, 30.0)
    bucket.wake_first()
    assert [bell(lease).woken for lease in waiting] == [1, 0]
    assert bucket.advance(waiting[0], 0.0) == 0
    assert [lease.granted for lease in waiting] == [True, False]
    bucket.end(busy[0], 0.0, RequestEnding.ANSWERED)
    bucket.set_limits(1, 90.0)
    bucket.end(busy[1], 0.0, RequestEnding.ANSWERED)
    bucket.leave(waiting[0], 0.0)
    assert bucket.advance(waiting[1], 0.0) == 30.25
    assert bucket.advance(waiting[1], 31.0) == 59.25


class Call:
    """Holds a lease."""

    lease: Lease | None = None
    over = False


def call(lease: Lease) -> Call:
    assert isinstance(lease.holder, Call)
    return lease.holder


class Queue(RuleBasedStateMachine):
    """Drives a bucket as tasks would, beside a model that knows every holder of a slot."""

    def __init__(self) -> None:
        super().__init__()
        self.limit = 5
        self.window = 60.0
        self.bucket = GroupLimiter("create", self.limit, SlotWindow(self.window))
        self.now = 0.0
        self.numbers: Iterator[int] = itertools.count()
        self.waiting: dict[Lease, tuple[bool, int]] = {}  # urgency and number, the order of granting
        self.busy: list[Lease] = []
        self.alarms: dict[Lease, float] = {}
        self.cooling: list[float] = []
        # When each may arrive at the latest, and the least window since.
        self.lost: list[tuple[float, float]] = []
        self.paused_until = 0.0
        self.last_granted = -FOREVER
        self.gone: list[Lease] = []
        self.unknown = False  # whether a slot may cool for longer than is kept account of here

    @property
    def period(self) -> float:
        return self.window + 0.25

    def holders(self) -> int:
        cooling = [*self.cooling, *(last + window + 0.25 for last, window in self.lost)]
        return len(self.busy) + sum(until > self.now for until in cooling)

    @rule(urgent=st.booleans(), patience=st.sampled_from([0.5, 30.0, 70.0, 200.0, FOREVER]))
    def ask(self, urgent: bool, patience: float) -> None:
        if self.ghosts:  # else those who wait already may get their slots before this one is there
            self.bucket._reclaim(self.now)
            self.settle()
        lease = self.bucket.ask(self.now, self.now + patience, urgent, Call())
        if isinstance(lease, NoRoom):
            assert lease.seconds > patience
            busy = self.holders() >= self.limit or self.ghosts
            assert busy or self.now < self.paused_until or self.waiting or self.shrunk
            return
        lease.signal = Bell()
        self.waiting[lease] = (not urgent, next(self.numbers))
        self.alarms[lease] = self.now  # it looks at once, as the shell does
        self.settle()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(sorted(self.waiting, key=lambda one: self.waiting[one])))
        del self.waiting[lease], self.alarms[lease]
        self.bucket.leave(lease, self.now)
        self.settle()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def lose_its_event_loop(self, data: st.DataObject) -> None:
        """Stop a waiter without its having given up; it loses its place at its turn."""
        lease = data.draw(st.sampled_from(sorted(self.waiting, key=lambda one: self.waiting[one])))
        bell(lease).there = False
        call(lease).over = True
        del self.waiting[lease], self.alarms[lease]
        self.gone.append(lease)

    @precondition(lambda self: self.busy)
    @rule(data=st.data(), sent=st.booleans(), known=st.booleans())
    def lose_a_request(self, data: st.DataObject, sent: bool, known: bool) -> None:
        """Leave a request without an end: its event loop is closed or, without notice, stopped."""
        lease = data.draw(st.sampled_from(self.busy))
        self.busy.remove(lease)
        lease.sent, call(lease).over = sent, known
        self.gone.append(lease)
        self.unknown = self.unknown or sent or not known  # it cools from when that is noticed
        if sent:  # it may still arrive for a while, and cools by the numbers that hold when that is noticed
            self.lost.append((self.now + LINGER, self.window))

    @property
    def ghosts(self) -> bool:
        """Return True if a slot or a place may still be kept for a waiter that is gone."""
        queued = {*self.bucket._urgent, *self.bucket._waiting}
        return self.unknown or any(lease.granted or lease in queued for lease in self.gone)

    @precondition(lambda self: self.busy)
    @rule(
        data=st.data(),
        ending=st.sampled_from(RequestEnding),
        meanwhile=st.sampled_from(["", "leave", "pause"]),
    )
    def end(self, data: st.DataObject, ending: RequestEnding, meanwhile: str) -> None:
        """End a request; before those notice that this lets go, one of them gives up, or a pause begins."""
        lease = data.draw(st.sampled_from(self.busy))
        self.busy.remove(lease)
        if ending is not RequestEnding.UNSENT:
            self.cooling.append(self.now + self.period + (LINGER if ending is RequestEnding.LOST else 0.0))
        self.bucket.end(lease, self.now, ending)
        granted = [one for one in self.waiting if one.granted]
        if granted and meanwhile == "leave":
            left = data.draw(st.sampled_from(granted))
            del self.waiting[left], self.alarms[left]
            self.bucket.leave(left, self.now)
        if meanwhile == "pause":
            self.bucket.pause(None, self.now, 5.0)
            self.paused_until = max(self.paused_until, self.now + 5.0)
            for one in sorted(granted, key=lambda one: self.waiting[one]):  # back, behind the urgent ones
                self.waiting[one] = (False, next(self.numbers))
        self.settle()

    @precondition(lambda self: self.busy)
    @rule(data=st.data(), seconds=st.sampled_from([0.0, 1.0, 20.0, 100.0]))
    def refused(self, data: st.DataObject, seconds: float) -> None:
        self.bucket.pause(data.draw(st.sampled_from(self.busy)), self.now, seconds)
        self.paused_until = max(self.paused_until, self.now + seconds)
        self.settle()

    @rule(seconds=st.sampled_from([0.0, 1.0, 1.0]))
    def refused_by_a_proxy(self, seconds: float) -> None:
        self.bucket.pause(None, self.now, seconds)
        self.paused_until = max(self.paused_until, self.now + seconds)
        self.settle()

    @rule(limit=st.sampled_from([1, 3, 5, 8]), window=st.sampled_from([10.0, 60.0, 200.0]))
    def come_or_close(self, limit: int, window: float) -> None:
        """Add or close a client, so that other numbers are the strictest."""
        self.limit, self.window = limit, window
        self.lost = [(last, min(before, window)) for last, before in self.lost]
        self.bucket.set_limits(limit, window)
        self.bucket.wake_first()
        self.settle()

    @rule(seconds=st.sampled_from([0.1, 5.0, 60.0, 70.0, 400.0]))
    def pass_time(self, seconds: float) -> None:
        """Advance time; each waiter looks when it said it would."""
        until = self.now + seconds
        while (moment := min([*self.alarms.values(), *self.deadlines()], default=FOREVER)) <= until:
            self.now = max(moment, self.now)
            for lease in [one for one in self.busy if one.deadline <= self.now]:  # no request lasts longer
                self.busy.remove(lease)
                self.cooling.append(self.now + self.period + LINGER)
                self.bucket.end(lease, self.now, RequestEnding.LOST)
            self.settle()
        self.now = until
        self.settle()

    def deadlines(self) -> list[float]:
        return [lease.deadline for lease in self.busy]

    def settle(self) -> None:
        """Run all waiters that were woken or have reached their time, until nothing happens any more."""
        for _ in range(1000):
            due = [
                lease
                for lease in self.waiting
                if bell(lease).woken or lease.granted or self.alarms[lease] <= self.now
            ]
            if not due:
                return
            for lease in sorted(due, key=lambda one: self.waiting[one]):
                self.look(lease)
        raise AssertionError("they look again and again")

    def look(self, lease: Lease) -> None:
        bell(lease).woken = 0
        again = self.bucket.advance(lease, self.now)
        if isinstance(again, NoRoom):
            assert self.now >= lease.deadline or self.now + again.seconds > lease.deadline
            del self.waiting[lease], self.alarms[lease]
            return
        if not lease.granted:
            assert again > 0
            self.alarms[lease] = self.now + again
            return
        assert self.now >= self.paused_until
        earlier = [one for one in self.waiting if self.waiting[one] < self.waiting[lease]]
        assert all(one.granted for one in earlier), "overtaken"
        self.busy.append(lease)
        self.last_granted = self.now
        assert self.holders() <= self.limit
        del self.waiting[lease], self.alarms[lease]

    @property
    def shrunk(self) -> bool:
        ramp = self.bucket._ramp is not None
        return ramp or self.bucket._share.of(self.limit, self.now) < self.limit

    @invariant()
    def nobody_waits_for_nothing(self) -> None:
        if not self.waiting or self.ghosts or self.now < self.paused_until:
            return
        if self.holders() < self.bucket._share.of(self.limit, self.now):
            assert self.bucket._ramp is not None
            assert self.now < self.last_granted + 10.0, "a probe is waited for longer than that"

    def teardown(self) -> None:
        for lease in list(self.waiting):
            self.bucket.leave(lease, self.now)
        for lease in self.busy:
            self.bucket.end(lease, self.now, RequestEnding.UNSENT)
        later = max([self.now, *(lease.deadline for lease in self.gone if lease.deadline < FOREVER)]) + 20.0
        self.bucket._reclaim(later)
        assert not any(lease.granted for lease in self.gone if call(lease).over or lease.deadline < FOREVER)
        for lease in self.gone:
            self.bucket.leave(lease, later)
        assert self.bucket._slots.free(later + 10_000, self.limit) == self.limit
        self.bucket._available(later + 10_000)
        assert not self.bucket._probes


TestQueue = Queue.TestCase
TestQueue.settings = settings(max_examples=75 * RUNS, stateful_step_count=40, deadline=None)


# -- interrupts ------------------------------------------------------------------------------------


class Alarm(Bell):
    """Raises `KeyboardInterrupt` the first time that it is rung."""

    rung = False

    def wake(self) -> bool:
        if not self.rung:
            self.rung = True
            raise KeyboardInterrupt
        return super().wake()


def test_who_was_granted_a_slot_by_an_interrupted_call_is_told_by_the_next_change() -> None:
    bucket, busy = used_up()
    waiting, behind = ask(bucket), ask(bucket)
    waiting.signal = Alarm()
    with pytest.raises(KeyboardInterrupt):
        bucket.end(busy[0], 0.0, RequestEnding.UNSENT)
    assert (waiting.granted, busy[0].granted, bucket.waiting) == (True, False, 2)
    bucket.leave(busy[0], 0.0)  # the interrupted call gives back again
    assert (bucket._slots.busy, bucket.waiting, behind.granted) == (2, 1, False)
    assert bell(waiting).woken == 1


def test_who_was_granted_a_slot_by_an_interrupted_call_finds_it_when_looking() -> None:
    bucket, busy = used_up()
    waiting = ask(bucket)
    waiting.signal = Alarm()
    with pytest.raises(KeyboardInterrupt):
        bucket.end(busy[0], 0.0, RequestEnding.UNSENT)
    urgent = ask(bucket, urgent=True)
    assert bucket.advance(waiting, 0.0) == 0.0
    assert (bucket.waiting, urgent.granted) == (1, False)


def test_who_leaves_after_an_interrupt_is_not_granted_the_slot_again() -> None:
    bucket, busy = used_up()
    lease = ask(bucket)
    lease.signal = Alarm()
    with pytest.raises(KeyboardInterrupt):
        bucket.end(busy[0], 0.0, RequestEnding.UNSENT)
    for _ in range(2):
        bucket.leave(lease, 0.0)
        assert (bucket._slots.busy, bucket.waiting) == (1, 0)
