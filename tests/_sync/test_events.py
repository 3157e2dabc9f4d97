# Generated from tests/_async/test_events.py by `nox -s generate`: change that file, not this one.

"""What a client reports about its calls: to a hook, and to the log."""

from __future__ import annotations

import logging
import re
from typing import Any, Literal

import httpx
import pytest

from smscode import (
    InvalidArgumentError,
    NetworkError,
    NotFoundError,
    RateLimitError,
    RetryPolicy,
    SmscodeError,
)
from smscode.events import (
    CallEnded,
    CallStarted,
    ClientEvent,
    GroupPaused,
    RequestFailed,
    RequestSent,
    ResponseReceived,
    Retrying,
    Waited,
)
from smscode.models import EndpointGroup

from ..concurrency import VirtualClient, coroutine_function
from .helpers import Script, refusal, rent, still_sandbox, success

pytestmark = pytest.mark.anyio

Version = Literal["v1", "v2"]
TOKEN = "canary-4711-0815"
CONFIG = {"webhook_url": None, "webhook_secret": None}


def scripted(
    told: list[ClientEvent], *answers: httpx.Response | Exception, **options: Any
) -> VirtualClient:
    sandbox = still_sandbox(token=TOKEN)
    script = Script(answers, sandbox.transport())
    return VirtualClient(sandbox, transport=script, on_event=told.append, **options)


def kinds(told: list[ClientEvent]) -> list[type[ClientEvent]]:
    return [type(event) for event in told]


def test_a_call_is_told_from_its_beginning_to_its_end(version: Version) -> None:
    told: list[ClientEvent] = []
    with scripted(told, api_version=version) as client:
        client.balance()
    what: dict[str, Any] = {
        "operation": "balance.get",
        "method": "GET",
        "path": f"/{version}/balance",
        "call_id": told[0].call_id,
    }
    times: dict[str, Any] = {"seconds": 0.0}
    ended: dict[str, Any] = {"result": "done", "trouble": None, "code": None, "status_code": 200}
    assert told == [
        CallStarted(**what, attempt=0, base_url="https://api.smscode.gg"),
        RequestSent(**what, attempt=1),
        ResponseReceived(**what, attempt=1, status_code=200, request_id="sandbox-000001", **times),
        CallEnded(**what, attempt=1, request_id="sandbox-000001", **ended, **times),
    ]


def test_every_call_has_a_number_of_its_own() -> None:
    told: list[ClientEvent] = []
    with scripted(told) as first, scripted(told) as second:
        first.balance()
        second.balance()
        first.balance()
    assert len({event.call_id for event in told}) == 3


def test_a_path_holds_places_for_ids() -> None:
    told: list[ClientEvent] = []
    with scripted(told) as client:
        client.orders.get(rent(client))
    assert {event.path for event in told} == {"/v2/orders/create", "/v2/orders/{id}"}


def test_a_repeated_attempt_is_told_with_its_pause() -> None:
    told: list[ClientEvent] = []
    busy = refusal(503, "SERVICE_UNAVAILABLE")
    with scripted(told, busy, httpx.ReadError("broken"), retry=RetryPolicy(base=2, cap=8)) as client:
        client.balance()
    assert kinds(told) == [
        CallStarted,
        *(RequestSent, ResponseReceived, Retrying, Waited),
        *(RequestSent, RequestFailed, Retrying, Waited),
        *(RequestSent, ResponseReceived, CallEnded),
    ]
    assert [event.attempt for event in told] == [0, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]
    retries = [event for event in told if isinstance(event, Retrying)]
    assert [(event.trouble, event.status_code) for event in retries] == [
        ("SERVICE_UNAVAILABLE", 503),
        ("connection broke", None),
    ]
    waits = [event for event in told if isinstance(event, Waited)]
    assert {event.reason for event in waits} == {"retry"}
    assert [event.seconds for event in waits] == pytest.approx([event.seconds for event in retries])
    failed = next(event for event in told if isinstance(event, RequestFailed))
    assert (failed.trouble, failed.timed_out) == ("connection broke", False)
    assert isinstance(told[-1], CallEnded)
    assert told[-1].seconds == pytest.approx(sum(event.seconds for event in waits))


