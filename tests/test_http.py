"""The seam to HTTP: what exceptions mean, what a request holds, which proxy is taken."""

from __future__ import annotations

import math
import ssl
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Literal

import anyio
import httpx
import pytest

from smscode import NetworkError, RequestTimeoutError, Timeouts
from smscode._concurrency import AsyncRuntime, Runtime
from smscode._http import (
    BROKEN,
    Progress,
    RequestFactory,
    environment_proxy,
    response_of,
    ssl_context,
)
from smscode.core.inflate import BodyError
from smscode.core.settings import Settings
from smscode.core.wire import Request

KIND = Literal["not_sent", "ambiguous", "local", "unreadable"]
SEND = {"request": SimpleNamespace(method=b"POST")}


def begun(*events: str, method: bytes = b"POST") -> Progress:
    progress = Progress()
    for event in events:
        progress.note(event, {"request": SimpleNamespace(method=method)})
    return progress


# -- failures --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "kind", "timed_out"),
    [
        (httpx.ConnectError("x"), "not_sent", False),
        (httpx.ConnectTimeout("x"), "not_sent", True),
        (httpx.PoolTimeout("x"), "not_sent", True),
        (httpx.ProxyError("x"), "not_sent", False),
        (httpx.ReadError("x"), "ambiguous", False),
        (httpx.WriteError("x"), "ambiguous", False),
        (httpx.ReadTimeout("x"), "ambiguous", True),
        (httpx.WriteTimeout("x"), "ambiguous", True),
        (httpx.RemoteProtocolError("x"), "ambiguous", False),
        (TimeoutError(), "ambiguous", True),
        (OSError("x"), "ambiguous", False),
        (anyio.BrokenResourceError(), "ambiguous", False),
        (anyio.ClosedResourceError(), "ambiguous", False),
        (anyio.EndOfStream(), "ambiguous", False),
        (httpx.LocalProtocolError("x"), "local", False),
        (httpx.UnsupportedProtocol("x"), "local", False),
        (httpx.InvalidURL("x"), "local", False),
        (UnicodeEncodeError("ascii", "ä", 0, 1, "x"), "local", False),
        (BodyError("the answer is too large"), "unreadable", False),
        (BodyError("the answer is cut", truncated=True), "ambiguous", False),
    ],
)
def test_without_events_the_exception_decides(error: Exception, kind: KIND, timed_out: bool) -> None:
    assert isinstance(error, BROKEN)
    failure = Progress().failure(error)
    assert (failure.kind, failure.timed_out) == (kind, timed_out)
    made = failure.error()
    assert isinstance(made, RequestTimeoutError) is timed_out
    assert made.outcome == ("unknown" if kind in ("ambiguous", "unreadable") else "not_sent")


@pytest.mark.parametrize(
    "error", [httpx.ReadError("x"), OSError("x"), TimeoutError(), httpx.ReadTimeout("x")]
)
def test_before_the_first_byte_nothing_was_sent(error: Exception) -> None:
    failure = begun("connection.connect_tcp.started", "connection.connect_tcp.complete").failure(error)
    assert failure.kind == "not_sent"
    assert failure.reason.startswith("No connection")


@pytest.mark.parametrize("error", [httpx.ConnectError("x"), httpx.PoolTimeout("x"), OSError("x")])
def test_after_the_first_byte_it_may_have_arrived(error: Exception) -> None:
    failure = begun("connection.connect_tcp.complete", "http11.send_request_headers.started").failure(error)
    assert failure.kind == "ambiguous"
    assert failure.reason.startswith("No answer")


def test_what_a_proxy_is_sent_is_not_the_request() -> None:
    progress = begun("http11.send_request_headers.started", method=b"CONNECT")
    assert progress.failure(OSError("x")).kind == "not_sent"
    progress.note("http11.send_request_headers.started", SEND)
    assert progress.failure(OSError("x")).kind == "ambiguous"


def test_an_event_about_no_request_is_taken_as_the_first_byte() -> None:
    progress = Progress()
    progress.note("http11.send_request_headers.started", {})
    assert progress.failure(OSError("x")).kind == "ambiguous"


@pytest.mark.parametrize("sent", [True, False])
def test_a_certificate_is_found_among_the_causes(sent: bool) -> None:
    progress = begun("http11.send_request_headers.started") if sent else Progress()
    direct = ssl.SSLCertVerificationError("x")
    caused, during = httpx.ConnectError("x"), httpx.ConnectError("x")
    caused.__cause__ = direct
    during.__context__ = caused
    for error in (direct, caused, during):
        failure = progress.failure(error)
        assert (failure.kind, failure.cause) == ("local", error)


def test_causes_that_go_in_a_circle_come_to_an_end() -> None:
    first, second = httpx.ReadError("a"), httpx.ReadError("b")
    first.__cause__, second.__cause__ = second, first
    assert Progress().failure(first).kind == "ambiguous"


