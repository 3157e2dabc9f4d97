"""The account's webhook: its settings, the events it is sent, and their signature."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal, TypeAlias

from attrs import define, field, frozen

from .orders import ServiceOrder

FAILURE_LIMIT: Final = 10
DISABLED_REASON: Final = "consecutive_failed_user_endpoint"

OrderEventName: TypeAlias = Literal[
    "order.otp_received", "order.completed", "order.expired", "order.canceled"
]


@frozen
class ServiceEvent:
    """Something that happened to an order: ``order`` is a copy of it as it was then."""

    name: OrderEventName
    at: datetime
    order: ServiceOrder


@frozen
class Delivery:
    """A webhook request: ``POST url`` with ``headers`` and ``body``.

    It tells of the ``event`` of that name, of the order ``order_id``. ``status`` is the HTTP status that
    the endpoint answered, None before that or when it gave none. ``attempt`` counts from 1: what fails
    may be sent again. ``number`` tells the requests for events apart.
    """

    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes
    status: int | None = None
    attempt: int = 1
    event: str = "webhook.test"
    order_id: int | None = None
    number: int = 0

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

    def sign(self, body: bytes, event: ServiceEvent | None = None) -> Delivery:
        """Make the request that carries ``body``, signed when there is a secret; without ``event`` a test."""
        assert self.url is not None  # nothing is sent without one
        headers = {"Content-Type": "application/json"}
        if self.secret is not None:
            digest = hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()
            headers["X-Webhook-Signature"] = f"sha256={digest}"
        if event is None:
            return Delivery(self.url, headers, body)
        return Delivery(self.url, headers, body, event=event.name, order_id=event.order.id)
