"""What the tests of the core share: one call per operation, responses made by hand, the samples."""

from __future__ import annotations

import inspect
import json
import os
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, cast

import pytest
from attrs import evolve, frozen

from smscode import ActiveOrder, OrderStatus, SmscodeError, calls
from smscode.core import answers
from smscode.core.api.call import Answer, Call, Response
from smscode.core.api.registry import ENDPOINTS
from smscode.core.decoding.body import BodyError
from smscode.core.versions import ApiVersion

E = TypeVar("E")
T = TypeVar("T")

RUNS = int(os.environ.get("SMSCODE_CORE_RUNS", "1"))  # times as many examples: ``nox -s invariants``
KEY = "key-1"
REQUEST_ID = "req-7f3a"
VERSIONS: tuple[ApiVersion, ...] = ("v1", "v2")

Builder: TypeAlias = Callable[..., Call[Any]]

_NEEDED: Mapping[str, int] = {"country_id": 6, "platform_id": 3, "order_id": 1001}
_OPTIONAL: Mapping[str, Mapping[str, Any]] = {
    "catalog.services": {"country_id": 6},
    "catalog.products": {"country_id": 6, "platform_id": 3, "limit": 10},
    "orders.list": {"limit": 5, "offset": 15, "status": "ACTIVE"},
    "orders.create": {"product_id": 142, "idempotency_key": KEY},
    "orders.reactivate": {"idempotency_key": KEY},
    "webhook.update": {"url": "https://example.com/webhook"},
}


def builder(operation: str) -> Builder:
    """Return the function of `smscode.calls` that builds an operation's calls."""
    area, _, action = operation.partition(".")
    found: Builder = getattr(getattr(calls, area), action)
    return found


def arguments_of(build: Builder) -> Mapping[str, Any]:
    """Return example values for the arguments that a builder must be given."""
    parameters = inspect.signature(build).parameters.values()
    return {one.name: _NEEDED[one.name] for one in parameters if one.default is one.empty}


def example(operation: str) -> Call[Any]:
    """Build a call of an operation."""
    build = builder(operation)
    return build(**arguments_of(build), **_OPTIONAL.get(operation, {}))


CALLS: Mapping[str, Call[Any]] = {operation: example(operation) for operation in ENDPOINTS}
"""A call of every operation, with the arguments of the documentation's own examples."""


@frozen
class Sample:
    """A JSON text printed by a source; ``body`` is its value as `json` reads it."""

    name: str
    kind: str
    version: ApiVersion
    operation: str
    status: int
    headers: Mapping[str, str]
    body: dict[str, Any]

    def response(self) -> Response:
        """Make the response that brings this sample."""
        return respond(self.body, self.status, {**self.headers, "x-request-id": REQUEST_ID})


def rows(source: str) -> list[dict[str, Any]]:
    """Read a file of samples."""
    text = (Path(__file__).parent / "samples" / f"{source}.json").read_text(encoding="utf-8")
    return cast("list[dict[str, Any]]", json.loads(text))


def samples(*kinds: str) -> list[Sample]:
    """Return the samples of some kinds from both sources, one for each version they are valid for."""
    return [
        Sample(
            row["name"], row["kind"], version, row["operation"], row["status"], row["headers"], row["body"]
        )
        for source in ("documentation", "examples")
        for row in rows(source)
        for version in row["versions"]
        if row["kind"] in kinds
    ]


def sample_id(value: object) -> str | None:
    """Return a test case's name, that of its sample."""
    return f"{value.version} {value.name}" if isinstance(value, Sample) else None


def respond(
    body: object = None,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    *,
    raw: bytes | None = None,
) -> Response:
    """Make a response with a JSON body, or with ``raw`` bytes."""
    content = json.dumps(body).encode() if raw is None else raw
    return Response(status, {} if headers is None else headers, content)


def success(data: object, **meta: object) -> Response:
    """Make a successful response."""
    body: dict[str, object] = {"success": True, "data": data}
    return respond({**body, "meta": meta} if meta else body)


def refusal(code: object, status: int, headers: Mapping[str, str] | None = None, **error: object) -> Response:
    """Make a response with the error envelope."""
    return respond({"success": False, "error": {"code": code, "message": "No.", **error}}, status, headers)


