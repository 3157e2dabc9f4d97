# Generated from tests/_async/test_retries.py by `nox -s generate`: change that file, not this one.

"""What is sent again, when, and what is not: in virtual time, on scripted answers."""

from __future__ import annotations

from typing import Any, Literal

import httpx
import pytest

from smscode import (
    Answer,
    APIError,
    InternalError,
    InvalidResponseError,
    NetworkError,
    RateLimitError,
    RequestTimeoutError,
    RetryPolicy,
    ServiceUnavailableError,
    SmscodeError,
    TempBannedError,
    Timeouts,
    calls,
)
from smscode.sandbox import Sandbox

from ..concurrency import Pieces, VirtualClient
from .helpers import HTML, WHATSAPP_INDONESIA, Script, refusal, rent, still_sandbox

pytestmark = pytest.mark.anyio

Version = Literal["v1", "v2"]

BUY = calls.orders.create(catalog_product_id=WHATSAPP_INDONESIA, idempotency_key="key-1")


def scripted(
    *answers: httpx.Response | Exception, sandbox: Sandbox | None = None, **options: Any
) -> tuple[VirtualClient, Script]:
    """Make a client of a sandbox that is reached after some scripted answers."""
    sandbox = sandbox or still_sandbox()
    script = Script(answers, sandbox.transport())
    return VirtualClient(sandbox, transport=script, **options), script


NEVER_CONNECTED = [httpx.ConnectError("no"), httpx.ConnectTimeout("no"), httpx.ProxyError("no")]
FAULTS = [refusal(500, "INTERNAL_ERROR"), refusal(503, "SERVICE_UNAVAILABLE")]
BROKE_OFF = [httpx.ReadError("no"), httpx.ReadTimeout("no"), httpx.RemoteProtocolError("no")]


@pytest.mark.parametrize("failure", [*NEVER_CONNECTED, *BROKE_OFF, OSError("no"), HTML])
def test_reading_is_repeated(version: Version, failure: httpx.Response | Exception) -> None:
    client, script = scripted(failure, failure, api_version=version)
    with client:
        assert (client.send(calls.balance.get())).attempts == 3
    assert client.runtime.slept == [0.5 * 0.25, 0.5 * 0.5]
    assert len(script.requests) == 3


def test_the_pause_has_a_cap() -> None:
    failures = [httpx.ConnectError("no")] * 9
    client, _ = scripted(*failures, retry=RetryPolicy(max_attempts=10, base=1.0, cap=4.0))
    with client:
        assert (client.send(calls.balance.get())).attempts == 10
    assert client.runtime.slept == [0.5, 1, 2, 2, 2, 2, 2, 2, 2]


@pytest.mark.parametrize(("status", "code"), [(429, "RATE_LIMIT_EXCEEDED"), (429, None), (503, None)])
def test_the_wait_asked_for_is_kept(version: Version, status: int, code: str | None) -> None:
    client, _ = scripted(refusal(status, code, {"retry-after": "4"}), api_version=version)
    with client:
        assert (client.send(calls.balance.get())).attempts == 2
    (pause,) = client.runtime.slept + client.runtime.waited
    assert pause == pytest.approx(4 * 1.05)


def test_throttling_without_a_hint_is_waited_out_for_longer() -> None:
    client, _ = scripted(*[refusal(429, "RATE_LIMIT_EXCEEDED")] * 3)
    with client:
        client.balance(timeout=300)
    assert client.runtime.waited == pytest.approx([1.05, 63, 63])


def test_a_wait_beyond_the_deadline_is_not_begun(version: Version) -> None:
    client, script = scripted(refusal(429, "RATE_LIMIT_EXCEEDED", {"retry-after": "10"}), api_version=version)
    with client:
        with pytest.raises(RateLimitError) as caught:
            client.balance(timeout=10)
    assert (caught.value.retry_after, caught.value.attempts) == (10, 1)
    assert caught.value.outcome == "rejected"
    assert (client.runtime.slept, len(script.requests)) == ([], 1)


