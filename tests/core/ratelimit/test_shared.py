"""Slots leased from a store, with several processes, a store that goes away or forgets, and kills.

The store here follows the rules of the script that runs in Redis; that one itself is tried in ``tests/ext``.
"""

from __future__ import annotations

import math
from copy import deepcopy

import pytest
from attrs import define, evolve, field
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from smscode.core.ratelimit.limiter import Lease, NoRoom
from smscode.core.ratelimit.shared import Grant, LeaseTerms, SharedGroupLimiter, SharedSlots, Visit
from smscode.core.ratelimit.slots import RequestEnding

from ..support import RUNS
from .test_limiter import Bell

WINDOW, LONGEST = 60.0, 20.0
PERIOD = 60.25  # clocks may run at slightly different rates
LINGER = 10.0  # seconds for which a request that was given up may still be on its way
FOREVER = float("inf")


@define
class Store:
    """Counts the slots in use, by when each is free at the latest, in a time of its own.

    ``server`` is who answers, and ``offset`` how far its clock is off.
    """

    limit: int = 9
    server: str = "first"
    offset: float = 0.0
    slots: dict[tuple[str, int], float] = field(factory=dict[tuple[str, int], float])
    unsatisfied: set[str] = field(factory=set[str])
    paused_until: float = 0.0
    time: float = 0.0
    host: float = 0.0
    wall: float = 0.0
    since: float | None = None
    last_server: str = "first"
    turn: str = ""
    empty: bool = True

    def visit(self, holder: str, visit: Visit, now: float) -> Grant:
        host = now + self.offset
        if self.since is None:
            self.since, self.host, self.wall, self.last_server = self.time, host, now, self.server
        doubt = self.server != self.last_server
        own = now - self.wall if visit.time is None else visit.time - self.time
        ticks = host - self.host
        known = not doubt and ticks >= 0
        if visit.time is not None and visit.turn == self.turn:
            passed = own
        else:
            if visit.time is not None:
                ticks = ticks if known else 0.0
                passed, doubt = min(own, ticks), doubt or abs(own - ticks) > 5.0
            elif known and abs(own - ticks) <= 5.0:
                passed = ticks
            else:
                passed = min(own, ticks) if known else own
            if visit.time is None or own - passed > 0.05:
                self.turn = f"{holder}:{host}"
        self.time += max(passed, 0.0)
        if doubt:
            self.since, self.empty = self.time, False
        self.host, self.wall, self.last_server = host, now, self.server
        for number, left in visit.free:
            self.slots[holder, number] = self.time + left
        self.slots = {slot: until for slot, until in self.slots.items() if until > self.time}
        if visit.pause:
            self.paused_until = max(self.paused_until, self.time + visit.pause)
        settled = self.since + visit.hold
        allowed = visit.fallback if self.empty else visit.kept
        most = visit.want if self.time >= settled else min(visit.want, max(allowed - visit.own, 0))
        free = max(min(visit.limit, self.limit) - len(self.slots), 0)
        share = math.ceil(free / (len(self.unsatisfied - {holder}) + 1))
        granted = 0 if self.time < self.paused_until else min(most, share)
        for number in range(visit.start, visit.start + granted):
            self.slots[holder, number] = self.time + visit.hold
        (self.unsatisfied.add if granted < visit.want else self.unsatisfied.discard)(holder)
        wait = 0.0
        if granted < visit.want:
            first = min(self.slots.values(), default=self.time)
            wait = (first if free <= granted else settled) - self.time
        paused = max(self.paused_until - self.time, 0.0)
        return Grant(granted, max(wait, paused), paused, self.time >= settled, self.time, self.turn)


class Process:
    def __init__(self, name: str, limit: int, fallback: float = 1 / 3) -> None:
        self.name = name
        self.kicks = 0
        self.slots = SharedSlots(WINDOW, LeaseTerms(LONGEST, fallback), self.kick)
        self.bucket = SharedGroupLimiter("create", limit, self.slots)
        self.busy: dict[Lease, float] = {}

    def kick(self) -> None:
        self.kicks += 1

    def ask(self, now: float, deadline: float = FOREVER) -> Lease | NoRoom:
        return self.bucket.ask(now, deadline)

    def visit(self, store: Store | None, now: float) -> Visit:
        visit = self.bucket.prepare_visit(now)
        if store is None:
            self.bucket.failed(visit, now)
        else:
            self.bucket.apply_grant(visit, store.visit(self.name, visit, now), now, now)
        return visit


@pytest.mark.parametrize(("window", "seconds"), [(30.0, 0.5), (60.0, 1.0), (600.0, 1.0)])
def test_a_process_visits_the_store_sixty_times_in_a_window_at_most_and_every_second(
    window: float, seconds: float
) -> None:
    assert SharedSlots(window, LeaseTerms(LONGEST, 0.5), lambda: None).visit_interval == seconds


def test_after_an_outage_a_process_keeps_to_its_fallback_for_some_seconds() -> None:
    """Others may not have reached the store again yet."""
    store, one = Store(9), Process("one", 9)
    one.visit(None, 0.0)
    one.visit(store, 1.0)
    for _ in range(9):
        waiting(one, 2.0)
    capped = one.bucket.prepare_visit(2.0)
    assert (capped.want, capped.capped) == (3, True)
    one.bucket.apply_grant(capped, Grant(3, 0.0, 0.0, True, 2.0, capped.turn), 2.0, 2.0)
    assert one.bucket.due(2.0) == 3.0
    free = one.bucket.prepare_visit(8.0)
    assert (free.want, free.capped) == (6, False)


def test_a_slot_is_free_now_at_the_earliest() -> None:
    one = Process("one", 9)
    one.visit(None, 0.0)
    one.visit(Store(9), 1.0)
    assert one.slots.earliest(100.0, 1, 9) == 100.0


def waiting(process: Process, now: float = 0.0) -> Lease:
    lease = process.ask(now)
    assert isinstance(lease, Lease)
    return lease


def settled_store(limit: int = 9) -> Store:
    return Store(limit, since=-1000.0)


def test_a_request_waits_for_a_visit_and_the_next_ones_have_a_batch() -> None:
    store, process = settled_store(200), Process("a", 200)
    first = waiting(process)
    assert (first.granted, process.kicks) == (False, 1)
    assert process.bucket.due(0.0) == 0.0
    visits = 0
    for _ in range(100):
        lease = waiting(process)
        while not lease.granted:
            process.visit(store, 0.0)
            visits += 1
    assert first.granted
    assert visits < 40


def test_a_batch_that_is_not_used_goes_back() -> None:
    store, process = settled_store(200), Process("a", 200)
    waiting(process)
    for _ in range(4):
        process.visit(store, 0.0)
    assert len(store.slots) > 1
    assert process.slots.free(1.0, 200) == 0
    process.visit(store, 1.0)
    assert len(store.slots) == 1


