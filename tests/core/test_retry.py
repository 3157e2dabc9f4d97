"""The retry table, row by row and kind by kind, driven without a loop."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import pytest
from attrs import define, field

from smscode import calls
from smscode.core.codec import Version
from smscode.core.flow import Effect, Failure, Release, Reply, Send, Sleep, Terms, flow
from smscode.core.purchases import Doubt
from smscode.core.retry import TABLE, Action, Pace, RetryPolicy
from smscode.core.wire import Answer, Call, Kind, Request, Response
from smscode.errors import (
    API_ERRORS,
    ConflictError,
    InvalidArgumentError,
    InvalidResponseError,
    NetworkError,
    RateLimitError,
    RequestTimeoutError,
    SmscodeError,
)
from smscode.models import CanceledOrder, FinishedOrder

from .test_purchases import TABLE as PURCHASES

T = TypeVar("T")
Result = Response | Failure

ORDER_ID = 1001
CALLS: dict[Kind, Callable[[], Call[Any]]] = {
    Kind.READ: calls.balance.get,
    Kind.CREATE: lambda: calls.orders.create(catalog_product_id=87, idempotency_key="key-1"),
    Kind.TRANSITION: lambda: calls.orders.cancel(ORDER_ID),
    Kind.RESEND: lambda: calls.orders.resend(ORDER_ID),
    Kind.CONFIG: lambda: calls.webhook.update(secret="s"),
    Kind.TEST: calls.webhook.test,
}
MONEY = {"amount": "0.92", "currency": "USD", "canonical_amount": 15000, "canonical_currency": "IDR"}
SUCCESSES: dict[Kind, dict[str, Any]] = {
    Kind.READ: {"balance": MONEY},
    Kind.CREATE: {"orders": [{"id": ORDER_ID, "status": "ACTIVE"}], "failed_count": 0},
    Kind.TRANSITION: {
        "order_id": ORDER_ID,
        "status": "CANCELED",
        "refund_amount": MONEY,
        "new_balance": MONEY,
    },
    Kind.RESEND: {"order_id": ORDER_ID, "status": "ACTIVE", "resent": True},
    Kind.CONFIG: {"webhook_url": None, "webhook_secret": "s"},
    Kind.TEST: {"status_code": 200},
}


def answer(status: int, body: object, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, named, body if isinstance(body, bytes) else json.dumps(body).encode())


def success(data: object) -> Response:
    return answer(200, {"success": True, "data": data})


def refusal(status: int, code: str, **headers: str) -> Response:
    return answer(status, {"success": False, "error": {"code": code, "message": "no"}}, **headers)


def order(status: str) -> Response:
    """Answer a reading of the order."""
    fields = ("created_at", "phone_number", "otp_code", "otp_received_at", "expires_at", "canceled_at")
    nothing = dict.fromkeys((*fields, "failed_reason"))
    return success({"id": ORDER_ID, "status": status, "product_id": 1, "amount": MONEY, **nothing})


PAGE = b"<html>Bad gateway</html>"
TROUBLES: dict[str, Result] = {
    "not sent": Failure("not sent", "No connection."),
    "cannot be sent": Failure("cannot be sent", "No."),
    "transport failed": Failure("transport failed", "It failed."),
    "connection broke": Failure("connection broke", "No answer."),
    "kept-alive connection broke": Failure("kept-alive connection broke", "No answer."),
    "unreadable answer": answer(200, PAGE),
    "unavailable": answer(502, PAGE),
    "throttled": answer(429, PAGE),
    "body too large": answer(413, b""),
    "refused by something else": answer(403, PAGE),
    "redirect": answer(302, b"", location="https://elsewhere.example/"),
    "answer too large": Failure("answer too large", "Too large."),
    "unexpected data": success("?"),
    "unknown refusal": refusal(418, "TEAPOT"),
    "unknown code": refusal(425, "TEAPOT"),
    "unknown code of a failing service": refusal(500, "TEAPOT"),
    **{code: refusal(status, code) for code, (_, status) in API_ERRORS.items()},
}


@define
class Run:
    """A call whose flow was driven through a script."""

    effects: list[Effect] = field(factory=list["Effect"])
    kept: list[bool] = field(factory=list[bool])
    answer: Answer[Any] | None = None
    error: SmscodeError | None = None

    @property
    def sent(self) -> list[Request]:
        return [effect.request for effect in self.effects if isinstance(effect, Send)]

    @property
    def slept(self) -> list[float]:
        return [effect.seconds for effect in self.effects if isinstance(effect, Sleep)]


def drive(
    call: Call[T],
    script: Iterable[Result],
    *,
    version: Version = "v2",
    policy: RetryPolicy = RetryPolicy(),
    deadline: float = 1e9,
    chance: float = 0.5,
    doubt: Doubt | None = None,
) -> Run:
    """Drive a call's flow: every attempt gets the next result of the script, and sleeping takes time."""
    results: Iterator[Result] = iter(script)
    run, now = Run(), 0.0
    steps = flow(call, Terms(version, policy, now, deadline, lambda: chance), doubt)
    try:
        effect = next(steps)
        while True:
            if isinstance(effect, Release):
                run.kept.append(effect.keep)
                effect = steps.send(Reply(now))
                continue
            run.effects.append(effect)
            if isinstance(effect, Sleep):
                now += effect.seconds
                effect = steps.send(Reply(now))
            else:
                assert isinstance(effect, Send)
                result = next(results)
                if not isinstance(result, Failure) or result.kind not in ("not sent", "cannot be sent"):
                    effect.doubt.raised = True
                effect = steps.send(Reply(now, result))
    except StopIteration as end:
        run.answer = end.value
    except SmscodeError as error:
        run.error = error
    return run


