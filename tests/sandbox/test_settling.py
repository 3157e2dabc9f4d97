"""Purchases that take a while: keys in use, answers that wait, callers that do not."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from smscode.sandbox import Behaviour, Message, Sandbox
from smscode.sandbox.http.api_error import Problem
from smscode.sandbox.http.waiting import AnswerTimeout, complete

from .harness import START, URL, Api, refusal

SLOW = Behaviour(takes=5.0)
IMPATIENT = httpx.Timeout(5.0, read=0.01)


@pytest.fixture
def slow(version: str) -> Api:
    api = Api(version)
    api.sandbox.set_behaviour(SLOW)
    return api


def give_up(api: Api, path: str = "/orders/create", key: str | None = "k", **fields: Any) -> None:
    """Send a purchase and do not wait for its answer."""
    headers = {} if key is None else {"Idempotency-Key": key}
    with pytest.raises(httpx.ReadTimeout):
        api.send("POST", path, json=fields or {"product_id": 142}, headers=headers, timeout=IMPATIENT)


def test_a_key_is_in_use_until_its_purchase_has_settled(slow: Api) -> None:
    give_up(slow)
    assert slow.refused("POST", "/orders/create", "k", product_id=142)[:2] == (409, "REQUEST_IN_PROGRESS")
    assert slow.refused("POST", "/orders/create", "k", product_id=143)[1] == "IDEMPOTENCY_KEY_REUSED"
    assert slow.sandbox.balance == 1_000_000
    slow.sandbox.advance(5)
    result = slow.post("/orders/create", "k", product_id=142)
    assert result["failed_count"] == 0
    order = slow.order(result["orders"][0]["id"])
    assert order["created_at"] == (START + timedelta(seconds=5)).isoformat()
    assert slow.sandbox.balance == 985_000


def test_a_purchase_without_a_key_is_made_although_nobody_waits_for_it(slow: Api) -> None:
    give_up(slow, key=None)
    slow.sandbox.advance(5)
    assert len(slow.get("/orders")) == 1


def test_the_answer_comes_when_the_time_has(slow: Api) -> None:
    answers: list[Any] = []
    asking = threading.Thread(target=lambda: answers.append(slow.post("/orders/create", product_id=142)))
    asking.start()
    while not slow.sandbox.requests:
        asking.join(0.001)
    assert answers == []
    slow.sandbox.advance(5)
    asking.join(10)
    assert [order["status"] for order in answers[0]["orders"]] == ["ACTIVE"]


@pytest.mark.anyio
async def test_an_event_loop_goes_on_meanwhile() -> None:
    sandbox = Sandbox(clock=lambda: START, deliver=lambda _: 200)
    sandbox.set_behaviour(SLOW)
    headers = {"authorization": f"Bearer {sandbox.token}", "idempotency-key": "k"}
    options: dict[str, Any] = {"base_url": "http://sandbox", "headers": headers}
    statuses: list[int] = []
    async with httpx.AsyncClient(transport=sandbox.transport(), **options) as http:
        with pytest.raises(httpx.ReadTimeout):
            await http.post("/v1/orders/create", json={"product_id": 142}, timeout=IMPATIENT)

        async def buy() -> None:
            answer = await http.post(
                "/v1/orders/create", json={"product_id": 143}, headers={"idempotency-key": "l"}
            )
            statuses.append(answer.status_code)

        async with anyio.create_task_group() as group:
            group.start_soon(buy)
            while sandbox.requests.total() < 2:
                await anyio.lowlevel.checkpoint()
            again = await http.post("/v1/orders/create", json={"product_id": 142})
            assert again.json()["error"]["code"] == "REQUEST_IN_PROGRESS"
            sandbox.advance(5)
    assert statuses == [200]


def test_a_purchase_settles_in_real_time_too() -> None:
    api = Api(clock=None)
    api.sandbox.set_behaviour(Behaviour(takes=0.02))
    assert api.rent()


def test_what_has_no_effect_is_refused_at_once(version: str) -> None:
    api = Api(version, balance=20_000)
    api.sandbox.set_behaviour(SLOW)
    assert api.refused("POST", "/orders/create", "k", product_id=9999)[1] == "NOT_FOUND"
    assert api.refused("POST", "/orders/create", "k", catalog_product_id=9999)[1] == "NO_OFFER_AVAILABLE"
    answer = api.refused("POST", "/orders/create", "k", product_id=142, quantity=2)
    assert answer[1] == "INSUFFICIENT_BALANCE"
    give_up(api)


def test_a_purchase_may_fail_when_it_settles(version: str) -> None:
    api = Api(version, balance=20_000)
    api.sandbox.set_behaviour(SLOW)
    give_up(api, key="a")
    give_up(api, key="b")
    api.sandbox.advance(5)
    assert api.post("/orders/create", "a", product_id=142)
    # The money was gone by then, which had no effect: the key is free again.
    assert api.refused("POST", "/orders/create", "b", product_id=142)[1] == "INSUFFICIENT_BALANCE"


def test_a_suppliers_refusal_is_recorded_when_it_settles(slow: Api) -> None:
    problem = Problem("PROVIDER_ERROR", "No", 422, {"attempts": ["provider_error"]})
    slow.sandbox.set_behaviour(Behaviour(takes=5.0, problem=problem))
    give_up(slow)
    slow.sandbox.advance(5)
    slow.sandbox.set_behaviour(Behaviour())
    refused = (422, "PROVIDER_ERROR", {"attempts": ["provider_error"]})
    assert slow.refused("POST", "/orders/create", "k", product_id=142) == refused


def test_a_waiting_caller_is_told_of_a_refusal(slow: Api) -> None:
    problem = Problem("PROVIDER_ERROR", "No", 422)
    slow.sandbox.set_behaviour(Behaviour(takes=0.001, problem=problem))
    app = slow.sandbox.transport().app
    headers = {"authorization": f"Bearer {slow.sandbox.token}"}
    exchange = app.begin("POST", f"/{slow.version}/orders/create", headers, b'{"product_id":142}')
    with pytest.raises(AnswerTimeout):
        complete(app, exchange, timeout=0)
    slow.sandbox.advance(1)
    assert b"PROVIDER_ERROR" in complete(app, exchange, timeout=0).body


def test_a_number_is_rented_again_once_at_a_time(slow: Api) -> None:
    slow.sandbox.set_behaviour(Behaviour())
    (parent,) = slow.rent()
    slow.sandbox.deliver_sms(parent)
    slow.post("/orders/finish", id=parent)
    slow.sandbox.set_behaviour(SLOW)
    give_up(slow, "/orders/reactivate", id=parent)
    assert slow.refused("POST", "/orders/reactivate", "other", id=parent)[:2] == (409, "CONFLICT")
    assert slow.refused("POST", "/orders/reactivate", "k", id=parent)[1] == "REQUEST_IN_PROGRESS"
    slow.sandbox.advance(5)
    assert len(slow.post("/orders/reactivate", "k", id=parent)["orders"]) == 1


def test_an_answer_shows_the_order_as_it_was_bought() -> None:
    api = Api("v1")
    api.patch("/webhook", webhook_url=URL)
    api.sandbox.set_behaviour(Behaviour(takes=5.0, messages=(Message(1.0),)))
    give_up(api)
    api.sandbox.advance(5)
    fresh = api.post("/orders/create", "k", product_id=142)
    api.sandbox.advance(300)
    assert api.get("/orders/active")[0]["sms_revision"] == 1
    again = api.post("/orders/create", "k", product_id=142)
    assert again == fresh
    assert again["orders"][0]["cancel_available_at"] == (START + timedelta(seconds=125)).isoformat()
    api.sandbox.advance(5000)
    assert api.post("/orders/create", "k", product_id=142) == fresh


def test_a_server_waits_without_blocking_others() -> None:
    pytest.importorskip("uvicorn")
    sandbox = Sandbox()
    sandbox.set_behaviour(SLOW)
    headers = {"authorization": f"Bearer {sandbox.token}", "idempotency-key": "k"}
    statuses: list[int] = []
    with sandbox.serve() as server, httpx.Client(base_url=server.url, headers=headers) as http:

        def buy() -> None:
            statuses.append(http.post("/v1/orders/create", json={"product_id": 142}).status_code)

        buying = threading.Thread(target=buy)
        buying.start()
        while not sandbox.requests:
            buying.join(0.001)
        answer = http.post("/v1/orders/create", json={"product_id": 142})
        assert refusal(answer)[:2] == (409, "REQUEST_IN_PROGRESS")
        sandbox.advance(5)
        buying.join(10)
    assert statuses == [200]


# -- webhooks do not wait for the answer -----------------------------------------------------


@pytest.mark.parametrize("flavour", ["sync", "async"])
def test_webhooks_go_out_although_nobody_waits_for_the_answer(flavour: str) -> None:
    moments = [START]
    sandbox = Sandbox(clock=lambda: moments[-1], deliver=lambda _: 204, otp_after=1)
    asking: dict[str, Any] = {
        "base_url": "http://sandbox/v1",
        "headers": {"authorization": f"Bearer {sandbox.token}"},
        "transport": sandbox.transport(),
    }

    async def buy_and_give_up() -> None:
        async with httpx.AsyncClient(**asking) as http:
            with pytest.raises(httpx.ReadTimeout):
                await http.post("/orders/create", json={"product_id": 142}, timeout=IMPATIENT)

    with httpx.Client(**asking) as http:
        http.patch("/webhook", json={"webhook_url": URL})
        http.post("/orders/create", json={"product_id": 142})
        sandbox.set_behaviour(SLOW)
        moments.append(START + timedelta(seconds=1))
        if flavour == "async":
            anyio.run(buy_and_give_up)
        else:
            with pytest.raises(httpx.ReadTimeout):
                http.post("/orders/create", json={"product_id": 142}, timeout=IMPATIENT)
    assert [delivery.event for delivery in sandbox.deliveries] == ["order.otp_received"]
