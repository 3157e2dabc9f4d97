"""Requests by hand: what may be sent, and in which group it counts."""

from __future__ import annotations

from typing import Any, cast

import pytest

from smscode import InvalidArgumentError
from smscode.core.api.call import CallKind
from smscode.core.api.registry import ENDPOINTS
from smscode.core.api.request import METHODS, request
from smscode.models import EndpointGroup

PURCHASES = [endpoint.path for endpoint in ENDPOINTS.values() if endpoint.kind is CallKind.CREATE]
WRITES = [method for method in METHODS if method not in ("GET", "HEAD")]


def test_a_request_is_sent_as_it_was_described() -> None:
    sent = request(
        "patch", "/orders/1001/note", params={"page": 2, "text": "a b", "none": None}, json={"deep": [{}]}
    ).request("v1")
    assert (sent.method, sent.path) == ("PATCH", "/v1/orders/1001/note")
    assert sent.query == (("page", "2"), ("text", "a b"))
    assert sent.headers == (("accept", "application/json"), ("content-type", "application/json"))
    assert sent.body == b'{"deep":[{}]}'


def test_a_request_without_a_body_has_none() -> None:
    sent = request("DELETE", "/webhook").request("v2")
    assert (sent.path, sent.query, sent.body) == ("/v2/webhook", (), None)
    assert sent.headers == (("accept", "application/json"),)


def test_reports_name_the_path_without_its_numbers() -> None:
    assert request("GET", "/orders/1001/messages/2").endpoint.path == "/orders/{id}/messages/{id}"


@pytest.mark.parametrize("method", METHODS)
def test_only_reads_may_be_repeated(method: str) -> None:
    assert request(method, "/new").endpoint.kind is (
        CallKind.READ if method in ("GET", "HEAD") else CallKind.OTHER
    )


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "orders", "//orders", "/orders//1", "https://example.com/", "//example.com/", "/a\\b"),
        *("/orders?x=1", "/orders#x", "/orders/../balance", "/..", "/orders/./create", "/.", "/o/%2e%2e"),
        *("/orders/%63reate", "/orders/create;x", "/a b", "/a\n", "/ä", "/a\0", "/" + "a" * 2048),
    ],
)
def test_a_path_that_could_mean_something_else_is_refused(path: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^path: expected one such as '/orders/1001'"):
        request("GET", path)


@pytest.mark.parametrize("path", ["/v1", "/v2/orders", "/V3/orders", "/v2/"])
def test_the_version_is_the_clients(path: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^path: expected no version"):
        request("GET", path)


@pytest.mark.parametrize(
    "path",
    [
        *("/verify", "/v2x", "/orders/v2", "/orders/a..b", "/orders/", "/orders/createx"),
        "/" + "a" * 2047,
    ],
)
def test_other_paths_are_free(path: str) -> None:
    call = request("POST", path)
    assert (call.path, call.endpoint.name) == (path, "request")


@pytest.mark.parametrize("form", ["{}", "{}/"])
@pytest.mark.parametrize("method", [*WRITES, "post"])
@pytest.mark.parametrize("path", [*PURCHASES, *(path.upper() for path in PURCHASES)])
def test_nothing_is_bought_by_hand(method: str, path: str, form: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"buys, so use client\.orders\.(create|reactivate)\.$"):
        request(method, form.format(path))
    assert request("GET", form.format(path)).endpoint.kind is CallKind.READ


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"method": "OPTIONS"}, "method"),
        ({"method": b"GET"}, "method"),
        ({"path": None}, "path"),
        ({"params": "a=1"}, "params"),
        ({"params": {"a": 1.5}}, "params"),
        ({"params": {"a": True}}, "params"),
        ({"params": {None: "a"}}, "params"),
        ({"params": {"a": "\ud800"}}, "params"),
        ({"method": "GET", "json": {}}, "json"),
        ({"json": [1]}, "json"),
        ({"json": {"a": {1}}}, "json"),
        ({"json": {"a": float("nan")}}, "json"),
        ({"group": "orders"}, "group"),
    ],
)
def test_a_wrong_argument_is_named(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"^{named}: "):
        cast(Any, request)(**({"method": "POST", "path": "/new"} | arguments))


@pytest.mark.parametrize(
    ("path", "group"),
    [
        *((endpoint.path.replace("{id}", "7"), endpoint.group) for endpoint in ENDPOINTS.values()),
        ("/orders/7/messages", "order_queries"),
        ("/orders/export", "order_queries"),
        ("/orders/cancel/all", "cancel"),
        ("/orders/finish/", "order_actions"),
        ("/catalog/cities", "catalog"),
        ("/balance/history", "balance"),
        ("/webhook/log", "webhook_config"),
        ("/webhook/test/1", "webhook_test"),
        ("/ordersx", "order_actions"),
        ("/numbers/7", "order_actions"),
    ],
)
def test_a_request_counts_where_the_nearest_endpoint_does(path: str, group: str) -> None:
    assert request("GET", path).endpoint.group == group


def test_the_group_may_be_named() -> None:
    assert request("POST", "/catalog/x", group="Webhook_Test").endpoint.group is EndpointGroup.WEBHOOK_TEST
