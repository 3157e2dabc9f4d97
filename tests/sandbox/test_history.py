"""The history: what happened, as values and for people, and nothing that is secret."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from smscode.models import OrderStatus
from smscode.sandbox.control.history import (
    Entry,
    History,
    OrderEnded,
    OrderRented,
    RequestAnswered,
    ScenarioChosen,
    SettingChanged,
    SmsReceived,
    TimeAdvanced,
    WebhookSent,
    entry_json,
    shown_url,
)

from .harness import START, URL, Api


def kinds(api: Api) -> list[str]:
    return [type(entry).__name__ for entry in api.sandbox.history]


def told(api: Api) -> list[str]:
    """Return what the history says, without the date and the time."""
    return [str(entry)[len("2026-06-14 04:00:12.000 ") :] for entry in api.sandbox.history]


def test_it_tells_of_all_that_happened_to_an_order() -> None:
    api = Api(otp_after=2)
    api.sandbox.play("two_messages(2, 5)", catalog_product_id=87)
    (order_id,) = api.rent()
    number = api.order(order_id)["phone_number"]
    api.sandbox.advance(5)
    api.post("/orders/finish", id=order_id)
    api.post("/orders/reactivate", id=order_id)
    assert told(api) == [
        "scenario for catalog_product_id 87: two_messages(2, 5)",
        "POST /v1/orders/create -> 200, order 1001 (sandbox-000001) [two_messages(2, 5)]",
        f"order 1001: rented {number}, product 142, for Rp 15,000",
        "GET /v1/orders/1001 -> 200, order 1001 (sandbox-000002)",
        "order 1001: SMS 1, code 451319: 'Your WhatsApp code is 451319'",
        "order 1001: SMS 2, code 250483: 'Your WhatsApp code is 250483'",
        "time: 5 seconds ahead",
        "POST /v1/orders/finish -> 200, order 1001 (sandbox-000003)",
        "order 1001: COMPLETED",
        "POST /v1/orders/reactivate -> 200, order 1002 (sandbox-000004) [two_messages(2, 5)]",
        f"order 1002: rented {number}, product 142, for Rp 11,250, again after order 1001",
    ]


def test_it_tells_of_expiry_cancel_and_refund_at_the_time_they_happened() -> None:
    api = Api(otp_after=None)
    (canceled,) = api.rent()
    (expired,) = api.rent()
    api.sandbox.advance(120)
    api.post("/orders/cancel", id=canceled)
    api.sandbox.advance(5000)
    ended = [entry for entry in api.sandbox.history if isinstance(entry, OrderEnded)]
    assert ended == [
        OrderEnded(START + timedelta(seconds=120), canceled, OrderStatus.CANCELED, 15_000),
        OrderEnded(START + timedelta(seconds=1200), expired, OrderStatus.EXPIRED, 15_000),
    ]
    assert str(ended[1]) == "2026-06-14 04:20:12.000 order 1002: EXPIRED, Rp 15,000 refunded"


def test_it_tells_what_a_request_came_to() -> None:
    api = Api(otp_after=None)
    api.rent(5)
    api.refused("POST", "/orders/finish", id=1002)
    api.refused("GET", "/orders/7")
    api.refused("POST", "/orders/finish", id="x")
    api.send("DELETE", "/balance")
    api.send("GET", "/" + "x" * 300)
    api.send("GET", "/balance?token=hush")
    api.send("GET", "/balance/sandbox-token")
    api.sandbox.fail_next("balance.get", 502)
    api.send("GET", "/balance")
    requests = [entry for entry in api.sandbox.history if isinstance(entry, RequestAnswered)]
    assert [str(entry)[24:].partition(" (sandbox")[0] for entry in requests] == [
        "POST /v1/orders/create -> 200, order 1001, 1002, 1003 and 2 more",
        "POST /v1/orders/finish -> 409 CONFLICT, order 1002",
        "GET /v1/orders/7 -> 404 NOT_FOUND, order 7",
        "POST /v1/orders/finish -> 422 VALIDATION_ERROR",
        "DELETE /v1/balance -> 405",
        f"GET /v1/{'x' * 196}... -> 404 NOT_FOUND",
        "GET /v1/balance -> 200",
        "GET /v1/balance/*** -> 404 NOT_FOUND",
        "GET /v1/balance -> 502",
    ]
    first = requests[0]
    assert (first.operation, first.status, first.request_id) == ("orders.create", 200, "sandbox-000001")
    assert first.order_ids == (1001, 1002, 1003, 1004, 1005)
    assert requests[3].operation == "orders.finish"
    assert requests[4].operation is None


def test_it_tells_what_was_lost() -> None:
    api = Api(otp_after=None)
    for scenario in ("lost_response", "lost_request"):
        api.sandbox.play(scenario, times=1)
        with pytest.raises(Exception, match="disconnected"):
            api.send("POST", "/orders/create", json={"product_id": 142})
    requests = [entry for entry in api.sandbox.history if isinstance(entry, RequestAnswered)]
    assert [(entry.status, entry.lost, entry.order_ids) for entry in requests] == [
        (200, True, (1001,)),
        (None, True, ()),
    ]
    assert "create -> 200, which is lost, order 1001 (" in str(requests[0])
    assert "create -> lost (" in str(requests[1])


def test_a_request_that_waits_is_there_twice() -> None:
    api = Api(otp_after=None)
    app = api.sandbox.transport().app
    api.sandbox.play("slow_create(5)")
    headers = {"authorization": f"Bearer {api.sandbox.token}"}
    exchange = app.begin("POST", "/v1/orders/create", headers, b'{"product_id":142}')
    api.sandbox.advance(5)
    app.complete(exchange)
    assert kinds(api) == [
        "ScenarioChosen",
        "RequestAnswered",
        "OrderRented",
        "TimeAdvanced",
        "RequestAnswered",
    ]
    assert "create -> not yet (" in str(api.sandbox.history[1])
    answered = api.sandbox.history[4]
    assert isinstance(answered, RequestAnswered)
    assert (answered.status, answered.order_ids, answered.at) == (200, (1001,), api.sandbox.now)


def test_it_tells_of_webhooks_without_what_is_secret() -> None:
    api = Api(otp_after=None)
    secret, url = "webhook-secret", "https://me:pass@hooks.example.net/sms?key=hush#part"
    api.patch("/webhook", webhook_url=url, webhook_secret=secret)
    api.post("/webhook/test")
    (order_id,) = api.rent()
    api.answer = OSError("refused")
    api.sandbox.deliver_sms(order_id, text="Click here")
    webhooks = [entry for entry in api.sandbox.history if isinstance(entry, WebhookSent)]
    assert [(entry.event, entry.order_id, entry.attempt, entry.status) for entry in webhooks] == [
        ("webhook.test", None, 1, 204),
        ("order.otp_received", order_id, 1, None),
    ]
    assert {entry.url for entry in webhooks} == {"https://hooks.example.net/sms"}
    assert str(webhooks[0])[24:] == "webhook webhook.test, attempt 1: https://hooks.example.net/sms -> 204"
    assert str(webhooks[1])[24:] == (
        "webhook order.otp_received of order 1001, attempt 1: https://hooks.example.net/sms -> not reached"
    )
    everything = repr(api.sandbox.history) + "".join(map(str, api.sandbox.history))
    for hush in (secret, "hush", "me:pass", api.sandbox.token):
        assert hush not in everything
    assert "no code: 'Click here'" in everything


def test_it_tells_of_settings_and_scenarios() -> None:
    api = Api()
    sandbox = api.sandbox
    sandbox.set_rate(None)
    sandbox.set_balance(500)
    sandbox.set_maintenance(True)
    sandbox.set_suspended(False)
    sandbox.set_otp_after(1.5)
    sandbox.play("never, no_stock", operation="orders.create", times=2)
    sandbox.fail_next("orders.get", "NOT_FOUND")
    sandbox.clear_scenarios()
    sandbox.advance(0.5)
    assert told(api) == [
        "set rate: none",
        "set balance: 500",
        "set maintenance: True",
        "set suspended: False",
        "set otp_after: 1.5",
        "scenario for everything, orders.create, the next 2 requests: never, no_stock",
        "scenario for everything, orders.get, the next request: NOT_FOUND",
        "scenario for everything: none any more",
        "time: 0.5 seconds ahead",
    ]
    assert sandbox.balance == sum(movement.amount for movement in sandbox.ledger) == 500


def test_entries_are_values_that_can_be_written_as_json() -> None:
    entries: list[tuple[Entry, dict[str, Any]]] = [
        (RequestAnswered(START, "r", "GET", "/", 200), {"status": 200, "order_ids": [], "lost": False}),
        (OrderRented(START, 1001, 142, "+1", 5), {"phone_number": "+1", "parent_id": None}),
        (SmsReceived(START, 1001, 1, None, "Hello"), {"text": "Hello", "code": None}),
        (OrderEnded(START, 1001, OrderStatus.EXPIRED, 5), {"status": "EXPIRED", "refund": 5}),
        (WebhookSent(START, URL, "webhook.test", None, 1, None), {"url": URL, "status": None}),
        (TimeAdvanced(START, 2.5), {"seconds": 2.5}),
        (ScenarioChosen(START, ("never",), "everything"), {"scenarios": ["never"]}),
        (SettingChanged(START, "rate", None), {"name": "rate", "value": None}),
    ]
    for entry, held in entries:
        shown = entry_json(entry)
        assert isinstance(shown, dict)
        common = {"kind": type(entry).__name__, "summary": str(entry), "at": START.isoformat()}
        assert {**common, **held}.items() <= shown.items()
        with pytest.raises(AttributeError):
            entry.at = START  # type: ignore[misc]


def test_it_forgets_what_is_oldest() -> None:
    api = Api(history_limit=3, otp_after=None)
    for _ in range(5):
        api.get("/balance")
    requests = [entry for entry in api.sandbox.history if isinstance(entry, RequestAnswered)]
    assert [entry.request_id for entry in requests] == ["sandbox-000003", "sandbox-000004", "sandbox-000005"]
    assert Api(history_limit=0).sandbox.history == ()


def test_it_can_be_read_on_from_a_number() -> None:
    history = History(3)
    history.add(*[SettingChanged(START, str(number), None) for number in range(5)])

    def names(number: int, limit: int = 10) -> str:
        entries = history.since(number, limit)
        return "".join(entry.name for entry in entries if isinstance(entry, SettingChanged))

    assert [names(0), names(2), names(3), names(4), names(5), names(9)] == ["234", "234", "34", "4", "", ""]
    assert names(0, 2) == "23"
    history.clear()
    history.add(SettingChanged(START, "5", None))
    assert (names(5), history.total, history.forgotten) == ("5", 6, 5)


def test_a_url_is_shown_without_what_may_be_secret() -> None:
    assert shown_url("http://127.0.0.1:8000/a/b?c=d") == "http://127.0.0.1:8000/a/b"


def test_it_does_not_tell_of_requests_to_the_sandbox_itself() -> None:
    api = Api()
    api.http.get("/_sandbox/state")
    api.http.get("/_sandbox/nothing")
    assert api.sandbox.history == ()
