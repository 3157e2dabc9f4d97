"""Coroutines that count how often they suspend, and do something at one of those times."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Generator
from typing import Any


class Awaits:
    """Counts suspensions, of several coroutines if need be, and calls ``cancel`` at the ``at``-th."""

    def __init__(self, at: int, cancel: Callable[[], object]) -> None:
        self._at = at
        self._cancel = cancel
        self.reached = 0
        self.cancelled_at = 0.0

    def suspended(self) -> None:
        """Count a suspension."""
        self.reached += 1
        if self.reached == self._at:
            self.cancelled_at = time.monotonic()
            self._cancel()


class Stepped:
    """Awaits a call, and counts each time it suspends."""

    def __init__(self, call: Awaitable[Any], awaits: Awaits) -> None:
        self._call = call
        self._awaits = awaits

    def __await__(self) -> Generator[Any, Any, Any]:
        steps: Any = self._call.__await__()
        reply: Any = None
        error: BaseException | None = None
        while True:
            try:
                wanted = steps.send(reply) if error is None else steps.throw(error)
            except StopIteration as end:
                return end.value
            self._awaits.suspended()
            reply, error = None, None
            try:
                reply = yield wanted
            except BaseException as thrown:
                error = thrown
