"""The deadline of everything on a connection."""

from __future__ import annotations

import math
import socket
from collections.abc import Callable

from .stack_errors import ConnectTimeout


class Deadline:
    """The deadline of a connection, by a monotonic clock, and its socket once it is connected."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.at = math.inf
        self.socket: socket.socket | None = None
        self._now = now

    def left(self, timeout: float | None, error: type[Exception]) -> float | None:
        """Return the seconds that one step may take, None for any; raises ``error`` after the deadline."""
        remaining = self.remaining(error)
        if remaining == math.inf:
            return timeout
        return remaining if timeout is None else min(timeout, remaining)

    def countdown(self, timeout: float | None) -> Callable[[], float]:
        """Return a function that returns what is left of a ``timeout`` from now on, and of the deadline."""
        until = math.inf if timeout is None else self._now() + timeout

        def left() -> float:
            remaining = min(self.remaining(ConnectTimeout), until - self._now())
            if remaining <= 0:
                raise ConnectTimeout("no connection in time")
            return remaining

        return left

    def remaining(self, error: type[Exception]) -> float:
        """Return the seconds until the deadline; raises ``error`` after it."""
        remaining = self.at - self._now()
        if remaining <= 0:
            raise error("the deadline of the call has passed")
        return remaining