def test_a_ban_is_not_slept_on() -> None:
    client, script = scripted(refusal(429, "TEMP_BANNED_ABUSE_GUARD", {"retry-after": "1"}))
    with client:
        with pytest.raises(TempBannedError):
            client.send(BUY)
    assert (client.runtime.slept, len(script.requests)) == ([], 1)


def test_the_attempts_come_to_an_end() -> None:
    client, script = scripted(*[httpx.ConnectError("no")] * 9)
    with client:
        with pytest.raises(NetworkError) as caught:
            client.balance()
    assert (caught.value.attempts, caught.value.outcome) == (4, "not_sent")
    assert len(script.requests) == 4


@pytest.mark.parametrize("attempts", [1, 2, 5])
def test_the_policy_says_how_many_attempts(attempts: int) -> None:
    policy = RetryPolicy(max_attempts=attempts)
    client, script = scripted(*[httpx.ConnectError("no")] * 9, retry=policy)
    with client:
        with pytest.raises(NetworkError) as caught:
            client.balance()
    assert caught.value.attempts == len(script.requests) == attempts


@pytest.mark.parametrize(
    "failure",
    [*NEVER_CONNECTED, *BROKE_OFF, HTML, refusal(500, "INTERNAL_ERROR"), refusal(503, "SERVICE_UNAVAILABLE")],
)
def test_buying_is_repeated_with_the_same_key_and_bytes(
    version: Version, failure: httpx.Response | Exception
) -> None:
    sandbox = still_sandbox()
    client, script = scripted(failure, failure, sandbox=sandbox, api_version=version)
    with client:
        answer = client.send(BUY)
        assert (answer.attempts, answer.data.idempotency_key) == (3, "key-1")
        created = client.orders.create(catalog_product_id=WHATSAPP_INDONESIA)
    *first, last = script.requests
    assert {(request.headers["idempotency-key"], request.content) for request in first} == {
        ("key-1", b'{"catalog_product_id":87,"quantity":1}')
    }
    assert last.headers["idempotency-key"] == created.idempotency_key != "key-1"
    assert sandbox.balance == 1_000_000 - 2 * 15_000


def test_a_purchase_whose_answer_was_lost_is_not_made_twice(version: Version) -> None:
    sandbox = still_sandbox()

    class Lossy(Script):
        """Passes requests on, and loses the first answer."""

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            response = super().handle_request(request)
            if len(self.requests) == 1:
                raise httpx.ReadError("lost")
            return response

    lossy = Lossy([], sandbox.transport())
    with VirtualClient(sandbox, transport=lossy, api_version=version) as client:
        answer = client.send(BUY)
    assert (answer.attempts, [order.id for order in answer.data]) == (2, [1001])
    assert sandbox.balance == 985_000


def test_a_purchase_in_progress_is_asked_for_again() -> None:
    client, _ = scripted(*[refusal(409, "REQUEST_IN_PROGRESS")] * 5)
    with client:
        assert (client.send(BUY)).attempts == 6
    assert client.runtime.slept == pytest.approx([1.05] * 5)


@pytest.mark.parametrize("failure", [*BROKE_OFF, HTML, FAULTS[0]])
def test_a_resend_that_may_have_been_done_is_not_done_again(
    failure: httpx.Response | Exception,
) -> None:
    client, script = scripted(failure)
    with client:
        with pytest.raises((NetworkError, InvalidResponseError, InternalError)) as caught:
            client.orders.resend(1001)
    assert (caught.value.outcome, caught.value.attempts) == ("unknown", 1)
    assert (client.runtime.slept, len(script.requests)) == ([], 1)


@pytest.mark.parametrize("failure", NEVER_CONNECTED)
def test_what_never_left_is_sent_again(version: Version, failure: Exception) -> None:
    sandbox = still_sandbox()
    client, script = scripted(sandbox=sandbox, api_version=version)
    with client:
        order_id = rent(client)
        sandbox.advance(2)
    client, script = scripted(failure, sandbox=sandbox, api_version=version)
    with client:
        answer: Answer[Any] = client.send(calls.orders.finish(order_id))
    assert (answer.attempts, len(script.requests)) == (2, 2)


