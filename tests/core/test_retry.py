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
from smscode.core.api.call import Answer, Call, CallKind, Request, Response
from smscode.core.api.request import request
from smscode.core.effects import Effect, EffectReply, Failure, Release, Send, Sleep
from smscode.core.flow import CallTerms, flow
from smscode.core.purchases.doubt import Doubt
from smscode.core.retry import TABLE, Action, RetryPace, RetryPolicy, failure_kind, for_every_code
from smscode.core.versions import ApiVersion
from smscode.errors import (
    API_ERRORS,
    APIError,
    ClientStateError,
    ConflictError,
    InvalidArgumentError,
    InvalidResponseError,
    NetworkError,
    RateLimitError,
    RequestTimeoutError,
    SmscodeError,
)
from smscode.models import CanceledOrder, FinishedOrder

from .purchases.test_states import TABLE as PURCHASES

T = TypeVar("T")
Result = Response | Failure

ORDER_ID = 1001
CALLS: dict[CallKind, Callable[[], Call[Any]]] = {
    CallKind.READ: calls.balance.get,
    CallKind.CREATE: lambda: calls.orders.create(catalog_product_id=87, idempotency_key="key-1"),
    CallKind.TRANSITION: lambda: calls.orders.cancel(ORDER_ID),
    CallKind.RESEND: lambda: calls.orders.resend(ORDER_ID),
    CallKind.CONFIG: lambda: calls.webhook.update(secret="s"),
    CallKind.TEST: calls.webhook.test,
    CallKind.OTHER: lambda: request("POST", "/orders/extend", json={"id": ORDER_ID}),
}
MONEY = {"amount": "0.92", "currency": "USD", "canonical_amount": 15000, "canonical_currency": "IDR"}
SUCCESSES: dict[CallKind, dict[str, Any]] = {
    CallKind.READ: {"balance": MONEY},
    CallKind.CREATE: {"orders": [{"id": ORDER_ID, "status": "ACTIVE"}], "failed_count": 0},
    CallKind.TRANSITION: {
        "order_id": ORDER_ID,
        "status": "CANCELED",
        "refund_amount": MONEY,
        "new_balance": MONEY,
    },
    CallKind.RESEND: {"order_id": ORDER_ID, "status": "ACTIVE", "resent": True},
    CallKind.CONFIG: {"webhook_url": None, "webhook_secret": "s"},
    CallKind.TEST: {"status_code": 200},
    CallKind.OTHER: {},
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
    **{code: refusal(status, code) for code, (_, status) in API_ERRORS.items() if code in TABLE},
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
    version: ApiVersion = "v2",
    policy: RetryPolicy = RetryPolicy(),
    deadline: float = 1e9,
    chance: float = 0.5,
    doubt: Doubt | None = None,
) -> Run:
    """Drive a call's flow: every attempt gets the next result of the script, and sleeping takes time."""
    results: Iterator[Result] = iter(script)
    run, now = Run(), 0.0
    steps = flow(call, CallTerms(version, policy, now, deadline, lambda: chance), doubt)
    try:
        effect = next(steps)
        while True:
            if isinstance(effect, Release):
                run.kept.append(effect.keep)
                effect = steps.send(EffectReply(now))
                continue
            run.effects.append(effect)
            if isinstance(effect, Sleep):
                now += effect.seconds
                effect = steps.send(EffectReply(now))
            else:
                assert isinstance(effect, Send)
                result = next(results)
                if not isinstance(result, Failure) or result.kind not in ("not sent", "cannot be sent"):
                    effect.doubt.raised = True
                effect = steps.send(EffectReply(now, result))
    except StopIteration as end:
        run.answer = end.value
    except SmscodeError as error:
        run.error = error
    return run


