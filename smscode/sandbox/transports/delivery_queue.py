"""Webhooks that are sent later: those held back a little, and those that failed and are tried again."""

from __future__ import annotations

import heapq
from datetime import datetime, timedelta
from typing import Final

from attrs import evolve

from ..service.webhooks import Delivery, Webhook

RETRY_AFTER: Final = (2.0, 8.0, 32.0, 128.0)
"""Seconds before the second attempt, the third, and so on; there are no more attempts after the last."""


class Postbox:
    """Deliveries by their numbers: ``waiting``, each with the time when it is due, and ``under_way``."""

    def __init__(self) -> None:
        self.waiting: dict[int, tuple[datetime, Delivery]] = {}
        self.under_way: dict[int, Delivery] = {}
        self.posted: int = 0
        self._order: list[tuple[datetime, int]] = []

    def put(self, delivery: Delivery, at: datetime) -> None:
        """Keep a delivery until a time."""
        self.posted += 1
        self.waiting[self.posted] = at, evolve(delivery, number=self.posted)
        heapq.heappush(self._order, (at, self.posted))

    def index(self, now: datetime) -> None:
        """Sort what was added as it is; what was under way then may be lost, and is sent again."""
        for number in list(self.under_way):
            self.waiting[number] = now, self.under_way.pop(number)
        self._order = sorted((at, number) for number, (at, _) in self.waiting.items())

    def retry(self, failed: Delivery, now: datetime) -> None:
        """Keep a failed delivery for its next attempt, if it has one left."""
        if failed.attempt <= len(RETRY_AFTER):
            pause = timedelta(seconds=RETRY_AFTER[failed.attempt - 1])
            self.put(evolve(failed, status=None, attempt=failed.attempt + 1), now + pause)

    def take(self, now: datetime, webhook: Webhook) -> list[Delivery]:
        """Remove and return what is due; drop attempts for an old URL, or for one that was switched off."""
        due: list[Delivery] = []
        while self._order and self._order[0][0] <= now:
            _, number = heapq.heappop(self._order)
            _, delivery = self.waiting.pop(number)
            if webhook.enabled and delivery.url == webhook.url:
                self.under_way[number] = delivery
                due.append(delivery)
        return due

    def next_due(self) -> datetime | None:
        """Return the time of the next delivery."""
        return self._order[0][0] if self._order else None
