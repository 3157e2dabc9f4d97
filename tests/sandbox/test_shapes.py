"""The exact fields of both generations."""

from __future__ import annotations

import json
from collections.abc import Set as AbstractSet

import pytest

from .harness import URL, Api

CAPABILITIES = {
    *("can_finish", "can_resend", "can_cancel", "can_replace", "can_reactivate"),
    *("resend_available_at", "cancel_available_at", "replace_available_at"),
}
OPERATOR = {"operator_id", "operator_name"}
SUMMARY = {
    *("id", "status", "created_at", "product_id", "phone_number", "amount", "otp_code", "otp_received_at"),
    *("expires_at", "canceled_at", "failed_reason"),
}
ACTIVE = {"id", "status", "otp_code", "otp_message", "otp_received_at", "expires_at", "failed_reason"}
CREATED = {
    *("id", "status", "product_id", "catalog_product_id", "amount", "phone_number", "otp_code"),
    *("otp_received_at", "expires_at", "failed_reason"),
}
WEBHOOK = {
    *("order_id", "phone_number", "otp_code", "otp_message", "product_id", "catalog_product_id", "country"),
    "platform",
}
CONFIG = {"webhook_url", "webhook_secret"}
PRODUCT = {"id", "name", "country_id", "platform_id", "catalog_product_id", "available", "price", "active"}
SHAPES = {
    "documented": (SUMMARY, ACTIVE, CREATED, WEBHOOK, CONFIG, PRODUCT),
    "current": (
        SUMMARY | CAPABILITIES | OPERATOR | {"catalog_product_id", "otp_message", "sms_revision"},
        ACTIVE | CAPABILITIES | OPERATOR | {"sms_revision"},
        CREATED | CAPABILITIES | OPERATOR,
        WEBHOOK | CAPABILITIES | OPERATOR | {"sms_revision"},
        CONFIG | {"webhook_disabled_at", "webhook_disabled_reason", "webhook_consecutive_failures"},
        PRODUCT | OPERATOR,
    ),
}


def test_the_shapes_have_the_sizes_of_the_two_sources() -> None:
    assert [len(shape) for shape in SHAPES["documented"]] == [11, 7, 10, 8, 2, 8]
    assert [len(shape) for shape in SHAPES["current"]] == [24, 18, 20, 19, 5, 10]


@pytest.mark.parametrize("generation", ["documented", "current"])
def test_every_shape_has_exactly_its_fields(version: str, generation: str) -> None:
    api = Api(version, generation=generation)
    config = api.patch("/webhook", webhook_url=URL)
    (created,) = api.post("/orders/create", product_id=142)["orders"]
    api.sandbox.advance(2)
    seen: list[AbstractSet[str]] = [
        api.order(created["id"]).keys(),
        api.get("/orders/active")[0].keys(),
        created.keys(),
        json.loads(api.sandbox.deliveries[0].body)["data"].keys(),
        config.keys(),
        api.get("/catalog/products")[0].keys(),
    ]
    assert [set(keys) for keys in seen] == list(SHAPES[generation])
    assert set(api.get("/orders")[0]) == SHAPES[generation][0]


def test_the_documented_service_has_no_newer_endpoints(version: str) -> None:
    api = Api(version, generation="documented")
    for method, path in (
        ("GET", "/catalog/operators"),
        ("POST", "/orders/reactivate"),
        ("GET", "/orders/1001/reactivate-options"),
    ):
        assert api.refused(method, path)[:2] == (404, "NOT_FOUND")


def test_the_documented_service_knows_no_operators(version: str) -> None:
    api = Api(version, generation="documented")
    assert api.get("/catalog/products", operator_id=1) == api.get("/catalog/products")
    answer = api.refused("POST", "/orders/create", catalog_product_id=87, operator_id=1)
    assert (answer[1], set(answer[2]["fields"])) == ("VALIDATION_ERROR", {"operator_id"})
