"""What a service counts while Redis' clock steps, it fails over, or forgets: never above the limit."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator

import pytest

pytest.importorskip("redis")

from benchmarks.windows import worst
from smscode._ratelimit import redis as limits
from smscode._ratelimit.redis_servers import Connection, opener
from smscode.core.ratelimit import shared

from .redis_process import KEYS, Process, impatient, processes, until
from .redis_server import HOST, RedisServer, redis_sentinel, redis_server, redis_servers, wait_for

LIMIT, WINDOW = 10, 0.4


class Traffic:
    """Processes that send all they may, as a service sees it."""

    def __init__(self, url: object) -> None:
        self.arrivals: list[float] = []
        self._url = url
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def begin(self, *, fallback: float = 0.5) -> Process:
        process = Process(self._url, LIMIT, window=WINDOW, fallback=fallback)
        thread = threading.Thread(target=process.saturate, args=(self._stop, self.arrivals))
        self._threads.append(thread)
        thread.start()
        return process

    def goes_on(self, requests: int = 2 * LIMIT) -> None:
        """Wait until so many more were sent."""
        before = len(self.arrivals)
        until(lambda: len(self.arrivals) >= before + requests)

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        assert worst(sorted(self.arrivals), WINDOW) <= LIMIT


class Place:
    """A name that leads to one server, and later to another; it remembers how often it was asked."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.asked = 0

    def open(self) -> Connection:
        self.asked += 1
        return opener(self.server.url)()


@pytest.fixture(autouse=True)
def own_processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    impatient(monkeypatch)
    with processes():
        yield


@pytest.fixture
def traffic() -> Iterator[Callable[[object], Traffic]]:
    begun: list[Traffic] = []

    def begin(url: object) -> Traffic:
        begun.append(Traffic(url))
        return begun[-1]

    yield begin
    for traffic in begun:
        traffic.end()


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Place, RedisServer]]:
    """Return a name that leads to a master, and its replica."""
    with redis_servers(2) as (master, replica):
        replica.command("REPLICAOF", HOST, str(master.port))
        wait_for(lambda: b"master_link_status:up" in replica.command("INFO", "replication"))
        place = Place(master)

        def find(where: object) -> Callable[[], Connection]:
            return place.open

        monkeypatch.setattr(limits, "opener", find)
        yield place, replica


@pytest.mark.parametrize("step", [-600, 60, 600])
def test_a_clock_that_steps_lets_no_more_through_and_holds_nothing_up(
    traffic: Callable[[object], Traffic], step: int
) -> None:
    with redis_server(clock=True) as server:
        server.step_clock(0)
        service = traffic(server.url)
        service.begin()
        service.begin()
        service.goes_on(4 * LIMIT)
        server.step_clock(step)
        service.goes_on()
        service.begin()  # one that never saw the clock before it stepped
        service.goes_on()
        server.step_clock(0)
        service.begin()
        service.goes_on()
        service.end()


def test_a_replica_that_lacks_what_was_given_out_last_takes_over(
    traffic: Callable[[object], Traffic], place: tuple[Place, RedisServer]
) -> None:
    name, replica = place
    service = traffic("redis://either")
    service.begin()
    service.begin()
    service.goes_on(4 * LIMIT)
    replica.command("REPLICAOF", "NO", "ONE")
    service.goes_on(LIMIT // 2)
    master, name.server = name.server, replica
    master.stop()
    service.begin()  # one that knows nothing of the master before
    service.goes_on()
    service.end()


def test_a_master_that_becomes_a_replica_is_left_after_one_refusal(
    traffic: Callable[[object], Traffic],
    place: tuple[Place, RedisServer],
    caplog: pytest.LogCaptureFixture,
) -> None:
    name, replica = place
    service = traffic("redis://either")
    process = service.begin()
    service.goes_on(4 * LIMIT)
    until(lambda: process.bucket.settled)  # type: ignore[attr-defined]  # a leased one has it
    caplog.clear()
    caplog.set_level(logging.WARNING, "smscode")
    master, name.server = name.server, replica
    asked = name.asked
    replica.command("REPLICAOF", "NO", "ONE")
    master.command("REPLICAOF", HOST, str(replica.port))  # its connections stay open
    service.goes_on(4 * LIMIT)
    service.end()
    assert name.asked == asked + 1
    refused, shared = (record.getMessage() for record in caplog.records)
    assert "Redis cannot be reached (ReadOnlyError)" in refused
    assert "another server took over" in shared


def test_sentinels_lead_to_the_server_that_takes_over(traffic: Callable[[object], Traffic]) -> None:
    with redis_sentinel() as (master, _, sentinel):
        service = traffic(sentinel.url)
        service.begin()
        service.begin()
        service.goes_on(4 * LIMIT)
        master.stop()
        service.goes_on(4 * LIMIT)
        service.end()


@pytest.mark.parametrize("key", ["state", "slots"])
def test_memory_that_is_lost_is_noticed_whatever_part_of_it(
    traffic: Callable[[object], Traffic], key: str, caplog: pytest.LogCaptureFixture
) -> None:
    with redis_server() as server:
        service = traffic(server.url)
        service.begin()
        service.begin()
        service.goes_on(4 * LIMIT)
        caplog.set_level(logging.WARNING, "smscode")
        server.command("DEL", KEYS + key)
        service.goes_on()
        service.end()
        assert "Redis lost its data" in caplog.text


def test_a_redis_that_does_not_answer_for_a_while_is_used_again(
    traffic: Callable[[object], Traffic], caplog: pytest.LogCaptureFixture
) -> None:
    with redis_server() as server:
        service = traffic(server.url)
        process = service.begin()
        service.goes_on(4 * LIMIT)
        until(lambda: process.bucket.settled)  # type: ignore[attr-defined]  # a leased one has it
        caplog.set_level(logging.WARNING, "smscode")
        server.command("CLIENT", "PAUSE", "1500")
        until(lambda: process.budget._unreachable)
        until(lambda: "Redis is back: the rate limits are shared again." in caplog.text)
        service.goes_on()
        service.end()


def test_without_a_fallback_nothing_is_sent_while_redis_is_away(
    traffic: Callable[[object], Traffic], caplog: pytest.LogCaptureFixture
) -> None:
    with redis_server() as server:
        service = traffic(server.url)
        process = service.begin(fallback=0)
        service.goes_on()
        server.stop()
        until(lambda: process.budget._unreachable and process.bucket.waiting == 1)
        sent = len(service.arrivals)
        slots = process.bucket._slots
        until(lambda: slots._retry == shared._LONGEST_RETRY)  # type: ignore[attr-defined]  # leased slots have it
        assert len(service.arrivals) == sent
        assert "this process sends nothing (redis_fallback=0)" in caplog.text
        server.start()
        service.goes_on()
        service.end()
