"""Waits for an answer, in a thread or on an event loop.

The sandbox's time may be advanced at any moment, so a wait consists of short sleeps.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import anyio
import anyio.to_thread

from ..._clock import RealTime
from ...core.api.call import Response
from .app import App, Exchange


class AnswerTimeout(Exception):
    """The answer did not come in time; the service goes on with the request."""


class AnswerTiming:
    """The time in which callers wait for an answer: real time here, the sandbox's own in `VirtualTime`.

    Sleeps grow from ``first_sleep`` to ``longest_sleep`` seconds; the last one is as short as needed.
    """

    first_sleep: float = 0.002
    longest_sleep: float = 0.1

    def now(self) -> float:
        """Return the seconds of a monotonic clock."""
        return RealTime.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait, in a thread."""
        time.sleep(seconds)

    async def sleep_async(self, seconds: float) -> None:
        """Wait, on an event loop."""
        await anyio.sleep(seconds)


REAL_TIME = AnswerTiming()


def _sleeps(app: App, exchange: Exchange, timeout: float | None, timing: AnswerTiming) -> Iterator[float]:
    """Yield the seconds to sleep until an exchange can be completed. Raises `AnswerTimeout`."""
    sleep, until = timing.first_sleep, None if timeout is None else timing.now() + timeout
    while (left := app.until_settled(exchange)) > 0:
        if until is not None:
            if (remaining := until - timing.now()) <= 0:
                raise AnswerTimeout
            left = min(left, remaining)
        yield min(left, sleep)
        sleep = min(2 * sleep, timing.longest_sleep)


def complete(
    app: App, exchange: Exchange, timeout: float | None = None, timing: AnswerTiming = REAL_TIME
) -> Response:
    """Wait for an exchange's answer, for at most ``timeout`` seconds. Raises `AnswerTimeout`."""
    if app.until_settled(exchange) > 0:
        exchange = app.send_webhooks(exchange)
        for seconds in _sleeps(app, exchange, timeout, timing):
            timing.sleep(seconds)
    return app.complete(exchange)


async def complete_async(
    app: App, exchange: Exchange, timeout: float | None = None, timing: AnswerTiming = REAL_TIME
) -> Response:
    """Wait for an exchange's answer without blocking the event loop; else as `complete`."""
    if app.until_settled(exchange) > 0:
        if exchange.blocking:
            exchange = await anyio.to_thread.run_sync(app.send_webhooks, exchange, abandon_on_cancel=True)
        else:
            exchange = app.send_webhooks(exchange)
        for seconds in _sleeps(app, exchange, timeout, timing):
            await timing.sleep_async(seconds)
    if exchange.blocking:
        return await anyio.to_thread.run_sync(app.complete, exchange, abandon_on_cancel=True)
    return app.complete(exchange)
