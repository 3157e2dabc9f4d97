"""Webhooks that are sent later: those held back a little, and those that failed and are tried again."""

from __future__ import annotations

import heapq
from datetime import datetime, timedelta
from typing import Final

from attrs import evolve

from .webhooks import Delivery, Webhook

RETRY_AFTER: Final = (2.0, 8.0, 32.0, 128.0)
"""Seconds before the second attempt, the third, and so on; there are no more attempts after the last."""


class Postbox:
    """Deliveries by the time when they are due."""

    def __init__(self) -> None:
        self.waiting: list[tuple[datetime, int, Delivery]] = []
        self.posted: int = 0

    def put(self, delivery: Delivery, at: datetime) -> None:
        """Keep a delivery until a time."""
        self.posted += 1
        heapq.heappush(self.waiting, (at, self.posted, delivery))

    def retry(self, failed: Delivery, now: datetime) -> None:
        """Keep a failed delivery for its next attempt, if it has one left."""
        if failed.attempt <= len(RETRY_AFTER):
            pause = timedelta(seconds=RETRY_AFTER[failed.attempt - 1])
            self.put(evolve(failed, status=None, attempt=failed.attempt + 1), now + pause)

    def take(self, now: datetime, webhook: Webhook) -> list[Delivery]:
        """Take out what is due. Attempts for an old URL, or one that was switched off, are dropped."""
        due: list[Delivery] = []
        while self.waiting and self.waiting[0][0] <= now:
            delivery = heapq.heappop(self.waiting)[2]
            if webhook.enabled and delivery.url == webhook.url:
                due.append(delivery)
        return due

    def next_due(self) -> datetime | None:
        """Give the time of the next delivery."""
        return self.waiting[0][0] if self.waiting else None