def test_what_ended_is_told_together_and_not_late() -> None:
    store, process = settled_store(200), Process("a", 200)
    lease = waiting(process)
    process.visit(store, 0.0)
    process.slots._batch = 8
    process.bucket.end(lease, 5.0, RequestEnding.ANSWERED)
    assert process.slots._unreported_since == 5.0
    assert min(process.slots._unreported_since + 1.0, process.slots._next_at) <= (
        process.bucket.due(5.0) or 0.0
    )
    process.visit(store, 6.0)
    assert max(store.slots.values()) >= 5.0 + PERIOD
    assert (("a", 0), 5.0 + PERIOD) in store.slots.items()


def test_a_request_that_takes_long_stays_known() -> None:
    store, process = settled_store(), Process("a", 9)
    waiting(process)
    process.visit(store, 0.0)
    stale, hold = (1.0 + LONGEST) / 2, process.slots.hold
    assert process.bucket.due(1.0) == stale
    process.visit(store, stale)
    assert store.slots["a", 0] == stale + hold
    # Killed before it can tell again, with its request on the way for so long: that still counts a window.
    assert stale + LINGER + WINDOW <= hold


def test_what_is_free_is_divided_among_the_hungry() -> None:
    store = settled_store(9)
    store.unsatisfied = {"b", "c"}
    process = Process("a", 9)
    leases = [waiting(process) for _ in range(9)]
    process.visit(store, 0.0)
    assert sum(lease.granted for lease in leases) == 3


def test_a_limit_that_is_used_up_is_asked_for_again_and_waits_say_how_long() -> None:
    store = settled_store(1)
    one, other = Process("a", 1), Process("b", 1)
    lease = waiting(one)
    one.visit(store, 0.0)
    one.bucket.end(lease, 0.0, RequestEnding.ANSWERED)
    one.visit(store, 0.0)
    waiting(other)
    other.visit(store, 0.0)
    assert other.bucket.due(0.0) == 5.0  # something might be given back unused
    refused = other.ask(0.0, 30.0)
    assert isinstance(refused, NoRoom)
    assert refused.seconds == pytest.approx(2 * PERIOD)


def test_room_that_comes_in_time_for_a_short_call_is_waited_for() -> None:
    store = settled_store(2)
    one, other = Process("a", 2), Process("b", 2)
    leases = [waiting(one), waiting(one)]
    one.visit(store, 0.0)
    for lease in leases:
        one.bucket.end(lease, 0.0, RequestEnding.ANSWERED)
    one.visit(store, 1.0)
    waiting(other, 55.0)
    other.visit(store, 55.0)  # there is none before 60.25
    refused = other.ask(55.0, 60.0)
    assert isinstance(refused, NoRoom)
    assert refused.seconds == pytest.approx(5.25)
    assert isinstance(other.ask(55.0, 61.0), Lease)


def test_a_request_that_is_on_its_way_elsewhere_counts_as_one_that_ends_now() -> None:
    """The store would forget it much later, were its process killed; that is not waited for."""
    store = settled_store(1)
    one, other = Process("a", 1), Process("b", 1)
    waiting(one)
    one.visit(store, 0.0)
    waiting(other)
    other.visit(store, 0.0)
    refused = other.ask(0.0, 0.0)
    assert isinstance(refused, NoRoom)
    assert refused.seconds == pytest.approx(2 * PERIOD)


def test_a_batch_that_is_used_up_is_replaced_before_it_is_missed() -> None:
    _, process = supplied()
    left, kicks = len(process.slots._unused), process.kicks
    for _ in range(left - 1):
        waiting(process)
    assert process.kicks == kicks
    waiting(process)
    assert process.kicks == kicks + 1


def test_single_slots_are_not_asked_for_ahead() -> None:
    store, process = settled_store(9), Process("a", 9)
    waiting(process)
    kicks = process.kicks
    process.visit(store, 0.0)
    assert process.kicks == kicks


def test_what_fills_a_batch_is_told_at_once_and_less_after_a_second() -> None:
    store, process = settled_store(200), Process("a", 200)
    leases = [waiting(process) for _ in range(4)]
    while not process.slots._unused:
        process.visit(store, 0.0)
    for lease in leases[:3]:
        process.bucket.end(lease, 0.0, RequestEnding.ANSWERED)
    assert process.bucket.due(0.0) == 1.0
    process.bucket.end(leases[3], 0.0, RequestEnding.ANSWERED)
    assert process.bucket.due(0.0) == 0.0


def test_what_ended_first_is_told_a_second_later_whatever_ends_meanwhile() -> None:
    store, process = settled_store(200), Process("a", 200)
    leases = [waiting(process) for _ in range(4)]
    while not process.slots._unused:
        process.visit(store, 0.0)
    leases += [waiting(process) for _ in range(len(process.slots._unused))]
    store.slots.update({("b", number): 1000.0 for number in range(200)})
    waiting(process)
    process.visit(store, 0.0)
    process.bucket.end(leases[0], 1.0, RequestEnding.ANSWERED)
    process.bucket.end(leases[1], 1.5, RequestEnding.ANSWERED)
    assert process.bucket.due(1.5) == 2.0


def test_a_request_that_the_store_knows_is_not_told_again_soon() -> None:
    store, process = settled_store(), Process("a", 9)
    waiting(process)
    process.visit(store, 0.0)
    assert process.visit(store, 1.0).free == ()


def test_a_pause_reaches_the_others_by_the_store() -> None:
    store = settled_store()
    one, other = Process("a", 9), Process("b", 9)
    lease = waiting(one)
    one.visit(store, 0.0)
    one.bucket.pause(lease, 0.0, 30.0)
    assert one.bucket.due(0.0) == 0.0
    one.visit(store, 0.0)
    late = waiting(other)
    other.visit(store, 1.0)
    assert not late.granted
    assert isinstance(other.ask(1.0, 20.0), NoRoom)


def test_a_pause_holds_up_what_was_already_leased() -> None:
    store, process = settled_store(200), Process("a", 200)
    waiting(process)
    for _ in range(3):
        process.visit(store, 0.0)
    assert process.slots._unused
    process.bucket.pause(None, 0.0, 0.5)
    late = waiting(process)
    assert process.bucket.advance(late, 0.0) == 0.5
    assert process.bucket.advance(late, 0.5) == 0
    assert late.granted


def test_a_pause_is_told_when_the_store_is_back() -> None:
    store, process = settled_store(), Process("a", 9)
    process.bucket.pause(None, 0.0, 30.0)
    process.visit(None, 0.0)
    process.visit(store, 10.0)
    assert store.paused_until == 30.0


