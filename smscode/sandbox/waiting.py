"""Waiting for a purchase that takes its time, in a thread or on an event loop.

The sandbox's time may be moved by anybody at any moment, so the wait is made of short naps.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import anyio
import anyio.to_thread

from ..core.wire import Response
from .app import App, Exchange

_FIRST_NAP = 0.002
_LONGEST_NAP = 0.1


class TooSlow(Exception):
    """The answer did not come within the caller's patience; the service goes on with the request."""


def _naps(app: App, exchange: Exchange, patience: float | None) -> Iterator[float]:
    """Give the seconds to sleep, again and again, until an exchange can be completed."""
    nap, until = _FIRST_NAP, None if patience is None else time.monotonic() + patience
    while (left := app.until_settled(exchange)) > 0:
        if until is not None and time.monotonic() >= until:
            raise TooSlow
        yield min(left, nap)
        nap = min(2 * nap, _LONGEST_NAP)


def complete(app: App, exchange: Exchange, patience: float | None = None) -> Response:
    """Wait for an exchange's answer, for at most ``patience`` real seconds."""
    for seconds in _naps(app, exchange, patience):
        time.sleep(seconds)
    return app.complete(exchange)


async def complete_async(app: App, exchange: Exchange, patience: float | None = None) -> Response:
    """Wait for an exchange's answer without blocking the event loop."""
    for seconds in _naps(app, exchange, patience):
        await anyio.sleep(seconds)
    if exchange.blocking:
        return await anyio.to_thread.run_sync(app.complete, exchange, abandon_on_cancel=True)
    return app.complete(exchange)
