"""One call from start to end, driven by hand: what is sent again, when, and what the error says."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import pytest
from attrs import field, mutable
from hypothesis import given
from hypothesis import strategies as st

from smscode import (
    InvalidArgumentError,
    InvalidResponseError,
    NetworkError,
    RequestTimeoutError,
    RetryPolicy,
    SmscodeError,
    calls,
)
from smscode.core.flow import Failure, Reply, Send, flow
from smscode.core.retry import REPEATABLE, may_repeat, next_pause, pause
from smscode.core.wire import Answer, Kind, Request, Response
from smscode.errors import Outcome

from .support import CALLS, KEY, PAGE, refusal, respond, success

Result = Response | Failure

BY_KIND = {
    Kind.READ: "balance.get",
    Kind.CREATE: "orders.create",
    Kind.TRANSITION: "orders.cancel",
    Kind.RESEND: "orders.resend",
    Kind.CONFIG: "webhook.update",
    Kind.TEST: "webhook.test",
}
DATA: dict[Kind, object] = {
    Kind.READ: {"currency": "IDR", "balance": 500000},
    Kind.CREATE: {"orders": [{"id": 1}], "failed_count": 0},
    Kind.TRANSITION: {"order_id": 1001, "status": "CANCELED", "refund_amount": 1, "new_balance": 2},
    Kind.RESEND: {"order_id": 1001, "status": "ACTIVE", "resent": True},
    Kind.CONFIG: {"webhook_url": None, "webhook_secret": None},
    Kind.TEST: {"status_code": 200},
}
ATTEMPTS = {Kind.READ: 4, Kind.CREATE: 8, Kind.TRANSITION: 5, Kind.RESEND: 3, Kind.CONFIG: 4, Kind.TEST: 1}

ALL = frozenset(Kind)
NONE: frozenset[Kind] = frozenset()
SAFE = frozenset({Kind.READ, Kind.CREATE, Kind.CONFIG})

FAILURES: dict[str, tuple[Result, frozenset[Kind], Outcome]] = {
    "not sent": (Failure("not_sent", "No connection."), ALL, "not_sent"),
    "not sent in time": (Failure("not_sent", "No connection in time.", True), ALL, "not_sent"),
    "ambiguous": (Failure("ambiguous", "No answer came."), SAFE, "unknown"),
    "ambiguous in time": (Failure("ambiguous", "No answer in time.", True), SAFE, "unknown"),
    "local": (Failure("local", "The request cannot be sent."), NONE, "not_sent"),
    "unreadable": (Failure("unreadable", "The answer is too large."), NONE, "unknown"),
    "429": (refusal("RATE_LIMIT_EXCEEDED", 429), ALL, "rejected"),
    "429 page": (respond(raw=b"<html>", status=429), ALL, "rejected"),
    "ban": (refusal("TEMP_BANNED_ABUSE_GUARD", 429), NONE, "rejected"),
    "503": (refusal("SERVICE_UNAVAILABLE", 503), SAFE, "unknown"),
    "503 page": (respond(raw=b"<html>", status=503), SAFE, "unknown"),
    "502 page": (respond(raw=b"<html>", status=502), SAFE, "unknown"),
    "no rate": (refusal("FX_RATE_UNAVAILABLE", 503), ALL, "rejected"),
    "500": (refusal("INTERNAL_ERROR", 500), SAFE, "unknown"),
    "unknown 500": (refusal("NEW", 500), NONE, "unknown"),
    "in progress": (refusal("REQUEST_IN_PROGRESS", 409), SAFE, "unknown"),
    "no token": (refusal("UNAUTHORIZED", 401), NONE, "rejected"),
    "conflict": (refusal("CONFLICT", 409), NONE, "rejected"),
    "no money": (refusal("INSUFFICIENT_BALANCE", 409), NONE, "rejected"),
    "bad parameter": (refusal("VALIDATION_ERROR", 422), NONE, "rejected"),
    "provider": (refusal("PROVIDER_ERROR", 422), NONE, "failed"),
    "no offer": (refusal("NO_OFFER_AVAILABLE", 422), NONE, "rejected"),
    "other body": (refusal("IDEMPOTENCY_KEY_REUSED", 422), NONE, "rejected"),
    "unknown 400": (refusal("NEW", 400), NONE, "unknown"),
    "403 page": (respond(raw=b"<html>", status=403), NONE, "unknown"),
    "200 page": (respond(raw=b"<html>"), NONE, "unknown"),
    "redirect": (respond(status=302), NONE, "unknown"),
}
"""What can go wrong: which kinds of call are sent again after it, and what it says of the request."""

AMBIGUOUS = sorted(name for name, row in FAILURES.items() if row[2] == "unknown" and Kind.CREATE in row[1])
CLEAN = sorted(name for name, row in FAILURES.items() if row[2] in ("rejected", "not_sent"))


@mutable
class Run:
    """Drives a flow with given results on a clock of its own, and notes what it did."""

    kind: Kind = Kind.READ
    policy: RetryPolicy = RetryPolicy()
    deadline: float = 1000.0
    chance: float = 1.0
    now: float = 0.0
    took: float = 0.0
    requests: list[Request] = field(factory=list[Request])
    pauses: list[float] = field(factory=list[float])

    def answer(self, results: Sequence[Result]) -> Answer[Any]:
        """Run to the answer; the last result is repeated as often as asked for."""
        version: Literal["v1"] = "v1"
        steps = flow(CALLS[BY_KIND[self.kind]], version, self.policy, self.deadline, lambda: self.chance)
        supply: Iterator[Result] = iter([*results, *[results[-1]] * 60])
        try:
            effect = next(steps)
            while True:
                if isinstance(effect, Send):
                    assert effect.deadline == self.deadline
                    self.requests.append(effect.request)
                    self.now += self.took
                    effect = steps.send(Reply(self.now, next(supply)))
                else:
                    self.pauses.append(effect.seconds)
                    self.now += effect.seconds
                    effect = steps.send(Reply(self.now))
        except StopIteration as end:
            found: Answer[Any] = end.value
            return found

    def error(self, *results: Result) -> SmscodeError:
        with pytest.raises(SmscodeError) as caught:
            self.answer(results)
        return caught.value


def result(name: str) -> Result:
    return FAILURES[name][0]


@pytest.mark.parametrize("kind", Kind)
def test_a_call_that_works_is_sent_once(kind: Kind) -> None:
    run = Run(kind)
    answer = run.answer([success(DATA[kind])])
    assert (answer.attempts, len(run.requests), run.pauses) == (1, 1, [])


@pytest.mark.parametrize("name", FAILURES)
@pytest.mark.parametrize("kind", Kind)
def test_a_failed_call_is_sent_again_where_that_cannot_do_anything_twice(kind: Kind, name: str) -> None:
    failure, kinds, outcome = FAILURES[name]
    run = Run(kind, deadline=math.inf)
    error = run.error(failure)
    assert error.attempts == len(run.requests) == (ATTEMPTS[kind] if kind in kinds else 1)
    assert error.outcome == outcome
    assert error.idempotency_key == (KEY if kind is Kind.CREATE else None)
    assert set(run.requests) == {run.requests[0]}, "the same bytes under the same key, always"
    if kind in kinds and kind is not Kind.TEST:
        again = Run(kind)
        answer = again.answer([failure, success(DATA[kind])])
        assert (answer.attempts, len(again.requests), len(again.pauses)) == (2, 2, 1)


def test_every_attempt_carries_the_key_and_the_frozen_bytes() -> None:
    run = Run(Kind.CREATE)
    run.error(result("ambiguous"))
    assert len(run.requests) == 8
    for request in run.requests:
        assert ("idempotency-key", KEY) in request.headers
        assert request.body == b'{"product_id":142,"quantity":1}'
        assert request.body is run.requests[0].body


@pytest.mark.parametrize("first", AMBIGUOUS)
@pytest.mark.parametrize("last", CLEAN)
def test_doubt_about_a_purchase_outlives_a_later_refusal(first: str, last: str) -> None:
    run = Run(Kind.CREATE, RetryPolicy(max_attempts=2))
    error = run.error(result(first), result(last))
    assert error.attempts == 2
    expected: Outcome = "rejected" if last == "no offer" else "unknown"
    assert error.outcome == expected, "only an answer from behind the key lookup settles it"


def test_a_recorded_failure_settles_the_doubt() -> None:
    error = Run(Kind.CREATE).error(result("ambiguous"), result("provider"))
    assert error.outcome == "failed"


def test_a_read_leaves_no_doubt() -> None:
    error = Run(Kind.READ).error(result("ambiguous"), result("no token"))
    assert (error.outcome, error.attempts) == ("rejected", 2)


def test_without_doubt_a_refusal_stays_one() -> None:
    error = Run(Kind.CREATE).error(result("not sent"), result("429"), result("no money"))
    assert (error.outcome, error.attempts) == ("rejected", 3)


def test_the_number_of_attempts_can_be_set() -> None:
    for attempts in (1, 2, 50):
        run = Run(policy=RetryPolicy(max_attempts=attempts), deadline=math.inf)
        assert run.error(result("503")).attempts == attempts


@pytest.mark.parametrize(
    ("name", "pauses"),
    [
        ("ambiguous", [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0]),
        ("500", [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0]),
        ("in progress", [0.25, 0.5, 1.0, 2.0, 2.0, 2.0, 2.0]),
        ("429", [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0]),
    ],
)
def test_pauses_double_up_to_a_cap_and_are_random_below_that(name: str, pauses: list[float]) -> None:
    for chance in (1.0, 0.5, 0.0):
        run = Run(Kind.CREATE, chance=chance)
        run.error(result(name))
        assert run.pauses == [chance * longest for longest in pauses]


def test_the_pauses_follow_the_policy() -> None:
    run = Run(Kind.CREATE, RetryPolicy(base=2.0, cap=5.0, max_attempts=4))
    run.error(result("ambiguous"))
    assert run.pauses == [2.0, 4.0, 5.0]
    throttled = Run(Kind.CREATE, RetryPolicy(base=2.0, max_attempts=3))
    throttled.error(result("429"))
    assert throttled.pauses == [2.0, 4.0]


@pytest.mark.parametrize("code", ["RATE_LIMIT_EXCEEDED", "FX_RATE_UNAVAILABLE", "SERVICE_UNAVAILABLE"])
def test_retry_after_is_a_floor_with_a_little_on_top(code: str) -> None:
    for chance, expected in ((0.0, 20.0), (0.5, 21.0), (1.0, 22.0)):
        run = Run(Kind.CREATE, RetryPolicy(max_attempts=2), chance=chance)
        run.error(refusal(code, 503, {"retry-after": "20"}))
        assert run.pauses == [pytest.approx(expected)]


def test_a_retry_after_of_zero_means_now() -> None:
    run = Run(policy=RetryPolicy(max_attempts=2))
    run.error(refusal("RATE_LIMIT_EXCEEDED", 429, {"retry-after": "0"}))
    assert run.pauses == [0.0]


def test_a_pause_that_would_pass_the_deadline_is_not_begun() -> None:
    wait = refusal("RATE_LIMIT_EXCEEDED", 429, {"retry-after": "86400"})
    run = Run(deadline=30.0)
    error = run.error(wait)
    assert (error.retry_after, error.attempts, run.pauses) == (86400.0, 1, [])
    exact = Run(deadline=20.0, chance=0.0)
    exact.error(refusal("RATE_LIMIT_EXCEEDED", 429, {"retry-after": "20"}))
    assert exact.pauses == []


@given(
    st.sampled_from([Kind.READ, Kind.CREATE]),
    st.lists(st.sampled_from(sorted(FAILURES)), min_size=1, max_size=10),
    st.floats(0, 1),
    st.floats(0, 40),
    st.floats(0.001, 100),
)
def test_no_call_outlives_its_deadline_by_pausing(
    kind: Kind, names: list[str], chance: float, took: float, deadline: float
) -> None:
    run = Run(kind, chance=chance, took=took, deadline=deadline)
    error = run.error(*map(result, names))
    assert sum(run.pauses) + took * (len(run.requests) - 1) < deadline
    assert 1 <= error.attempts == len(run.requests) <= ATTEMPTS[kind]
    assert len(run.pauses) == len(run.requests) - 1
    assert all(0 <= seconds < deadline for seconds in run.pauses)


@pytest.mark.parametrize(
    ("failure", "class_", "outcome"),
    [
        (Failure("not_sent", "x"), NetworkError, "not_sent"),
        (Failure("not_sent", "x", True), RequestTimeoutError, "not_sent"),
        (Failure("ambiguous", "x"), NetworkError, "unknown"),
        (Failure("ambiguous", "x", True), RequestTimeoutError, "unknown"),
        (Failure("local", "x"), NetworkError, "not_sent"),
        (Failure("unreadable", "x"), InvalidResponseError, "unknown"),
    ],
)
def test_a_failure_becomes_the_error_it_means(
    failure: Failure, class_: type[SmscodeError], outcome: Outcome
) -> None:
    cause = OSError("reset")
    error = Failure(failure.kind, failure.reason, failure.timed_out, cause).error()
    assert type(error) is class_
    assert (error.message, error.outcome) == ("x", outcome)
    assert error.__cause__ is cause
    assert "reset" not in repr(failure)


def test_an_answer_that_cannot_be_read_is_not_asked_for_again() -> None:
    run = Run(Kind.CREATE)
    error = run.error(success({"orders": [{"id": None}]}))
    assert type(error) is InvalidResponseError
    assert (error.attempts, error.outcome, error.idempotency_key) == (1, "unknown", KEY)
    page = Run(Kind.READ)
    assert page.error(success([], **PAGE)).attempts == 1


def test_a_wrong_price_is_found_before_anything_is_sent() -> None:
    call = calls.orders.create(catalog_product_id=87, max_price=20000)
    steps = flow(call, "v2", RetryPolicy(), 30.0, lambda: 0.0)
    with pytest.raises(InvalidArgumentError, match="max_price: an int is ambiguous on v2") as caught:
        next(steps)
    assert caught.value.attempts == 0


@pytest.mark.parametrize("attempts", [0, -1, 51, 10**6, 1.5, True, "3"])
def test_a_number_of_attempts_is_an_int_of_1_to_50(attempts: Any) -> None:
    with pytest.raises(
        InvalidArgumentError, match=r"retry\.max_attempts: expected an int of 1\.\.50 or None"
    ):
        RetryPolicy(max_attempts=attempts)


@pytest.mark.parametrize("name", ["base", "cap"])
@pytest.mark.parametrize("seconds", [0, -1.0, math.nan, True, "1", None])
def test_the_pauses_of_a_policy_are_seconds_above_zero(name: str, seconds: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=rf"retry\.{name}: expected a number of seconds above 0"):
        RetryPolicy(**{name: seconds})


def test_the_decision_is_a_pure_function_of_the_failure() -> None:
    assert REPEATABLE == SAFE
    error = NetworkError("No answer came.", outcome="unknown")
    assert may_repeat(Kind.CREATE, error)
    assert not may_repeat(Kind.RESEND, error)
    assert pause(RetryPolicy(), error, 3, 0.5) == 0.5
    assert next_pause(RetryPolicy(), Kind.CREATE, error, 7, 1.0) == 8.0
    assert next_pause(RetryPolicy(), Kind.CREATE, error, 8, 1.0) is None
