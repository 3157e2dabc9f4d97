"""What a request and a response hold, and what the real waits do."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Literal

import anyio
import httpx
import pytest

from smscode import Timeouts
from smscode._concurrency import AsyncRuntime, Runtime
from smscode._http import messages
from smscode._http.families import family
from smscode._http.messages import Translator, for_caller, headers_of
from smscode._http.stack_errors import RemoteProtocolError
from smscode.core.api.call import Request
from smscode.core.settings import Settings

# -- requests and responses ------------------------------------------------------------------------


TOKEN = "secret-4711"


def translator(
    base_url: str = "https://host/api", timeouts: Timeouts = Timeouts(), token: str = TOKEN
) -> Translator:
    return Translator(Settings.resolve(token, base_url, "v2", {}), timeouts)


def test_a_request_is_complete() -> None:
    wire = Request("POST", "/v2/x", (("a", "1 2"), ("b", "ü")), (("idempotency-key", "k"),), b"{}")
    trace = object()
    request = for_caller(translator().request(wire, 10, trace), family("httpx"))
    assert (request.method, str(request.url)) == ("POST", "https://host/api/v2/x?a=1+2&b=%C3%BC")
    assert request.read() == b"{}"
    assert request.headers["content-length"] == "2"
    assert request.headers["host"] == "host"
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["idempotency-key"] == "k"
    assert request.extensions["trace"] is trace
    assert TOKEN not in repr(request.headers)


@pytest.mark.parametrize(("method", "length"), [("GET", None), ("POST", "0")])
def test_a_request_without_a_body_says_so(method: Literal["GET", "POST"], length: str | None) -> None:
    request = for_caller(translator().request(Request(method, "/v2/x"), 10, None), family("httpx"))
    assert (request.read(), request.headers.get("content-length")) == (b"", length)


@pytest.mark.anyio
async def test_a_body_can_be_read_twice() -> None:
    request = translator().request(Request("POST", "/v2/x", body=b"{}"), 10, None)
    stream = for_caller(request, family("httpx")).stream
    assert isinstance(stream, httpx.AsyncByteStream)
    assert [[chunk async for chunk in stream] for _ in range(2)] == [[b"{}"], [b"{}"]]


def test_an_answer_that_echoes_the_token_loses_it() -> None:
    now = datetime(2026, 6, 14, tzinfo=UTC)
    response = translator().response(401, {}, b"who is secret-4711?", now)
    assert response.body == b"who is [removed]?"


def test_what_looks_for_the_token_does_not_show_it() -> None:
    assert TOKEN not in repr(vars(translator()))


def test_a_toy_token_takes_nothing_out_of_an_answer() -> None:
    now = datetime(2026, 6, 14, tzinfo=UTC)
    assert translator(token="5").response(200, {}, b'{"a":5}', now).body == b'{"a":5}'


@pytest.mark.parametrize(
    ("remaining", "limits"),
    [
        (math.inf, (5, 30, 30, None)),
        (10, (5, 10, 10, 10)),
        (0.5, (0.5, 0.5, 0.5, 0.5)),
        (0, (0.001,) * 4),
        (-1, (0.001,) * 4),
    ],
)
def test_no_step_may_take_longer_than_is_left(remaining: float, limits: tuple[float | None, ...]) -> None:
    request = translator().request(Request("GET", "/v2/x"), remaining, None)
    timeout = request.extensions["timeout"]
    assert (timeout["connect"], timeout["read"], timeout["write"], timeout["pool"]) == limits


@pytest.mark.parametrize(("remaining", "limits"), [(math.inf, (5, 30)), (10, (5, None)), (0.5, (None, None))])
def test_what_is_bounded_as_a_whole_has_no_limits_that_come_to_the_same(
    remaining: float, limits: tuple[float | None, ...]
) -> None:
    request = translator().request(Request("GET", "/v2/x"), remaining, None, bounded=True)
    timeout = request.extensions["timeout"]
    assert (timeout["connect"], timeout["read"]) == limits
    assert (timeout["write"], timeout["pool"]) == (timeout["read"], None)


def test_limits_may_be_endless() -> None:
    endless = Timeouts(connect=math.inf, read=math.inf)
    request = translator(timeouts=endless).request(Request("GET", "/v2/x"), math.inf, None)
    assert set(request.extensions["timeout"].values()) == {None}


def test_a_response_has_lower_case_names_and_joined_values() -> None:
    now = datetime(2026, 6, 14, tzinfo=UTC)
    found = headers_of([(b"X-Request-ID", b"1"), (b"x-request-id", b"2"), (b"Retry-After", b"5")])
    response = translator().response(429, found, b"body", now)
    assert (response.status_code, response.body, response.received_at) == (429, b"body", now)
    assert response.headers == {"x-request-id": "1, 2", "retry-after": "5"}


# -- the real waits --------------------------------------------------------------------------------


def test_threads_are_neither_limited_nor_shielded() -> None:
    runtime = Runtime()
    with runtime.fail_after(0), runtime.shield(0):
        runtime.sleep(0.001)
    assert 0 <= runtime.random() < 1
    runtime.for_each(lambda item: None, [])


@pytest.mark.anyio
async def test_tasks_are_limited() -> None:
    runtime = AsyncRuntime()
    with pytest.raises(TimeoutError), runtime.fail_after(0.001):
        await runtime.sleep(10)
    steps: list[str] = []
    with anyio.move_on_after(0):
        with runtime.shield(10):
            await runtime.sleep(0.001)
            steps.append("shielded")
        await runtime.sleep(0)
        steps.append("cancelled")
    with runtime.shield(0.001):
        await runtime.sleep(10)
        steps.append("too long")
    assert steps == ["shielded"]
    assert 0 <= runtime.random() < 1


def test_headers_have_a_largest_size_together() -> None:
    header = (b"x", bytes(999))
    assert len(headers_of([header] * (messages.LARGEST_HEAD // 1000))) == 1
    with pytest.raises(RemoteProtocolError):
        headers_of([header] * (messages.LARGEST_HEAD // 1000 + 1))
