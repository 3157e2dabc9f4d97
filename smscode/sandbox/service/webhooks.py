"""The account's webhook: its settings, the events it is sent, and their signature."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal, TypeAlias

from attrs import define, evolve, field, frozen

from .orders import ServiceOrder

FAILURE_LIMIT: Final = 10
DISABLED_REASON: Final = "consecutive_failed_user_endpoint"

OrderEventName: TypeAlias = Literal[
    "order.otp_received", "order.completed", "order.expired", "order.canceled"
]


@frozen
class ServiceEvent:
    """An event of an order; ``order`` is a copy of the order at that time."""

    name: OrderEventName
    at: datetime
    order: ServiceOrder


@frozen
class Delivery:
    """A webhook request: ``POST url`` with ``headers`` and ``body``.

    Its event is the one named ``event``, of the order ``order_id``. ``status`` is the HTTP status of the
    endpoint's answer, None before the answer or without one. ``attempt`` counts from 1: a failed delivery
    may be sent again. ``number`` identifies the requests for events.
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
        """Whether the endpoint accepted it: any 2xx status."""
        return self.status is not None and 200 <= self.status < 300


@define
class Webhook:
    """The webhook settings, and the failures of its endpoint in a row."""

    url: str | None = None
    secret: str | None = field(default=None, repr=False)
    disabled_at: datetime | None = None
    failures: int = 0

    @property
    def enabled(self) -> bool:
        """Whether events are sent."""
        return self.url is not None and self.disabled_at is None

    def update(self, url: str | None, secret: str | None, generated: str) -> None:
        """Change the settings that are not None; "" clears one. Failures so far are forgotten.

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
        """Count a finished delivery; `FAILURE_LIMIT` failures in a row switch the webhook off."""
        if delivery.url != self.url or self.disabled_at is not None:
            return
        self.failures = 0 if delivery.delivered else self.failures + 1
        if self.failures >= FAILURE_LIMIT:
            self.disabled_at = now

    def sign(self, body: bytes, event: ServiceEvent | None = None) -> Delivery:
        """Return the request with ``body``, signed if there is a secret; without ``event`` it is a test."""
        assert self.url is not None  # without one nothing is sent
        headers = {"Content-Type": "application/json"}
        if self.secret is not None:
            digest = hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()
            headers["X-Webhook-Signature"] = f"sha256={digest}"
        delivery = Delivery(self.url, headers, body)
        return evolve(delivery, event=event.name, order_id=event.order.id) if event else delivery
