"""The account's webhook: its settings, the events it is sent, and their signature."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from ipaddress import ip_address
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

from attrs import define, field, frozen

from .orders import Order

FAILURE_LIMIT: Final = 10
DISABLED_REASON: Final = "consecutive_failed_user_endpoint"

OrderEvent: TypeAlias = Literal["order.otp_received", "order.completed", "order.expired", "order.canceled"]


@frozen
class Event:
    """Something that happened to an order: ``order`` is a copy of it as it was then."""

    name: OrderEvent
    at: datetime
    order: Order


@frozen
class Delivery:
    """A webhook request: ``POST url`` with ``headers`` and ``body``.

    ``status`` is the HTTP status that the endpoint answered, None before that or when it gave none.
    """

    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes
    status: int | None = None

    @property
    def delivered(self) -> bool:
        """Whether the endpoint took it: any 2xx status."""
        return self.status is not None and 200 <= self.status < 300


@define
class Webhook:
    """The webhook settings, and how its endpoint has been doing."""

    url: str | None = None
    secret: str | None = field(default=None, repr=False)
    disabled_at: datetime | None = None
    failures: int = 0

    @property
    def enabled(self) -> bool:
        """Whether events are sent."""
        return self.url is not None and self.disabled_at is None

    def update(self, url: str | None, secret: str | None, generated: str) -> None:
        """Change what is given; "" clears. Either way the endpoint gets a fresh start.

        ``generated`` becomes the secret when a URL is set while there is none.
        """
        if secret is not None:
            self.secret = secret or None
        if url is not None:
            self.url = url or None
            if self.url and self.secret is None and secret is None:
                self.secret = generated
        self.disabled_at = None
        self.failures = 0

    def record(self, delivery: Delivery, now: datetime) -> None:
        """Count a finished delivery; too many failures in a row switch the webhook off."""
        if delivery.url != self.url or self.disabled_at is not None:
            return
        self.failures = 0 if delivery.delivered else self.failures + 1
        if self.failures >= FAILURE_LIMIT:
            self.disabled_at = now

    def sign(self, body: bytes) -> Delivery:
        """Make the request that carries ``body``; it is signed when there is a secret."""
        assert self.url is not None  # nothing is sent without one
        headers = {"Content-Type": "application/json"}
        if self.secret is not None:
            digest = hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()
            headers["X-Webhook-Signature"] = f"sha256={digest}"
        return Delivery(self.url, headers, body)


def _local(host: str) -> tuple[bool, bool]:
    """Tell whether a host is loopback, and whether it is any address not on the public internet."""
    if host == "localhost" or host.endswith(".localhost"):
        return True, True
    try:
        address = ip_address(host)
    except ValueError:
        return False, False
    return address.is_loopback, not address.is_global


def url_problem(url: str, *, allow_local: bool) -> str | None:
    """Say what is wrong with a webhook URL, or None. Names are not resolved: nothing is sent."""
    if any(character <= " " or character == "\x7f" for character in url):
        return "must be a URL"
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        return "must be a URL"
    loopback, private = _local(host or "")
    if host and loopback and allow_local and parts.scheme in ("http", "https"):
        return None
    if parts.scheme != "https" or not host:
        return "must be an https:// URL"
    return "must not be a private, reserved or internal address" if private else None
