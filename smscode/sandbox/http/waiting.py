"""Waiting for an answer that takes its time, in a thread or on an event loop.

The sandbox's time may be moved by anybody at any moment, so the wait is made of short naps.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import anyio
import anyio.to_thread

from ..._clock import RealTime
from ...core.api.call import Response
from .app import App, Exchange


class TooSlow(Exception):
    """The answer did not come within the caller's patience; the service goes on with the request."""


class AnswerPace:
    """How those who wait for an answer let time pass: as it does.

    Nobody naps for less than ``first_nap`` seconds or more than ``longest_nap``, but where less is left.
    """

    first_nap: float = 0.002
    longest_nap: float = 0.1

    def now(self) -> float:
        """Return the seconds of a clock that only goes forward."""
        return RealTime.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait, in a thread."""
        time.sleep(seconds)

    async def sleep_async(self, seconds: float) -> None:
        """Wait, on an event loop."""
        await anyio.sleep(seconds)


REAL_PACE = AnswerPace()


def _naps(app: App, exchange: Exchange, patience: float | None, pace: AnswerPace) -> Iterator[float]:
    """Return the seconds to sleep, again and again, until an exchange can be completed."""
    nap, until = pace.first_nap, None if patience is None else pace.now() + patience
    while (left := app.until_settled(exchange)) > 0:
        if until is not None:
            if (patient := until - pace.now()) <= 0:
                raise TooSlow
            left = min(left, patient)
        yield min(left, nap)
        nap = min(2 * nap, pace.longest_nap)


def complete(
    app: App, exchange: Exchange, patience: float | None = None, pace: AnswerPace = REAL_PACE
) -> Response:
    """Wait for an exchange's answer, for at most ``patience`` seconds."""
    if app.until_settled(exchange) > 0:
        exchange = app.send_webhooks(exchange)
        for seconds in _naps(app, exchange, patience, pace):
            pace.sleep(seconds)
    return app.complete(exchange)


async def complete_async(
    app: App, exchange: Exchange, patience: float | None = None, pace: AnswerPace = REAL_PACE
) -> Response:
    """Wait for an exchange's answer without blocking the event loop."""
    if app.until_settled(exchange) > 0:
        if exchange.blocking:
            exchange = await anyio.to_thread.run_sync(app.send_webhooks, exchange, abandon_on_cancel=True)
        else:
            exchange = app.send_webhooks(exchange)
        for seconds in _naps(app, exchange, patience, pace):
            await pace.sleep_async(seconds)
    if exchange.blocking:
        return await anyio.to_thread.run_sync(app.complete, exchange, abandon_on_cancel=True)
    return app.complete(exchange)