def test_a_webhook_test_is_made_once() -> None:
    client, script = scripted(httpx.ConnectError("no"))
    with client:
        with pytest.raises(NetworkError):
            client.webhook.test()
    assert len(script.requests) == 1


@pytest.mark.parametrize("status", [400, 404, 409, 422])
def test_a_refusal_is_final(status: int) -> None:
    client, script = scripted(refusal(status, "SOMETHING"))
    with client:
        with pytest.raises(APIError) as caught:
            client.send(BUY)
    assert (caught.value.status_code, len(script.requests)) == (status, 1)


def test_doubt_about_an_early_attempt_stays() -> None:
    client, _ = scripted(httpx.ReadError("no"), refusal(403, "FORBIDDEN"))
    with client:
        with pytest.raises(APIError) as caught:
            client.send(BUY)
    assert (caught.value.code, caught.value.outcome, caught.value.attempts) == ("FORBIDDEN", "unknown", 2)


def test_what_cannot_be_sent_is_not_tried_again() -> None:
    client, script = scripted(httpx.UnsupportedProtocol("no"))
    with client:
        with pytest.raises(NetworkError, match="cannot be sent") as caught:
            client.balance()
    assert (caught.value.outcome, len(script.requests)) == ("not_sent", 1)


# -- time limits -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "asked", "total"),
    [
        ({}, None, 30.0),
        ({"timeout": 7}, None, 7.0),
        ({"timeout": Timeouts(total=3.0)}, None, 3.0),
        ({"timeout": 7}, 2, 2.0),
        ({"timeout": None}, 2, 2.0),
    ],
)
def test_a_call_has_one_limit_for_all_its_attempts(
    options: dict[str, Any], asked: float | None, total: float
) -> None:
    many = RetryPolicy(max_attempts=50, base=2.0, cap=2.0)
    client, script = scripted(*[refusal(503)] * 50, retry=many, **options)
    with client:
        with pytest.raises(SmscodeError) as caught:
            client.balance(timeout=asked)
    # Pauses of a second each: the last one that would pass the limit is not begun.
    assert len(client.runtime.slept) == total - 1
    assert caught.value.attempts == len(script.requests) == total


def test_buying_has_a_limit_of_its_own() -> None:
    many = RetryPolicy(max_attempts=50, base=20.0, cap=20.0)
    client, _ = scripted(*[refusal(503, "SERVICE_UNAVAILABLE")] * 50, retry=many)
    with client:
        with pytest.raises(ServiceUnavailableError):
            client.send(BUY)
        assert sum(client.runtime.slept) == 80
        with pytest.raises(ServiceUnavailableError):
            client.send(BUY, timeout=15)
        assert sum(client.runtime.slept) == 90


def test_an_attempt_gets_what_is_left_of_the_time() -> None:
    steady = RetryPolicy(base=4.0, cap=4.0)
    timeouts = Timeouts(total=5, create=5, connect=2, read=4)
    client, script = scripted(refusal(503), retry=steady, timeout=timeouts)
    with client:
        client.balance()
    allowed = [request.extensions["timeout"] for request in script.requests]
    assert allowed == [
        {"connect": 2, "read": 4, "write": 4, "pool": 5},
        {"connect": 2, "read": 3, "write": 3, "pool": 3},
    ]


def test_without_a_limit_only_connecting_and_reading_have_one() -> None:
    client, script = scripted(timeout=None)
    with client:
        client.balance()
    assert script.requests[0].extensions["timeout"] == {"connect": 5, "read": 30, "write": 30, "pool": None}


def test_an_answer_after_the_deadline_is_late() -> None:
    client, script = scripted()
    stream = Pieces(b'{"success":', b"true}", between=lambda: client.runtime.pass_by(3))
    script.add(httpx.Response(200, stream=stream))
    with client:
        with pytest.raises(RequestTimeoutError, match="No answer in time") as caught:
            client.balance(timeout=5)
    assert (caught.value.outcome, caught.value.attempts) == ("unknown", 1)
    assert isinstance(caught.value, TimeoutError)
    assert stream.closed