def test_what_quotes_the_headers_is_no_cause() -> None:
    failure = Progress().failure(httpx.LocalProtocolError("Bearer canary"))
    error = failure.error()
    assert isinstance(error, NetworkError)
    assert error.__cause__ is None
    assert "canary" not in f"{failure!r} {error}"


def test_a_reason_is_a_sentence() -> None:
    assert Progress().failure(BodyError("the answer is cut")).reason == "The answer is cut."
    assert Progress().failure(httpx.ReadError("x")).reason == "No answer came (ReadError)."
    assert Progress().failure(httpx.ReadTimeout("x")).reason == "No answer in time (ReadTimeout)."


# -- requests and responses ------------------------------------------------------------------------


def factory(base_url: str = "https://host/api", timeouts: Timeouts = Timeouts()) -> RequestFactory:
    return RequestFactory(Settings.resolve("secret", base_url, "v2", {}), timeouts)


def test_a_request_is_complete() -> None:
    wire = Request("POST", "/v2/x", (("a", "1 2"), ("b", "ü")), (("idempotency-key", "k"),), b"{}")
    trace = object()
    request = factory().make(wire, 10, trace)
    assert (request.method, str(request.url)) == ("POST", "https://host/api/v2/x?a=1+2&b=%C3%BC")
    assert request.content == b"{}"
    assert request.headers["authorization"] == "Bearer secret"
    assert request.headers["idempotency-key"] == "k"
    assert request.extensions["trace"] is trace
    assert "secret" not in repr(request.headers)


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
    request = factory().make(Request("GET", "/v2/x"), remaining, None)
    timeout = request.extensions["timeout"]
    assert (timeout["connect"], timeout["read"], timeout["write"], timeout["pool"]) == limits


def test_limits_may_be_endless() -> None:
    endless = Timeouts(connect=math.inf, read=math.inf)
    request = factory(timeouts=endless).make(Request("GET", "/v2/x"), math.inf, None)
    assert set(request.extensions["timeout"].values()) == {None}


def test_a_response_has_lower_case_names_and_joined_values() -> None:
    now = datetime(2026, 6, 14, tzinfo=UTC)
    headers = [("X-Request-ID", "1"), ("x-request-id", "2"), ("Retry-After", "5")]
    response = response_of(httpx.Response(429, headers=headers), b"body", now)
    assert (response.status_code, response.body, response.received_at) == (429, b"body", now)
    assert response.headers == {"x-request-id": "1, 2", "retry-after": "5"}


# -- the way there ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "base_url", "proxy"),
    [
        ({}, "https://api.smscode.gg", None),
        ({"https_proxy": "http://p:1"}, "https://api.smscode.gg", "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1"}, "https://api.smscode.gg", "http://p:1"),
        ({"http_proxy": "http://p:1"}, "https://api.smscode.gg", None),
        ({"http_proxy": "http://p:1"}, "http://localhost:8080", "http://p:1"),
        ({"all_proxy": "http://p:2"}, "https://api.smscode.gg", "http://p:2"),
        ({"https_proxy": "http://p:1", "all_proxy": "http://p:2"}, "https://api.smscode.gg", "http://p:1"),
        ({"https_proxy": "http://p:1", "no_proxy": "smscode.gg"}, "https://api.smscode.gg", None),
        ({"https_proxy": "http://p:1", "NO_PROXY": "*"}, "https://api.smscode.gg", None),
        ({"https_proxy": "http://p:1", "no_proxy": "example.net"}, "https://api.smscode.gg", "http://p:1"),
        ({"http_proxy": "http://p:1", "no_proxy": "127.0.0.1"}, "http://127.0.0.1:8080", None),
        ({"https_proxy": "p:1"}, "https://api.smscode.gg", "http://p:1"),
        ({"https_proxy": "http://p:1"}, "", None),
    ],
)
def test_the_environment_names_the_proxy(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], base_url: str, proxy: str | None
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert environment_proxy(base_url) == proxy


def test_certificates_are_verified() -> None:
    context = ssl_context("https://api.smscode.gg")
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.get_ca_certs()
    plain = ssl_context("http://127.0.0.1")
    assert (plain.verify_mode, plain.get_ca_certs()) == (ssl.CERT_REQUIRED, [])


# -- the real waits --------------------------------------------------------------------------------


def test_threads_are_neither_limited_nor_shielded() -> None:
    runtime = Runtime()
    with runtime.limit(0), runtime.shield(0):
        runtime.sleep(0.001)
    assert 0 <= runtime.chance() < 1
    runtime.for_each(lambda item: None, [])


@pytest.mark.anyio
async def test_tasks_are_limited() -> None:
    runtime = AsyncRuntime()
    with pytest.raises(TimeoutError), runtime.limit(0.001):
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
    assert 0 <= runtime.chance() < 1
