"""The OpenAPI document is valid, and says what the two sources, the client and the sandbox say."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from smscode import InvalidArgumentError
from smscode.core.api.registry import ENDPOINTS
from smscode.errors import API_ERRORS
from smscode.sandbox.http.render import Generation
from smscode.sandbox.openapi import Versions, document, text

from ..core.support import Sample, rows, sample_id, samples
from .contract import contract, operation_of
from .harness import URL, Api

validator = pytest.importorskip("openapi_spec_validator")


@pytest.mark.parametrize("api_version", ["v1", "v2", "both"])
def test_the_document_is_valid(generation: Generation, api_version: Versions) -> None:
    validator.validate(document(generation, api_version))


def test_the_same_arguments_give_the_same_text() -> None:
    assert text("current", "v2") == text("current", "v2")
    assert json.loads(text()) == document("current", "both")


@pytest.mark.parametrize("generation", ["documented", "current"])
def test_it_has_every_operation_of_its_generation_in_each_version(generation: Generation) -> None:
    paths = cast("dict[str, Any]", document(generation)["paths"])
    found = [operation["operationId"] for item in paths.values() for operation in item.values()]
    there = [name for name, one in ENDPOINTS.items() if generation == "current" or not one.current_only]
    named = {f"{name.replace('.', '_')}_{version}" for name in there for version in ("v1", "v2")}
    assert (len(found), {*found}) == (len(named), named)
    assert {path.split("/")[1] for path in paths} == {"v1", "v2"}


def test_products_are_filtered_by_operator_in_the_current_generation_only() -> None:
    def names(generation: Generation) -> set[str]:
        found: Any = document(generation, "v2")["paths"]
        return {parameter["name"] for parameter in found["/v2/catalog/products"]["get"]["parameters"]}

    assert names("current") - names("documented") == {"operator_id"}


def test_every_documented_code_is_somewhere_in_it() -> None:
    unused = API_ERRORS.keys() - cast("Any", document("current"))["components"]["schemas"].keys()
    assert unused == set(), "smscode/core/api: no Endpoint has this code in its refusals"
    older = cast("Any", document("documented"))["components"]["schemas"].keys()
    assert API_ERRORS.keys() - older == {"TEMP_BANNED_ABUSE_GUARD"}


@pytest.mark.parametrize("arguments", [("newest", "v1"), ("current", "v3")])
def test_there_is_no_other_generation_or_version(arguments: tuple[Any, Any]) -> None:
    with pytest.raises(InvalidArgumentError, match="expected"):
        document(*arguments)


def shape_of(sample: Sample) -> Generation:
    """Return which generation sends a sample: the older one's are valid for it and marked so."""
    documented = any(sample.name == row["name"] for row in rows("documentation"))
    return "documented" if documented or "documented shape" in sample.name else "current"


@pytest.mark.parametrize("sample", samples("success", "error"), ids=sample_id)
def test_every_sample_of_both_sources_is_in_the_document(sample: Sample) -> None:
    held = contract(shape_of(sample))
    if sample.body.get("error", {}).get("code") == "ERROR_CODE":
        return  # the documentation's placeholder
    if ENDPOINTS[sample.operation].current_only:
        held = contract("current")
    place = held.content(operation_of(sample.operation, sample.version), sample.status)
    assert place is not None
    assert held.problems(sample.body, *place) == []


@pytest.mark.parametrize("sample", samples("webhook"), ids=sample_id)
def test_every_sample_of_a_webhook_is_in_the_document(sample: Sample) -> None:
    contract(shape_of(sample)).check_event(sample.body)


@pytest.mark.parametrize("row", [row for row in rows("requests") if row["body"]], ids=lambda row: row["path"])
def test_every_body_of_the_documentation_but_the_wrong_one_is_in_the_document(row: dict[str, Any]) -> None:
    held = contract("current")
    rupiah_for_dollars = row["version"] == "v2" and row["body"].get("max_price") == 20000
    problems = held.problems(row["body"], *held.body(operation_of(row["operation"], row["version"])))
    assert bool(problems) == rupiah_for_dollars, problems


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("orders.create", {}),
        ("orders.create", {"product_id": 1, "catalog_product_id": 2}),
        ("orders.create", {"product_id": 1, "policy": "cheapest"}),
        ("orders.create", {"product_id": 1, "min_price": "1.0"}),
        ("orders.create", {"catalog_product_id": 1, "max_price": 1.5}),
        ("orders.create", {"catalog_product_id": 1, "quantity": 101}),
        ("orders.create", {"catalog_product_id": 1, "color": "red"}),
        ("orders.cancel", {"id": 0}),
        ("webhook.update", {}),
        ("webhook.update", {"webhook_url": None}),
    ],
)
def test_what_the_sandbox_refuses_is_not_in_the_document(
    operation: str, body: dict[str, Any], version: str
) -> None:
    held = contract("current")
    place = operation_of(operation, version)
    assert held.problems(body, *held.body(place))
    response = Api(version).send(place[1].upper(), ENDPOINTS[operation].path, json=body)
    assert response.status_code == 422


def examples(schema: Any) -> dict[str, Any]:
    """Return the examples of an object's fields."""
    return {name: field["examples"][0] for name, field in schema["properties"].items() if "examples" in field}


def test_the_document_states_the_default_quantity(version: str) -> None:
    create = contract("current").document["paths"][f"/{version}/orders/create"]["post"]
    for variant in create["requestBody"]["content"]["application/json"]["schema"]["oneOf"]:
        assert variant["properties"]["quantity"]["default"] == 1


def test_the_examples_can_be_tried_as_they_are(version: str) -> None:
    held, api = contract("current"), Api(version)
    schema = held.document["paths"][f"/{version}/orders/create"]["post"]["requestBody"]["content"]
    tier, routed = [examples(variant) for variant in schema["application/json"]["schema"]["oneOf"]]
    (first,) = api.post("/orders/create", **tier)["orders"]
    (second,) = api.post("/orders/create", **routed)["orders"]
    (order_id,) = held.document["paths"][f"/{version}/orders/{{id}}"]["get"]["parameters"]
    assert [first["id"]] == order_id["schema"]["examples"]
    assert second["operator_id"] == routed["operator_id"]


def test_every_webhook_that_the_sandbox_sends_is_in_the_document(generation: Generation) -> None:
    api = Api(generation=generation, otp_after=None)
    api.patch("/webhook", webhook_url=URL)
    api.post("/webhook/test")
    finished, canceled, _ = api.rent(3)
    api.sandbox.deliver_sms(finished)
    api.post("/orders/finish", id=finished)
    api.sandbox.advance(150)
    api.post("/orders/cancel", id=canceled)
    api.sandbox.advance(1200)
    events = [json.loads(delivery.body) for delivery in api.sandbox.deliveries]
    assert len({event["event"] for event in events}) == 5
    for event in events:
        contract(generation).check_event(event)
