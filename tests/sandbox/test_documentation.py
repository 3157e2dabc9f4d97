"""The documented generation sends what the documentation prints, and takes what it shows being sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any, TypeAlias, cast

import pytest

from smscode.sandbox import Behaviour, Message

from ..core.support import Sample, rows, sample_id, samples
from .harness import Api

Shape: TypeAlias = "str | list[Shape] | dict[str, Shape]"

HOOK = "https://example.com/webhook"
MESSAGE = Message(300, "Your verification code is 123456", "123456")


def printed(kind: str) -> list[Sample]:
    """Return the documentation's samples of a kind, but for its placeholder of an error."""
    many = sum(len(row["versions"]) for row in rows("documentation") if row["kind"] == kind)
    return [sample for sample in samples(kind)[:many] if "ERROR_CODE" not in sample.name]


def shape(value: object) -> Shape:
    """Return the fields of a JSON value in their order, and the type of each."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in cast("dict[str, object]", value).items()}
    if isinstance(value, list):
        return [shape(item) for item in cast("list[object]", value)]
    return type(value).__name__


def api(sample: Sample) -> Api:
    """Return an account with the two orders of the documentation: one with its code, and a newer one."""
    service = Api(sample.version, generation="documented", balance=530_000, answer=200)
    service.sandbox.set_behaviour(Behaviour(messages=(MESSAGE,)))
    service.patch("/webhook", webhook_url=HOOK)
    assert service.rent() == [1001]
    service.sandbox.advance(300)
    return service


def again(service: Api) -> Any:
    return service.send("POST", "/orders/create", json={"catalog_product_id": 87}).json()


def active(service: Api) -> Any:
    service.rent()
    envelope = service.send("GET", "/orders/active").json()
    envelope["data"].sort(key=itemgetter("id"))  # the documentation prints the older one first
    return envelope


def listed(service: Api) -> Any:
    service.rent()
    return service.send("GET", "/orders", params={"status": "ACTIVE", "limit": 5}).json()


def canceled(service: Api) -> Any:
    service.rent()
    service.sandbox.advance(120)
    return service.send("POST", "/orders/cancel", json={"id": 1002}).json()


def act(action: str) -> Callable[[Api], Any]:
    return lambda service: service.send("POST", f"/orders/{action}", json={"id": 1001}).json()


def read(path: str, **params: Any) -> Callable[[Api], Any]:
    return lambda service: service.send("GET", path, params=params).json()


ASKED: Mapping[str, Callable[[Api], Any]] = {
    "catalog.countries": read("/catalog/countries"),
    "catalog.services": read("/catalog/services", country_id=6),
    "catalog.products": read("/catalog/products", country_id=6, platform_id=3, limit=1),
    "catalog.exchange_rate": read("/catalog/exchange-rate"),
    "balance.get": read("/balance"),
    "orders.list": listed,
    "orders.get": read("/orders/1001"),
    "orders.active": active,
    "orders.create": again,
    "orders.cancel": canceled,
    "orders.finish": act("finish"),
    "orders.resend": act("resend"),
    "webhook.get": read("/webhook"),
    "webhook.update": lambda service: service.send("PATCH", "/webhook", json={"webhook_url": HOOK}).json(),
    "webhook.test": lambda service: service.send("POST", "/webhook/test").json(),
}


@pytest.mark.parametrize("sample", printed("success"), ids=sample_id)
def test_every_answer_has_the_fields_and_types_that_are_printed(sample: Sample) -> None:
    answer = ASKED[sample.operation](api(sample))
    if sample.operation in ("catalog.countries", "catalog.services"):
        answer["data"] = answer["data"][:1]  # the documentation prints one of them
    assert shape(answer) == shape(sample.body)
    assert json.dumps(shape(answer)) == json.dumps(shape(sample.body)), "in the same order, too"


SAME = {
    *("catalog.countries", "catalog.services", "catalog.exchange_rate", "orders.finish", "orders.resend"),
    *("webhook.test",),
}
"""What has nothing in it that is made up or a time."""


@pytest.mark.parametrize(
    "sample", [sample for sample in printed("success") if sample.operation in SAME], ids=sample_id
)
def test_many_answers_are_printed_literally(sample: Sample) -> None:
    answer, wanted = ASKED[sample.operation](api(sample)), json.loads(json.dumps(sample.body))
    if isinstance(answer["data"], list):
        answer["data"] = cast("list[object]", answer["data"])[:1]
    if "rate_as_of" in wanted["data"]:
        wanted["data"]["rate_as_of"] = answer["data"]["rate_as_of"]
    assert answer == wanted


@pytest.mark.parametrize("sample", printed("webhook"), ids=sample_id)
def test_the_webhook_has_the_fields_and_types_that_are_printed(sample: Sample) -> None:
    (delivery,) = api(sample).sandbox.deliveries
    event = json.loads(delivery.body)
    assert json.dumps(shape(event)) == json.dumps(shape(sample.body))
    assert event["event"] == sample.body["event"]
    assert (event["data"]["country"], event["data"]["platform"]) == ("Indonesia", "WhatsApp")


@pytest.mark.parametrize("sample", printed("error"), ids=sample_id)
def test_the_error_is_printed_literally(sample: Sample) -> None:
    service = api(sample)
    service.sandbox.set_rate(None)
    response = service.send("GET", "/balance")
    assert (response.status_code, response.json()) == (sample.status, sample.body)


def test_all_that_is_printed_is_compared() -> None:
    assert [len(printed(kind)) for kind in ("success", "webhook", "error")] == [36, 2, 1]
    assert {sample.operation for sample in printed("success")} == ASKED.keys()


@pytest.mark.parametrize("row", rows("requests"), ids=lambda row: f"{row['method']} {row['path']}")
def test_every_request_that_is_printed_is_served(row: dict[str, Any]) -> None:
    service = Api(row["version"], generation="documented", balance=530_000, otp_after=None)
    service.patch("/webhook", webhook_url=HOOK)
    service.rent()
    if row["operation"] in ("orders.finish", "orders.resend"):
        service.sandbox.deliver_sms(1001)
    service.sandbox.advance(120)
    path = row["path"].removeprefix(f"/{row['version']}")
    options: dict[str, Any] = {"params": row["query"]}
    if row["body"] is not None:
        options["json"] = row["body"]
    if row["idempotency_key"] is not None:
        options["headers"] = {"Idempotency-Key": row["idempotency_key"]}
    response = service.send(row["method"], path, **options)
    body: dict[str, Any] = row["body"] or {}
    rupiah_for_dollars = row["version"] == "v2" and body.get("max_price") == 20000
    assert response.status_code == (422 if rupiah_for_dollars else 200), response.text