# The retry table, written out once more on purpose: the package's own is what is tested.
# kind: (what to do for a read, create, cancel or finish, resend, webhook update, webhook test; outcome; pace)
STOP = "stop stop stop stop stop stop"
AGAIN = "resend resend resend resend resend resend"
IN_DOUBT = "resend resend reconcile stop resend stop"
RULES = for_every_code(
    {
        "no room": (STOP, "not_sent", "backoff"),
        "not sent": (AGAIN, "not_sent", "backoff"),
        "cannot be sent": (STOP, "not_sent", "backoff"),
        "transport failed": (STOP, "unknown", "backoff"),
        "connection broke": (IN_DOUBT, "unknown", "backoff"),
        "kept-alive connection broke": (IN_DOUBT, "unknown", "at once"),
        "unreadable answer": (IN_DOUBT, "unknown", "backoff"),
        "unavailable": (IN_DOUBT, "unknown", "backoff"),
        "throttled": (AGAIN, "rejected", "throttled"),
        "body too large": (STOP, "rejected", "backoff"),
        "refused by something else": (STOP, "unknown", "backoff"),
        "redirect": (STOP, "unknown", "backoff"),
        "answer too large": ("stop stop reconcile stop stop stop", "unknown", "backoff"),
        "unexpected data": (STOP, "unknown", "backoff"),
        "UNAUTHORIZED": (STOP, "rejected", "backoff"),
        "FORBIDDEN": (STOP, "rejected", "backoff"),
        "NOT_FOUND": (STOP, "rejected", "backoff"),
        "CONFLICT": ("stop stop check stop stop stop", "rejected", "backoff"),
        "INSUFFICIENT_BALANCE": (STOP, "rejected", "backoff"),
        "CANCEL_TOO_EARLY": (STOP, "rejected", "backoff"),
        "REQUEST_IN_PROGRESS": ("stop resend stop stop stop stop", "unknown", "poll"),
        "VALIDATION_ERROR": (STOP, "rejected", "backoff"),
        "PROVIDER_ERROR": (STOP, "failed", "backoff"),
        "NO_OFFER_AVAILABLE": (STOP, "rejected", "backoff"),
        "IDEMPOTENCY_KEY_REUSED": (STOP, "rejected", "backoff"),
        "RATE_LIMIT_EXCEEDED": (AGAIN, "rejected", "throttled"),
        "TEMP_BANNED_ABUSE_GUARD": (STOP, "rejected", "backoff"),
        "INTERNAL_ERROR": (IN_DOUBT, "unknown", "backoff"),
        "SERVICE_UNAVAILABLE": (IN_DOUBT, "unknown", "backoff"),
        "FX_RATE_UNAVAILABLE": (AGAIN, "rejected", "backoff"),
        "unknown refusal": (STOP, "rejected", "backoff"),
        "unknown code": (STOP, "unknown", "backoff"),
        "unknown code of a failing service": (IN_DOUBT, "unknown", "backoff"),
    }
)
KINDS = (CallKind.READ, CallKind.CREATE, CallKind.TRANSITION, CallKind.RESEND, CallKind.CONFIG, CallKind.TEST)
PAUSES = {"backoff": [0.125, 0.25], "at once": [0.25], "throttled": [1.05, 63.0], "poll": [1.05, 1.05]}
"""The seconds before the second and third attempt, where the service names none, by half of the chance."""


def rule(what: str, kind: CallKind) -> str:
    if kind is CallKind.OTHER:
        return "stop"
    return RULES[what][0].split()[KINDS.index(kind)]


def kinds_to(action: str, kind: CallKind) -> list[str]:
    return [what for what in RULES if rule(what, kind) == action]


def test_every_trouble_has_a_sample_here() -> None:
    before_sending = {"no room"}
    assert TROUBLES.keys() | before_sending == TABLE.keys() == RULES.keys()


@pytest.mark.parametrize("what", RULES)
def test_the_rules_are_those_of_the_table(what: str) -> None:
    actions = " ".join(TABLE[what].action(kind).value for kind in KINDS)
    assert (actions, TABLE[what].outcome, TABLE[what].pace.value) == RULES[what]


@pytest.mark.parametrize("what", TROUBLES)
def test_a_connection_is_kept_after_an_answer_of_the_service_only(what: str) -> None:
    run = drive(CALLS[CallKind.CREATE](), [TROUBLES[what]], deadline=0.0)
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


