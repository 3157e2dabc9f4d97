"""What an error reporter that prints local variables gets to see, and what of an answer may be passed on."""

from __future__ import annotations

import json
import logging
import pickle
import traceback
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from smscode import Client, RetryPolicy, SmscodeError, webhooks
from smscode.receiver import WebhookReceiver

from .concurrency import raw_server

PHONE, CODE, TOKEN = "6281299998888", "918273", "CANARYTOKEN-7788"
ONCE = RetryPolicy(max_attempts=1)
MONEY = {"amount": "0.9231", "currency": "USD", "canonical_amount": 15_000, "canonical_currency": "IDR"}
ORDER: dict[str, Any] = {
    "id": 1001,
    "status": "OTP_RECEIVED",
    "created_at": None,
    "product_id": 1,
    "amount": MONEY,
    "phone_number": f"+{PHONE}",
    "otp_code": CODE,
    "otp_message": f"code {CODE}",
    "sms_revision": 1,
    "otp_received_at": None,
    "expires_at": None,
    "canceled_at": None,
    "failed_reason": None,
}


def shown(error: BaseException | None) -> list[str]:
    """Return the places in this package whose variables show a phone number or a code, of all causes."""
    found: list[str] = []
    left, seen = [error], set[int]()
    while left:
        error = left.pop()
        if error is None or id(error) in seen:
            continue
        seen.add(id(error))
        left += [error.__cause__, error.__context__]
        for frame in traceback.TracebackException.from_exception(error, capture_locals=True).stack:
            texts = f"{frame.locals} {error} {error!r}"
            if "/smscode/" in frame.filename and (PHONE in texts or CODE in texts):
                found.append(f"{frame.filename}:{frame.lineno}")
    return found


def answering(body: object, headers: dict[str, str] | None = None, status: int = 200) -> Client:
    """Return a client whose every request is answered with this."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    transport = httpx.MockTransport(lambda request: httpx.Response(status, headers=headers, content=content))
    return Client(TOKEN, transport=transport, retry=ONCE)


def envelope(data: object, **more: object) -> dict[str, object]:
    return {"success": True, "data": data, "meta": {"page": 1, "limit": 10, "count": 1}, **more}


CALLS: dict[str, Callable[[Client], object]] = {
    "get": lambda client: client.orders.get(1001),
    "create": lambda client: client.orders.create(catalog_product_id=87),
    "cancel": lambda client: client.orders.cancel(1001),
    "finish": lambda client: client.orders.finish(1001),
    "resend": lambda client: client.orders.resend(1001),
    "list": lambda client: client.orders.list(),
    "webhook": lambda client: client.webhook.get(),
}
BODIES: dict[str, object] = {
    "a wrong type": envelope({**ORDER, "created_at": 17}),
    "a missing field": envelope({name: value for name, value in ORDER.items() if name != "status"}),
    "another order": envelope({**ORDER, "id": 1002, "order_id": 1002}),
    "no object": envelope([ORDER, PHONE, CODE]),
    "text": envelope(f"{PHONE} {CODE}"),
    "rows": envelope({"orders": [{**ORDER, "id": "x"}], "failed_count": 0}),
    "no data": {"success": True, "phone_number": PHONE, "otp_code": CODE},
    "no success": {"data": ORDER},
    "success of no kind": {"success": PHONE, "data": ORDER},
    "cut off": json.dumps(envelope(ORDER)).encode()[:-3],
    "no JSON": f"<html>{PHONE} {CODE}".encode(),
    "twice the same field": f'{{"success":true,"data":{{"id":1,"id":"{PHONE} {CODE}"}}}}'.encode(),
}


READ_ANYWAY = {("list", "no object")}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("body", BODIES)
def test_the_frames_of_an_answer_that_cannot_be_read_hold_nothing_of_it(call: str, body: str) -> None:
    failure: SmscodeError | None = None
    with answering(BODIES[body]) as client:
        try:
            CALLS[call](client)
        except SmscodeError as error:
            failure = error
    assert (failure is None) == ((call, body) in READ_ANYWAY)
    assert shown(failure) == []


def test_a_refusal_s_frames_hold_nothing_of_its_body_either() -> None:
    error = {"code": "CONFLICT", "message": "no", "more": f"{PHONE} {CODE}"}
    with answering({"success": False, "error": error}, status=409) as client:
        with pytest.raises(SmscodeError) as caught:
            client.orders.resend(1001)
    assert shown(caught.value) == []


@pytest.mark.parametrize("body", [b"{", b'{"event":1,"data":"%b %b"}', b'["%b %b"]'])
def test_the_frames_of_a_webhook_that_cannot_be_read_hold_nothing_of_it(body: bytes) -> None:
    delivery = body % (PHONE.encode(), CODE.encode()) if b"%b" in body else body + PHONE.encode()
    signature = webhooks.sign(delivery, "a-secret")
    calls: list[Callable[[], object]] = [
        lambda: webhooks.parse(delivery),
        lambda: webhooks.receive(delivery, signature, "a-secret"),
        lambda: webhooks.receive(delivery, "sha256=00", "a-secret"),
        lambda: webhooks.verify(delivery, None, "a-secret"),
    ]
    for call in calls:
        with pytest.raises(SmscodeError) as caught:
            call()
        assert shown(caught.value) == []
    receiver = WebhookReceiver("a-secret")
    for given in (signature, "sha256=00"):
        answer = receiver.receive([(webhooks.SIGNATURE_HEADER, given)], delivery)
        assert answer.error is not None
        assert shown(answer.error) == []


ECHOES = ["x-request-id", "content-type", "retry-after", "date", "location", "server", f"x-{TOKEN}"]


@pytest.mark.parametrize("name", ECHOES)
@pytest.mark.parametrize("status", [200, 301, 409, 429, 502])
def test_a_token_that_is_echoed_in_a_header_is_passed_on_nowhere(
    name: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "smscode"):
        with answering(b"<html>", {name: f"for {TOKEN}"}, status) as client:
            with pytest.raises(SmscodeError) as caught:
                client.balance()
    error = caught.value
    seen = f"{error} {error!r} {vars(error)} {pickle.dumps(error)!r} {caplog.text}"
    assert TOKEN not in seen
    assert TOKEN.lower() not in seen


def test_a_request_id_keeps_what_is_not_the_token() -> None:
    with answering(b"<html>", {"x-request-id": f"for-{TOKEN}-1"}, 502) as client:
        with pytest.raises(SmscodeError) as caught:
            client.balance()
    assert caught.value.request_id == "for-[removed]-1"


def test_a_server_that_echoes_the_token_outside_of_http_is_not_quoted() -> None:
    with raw_server(lambda connection, request: (f"NONSENSE {TOKEN}\r\n\r\n".encode(), True)) as server:
        with Client(TOKEN, base_url=server.url, retry=ONCE) as client:
            with pytest.raises(SmscodeError) as caught:
                client.balance()
    error: BaseException | None = caught.value
    count = 0
    while error is not None:
        assert TOKEN not in f"{error} {error!r}"
        error, count = error.__cause__ or error.__context__, count + 1
    assert count >= 2, "what went wrong is said, without what was sent"
