"""What a flow does about rate limits, driven without a loop and without a bucket's rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from smscode import calls
from smscode.core.api.call import Call, Response
from smscode.core.call_events import CallReporter
from smscode.core.effects import (
    Acquire,
    Effect,
    EffectReply,
    Failure,
    HeldUp,
    Pause,
    Release,
    Send,
    Sleep,
    ending,
)
from smscode.core.flow import CallTerms, flow
from smscode.core.purchases.doubt import Doubt
from smscode.core.ratelimit.ban import Ban
from smscode.core.ratelimit.limiter import GroupLimiter, Lease, NoRoom
from smscode.core.ratelimit.options import RateLimits
from smscode.core.ratelimit.slots import RequestEnding, SlotWindow
from smscode.core.retry import TABLE, RetryPolicy
from smscode.errors import RateLimitError, SmscodeError, TempBannedError
from smscode.events import (
    ClientEvent,
    GroupPaused,
    RequestFailed,
    RequestSent,
    ResponseReceived,
    Retrying,
    Waited,
)
from smscode.models import EndpointGroup

from .test_retry import CALLS, ORDER_ID, TROUBLES, answer, order, refusal, success

BALANCE = {"amount": "0.92", "currency": "USD", "canonical_amount": 15000, "canonical_currency": "IDR"}
GOOD = success({"balance": BALANCE})
FULL = NoRoom("create", 3000, 60.0, 12.0)
Answered = Response | Failure | HeldUp | NoRoom


def drive(
    call: Call[Any],
    script: Iterable[Answered],
    *,
    deadline: float = 1e9,
    doubt: Doubt | None = None,
    ban: Ban | None = None,
) -> tuple[list[Effect], SmscodeError | None]:
    """Drive a flow that keeps limits; `NoRoom` in the script is what asking for a slot comes to."""
    results, effects, now = iter(script), list[Effect](), 0.0
    bucket = GroupLimiter("any", 10**6, SlotWindow(60.0))
    ahead: list[Answered] = []
    terms = CallTerms("v2", RetryPolicy(), 0.0, deadline, lambda: 0.5, limited=True, ban=ban or Ban())
    steps = flow(call, terms, doubt)
    reply = None
    try:
        while True:
            effect = next(steps) if reply is None else steps.send(reply)
            if isinstance(effect, Release):
                reply = EffectReply(now)
                continue
            effects.append(effect)
            if isinstance(effect, Acquire):
                ahead.append(next(results))
                lease = bucket.ask(now, deadline)
                reply = EffectReply(now, ahead.pop() if isinstance(ahead[0], NoRoom) else lease)
            elif isinstance(effect, Send):
                assert isinstance(effect.lease, Lease)
                result = ahead.pop()
                assert not isinstance(result, NoRoom)
                if ending(result) is not RequestEnding.UNSENT:
                    effect.doubt.raised = True
                reply = EffectReply(now, result)
            else:
                now += effect.seconds if isinstance(effect, Sleep) else 0.0
                reply = EffectReply(now)
    except StopIteration:
        return effects, None
    except SmscodeError as error:
        return effects, error


def groups(effects: list[Effect]) -> list[tuple[EndpointGroup, bool]]:
    return [(effect.group, effect.urgent) for effect in effects if isinstance(effect, Acquire)]


def pauses(effects: list[Effect]) -> list[tuple[float, bool]]:
    return [(effect.seconds, effect.by_service) for effect in effects if isinstance(effect, Pause)]


def test_every_attempt_takes_a_slot_and_only_repetitions_are_urgent() -> None:
    effects, error = drive(calls.balance.get(), [TROUBLES["unavailable"], TROUBLES["not sent"], GOOD])
    assert error is None
    assert groups(effects) == [
        (EndpointGroup.BALANCE, False),
        (EndpointGroup.BALANCE, True),
        (EndpointGroup.BALANCE, True),
    ]
    kinds = [type(effect) for effect in effects]
    assert kinds == [Acquire, Send, Sleep, Acquire, Send, Sleep, Acquire, Send]


def test_a_submitted_purchase_in_doubt_is_urgent() -> None:
    create = calls.orders.create(catalog_product_id=87, idempotency_key="key-1")
    bought = success({"orders": [{"id": ORDER_ID, "status": "ACTIVE"}], "failed_count": 0})
    effects, _ = drive(create, [bought], doubt=Doubt(raised=True))
    assert groups(effects) == [(EndpointGroup.CREATE, True)]


def test_reading_the_order_takes_a_slot_of_its_own_group() -> None:
    script = [TROUBLES["connection broke"], order("FINISHED"), GOOD]
    effects, _ = drive(calls.orders.cancel(ORDER_ID), script)
    assert [group for group, _ in groups(effects)][:2] == [EndpointGroup.CANCEL, EndpointGroup.ORDER_QUERIES]


def test_without_room_nothing_is_sent() -> None:
    effects, error = drive(calls.orders.create(catalog_product_id=87, idempotency_key="key-1"), [FULL])
    assert [type(effect) for effect in effects] == [Acquire]
    assert isinstance(error, RateLimitError)
    assert (error.outcome, error.attempts, error.idempotency_key) == ("not_sent", 0, "key-1")
    assert (error.trouble, error.retry_after) == ("no room", 12.0)


def test_a_read_for_which_there_is_no_room_is_not_sent_either() -> None:
    effects, error = drive(calls.balance.get(), [FULL])
    assert error is not None
    assert (len(effects), error.outcome, error.trouble) == (1, "not_sent", "no room")


def test_a_purchase_in_doubt_stays_in_doubt_without_room() -> None:
    doubt = Doubt(raised=True)
    _, error = drive(calls.orders.create(catalog_product_id=87), [FULL], doubt=doubt)
    assert error is not None
    assert error.outcome == "unknown"
    assert doubt.raised


def test_without_room_to_repeat_the_failure_itself_is_raised() -> None:
    _, error = drive(calls.orders.create(catalog_product_id=87), [TROUBLES["connection broke"], FULL])
    assert error is not None
    assert (error.trouble, error.outcome, error.attempts) == ("connection broke", "unknown", 1)


@pytest.mark.parametrize(
    ("first", "sent", "outcome"),
    [
        ([], 0, "not_sent"),
        ([refusal(503, "FX_RATE_UNAVAILABLE")], 1, "not_sent"),
        ([Failure("connection broke", "gone")], 1, "unknown"),
    ],
)
def test_a_ban_that_begins_meanwhile_ends_a_call_and_says_what_is_known_of_it(
    first: list[Answered], sent: int, outcome: str
) -> None:
    ban = Ban()

    def answers() -> Iterator[Answered]:
        yield from first
        ban.note(TempBannedError("paused", retry_after=10.0), 0.0)
        yield HeldUp()

    call = calls.orders.create(catalog_product_id=87)
    _, error = drive(call, answers(), ban=ban)
    assert isinstance(error, TempBannedError)
    assert (error.attempts, error.outcome, error.trouble) == (sent, outcome, "TEMP_BANNED_ABUSE_GUARD")
    assert (error.message, error.idempotency_key) == ("paused", call.idempotency_key)


def test_what_is_left_of_a_ban_counts_from_when_a_call_was_held_up() -> None:
    ban = Ban()
    terms = CallTerms("v2", RetryPolicy(), 0.0, 1e9, lambda: 0.5, ban=ban)
    held_up, too_late = (flow(calls.orders.create(catalog_product_id=87), terms) for _ in range(2))
    assert isinstance(next(held_up), Send)
    assert isinstance(next(too_late), Send)
    ban.note(TempBannedError("paused", retry_after=10.0), 1.0)
    with pytest.raises(TempBannedError) as refused:
        held_up.send(EffectReply(6.0, HeldUp()))
    assert refused.value.retry_after == 5.0
    assert isinstance(too_late.send(EffectReply(11.0, HeldUp())), Send)


def test_only_a_ban_that_the_service_told_of_is_noted() -> None:
    ban = Ban()
    call = calls.orders.create(catalog_product_id=87)
    _, error = drive(call, [refusal(429, "TEMP_BANNED_ABUSE_GUARD", retry_after="10")], ban=ban)
    assert isinstance(error, TempBannedError)
    left = ban.error(4.0)
    assert left is not None
    assert left.retry_after == 6.0
    _, again = drive(call, [], ban=ban)
    assert isinstance(again, TempBannedError)
    assert ban.error(10.0) is None


def test_what_a_pause_held_up_was_no_attempt_and_goes_first_afterwards() -> None:
    effects, error = drive(calls.balance.get(), [HeldUp(), HeldUp(), GOOD])
    assert error is None
    assert groups(effects) == [
        (EndpointGroup.BALANCE, False),
        (EndpointGroup.BALANCE, True),
        (EndpointGroup.BALANCE, True),
    ]
    _, error = drive(calls.orders.create(catalog_product_id=87), [HeldUp(), FULL])
    assert error is not None
    assert (error.outcome, error.attempts, error.trouble) == ("not_sent", 0, "no room")


def test_a_refusal_pauses_its_group_instead_of_sleeping() -> None:
    refused = refusal(429, "RATE_LIMIT_EXCEEDED", retry_after="7")
    effects, error = drive(calls.balance.get(), [refused, GOOD])
    assert error is None
    assert [type(effect) for effect in effects] == [Acquire, Send, Pause, Acquire, Send]
    assert pauses(effects) == [(7 * 1.05, True)]


def test_a_refusal_pauses_its_group_also_when_the_call_gives_up() -> None:
    refused = refusal(429, "RATE_LIMIT_EXCEEDED", retry_after="86400")
    effects, error = drive(calls.balance.get(), [refused], deadline=30.0)
    assert isinstance(error, RateLimitError)
    assert error.retry_after == 86400
    assert pauses(effects) == [(300.0, True)]


def test_a_refusal_by_a_proxy_pauses_its_group_and_says_nothing_about_the_limit() -> None:
    effects, _ = drive(calls.balance.get(), [answer(429, b"<html>slow down</html>", retry_after="3"), GOOD])
    assert pauses(effects) == [(3 * 1.05, False)]


def test_the_code_of_a_refusal_pauses_its_group_whatever_the_status() -> None:
    effects, _ = drive(calls.balance.get(), [refusal(503, "RATE_LIMIT_EXCEEDED", retry_after="3"), GOOD])
    assert pauses(effects) == [(3 * 1.05, True)]


def test_a_429_with_another_code_pauses_its_group_too() -> None:
    effects, _ = drive(calls.balance.get(), [refusal(429, "INTERNAL_ERROR", retry_after="3"), GOOD])
    assert pauses(effects) == [(3 * 1.05, True)]


def test_a_ban_is_no_pause() -> None:
    banned = refusal(429, "TEMP_BANNED_ABUSE_GUARD", retry_after="300")
    effects, _ = drive(calls.orders.create(catalog_product_id=87), [banned])
    assert pauses(effects) == []


def test_a_busy_service_is_no_pause() -> None:
    effects, _ = drive(calls.balance.get(), [refusal(503, "SERVICE_UNAVAILABLE", retry_after="3"), GOOD])
    assert pauses(effects) == []


@pytest.mark.parametrize("what", TROUBLES)
def test_what_surely_was_not_sent_does_not_count(what: str) -> None:
    trouble = TROUBLES[what]
    expected = RequestEnding.UNSENT if TABLE[what].outcome == "not_sent" else RequestEnding.ANSWERED
    if isinstance(trouble, Response) and trouble.status_code == 429:
        expected = RequestEnding.REFUSED
    lost = {"transport failed", "connection broke", "kept-alive connection broke"}
    assert ending(trouble) is (RequestEnding.LOST if what in lost else expected)


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (HeldUp(), RequestEnding.UNSENT),
        (answer(200, b""), RequestEnding.ANSWERED),
        (answer(430, b""), RequestEnding.ANSWERED),
        (answer(429, b""), RequestEnding.REFUSED),
        (Failure("unreadable answer", "cut"), RequestEnding.ANSWERED),
        (Failure("answer too large", "large"), RequestEnding.ANSWERED),
        (Failure("connection broke", "gone"), RequestEnding.LOST),
    ],
)
def test_what_was_answered_in_any_way_counts_from_the_answer(
    result: Response | Failure | HeldUp, expected: RequestEnding
) -> None:
    assert ending(result) is expected


def stepped(call: Call[Any], *replies: EffectReply, doubt: Doubt | None = None, **terms: Any) -> SmscodeError:
    """Drive a flow by its replies; return the error that it ends with."""
    steps = flow(call, CallTerms("v2", RetryPolicy(), 0.0, 1e9, lambda: 1.0, limited=True, **terms), doubt)
    next(steps)
    for reply in replies[:-1]:
        steps.send(reply)
    with pytest.raises(SmscodeError) as ended:
        steps.send(replies[-1])
    return ended.value


def lease(now: float) -> Lease:
    found = GroupLimiter("any", 10, SlotWindow(60.0)).ask(now, 1e9)
    assert isinstance(found, Lease)
    return found


def test_a_call_that_waits_for_its_turn_and_is_held_up_is_reported() -> None:
    told: list[ClientEvent] = []
    stepped(
        calls.balance.get(),
        EffectReply(2.0, lease(2.0)),
        EffectReply(2.5, HeldUp()),
        EffectReply(7.0, lease(7.0)),
        EffectReply(7.25, refusal(503, "FX_RATE_UNAVAILABLE")),
        EffectReply(7.25),
        EffectReply(8.25),
        EffectReply(9.0, lease(9.0)),
        EffectReply(9.5, refusal(429, "RATE_LIMIT_EXCEEDED", retry_after="10")),
        EffectReply(9.5),
        EffectReply(9.5),
        EffectReply(21.0, lease(21.0)),
        EffectReply(21.5, Failure("cannot be sent", "no", timed_out=True)),
        watch=CallReporter(told.append, "v2", 0.0, call_id=5),
    )
    what: Any = {"call_id": 5, "operation": "balance.get", "method": "GET", "path": "/v2/balance"}
    code: Any = {"trouble": "FX_RATE_UNAVAILABLE", "status_code": 503}
    assert told == [
        Waited(**what, attempt=1, reason="rate limit", seconds=2.0),
        RequestSent(**what, attempt=1),
        RequestFailed(**what, attempt=1, trouble="not sent", timed_out=False, seconds=0.5),
        Waited(**what, attempt=1, reason="rate limit", seconds=4.5),
        RequestSent(**what, attempt=1),
        ResponseReceived(**what, attempt=1, status_code=503, request_id=None, seconds=0.25),
        Retrying(**what, attempt=1, **code, seconds=0.25),
        Waited(**what, attempt=2, reason="retry", seconds=1.0),
        Waited(**what, attempt=2, reason="rate limit", seconds=0.75),
        RequestSent(**what, attempt=2),
        ResponseReceived(**what, attempt=2, status_code=429, request_id=None, seconds=0.5),
        GroupPaused(**what, attempt=2, group=EndpointGroup.BALANCE, seconds=11.0),
        Retrying(**what, attempt=2, trouble="RATE_LIMIT_EXCEEDED", status_code=429, seconds=11.0),
        Waited(**what, attempt=3, reason="rate limit", seconds=11.5),
        RequestSent(**what, attempt=3),
        RequestFailed(**what, attempt=3, trouble="cannot be sent", timed_out=True, seconds=0.5),
    ]


@pytest.mark.parametrize(("waited", "outcome"), [(59.0, "unknown"), (60.0, "rejected")])
def test_a_purchase_that_waited_a_minute_for_its_turn_was_answered_for_good(
    waited: float, outcome: str
) -> None:
    """By then the attempt before it cannot arrive any more."""
    error = stepped(
        calls.orders.create(catalog_product_id=87),
        EffectReply(waited, lease(waited)),
        EffectReply(waited + 5, refusal(422, "NO_OFFER_AVAILABLE")),
        EffectReply(waited + 5),
        doubt=Doubt(raised=True, ended=0.0),
    )
    assert (error.code, error.outcome) == ("NO_OFFER_AVAILABLE", outcome)


def test_every_kind_of_call_has_documented_limits() -> None:
    documented = {
        EndpointGroup.CATALOG: 5000,
        EndpointGroup.BALANCE: 600,
        EndpointGroup.ORDER_QUERIES: 5000,
        EndpointGroup.CREATE: 3000,
        EndpointGroup.CANCEL: 1000,
        EndpointGroup.ORDER_ACTIONS: 1000,
        EndpointGroup.WEBHOOK_CONFIG: 600,
        EndpointGroup.WEBHOOK_TEST: 10,
    }
    assert {group: RateLimits().of(group) for group in EndpointGroup} == {
        group: (limit, 60.0) for group, limit in documented.items()
    }
    assert {call().endpoint.group for call in CALLS.values()} <= documented.keys()
