"""Webhooks that fail are sent again; none of them has to arrive in order."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .harness import URL, Api


def sent(api: Api) -> list[tuple[int, int | None]]:
    """Return the attempt and the status of each delivery."""
    return [(delivery.attempt, delivery.status) for delivery in api.sandbox.deliveries]


def told(answer: int = 500, **options: Any) -> tuple[Api, int]:
    """Return a service with a webhook and an order."""
    api = Api(answer=answer, otp_after=None, **options)
    api.patch("/webhook", webhook_url=URL)
    (order_id,) = api.rent()
    return api, order_id


def test_a_failed_webhook_is_sent_again_ever_later() -> None:
    api, order_id = told()
    api.sandbox.deliver_sms(order_id)
    for pause in (2, 8, 32, 128):
        api.sandbox.advance(pause - 0.5)
        before = len(sent(api))
        api.sandbox.advance(0.5)
        assert len(sent(api)) == before + 1
    assert sent(api) == [(number, 500) for number in range(1, 6)]
    assert len({delivery.body for delivery in api.sandbox.deliveries}) == 1
    api.sandbox.advance(1000)
    assert len(sent(api)) == 5
    assert api.get("/webhook")["webhook_consecutive_failures"] == 5


def test_an_attempt_that_arrives_is_the_last() -> None:
    api, order_id = told()
    api.sandbox.deliver_sms(order_id)
    api.answer = 200
    api.sandbox.advance(2)
    api.sandbox.advance(300)
    assert sent(api) == [(1, 500), (2, 200)]
    assert api.get("/webhook")["webhook_consecutive_failures"] == 0


def test_a_later_event_may_arrive_before_an_earlier_one() -> None:
    api, order_id = told()
    api.sandbox.deliver_sms(order_id, code="1")
    api.answer = 200
    api.sandbox.deliver_sms(order_id, code="2")
    api.sandbox.advance(2)
    arrived = [json.loads(d.body)["data"]["sms_revision"] for d in api.sandbox.deliveries if d.delivered]
    assert arrived == [2, 1]


@pytest.mark.parametrize("change", [{"webhook_url": URL + "/new"}, {"webhook_url": ""}])
def test_what_was_meant_for_another_url_is_not_sent_again(change: dict[str, str]) -> None:
    api, order_id = told()
    api.sandbox.deliver_sms(order_id)
    api.patch("/webhook", **change)
    api.sandbox.advance(100)
    assert sent(api) == [(1, 500)]


def test_a_webhook_that_was_switched_off_is_left_alone() -> None:
    api, order_id = told()
    for _ in range(10):
        api.sandbox.deliver_sms(order_id)
    api.sandbox.advance(1000)
    assert len(sent(api)) == 10


def test_the_documented_service_sends_once_and_never_switches_off() -> None:
    api, order_id = told(generation="documented")
    for _ in range(12):
        api.sandbox.deliver_sms(order_id)
    api.sandbox.advance(1000)
    assert sent(api) == [(1, 500)] * 12
    assert api.get("/webhook").keys() == {"webhook_url", "webhook_secret"}


def test_the_documented_service_tells_only_of_codes() -> None:
    api, order_id = told(204, generation="documented")
    api.sandbox.deliver_sms(order_id, text="Click here")
    assert api.sandbox.deliveries == []
    assert api.get("/orders/active")[0]["otp_message"] == "Click here"
    api.sandbox.deliver_sms(order_id)
    assert len(api.sandbox.deliveries) == 1


def test_webhooks_that_are_held_back_overtake_each_other() -> None:
    def revisions(seed: int) -> list[int]:
        api, order_id = told(204, webhook_jitter=10.0, seed=seed)
        for _ in range(8):
            api.sandbox.deliver_sms(order_id)
        assert len(api.sandbox.deliveries) < 8
        api.sandbox.advance(10)
        return [json.loads(delivery.body)["data"]["sms_revision"] for delivery in api.sandbox.deliveries]

    first = revisions(1)
    assert sorted(first) == list(range(1, 9)) != first
    assert revisions(1) == first != revisions(2)


def test_the_next_thing_due_may_be_a_webhook() -> None:
    api, order_id = told()
    app = api.sandbox.transport().app
    assert app.until_due() == 1200
    api.sandbox.deliver_sms(order_id)
    assert app.until_due() == 2