def test_a_connection_is_kept_after_a_success() -> None:
    run = drive(CALLS[CallKind.READ](), [success(SUCCESSES[CallKind.READ])])
    assert (run.kept, run.slept) == ([True], [])


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (402, "unknown refusal"),
        (409, "unknown code"),
        (503, "unknown code of a failing service"),
    ],
)
def test_a_class_for_a_code_without_a_rule_is_handled_by_its_status(status: int, kind: str) -> None:
    class PretendError(APIError, code="PRETEND", status=status):
        """A code that the service does not have."""

    try:
        run = drive(CALLS[CallKind.TEST](), [refusal(status, "PRETEND")])
    finally:
        del API_ERRORS["PRETEND"]
    assert type(run.error) is PretendError
    assert (run.error.code, run.error.trouble, run.error.outcome) == ("PRETEND", kind, TABLE[kind].outcome)


@pytest.mark.parametrize("kind", [kind for kind in CallKind if kind is not CallKind.OTHER])
@pytest.mark.parametrize("what", TROUBLES)
def test_the_table_is_what_happens(what: str, kind: CallKind) -> None:
    _, outcome, pace = RULES[what]
    call = CALLS[kind]()
    policy = RetryPolicy(max_attempts=3)
    run = drive(call, [TROUBLES[what], TROUBLES[what], success(SUCCESSES[kind])], policy=policy)
    match rule(what, kind):
        case "resend":
            assert run.answer is not None
            assert run.sent == [call.request("v2")] * 3
            assert run.answer.attempts == 3
            assert run.slept == pytest.approx(PAUSES[pace])
        case "reconcile":
            assert [request.path for request in run.sent[1:2]] == [f"/v2/orders/{ORDER_ID}"]
        case _:
            assert run.sent == [call.request("v2")]
            assert run.error is not None
            assert run.error.outcome == (
                PURCHASES[what][0].split()[0] if kind is CallKind.CREATE else outcome
            )
            assert (run.error.trouble, run.error.attempts) == (what, 1)


@pytest.mark.parametrize("what", [what for what in TROUBLES if what != "unexpected data"])
def test_a_request_by_hand_is_sent_once_and_only_the_services_own_envelope_says_that_it_was_refused(
    what: str,
) -> None:
    run = drive(CALLS[CallKind.OTHER](), [TROUBLES[what]], policy=RetryPolicy(max_attempts=50))
    assert run.error is not None
    outcome = "unknown" if what in ("throttled", "body too large") else RULES[what][1]
    assert (run.error.outcome, run.error.trouble, run.error.attempts) == (outcome, what, 1)
    assert len(run.effects) == 1


@pytest.mark.parametrize("what", TROUBLES)
def test_a_conflict_is_looked_into_only_after_an_attempt_that_may_have_been_carried_out(what: str) -> None:
    run = drive(
        CALLS[CallKind.TRANSITION](), [TROUBLES["connection broke"], order("ACTIVE"), TROUBLES[what]] * 2
    )
    looks = [request.path for request in run.sent].count(f"/v2/orders/{ORDER_ID}")
    again = rule(what, CallKind.TRANSITION)
    assert looks >= 2 if again in ("check", "reconcile", "resend") else looks == 1


@pytest.mark.parametrize(
    ("status", "code", "what"),
    [
        *((status, "TEAPOT", "unknown code") for status in (200, 299, 408, 409, 425, 429)),
        *((status, "TEAPOT", "unknown refusal") for status in (400, 407, 410, 418, 424, 426, 428, 430, 499)),
        *((status, "TEAPOT", "unknown code of a failing service") for status in (500, 501, 599)),
        *((status, "", "unknown code") for status in (400, 412, 414, 428, 430, 499)),
        (413, "", "body too large"),
        (429, "", "throttled"),
        *((status, "", "unknown code of a failing service") for status in (500, 599)),
        *((status, None, "unreadable answer") for status in (200, 299)),
        *((status, code, "redirect") for status in (300, 399) for code in (None, "", "TEAPOT")),
        *((status, None, "refused by something else") for status in (400, 407, 409, 499)),
        *((status, None, "unavailable") for status in (408, 500, 599)),
    ],
)
def test_what_an_answer_without_a_documented_code_means_is_told_by_its_status(
    status: int, code: str | None, what: str
) -> None:
    """Without a code the envelope is there and names none; None stands for a page without the envelope."""
    error = {"message": "no"} | ({"code": code} if code else {})
    body = b"<html>" if code is None else {"success": False, "error": error}
    run = drive(
        CALLS[CallKind.READ](), [answer(status, body)] * 9, policy=RetryPolicy(max_attempts=1), deadline=0.0
    )
    assert run.error is not None
    assert run.error.trouble == what


