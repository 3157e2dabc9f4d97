"""The fault server's API: a request as values in, status and JSON out, for v1 and v2.

Standard library only.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.faults.ledger import Ledger, Order, Refusal

RATE = 16_250
TOKEN = "canary-5b1e0d7c9a"
BEHIND_LOOK_UP = (
    "NO_OFFER_AVAILABLE",
    "INSUFFICIENT_BALANCE",
    "PROVIDER_ERROR",
    "IDEMPOTENCY_KEY_REUSED",
)
"""Refusals of a purchase that come behind the look-up of its key."""
_PAGE = (("offset", "0"), ("limit", "20"))
_FX = {"pair": "USD/IDR", "rate": RATE, "rate_as_of": "2026-06-14T03:15:00+00:00"}
_FX_V1 = {"pair": "USD/IDR", "base_currency": "USD", "quote_currency": "IDR", "rate": RATE}
_EXPIRES, _RECEIVED = (
    "2030-06-14T04:20:12+00:00",
    "2026-06-14T04:01:00+00:00",
)


@dataclass(frozen=True)
class Asked:
    """A request, whole."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """Return the path without the query."""
        return urlsplit(self.target).path

    @property
    def key(self) -> str | None:
        """Return the idempotency key."""
        return self.headers.get("idempotency-key")

    @property
    def token(self) -> str:
        """Return the bearer token."""
        return self.headers.get("authorization", "").removeprefix("Bearer ")

    @property
    def is_create(self) -> bool:
        """Return True if this buys."""
        return self.method == "POST" and self.path.endswith(("/orders/create", "/orders/reactivate"))

    def fields(self) -> dict[str, Any]:
        """Read the body; raises `Refusal` unless it is a JSON object."""
        try:
            fields = json.loads(self.body)
        except ValueError:
            fields = None
        if not isinstance(fields, dict):
            raise Refusal(422, "VALIDATION_ERROR", "Expected a JSON object")
        return {str(name): value for name, value in fields.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]

    @property
    def intent(self) -> str:
        """Return the purchase's own name, which travels in the body, whatever its key."""
        try:
            return str(self.fields().get("prefer_provider", ""))
        except Refusal:
            return ""


@dataclass(frozen=True)
class Reply:
    """An answer before it is encoded."""

    status: int
    value: dict[str, Any]
    retry_after: int | None = None


def refusal(error: Refusal) -> Reply:
    """Write an error as the API does."""
    value = {"success": False, "error": {"code": error.code, "message": str(error)}}
    return Reply(error.status, value)


