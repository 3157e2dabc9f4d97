"""Rows W1..W13 of the bad-input catalogue: deliveries; only what is signed is read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeAlias

from attrs import frozen

from smscode import InvalidArgumentError, SmscodeError, WebhookPayloadError, WebhookSignatureError
from smscode.webhooks import OtpReceived, UnknownEvent, WebhookTest, sign

from .table import CANARY, brief

SECRET = f"{CANARY}-secret"
DATA: dict[str, object] = {
    "order_id": 1001,
    "phone_number": "+628123456789",
    "otp_code": "1234",
    "otp_message": "Your code is 1234",
    "product_id": 42,
    "catalog_product_id": 87,
    "country": "Indonesia",
    "platform": "WhatsApp",
}


def event(name: str = "order.otp_received", data: object = DATA, **more: object) -> bytes:
    """Make the body of a delivery."""
    return json.dumps({"event": name, "timestamp": "2026-06-14T04:00:00Z", "data": data, **more}).encode()


BODY = event()
SIGNATURE = sign(BODY, SECRET)
DIGITS = SIGNATURE.removeprefix("sha256=")
Came: TypeAlias = type[OtpReceived] | type[UnknownEvent] | type[WebhookTest]


@frozen
class Delivery:
    """A delivery, and the event it is or the error with a part of its message."""

    row: str
    body: Any
    signature: Any
    secret: Any
    expected: Came | tuple[type[SmscodeError], str]

    def __str__(self) -> str:
        return f"{self.row}: {brief(self.body)} {brief(self.signature)}"


def signed(row: str, body: bytes, expected: Came | tuple[type[SmscodeError], str]) -> Delivery:
    return Delivery(row, body, sign(body, SECRET), SECRET, expected)


NOT_BYTES = (InvalidArgumentError, "body: expected the raw bytes, got")
NO_SECRET = (InvalidArgumentError, "secret: expected the webhook secret")
SPOILED = (InvalidArgumentError, "secret: expected the webhook secret alone, found")
UNSIGNED = (WebhookSignatureError, "The webhook is not signed")
MALFORMED = (WebhookSignatureError, "is not sha256= and 64 hexadecimal digits")
ANOTHER = (WebhookSignatureError, "does not match")
NO_EVENT = (WebhookPayloadError, "$: expected a")
ODD: Sequence[object] = (None, [], 5, "", {"a": 1}, True)
NOT_IDS: Sequence[object] = (None, "1001", True, 1.0, [])
TOO_LARGE = (WebhookPayloadError, "larger than 1048576 bytes")

DELIVERIES: list[Delivery] = [
    *(
        Delivery("W1", body, SIGNATURE, SECRET, NOT_BYTES)
        for body in (BODY.decode(), bytearray(BODY), None, DATA)
    ),
    Delivery("W2", BODY, None, SECRET, UNSIGNED),
    # The documentation writes the prefix in lower case, so nothing else is one.
    *(
        Delivery("W2", BODY, signature, SECRET, MALFORMED)
        for signature in ("", "sha256=", DIGITS, f"sha1={DIGITS}", f"SHA256={DIGITS}")
    ),
    *(
        Delivery("W3", BODY, signature, SECRET, MALFORMED)
        for signature in (
            *(SIGNATURE[:-1], SIGNATURE + "0", SIGNATURE[:-1] + "g", SIGNATURE[:-2] + "  ", SIGNATURE + " "),
            *(SIGNATURE[:-1] + "\u00e9", SIGNATURE[:-1] + "\0", "sha256=" + "a" * 2**20),
        )
    ),
    Delivery("W3", BODY, f"sha256={DIGITS.upper()}", SECRET, OtpReceived),
    *(Delivery("W4", BODY, f"{SIGNATURE}{comma}{SIGNATURE}", SECRET, MALFORMED) for comma in (",", ", ")),
    Delivery(
        "W4", BODY, [SIGNATURE, SIGNATURE], SECRET, (InvalidArgumentError, "signature: expected a string")
    ),
    *(
        Delivery("W5", body, SIGNATURE, SECRET, ANOTHER)
        for body in (json.dumps(json.loads(BODY), indent=1).encode(), BODY + b"\n", b"\xef\xbb\xbf" + BODY)
    ),
    signed("W6", b"\xff\xfe" + BODY, NO_EVENT),
    signed("W6", BODY.replace(b"Indonesia", b"\xe9"), NO_EVENT),
    signed("W7", b"", NO_EVENT),
    # Which of the secrets matched is nobody's concern but the checker's.
    *(
        Delivery("W8", BODY, SIGNATURE, secrets, OtpReceived)
        for secrets in (["new", SECRET], (SECRET, "new"))
    ),
    Delivery("W8", BODY, SIGNATURE, ["new", "newer"], ANOTHER),
    *(
        Delivery("W9", BODY, sign(BODY, ""), secret, NO_SECRET)
        for secret in ("", None, [], [""], [SECRET, ""], SECRET.encode())
    ),
    *(
        Delivery("W9", BODY, SIGNATURE, spoiled, SPOILED)
        for spoiled in (
            *(SECRET + "\n", SECRET + "\r\n", " " + SECRET, "\ufeff" + SECRET, f'"{SECRET}"', f"'{SECRET}'"),
            [SECRET, SECRET + "\n"],
        )
    ),
    Delivery("W11", bytes(2**20 + 1), "never looked at", SECRET, TOO_LARGE),
    signed("W11", bytes(2**20), NO_EVENT),
    signed("W12", event("order.replaced", {"new": [1]}), UnknownEvent),
    signed("W12", event(more=1, data={**DATA, "new_field": {"x": 1}}), OtpReceived),
    # It names its order or the event is none: a known event never becomes an unknown one.
    signed("W12", event(data=None), (WebhookPayloadError, "$.data: expected an object, got null")),
    signed("W12", event("webhook.test", {"message": "ping"}), WebhookTest),
    # Of what is promised beside the order's id, nothing that is missing or odd makes it no event.
    *(
        signed("W12", event(data={**DATA, name: odd}), OtpReceived)
        for name in DATA
        if name != "order_id"
        for odd in ODD
    ),
    signed("W12", event(data={"order_id": 1001}), OtpReceived),
    signed("W12", event(timestamp=None), OtpReceived),
    signed("W12", event(timestamp="2026-06-14t04:00:00z"), OtpReceived),
    signed("W12", event("webhook.test", None), WebhookTest),
    *(
        signed(
            "W12", event(data={**DATA, "order_id": odd}), (WebhookPayloadError, "$.data.order_id: expected")
        )
        for odd in NOT_IDS
    ),
    signed("W12", b"\xef\xbb\xbf" + BODY, OtpReceived),
    signed("W13", event(data={**DATA, "order_id": 2**40}), OtpReceived),
]
