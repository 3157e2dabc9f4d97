"""Sends webhooks: over HTTP in a background thread, or to a function of the user."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

import httpx
from attrs import evolve

from ..._platform import LONGEST_WAIT
from ..service.webhooks import Delivery

TIMEOUT: Final = 3.0
"""Seconds that a webhook endpoint has to answer."""


def _post(http: httpx.Client, delivery: Delivery) -> Delivery:
    try:
        # Streamed, so that the body of the answer is never read: only its status matters.
        with http.stream("POST", delivery.url, headers=delivery.headers, content=delivery.body) as response:
            return evolve(delivery, status=response.status_code)
    except (httpx.HTTPError, httpx.InvalidURL):
        return delivery


def _client() -> httpx.Client:
    return httpx.Client(timeout=TIMEOUT, follow_redirects=False, trust_env=False)


class WebhookSender:
    """Sends deliveries and calls ``done`` with the result of each.

    ``deliver`` gets each delivery and returns the status, or raises `OSError` or `httpx.HTTPError` for an
    endpoint that cannot be reached; with None deliveries are sent over HTTP.
    """

    def __init__(self, deliver: Callable[[Delivery], int] | None, done: Callable[[Delivery], None]) -> None:
        self._deliver = deliver
        self._done = done
        self._queue: deque[Delivery] = deque()
        self._state = threading.Condition()
        self._working = False

    @property
    def in_background(self) -> bool:
        """Whether `dispatch` returns before the deliveries are sent."""
        return self._deliver is None

    def send_now(self, delivery: Delivery) -> Delivery:
        """Send one delivery and return it with its result; this may take `TIMEOUT` seconds."""
        if self._deliver is None:
            with _client() as http:
                return _post(http, delivery)
        try:
            return evolve(delivery, status=self._deliver(delivery))
        except (httpx.HTTPError, OSError):
            return delivery

    def dispatch(self, deliveries: Iterable[Delivery]) -> None:
        """Send deliveries: over HTTP in the background, to a function before this returns."""
        if not self.in_background:
            for delivery in deliveries:
                self._done(self.send_now(delivery))
            return
        with self._state:
            self._queue.extend(deliveries)
            if self._queue and not self._working:
                self._working = True
                threading.Thread(target=self._work, name="smscode-sandbox-webhooks", daemon=True).start()

    def wait(self, timeout: float) -> bool:
        """Wait until nothing is being sent; return False if that takes over ``timeout`` seconds."""
        with self._state:
            while not self._state.wait_for(lambda: not self._working, min(timeout, LONGEST_WAIT)):
                timeout -= LONGEST_WAIT
                if timeout <= 0:
                    return False
            return True

    def _work(self) -> None:
        while batch := self._take():
            with _client() as http:
                for delivery in batch:
                    self._done(_post(http, delivery))

    def _take(self) -> list[Delivery]:
        """Remove and return the queued deliveries; without any the thread ends."""
        with self._state:
            batch = list(self._queue)
            self._queue.clear()
            if not batch:
                self._working = False
                self._state.notify_all()
            return batch