@pytest.mark.parametrize("what", TROUBLES)
def test_a_call_that_cannot_be_repeated_safely_is_sent_once(what: str) -> None:
    harmless = {"not sent", "throttled", "RATE_LIMIT_EXCEEDED", "FX_RATE_UNAVAILABLE"}
    run = drive(CALLS[CallKind.RESEND](), [TROUBLES[what]] * 10)
    assert (len(run.sent) > 1) == (what in harmless)


@pytest.mark.parametrize("kind", [CallKind.TRANSITION, CallKind.CONFIG])
@pytest.mark.parametrize("last", ["UNAUTHORIZED", "NOT_FOUND", "VALIDATION_ERROR"])
def test_a_refusal_says_nothing_about_an_earlier_attempt_to_change_something(
    kind: CallKind, last: str
) -> None:
    """Of a purchase the service keeps the key; of anything else it may have carried the first attempt out."""
    read = [order("ACTIVE")] if kind is CallKind.TRANSITION else []
    run = drive(CALLS[kind](), [TROUBLES["connection broke"], *read, TROUBLES[last]])
    assert run.error is not None
    assert (run.error.trouble, run.error.outcome) == (last, "unknown")
    assert drive(CALLS[kind](), [TROUBLES[last]]).error.outcome == "rejected"  # type: ignore[union-attr]


@pytest.mark.parametrize("last", [what for what in kinds_to("stop", CallKind.CREATE) if what in TROUBLES])
@pytest.mark.parametrize("first", kinds_to("resend", CallKind.CREATE))
def test_doubt_about_a_purchase_stays(first: str, last: str) -> None:
    doubt = Doubt()
    run = drive(CALLS[CallKind.CREATE](), [TROUBLES[first], TROUBLES[last]], doubt=doubt)
    assert run.error is not None
    unsure = "unknown" in PURCHASES[first][0]
    expected = PURCHASES[last][unsure].split()[0]
    assert run.error.outcome == expected
    assert run.error.idempotency_key == "key-1"
    recorded = last in ("PROVIDER_ERROR", "IDEMPOTENCY_KEY_REUSED")
    assert doubt.raised is not (recorded or expected != "unknown")


@pytest.mark.parametrize("first", kinds_to("resend", CallKind.CREATE))
def test_an_answer_leaves_the_doubt_to_whoever_stores_its_orders(first: str) -> None:
    doubt = Doubt(raised=True)
    run = drive(CALLS[CallKind.CREATE](), [TROUBLES[first], success(SUCCESSES[CallKind.CREATE])], doubt=doubt)
    assert run.answer is not None
    assert doubt.raised


def test_doubt_of_an_earlier_try_of_the_purchase_stays() -> None:
    doubt = Doubt(raised=True)
    run = drive(CALLS[CallKind.CREATE](), [TROUBLES["UNAUTHORIZED"]], doubt=doubt)
    assert run.error is not None
    assert run.error.outcome == "unknown"
    assert doubt.raised


def test_a_read_leaves_no_doubt() -> None:
    doubt = Doubt()
    drive(CALLS[CallKind.READ](), [TROUBLES["connection broke"]] * 9, doubt=doubt)
    assert not doubt.raised


@pytest.mark.parametrize(
    ("kind", "times"),
    [
        (CallKind.READ, 4),
        (CallKind.CREATE, 8),
        (CallKind.TRANSITION, 5),
        (CallKind.RESEND, 3),
        (CallKind.CONFIG, 4),
        (CallKind.TEST, 1),
    ],
)
def test_a_call_is_tried_as_often_as_its_kind_allows(kind: CallKind, times: int) -> None:
    run = drive(CALLS[kind](), [TROUBLES["not sent"]] * 20)
    assert len(run.sent) == times
    assert run.error is not None
    assert run.error.attempts == times


