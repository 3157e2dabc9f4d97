"""Rate limits shared through a real Redis: never more than the limit out, whatever fails."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator

import pytest

pytest.importorskip("redis")

from smscode import (
    Client,
    ConfigurationError,
    NetworkError,
    RateLimits,
    RetryPolicy,
    TempBannedError,
)
from smscode._concurrency import LoopAffinity
from smscode._ratelimit import registry
from smscode._ratelimit.redis import RedisAccountLimits
from smscode.core.ratelimit import shared
from smscode.core.ratelimit.limiter import Lease, NoRoom
from smscode.core.ratelimit.slots import RequestEnding
from smscode.sandbox import Sandbox

from .redis_process import GROUP, KEYS, Process, impatient, processes, redis, until, used
from .redis_server import RedisServer, redis_server

ONCE = RetryPolicy(max_attempts=1)


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    impatient(monkeypatch)


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server() as server, processes():
        yield server


def test_processes_share_one_limit(server: RedisServer) -> None:
    one, other = Process(server.url, 4), Process(server.url, 4)
    leases = [one.get(), one.get(), other.get(), other.get()]
    assert not any(lease.granted for lease in (one.ask(), other.ask()) if isinstance(lease, Lease))
    assert used(server) == 4
    one.end(leases[0], RequestEnding.UNSENT)
    until(lambda: used(server) == 4 and bool(one.bucket.waiting + other.bucket.waiting == 1))


def test_a_ban_is_known_only_to_the_client_that_met_it(server: RedisServer) -> None:
    sandbox = Sandbox()
    sandbox.play("ban(600)")
    limits = RateLimits(redis=server.url)
    first, second = (
        Client(sandbox.token, transport=sandbox.transport(), rate_limits=limits) for _ in range(2)
    )
    with first, second:
        for client, requests in ((first, 1), (first, 1), (second, 2), (second, 2)):
            with pytest.raises(TempBannedError):
                client.orders.create(catalog_product_id=87)
            assert sandbox.requests["POST /orders/create"] == requests


def test_a_slot_comes_back_one_window_after_its_end(server: RedisServer) -> None:
    one, other = Process(server.url, 1, fallback=1), Process(server.url, 1, fallback=1)
    first = one.get()
    waiting = other.ask()
    assert isinstance(waiting, Lease)
    began = time.monotonic()
    one.end(first)
    until(lambda: waiting.granted)
    assert time.monotonic() - began >= 0.4 + 0.25


def test_what_a_killed_process_held_is_free_again(server: RedisServer) -> None:
    killed = Process(server.url, 1, fallback=1, longest=0.0)
    killed.get()
    killed.close()
    with redis.Redis.from_url(server.url) as connection:
        [(_, until_then)] = connection.zrange(f"{KEYS}slots", 1, 1, withscores=True)
        left = (until_then - float(connection.hget(f"{KEYS}state", "time"))) / 1000
    assert 0 < left <= killed.bucket._slots.hold  # type: ignore[attr-defined]  # leased slots have it


def test_who_did_not_get_all_is_remembered_until_it_asks_again(server: RedisServer) -> None:
    process = Process(server.url, 1, fallback=1.0, window=60.0)
    process.get()
    process.ask()
    with redis.Redis.from_url(server.url) as connection:
        until(lambda: connection.zcard(f"{KEYS}unsatisfied") == 1)
        [(_, until_then)] = connection.zrange(f"{KEYS}unsatisfied", 0, 0, withscores=True)
        left = (until_then - float(connection.hget(f"{KEYS}state", "time"))) / 1000
    assert isinstance(process.bucket, shared.SharedGroupLimiter)
    assert left > shared._POLL * process.bucket._shared.visit_interval


def test_a_redis_that_is_away_leaves_a_share_and_comes_back(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "smscode")
    server.stop()
    process = Process(server.url, 4, fallback=0.5)
    leases = [process.get(), process.get()]
    third = process.ask()
    assert isinstance(third, Lease)
    process.look(third)
    assert not third.granted
    server.start()
    until(lambda: third.granted)
    assert used(server) >= 3
    assert [record.getMessage() for record in caplog.records] == [
        "Redis cannot be reached (ConnectionError): until it can, this process sends at most 0.5 of each "
        "rate limit by itself (redis_fallback), beside what processes that do reach Redis send.",
        "Redis lost its data, or another server took over. For 1 s, until no earlier request counts any "
        "more, this process sends no more than it did before, and no more than its fallback share.",
    ]
    for lease in (*leases, third):
        process.end(lease, RequestEnding.UNSENT)
    until(lambda: used(server) == 0)


def test_a_redis_that_lost_its_memory_is_told_what_is_in_use(server: RedisServer) -> None:
    process = Process(server.url, 4, fallback=0.5)
    process.get()
    process.get()
    server.stop()
    process.ask()
    until(lambda: process.budget._unreachable)
    server.start()
    until(lambda: not process.budget._unreachable)
    assert used(server) >= 2


def test_a_redis_that_threw_slots_away_gives_nobody_more_than_his_share(server: RedisServer) -> None:
    one, other = Process(server.url, 4), Process(server.url, 4)
    for process in (one, one, other, other):
        process.get()
    until(lambda: one.bucket._shared._held_when_settled is not None)  # type: ignore[attr-defined]  # leased slots have it
    with redis.Redis.from_url(server.url) as connection:
        connection.delete(f"{KEYS}slots")  # as when its memory is full
    waiting = [one.ask(), other.ask()]
    until(lambda: used(server) == 4)  # each has reported what it uses
    assert not any(lease.granted for lease in waiting if isinstance(lease, Lease))


def test_whatever_goes_wrong_with_redis_calls_go_on(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    process = Process(server.url, 4, fallback=0.5)

    def broken(bucket: object, visit: object) -> object:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(process.budget, "_ask", broken)
        lease = process.get()
    until(lambda: "Redis cannot be reached (ZeroDivisionError)" in caplog.text)
    until(lambda: not process.budget._unreachable)
    process.end(lease, RequestEnding.UNSENT)


def test_without_threads_there_is_a_share(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    process = Process(server.url, 4, fallback=0.5)

    def no_more(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_more)
        leases = [process.ask(), process.ask(), process.ask()]
    assert [lease.granted for lease in leases if isinstance(lease, Lease)] == [True, True, False]
    assert "Redis cannot be reached (RuntimeError)" in caplog.text
    assert isinstance(leases[0], Lease)
    process.end(leases[0], RequestEnding.UNSENT)
    until(lambda: not process.budget._unreachable)


def test_only_the_thread_that_is_the_budgets_goes_to_redis(server: RedisServer) -> None:
    """Another one can be there if its start was interrupted, and begun again."""
    process = Process(server.url, 4, fallback=1.0)
    process.ask()
    worker = process.budget._worker
    process.budget._work()
    assert process.budget._worker is worker


def test_a_budget_that_begins_anew_has_another_name(server: RedisServer) -> None:
    process = Process(server.url, 4, fallback=1.0)
    process.end(process.get(), RequestEnding.UNSENT)
    until(lambda: not process.budget._working)
    name = process.budget._holder
    with process.budget.lock:
        process.budget.reset_after_fork()
    process.bucket = process.budget.buckets[GROUP]
    assert process.budget._holder != name
    process.get()
    assert used(server) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_has_a_name_and_a_thread_of_its_own(server: RedisServer) -> None:
    limits = RateLimits(balance=4, redis=server.url, redis_fallback=1.0)

    def ask(budget: RedisAccountLimits) -> None:
        with budget.lock:
            assert isinstance(budget.buckets[GROUP].ask(time.monotonic(), 1e9), Lease)
        until(lambda: not budget.buckets[GROUP].waiting)

    home = LoopAffinity()
    budget = registry.account_limits("account", None, home, limits, 20.0, time.monotonic)
    assert isinstance(budget, RedisAccountLimits)
    ask(budget)
    child = os.fork()
    if child == 0:  # pragma: no cover
        with contextlib.suppress(BaseException):
            ask(budget)
            os._exit(0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    ask(budget)
    assert used(server) == 3


def test_a_pause_holds_up_other_processes(server: RedisServer) -> None:
    one, other = Process(server.url, 100, window=60.0), Process(server.url, 100, window=60.0)
    other.get()
    refused = one.get()
    with one.budget.lock:
        one.bucket.pause(refused, time.monotonic(), 500.0)
    until(lambda: not one.budget._working or one.bucket._shared._pause_until is None)  # type: ignore[attr-defined]

    def learns() -> bool:
        found = other.ask(1.0)  # it learns of it when it goes to Redis the next time
        if isinstance(found, Lease):
            other.leave(found)
        return isinstance(found, NoRoom) and found.paused

    until(learns)


def test_a_url_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"rate_limits\.redis"):
        Process("redis://localhost:notaport", 1)


def test_clients_of_one_account_share_what_they_lease(server: RedisServer) -> None:
    limits = RateLimits(balance=4, redis=server.url)
    with (
        Client("token", base_url="http://127.0.0.1:1", rate_limits=limits, retry=ONCE) as one,
        Client("token", base_url="http://127.0.0.1:1", rate_limits=limits, retry=ONCE) as same,
    ):
        budget = registry.account_limits(
            one._settings.account, None, one._driver._affinity, limits, 1.0, time.monotonic
        )
        assert isinstance(budget, RedisAccountLimits)
        for client in (one, same):
            with pytest.raises(NetworkError):
                client.balance()
            assert client._driver._limits is not None
            assert client._driver._limits._budget is budget
        until(lambda: not budget._working)
        assert all(bucket.idle(time.monotonic()) for bucket in budget.buckets.values())


def test_without_the_package_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    for name in ("redis", "redis_servers"):
        monkeypatch.delitem(sys.modules, f"smscode._ratelimit.{name}")
    with pytest.raises(ConfigurationError, match=r'pip install "smscode-async\[redis\]"'):
        Client("token", rate_limits=RateLimits(redis="redis://localhost"))