def test_without_the_store_a_share_is_used() -> None:
    process = Process("a", 9)
    leases = [waiting(process) for _ in range(4)]
    process.visit(None, 0.0)
    assert sum(lease.granted for lease in leases) == 3
    assert process.bucket.advance(leases[3], 0.0) == 5.0  # nothing cools; it only looks now and then
    for lease in leases[:3]:
        process.bucket.end(lease, 1.0, RequestEnding.ANSWERED)
    assert process.bucket.advance(leases[3], 1.0) == PERIOD
    assert process.bucket.due(1.0) == 0.5
    process.visit(None, 0.5)
    assert process.bucket.due(1.0) == 1.5


def test_processes_that_lose_the_store_together_keep_to_what_each_had() -> None:
    store = settled_store(9)
    one, other = Process("a", 9, fallback=1.0), Process("b", 9, fallback=1.0)
    for process, count in ((one, 2), (other, 7)):
        for _ in range(count):
            waiting(process)
            process.visit(store, 0.0)
    late = [waiting(process) for process in (one, other)]
    for process in (one, other):
        process.visit(None, 1.0)
    assert [lease.granted for lease in late] == [False, False]
    later = 1.0 + one.slots.hold
    assert one.bucket.advance(late[0], later) == 0, "by then all that the others had is over"


def test_more_in_use_than_the_share_asks_the_store_for_nothing() -> None:
    store, process = settled_store(), Process("a", 9)
    for _ in range(5):
        waiting(process)
        process.visit(store, 0.0)
    process.visit(None, 1.0)
    waiting(process, 1.5)
    assert process.visit(store, 1.5).want == 0


def test_each_outage_begins_with_short_pauses() -> None:
    store, process = settled_store(), Process("a", 9)
    waiting(process)
    for now in (0.0, 0.5, 1.5, 3.5):
        process.visit(None, now)
    assert process.bucket.due(3.5) == 7.5
    process.visit(store, 7.5)
    process.visit(None, 8.0)
    assert process.bucket.due(8.0) == 8.5


def test_a_store_that_goes_away_leaves_what_is_in_use_and_takes_back_the_batch() -> None:
    store, process = settled_store(200), Process("a", 200)
    waiting(process)
    for _ in range(3):
        process.visit(store, 0.0)
    process.visit(None, 0.5)
    assert not process.slots._unused
    assert waiting(process, 0.5).granted
    process.visit(store, 1.0)
    assert len(store.slots) == 2


def test_a_wait_without_the_store_knows_how_long_it_takes() -> None:
    process = Process("a", 3)
    lease = waiting(process)
    process.visit(None, 0.0)
    assert lease.granted
    process.bucket.end(lease, 1.0, RequestEnding.ANSWERED)
    refused = process.ask(1.0, 30.0)
    assert isinstance(refused, NoRoom)
    assert refused.seconds == PERIOD


def test_a_process_at_rest_stops_looking_for_the_store() -> None:
    process = Process("a", 9)
    lease = waiting(process)
    process.visit(None, 0.0)
    process.bucket.end(lease, 1.0, RequestEnding.UNSENT)
    now = 1.0
    while (due := process.bucket.due(now)) is not None:
        now = max(now, due)
        process.visit(None, now)
    assert process.slots.hold <= now <= process.slots.hold + 10.0
    assert process.bucket.idle(now)


def test_an_outage_of_any_length_takes_no_more_memory() -> None:
    store, process = settled_store(200), Process("a", 200)
    waiting(process)
    process.visit(store, 0.0)
    most, now = 0, 0.0
    for _ in range(500):
        now += 5.0
        process.visit(None, now)
        lease = waiting(process, now)
        process.bucket.end(lease, now, RequestEnding.ANSWERED)
        most = max(most, len(process.slots._unreported))
    assert most <= 2 * (process.slots.hold + PERIOD) / 5.0 + 10


def test_what_was_granted_while_the_answer_was_lost_is_given_back() -> None:
    store, process = settled_store(), Process("a", 9)
    for _ in range(5):
        waiting(process)
    visit = process.bucket.prepare_visit(0.0)
    store.visit("a", visit, 0.0)
    process.bucket.failed(visit, 0.5)
    assert len(store.slots) == 5
    process.visit(store, 1.0)
    assert len(store.slots) == len(process.slots._in_use) == 3  # its share, which it used by itself


def test_the_longest_pause_of_all_holds() -> None:
    store = settled_store()
    one, other = Process("a", 9), Process("b", 9)
    one.bucket.pause(None, 0.0, 30.5)
    one.visit(store, 0.0)
    other.bucket.pause(None, 0.0, 30.0)
    other.visit(store, 0.0)
    assert other.bucket.paused(30.4)
    assert not other.bucket.paused(30.5)


def test_a_store_that_forgot_is_told_everything() -> None:
    store, process = settled_store(), Process("a", 9)
    leases = [waiting(process) for _ in range(3)]
    process.visit(store, 0.0)
    process.bucket.end(leases[0], 1.0, RequestEnding.ANSWERED)
    process.visit(store, 1.0)
    fresh = Store()
    process.visit(None, 2.0)
    process.visit(fresh, 3.0)
    assert {slot for slot, until in fresh.slots.items() if until == 1.0 + PERIOD - 3.0} == {("a", 0)}
    assert len(fresh.slots) == 3


# -- a store that began anew, or in which another server took over ----------------------------------


def known(store: Store, *names: str, fallback: float = 1 / 3) -> list[Process]:
    """Return processes that have met the store."""
    processes = [Process(name, store.limit, fallback) for name in names]
    for process in processes:
        process.visit(store, 0.0)
        assert process.bucket.settled
    return processes


def full(process: Process, store: Store, now: float = 0.0) -> list[Lease]:
    """Take all slots for one process."""
    leases = [waiting(process, now) for _ in range(store.limit)]
    process.visit(store, now)
    assert all(lease.granted for lease in leases)
    return leases


@pytest.mark.parametrize("step", [60.0, 600.0, 1e7])
def test_a_store_whose_clock_steps_ahead_forgets_nothing(step: float) -> None:
    store = settled_store()
    one, other, *_ = known(store, "a", "b")
    full(one, store)
    store.offset += step
    late = waiting(other, 1.0)
    other.visit(store, 1.0)
    assert not late.granted
    assert len(store.slots) == 9
    newcomer = Process("c", 9)
    later = waiting(newcomer, 1.0)
    newcomer.visit(store, 1.0)
    assert not later.granted, "one that comes for the first time sees no further either"


@pytest.mark.parametrize("step", [-60.0, -600.0, -1e7])
def test_a_store_whose_clock_steps_back_keeps_nothing_for_longer(step: float) -> None:
    store = settled_store()
    one, other = known(store, "a", "b")
    for lease in full(one, store):
        one.bucket.end(lease, 1.0, RequestEnding.ANSWERED)
    one.visit(store, 1.0)
    store.offset += step
    late = waiting(other, 1.0)
    other.visit(store, 1.0)
    other.visit(store, PERIOD + 0.9)
    assert not late.granted
    other.visit(store, PERIOD + 1.001)
    assert late.granted


