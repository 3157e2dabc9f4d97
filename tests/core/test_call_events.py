"""The events that a call is reported by, one by one, without a client."""

from __future__ import annotations

from typing import Any

import pytest

from smscode import NetworkError, NotFoundError, SmscodeError, calls
from smscode.core.api.call import Answer, Response
from smscode.core.call_events import CallReporter
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

ORDER = calls.orders.get(1001)
WHAT: dict[str, Any] = {"call_id": 5, "operation": "orders.get", "method": "GET", "path": "/v1/orders/{id}"}


def reporter(told: list[ClientEvent], now: float = 10.0) -> CallReporter:
    return CallReporter(told.append, "v1", now, call_id=5)


def labelled(error: SmscodeError, trouble: str | None) -> SmscodeError:
    error.trouble = trouble
    return error


def test_each_step_of_a_call_is_an_event_with_the_seconds_since_the_one_before() -> None:
    told: list[ClientEvent] = []
    call = reporter(told)
    call.started(ORDER, "https://host.example")
    call.waited(ORDER, 1, 10.5, "rate limit")
    call.sent(ORDER, 1)
    call.received(ORDER, 1, 12.75, Response(503, {"x-request-id": "r-1"}, b""))
    call.paused(ORDER, 1, 7.0)
    call.retrying(ORDER, 1, labelled(SmscodeError("no", status_code=503), "unavailable"), 4.0)
    call.waited(ORDER, 2, 17.0, "retry")
    call.sent(ORDER, 2)
    call.failed(ORDER, 2, 17.5, "connection broke", timed_out=True)
    call.retrying(ORDER, 2, NetworkError("no"), 0.5)
    assert told == [
        CallStarted(**WHAT, attempt=0, base_url="https://host.example"),
        Waited(**WHAT, attempt=1, reason="rate limit", seconds=0.5),
        RequestSent(**WHAT, attempt=1),
        ResponseReceived(**WHAT, attempt=1, status_code=503, request_id="r-1", seconds=2.25),
        GroupPaused(**WHAT, attempt=1, group=EndpointGroup.ORDER_QUERIES, seconds=7.0),
        Retrying(**WHAT, attempt=1, trouble="unavailable", status_code=503, seconds=4.0),
        Waited(**WHAT, attempt=2, reason="retry", seconds=4.25),
        RequestSent(**WHAT, attempt=2),
        RequestFailed(**WHAT, attempt=2, trouble="connection broke", timed_out=True, seconds=0.5),
        Retrying(**WHAT, attempt=2, trouble="unknown code", status_code=None, seconds=0.5),
    ]


@pytest.mark.parametrize(("seconds", "reported"), [(0.0, False), (0.0009, False), (0.001, True)])
def test_a_wait_of_less_than_a_millisecond_is_not_reported(seconds: float, reported: bool) -> None:
    told: list[ClientEvent] = []
    reporter(told, 0.0).waited(ORDER, 1, seconds, "retry")
    assert bool(told) is reported


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (Answer(None, "r-2", 201, None), ("done", None, None, 201, "r-2")),
        (
            labelled(
                NotFoundError("no", code="NOT_FOUND", status_code=404, request_id="r-3", outcome="rejected"),
                "NOT_FOUND",
            ),
            ("rejected", "NOT_FOUND", "NOT_FOUND", 404, "r-3"),
        ),
        (
            labelled(NetworkError("no", outcome="unknown"), "connection broke"),
            ("unknown", "connection broke", None, None, None),
        ),
        (KeyboardInterrupt(), ("cancelled", None, None, None, None)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_end_of_a_call_is_its_answer_its_error_or_a_cancellation(
    end: Answer[Any] | BaseException, expected: tuple[Any, ...]
) -> None:
    told: list[ClientEvent] = []
    call = reporter(told)
    call.started(ORDER, "https://host.example")
    call.sent(ORDER, 3)
    call.ended(ORDER, 14.5, end)
    names = ("result", "trouble", "code", "status_code", "request_id")
    assert told[-1] == CallEnded(**WHAT, attempt=3, seconds=4.5, **dict(zip(names, expected, strict=True)))
