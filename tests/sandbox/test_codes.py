"""Every documented error code arises from its rule; none has to be scripted, but the one without a rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import httpx
import pytest

from smscode.core.api.registry import ENDPOINTS
from smscode.errors import API_ERRORS
from smscode.sandbox import AbuseGuard, Behaviour

from .harness import URL, Api, refusal

Cause: TypeAlias = Callable[[Api], httpx.Response]


def create(api: Api, key: str | None = None, **fields: Any) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return api.send("POST", "/orders/create", json=fields or {"product_id": 142}, headers=headers)


def act(api: Api, action: str, order_id: int) -> httpx.Response:
    return api.send("POST", f"/orders/{action}", json={"id": order_id})


def unauthorized(api: Api) -> httpx.Response:
    return api.http.get(f"/{api.version}/balance", headers={"authorization": "Bearer other"})


def forbidden(api: Api) -> httpx.Response:
    api.sandbox.set_suspended(True)
    refused = api.send("GET", "/balance")
    api.sandbox.set_suspended(False)
    assert api.get("/balance")
    return refused


def conflict(api: Api) -> httpx.Response:
    return act(api, "finish", *api.rent())


def insufficient_balance(api: Api) -> httpx.Response:
    return create(api, product_id=142, quantity=100)


def in_progress(api: Api) -> httpx.Response:
    api.sandbox.set_behaviour(Behaviour(takes=9))
    app = api.sandbox.transport().app
    headers = {"authorization": f"Bearer {api.sandbox.token}", "idempotency-key": "k"}
    app.begin("POST", f"/{api.version}/orders/create", headers, b'{"product_id":142}')
    return create(api, "k")


def provider_error(api: Api) -> httpx.Response:
    api.sandbox.set_behaviour(Behaviour(outcome="provider_unavailable"))
    return create(api)


def key_reused(api: Api) -> httpx.Response:
    create(api, "k")
    return create(api, "k", product_id=143)


def rate_limited(api: Api) -> httpx.Response:
    api.patch("/webhook", webhook_url=URL)
    for _ in range(10):
        api.post("/webhook/test")
    return api.send("POST", "/webhook/test")


def banned(api: Api) -> httpx.Response:
    for order_id in api.rent(2):
        api.sandbox.advance(120)
        api.post("/orders/cancel", id=order_id)
    return create(api)


def closed(api: Api) -> httpx.Response:
    api.sandbox.set_maintenance(True, retry_after=90)
    refused = api.send("GET", "/catalog/countries")
    assert refused.headers["retry-after"] == "90"
    api.sandbox.set_maintenance(True)
    assert "retry-after" not in api.send("GET", "/balance").headers
    api.sandbox.set_maintenance(False)
    assert api.get("/balance")
    return refused


def no_rate(api: Api) -> httpx.Response:
    api.sandbox.set_rate(None)
    return api.send("GET", "/balance")


CAUSES: dict[str, Cause] = {
    "UNAUTHORIZED": unauthorized,
    "FORBIDDEN": forbidden,
    "NOT_FOUND": lambda api: api.send("GET", "/orders/7"),
    "CONFLICT": conflict,
    "INSUFFICIENT_BALANCE": insufficient_balance,
    "CANCEL_TOO_EARLY": lambda api: act(api, "cancel", *api.rent()),
    "REQUEST_IN_PROGRESS": in_progress,
    "VALIDATION_ERROR": lambda api: create(api, color="red"),
    "PROVIDER_ERROR": provider_error,
    "NO_OFFER_AVAILABLE": lambda api: create(api, catalog_product_id=9999),
    "IDEMPOTENCY_KEY_REUSED": key_reused,
    "RATE_LIMIT_EXCEEDED": rate_limited,
    "TEMP_BANNED_ABUSE_GUARD": banned,
    "SERVICE_UNAVAILABLE": closed,
    "FX_RATE_UNAVAILABLE": no_rate,
}


def test_every_refusal_that_an_endpoint_states_arises_from_a_rule() -> None:
    assert {code for endpoint in ENDPOINTS.values() for code in endpoint.refusals} <= CAUSES.keys()


@pytest.mark.parametrize("code", CAUSES)
def test_every_code_arises_from_its_rule(version: str, code: str) -> None:
    if code == "FX_RATE_UNAVAILABLE":
        version = "v2"
    api = Api(version, otp_after=None, abuse_guard=AbuseGuard(orders=2))
    response = CAUSES[code](api)
    assert refusal(response)[:2] == (API_ERRORS[code][1], code)
    assert response.headers["x-request-id"].startswith("sandbox-")
    wait = response.headers.get("retry-after")
    if code in ("RATE_LIMIT_EXCEEDED", "TEMP_BANNED_ABUSE_GUARD", "FX_RATE_UNAVAILABLE"):
        assert wait is not None
        assert int(wait) > 0
    elif code != "SERVICE_UNAVAILABLE":
        assert wait is None


@pytest.mark.parametrize("name", sorted(ENDPOINTS))
def test_maintenance_closes_everything_and_a_suspension_forbids_it(name: str, version: str) -> None:
    api = Api(version)
    endpoint = ENDPOINTS[name]
    path = endpoint.path.replace("{id}", "7")
    api.sandbox.set_suspended(True)
    assert refusal(api.send(endpoint.method, path))[:2] == (403, "FORBIDDEN")
    api.sandbox.set_maintenance(True)
    assert refusal(api.send(endpoint.method, path))[:2] == (503, "SERVICE_UNAVAILABLE")