def finish(steps: Generator[object, None, T]) -> T:
    """Run something that pauses to its end."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return cast("T", end.value)


def read(operation: str, response: Response, version: ApiVersion = "v2") -> Answer[Any]:
    """Read a response to an operation, asked about the order that the response is about."""
    call = CALLS[operation]
    named = re.search(rb'"(?:order_)?id":\s*(\d+)', response.body)
    if call.subject is not None and named is not None:
        call = evolve(call, subject=int(named[1]))
    return finish(answers.read(call, response, version))


def error_of(operation: str, response: Response, version: ApiVersion = "v2") -> SmscodeError:
    """Read a response that is no result, and return its error."""
    with pytest.raises(SmscodeError) as caught:
        read(operation, response, version)
    return caught.value


def problem_of(operation: str, response: Response, version: ApiVersion = "v2") -> str:
    """Read a list and return what is wrong with the one row that was left out, as an error would say it."""
    answer = read(operation, response, version)
    (problem,) = answer.problems
    assert getattr(answer.data, "problems", (str(problem),)) == (str(problem),)
    return f"{problem}."


def attempt(run: Callable[[], object]) -> object:
    """Return a result, or the expected error that came instead; any other error is a defect."""
    try:
        return run()
    except (SmscodeError, BodyError) as error:
        return error


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Return every (container, key) in a JSON object or array, outside in."""
    keys: Iterable[Any] = value.keys() if hasattr(value, "keys") else range(len(value))
    for key in list(keys):
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from places(value[key])


def usd(amount: str, canonical: int) -> dict[str, object]:
    """Make a money object as v2 sends it."""
    return {
        "amount": amount,
        "currency": "USD",
        "canonical_amount": canonical,
        "canonical_currency": "IDR",
    }


def exactly(value: object) -> tuple[type, str]:
    """Return a value's type and text: True is not 1, and 1.0 is not 1."""
    return type(value), str(value)


FX: dict[str, object] = {"pair": "USD/IDR", "rate": 16250, "rate_as_of": "2026-05-27T08:00:00+00:00"}

PRODUCT: dict[str, object] = {"id": 142, "available": 42, "price": 15000, "active": True}
ORDER: dict[str, object] = {
    "id": 1001,
    "status": "ACTIVE",
    "created_at": "2026-02-25T10:00:00+00:00",
    "product_id": 142,
    "phone_number": "+6281234567890",
    "amount": 15000,
    "otp_code": None,
    "otp_received_at": None,
    "expires_at": "2026-02-25T10:20:00+00:00",
    "canceled_at": None,
    "failed_reason": None,
}
NULLABLE = sorted(ORDER.keys() - {"id", "status", "product_id", "amount"})
"""The fields of an order that the schema allows to be null."""

PAGE: dict[str, object] = {"page": 1, "limit": 10, "count": 1}

NOT_INTEGERS: Sequence[object] = (True, 1.0, 1.9, "1", b"1", Decimal(1), [1], {}, object())
"""What looks like an int, and is none."""

WHEN = datetime(2026, 2, 25, 10, 5, tzinfo=UTC)


def active_order(
    order_id: int = 1,
    code: str | None = None,
    text: str | None = None,
    revision: int | None = None,
    status: OrderStatus | str = OrderStatus.ACTIVE,
    **others: Any,
) -> ActiveOrder:
    """Make an order as a poll shows it."""
    shown: dict[str, Any] = {
        "id": order_id,
        "status": status,
        "otp_code": code,
        "otp_message": text,
        "otp_received_at": WHEN,
        "expires_at": None,
        "failed_reason": None,
        "sms_revision": revision,
    }
    return ActiveOrder(**(shown | others))


def order_event(
    kind: Callable[..., E],
    order_id: int = 1,
    *,
    code: str | None = None,
    text: str | None = None,
    revision: int | None = None,
    second: int = 0,
    **capabilities: object,
) -> E:
    """Make what a webhook says of an order, at a ``second``."""
    return kind(
        timestamp=WHEN.replace(second=second),
        order_id=order_id,
        phone_number=None,
        otp_code=code,
        otp_message=text,
        product_id=1,
        catalog_product_id=None,
        country=None,
        platform=None,
        sms_revision=revision,
        **capabilities,
    )
