"""The queue of webhooks: new ones, which jitter may delay, and failed ones that are sent again."""

from __future__ import annotations

import heapq
from datetime import datetime, timedelta
from typing import Final

from attrs import evolve

from ..service.webhooks import Delivery, Webhook

RETRY_AFTER: Final = (2.0, 8.0, 32.0, 128.0)
"""Seconds before the second attempt, the third, and so on; after the last there is no further attempt."""


class DeliveryQueue:
    """Deliveries by number: ``waiting``, with due times, and ``in_flight``; ``total`` counts all so far."""

    def __init__(self) -> None:
        self.waiting: dict[int, tuple[datetime, Delivery]] = {}
        self.in_flight: dict[int, Delivery] = {}
        self.total: int = 0
        self._due: list[tuple[datetime, int]] = []

    def put(self, delivery: Delivery, at: datetime) -> None:
        """Add a delivery that is due at a time."""
        self.total += 1
        self.waiting[self.total] = at, evolve(delivery, number=self.total)
        heapq.heappush(self._due, (at, self.total))

    def index(self, now: datetime) -> None:
        """Sort what a snapshot restored; what was in flight then may be lost, so it is sent again."""
        for number in list(self.in_flight):
            self.waiting[number] = now, self.in_flight.pop(number)
        self._due = sorted((at, number) for number, (at, _) in self.waiting.items())

    def retry(self, failed: Delivery, now: datetime) -> None:
        """Add the next attempt of a failed delivery, if there is one."""
        if failed.attempt <= len(RETRY_AFTER):
            pause = timedelta(seconds=RETRY_AFTER[failed.attempt - 1])
            self.put(evolve(failed, status=None, attempt=failed.attempt + 1), now + pause)

    def take(self, now: datetime, webhook: Webhook) -> list[Delivery]:
        """Remove and return what is due; drop deliveries to an old URL, or to one that was switched off."""
        due: list[Delivery] = []
        while self._due and self._due[0][0] <= now:
            _, number = heapq.heappop(self._due)
            _, delivery = self.waiting.pop(number)
            if webhook.enabled and delivery.url == webhook.url:
                self.in_flight[number] = delivery
                due.append(delivery)
        return due

    def next_due(self) -> datetime | None:
        """Return the time of the next delivery, None if there is none."""
        return self._due[0][0] if self._due else None
