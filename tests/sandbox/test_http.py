"""What holds for every request: routing, the token, envelopes, headers, limits."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from smscode.core.api.registry import ENDPOINTS
from smscode.sandbox import Sandbox

from .harness import START, Api, refusal, wrong_fields


def test_every_operation_answers_in_both_versions(api: Api) -> None:
    api.patch("/webhook", webhook_url="https://hooks.example.net/sms")
    first, second, third, fourth = api.rent(4)
    api.sandbox.deliver_sms(first)
    api.sandbox.deliver_sms(fourth)
    api.post("/orders/finish", id=first)
    api.sandbox.advance(1)
    asked: dict[str, dict[str, Any]] = {
        "catalog.operators": {"params": {"country_id": 6, "platform_id": 3}},
        "orders.create": {"json": {"catalog_product_id": 87}},
        "orders.finish": {"json": {"id": second}},
        "orders.cancel": {"json": {"id": third}},
        "orders.resend": {"json": {"id": fourth}},
        "orders.reactivate": {"json": {"id": first}},
        "webhook.update": {"json": {"webhook_secret": "s"}},
    }
    api.sandbox.deliver_sms(second)
    for name, endpoint in sorted(ENDPOINTS.items(), reverse=True):  # reactivate_options before reactivate
        if name == "orders.cancel":
            continue
        path = endpoint.path.replace("{id}", str(first))
        response = api.send(endpoint.method, path, **asked.get(name, {}))
        assert response.status_code == 200, (name, response.text)
        envelope = response.json()
        money = endpoint.money and api.version == "v2" and name != "catalog.exchange_rate"
        paged = name == "catalog.products"
        wanted = {"success", "data", "meta"} if money or paged else {"success", "data"}
        assert envelope.keys() == wanted, name
        if money:
            assert envelope["meta"]["fx"] == {
                "pair": "USD/IDR",
                "rate": 16250,
                "rate_as_of": "2026-06-14T04:00:12+00:00",
            }
        assert api.sandbox.requests[f"{endpoint.method} {endpoint.path}"] >= 1
    assert api.sandbox.requests["GET /nowhere"] == 0


@pytest.mark.parametrize("path", ["/", "/v3/balance", "/v1/nowhere", "/v1", "/v1/orders/1/2", "/v1/balance/"])
def test_an_unknown_path_is_not_found(path: str) -> None:
    response = Api().http.get(path)
    assert refusal(response)[:2] == (404, "NOT_FOUND")


def test_a_wrong_method_is_refused_with_the_right_ones() -> None:
    response = Api().send("DELETE", "/webhook")
    assert (response.status_code, response.headers["allow"], response.content) == (405, "GET, PATCH", b"")
    assert Api().send("POST", "/orders/active").status_code == 405
    assert Api().send("POST", "/orders/7").headers["allow"] == "GET"


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer wrong", "sandbox-token", "Bearer \u00e9"]
)
def test_a_wrong_token_is_unauthorized(version: str, authorization: str | None) -> None:
    headers = {} if authorization is None else {b"authorization": authorization.encode()}
    with httpx.Client(transport=Sandbox().transport(), base_url="http://sandbox", headers=headers) as http:
        assert refusal(http.get(f"/{version}/balance"))[:2] == (401, "UNAUTHORIZED")


def test_every_answer_carries_a_request_id_and_the_time() -> None:
    api = Api()
    api.sandbox.advance(60)
    answers = [api.send("GET", "/balance"), api.send("GET", "/nowhere"), api.send("DELETE", "/balance")]
    assert [answer.headers["x-request-id"] for answer in answers] == [
        "sandbox-000001",
        "sandbox-000002",
        "sandbox-000003",
    ]
    assert {answer.headers["date"] for answer in answers} == {"Sun, 14 Jun 2026 04:01:12 GMT"}


def test_a_body_over_the_limit_is_refused_bare() -> None:
    api = Api()
    fitting = api.send("POST", "/orders/finish", content=b" " * 1_000_000)
    assert fitting.status_code == 422
    response = api.send("POST", "/orders/finish", content=b" " * 1_000_001)
    assert (response.status_code, response.content) == (413, b"")
    assert "x-request-id" in response.headers


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'"id"', b"\xff", b'{"id": NaN}', b"[" * 100_000, b'{"id": ' + b"9" * 5000 + b"}"],
)
def test_a_body_that_is_no_json_object_is_not_valid(body: bytes) -> None:
    response = Api().send("POST", "/orders/finish", content=body)
    assert refusal(response)[:2] == (422, "VALIDATION_ERROR")


def test_half_of_a_character_is_no_text() -> None:
    body = rb'{"webhook_secret": "\ud800"}'
    assert refusal(Api().send("PATCH", "/webhook", content=body))[:2] == (422, "VALIDATION_ERROR")


@pytest.mark.parametrize("value", [None, True, "7", 7.0, 0, -1, 2**31])
@pytest.mark.parametrize("action", ["cancel", "finish", "resend", "reactivate"])
def test_an_order_id_must_be_a_positive_int32(action: str, value: object) -> None:
    assert wrong_fields(Api().refused("POST", f"/orders/{action}", id=value)) == {"id"}


def test_all_that_is_wrong_is_reported_at_once(version: str) -> None:
    answer = Api(version).refused("POST", "/orders/create", quantity=0, policy="best", color="red")
    assert wrong_fields(answer) == {"product_id", "quantity", "policy", "color"}


@pytest.mark.parametrize("order_id", ["7", "seven", "1.5", "-1001", "9" * 30, "%2e"])
def test_an_unknown_order_is_not_found(version: str, order_id: str) -> None:
    assert Api(version).refused("GET", f"/orders/{order_id}")[:2] == (404, "NOT_FOUND")


@pytest.mark.parametrize("action", ["cancel", "finish", "resend", "reactivate"])
def test_no_action_finds_an_unknown_order(api: Api, action: str) -> None:
    assert api.refused("POST", f"/orders/{action}", id=7)[:2] == (404, "NOT_FOUND")


def test_a_request_can_be_scripted_to_fail(api: Api) -> None:
    api.sandbox.fail_next("balance.get", "SERVICE_UNAVAILABLE", times=2, retry_after=1)
    api.sandbox.fail_next("balance.get", 502)
    api.sandbox.fail_next("balance.get", "TEAPOT", status=418, details={"short": True})
    for _ in range(2):
        response = api.send("GET", "/balance")
        assert refusal(response)[:2] == (503, "SERVICE_UNAVAILABLE")
        assert response.headers["retry-after"] == "1"
    bare = api.send("GET", "/balance")
    assert (bare.status_code, bare.content, bare.headers.get("retry-after")) == (502, b"", None)
    assert api.refused("GET", "/balance") == (418, "TEAPOT", {"short": True})
    assert api.get("/balance")


def test_times_are_whole_seconds_in_utc() -> None:
    api = Api()
    (order_id,) = api.rent()
    order = api.order(order_id)
    assert order["created_at"] == START.isoformat()
    assert order["expires_at"] == "2026-06-14T04:20:12+00:00"


@pytest.mark.parametrize("field", ["policy", "quantity"])
def test_a_field_that_has_a_default_must_not_be_null(field: str, version: str) -> None:
    answer = Api(version).refused("POST", "/orders/create", catalog_product_id=87, **{field: None})
    assert wrong_fields(answer) == {field}


def test_a_number_of_a_query_has_as_many_bits_as_its_type() -> None:
    api = Api()
    assert wrong_fields(api.refused("GET", "/catalog/products", country_id=2**31)) == {"country_id"}
    assert wrong_fields(api.refused("GET", "/orders", offset=2**63)) == {"offset"}
    assert api.get("/orders", offset=2**63 - 1) == []
