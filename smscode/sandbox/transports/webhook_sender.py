"""Sending webhooks: over HTTP from a thread of its own, or into a function of the caller's."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

import httpx
from attrs import evolve

from ..service.webhooks import Delivery

TIMEOUT: Final = 3.0
"""Seconds that a webhook endpoint has for its answer."""


def _post(http: httpx.Client, delivery: Delivery) -> Delivery:
    try:
        # Streamed, so that the body of the answer is never read: only its status counts.
        with http.stream("POST", delivery.url, headers=delivery.headers, content=delivery.body) as response:
            return evolve(delivery, status=response.status_code)
    except (httpx.HTTPError, httpx.InvalidURL):
        return delivery


def _client() -> httpx.Client:
    return httpx.Client(timeout=TIMEOUT, follow_redirects=False, trust_env=False)


class Courier:
    """Sends deliveries and reports each when it is done.

    ``deliver`` gets each delivery and returns the status, raising `OSError` or `httpx.HTTPError` for an
    endpoint that cannot be reached; None sends it over HTTP. ``done`` is told about the result.
    """

    def __init__(self, deliver: Callable[[Delivery], int] | None, done: Callable[[Delivery], None]) -> None:
        self._deliver = deliver
        self._done = done
        self._queue: deque[Delivery] = deque()
        self._state = threading.Condition()
        self._working = False

    @property
    def in_background(self) -> bool:
        """Whether `dispatch` returns before the deliveries are made."""
        return self._deliver is None

    def ask(self, delivery: Delivery) -> Delivery:
        """Make one delivery now and give its result; this may take `TIMEOUT` seconds."""
        if self._deliver is None:
            with _client() as http:
                return _post(http, delivery)
        try:
            return evolve(delivery, status=self._deliver(delivery))
        except (httpx.HTTPError, OSError):
            return delivery

    def dispatch(self, deliveries: Iterable[Delivery]) -> None:
        """Make deliveries: over HTTP soon, into a function before this returns."""
        if not self.in_background:
            for delivery in deliveries:
                self._done(self.ask(delivery))
            return
        with self._state:
            self._queue.extend(deliveries)
            if self._queue and not self._working:
                self._working = True
                threading.Thread(target=self._work, name="smscode-sandbox-webhooks", daemon=True).start()

    def wait(self, timeout: float) -> bool:
        """Wait until nothing is on its way; tell whether that was so within ``timeout`` seconds."""
        with self._state:
            return self._state.wait_for(lambda: not self._working, timeout)

    def _work(self) -> None:
        while batch := self._take():
            with _client() as http:
                for delivery in batch:
                    self._done(_post(http, delivery))

    def _take(self) -> list[Delivery]:
        """Send all that is queued; nothing there ends the thread, the next delivery starts another."""
        with self._state:
            batch = list(self._queue)
            self._queue.clear()
            if not batch:
                self._working = False
                self._state.notify_all()
            return batch