def test_a_refusal_for_the_rate_limit_pauses_the_group() -> None:
    told: list[ClientEvent] = []
    with scripted(told, refusal(429, "RATE_LIMIT_EXCEEDED", {"retry-after": "5"})) as client:
        client.balance()
    assert kinds(told) == [
        CallStarted,
        *(RequestSent, ResponseReceived, GroupPaused, Retrying, Waited),
        *(RequestSent, ResponseReceived, CallEnded),
    ]
    paused, waited = told[3], told[5]
    assert isinstance(paused, GroupPaused)
    assert isinstance(waited, Waited)
    assert paused.group is EndpointGroup.BALANCE
    assert waited.reason == "rate limit"
    assert paused.seconds == pytest.approx(waited.seconds, abs=0.5)
    assert 5 <= paused.seconds <= 6


def test_a_refusal_by_something_in_between_pauses_its_group() -> None:
    told: list[ClientEvent] = []
    with scripted(told, refusal(429, headers={"retry-after": "3"})) as client:
        client.balance()
    assert [event.group for event in told if isinstance(event, GroupPaused)] == [EndpointGroup.BALANCE]


def test_without_rate_limits_there_is_nothing_to_pause() -> None:
    told: list[ClientEvent] = []
    answer = refusal(429, "RATE_LIMIT_EXCEEDED", {"retry-after": "3"})
    with scripted(told, answer, rate_limits=None) as client:
        client.balance()
    assert [type(event) for event in told if isinstance(event, GroupPaused | Waited)] == [Waited]


@pytest.mark.parametrize(
    ("answer", "class_", "ended"),
    [
        (refusal(404, "NOT_FOUND"), NotFoundError, ("rejected", "NOT_FOUND", "NOT_FOUND", 404)),
        (httpx.ConnectError("no"), NetworkError, ("not_sent", "not sent", "NETWORK_ERROR", None)),
        (httpx.ReadTimeout("no"), NetworkError, ("unknown", "connection broke", "TIMEOUT", None)),
    ],
)
def test_a_call_that_fails_is_told_with_what_became_of_it(
    answer: httpx.Response | Exception, class_: type[SmscodeError], ended: tuple[object, ...]
) -> None:
    told: list[ClientEvent] = []
    with scripted(told, answer, retry=RetryPolicy(max_attempts=1)) as client:
        with pytest.raises(class_) as caught:
            client.orders.resend(7)
    last = told[-1]
    assert isinstance(last, CallEnded)
    assert (last.result, last.trouble, last.status_code) == (ended[0], ended[1], ended[3])
    assert (last.code, last.result) == (caught.value.code, caught.value.outcome)


def test_a_call_for_which_there_is_no_room_was_never_sent() -> None:
    told: list[ClientEvent] = []
    answer = refusal(429, "RATE_LIMIT_EXCEEDED", {"retry-after": "50"})
    with scripted(told, answer) as client:
        for _ in range(2):
            with pytest.raises(RateLimitError):
                client.balance(timeout=10)
    assert kinds(told[-2:]) == [CallStarted, CallEnded]
    last = told[-1]
    assert isinstance(last, CallEnded)
    assert (last.attempt, last.result) == (0, "not_sent")


def test_the_order_that_is_read_belongs_to_the_cancel() -> None:
    told: list[ClientEvent] = []
    sandbox = still_sandbox(otp_after=None)
    script = Script([], sandbox.transport())
    with VirtualClient(sandbox, transport=script, on_event=told.append) as client:
        order_id = rent(client)
        client.runtime.pass_by(150)
        told.clear()
        script.add(httpx.ReadError("lost"))
        client.orders.cancel(order_id)
    assert [event.operation for event in told if isinstance(event, RequestSent)] == [
        "orders.cancel",
        "orders.get",
        "orders.cancel",
    ]
    assert len({event.call_id for event in told}) == 1
    assert kinds(told)[0] is CallStarted
    assert kinds(told).count(CallEnded) == 1


def test_no_event_and_no_line_of_the_log_holds_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    told: list[ClientEvent] = []
    with caplog.at_level(logging.DEBUG, "smscode"):
        sandbox = still_sandbox(token=TOKEN, otp_after=0)
        with VirtualClient(sandbox, on_event=told.append) as client:
            order = (client.orders.create(catalog_product_id=87, idempotency_key="canary-key")).orders[
                0
            ]
            sms = client.orders.wait_for_otp(order.id)
            client.webhook.update(secret="canary-secret", url="https://example.com/canary-path")
            client.orders.list(status="ACTIVE", limit=17)
            client.orders.finish(order.id)
    # Times, threads, lines and the numbers of calls are numbers that may hold an order's by chance.
    plain = set(logging.makeLogRecord({}).__dict__) - {"args", "msg"}
    own = [{k: v for k, v in record.__dict__.items() if k not in plain} for record in caplog.records]
    said = re.sub(r"call(_id=| )\d+", "", caplog.text + repr(told) + repr(own))
    assert "orders.finish" in said
    for secret in (TOKEN, "canary", order.phone_number, sms.code, "limit=17"):
        assert secret is not None
        assert secret not in said
    assert not re.search(rf"\b{order.id}\b", said)


