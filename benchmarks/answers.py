"""The bodies that the server answers with, in today's shapes of the API."""

from __future__ import annotations

import json
import random
from typing import Any

ORDER_ID = 70_414
_FX = {"pair": "USD/IDR", "rate": 16420, "rate_as_of": "2026-06-14T03:15:00+00:00"}
_AMOUNT = {"amount": "0.5968", "currency": "USD", "canonical_amount": 9800, "canonical_currency": "IDR"}
_CAPABILITIES: dict[str, Any] = {
    "operator_id": 18,
    "operator_name": "Viettel",
    "can_finish": True,
    "can_resend": True,
    "can_cancel": False,
    "can_replace": False,
    "can_reactivate": False,
    "resend_available_at": None,
    "cancel_available_at": None,
    "replace_available_at": None,
}


def success(data: object, meta: object = None) -> bytes:
    """Write the envelope of a success."""
    envelope: dict[str, object] = {"success": True, "data": data}
    if meta is not None:
        envelope["meta"] = meta
    return json.dumps(envelope, separators=(",", ":")).encode("ascii")


def order() -> bytes:
    """Write an order as v2 shows it."""
    shown = {
        "id": ORDER_ID,
        "status": "OTP_RECEIVED",
        "created_at": "2026-06-14T04:00:12+00:00",
        "product_id": 5540,
        "catalog_product_id": 412,
        "phone_number": "+84987654321",
        "amount": _AMOUNT,
        "otp_code": "48291",
        "otp_message": "Telegram code: 48291",
        "sms_revision": 1,
        "otp_received_at": "2026-06-14T04:02:41+00:00",
        "expires_at": "2026-06-14T04:20:12+00:00",
        "canceled_at": None,
        "failed_reason": None,
    }
    return success(shown | _CAPABILITIES, {"fx": _FX})


def created() -> bytes:
    """Write what v2 answers to a purchase of one number."""
    shown = {
        "id": ORDER_ID,
        "status": "ACTIVE",
        "product_id": 5540,
        "catalog_product_id": 412,
        "amount": _AMOUNT,
        "phone_number": "+84987654321",
        "otp_code": None,
        "otp_received_at": None,
        "expires_at": "2026-06-14T04:20:12+00:00",
        "failed_reason": None,
    }
    return success({"orders": [shown | _CAPABILITIES], "failed_count": 0}, {"fx": _FX})


def active(count: int, *, with_code: bool = False) -> bytes:
    """Write so many active orders, numbered from 1."""
    rows = [
        {
            "id": number,
            "status": "OTP_RECEIVED" if with_code else "ACTIVE",
            "otp_code": f"{number:06}" if with_code else None,
            "otp_message": f"Your code is {number:06}" if with_code else None,
            "sms_revision": int(with_code),
            "otp_received_at": "2026-06-14T04:02:41+00:00" if with_code else None,
            "expires_at": "2026-06-14T04:20:12+00:00",
            "failed_reason": None,
        }
        | _CAPABILITIES
        for number in range(1, count + 1)
    ]
    return success(rows)


def products(version: str, page: int, rows: int, *, last: bool = True, prices: int = 2_000) -> bytes:
    """Write a page of products, after which there are more unless it is the last."""
    chance = random.Random(page)
    shown: list[dict[str, Any]] = []
    for number in range(rows):
        rupiah = 500 + 25 * chance.randrange(prices)
        dollars = {"amount": f"{rupiah / 16_420:.4f}", "currency": "USD"}
        ledger = {"canonical_amount": rupiah, "canonical_currency": "IDR"}
        operator = chance.random() < 0.2
        shown.append(
            {
                "id": (page * rows + number) * 3,  # those without stock are left out
                "name": f"Service {chance.randrange(300)} Country {chance.randrange(150)}",
                "country_id": chance.randrange(150),
                "platform_id": chance.randrange(300),
                "catalog_product_id": chance.randrange(45_000),
                "available": chance.randrange(5_000),
                "price": rupiah if version == "v1" else dollars | ledger,
                "active": True,
                "operator_id": 18 if operator else None,
                "operator_name": "Viettel" if operator else None,
            }
        )
    meta: dict[str, object] = {"page": page, "limit": rows if not last else rows + 1, "count": rows}
    return success(shown, meta if version == "v1" else meta | {"fx": _FX})
