"""Webhook settings, events and deliveries."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from queue import SimpleQueue
from typing import Any

import httpx
import pytest

from smscode.sandbox import Delivery
from smscode.sandbox.service.webhooks import Webhook

from .harness import START, URL, Api, refusal, wrong_fields


def events(api: Api) -> list[tuple[str, int]]:
    bodies = [json.loads(delivery.body) for delivery in api.sandbox.deliveries]
    return [(body["event"], body["data"]["order_id"]) for body in bodies]


def test_nothing_is_set_at_first(api: Api) -> None:
    assert api.get("/webhook") == {
        "webhook_url": None,
        "webhook_secret": None,
        "webhook_disabled_at": None,
        "webhook_disabled_reason": None,
        "webhook_consecutive_failures": 0,
    }


def test_setting_a_url_makes_a_secret_once(api: Api) -> None:
    secret = api.patch("/webhook", webhook_url=URL)["webhook_secret"]
    assert len(bytes.fromhex(secret)) == 32
    assert secret == secret.lower()
    assert api.patch("/webhook", webhook_url=URL + "/2")["webhook_secret"] == secret
    assert api.patch("/webhook", webhook_url="")["webhook_url"] is None
    assert api.get("/webhook")["webhook_secret"] == secret
    assert api.patch("/webhook", webhook_secret="")["webhook_secret"] is None
    config = api.patch("/webhook", webhook_url=URL, webhook_secret="mine")
    assert (config["webhook_url"], config["webhook_secret"]) == (URL, "mine")
    assert api.patch("/webhook", webhook_url=URL, webhook_secret="")["webhook_secret"] is None


def test_an_update_needs_something_to_update(api: Api) -> None:
    assert wrong_fields(api.refused("PATCH", "/webhook")) == {"webhook_url"}
    assert wrong_fields(api.refused("PATCH", "/webhook", webhook_url=None)) == {"webhook_url"}
    assert wrong_fields(api.refused("PATCH", "/webhook", webhook_secret="s" * 257)) == {"webhook_secret"}
    assert wrong_fields(api.refused("PATCH", "/webhook", webhook_secret=7)) == {"webhook_secret"}
    assert api.patch("/webhook", webhook_secret="s" * 256)


LOCAL = ["http://127.0.0.1:8000/", "https://localhost/", "http://[::1]/", "http://app.localhost/"]


@pytest.mark.parametrize(
    "url",
    [
        *LOCAL,
        "http://hooks.example.net/sms",
        "https://",
        "https:///path",
        "ftp://hooks.example.net",
        "hooks.example.net",
        "https://10.0.0.1/",
        "https://169.254.1.1/",
        "https://[::1",
        "https://hooks.example.net:99999/",
        "https://hooks.example.net/a b",
        "https://hooks.example.net/" + "a" * 2048,
    ],
)
def test_a_webhook_url_must_be_public_https(version: str, url: str) -> None:
    assert wrong_fields(Api(version).refused("PATCH", "/webhook", webhook_url=url)) == {"webhook_url"}


@pytest.mark.parametrize("url", LOCAL)
def test_loopback_urls_can_be_allowed(url: str) -> None:
    api = Api(allow_local_webhooks=True)
    assert api.patch("/webhook", webhook_url=url)["webhook_url"] == url
    assert wrong_fields(api.refused("PATCH", "/webhook", webhook_url="http://10.0.0.1/")) == {"webhook_url"}
    assert wrong_fields(api.refused("PATCH", "/webhook", webhook_url="ftp://localhost/")) == {"webhook_url"}
    assert api.patch("/webhook", webhook_url="https://8.8.8.8/")


def test_every_event_of_an_orders_life_is_sent(version: str) -> None:
    api = Api(version, otp_after=None)
    api.patch("/webhook", webhook_url=URL)
    finished, canceled, expired, over = api.rent(4)
    api.sandbox.deliver_sms(finished)
    api.sandbox.deliver_sms(over)
    api.sandbox.deliver_sms(over, text="no code here")
    api.post("/orders/finish", id=finished)
    api.sandbox.advance(120)
    api.post("/orders/cancel", id=canceled)
    api.sandbox.advance(1200)
    assert events(api) == [
        ("order.otp_received", finished),
        ("order.otp_received", over),
        ("order.otp_received", over),
        ("order.completed", finished),
        ("order.canceled", canceled),
        ("order.expired", expired),
        ("order.completed", over),
    ]


def test_an_event_is_signed_and_complete() -> None:
    api = Api()
    secret = api.patch("/webhook", webhook_url=URL)["webhook_secret"]
    (order_id,) = api.rent()
    api.sandbox.advance(30)
    (delivery,) = api.sandbox.deliveries
    assert (delivery.url, delivery.status, delivery.delivered) == (URL, 204, True)
    digest = hmac.new(secret.encode(), delivery.body, hashlib.sha256).hexdigest()
    assert delivery.headers["X-Webhook-Signature"] == f"sha256={digest}"
    body = json.loads(delivery.body)
    order = api.order(order_id)
    assert body.keys() == {"event", "timestamp", "data"}
    assert body["timestamp"] == "2026-06-14T04:00:14+00:00"
    assert body["data"]["country"] == "Indonesia"
    assert body["data"]["platform"] == "WhatsApp"
    for name in (
        "phone_number",
        "otp_code",
        "otp_message",
        "sms_revision",
        "catalog_product_id",
        "can_finish",
    ):
        assert body["data"][name] == order[name]
    api.post("/orders/finish", id=order_id)
    data = json.loads(api.sandbox.deliveries[-1].body)["data"]
    assert (data["sms_revision"], data["otp_code"]) == (None, order["otp_code"])
    assert secret not in repr(api.sandbox.deliveries)


def test_without_a_secret_nothing_is_signed() -> None:
    api = Api()
    api.patch("/webhook", webhook_url=URL, webhook_secret="")
    (order_id,) = api.rent()
    api.sandbox.deliver_sms(order_id)
    assert "X-Webhook-Signature" not in api.sandbox.deliveries[0].headers


def test_an_event_goes_where_the_url_pointed_when_it_happened() -> None:
    now = [0.0]
    api = Api(clock=lambda: START + timedelta(seconds=now[0]))
    api.patch("/webhook", webhook_url=URL, webhook_secret="old")
    api.rent()
    now[0] = 10
    api.patch("/webhook", webhook_url=URL + "/new", webhook_secret="new")
    (delivery,) = api.sandbox.deliveries
    assert delivery.url == URL
    digest = hmac.new(b"old", delivery.body, hashlib.sha256).hexdigest()
    assert delivery.headers["X-Webhook-Signature"] == f"sha256={digest}"


def test_ten_failures_in_a_row_switch_the_webhook_off(version: str) -> None:
    api = Api(version, answer=500)
    api.patch("/webhook", webhook_url=URL)
    (order_id,) = api.rent()
    for _ in range(9):
        api.sandbox.deliver_sms(order_id)
    assert api.get("/webhook")["webhook_consecutive_failures"] == 9
    api.answer = 200
    api.sandbox.deliver_sms(order_id)
    assert api.get("/webhook")["webhook_consecutive_failures"] == 0
    api.answer = 302
    for _ in range(12):
        api.sandbox.deliver_sms(order_id)
    config = api.get("/webhook")
    assert config["webhook_consecutive_failures"] == 10
    assert config["webhook_disabled_at"] == "2026-06-14T04:00:12+00:00"
    assert config["webhook_disabled_reason"] == "consecutive_failed_user_endpoint"
    assert len(api.sandbox.deliveries) == 20
    config = api.patch("/webhook", webhook_url=URL)
    assert (config["webhook_disabled_at"], config["webhook_consecutive_failures"]) == (None, 0)
    api.sandbox.deliver_sms(order_id)
    assert len(api.sandbox.deliveries) == 21


def test_a_late_result_counts_for_no_other_url() -> None:
    api = Api(answer=500)
    api.patch("/webhook", webhook_url=URL)
    (order_id,) = api.rent()
    for _ in range(10):
        api.sandbox.deliver_sms(order_id)
    webhook = Webhook(url=URL + "/new")
    webhook.record(api.sandbox.deliveries[0], api.sandbox.now)
    assert webhook.failures == 0


@pytest.mark.parametrize("error", [OSError(), httpx.ReadTimeout("")])
def test_an_endpoint_that_cannot_be_reached_counts_as_a_failure(error: Exception) -> None:
    api = Api(answer=error)
    api.patch("/webhook", webhook_url=URL)
    (order_id,) = api.rent()
    api.sandbox.deliver_sms(order_id)
    assert api.sandbox.deliveries[0].status is None
    assert api.get("/webhook")["webhook_consecutive_failures"] == 1
    answer = refusal(api.send("POST", "/webhook/test"))
    assert answer[:2] == (422, "VALIDATION_ERROR")


@pytest.mark.parametrize("status", [200, 204, 404, 500])
def test_a_test_tells_what_the_endpoint_answered(version: str, status: int) -> None:
    api = Api(version, answer=status)
    assert api.refused("POST", "/webhook/test")[:2] == (422, "VALIDATION_ERROR")
    api.patch("/webhook", webhook_url=URL)
    assert api.post("/webhook/test") == {"status_code": status}
    (delivery,) = api.sandbox.deliveries
    body = json.loads(delivery.body)
    assert body["event"] == "webhook.test"
    assert body["data"].keys() == {"message"}
    assert api.get("/webhook")["webhook_consecutive_failures"] == 0


def test_a_webhook_function_may_ask_the_sandbox() -> None:
    seen: list[Any] = []

    def deliver(delivery: Delivery) -> int:
        order_id = json.loads(delivery.body)["data"]["order_id"]
        seen.append(api.order(order_id)["status"])
        return 200

    api = Api(deliver=deliver)
    api.patch("/webhook", webhook_url=URL)
    api.rent()
    api.sandbox.advance(2)
    assert seen == ["OTP_RECEIVED"]


@contextmanager
def endpoint(status: int) -> Generator[tuple[str, SimpleQueue[tuple[dict[str, str], bytes]]]]:
    """Serve a webhook endpoint on the loopback interface."""
    received: SimpleQueue[tuple[dict[str, str], bytes]] = SimpleQueue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.put(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(status)
            self.send_header("location", "http://127.0.0.1:9/")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/hook", received
        server.shutdown()
        thread.join()


def test_webhooks_are_posted_over_http() -> None:
    api = Api(deliver=None, allow_local_webhooks=True)
    with endpoint(302) as (url, received):
        secret = api.patch("/webhook", webhook_url=url)["webhook_secret"]
        ids = api.rent(2)
        for order_id in ids:
            api.sandbox.deliver_sms(order_id)
        assert api.sandbox.wait_for_deliveries()
        for _ in ids:
            headers, body = received.get(timeout=5)
            digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
            assert headers["x-webhook-signature"] == f"sha256={digest}"
            assert headers["content-type"] == "application/json"
        assert api.post("/webhook/test") == {"status_code": 302}
    assert [delivery.status for delivery in api.sandbox.deliveries] == [302, 302, 302]


def test_a_dead_endpoint_is_a_failed_delivery() -> None:
    with endpoint(200) as (url, _):
        pass
    api = Api(deliver=None, allow_local_webhooks=True)
    api.patch("/webhook", webhook_url=url)
    (order_id,) = api.rent()
    api.sandbox.deliver_sms(order_id)
    assert api.sandbox.wait_for_deliveries()
    assert api.get("/webhook")["webhook_consecutive_failures"] == 1
    assert api.refused("POST", "/webhook/test")[1] == "VALIDATION_ERROR"