def test_every_trouble_has_a_sample_here() -> None:
    before_sending = {"no room"}
    assert TROUBLES.keys() | before_sending == TABLE.keys()


@pytest.mark.parametrize("what", TROUBLES)
def test_a_connection_is_kept_after_an_answer_of_the_service_only(what: str) -> None:
    run = drive(CALLS[Kind.CREATE](), [TROUBLES[what]], deadline=0.0)
    foreign = {
        "unreadable answer",
        "unavailable",
        "throttled",
        "body too large",
        "refused by something else",
        "redirect",
        "unexpected data",
    }
    assert run.error is not None
    assert run.kept == ([] if isinstance(TROUBLES[what], Failure) else [what not in foreign])


def test_every_documented_code_has_a_rule() -> None:
    assert API_ERRORS.keys() <= TABLE.keys()


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("what", TROUBLES)
def test_the_table_is_what_happens(what: str, kind: Kind) -> None:
    rule = TABLE[what]
    call = CALLS[kind]()
    policy = RetryPolicy(max_attempts=2)
    run = drive(call, [TROUBLES[what], success(SUCCESSES[kind])], policy=policy)
    match rule.action(kind):
        case Action.RESEND:
            assert run.answer is not None
            assert run.sent == [call.request("v2")] * 2
            assert run.answer.attempts == 2
        case Action.RECONCILE:
            assert [request.path for request in run.sent[1:2]] == [f"/v2/orders/{ORDER_ID}"]
        case Action.STOP | Action.CHECK:
            assert run.sent == [call.request("v2")]
            assert run.error is not None
            outcome = PURCHASES[what][0].split()[0] if kind is Kind.CREATE else rule.outcome
            assert run.error.outcome == outcome
            assert (run.error.trouble, run.error.attempts) == (what, 1)


@pytest.mark.parametrize("what", TROUBLES)
def test_a_call_that_cannot_be_repeated_safely_is_sent_once(what: str) -> None:
    harmless = {"not sent", "throttled", "RATE_LIMIT_EXCEEDED", "FX_RATE_UNAVAILABLE"}
    repeated = {what for what in TABLE if TABLE[what].resend is not Action.STOP}
    assert repeated == harmless
    run = drive(CALLS[Kind.RESEND](), [TROUBLES[what]] * 10)
    assert (len(run.sent) > 1) == (what in harmless)


