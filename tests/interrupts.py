"""Raises `KeyboardInterrupt` where Python could, and looks at what a client is left with afterwards."""

from __future__ import annotations

import gc
import linecache
import math
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import smscode
from smscode import Client, RateLimits
from smscode._concurrency import callers
from smscode.core.ratelimit import limiter, shared, slots
from smscode.sandbox import Sandbox

_ROOT = str(Path(smscode.__file__).parent)
_NOT_THE_CLIENT = str(Path(_ROOT, "sandbox"))  # in other threads, but what it shares with the client is not
_LOCK_CALLS = frozenset({"acquire", "release", "__enter__", "__exit__"})

Place = tuple[str, int]
Call = Callable[[Client], object]


@contextmanager
def traced(trace: Callable[[FrameType, str, object], Any]) -> Generator[None]:
    """Trace a block with the garbage collector switched off.

    Otherwise objects of an earlier, interrupted call could be finalized in the middle of this one. An
    exception that is raised in a finalizer is not passed on.
    """
    before = sys.gettrace()  # of coverage.py
    collecting = gc.isenabled()
    gc.disable()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)
        if collecting:
            gc.enable()


def _ours(frame: FrameType) -> bool:
    name = frame.f_code.co_filename
    return name.startswith(_ROOT) and not name.startswith(_NOT_THE_CLIENT)


def _takes_a_lock(place: Place) -> bool:
    """Return True for a ``with`` of a lock: its line is run at the exit again, where an exception raised by
    a trace function keeps CPython from releasing the lock. A signal is not handled there."""
    line = linecache.getline(*place).strip()
    return line.startswith("with ") and "lock" in line


def places(call: Callable[[], object]) -> list[Place]:
    """Make a call, and return the lines of the package that this thread ran, in the order of their first."""
    seen: dict[Place, None] = {}

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        if not _ours(frame):
            return None
        if event == "line":
            seen[frame.f_code.co_filename, frame.f_lineno] = None
        return trace

    with traced(trace):
        call()
    return list(seen)


def interrupted_at(place: Place, call: Callable[[], object], then: int = 0) -> int:
    """Make a call, raising `KeyboardInterrupt` before a line is run for the first time.

    With ``then`` it is raised once more: when so many functions, of this package or called by it, have
    begun or ended since. Return how often it was raised.
    """
    left = math.inf
    raised = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal left, raised
        if frame.f_code.co_filename != place[0]:
            return None
        if event == "line" and frame.f_lineno == place[1]:
            sys.settrace(None)
            left = then or math.inf
            raised += 1
            raise KeyboardInterrupt
        return trace

    def profile(frame: FrameType, event: str, argument: object) -> None:
        nonlocal left, raised
        # An exception at the beginning or end of a lock's own function would not be possible either.
        if not _ours(frame) or getattr(argument, "__name__", "") in _LOCK_CALLS:
            return
        left -= 1
        if left <= 0:
            sys.setprofile(None)
            raised += 1
            raise KeyboardInterrupt

    def confined() -> Iterator[object]:
        # Raised at a line like `return` in an `except`, which no signal does, an exception leaves the handled
        # one current for ever; in a generator only until that ends.
        yield call()

    with traced(trace):
        if then:
            sys.setprofile(profile)
        try:
            next(confined())
        except KeyboardInterrupt:
            pass
        finally:
            sys.setprofile(None)
    assert sys.exception() is None
    return raised


Line = tuple[str, int]


def files_of_package(*names: str) -> frozenset[str]:
    """Return the paths of modules of the package, all of which exist."""
    paths = [Path(_ROOT, name) for name in names]
    assert [path for path in paths if not path.is_file()] == []
    return frozenset(map(str, paths))


