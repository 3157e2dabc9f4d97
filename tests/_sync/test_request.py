# Generated from tests/_async/test_request.py by `nox -s generate`: change that file, not this one.

"""`client.request`, and what an answer says about its response."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import httpx
import pytest
from attrs import evolve

from smscode import APIError, InvalidArgumentError, InvalidResponseError, NotFoundError, calls
from smscode.events import CallEnded, ClientEvent
from tests.concurrency import VirtualClient

from .helpers import HTML, Script, refusal, still_sandbox, success

pytestmark = pytest.mark.anyio
TOKEN = "token-of-a-test"


def scripted(script: Script, **options: Any) -> VirtualClient:
    return VirtualClient(still_sandbox(token=TOKEN), transport=script, **options)


def test_an_endpoint_without_a_method_can_be_used() -> None:
    script = Script([success([{"text": "hi", "price": 0.5}])])
    told: list[ClientEvent] = []
    with scripted(script, on_event=told.append) as client:
        answer = client.request(
            "POST", "/orders/1001/messages", params={"limit": 2}, json={"a": 1}, timeout=7
        )
    (sent,) = script.requests
    assert (sent.method, sent.url.raw_path) == ("POST", b"/v2/orders/1001/messages?limit=2")
    assert (sent.content, sent.extensions["timeout"]["pool"]) == (b'{"a":1}', 7)
    assert answer.data == [{"text": "hi", "price": Decimal("0.5")}]
    assert (answer.status_code, answer.attempts) == (200, 1)
    assert {event.path for event in told} == {"/v2/orders/{id}/messages"}
    assert isinstance(told[-1], CallEnded)


def test_a_read_is_repeated_and_nothing_else() -> None:
    script = Script([HTML, success({}), HTML, success({})])
    with scripted(script) as client:
        assert (client.request("GET", "/new")).attempts == 2
        with pytest.raises(InvalidResponseError) as caught:
            client.request("POST", "/new")
    assert (caught.value.outcome, caught.value.attempts) == ("unknown", 1)
    assert len(script.requests) == 3


def test_a_refusal_in_the_services_own_envelope_is_one() -> None:
    with scripted(Script([refusal(404, "NOT_FOUND")])) as client:
        with pytest.raises(NotFoundError) as caught:
            client.request("DELETE", "/orders/7")
    assert caught.value.outcome == "rejected"


def test_an_answer_without_a_body_or_data_has_none() -> None:
    answers = [httpx.Response(204), httpx.Response(200, headers={"etag": "x"}), httpx.Response(200)]
    with scripted(Script([*answers, httpx.Response(200, json={"success": True})])) as client:
        gone = client.request("DELETE", "/webhook")
        assert (gone.data, gone.raw, gone.status_code) == (None, None, 204)
        head = client.request("HEAD", "/webhook")
        assert (head.data, head.raw, head.headers["etag"]) == (None, None, "x")
        with pytest.raises(InvalidResponseError, match="got an empty body"):
            client.request("PUT", "/webhook")
        assert (client.request("PUT", "/webhook")).data is None


def test_the_error_of_a_head_is_told_by_its_status() -> None:
    with scripted(Script([httpx.Response(404)])) as client:
        with pytest.raises(APIError) as caught:
            client.request("HEAD", "/new")
    assert (caught.value.status_code, caught.value.code) == (404, None)


def test_nothing_is_sent_by_hand_that_may_not_be() -> None:
    script = Script([])
    with scripted(script) as client:
        with pytest.raises(InvalidArgumentError, match=r"client\.orders\.create"):
            client.request("POST", "/orders/create", json={"product_id": 1})
    assert script.requests == []


def test_an_answer_has_its_headers_and_its_body_as_it_came() -> None:
    money = {"amount": "1.5", "currency": "USD", "canonical_amount": 1, "canonical_currency": "IDR"}
    body: dict[str, Any] = {"balance": money}
    headers = {"X-New": "yes", "set-cookie": "session=1", "X-Echo": f"Bearer {TOKEN}"}
    response = httpx.Response(200, headers=headers, json={"success": True, "data": body | {"bonus": 2.5}})
    with scripted(Script([response])) as client:
        answer = client.send(calls.balance.get())
    assert answer.raw == {"success": True, "data": body | {"bonus": Decimal("2.5")}}
    assert (answer.headers["x-new"], answer.headers["x-echo"]) == ("yes", "Bearer [removed]")
    assert "set-cookie" not in answer.headers
    assert "bonus" not in repr(answer)
    assert hash(answer) == hash(evolve(answer, headers={}))


def test_the_answer_to_a_cancel_that_was_lost_is_that_of_the_order_that_was_read() -> None:
    sandbox = still_sandbox(otp_after=None)
    with VirtualClient(sandbox) as client:
        (order,) = client.orders.create(catalog_product_id=88)
        sandbox.advance(130)
        client.orders.cancel(order.id)
        read = (client.send(calls.orders.get(order.id))).raw
    lost = Script([httpx.ReadError("broke")], sandbox.transport())
    with VirtualClient(sandbox, transport=lost) as client:
        answer = client.send(calls.orders.cancel(order.id))
    assert (answer.data.order_id, answer.raw) == (order.id, read)