def test_the_time_of_a_store_that_nobody_visited_is_right_at_the_first_visit() -> None:
    store, process = settled_store(), Process("a", 9)
    for lease in full(process, store):
        process.bucket.end(lease, 0.0, RequestEnding.ANSWERED)
    process.visit(store, 0.0)
    newcomer = Process("b", 9)
    full(newcomer, store, 1000.0)
    store.offset = 5.0  # a clock that steps while nobody looks adds no more than the other clock saw
    full(Process("c", 9), settled_store(), 1000.0)
    assert store.time == 1000.0


def test_a_slow_answer_lets_no_later_visit_claim_more_time_than_has_passed() -> None:
    store, process = settled_store(), Process("a", 9)
    visit = process.bucket.prepare_visit(10.0)
    process.bucket.apply_grant(visit, store.visit("a", visit, 10.4), 10.0, 10.5)
    claimed = process.bucket.prepare_visit(20.0).time
    assert claimed == pytest.approx(store.time + 9.5)


@pytest.mark.parametrize("forgetful", [False, True])
def test_after_a_takeover_a_process_has_no_more_than_it_had_and_a_new_one_nothing(forgetful: bool) -> None:
    store = settled_store()
    one, other = known(store, "a", "b")
    leases = full(one, store)
    replica = Store(server="second") if forgetful else settled_store()
    replica.server = "second"
    for process in (one, other):
        late = waiting(process, 1.0)
        process.visit(replica, 1.0)
        assert not late.granted
        assert not process.bucket.settled
    newcomer = Process("c", 9)
    new = waiting(newcomer, 1.0)
    newcomer.visit(replica, 1.0)
    assert new.granted is forgetful, "an empty store does not know that there was one before"
    for lease in leases:
        one.bucket.end(lease, 1.0, RequestEnding.UNSENT)
    one.visit(replica, 2.0)
    mine = [waiting(one, 2.0) for _ in range(3)]
    one.visit(replica, 2.0)
    assert sum(lease.granted for lease in mine) == 2, "its share, one of which it has already"
    now = 2.0 + one.slots.hold
    for process in (one, other, newcomer):
        process.visit(replica, now)
    assert other.bucket.settled
    assert other.bucket.prepare_visit(now).want == 0
    assert not other.bucket.waiting


def test_a_takeover_seen_late_leaves_what_is_in_use_by_then() -> None:
    """What was in use once, when the store was sure, is not to be had again: it may be another's by now."""
    store = settled_store()
    one, other = known(store, "a", "b")
    for lease in full(one, store):
        one.bucket.end(lease, 0.0, RequestEnding.ANSWERED)
    one.visit(store, 0.0)
    full(other, store, PERIOD)
    late = waiting(one, PERIOD + 1.0)
    one.visit(None, PERIOD + 1.0)
    assert not late.granted


def test_after_one_hold_without_the_store_a_process_has_its_share_again() -> None:
    store = settled_store()
    one, _ = known(store, "a", "b")
    one.visit(None, 1.0)
    late = waiting(one, 1.0)
    one.visit(None, one.slots.hold)
    assert not late.granted
    one.visit(None, 1.0 + one.slots.hold)
    assert late.granted


def test_without_a_fallback_nothing_is_sent_without_the_store() -> None:
    store, process = settled_store(), Process("a", 9, 0)
    lease = waiting(process)
    process.visit(None, 0.0)
    assert not lease.granted
    assert process.bucket.advance(lease, 0.0) == FOREVER  # it is woken when the store is back
    refused = process.ask(0.0, 0.4)
    assert isinstance(refused, NoRoom)
    assert refused.seconds == 0.5  # when the store is tried again
    process.visit(None, 1000.0)
    assert not lease.granted
    process.visit(store, 1001.0)
    process.visit(store, 1010.0)
    assert lease.granted