class Tracer:
    """Notes the lines of some files that are run, and raises KeyboardInterrupt at some of them."""

    def __init__(self, files: Collection[str], should_raise: Callable[[Line, int], bool]) -> None:
        """Set up; ``should_raise`` is given each line, and how many came until then."""
        self._files = files
        self._should_raise = should_raise
        self.lines: list[Line] = []
        self.raised: list[Line] = []

    def run(self, action: Callable[[], object]) -> None:
        with traced(self._enter):
            action()

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        return self._step if frame.f_code.co_filename in self._files else None

    def _step(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            line = frame.f_code.co_filename, frame.f_lineno
            self.lines.append(line)
            if self._should_raise(line, len(self.lines)):
                self.raised.append(line)
                raise KeyboardInterrupt
        return self._step


class Bench:
    """A client on a served sandbox, another thread that uses it, too, and what must hold of it at rest."""

    def __init__(self, client: Client, order_id: int, other: ThreadPoolExecutor) -> None:
        self.client = client
        self.order_id = order_id
        self._other = other

    def elsewhere(self, call: Call) -> None:
        """Make a call in another thread; it must end soon."""
        self._other.submit(call, self.client).result(timeout=10)

    @contextmanager
    def crowd(self, count: int, call: Call) -> Generator[Callable[[], None]]:
        """Make calls in other threads; yield a function that waits until each has ended another one."""
        stop = threading.Event()
        ended = [threading.Semaphore(0) for _ in range(count)]

        def work(number: int) -> None:
            while not stop.is_set():
                call(self.client)
                ended[number].release()

        def served() -> None:
            for semaphore in ended:
                while semaphore.acquire(blocking=False):
                    pass
                assert semaphore.acquire(timeout=10), "a thread is held up"

        with ThreadPoolExecutor(count) as threads:
            working = [threads.submit(work, number) for number in range(count)]
            try:
                yield served
            finally:
                stop.set()
        for one in working:
            one.result()

    def check(self) -> None:
        """Check that calls work, here and elsewhere, and that nothing is taken when they are over."""
        self.elsewhere(lambda client: client.balance(timeout=5))
        self.client.balance(timeout=5)
        self.at_rest()

    def at_rest(self) -> None:
        """Check that nothing is taken while no call is under way."""
        self.elsewhere(lambda _: self._take_locks())
        left = {**self._connections(), **self._limits(), **self._waits(), **self._shelves()}
        left["unfinished calls"] = len(callers._unfinished)
        assert not any(left.values()), {name: count for name, count in left.items() if count}

    def _take_locks(self) -> None:
        for lock in self._locks():
            assert lock.acquire(timeout=5), "a lock stayed taken"
            lock.release()

    def _locks(self) -> Iterator[Any]:
        connections = self.client._driver._connections
        yield from (connections._lock, connections._semaphore._lock, self.client._ordering.waits._lock)
        finder = self.client.catalog._finder
        yield from (finder._countries._lock, finder._services._lock)
        if self.client._driver._limits is not None:
            yield self.client._driver._limits._lock

    def _connections(self) -> dict[str, int]:
        connections = self.client._driver._connections
        return {
            "places at the gate": len(connections._semaphore._inside),
            "waiting at the gate": len(connections._semaphore._waiters),
            "idle lanes that are somebody's": sum(lane.owner is not None for _, lane in connections._idle),
            "lanes that are not closed": len(connections._unwanted),
        }

    def _limits(self) -> dict[str, int]:
        limits = self.client._driver._limits
        buckets = [] if limits is None else list(limits._limiters.values())
        return {
            "busy slots": sum(bucket._slots.busy for bucket in buckets),
            "waiting for slots": sum(bucket.waiting for bucket in buckets),
            "probes": sum(len(bucket._probes) for bucket in buckets),
        }

    def _waits(self) -> dict[str, int]:
        board = self.client._ordering.waits._shared_poll
        return {
            "waits": len(board._participants),
            "orders waited for": len(board._by_order),
            "orders being read": len(board._reading),
            "orders known": len(board._known.live),
            "readers of changes": len(board._known.readers),
            "leaders": int(board._leader is not None),
        }

    def _shelves(self) -> dict[str, int]:
        finder = self.client.catalog._finder
        return {"readings": sum(shelf._flight is not None for shelf in (finder._countries, finder._services))}


def hasten(monkeypatch: pytest.MonkeyPatch) -> RateLimits:
    """Make slots cool for less than a millisecond, and return limits of one or two requests in that time."""
    for module in (limiter, shared, slots):
        for name in ("MARGIN", "LINGER"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, 0.0002)
    return RateLimits(
        window=0.0006,
        catalog=2,
        balance=1,
        order_queries=1,
        create=1,
        cancel=1,
        order_actions=1,
    )


@contextmanager
def bench(limits: RateLimits | None, **options: Any) -> Generator[Bench]:
    """Serve a sandbox, and open a client that uses it with so few connections."""
    pytest.importorskip("uvicorn")
    sandbox = Sandbox(otp_after=0, balance=10**12, rate_limits=False, abuse_guard=None)
    with sandbox.serve() as server:
        with ThreadPoolExecutor(1) as other:
            with Client(
                sandbox.token, base_url=server.url, rate_limits=limits, poll_interval=0.002, **options
            ) as client:
                order = client.orders.create(catalog_product_id=87).orders[0]
                yield Bench(client, order.id, other)


def moments(seed: int, count: int, found: list[Place]) -> Iterator[tuple[Place, int]]:
    """Return random places for a first interrupt, each with the moment for a second one."""
    chance = random.Random(seed)
    for _ in range(count):
        yield chance.choice(found), chance.randint(1, 60)


def interruptible(found: list[Place]) -> list[Place]:
    """Return all places but those where only a trace function can interrupt."""
    return [place for place in found if not _takes_a_lock(place)]


@contextmanager
def interrupted_when(condition: Callable[[], bool]) -> Generator[None]:
    """Send this process a SIGINT as soon as a condition holds; the main thread runs the block meanwhile."""

    def interrupt() -> None:
        while not condition():
            time.sleep(0.001)
        signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        yield
    finally:
        thread.join()
