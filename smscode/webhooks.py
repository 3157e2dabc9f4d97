"""Checks the signatures of webhooks and parses their events. No I/O.

A delivery is signed, but has neither an id nor a signed time of sending: it can arrive twice, late, and out
of order. Treat it as a hint, and ignore an event whose ``sms_revision`` is not higher than one you have seen.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import cast

from attrs import frozen

from . import _exact
from .core.api import arguments
from .core.decoding import strict_json
from .core.decoding.converter import Mismatch, salvage
from .errors import InvalidArgumentError, JsonValue, WebhookPayloadError, WebhookSignatureError
from .webhook_events import (
    ORDER_EVENTS,
    Event,
    OrderCanceled,
    OrderCompleted,
    OrderEvent,
    OrderExpired,
    OtpReceived,
    UnknownEvent,
    WebhookTest,
)

__all__ = [
    "LARGEST_BODY",
    "SIGNATURE_HEADER",
    "Event",
    "OrderCanceled",
    "OrderCompleted",
    "OrderEvent",
    "OrderExpired",
    "OtpReceived",
    "UnknownEvent",
    "WebhookTest",
    "parse",
    "receive",
    "sign",
    "verify",
]

SIGNATURE_HEADER = "X-Webhook-Signature"
LARGEST_BODY = 1024 * 1024
"""The largest body of a delivery in bytes; those of the service have less than a thousand."""

_PREFIX = "sha256="


def sign(body: bytes, secret: str) -> str:
    """Return the value of the signature header for a body, as the service sends it."""
    return _PREFIX + hmac.new(secret.encode("utf-8"), body, hashlib.sha256).hexdigest()


def verify(body: bytes, signature: str | None, secret: str | Sequence[str]) -> None:
    """Check that a delivery is signed with the account's webhook secret.

    ``body`` is the raw request body, before a framework parsed it. ``signature`` is the value of the
    X-Webhook-Signature header, None if it was not sent. ``secret`` is the account's webhook secret, or
    several while one replaces another.

    Raises `WebhookSignatureError` if the signature is missing, malformed or wrong, `WebhookPayloadError` if
    the body is larger than `LARGEST_BODY`, and `InvalidArgumentError` without a secret, for one with a line
    end, a space or quotation marks around it, and for arguments of a wrong type.
    """
    refusal = _refusal(body, signature, secret)
    del secret, body  # error reporters print the variables of every frame that raises
    if refusal is not None:
        raise refusal


def parse(body: bytes) -> Event:
    """Return the event in a body. Check its signature first, or use `receive`.

    ``body`` are the raw bytes. An event of an unknown kind is an `UnknownEvent`. A field that is missing or
    invalid is None, except the id of the order.

    Raises `WebhookPayloadError` if the body is not an event, or an event of an order without its id, and
    `InvalidArgumentError` if ``body`` is not bytes.
    """
    _check_body(body)
    found = _parsed(body)
    del body  # error reporters print the variables of every frame that raises: numbers and codes are in it
    if isinstance(found, WebhookPayloadError):
        raise found
    return found


def receive(body: bytes, signature: str | None, secret: str | Sequence[str]) -> Event:
    """Check the signature of a delivery and return its event.

    The arguments and errors are those of `verify` and `parse`. Example::

        event = receive(body, request.headers.get(SIGNATURE_HEADER), secret)
    """
    refusal = _refusal(body, signature, secret)
    del secret
    if refusal is not None:
        del body
        raise refusal
    found = _parsed(body)
    del body
    if isinstance(found, WebhookPayloadError):
        raise found
    return found


def _parsed(body: bytes) -> Event | WebhookPayloadError:
    """Return the event in a body, or the error, for a caller that has deleted its reference to the body."""
    try:
        envelope = strict_json.parse(body)
    except ValueError as error:
        return WebhookPayloadError(f"$: expected a JSON object ({error}).")
    try:
        return _event(envelope)
    except Mismatch as mismatch:
        return WebhookPayloadError(f"{mismatch}.")


@frozen
class _Envelope:
    event: str
    timestamp: datetime | None = None


def _event(body: JsonValue) -> Event:
    if type(body) is not dict:
        raise Mismatch("$", f"expected an object, got {strict_json.type_name(body)}")
    envelope = salvage("v2", body, _Envelope, "$", "event")
    data = body.get("data")
    kind = ORDER_EVENTS.get(envelope.event)
    if kind is None and envelope.event != "webhook.test":
        return UnknownEvent(envelope.event, envelope.timestamp, data)
    fields = data if type(data) is dict else {}
    fields = {**fields, "timestamp": body.get("timestamp")}  # that of the envelope, even if the data has one
    if kind is None:
        return salvage("v2", fields, WebhookTest, "$.data")
    if type(data) is not dict:
        raise Mismatch("$.data", f"expected an object, got {strict_json.type_name(data)}")
    return salvage("v2", fields, kind, "$.data", "order_id")


def _check_body(body: object) -> None:
    if not isinstance(body, bytes):
        raise InvalidArgumentError(f"body: expected the raw bytes, got {type(body).__name__}.")


def _refusal(
    body: bytes, signature: str | None, secret: str | Sequence[str]
) -> WebhookSignatureError | WebhookPayloadError | None:
    """Return the error for a wrong signature, None if it is right."""
    secrets = secret_keys(secret)
    _check_body(body)
    if len(body) > LARGEST_BODY:
        return WebhookPayloadError(f"The webhook's body is larger than {LARGEST_BODY} bytes.")
    if signature is None:
        return WebhookSignatureError("The webhook is not signed.")
    given = _exact.text(signature)
    if given is None:
        raise InvalidArgumentError(f"signature: expected a string, got {type(signature).__name__}.")
    try:
        digest = bytes.fromhex(given.removeprefix(_PREFIX))
    except ValueError:
        digest = b""
    if not given.startswith(_PREFIX) or len(given) != len(_PREFIX) + 64 or len(digest) != 32:
        return WebhookSignatureError("The webhook's signature is not sha256= and 64 hexadecimal digits.")
    # Every secret is tried, also after one that matches, so that the time reveals nothing.
    matches = [
        hmac.compare_digest(hmac.new(known, body, hashlib.sha256).digest(), digest) for known in secrets
    ]
    return None if any(matches) else WebhookSignatureError("The webhook's signature does not match.")


def secret_keys(secret: object, name: str = "secret") -> Sequence[bytes]:
    """Return the secrets as keys for the signature.

    Raises `InvalidArgumentError`, which begins with ``name``, without a secret and for one with a line end, a
    space or quotation marks around it.
    """
    secrets: Sequence[object] = ()
    if isinstance(secret, str):
        secrets = (secret,)
    elif isinstance(secret, Sequence):
        secrets = cast("Sequence[object]", secret)
    texts = [known for known in map(_exact.text, secrets) if known]
    if not texts or len(texts) != len(secrets):
        raise InvalidArgumentError(f"{name}: expected the webhook secret, or several, none of them empty.")
    return [arguments.sound_secret(name, known).encode("utf-8") for known in texts]
