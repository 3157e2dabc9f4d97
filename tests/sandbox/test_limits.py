"""Rate limits: so many requests of a group in any 60 seconds, and so many cancels per day."""

from __future__ import annotations

from typing import Any

import pytest

from smscode.core.api.registry import ENDPOINTS
from smscode.errors import InvalidArgumentError
from smscode.models import EndpointGroup
from smscode.sandbox import Sandbox
from smscode.sandbox.http.api_error import ServiceError
from smscode.sandbox.http.limits import LIMITS, ServiceLimits

from .harness import START, URL, Api, refusal

DOCUMENTED = {
    "catalog": 5000,
    "balance": 600,
    "order_queries": 5000,
    "create": 3000,
    "cancel": 1000,
    "order_actions": 1000,
    "webhook_config": 600,
    "webhook_test": 10,
}


def test_the_numbers_are_those_of_the_documentation() -> None:
    assert {group.value: number for group, number in LIMITS.items()} == DOCUMENTED
    assert set(LIMITS) == set(EndpointGroup)


@pytest.mark.parametrize("group", EndpointGroup)
def test_each_group_admits_its_number_in_any_minute(group: EndpointGroup) -> None:
    limits = ServiceLimits(LIMITS)
    for _ in range(DOCUMENTED[group]):
        limits.take(group, START)
    for other in set(EndpointGroup) - {group}:
        limits.take(other, START)
    with pytest.raises(ServiceError) as caught:
        limits.take(group, START)
    problem = caught.value.problem
    assert (problem.code, problem.status, problem.retry_after) == ("RATE_LIMIT_EXCEEDED", 429, 60)


@pytest.mark.parametrize("name", sorted(ENDPOINTS))
def test_every_operation_counts_in_its_group(name: str, version: str) -> None:
    endpoint = ENDPOINTS[name]
    api = Api(version, rate_limits={endpoint.group.value: 1})
    path = endpoint.path.replace("{id}", "7")
    first = api.send(endpoint.method, path)
    assert first.status_code != 429
    second = api.send(endpoint.method, path)
    assert refusal(second)[:2] == (429, "RATE_LIMIT_EXCEEDED")
    assert second.headers["retry-after"] == "60"


def test_the_window_slides() -> None:
    api = Api(rate_limits={"balance": 2})
    api.get("/balance")
    api.sandbox.advance(45.5)
    api.get("/balance")
    refused = api.send("GET", "/balance")
    assert refused.headers["retry-after"] == "15"
    api.sandbox.advance(14)
    assert api.send("GET", "/balance").headers["retry-after"] == "1"
    api.sandbox.advance(0.5)
    assert api.get("/balance")
    assert api.send("GET", "/balance").headers["retry-after"] == "46"


def test_both_versions_share_the_windows_and_refusals_take_no_place() -> None:
    api = Api("v1", rate_limits={"balance": 1})
    assert api.http.get("/v2/balance").status_code == 200
    assert api.refused("GET", "/balance")[0] == 429
    api.sandbox.advance(30)
    assert api.refused("GET", "/balance")[0] == 429
    api.sandbox.advance(30)
    assert api.get("/balance")


def test_what_the_token_does_not_admit_is_not_counted() -> None:
    api = Api(rate_limits={"balance": 1})
    for _ in range(3):
        assert api.http.get("/v1/balance", headers={"authorization": "Bearer wrong"}).status_code == 401
    assert api.get("/balance")


def test_a_webhook_can_be_tested_ten_times_a_minute(version: str) -> None:
    api = Api(version)
    api.patch("/webhook", webhook_url=URL)
    for _ in range(10):
        assert api.post("/webhook/test") == {"status_code": 204}
    assert api.refused("POST", "/webhook/test")[:2] == (429, "RATE_LIMIT_EXCEEDED")
    assert len(api.sandbox.deliveries) == 10


def test_limits_can_be_switched_off() -> None:
    api = Api(rate_limits=False)
    api.patch("/webhook", webhook_url=URL)
    for _ in range(30):
        assert api.post("/webhook/test")
    assert refusal(Api(rate_limits={"balance": 0}).send("GET", "/balance"))[0] == 429


@pytest.mark.parametrize("limits", [{"reads": 5}, {"balance": -1}, {"balance": True}, {"balance": 1.5}])
def test_wrong_limits_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError, match="rate_limits"):
        Sandbox(rate_limits=limits)


def test_only_so_many_orders_can_be_canceled_on_a_day(version: str) -> None:
    api = Api(version, otp_after=None, cancel_after=0, lifetime=200_000, rate_limits={"cancels_per_day": 2})
    first, second, third = api.rent(3)
    for order_id in (first, second):
        api.post("/orders/cancel", id=order_id)
    balance = api.sandbox.balance
    refused = api.send("POST", "/orders/cancel", json={"id": third})
    assert refusal(refused)[:2] == (429, "RATE_LIMIT_EXCEEDED")
    assert refused.headers["retry-after"] == str(20 * 3600 - 12)  # it is 04:00:12
    assert api.sandbox.balance == balance
    api.sandbox.advance(20 * 3600 - 12)
    assert api.post("/orders/cancel", id=third)["status"] == "CANCELED"


def test_the_documented_service_knows_no_daily_cap() -> None:
    api = Api(generation="documented", otp_after=None, cancel_after=0, rate_limits={"cancels_per_day": 0})
    (order_id,) = api.rent()
    assert api.post("/orders/cancel", id=order_id)