def test_a_policy_says_how_often_a_call_is_tried() -> None:
    assert {kind.value: RetryPolicy().attempts(kind) for kind in CallKind} == {
        "read": 4,
        "create": 8,
        "transition": 5,
        "resend": 3,
        "config": 4,
        "test": 1,
        "other": 1,
    }
    assert {RetryPolicy(max_attempts=7).attempts(kind) for kind in CallKind} == {7}


@pytest.mark.parametrize("code", ["no room", "not sent", "connection broke", "unknown refusal"])
def test_no_code_of_the_service_is_taken_for_what_was_found_here(code: str) -> None:
    assert failure_kind(APIError("no", code=code, status_code=500)) == "unknown code of a failing service"


@pytest.mark.parametrize("what", ["throttled", "REQUEST_IN_PROGRESS", "RATE_LIMIT_EXCEEDED"])
def test_waiting_for_the_service_is_no_attempt(what: str) -> None:
    policy = RetryPolicy(max_attempts=1)
    run = drive(
        CALLS[CallKind.CREATE](), [*[TROUBLES[what]] * 12, success(SUCCESSES[CallKind.CREATE])], policy=policy
    )
    assert run.answer is not None
    assert run.answer.attempts == 13


def test_an_order_in_progress_is_polled_until_the_deadline() -> None:
    forever = itertools.repeat(TROUBLES["REQUEST_IN_PROGRESS"])
    run = drive(CALLS[CallKind.CREATE](), forever, deadline=90)
    assert run.error is not None
    assert run.error.outcome == "unknown"
    assert 85 < sum(run.slept) < 90
    assert run.slept == pytest.approx([1.05] * len(run.slept))
    assert len(set(run.sent)) == 1


@pytest.mark.parametrize("chance", [0.0, 0.25, 1.0])
def test_backoff_is_a_random_part_of_a_time_that_doubles(chance: float) -> None:
    run = drive(CALLS[CallKind.CREATE](), [TROUBLES["connection broke"]] * 9, chance=chance)
    full = [0.25, 0.5, 1, 2, 4, 8, 8]
    assert run.slept == [seconds * chance for seconds in full if chance]


def test_a_kept_alive_connection_that_broke_is_replaced_at_once() -> None:
    run = drive(
        CALLS[CallKind.READ](), [TROUBLES["kept-alive connection broke"], success(SUCCESSES[CallKind.READ])]
    )
    assert run.slept == []
    assert [effect.fresh for effect in run.effects if isinstance(effect, Send)] == [False, True]


@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_retry_after_is_a_floor(chance: float) -> None:
    refused = refusal(429, "RATE_LIMIT_EXCEEDED", retry_after="7")
    run = drive(CALLS[CallKind.READ](), [refused, success(SUCCESSES[CallKind.READ])], chance=chance)
    assert run.slept == [pytest.approx(7 + 0.7 * chance)]


def test_a_second_refusal_without_a_time_waits_for_a_whole_window() -> None:
    run = drive(
        CALLS[CallKind.READ](), [TROUBLES["throttled"]] * 2 + [success(SUCCESSES[CallKind.READ])], chance=0
    )
    assert run.slept == [1.0, 60.0]


def test_a_second_refusal_with_a_time_waits_for_its_own_backoff() -> None:
    refused = refusal(429, "RATE_LIMIT_EXCEEDED", retry_after="1")
    run = drive(CALLS[CallKind.READ](), [refused, refused, success(SUCCESSES[CallKind.READ])], chance=0)
    assert run.slept == [1.0, 2.0]


def test_an_error_without_a_status_is_none_of_a_failing_service() -> None:
    assert failure_kind(InvalidResponseError("cut")) == "unreadable answer"
    assert failure_kind(APIError("no")) == failure_kind(APIError("no", code="TEAPOT")) == "unknown code"


@pytest.mark.parametrize("hint", ["0", "0.5", "-1", "Wed, 21 Oct 2015 07:28:00 GMT", None])
@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_no_hint_makes_a_call_come_sooner_than_without_one(hint: str | None, chance: float) -> None:
    headers = {} if hint is None else {"retry_after": hint}
    forever = itertools.repeat(refusal(409, "REQUEST_IN_PROGRESS", **headers))
    run = drive(CALLS[CallKind.CREATE](), forever, deadline=30, chance=chance)
    assert 1.0 <= min(run.slept) <= max(run.slept) <= 2.0
    throttled = itertools.repeat(refusal(429, "RATE_LIMIT_EXCEEDED", **headers))
    run = drive(CALLS[CallKind.CREATE](), throttled, deadline=200, chance=chance)
    window = 60.0 + 6.0 * chance
    assert run.slept == pytest.approx([1.0 + 0.1 * chance] + [window] * len(run.slept[1:]))
    assert len(run.slept) > 2