class Fleet(RuleBasedStateMachine):
    """Three processes and a store; whatever happens, never more than the limit count at once.

    All processes notice when the store goes away: one that is cut off alone is for `Chaos`.
    """

    LIMIT = 9
    FALLBACK = 1 / 3

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.store: Store = settled_store(self.LIMIT)
        self.replica = deepcopy(self.store)
        self.reachable = True
        self.cut_off: set[str] = set()
        self.processes = [Process(name, self.LIMIT, self.FALLBACK) for name in "abc"]
        self.counting: list[tuple[Process, float]] = []  # until when requests that have ended count
        self.names = 0
        self.asked: dict[str, list[Lease]] = {}
        for process in self.processes:  # all have met the store before
            self.visit_of(process)

    def counted(self) -> int:
        busy = sum(len(process.busy) for process in self.processes)
        return busy + sum(until > self.now for _, until in self.counting)

    def pick(self, data: st.DataObject) -> Process:
        return data.draw(st.sampled_from(self.processes))

    def visit_of(self, process: Process) -> None:
        there = self.reachable and process.name not in self.cut_off
        process.visit(self.store if there else None, self.now)
        self.collect(process)

    def collect(self, process: Process) -> None:
        for lease in self.asked.get(process.name, []):
            if lease.granted and lease not in process.busy:
                process.busy[lease] = self.now
        self.asked[process.name] = [
            lease for lease in self.asked.get(process.name, []) if lease not in process.busy
        ]

    @rule(data=st.data(), count=st.integers(1, 4))
    def ask(self, data: st.DataObject, count: int) -> None:
        process = self.pick(data)
        for _ in range(count):
            lease = process.ask(self.now)
            assert isinstance(lease, Lease)
            self.asked.setdefault(process.name, []).append(lease)
        self.collect(process)

    @rule(data=st.data())
    def visit(self, data: st.DataObject) -> None:
        self.visit_of(self.pick(data))

    @precondition(lambda self: any(process.busy for process in self.processes))
    @rule(data=st.data(), ending=st.sampled_from(RequestEnding))
    def end(self, data: st.DataObject, ending: RequestEnding) -> None:
        process = data.draw(st.sampled_from([one for one in self.processes if one.busy]))
        self.finish(process, data.draw(st.sampled_from(list(process.busy))), ending)

    def finish(self, process: Process, lease: Lease, ending: RequestEnding) -> None:
        del process.busy[lease]
        if ending is not RequestEnding.UNSENT:
            linger = LINGER if ending is RequestEnding.LOST else 0.0
            self.counting.append((process, self.now + WINDOW + linger))
        process.bucket.end(lease, self.now, ending)
        self.collect(process)

    def forgets(self, process: Process) -> bool:
        """Return True if no process can know what a killed one sent: it used its fallback by itself."""
        return process.slots._unreachable

    def may_begin(self) -> bool:
        """Return True if a process may come that never met the store."""
        since, hold = self.store.since, self.processes[0].slots.hold
        knows = since is not None and (not self.store.empty or self.store.time >= since + hold)
        return self.reachable and knows

    @rule(data=st.data())
    def kill(self, data: st.DataObject) -> None:
        process = self.pick(data)
        if self.forgets(process):
            self.counting = [(owner, until) for owner, until in self.counting if owner is not process]
        else:
            self.counting += [(process, self.now + WINDOW + LINGER) for _ in process.busy]
        begins = self.may_begin()
        self.processes.remove(process)
        self.asked.pop(process.name, None)
        self.names += 1
        if begins:
            fresh = Process(f"{process.name}{self.names}", self.LIMIT, self.FALLBACK)
            self.processes.append(fresh)
            self.visit_of(fresh)
        elif not self.processes:
            self.processes.append(process)
            process.busy.clear()
            process.bucket = SharedGroupLimiter("create", self.LIMIT, process.slots)

    @rule()
    def go_away(self) -> None:
        self.reachable = False
        for process in self.processes:
            self.visit_of(process)

    @rule(forgetful=st.booleans())
    def come_back(self, forgetful: bool) -> None:
        if forgetful and not self.reachable:
            self.store = Store(self.LIMIT, offset=self.store.offset)
        self.reachable = True

    @rule(step=st.sampled_from([-600.0, -60.0, 60.0, 600.0]))
    def step_clock(self, step: float) -> None:
        self.store.offset += step

    @rule()
    def replicate(self) -> None:
        self.replica = deepcopy(self.store)

    @rule(offset=st.sampled_from([-600.0, 0.0, 600.0]))
    def take_over(self, offset: float) -> None:
        """Go on with what had reached the replica, on another host."""
        self.names += 1
        self.store = deepcopy(self.replica)
        self.store.server, self.store.offset = f"server {self.names}", offset

    @rule(seconds=st.sampled_from([0.1, 1.0, 7.0, 30.0, 61.0, 200.0]))
    def pass_time(self, seconds: float) -> None:
        """Advance time; each process goes to the store when it is due."""
        until = self.now + seconds
        while self.now < until:
            dues = [process.bucket.due(self.now) for process in self.processes]
            ends = [since + LONGEST for process in self.processes for since in process.busy.values()]
            next_ = min([*ends, *(due for due in dues if due is not None)], default=until)
            self.now = min(max(next_, self.now + 0.01), until)
            for process in self.processes:
                for lease, since in list(process.busy.items()):
                    if self.now >= since + LONGEST:
                        self.finish(process, lease, RequestEnding.LOST)
                due = process.bucket.due(self.now)
                if due is not None and due <= self.now:
                    self.visit_of(process)

    @invariant()
    def never_more_than_the_limit_counts(self) -> None:
        assert self.counted() <= self.LIMIT

    def teardown(self) -> None:
        """Check that sends go on once nothing more happens."""
        self.reachable = True
        self.cut_off.clear()
        process = self.processes[0]
        first = process.ask(self.now)
        assert isinstance(first, Lease)
        asked = self.asked.setdefault(process.name, [])
        asked.append(first)
        before = len(asked)
        for _ in range(4):
            self.pass_time(100.0)
        assert len(self.asked[process.name]) < before


class Chaos(Fleet):
    """Processes without a fallback: each may be cut off alone, the store may forget at any time."""

    FALLBACK = 0

    def forgets(self, process: Process) -> bool:
        return False

    def may_begin(self) -> bool:
        return True

    @rule(data=st.data())
    def cut(self, data: st.DataObject) -> None:
        self.cut_off.symmetric_difference_update({self.pick(data).name})

    @rule()
    def go_away(self) -> None:
        self.reachable = False

    @rule(offset=st.sampled_from([-600.0, 0.0, 600.0]))
    def forget(self, offset: float) -> None:
        self.store = Store(self.LIMIT, self.store.server, offset)


TestFleet = Fleet.TestCase
TestFleet.settings = settings(max_examples=50 * RUNS, stateful_step_count=50, deadline=None)
TestChaos = Chaos.TestCase
TestChaos.settings = settings(max_examples=50 * RUNS, stateful_step_count=50, deadline=None)


# -- interrupts ------------------------------------------------------------------------------------


class Interrupted(dict[object, int | None]):
    """Holders of which the next one is interrupted before it is in here."""

    def __setitem__(self, holder: object, number: int | None) -> None:
        raise KeyboardInterrupt


def supplied() -> tuple[Store, Process]:
    store, process = settled_store(200), Process("a", 200)
    process.bucket.end(waiting(process), 0.0, RequestEnding.UNSENT)
    for _ in range(4):
        waiting(process)
        process.visit(store, 0.0)
    assert len(process.slots._unused) > 2
    return store, process


def test_a_slot_that_an_interrupted_call_did_not_get_is_told_to_the_store_later() -> None:
    store, process = supplied()
    holders, process.slots.holders = process.slots.holders, Interrupted(process.slots.holders)
    (number, *_) = process.slots._unused
    with pytest.raises(KeyboardInterrupt):
        waiting(process)
    process.slots.holders = holders
    assert number in process.slots._in_use
    before = len(process.slots._unused)
    assert process.slots.free(0.0, 200) == before - 1, "nobody else gets it"
    visit = process.visit(store, process.slots._renew_after + 1.0)
    assert (number, 0.0) in visit.free
    assert number not in process.slots._in_use


def test_a_slot_in_use_is_given_to_no_other_call_after_an_interrupt() -> None:
    """The call was interrupted when it had the slot, before that was off the list of unused ones."""
    _, process = supplied()
    (number, *_) = process.slots._unused
    lease = waiting(process)
    process.slots._unused = {number: 1.0, **process.slots._unused}
    assert process.slots.holders[lease] == number
    other = waiting(process)
    assert process.slots.holders[other] not in (number, None)
    assert number not in process.slots._unused


def test_a_limiter_is_not_idle_while_a_request_waits_for_a_visit() -> None:
    process = Process("a", 200)
    assert process.bucket.idle(0.0)
    waiting(process)
    assert not process.bucket.idle(0.0)


def test_the_store_is_visited_when_a_batch_that_is_not_used_is_due() -> None:
    _, process = supplied()
    process.slots._in_use.clear()
    process.slots._unreported.clear()
    assert process.slots.due(0.0, 0) == next(iter(process.slots._unused.values()))


