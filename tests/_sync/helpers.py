# Generated from tests/_async/helpers.py by `nox -s generate`: change that file, not this one.

"""What the tests of one flavour share: scripted transports, answers, and sandboxes."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import httpx

from smscode import Client, Money
from smscode._concurrency import Runtime
from smscode.sandbox import Sandbox

START = datetime(2026, 6, 14, 4, 0, 12, tzinfo=UTC)
WHATSAPP_INDONESIA = 87
ACTIVE = "GET /orders/active"
HTML = httpx.Response(502, html="<html><h1>502 Bad Gateway</h1></html>")
BALANCE_V1 = b'{"success":true,"data":{"currency":"IDR","balance":1000000}}'


class Script(httpx.BaseTransport):
    """Answers requests with what it was given, one after the other, and then as ``then`` does."""

    def __init__(
        self, answers: Sequence[httpx.Response | Exception], then: httpx.BaseTransport | None = None
    ) -> None:
        self._answers = deque(answers)
        self._then = then
        self.requests: list[httpx.Request] = []
        self.closed = 0

    def add(self, *answers: httpx.Response | Exception) -> None:
        """Go on with these answers."""
        self._answers += answers

    def clear(self) -> None:
        """Forget the answers that are left."""
        self._answers.clear()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self._answers:
            answer = self._answers.popleft()
            if isinstance(answer, Exception):
                raise answer
            return answer
        assert self._then is not None, "the script is over"
        return self._then.handle_request(request)

    def close(self) -> None:
        self.closed += 1


def still_sandbox(**options: Any) -> Sandbox:
    """Make a sandbox whose time stands still until it is advanced."""
    defaults: dict[str, Any] = {"clock": lambda: START}
    return Sandbox(**(defaults | options))


def success(data: object, **meta: object) -> httpx.Response:
    """Make the answer of a service that did what it was asked."""
    envelope = {"success": True, "data": data, **({"meta": meta} if meta else {})}
    return httpx.Response(200, json=envelope)


def refusal(status: int, code: str | None = None, headers: dict[str, str] | None = None) -> httpx.Response:
    """Make an error answer; without a code that of a proxy, which has no body."""
    if code is None:
        return httpx.Response(status, headers=headers)
    error = {"code": code, "message": "Scripted"}
    return httpx.Response(status, headers=headers, json={"success": False, "error": error})


def shown(money: Money | None) -> tuple[str, str, int]:
    """Return all of an amount: two of them are equal as soon as their rupiah are."""
    assert money is not None
    assert money.canonical_currency == "IDR"
    return str(money.amount), money.currency, money.canonical_amount


def body_of(request: httpx.Request) -> Any:
    """Return what a request's body says."""
    return json.loads(request.content)


def idle_lanes(client: Client) -> list[object]:
    """Return the lanes that wait for the next request."""
    return [lane for _, lane in client._driver._connections._idle]


def rent(client: Client, **options: Any) -> int:
    """Rent a number and return its order's id."""
    wish: dict[str, Any] = {"catalog_product_id": WHATSAPP_INDONESIA}
    created = client.orders.create(**(wish | options))
    return created.orders[0].id


def until(condition: Any) -> None:
    """Wait, really, until something is so that another task or thread brings about."""
    runtime = Runtime()
    give_up = runtime.now() + 10
    while not condition():
        assert runtime.now() < give_up, "it never came to that"
        runtime.sleep(0.001)