def test_a_short_hint_that_is_repeated_is_believed_less_and_less() -> None:
    throttled = itertools.repeat(refusal(429, "RATE_LIMIT_EXCEEDED", retry_after="5"))
    run = drive(CALLS[CallKind.READ](), throttled, deadline=250, chance=0)
    assert run.slept == [5.0, 5.0, 5.0, 8.0, 16.0, 32.0, 60.0, 60.0]


def test_a_hint_is_believed_for_five_minutes() -> None:
    for code, status in (("RATE_LIMIT_EXCEEDED", 429), ("SERVICE_UNAVAILABLE", 503)):
        busy = refusal(status, code, retry_after="86400")
        for deadline, slept in ((86_400.0, []), (math.inf, [300.0])):
            run = drive(CALLS[CallKind.READ](), [busy, success(SUCCESSES[CallKind.READ])], deadline=deadline)
            assert run.slept == slept
            if not slept:
                assert run.error is not None
                assert run.error.retry_after == 86_400


def test_a_hint_is_a_floor_and_never_shortens_a_pause() -> None:
    policy = RetryPolicy(base=4.0)
    assert policy.pause(RetryPace.BACKOFF, 1, 1.0, 1.0) == 4.0
    assert policy.pause(RetryPace.BACKOFF, 1, 10.0, 1.0) == 11.0
    assert policy.pause(RetryPace.BACKOFF, 1, 0.0, 0.5) == 2.0
    assert policy.pause(RetryPace.THROTTLED, 1, 300.0, 1.0) == 300.0
    assert RetryPolicy(base=1e300, cap=1e300).pause(RetryPace.BACKOFF, 9, 1e300, 1.0) == 300.0


def test_a_poll_is_never_further_apart_than_two_seconds_or_the_policys_cap() -> None:
    assert RetryPolicy().pause(RetryPace.POLL, 9, None, 1.0) == 2.0
    assert RetryPolicy(cap=1.5).pause(RetryPace.POLL, 9, None, 1.0) == 1.5


def test_a_wait_beyond_the_deadline_is_not_begun() -> None:
    run = drive(CALLS[CallKind.READ](), [refusal(429, "RATE_LIMIT_EXCEEDED", retry_after="31")], deadline=30)
    assert isinstance(run.error, RateLimitError)
    assert run.error.retry_after == 31
    assert run.slept == []


def test_a_wait_until_the_very_deadline_is_not_begun_and_a_shorter_one_is() -> None:
    busy = answer(503, PAGE, retry_after="30")
    for deadline, slept in ((30.0, []), (30.001, [30.0])):
        run = drive(CALLS[CallKind.READ](), [busy, busy], deadline=deadline, chance=0)
        assert (run.slept, run.error is not None) == (slept, True)
    run = drive(CALLS[CallKind.READ](), [answer(503, PAGE)] * 2, deadline=0.13)
    assert run.slept == [0.125]


@pytest.mark.parametrize(("seconds", "outcome"), [("59", "unknown"), ("60", "rejected")])
def test_a_purchase_that_is_repeated_a_minute_later_was_answered_for_good(seconds: str, outcome: str) -> None:
    """By then the attempt before it cannot arrive any more."""
    doubt = Doubt()
    script = [answer(503, PAGE, retry_after=seconds), TROUBLES["NO_OFFER_AVAILABLE"]]
    run = drive(CALLS[CallKind.CREATE](), script, doubt=doubt, chance=0)
    assert run.error is not None
    assert (run.error.trouble, run.error.outcome) == ("NO_OFFER_AVAILABLE", outcome)
    assert doubt.raised is (outcome == "unknown")


def test_a_ban_is_never_slept_on() -> None:
    banned = refusal(429, "TEMP_BANNED_ABUSE_GUARD", retry_after="1")
    run = drive(CALLS[CallKind.CREATE](), [banned])
    assert (len(run.sent), run.slept) == (1, [])