def test_what_the_store_was_told_is_not_told_again_while_it_is_there() -> None:
    store, process = settled_store(9), Process("a", 9)
    lease = waiting(process)
    process.visit(store, 0.0)
    assert lease.granted
    process.bucket.end(lease, 0.0, RequestEnding.ANSWERED)
    assert len(process.visit(store, 1.0).free) == 1
    assert process.visit(store, 2.0).free == ()
    process.visit(store, 1_000.0)
    assert not process.slots._cooling_slots


def test_slots_taken_without_the_store_have_other_numbers_than_those_that_were_asked_for() -> None:
    process = Process("a", 9, fallback=1.0)
    lease = waiting(process)
    visit = process.visit(None, 0.0)
    assert lease.granted
    asked_for = range(visit.start, visit.start + visit.want)
    assert process.slots.holders[lease] not in (None, *asked_for)


def test_the_first_who_waits_looks_after_itself_when_the_store_goes_away() -> None:
    process = Process("a", 9, fallback=0.0)
    lease = waiting(process)
    lease.signal = Bell()
    process.visit(None, 0.0)
    assert (lease.granted, lease.signal.woken) == (False, 1)


@pytest.mark.parametrize(
    ("visits", "time"),
    [
        ([(0.0, 0.0, 100.0)], 130.0),
        ([(0.0, 2.0, 100.0)], 128.0),  # it may have been 100 at the end of the visit
        ([(0.0, 0.0, 100.0), (10.0, 20.0, 115.0)], 130.0),  # between 125 and 135 by the second alone
        ([(0.0, 0.0, 100.0), (10.0, 20.0, 125.0)], 135.0),  # at least that: the first was not so exact
        ([(0.0, 0.0, 100.0), (10.0, 20.0, 105.0)], 125.0),  # at most that
    ],
)
def test_a_slow_visit_makes_the_known_time_of_the_store_no_worse(
    visits: list[tuple[float, float, float]], time: float
) -> None:
    process = Process("a", 9)
    for left, now, told in visits:
        visit = process.bucket.prepare_visit(left)
        process.bucket.apply_grant(visit, Grant(0, 0.0, 0.0, True, told, visit.turn), left, now)
    assert process.bucket.prepare_visit(30.0).time == time


# -- what a visit says, and what its answer does ------------------------------------------------------

# A second to use a slot, the longest request, its window, and 10 s in which it may still arrive.
HOLD = 91.25
VISIT = Visit(
    limit=9,
    want=0,
    start=0,
    own=0,
    fallback=3,
    kept=0,
    hold=HOLD,
    pause=0.0,
    capped=False,
    time=None,
    turn="",
    free=(),
)


def granted(
    count: int, time: float, *, wait: float = 0.0, paused: float = 0.0, settled: bool = True
) -> Grant:
    return Grant(count, wait, paused, settled, time, f"turn {time}")


def test_what_a_process_says_from_one_visit_to_the_next() -> None:
    process = Process("a", 9)
    bucket = process.bucket
    first, second = waiting(process, 10.0), waiting(process, 10.0)
    visit = bucket.prepare_visit(10.0)
    assert visit == evolve(VISIT, want=2)
    bucket.apply_grant(visit, granted(2, 1000.0), 10.0, 10.5)
    assert (first.granted, second.granted) == (True, True)
    said = evolve(VISIT, start=2, own=2, fallback=2, kept=2)  # no more than it has
    bucket.end(first, 12.0, RequestEnding.ANSWERED)
    visit = bucket.prepare_visit(13.0)
    assert visit == evolve(said, time=1002.5, turn="turn 1000.0", free=((0, PERIOD - 1.0),))
    bucket.end(second, 13.0, RequestEnding.LOST)  # while the visit is under way
    bucket.apply_grant(visit, granted(0, 1002.5), 13.0, 13.5)
    assert bucket.due(13.5) == 13.5
    third = waiting(process, 14.0)
    visit = bucket.prepare_visit(14.0)
    said = evolve(said, time=1003.5, turn="turn 1002.5")
    assert visit == evolve(said, want=1, free=((1, PERIOD + LINGER - 1.0),))
    bucket.apply_grant(visit, granted(1, 1003.5), 14.0, 14.0)
    bucket.end(third, 20.0, RequestEnding.UNSENT)
    bucket.pause(None, 20.0, 30.0)
    visit = bucket.prepare_visit(21.0)
    said = evolve(said, start=3, turn="turn 1003.5")
    assert visit == evolve(said, time=1010.5, pause=29.0, free=((2, 0.0),))
    bucket.apply_grant(visit, granted(0, 1010.5), 21.0, 21.0)
    said = evolve(said, turn="turn 1010.5")
    assert bucket.prepare_visit(22.0) == evolve(said, time=1011.5)
    assert bucket.prepare_visit(72.25) == evolve(said, time=1061.75, own=1, fallback=1, kept=1)
    assert bucket.prepare_visit(83.25) == evolve(said, time=1072.75, own=0, fallback=0, kept=0)


def test_what_a_process_says_once_the_store_is_there_again() -> None:
    process = Process("a", 9)
    bucket = process.bucket
    first, second = waiting(process), waiting(process)
    bucket.apply_grant(bucket.prepare_visit(0.0), granted(2, 0.0), 0.0, 0.0)
    bucket.end(first, 1.0, RequestEnding.ANSWERED)
    bucket.apply_grant(bucket.prepare_visit(2.0), granted(0, 2.0), 2.0, 2.0)
    third = waiting(process, 3.0)
    third.signal = Bell()
    lost = bucket.prepare_visit(3.0)
    assert lost == evolve(VISIT, want=1, start=2, own=2, fallback=2, kept=2, time=3.0, turn="turn 2.0")
    bucket.failed(lost, 3.5)
    assert (third.granted, bucket.settled, bucket.due(3.5)) == (False, False, 4.0)
    visit = bucket.prepare_visit(4.0)
    # It has two slots, as many as it had when the store was lost, and the third was perhaps granted.
    said = evolve(VISIT, start=3, own=2, fallback=2, kept=2, capped=True, turn="turn 2.0")
    assert visit == evolve(said, time=4.0, free=((2, 0.0), (0, 57.25), (1, HOLD)))
    bucket.failed(visit, 4.5)
    woken = third.signal.woken
    bucket.end(second, 5.0, RequestEnding.ANSWERED)
    assert third.signal.woken == woken + 1  # now it is known when a slot is free
    assert bucket.advance(third, 5.0) == 61.25 - 5.0
    visit = bucket.prepare_visit(5.5)
    assert visit == evolve(said, time=5.5, free=((2, 0.0), (1, 59.75), (0, 55.75)))
    bucket.apply_grant(visit, granted(0, 5.5, wait=3.0), 5.5, 5.5)
    assert [bucket.prepare_visit(now).capped for now in (6.0, 11.4, 11.5)] == [True, True, False]