class Api:
    """The endpoints, on a ledger."""

    def __init__(self, ledger: Ledger, token: str = TOKEN) -> None:
        self.ledger = ledger
        self._token = token

    def begin(self, asked: Asked) -> Reply | None:
        """Do what comes before any latency: the token, and for a purchase its key.

        None says that there is something left to `finish`.
        """
        try:
            if asked.token != self._token:
                raise Refusal(401, "UNAUTHORIZED", "Token missing or not valid")
            if not asked.is_create:
                return None
            entry = self.ledger.look_up(asked.key, asked.body)
            return None if entry is None else self._create(asked)
        except Refusal as error:
            return refusal(error)

    def refuse(self, asked: Asked, planned: Refusal) -> Reply | None:
        """Refuse a purchase as planned; None if the service could not: its key stands for an answer."""
        if planned.code in BEHIND_LOOK_UP and asked.key in self.ledger.keys:
            return None
        try:
            self.ledger.refuse(asked.key, asked.body, planned)
        except Refusal as error:
            return refusal(error)
        raise AssertionError("a refusal that did not refuse")

    def finish(self, asked: Asked) -> Reply:
        """Do the rest: read or change the ledger, and answer."""
        try:
            return self._create(asked) if asked.is_create else self._other(asked)
        except Refusal as error:
            return refusal(error)

    def _create(self, asked: Asked) -> Reply:
        again = asked.path.endswith("/reactivate")
        orders = self.ledger.settle(asked.key, asked.body, asked.fields(), again=again)
        rows = [self._row(asked, order) for order in orders]
        return self._answer(asked, {"orders": rows, "failed_count": 0}, fx=True)

    def _other(self, asked: Asked) -> Reply:
        ledger = self.ledger
        match asked.method, asked.path.split("/")[2:]:
            case "GET", ["balance"]:
                balance: dict[str, Any] = {"balance": self._money(asked, ledger.balance, 2)}
                if asked.path.startswith("/v1"):
                    balance["currency"] = "IDR"
                return self._answer(asked, balance, fx=True)
            case "GET", ["orders", "active"]:
                live = [
                    order for order in ledger.orders.values() if order.status in ("ACTIVE", "OTP_RECEIVED")
                ]
                return self._answer(asked, [self._row(asked, order, "active") for order in reversed(live)])
            case "GET", ["orders"]:
                asked_for = parse_qs(urlsplit(asked.target).query)
                first, most = (int(asked_for.get(name, [default])[0]) for name, default in _PAGE)
                newest = list(reversed(ledger.orders.values()))
                if "status" in asked_for:
                    newest = [order for order in newest if order.status in asked_for["status"]]
                newest = newest[first : first + most]
                return self._answer(asked, [self._row(asked, order, "list") for order in newest], fx=True)
            case "GET", ["orders", order_id]:
                order = ledger.get(int(order_id) if order_id.isdigit() else None)
                return self._answer(asked, self._row(asked, order, "list"), fx=True)
            case "POST", ["orders", "cancel"]:
                order = ledger.cancel(asked.fields().get("id"))
                data = {
                    "order_id": order.id,
                    "status": order.status,
                    "refund_amount": self._money(asked, order.price, 4),
                    "new_balance": self._money(asked, ledger.balance, 2),
                }
                return self._answer(asked, data, fx=True)
            case "POST", ["orders", "finish"]:
                order = ledger.finish(asked.fields().get("id"))
                return self._answer(asked, {"order_id": order.id, "status": order.status})
            case "POST", ["orders", "resend"]:
                order = ledger.resend(asked.fields().get("id"))
                return self._answer(asked, {"order_id": order.id, "status": order.status, "resent": True})
            case "GET", ["catalog", "exchange-rate"]:
                return self._answer(asked, _FX if asked.path.startswith("/v2") else _FX_V1)
            case "GET", ["catalog", "products"]:
                return self._products(asked)
            case _:
                raise Refusal(404, "NOT_FOUND", "No such endpoint")

    def _products(self, asked: Asked) -> Reply:
        product = {
            "id": 5531,
            "name": "Telegram - Vietnam",
            "country_id": 31,
            "platform_id": 12,
            "catalog_product_id": 412,
            "available": 64,
            "price": self._money(asked, 9_800, 4),
            "active": True,
        }
        reply = self._answer(asked, [product], fx=True)
        reply.value.setdefault("meta", {}).update(page=1, limit=1000, count=1)
        return reply

    def _row(self, asked: Asked, order: Order, shape: str = "created") -> dict[str, Any]:
        row: dict[str, Any] = {
            "id": order.id,
            "status": order.status,
            "otp_code": order.code if shape != "created" else None,
            "otp_received_at": _RECEIVED if order.code is not None and shape != "created" else None,
            "expires_at": _EXPIRES,
            "failed_reason": None,
        }
        if shape == "active":
            return {**row, "otp_message": None if order.code is None else f"Code {order.code}"}
        row |= {
            "product_id": 5531,
            "catalog_product_id": order.product,
            "phone_number": f"+84{order.id:09}",
            "amount": self._money(asked, order.price, 4),
        }
        if shape == "list":
            row |= {
                "created_at": order.created,
                "canceled_at": _RECEIVED if order.status == "CANCELED" else None,
            }
        return row

    def _money(self, asked: Asked, rupiah: int, places: int) -> int | dict[str, Any]:
        if asked.path.startswith("/v1"):
            return rupiah
        dollars = (Decimal(rupiah) / RATE).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
        return {
            "amount": str(dollars),
            "currency": "USD",
            "canonical_amount": rupiah,
            "canonical_currency": "IDR",
        }

    def _answer(self, asked: Asked, data: object, *, fx: bool = False) -> Reply:
        value: dict[str, Any] = {"success": True, "data": data}
        if fx and asked.path.startswith("/v2"):
            value["meta"] = {"fx": _FX}
        return Reply(200, value)