def test_what_was_not_sent_in_time_says_so() -> None:
    run = drive(
        CALLS[CallKind.READ](), [Failure("not sent", "No connection in time.", timed_out=True)], deadline=0
    )
    assert isinstance(run.error, RequestTimeoutError)
    assert isinstance(run.error, TimeoutError)
    assert run.error.outcome == "not_sent"


def test_the_cause_of_a_failure_is_kept() -> None:
    cause = OSError("broken")
    run = drive(CALLS[CallKind.RESEND](), [Failure("connection broke", "No answer.", cause=cause)])
    assert isinstance(run.error, NetworkError)
    assert run.error.__cause__ is cause


@pytest.mark.parametrize(
    ("kind", "timed_out", "class_", "outcome"),
    [
        ("not sent", False, NetworkError, "not_sent"),
        ("not sent", True, RequestTimeoutError, "not_sent"),
        ("cannot be sent", False, NetworkError, "not_sent"),
        ("transport failed", False, NetworkError, "unknown"),
        ("connection broke", False, NetworkError, "unknown"),
        ("connection broke", True, RequestTimeoutError, "unknown"),
        ("kept-alive connection broke", False, NetworkError, "unknown"),
        ("answer too large", False, InvalidResponseError, "unknown"),
        ("unreadable answer", True, InvalidResponseError, "unknown"),
    ],
)
def test_the_error_of_a_failure_says_why_no_answer_came(
    kind: Any, timed_out: bool, class_: type[SmscodeError], outcome: str
) -> None:
    failure = Failure(kind, "Why.", timed_out=True) if timed_out else Failure(kind, "Why.")
    error = failure.error()
    assert type(error) is class_
    assert (error.message, error.trouble, error.outcome) == ("Why.", kind, outcome)
    assert error.__cause__ is None


def test_an_error_of_this_package_from_below_is_the_failures_own() -> None:
    raised = ClientStateError("The client is closed.")
    failure = Failure("cannot be sent", "No.", cause=OSError("+62812"), raised=raised)
    assert failure.error() is raised
    assert raised.trouble == "cannot be sent"
    assert repr(failure) == "Failure(kind='cannot be sent', reason='No.', timed_out=False)"


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


def test_the_attempts_of_a_cancel_that_was_carried_out_at_last_are_counted() -> None:
    run = drive(CANCEL, [LOST, order("ACTIVE"), LOST, order("CANCELED"), ACCOUNT])
    assert run.answer is not None
    assert run.answer.attempts == 2


@pytest.mark.parametrize("state", ["ACTIVE", "OTP_RECEIVED", "SOMETHING_NEW"])
def test_a_finish_that_was_not_carried_out_is_sent_again(state: str) -> None:
    done = success({"order_id": ORDER_ID, "status": "COMPLETED"})
    run = drive(FINISH, [LOST, order(state), done])
    assert run.answer is not None
    assert run.answer.attempts == 2


def test_an_order_that_ended_otherwise_is_a_conflict_with_the_order_attached() -> None:
    lost = answer(502, PAGE, x_request_id="r-1")
    run = drive(CANCEL, [lost, order("ACTIVE"), lost, order("COMPLETED")])
    error = run.error
    assert isinstance(error, ConflictError)
    assert getattr(error.order, "status", None) == "COMPLETED"
    assert error.message == "The order has ended as COMPLETED."
    assert (error.code, error.trouble, error.outcome) == ("CONFLICT", "CONFLICT", "rejected")
    assert (error.status_code, error.request_id, error.attempts) == (502, "r-1", 2)


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


@pytest.mark.parametrize("pace", RetryPace)
def test_a_pause_is_never_negative_and_never_endless(pace: RetryPace) -> None:
    policy = RetryPolicy()
    pauses = [
        policy.pause(pace, times, None, chance) for times in (*range(1, 60), 10**6) for chance in (0.0, 1.0)
    ]
    assert all(0 <= seconds <= 66 for seconds in pauses)


def test_a_call_of_which_nothing_is_known_is_never_repeated() -> None:
    assert {rule.action(CallKind.OTHER) for rule in TABLE.values()} == {Action.STOP}