def test_a_request_that_goes_on_is_reported_after_half_of_the_longest_time() -> None:
    process = Process("a", 9)
    bucket = process.bucket
    for now in (0.0, 5.0):
        waiting(process, now)
        bucket.apply_grant(bucket.prepare_visit(now), granted(1, now), now, now)
    assert bucket.due(5.0) == 10.5
    assert bucket.prepare_visit(10.4).free == ()
    assert bucket.prepare_visit(10.5).free == ((0, HOLD),)
    assert bucket.due(10.5) == 15.5
    assert bucket.prepare_visit(20.9).free == ((1, HOLD),)
    assert bucket.prepare_visit(21.0).free == ((0, HOLD),)


def test_a_visit_is_for_the_part_of_the_limit_that_may_be_used() -> None:
    process = Process("a", 9)
    lease = waiting(process)
    process.bucket.apply_grant(process.bucket.prepare_visit(0.0), granted(1, 0.0), 0.0, 0.0)
    assert process.bucket.pause(lease, 0.0, 5.0)  # it is suspected that something else uses the limit
    visit = process.bucket.prepare_visit(6.0)
    assert (visit.limit, visit.pause) == (7, 0.0)


def supplied_by(visits: int, limit: int = 3200, now: float = 0.0, requests: int = 1) -> Process:
    """Return a process with requests under way, to which each visit gave all that it asked for."""
    process = Process("a", limit)
    for _ in range(requests):
        waiting(process, now)
    for _ in range(visits):
        supply(process, now)
    return process


def supply(process: Process, now: float) -> int:
    visit = process.bucket.prepare_visit(now)
    process.bucket.apply_grant(visit, granted(visit.want, now), now, now)
    return visit.want


@pytest.mark.parametrize(
    ("limit", "wants"),
    [
        (99, [0, 0, 0]),
        (100, [2, 0, 0]),
        (200, [2, 2, 0]),
        (3200, [2, 2, 4, 8, 16, 32, 0]),
        (10_000, [2, 2, 4, 8, 16, 32, 0]),
    ],
)
def test_as_long_as_all_is_granted_twice_as_many_slots_are_kept_ready(limit: int, wants: list[int]) -> None:
    process = supplied_by(1, limit)
    assert [supply(process, 0.0) for _ in wants] == wants


def test_where_many_requests_wait_twice_as_many_slots_are_kept_ready_at_once() -> None:
    process = supplied_by(1, requests=20)
    assert supply(process, 0.0) == 40


def test_a_slot_that_was_not_used_makes_the_next_batch_half_as_large() -> None:
    process = supplied_by(4)  # 8 are ready, as half of a batch
    for _ in range(7):
        waiting(process, 0.5)
    visit = process.bucket.prepare_visit(1.0)
    assert (visit.want, visit.free) == (8, ((8, 0.0),))


def test_slots_are_kept_for_a_second_each() -> None:
    process = supplied_by(2)
    assert [supply(process, 0.5) for _ in range(2)] == [2, 4]
    assert process.bucket.due(0.5) == 1.0
    visit = process.bucket.prepare_visit(1.0)  # 2 go back, and 6 are ready, which is more than a batch of 4
    assert (visit.want, visit.start, visit.free) == (0, 9, ((1, 0.0), (2, 0.0)))
    assert process.bucket.prepare_visit(1.0).start == 9
    assert [waiting(process, 1.4).granted for _ in range(7)] == [True] * 6 + [False]
    assert not supplied_by(2).bucket.prepare_visit(0.9).free


def test_more_slots_are_asked_for_when_a_quarter_of_a_batch_is_left() -> None:
    process = supplied_by(4)  # 8 are ready, as half of a batch
    for _ in range(3):
        waiting(process)
    assert process.bucket.due(0.0) == 1.0
    waiting(process)
    assert process.bucket.due(0.0) == 0.0


def test_the_next_batch_of_two_is_asked_for_when_the_last_slot_is_used() -> None:
    process = supplied_by(2, 100)
    kicks = process.kicks
    waiting(process)
    assert (process.kicks, process.bucket.due(0.0)) == (kicks, 1.0)
    waiting(process)
    assert (process.kicks, process.bucket.due(0.0)) == (kicks + 1, 0.0)


@pytest.mark.parametrize(
    ("window", "wait", "due", "earliest"),
    [
        (60.0, 0.0, 11.0, 10.0),
        (60.0, 3.0, 13.0, 13.0),
        (60.0, 20.0, 15.0, 30.0),
        (60.0, 100.0, 15.0, 10.0 + PERIOD),
        (30.0, 0.0, 10.5, 10.0),
        (30.0, 100.0, 12.5, 40.25),
    ],
)
def test_after_less_than_was_asked_for_a_process_asks_again_soon_and_knows_when_there_may_be_more(
    window: float, wait: float, due: float, earliest: float
) -> None:
    slots = SharedSlots(window, LeaseTerms(LONGEST, 0.5), lambda: None)
    visit = slots.prepare_visit(10.0, 3, 9)
    slots.apply_grant(visit, granted(2, 10.0, wait=wait), 10.0, 10.0)
    assert [slots.earliest(10.0, place, 9) for place in (1, 2, 3, 9)] == [10.0, 10.0, earliest, earliest]
    assert slots.earliest(10.0, 10, 9) == earliest + window + 0.25
    assert slots.earliest(200.0, 3, 9) == 200.0
    for holder in range(2):
        slots.take(10.0, holder)
    assert slots.due(10.0, 1) == due


def test_with_all_that_was_asked_for_a_process_may_ask_again_at_once() -> None:
    process = supplied_by(1, now=10.0)
    waiting(process, 20.0)
    assert process.bucket.due(20.0) == 10.0
    assert process.slots.earliest(20.0, 1, 9) == 20.0


@pytest.mark.parametrize(
    ("ending", "left"),
    [
        (RequestEnding.UNSENT, 0.0),
        (RequestEnding.ANSWERED, PERIOD - 1.0),
        (RequestEnding.REFUSED, PERIOD - 1.0),
        (RequestEnding.LOST, PERIOD + LINGER - 1.0),
    ],
)
def test_the_store_learns_when_a_slot_is_free(ending: RequestEnding, left: float) -> None:
    process = Process("a", 9)
    lease = waiting(process)
    supply(process, 0.0)
    process.bucket.end(lease, 5.0, ending)
    assert process.bucket.prepare_visit(6.0).free == ((0, left),)


def test_a_visit_is_due_for_the_first_slot_to_report_and_for_a_whole_batch() -> None:
    process = supplied_by(2, 200)  # a batch of four
    leases = [waiting(process) for _ in range(6)]
    supply(process, 0.0)
    supply(process, 0.0)
    kicks = list[int]()
    for lease in leases:
        before = process.kicks
        process.bucket.end(lease, 0.2, RequestEnding.ANSWERED)
        kicks.append(process.kicks - before)
    assert kicks == [1, 0, 0, 1, 0, 0]