@pytest.mark.parametrize("last", [what for what in TROUBLES if TABLE[what].create is Action.STOP])
@pytest.mark.parametrize("first", [what for what in TROUBLES if TABLE[what].create is Action.RESEND])
def test_doubt_about_a_purchase_stays(first: str, last: str) -> None:
    doubt = Doubt()
    run = drive(CALLS[Kind.CREATE](), [TROUBLES[first], TROUBLES[last]], doubt=doubt)
    assert run.error is not None
    unsure = "unknown" in PURCHASES[first][0]
    expected = PURCHASES[last][unsure].split()[0]
    assert run.error.outcome == expected
    assert run.error.idempotency_key == "key-1"
    recorded = last in ("PROVIDER_ERROR", "IDEMPOTENCY_KEY_REUSED")
    assert doubt.raised is not (recorded or expected != "unknown")


@pytest.mark.parametrize("first", [what for what in TROUBLES if TABLE[what].create is Action.RESEND])
def test_an_answer_leaves_the_doubt_to_whoever_stores_its_orders(first: str) -> None:
    doubt = Doubt(raised=True)
    run = drive(CALLS[Kind.CREATE](), [TROUBLES[first], success(SUCCESSES[Kind.CREATE])], doubt=doubt)
    assert run.answer is not None
    assert doubt.raised


def test_doubt_of_an_earlier_try_of_the_purchase_stays() -> None:
    doubt = Doubt(raised=True)
    run = drive(CALLS[Kind.CREATE](), [TROUBLES["UNAUTHORIZED"]], doubt=doubt)
    assert run.error is not None
    assert run.error.outcome == "unknown"
    assert doubt.raised


def test_a_read_leaves_no_doubt() -> None:
    doubt = Doubt()
    drive(CALLS[Kind.READ](), [TROUBLES["connection broke"]] * 9, doubt=doubt)
    assert not doubt.raised


@pytest.mark.parametrize(
    ("kind", "times"),
    [
        (Kind.READ, 4),
        (Kind.CREATE, 8),
        (Kind.TRANSITION, 5),
        (Kind.RESEND, 3),
        (Kind.CONFIG, 4),
        (Kind.TEST, 1),
    ],
)
def test_a_call_is_tried_as_often_as_its_kind_allows(kind: Kind, times: int) -> None:
    run = drive(CALLS[kind](), [TROUBLES["not sent"]] * 20)
    assert len(run.sent) == times
    assert run.error is not None
    assert run.error.attempts == times


@pytest.mark.parametrize("what", ["throttled", "REQUEST_IN_PROGRESS", "RATE_LIMIT_EXCEEDED"])
def test_waiting_for_the_service_is_no_attempt(what: str) -> None:
    policy = RetryPolicy(max_attempts=1)
    run = drive(
        CALLS[Kind.CREATE](), [*[TROUBLES[what]] * 12, success(SUCCESSES[Kind.CREATE])], policy=policy
    )
    assert run.answer is not None
    assert run.answer.attempts == 13


def test_an_order_in_progress_is_polled_until_the_deadline() -> None:
    forever = itertools.repeat(TROUBLES["REQUEST_IN_PROGRESS"])
    run = drive(CALLS[Kind.CREATE](), forever, deadline=90)
    assert run.error is not None
    assert run.error.outcome == "unknown"
    assert 85 < sum(run.slept) < 90
    assert run.slept == pytest.approx([1.05] * len(run.slept))
    assert len(set(run.sent)) == 1


@pytest.mark.parametrize("chance", [0.0, 0.25, 1.0])
def test_backoff_is_a_random_part_of_a_time_that_doubles(chance: float) -> None:
    run = drive(CALLS[Kind.CREATE](), [TROUBLES["connection broke"]] * 9, chance=chance)
    full = [0.25, 0.5, 1, 2, 4, 8, 8]
    assert run.slept == [seconds * chance for seconds in full if chance]


def test_a_kept_alive_connection_that_broke_is_replaced_at_once() -> None:
    run = drive(CALLS[Kind.READ](), [TROUBLES["kept-alive connection broke"], success(SUCCESSES[Kind.READ])])
    assert run.slept == []
    assert [effect.fresh for effect in run.effects if isinstance(effect, Send)] == [False, True]


