"""Processes that share a limit through a real Redis, as far as a test needs them."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest

from smscode import RateLimits
from smscode._ratelimit.redis import RedisAccountLimits
from smscode.core.ratelimit import shared
from smscode.core.ratelimit.limiter import Lease, NoRoom
from smscode.core.ratelimit.slots import RequestEnding
from smscode.models import EndpointGroup

from .redis_server import RedisServer

redis: Any = importlib.import_module("redis")  # its types are not complete

GROUP = EndpointGroup.BALANCE
KEYS = f"smscode:{{account}}:{GROUP.value}:"


def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten everything that takes seconds, so that tests can wait for it."""
    for name, seconds in (
        ("LINGER", 0.1),
        ("_USE_WITHIN", 0.2),
        ("_FIRST_RETRY", 0.05),
        ("_LONGEST_RETRY", 0.2),
    ):
        monkeypatch.setattr(shared, name, seconds)


@contextmanager
def processes() -> Generator[None]:
    """Stop the processes that are made in the block, at its end."""
    try:
        yield
    finally:
        for process in Process.all:
            process.close()
        Process.all.clear()


class Bell:
    """A waiter."""

    def __init__(self) -> None:
        self.rung = threading.Event()

    def wake(self) -> bool:
        self.rung.set()
        return True


class Process:
    """What a process would have: a budget of its own on the same account."""

    all: ClassVar[list[Process]] = []

    def __init__(
        self, url: Any, limit: int, *, window: float = 0.4, fallback: float = 0.5, longest: float = 0.2
    ):
        limits = RateLimits(balance=limit, window=window, redis=url, redis_fallback=fallback)
        self.budget = RedisAccountLimits("account", limits, url, longest, time.monotonic)
        self.bucket = self.budget.buckets[GROUP]
        self.all.append(self)

    def close(self) -> None:
        """Go to Redis no more."""
        with self.budget.lock:
            self.budget._shared.clear()
            self.budget._changed.notify()

    def ask(self, seconds: float = 1e6) -> Lease | NoRoom:
        with self.budget.lock:
            now = time.monotonic()
            lease = self.bucket.ask(now, now + seconds)
            if isinstance(lease, Lease):
                lease.signal = Bell()
            return lease

    def get(self) -> Lease:
        """Wait for a slot, as a call does."""
        lease = self.ask()
        assert isinstance(lease, Lease)
        until(lambda: lease.granted or not self.look(lease))
        return lease

    def look(self, lease: Lease) -> bool:
        with self.budget.lock:
            self.bucket.advance(lease, time.monotonic())
            return not lease.granted

    def leave(self, lease: Lease) -> None:
        with self.budget.lock:
            self.bucket.leave(lease, time.monotonic())

    def end(self, lease: Lease, ending: RequestEnding = RequestEnding.ANSWERED) -> None:
        with self.budget.lock:
            self.bucket.end(lease, time.monotonic(), ending)

    def saturate(self, stop: threading.Event, arrivals: list[float]) -> None:
        """Use every slot that there is, for requests that take no time, until reported to stop."""
        while not stop.is_set():
            lease = self.ask()
            assert isinstance(lease, Lease)
            while not lease.granted and not stop.wait(0.001):
                self.look(lease)
            if lease.granted:
                arrivals.append(time.monotonic())
                self.end(lease)


def until(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(10_000):
        if condition():
            return
        pause.wait(0.001)
    raise AssertionError("it never came to that")


def used(server: RedisServer) -> int:
    """Return how many slots are in use, by Redis' own account."""
    with redis.Redis.from_url(server.url) as connection:
        found = connection.zcard(f"{KEYS}slots")
        assert isinstance(found, int)
        return max(found - 1, 0)  # one says when it was begun