# -- hooks -----------------------------------------------------------------------------------------


def test_what_a_hook_raises_is_logged_once_and_breaks_no_call(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[ClientEvent] = []

    def broken(event: ClientEvent) -> None:
        calls.append(event)
        raise ZeroDivisionError("in the hook")

    with VirtualClient(still_sandbox(), on_event=broken) as client:
        client.balance()
        client.balance()
    assert len(calls) == 8
    assert [record.getMessage() for record in caplog.records if record.exc_info] == [
        "on_event raised an exception, which changes nothing for the call. Further ones are not logged."
    ]


def test_a_hook_is_a_plain_function(version: Version) -> None:
    for wrong in (5, "print", coroutine_function):
        with pytest.raises(InvalidArgumentError, match=r"^on_event: expected a function"):
            VirtualClient(still_sandbox(), on_event=wrong, api_version=version)


# -- the log ---------------------------------------------------------------------------------------


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    records = [record for record in caplog.records if hasattr(record, "smscode_event")]
    assert all(record.name == "smscode" for record in records)
    return [(record.levelno, record.getMessage().partition(") ")[2]) for record in records]


def test_the_log_tells_a_call_on_debug(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "smscode"):
        with VirtualClient(still_sandbox()) as client:
            client.balance()
    assert logged(caplog) == [
        (logging.DEBUG, "begins at https://api.smscode.gg"),
        (logging.DEBUG, "attempt 1 is sent"),
        (logging.DEBUG, "attempt 1 is answered with 200 after 0.000 s, request id sandbox-000001"),
        (logging.DEBUG, "is done after 0.000 s, attempts: 1"),
    ]
    assert "(balance.get, GET /v2/balance) attempt 1 is sent" in caplog.text


def test_the_log_tells_trouble_on_info(caplog: pytest.LogCaptureFixture) -> None:
    sandbox = still_sandbox()
    answers: list[httpx.Response | Exception] = [
        refusal(429, "RATE_LIMIT_EXCEEDED", {"retry-after": "0"}),
        refusal(429, headers={"retry-after": "1"}),
        httpx.ReadError("broken"),
        refusal(401, "UNAUTHORIZED"),
    ]
    script = Script(answers)
    with caplog.at_level(logging.INFO, "smscode"):
        with VirtualClient(sandbox, transport=script, retry=RetryPolicy(base=0.001)) as client:
            with pytest.raises(SmscodeError):
                client.balance()
    assert {level for level, _ in logged(caplog)} == {logging.INFO}
    lines = [line.partition(" for ")[0].partition(" in ")[0] for _, line in logged(caplog)]
    assert lines == [
        "is refused, and the group balance of this account pauses",
        "attempt 1 is repeated",
        "is refused, and the group balance of this account pauses",
        "attempt 2 is repeated",
        "attempt 3 fails after 0.000 s: connection broke",
        "attempt 3 is repeated",
        lines[-1],
    ]
    assert lines[-1].startswith("is rejected after ")
    assert lines[-1].endswith("s, attempts: 4: UNAUTHORIZED")


def test_the_log_tells_of_waiting_on_debug(caplog: pytest.LogCaptureFixture) -> None:
    script = Script([refusal(503, "SERVICE_UNAVAILABLE", {"retry-after": "2"}), success(CONFIG)])
    with caplog.at_level(logging.DEBUG, "smscode"):
        with VirtualClient(still_sandbox(), transport=script) as client:
            client.webhook.get()
    line = next(line for _, line in logged(caplog) if line.startswith("waited"))
    assert line.startswith("waited 2.")
    assert line.endswith(" s before attempt 2: retry")
    assert any(line.endswith("answered with 200 after 0.000 s") for _, line in logged(caplog))


def test_a_client_that_nobody_watches_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*arguments: object) -> None:
        raise AssertionError("watched")

    monkeypatch.setattr("smscode.core.call_events.CallReporter", never)
    with VirtualClient(still_sandbox()) as client:
        client.balance()