@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_retry_after_is_a_floor(chance: float) -> None:
    refused = refusal(429, "RATE_LIMIT_EXCEEDED", retry_after="7")
    run = drive(CALLS[Kind.READ](), [refused, success(SUCCESSES[Kind.READ])], chance=chance)
    assert run.slept == [pytest.approx(7 + 0.7 * chance)]


def test_a_second_refusal_without_a_time_waits_for_a_whole_window() -> None:
    run = drive(CALLS[Kind.READ](), [TROUBLES["throttled"]] * 2 + [success(SUCCESSES[Kind.READ])], chance=0)
    assert run.slept == [1.0, 60.0]


@pytest.mark.parametrize("hint", ["0", None])
@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_what_is_not_counted_as_an_attempt_is_at_least_a_second_apart(
    hint: str | None, chance: float
) -> None:
    headers = {} if hint is None else {"retry_after": hint}
    forever = itertools.repeat(refusal(409, "REQUEST_IN_PROGRESS", **headers))
    run = drive(CALLS[Kind.CREATE](), forever, deadline=30, chance=chance)
    assert 1.0 <= min(run.slept) <= max(run.slept) <= 2.0
    throttled = itertools.repeat(refusal(429, "RATE_LIMIT_EXCEEDED", retry_after="0"))
    run = drive(CALLS[Kind.CREATE](), throttled, deadline=30, chance=chance)
    assert set(run.slept) == {1.0 + 0.1 * chance}


def test_a_hint_is_a_floor_and_never_shortens_a_pause() -> None:
    policy = RetryPolicy(base=4.0)
    assert policy.pause(Pace.BACKOFF, 1, 1.0, 1.0) == 4.0
    assert policy.pause(Pace.BACKOFF, 1, 10.0, 1.0) == 11.0
    assert policy.pause(Pace.BACKOFF, 1, 0.0, 0.5) == 2.0


def test_a_wait_beyond_the_deadline_is_not_begun() -> None:
    run = drive(CALLS[Kind.READ](), [refusal(429, "RATE_LIMIT_EXCEEDED", retry_after="31")], deadline=30)
    assert isinstance(run.error, RateLimitError)
    assert run.error.retry_after == 31
    assert run.slept == []


def test_a_ban_is_never_slept_on() -> None:
    banned = refusal(429, "TEMP_BANNED_ABUSE_GUARD", retry_after="1")
    run = drive(CALLS[Kind.CREATE](), [banned])
    assert (len(run.sent), run.slept) == (1, [])


def test_what_was_not_sent_in_time_says_so() -> None:
    run = drive(
        CALLS[Kind.READ](), [Failure("not sent", "No connection in time.", timed_out=True)], deadline=0
    )
    assert isinstance(run.error, RequestTimeoutError)
    assert isinstance(run.error, TimeoutError)
    assert run.error.outcome == "not_sent"


def test_the_cause_of_a_failure_is_kept() -> None:
    cause = OSError("broken")
    run = drive(CALLS[Kind.RESEND](), [Failure("connection broke", "No answer.", cause=cause)])
    assert isinstance(run.error, NetworkError)
    assert run.error.__cause__ is cause


CANCEL, FINISH = calls.orders.cancel(ORDER_ID), calls.orders.finish(ORDER_ID)
ACCOUNT = success({"balance": MONEY})
LOST = TROUBLES["connection broke"]


def paths(run: Run) -> list[str]:
    return [f"{request.method} {request.path}" for request in run.sent]


def test_a_cancel_that_was_carried_out_is_a_success_although_its_answer_was_lost() -> None:
    run = drive(CANCEL, [LOST, order("CANCELED"), ACCOUNT])
    assert run.answer is not None
    assert isinstance(run.answer.data, CanceledOrder)
    assert run.answer.data.refund_amount.canonical_amount == 15000
    assert run.answer.data.new_balance.canonical_amount == 15000
    assert paths(run) == ["POST /v2/orders/cancel", f"GET /v2/orders/{ORDER_ID}", "GET /v2/balance"]


