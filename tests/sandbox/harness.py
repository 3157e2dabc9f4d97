"""A client of the sandbox that is as plain as can be: JSON in, JSON out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx

from smscode.sandbox import Delivery, Sandbox

from .contract import contract

START = datetime(2026, 6, 14, 4, 0, 12, tzinfo=UTC)
URL = "https://hooks.example.net/sms"


class Api:
    """One API version of a sandbox whose time stands still until it is advanced."""

    def __init__(self, version: str = "v1", *, answer: int | Exception = 204, **options: Any) -> None:
        def deliver(delivery: Delivery) -> int:
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer

        self.answer = answer
        defaults: dict[str, Any] = {"clock": lambda: START, "deliver": deliver}
        self.sandbox = Sandbox(**{**defaults, **options})
        self.version = version
        self.contract = contract(options.get("generation", "current"))
        self.http = httpx.Client(
            transport=self.sandbox.transport(),
            base_url="http://sandbox",
            headers={"authorization": f"Bearer {self.sandbox.token}"},
        )

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        response = self.http.request(method, f"/{self.version}{path}", **options)
        self.contract.check(response)
        return response

    def get(self, path: str, **params: Any) -> Any:
        """Return the data of a successful answer."""
        return _data(self.send("GET", path, params=params))

    def post(self, path: str, key: str | None = None, **fields: Any) -> Any:
        return _data(self.send("POST", path, json=fields, headers=_key(key)))

    def patch(self, path: str, **fields: Any) -> Any:
        return _data(self.send("PATCH", path, json=fields))

    def refused(self, method: str, path: str, key: str | None = None, **fields: Any) -> tuple[int, str, Any]:
        """Return the status, the code and the details of a refusal."""
        if method == "GET":
            return refusal(self.send(method, path, params=fields))
        return refusal(self.send(method, path, json=fields, headers=_key(key)))

    def rent(self, quantity: int = 1, **fields: Any) -> list[int]:
        """Return the ids of new orders."""
        wish = fields or {"product_id": 142}
        orders = self.post("/orders/create", quantity=quantity, **wish)["orders"]
        return [order["id"] for order in orders]

    def order(self, order_id: int) -> Any:
        return self.get(f"/orders/{order_id}")


def refusal(response: httpx.Response) -> tuple[int, str, Any]:
    envelope = response.json()
    assert envelope["success"] is False
    assert envelope.keys() == {"success", "error"}
    assert envelope["error"].keys() <= {"code", "message", "details"}
    return response.status_code, envelope["error"]["code"], envelope["error"].get("details")


def wrong_fields(answer: tuple[int, str, Any]) -> set[str]:
    """Return the names of the fields that a validation error complains about."""
    status, code, details = answer
    assert (status, code) == (422, "VALIDATION_ERROR")
    return set(details["fields"])


def _data(response: httpx.Response) -> Any:
    envelope = response.json()
    assert response.status_code == 200, envelope
    assert envelope["success"] is True
    return envelope["data"]


def _key(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Idempotency-Key": key}