def test_a_pause_is_reported_at_once() -> None:
    process = supplied_by(1, 9)
    kicks = process.kicks
    process.bucket.pause(None, 1.0, 5.0)
    assert (process.kicks, process.bucket.due(1.0)) == (kicks + 1, 1.0)


def test_a_pause_of_another_process_holds_up_what_was_granted() -> None:
    process = Process("a", 9)
    lease = waiting(process)
    visit = process.bucket.prepare_visit(0.0)
    process.bucket.apply_grant(visit, granted(1, 0.0, wait=5.0, paused=5.0), 0.0, 0.0)
    assert not lease.granted
    assert [process.bucket.paused(now) for now in (4.9, 5.0)] == [True, False]


def test_a_call_that_can_wait_no_longer_waits_for_the_first_visit_all_the_same() -> None:
    assert isinstance(Process("a", 9).ask(0.0, 0.0), Lease)


def test_one_that_waits_for_a_visit_does_not_look_by_itself() -> None:
    """What cools here is for other processes, too."""
    process = Process("a", 1)
    lease = waiting(process)
    supply(process, 0.0)
    process.bucket.end(lease, 0.0, RequestEnding.ANSWERED)
    assert process.bucket.advance(waiting(process), 0.0) == FOREVER


def test_a_limiter_is_idle_once_all_is_reported_and_free() -> None:
    process = Process("a", 9)
    lease = waiting(process)
    supply(process, 0.0)
    assert not process.bucket.idle(0.0)
    process.bucket.end(lease, 0.0, RequestEnding.ANSWERED)
    supply(process, 0.5)
    assert [process.bucket.idle(now) for now in (1.0, PERIOD - 0.1, PERIOD)] == [False, False, True]
    unsent = waiting(process, 100.0)
    supply(process, 100.0)
    process.bucket.end(unsent, 100.0, RequestEnding.UNSENT)
    assert not process.bucket.idle(100.0)
    supply(process, 100.0)
    assert process.bucket.idle(100.0)


def test_a_limiter_is_not_idle_while_it_has_slots_ready() -> None:
    process = Process("a", 200)
    lease = waiting(process)
    supply(process, 0.0)
    process.bucket.end(lease, 0.0, RequestEnding.UNSENT)
    supply(process, 0.0)
    assert not process.bucket.idle(0.0)
    supply(process, 1.0)
    assert process.bucket.idle(1.0)


@pytest.mark.parametrize(
    ("limit", "fallback", "share"),
    [(9, 1 / 3, 3), (8, 1 / 3, 2), (2, 1 / 3, 1), (9, 1.0, 9), (9, 0.0, 0), (1, 0.0, 0)],
)
def test_a_process_that_never_met_the_store_has_its_part_of_the_limit(
    limit: int, fallback: float, share: int
) -> None:
    process = Process("a", limit, fallback)
    leases = [waiting(process) for _ in range(limit)]
    visit = process.bucket.prepare_visit(0.0)
    assert (visit.want, visit.fallback, visit.kept) == (limit, share, 0)
    process.bucket.failed(visit, 0.0)
    assert sum(lease.granted for lease in leases) == share


@pytest.mark.parametrize(("now", "settled"), [(6.9, False), (7.0, True)])
def test_after_an_outage_the_store_knows_of_everything_once_the_others_are_there_again(
    now: float, settled: bool
) -> None:
    process = Process("a", 9)
    process.bucket.failed(None, 0.0)
    for time in (1.0, now):
        visit = process.bucket.prepare_visit(time)
        process.bucket.apply_grant(visit, granted(0, time), time, time)
    assert process.bucket.settled is settled


def test_while_the_store_does_not_know_of_everything_a_process_keeps_what_it_had_for_one_hold() -> None:
    process = Process("a", 9, fallback=1.0)
    for _ in range(2):
        waiting(process)
    supply(process, 0.0)
    for now, settled in ((1.0, True), (2.0, False), (50.0, False)):
        visit = process.bucket.prepare_visit(now)
        process.bucket.apply_grant(visit, granted(0, now, settled=settled), now, now)
        assert process.bucket.settled is settled
    kept = [process.bucket.prepare_visit(now).kept for now in (51.0, 2.0 + HOLD - 0.1, 2.0 + HOLD)]
    assert kept == [2, 2, 9]


def test_the_store_is_tried_again_after_twice_as_long_each_time() -> None:
    process, now, pauses = Process("a", 9), 0.0, list[float]()
    waiting(process)
    for _ in range(6):
        process.visit(None, now)
        due = process.bucket.due(now)
        assert due is not None
        pauses.append(due - now)
        now = due
    assert pauses == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


def test_without_the_store_and_a_share_a_call_is_told_when_it_is_tried_again() -> None:
    slots = SharedSlots(WINDOW, LeaseTerms(LONGEST, 0.0), lambda: None)
    slots.failed(None, 10.0)
    assert [slots.earliest(now, 1, 9) for now in (10.0, 20.0)] == [10.5, 20.0]


def test_a_batch_that_was_ready_goes_back_when_the_store_is_there_again() -> None:
    process = supplied_by(2)
    process.bucket.failed(None, 0.5)
    visit = process.bucket.prepare_visit(1.0)
    assert visit.free == ((1, 0.0), (2, 0.0), (0, HOLD))
    process.bucket.apply_grant(visit, granted(0, 1.0), 1.0, 1.0)
    assert process.bucket.prepare_visit(10.0).want == 2  # batches begin anew


def test_a_pause_that_the_store_did_not_learn_of_is_told_again_for_the_rest_of_it() -> None:
    process = Process("a", 9)
    process.bucket.pause(None, 0.0, 30.0)
    visit = process.bucket.prepare_visit(1.0)
    assert visit.pause == 29.0
    process.bucket.failed(visit, 11.0)
    assert process.bucket.prepare_visit(12.0).pause == 28.0


def test_a_process_with_more_than_its_part_keeps_its_part_if_the_store_is_lost() -> None:
    visit = supplied_by(1, 9, requests=5).bucket.prepare_visit(1.0)
    assert (visit.own, visit.fallback, visit.kept) == (5, 3, 3)


def test_each_slot_of_a_process_has_another_number() -> None:
    process = Process("a", 9)
    for _ in range(3):
        waiting(process)
    process.bucket.failed(process.bucket.prepare_visit(0.0), 0.0)  # it goes on with three of its own
    visit = process.bucket.prepare_visit(1.0)
    assert visit.start == 6
    assert visit.free == ((0, 0.0), (1, 0.0), (2, 0.0), (3, HOLD), (4, HOLD), (5, HOLD))