def test_a_finish_that_was_carried_out_is_a_success_although_its_answer_was_lost() -> None:
    run = drive(FINISH, [LOST, order("COMPLETED")])
    assert run.answer is not None
    assert run.answer.data == FinishedOrder(ORDER_ID, "COMPLETED")


@pytest.mark.parametrize("state", ["ACTIVE", "OTP_RECEIVED", "SOMETHING_NEW"])
def test_a_finish_that_was_not_carried_out_is_sent_again(state: str) -> None:
    done = success({"order_id": ORDER_ID, "status": "COMPLETED"})
    run = drive(FINISH, [LOST, order(state), done])
    assert run.answer is not None
    assert run.answer.attempts == 2


def test_an_order_that_ended_otherwise_is_a_conflict_with_the_order_attached() -> None:
    run = drive(CANCEL, [LOST, order("COMPLETED")])
    assert isinstance(run.error, ConflictError)
    assert getattr(run.error.order, "status", None) == "COMPLETED"
    assert run.error.outcome == "rejected"


def test_a_conflict_with_an_own_attempt_whose_answer_was_lost_is_a_success() -> None:
    run = drive(CANCEL, [LOST, order("ACTIVE"), TROUBLES["CONFLICT"], order("CANCELED"), ACCOUNT])
    assert run.answer is not None


def test_a_conflict_that_stays_one_is_raised() -> None:
    run = drive(FINISH, [LOST, order("ACTIVE"), TROUBLES["CONFLICT"], order("ACTIVE")])
    assert isinstance(run.error, ConflictError)


def test_a_conflict_at_the_first_attempt_is_raised_without_reading() -> None:
    run = drive(CANCEL, [TROUBLES["CONFLICT"]])
    assert isinstance(run.error, ConflictError)
    assert len(run.sent) == 1


@pytest.mark.parametrize("lost", ["order", "balance"])
def test_what_cannot_be_learned_stays_unknown(lost: str) -> None:
    reading = [LOST] * 4
    script = [LOST, *reading] if lost == "order" else [LOST, order("CANCELED"), *reading]
    run = drive(CANCEL, script)
    assert isinstance(run.error, NetworkError)
    assert run.error.outcome == "unknown"
    assert run.error.attempts == 1


def test_the_time_for_reading_the_order_counts_towards_the_deadline() -> None:
    run = drive(FINISH, [LOST, LOST, LOST, LOST, order("ACTIVE")], deadline=1.0)
    assert isinstance(run.error, NetworkError)
    assert (run.error.attempts, run.error.outcome) == (1, "unknown")
    assert sum(run.slept) == 1.0


def test_an_answer_about_another_order_is_not_an_answer() -> None:
    other = success({"order_id": 999, "status": "COMPLETED"})
    run = drive(FINISH, [other])
    assert isinstance(run.error, InvalidResponseError)
    assert "$.data.order_id: expected order 1001" in run.error.message
    assert run.error.outcome == "unknown"


@pytest.mark.parametrize("name", ["base", "cap"])
@pytest.mark.parametrize("seconds", [math.inf, math.nan, 0, -1, True, "1"])
def test_the_pauses_of_a_policy_are_finite(name: str, seconds: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=rf"retry\.{name}: expected"):
        RetryPolicy(**{name: seconds})


@pytest.mark.parametrize("attempts", [0, -1, 51, 1.5, True, "3"])
def test_the_attempts_of_a_policy_are_1_to_50(attempts: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"retry\.max_attempts: expected an int of 1\.\.50"):
        RetryPolicy(max_attempts=attempts)


@pytest.mark.parametrize("pace", Pace)
def test_a_pause_is_never_negative_and_never_endless(pace: Pace) -> None:
    policy = RetryPolicy()
    pauses = [policy.pause(pace, times, None, chance) for times in range(1, 60) for chance in (0.0, 1.0)]
    assert all(0 <= seconds <= 66 for seconds in pauses)
