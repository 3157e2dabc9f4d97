"""The sandbox's own routes, below ``/_sandbox``."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from smscode.sandbox import Sandbox
from smscode.sandbox.control.routes import ROUTES
from smscode.sandbox.openapi import document
from smscode.sandbox.scenarios import SCENARIOS, described

from .harness import START, URL, Api, refusal, wrong_fields


def ask(api: Api, method: str, path: str, **options: Any) -> httpx.Response:
    return api.http.request(method, f"/_sandbox{path}", **options)


def done(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer.keys() == {"success", "data"}
    return answer["data"]


def get(api: Api, path: str, **params: Any) -> Any:
    return done(ask(api, "GET", path, params=params))


def post(api: Api, path: str, **fields: Any) -> Any:
    return done(ask(api, "POST", path, json=fields))


def test_the_routes_are_listed() -> None:
    listed = get(Api(), "")
    assert [(route["method"], route["path"]) for route in listed] == [
        (route.method, f"/_sandbox{route.path}") for route in ROUTES
    ]
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)
    assert all(route["about"] for route in listed)


def test_time_is_moved_and_messages_are_delivered() -> None:
    api = Api(otp_after=None)
    (order_id,) = api.rent()
    assert post(api, "/sms", order_id=order_id, text="Click here") is None
    assert api.order(order_id)["otp_message"] == "Click here"
    post(api, "/sms", order_id=order_id, code="123456")
    assert api.order(order_id)["otp_code"] == "123456"
    assert post(api, "/advance", seconds=1199.5) == {"now": "2026-06-14T04:20:11.500000+00:00"}
    assert api.order(order_id)["status"] == "OTP_RECEIVED"
    post(api, "/advance", seconds=1)
    assert api.order(order_id)["status"] == "COMPLETED"


def test_the_state_is_shown_and_set() -> None:
    api = Api()
    assert get(api, "/state") == {
        "now": START.isoformat(),
        "generation": "current",
        "balance": 1_000_000,
        "rate": 16_250,
        "otp_after": 2.0,
        "maintenance": False,
        "suspended": False,
        "orders": 0,
        "active_orders": 0,
    }
    change = {"balance": 5, "rate": None, "otp_after": 0.5, "maintenance": True, "suspended": True}
    changed = done(ask(api, "PATCH", "/state", json={**change, "retry_after": 7}))
    assert {name: changed[name] for name in change} == change
    assert api.sandbox.balance == 5
    closed = api.send("GET", "/balance")
    assert (closed.status_code, closed.headers["retry-after"]) == (503, "7")
    again = done(ask(api, "PATCH", "/state", json={"maintenance": False}))
    assert (again["maintenance"], again["suspended"], again["rate"]) == (False, True, None)
    assert api.refused("GET", "/balance")[1] == "FORBIDDEN"
    last = done(ask(api, "PATCH", "/state", json={"suspended": False, "otp_after": None}))
    assert (last["suspended"], last["otp_after"], last["balance"]) == (False, None, 5)


def test_scenarios_are_chosen_listed_and_taken_back() -> None:
    api = Api(otp_after=None)
    (order_id,) = api.rent()
    post(api, "/scenarios", scenario="never")
    post(api, "/scenarios", scenario="no_stock, partial(2)", catalog_product_id=87)
    post(api, "/scenarios", scenario="otp_after(0)", product_id=142)
    post(api, "/scenarios", scenario="cancel_refused", order_id=order_id, operation="orders.cancel", times=3)
    listed = get(api, "/scenarios")
    assert listed["playing"] == [
        {"scenarios": ["never"], "place": "everything"},
        {"scenarios": ["no_stock", "partial(2)"], "place": "catalog_product_id 87"},
        {"scenarios": ["otp_after(0)"], "place": "product_id 142"},
        {"scenarios": ["cancel_refused"], "place": "order_id 1001, orders.cancel, the next 3 requests"},
    ]
    assert [known["name"] for known in listed["known"]] == [scenario.form for scenario in described()]
    assert len(listed["known"]) == len(SCENARIOS)
    assert done(ask(api, "DELETE", "/scenarios", params={"catalog_product_id": 87})) is None
    assert len(get(api, "/scenarios")["playing"]) == 3
    done(ask(api, "DELETE", "/scenarios"))
    assert get(api, "/scenarios")["playing"] == []


def test_the_next_requests_can_be_made_to_fail() -> None:
    api = Api()
    post(api, "/faults", operation="balance.get", code=502)
    post(api, "/faults", operation="balance.get", code="TEAPOT", status=418, details={"short": True}, times=2)
    assert api.send("GET", "/balance").status_code == 502
    for _ in range(2):
        assert api.refused("GET", "/balance") == (418, "TEAPOT", {"short": True})
    assert api.get("/balance")


def test_what_happened_can_be_read() -> None:
    api = Api(otp_after=None)
    api.patch("/webhook", webhook_url=URL, webhook_secret="hush")
    (order_id,) = api.rent()
    api.sandbox.deliver_sms(order_id)
    assert get(api, "/requests") == {"PATCH /webhook": 1, "POST /orders/create": 1}
    (delivery,) = get(api, "/deliveries")
    assert (delivery["url"], delivery["event"], delivery["order_id"]) == (URL, "order.otp_received", order_id)
    assert (delivery["attempt"], delivery["status"]) == (1, 204)
    assert delivery["body"]["data"]["order_id"] == order_id
    assert [(line["kind"], line["amount"], line["order_id"]) for line in get(api, "/ledger")] == [
        ("deposit", 1_000_000, None),
        ("order", -15_000, order_id),
    ]
    assert get(api, "/audit") == {
        "opening_balance": 1_000_000,
        "adjustments": 0,
        "charges": 15_000,
        "refunds": 0,
        "closing_balance": 985_000,
        "held": 15_000,
        "discrepancies": [],
    }
    assert "hush" not in ask(api, "GET", "/deliveries").text + ask(api, "GET", "/history").text


def test_the_history_is_read_in_pieces() -> None:
    api = Api(otp_after=None, history_limit=3)
    for _ in range(5):
        api.get("/balance")
    first = get(api, "/history", limit=2)
    assert [entry["request_id"] for entry in first["entries"]] == ["sandbox-000003", "sandbox-000004"]
    assert first["entries"][0]["kind"] == "RequestAnswered"
    assert first["next"] == 4
    rest = get(api, "/history", after=first["next"])
    assert [entry["request_id"] for entry in rest["entries"]] == ["sandbox-000005"]
    assert get(api, "/history", after=rest["next"]) == {"entries": [], "next": 5}


def test_it_all_begins_anew() -> None:
    api = Api(balance=100_000, otp_after=7)
    api.patch("/webhook", webhook_url=URL)
    api.rent()
    api.sandbox.advance(60)
    api.sandbox.set_otp_after(1)
    api.sandbox.set_maintenance(True)
    post(api, "/scenarios", scenario="never")
    before = get(api, "/history")["next"]
    assert post(api, "/reset") is None
    state = get(api, "/state")
    assert (state["balance"], state["orders"], state["otp_after"]) == (100_000, 0, 7)
    assert state["now"] == "2026-06-14T04:01:12+00:00", "time only moves forward"
    assert get(api, "/scenarios")["playing"] == []
    assert get(api, "/history", after=before)["entries"] == []
    assert api.get("/webhook")["webhook_url"] is None
    assert (get(api, "/requests"), get(api, "/deliveries")) == ({"GET /webhook": 1}, [])
    assert api.rent() == [1001]
    api.sandbox.advance(7)
    assert api.order(1001)["status"] == "OTP_RECEIVED"
    assert len(get(api, "/history", after=before)["entries"]) == 6


def test_what_is_on_its_way_ends_when_all_begins_anew() -> None:
    api = Api()
    app = api.sandbox.transport().app
    api.sandbox.play("slow_create(60)")
    headers = {"authorization": f"Bearer {api.sandbox.token}"}
    exchange = app.begin("POST", "/v1/orders/create", headers, b'{"product_id":142}')
    api.sandbox.reset()
    assert app.until_settled(exchange) == 0
    response = app.complete(exchange)
    assert (response.status_code, json.loads(response.body)["error"]["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert len(api.sandbox.ledger) == 1


def test_the_limits_begin_anew_too() -> None:
    api = Api(rate_limits={"balance": 1})
    api.get("/balance")
    assert api.refused("GET", "/balance")[0] == 429
    api.sandbox.reset()
    assert api.get("/balance")


@pytest.mark.parametrize(
    ("method", "path", "fields", "wrong"),
    [
        ("POST", "/advance", {}, {"seconds"}),
        ("POST", "/advance", {"seconds": -1}, {"seconds"}),
        ("POST", "/advance", {"seconds": "60"}, {"seconds"}),
        ("POST", "/advance", {"seconds": True}, {"seconds"}),
        ("POST", "/advance", {"seconds": 10**12, "minutes": 1}, {"seconds", "minutes"}),
        ("POST", "/sms", {"order_id": 7}, {"order_id"}),
        ("POST", "/sms", {"text": 5}, {"order_id", "text"}),
        ("PATCH", "/state", {"balance": -5}, {"balance"}),
        ("PATCH", "/state", {"rate": 0, "suspended": 1}, {"rate", "suspended"}),
        ("PATCH", "/state", {"now": "tomorrow"}, {"now"}),
        ("POST", "/scenarios", {"scenario": "nevr"}, {"scenario"}),
        ("POST", "/scenarios", {"scenario": "otp_after(-1)"}, {"seconds"}),
        ("POST", "/scenarios", {"scenario": "never", "product_id": 1}, {"product_id"}),
        ("POST", "/scenarios", {"scenario": "never", "operation": "orders.get"}, {"operation"}),
        ("POST", "/faults", {"operation": "orders.get", "code": 99}, {"code"}),
        ("POST", "/faults", {"operation": "orders.get", "code": "TEAPOT"}, {"code"}),
        ("POST", "/faults", {"operation": "orders.gte", "code": 500}, {"operation"}),
        ("GET", "/history", {"after": "first", "limit": "0"}, {"after", "limit"}),
        ("GET", "/history", {"after": "9" * 30}, {"after"}),
        ("GET", "/state", {"full": "yes"}, {"full"}),
        ("DELETE", "/scenarios", {"order_id": "7"}, {"order_id"}),
    ],
)
def test_what_is_wrong_is_named(method: str, path: str, fields: dict[str, Any], wrong: set[str]) -> None:
    options = {"params": fields} if method in ("GET", "DELETE") else {"json": fields}
    answer = refusal(ask(Api(), method, path, **options))
    assert wrong_fields(answer) == wrong


def test_a_change_with_something_wrong_is_not_made_at_all() -> None:
    api = Api()
    ask(api, "PATCH", "/state", json={"balance": 5, "rate": -1})
    assert api.sandbox.balance == 1_000_000


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b'{"seconds": NaN}', b'{"text": "\\ud800"}'])
def test_a_body_that_is_no_json_object_is_not_valid(body: bytes) -> None:
    assert refusal(ask(Api(), "POST", "/sms", content=body))[:2] == (422, "VALIDATION_ERROR")


def test_an_unknown_path_or_method_is_refused_as_the_service_does() -> None:
    api = Api()
    for path in ("/nothing", "/", "/state/"):
        response = ask(api, "GET", path)
        assert refusal(response)[:2] == (404, "NOT_FOUND")
        assert "x-request-id" in response.headers
    assert api.http.get("/_sandboxes").status_code == 404
    wrong = ask(api, "PUT", "/scenarios")
    assert (wrong.status_code, wrong.headers["allow"], wrong.content) == (405, "DELETE, GET, POST", b"")


def test_a_body_over_the_limit_is_refused_bare() -> None:
    response = ask(Api(), "POST", "/sms", content=b" " * 1_000_001)
    assert (response.status_code, response.content) == (413, b"")


def test_it_needs_the_token_and_nothing_else() -> None:
    api = Api(rate_limits={"balance": 0})
    stranger = {"authorization": "Bearer no"}
    assert refusal(ask(api, "GET", "/state", headers=stranger))[:2] == (401, "UNAUTHORIZED")
    assert refusal(ask(api, "POST", "/reset", headers=stranger))[:2] == (401, "UNAUTHORIZED")
    api.sandbox.set_maintenance(True)
    api.sandbox.set_suspended(True)
    api.sandbox.play("lost_response")
    assert get(api, "/state")["suspended"] is True
    assert not api.sandbox.requests


@pytest.mark.parametrize("generation", ["documented", "current"])
def test_it_is_no_part_of_the_contract(generation: Any) -> None:
    assert "_sandbox" not in json.dumps(document(generation))


@pytest.mark.anyio
async def test_it_serves_async_clients_too() -> None:
    sandbox = Sandbox(clock=lambda: START)
    headers = {"authorization": f"Bearer {sandbox.token}"}
    async with httpx.AsyncClient(
        transport=sandbox.transport(), base_url="http://sandbox", headers=headers
    ) as http:
        answer = await http.post("/_sandbox/advance", json={"seconds": 1})
        assert answer.json()["data"] == {"now": "2026-06-14T04:00:13+00:00"}
