"""The arithmetic of the slots: never more than the limit in any window, whatever the latency."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smscode.core.ratelimit.adaptive_share import AdaptiveShare
from smscode.core.ratelimit.slots import RequestEnding, SlotWindow

WINDOW = 60.0
PERIOD = 60.25  # clocks may run at slightly different rates
LINGER = 10.0  # seconds for which a request that was given up may still be on its way


def taken(count: int) -> SlotWindow:
    slots = SlotWindow(WINDOW)
    for number in range(count):
        slots.take(0.0, number)
    return slots


def test_a_slot_comes_back_one_window_after_its_request_ended() -> None:
    slots = taken(1)
    slots.give_back(100.0, 0, RequestEnding.ANSWERED)
    assert slots.free(100.0 + PERIOD - 0.001, 3) == 2
    assert slots.free(100.0 + PERIOD, 3) == 3


def test_what_was_not_sent_frees_its_slot_at_once() -> None:
    slots = taken(1)
    slots.give_back(100.0, 0, RequestEnding.UNSENT)
    assert slots.free(100.0, 3) == 3


def test_what_may_still_arrive_cools_for_longer() -> None:
    slots = taken(2)
    slots.give_back(100.0, 0, RequestEnding.LOST)
    slots.give_back(101.0, 1, RequestEnding.ANSWERED)
    assert slots.next_free() == 101.0 + PERIOD
    assert slots.free(101.0 + PERIOD, 2) == 1
    assert slots.next_free() == 100.0 + PERIOD + LINGER
    assert slots.free(100.0 + PERIOD + LINGER, 2) == 2
    assert slots.next_free() is None


def test_fewer_slots_than_are_in_use_are_a_debt() -> None:
    assert taken(3).free(0.0, 2) == -1


def test_slots_that_are_free_again_take_no_memory() -> None:
    slots = SlotWindow(WINDOW)
    for number in range(20_000):
        slots.take(float(number), number)
        slots.give_back(float(number), number, RequestEnding.ANSWERED)
        assert slots.free(float(number), 100) >= 100 - 61
    assert len(slots._cooling) < 2_000


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (1, 100.0),  # one of three is free
        (2, 90.0 + PERIOD),  # one cools
        (3, 100.0 + PERIOD),  # one is busy, and may end now at the earliest
        (4, 100.0 + PERIOD),
        (5, 90.0 + 2 * PERIOD),  # the second round of the cooling one
        (7, 100.0 + 2 * PERIOD),
    ],
)
def test_the_earliest_time_for_a_place_in_the_queue(place: int, expected: float) -> None:
    slots = taken(2)
    slots.give_back(90.0, 0, RequestEnding.ANSWERED)
    assert slots.earliest(100.0, place, 3) == expected


@given(
    st.lists(st.floats(0, 50), max_size=30),
    st.integers(1, 12),
    st.integers(1, 30),
)
def test_the_earliest_time_is_never_too_late(ends: list[float], limit: int, place: int) -> None:
    """Return the earliest times at which a queue can be served: each request ends as it begins."""
    slots, now = SlotWindow(WINDOW), 0.0
    for end in sorted(ends):
        if slots.free(end, limit) > 0:
            slots.take(0.0, end)
            slots.give_back(end, end, RequestEnding.ANSWERED)
        now = end
    predicted, served = slots.earliest(now, place, limit), now
    for _ in range(place):
        if slots.free(now, limit) <= 0:
            now = slots.next_free() or now
        assert slots.free(now, limit) > 0
        served = now
        slots.take(0.0, now)
        slots.give_back(now, now, RequestEnding.ANSWERED)
    assert predicted == pytest.approx(served)


def worst_window(arrivals: list[float], window: float) -> int:
    """Return the most arrivals in any half-open window."""
    arrivals = sorted(arrivals)
    return max(bisect_right(arrivals, start + window - 1e-9) - index for index, start in enumerate(arrivals))


LATENCIES: dict[str, Callable[[random.Random], float]] = {
    "constant": lambda chance: 0.05,
    "10-400 ms": lambda chance: chance.uniform(0.01, 0.4),
    "heavy tail": lambda chance: min(0.05 * chance.paretovariate(0.7), 30.0),
}


@pytest.mark.parametrize("latency", LATENCIES)
def test_a_saturating_client_uses_all_of_the_limit_and_no_more(latency: str) -> None:
    """Send whenever there is a slot; the service counts a request anywhere between sending and end."""
    limit, until = 50, 40 * WINDOW
    chance = random.Random(latency)
    slots, now = SlotWindow(WINDOW), 5.0
    ends: list[tuple[float, bool, int]] = []
    arrivals: list[float] = []
    latencies: list[float] = []
    while now < until:
        while slots.free(now, limit) > 0:
            slots.take(0.0, len(arrivals))
            took = LATENCIES[latency](chance)
            latencies.append(took)
            arrivals.append(now + took * chance.random())
            given_up = chance.random() < 0.05
            if given_up:  # as a cancelled request: it arrives later than it was given up
                ends.append((now + took * 0.3, True, len(arrivals) - 1))
                arrivals[-1] = now + min(took, 0.3 * took + LINGER)
            else:
                ends.append((now + took, False, len(arrivals) - 1))
        ends.sort()
        upcoming = [time for time in (slots.next_free(), ends[0][0] if ends else None) if time is not None]
        now = min(upcoming)
        while ends and ends[0][0] <= now:
            end, given_up, number = ends.pop(0)
            slots.give_back(end, number, RequestEnding.LOST if given_up else RequestEnding.ANSWERED)
    assert worst_window(arrivals, WINDOW) <= limit
    aligned = [int(arrival // WINDOW) for arrival in arrivals]
    assert max(aligned.count(index) for index in set(aligned)) <= limit
    mean = sum(latencies) / len(latencies) + 0.05 * LINGER
    assert len(arrivals) >= 0.98 * limit * (until - 5.0) / (PERIOD + mean) - limit


def test_a_share_shrinks_by_a_fifth_and_grows_by_a_twentieth_per_minute() -> None:
    share = AdaptiveShare()
    assert (share.of(100, 0.0), share.grows(100, 0.0)) == (100, None)
    share.shrink(0.0)
    assert share.of(100, 0.0) == 80
    assert [share.grows(100, now) for now in (0.0, 6.0)] == [pytest.approx(12.0)] * 2
    assert [share.grows(10, now) for now in (0.0, 6.0)] == [pytest.approx(120.0)] * 2
    assert share.of(100, 60.0) == 85
    share.shrink(60.0)
    assert share.of(100, 60.0) == 68
    assert share.of(100, 100_000.0) == 100
    assert share.grows(100, 100_000.0) is None


def test_a_share_is_never_less_than_a_sixteenth_nor_than_one() -> None:
    share = AdaptiveShare()
    for _ in range(100):
        share.shrink(0.0)
    assert (share.of(1600, 0.0), share.of(3, 0.0)) == (100, 1)


@given(st.integers(1, 5000), st.lists(st.floats(0, 600), min_size=1, max_size=20))
def test_a_share_tells_when_it_grows(limit: int, refusals: list[float]) -> None:
    share, now = AdaptiveShare(), 0.0
    for pause in refusals:
        now += pause
        share.shrink(now)
    before = share.of(limit, now)
    then = share.grows(limit, now)
    if then is None or before == limit:
        assert before == limit
    else:
        assert then > now
        assert share.of(limit, then - 1e-3) == before
        assert share.of(limit, then + 1e-3) > before
