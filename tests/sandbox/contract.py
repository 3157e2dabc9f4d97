"""The OpenAPI document as a measure: what is sent and answered is held against it."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any, cast

import httpx
import pytest
from attrs import field, frozen

from smscode.core.api.registry import ENDPOINTS
from smscode.errors import API_ERRORS
from smscode.sandbox.http.render import Generation
from smscode.sandbox.openapi import document

jsonschema = pytest.importorskip("jsonschema")
referencing = pytest.importorskip("referencing")

_DOCUMENT = "urn:document"


@frozen
class Contract:
    """The document of one generation of the service, for both API versions."""

    generation: Generation
    document: Mapping[str, Any] = field(init=False, eq=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "document", document(self.generation))

    def problems(self, value: object, *place: str) -> list[str]:
        """Return what is wrong with a value by the schema at a place of the document."""
        found = _validator(self, place).iter_errors(value)
        return [f"{error.json_path}: {error.message}" for error in found]

    def operation(self, method: str, path: str) -> tuple[str, str] | None:
        """Return the path template and the method of a request, None where there is none such."""
        for template, item in self.document["paths"].items():
            fits = re.fullmatch(re.sub(r"\\{id\\}", "[^/]+", re.escape(template)), path)
            if fits and method.lower() in item:
                return template, method.lower()
        return None

    def content(self, operation: tuple[str, str], status: int) -> tuple[str, ...] | None:
        """Return the place of the schema of an answer, None where that status is not in the document."""
        responses = self.document["paths"][operation[0]][operation[1]]["responses"]
        found = responses.get(str(status))
        if found is None:
            return None
        place: tuple[str, ...] = ("paths", *operation, "responses", str(status))
        if "$ref" in found:
            place = ("components", "responses", found["$ref"].rpartition("/")[2])
        return (*place, "content", "application/json", "schema")

    def body(self, operation: tuple[str, str]) -> tuple[str, ...]:
        """Return the place of the schema of a request's body."""
        return ("paths", *operation, "requestBody", "content", "application/json", "schema")

    def check(self, response: httpx.Response) -> None:
        """Assert that an answer is one of those that the document states for its operation."""
        operation = self.operation(response.request.method, response.request.url.path)
        if operation is None or not response.content:
            return  # no such operation, or what a proxy would send
        answer = response.json()
        if "error" in answer and answer["error"]["code"] not in API_ERRORS:
            return  # scripted
        place = self.content(operation, response.status_code)
        assert place is not None, f"{operation}: {response.status_code} {response.text}"
        assert self.problems(answer, *place) == [], operation

    def check_event(self, event: Mapping[str, Any]) -> None:
        """Assert that the body of a webhook is one that the document states."""
        place = ("webhooks", event["event"], "post", "requestBody", "content", "application/json", "schema")
        assert self.problems(event, *place) == []


@functools.cache
def contract(generation: Generation) -> Contract:
    """Return the contract of one generation."""
    return Contract(generation)


@functools.cache
def _validator(held: Contract, place: tuple[str, ...]) -> Any:
    resource = referencing.Resource.from_contents(
        held.document, default_specification=referencing.jsonschema.DRAFT202012
    )
    registry = referencing.Registry().with_resource(_DOCUMENT, resource)
    pointer = "/".join(step.replace("~", "~0").replace("/", "~1") for step in place)
    return jsonschema.Draft202012Validator({"$ref": f"{_DOCUMENT}#/{pointer}"}, registry=registry)


def operation_of(name: str, version: str) -> tuple[str, str]:
    """Return the path template and the method of an operation."""
    endpoint = ENDPOINTS[name]
    return f"/{version}{endpoint.path}", cast(str, endpoint.method).lower()
