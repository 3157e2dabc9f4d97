"""Ctrl-C in the synchronous client, and event loops that are closed: no lock, slot, place or lane is lost."""

from __future__ import annotations

import asyncio
import gc
import math
import os
import re
import subprocess
import sys
import threading
import time
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from smscode import AsyncClient, Client, NetworkError, RateLimits, RetryPolicy
from smscode._concurrency import AsyncCaller, Caller, Event, Runtime
from smscode._http.connection import HttpConnection
from smscode.models import EndpointGroup
from tests.concurrency import raw_server
from tests.interrupts import (
    Call,
    bench,
    hasten,
    interrupted_at,
    interrupted_when,
    interruptible,
    moments,
    places,
)

ROOT = Path(__file__).parent.parent


def balance(client: Client) -> object:
    return client.balance()


def create(client: Client) -> object:
    return client.orders.create(catalog_product_id=87)


def find(client: Client) -> object:
    for shelf in (client.catalog._finder._countries, client.catalog._finder._services):
        shelf._rows = None  # as if it had become old
    return client.catalog.find(service="whatsapp", country="indonesia", max_price="0.5")


def wait(client: Client) -> object:
    return client.orders.wait_for_otp(client.orders.active(timeout=5)[0].id)


def changes(client: Client) -> object:
    found = client.orders.changes()
    try:
        return next(found)
    finally:
        found.close()


CALLS: dict[str, Call] = {
    "balance": balance,
    "create": create,
    "find": find,
    "wait_for_otp": wait,
    "changes": changes,
}


@pytest.mark.parametrize("name", CALLS)
def test_an_interrupt_at_any_line_loses_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    call = CALLS[name]
    with bench(hasten(monkeypatch), max_connections=1) as here:
        call(here.client)
        found = places(lambda: call(here.client))
        assert len(found) > 100
        interrupted = 0
        for place in found:
            interrupted += interrupted_at(place, lambda: call(here.client))
            here.check()
        assert interrupted > len(found) * 0.8
        here.client.orders.wait_for_otp(here.order_id, timeout=5)


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # in a generator that is dropped
@pytest.mark.parametrize("name", CALLS)
def test_an_interrupt_of_the_clean_up_after_another_one_loses_nothing(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = CALLS[name]
    with bench(hasten(monkeypatch), max_connections=1) as here:
        call(here.client)
        found = interruptible(places(lambda: call(here.client)))
        twice = 0
        for place, then in moments(sum(map(ord, name)), 60, found):
            twice += interrupted_at(place, lambda: call(here.client), then) == 2
            here.check()
        assert twice > 30


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_while_other_threads_wait_for_their_turn_holds_none_of_them_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The interrupted call hands its place, slot and lead over to threads that go on all the time."""
    with bench(hasten(monkeypatch), max_connections=1) as here:
        found = interruptible(places(lambda: wait(here.client)))
        with here.crowd(3, wait) as served:
            for place, then in moments(4, 60, found):
                interrupted_at(place, lambda: wait(here.client), then)
                served()
        here.check()


@pytest.mark.parametrize("name", ["balance", "wait_for_otp", "changes"])
def test_real_signals_at_any_moment_lose_nothing(name: str) -> None:
    pytest.importorskip("uvicorn")
    command = [sys.executable, "-m", "tests.interrupted", name, "300", "1"]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    interrupts = int(done.stdout.split()[0])
    assert interrupts > 100


# -- helper threads --------------------------------------------------------------------------------


def test_an_interrupt_breaks_off_what_helper_threads_do_and_keeps_what_they_hold() -> None:
    """The server never answers, and no time limit ends that."""
    ended: list[object] = []

    def ask(number: int) -> None:
        try:
            client.balance()
        except BaseException as error:
            ended.append(error)
            raise

    with raw_server(lambda connection, request: (b"", False)) as server:
        client = Client("a-token-of-tests", base_url=server.url, timeout=None, max_connections=3)
        with client, interrupted_when(lambda: server.requests == 3):
            with pytest.raises(KeyboardInterrupt):
                Runtime().for_each(ask, range(7))
            gate = client._driver._connections._semaphore
            assert (len(gate._inside), len(gate._waiters)) == (0, 0)
            assert len(ended) >= 3  # the others may not have begun
            assert {type(error).__name__ for error in ended} == {"InterruptedCall"}
            assert server.requests == 3, "nothing is sent after the interrupt"


def test_an_interrupt_ends_the_waits_of_helper_threads() -> None:
    runtime, never = Runtime(), Event()
    ended: list[str] = []
    begun = threading.Semaphore(0)

    def work(what: str) -> None:
        begun.release()
        try:
            if what == "sleep":
                runtime.sleep(60)
            elif what == "wait":
                runtime.wait(never, math.inf)
            else:
                runtime.for_each(lambda _: runtime.sleep(60), range(2))
        finally:
            ended.append(what)

    def all_begun() -> bool:
        return all(begun.acquire(timeout=10) for _ in range(3))

    with interrupted_when(all_begun), pytest.raises(KeyboardInterrupt):
        runtime.for_each(work, ["sleep", "wait", "nested"])
    assert sorted(ended) == ["nested", "sleep", "wait"]


def test_a_shielded_block_of_a_helper_thread_is_finished_after_an_interrupt() -> None:
    runtime = Runtime()
    begun, interrupted, done = threading.Event(), threading.Event(), threading.Event()

    def work(_: int) -> None:
        with runtime.shield(5.0):
            begun.set()
            interrupted.wait(10)
            runtime.sleep(0.001)
            done.set()
        runtime.sleep(0.0)
        raise AssertionError("the block is over, and the interrupt is not forgotten")

    with interrupted_when(begun.is_set):
        with pytest.raises(KeyboardInterrupt):
            runtime.for_each(work, [0])
        interrupted.set()
    assert done.wait(10)


def test_an_interrupt_waits_only_a_moment_for_a_thread_that_does_not_end() -> None:
    go, begun = threading.Event(), threading.Event()

    def work(_: int) -> None:
        begun.set()
        go.wait(10)

    with interrupted_when(begun.is_set), pytest.raises(KeyboardInterrupt):
        Runtime().for_each(work, [0])
    (helper,) = (thread for thread in threading.enumerate() if thread.name == "smscode-helper")
    assert helper.daemon, "it must not delay the end of the process"
    go.set()
    helper.join(10)


def test_helper_threads_do_all_of_the_work_and_the_first_error_is_raised_at_the_end() -> None:
    done: list[int] = []

    def work(number: int) -> None:
        done.append(number)
        if number % 2:
            raise ValueError(number)

    with pytest.raises(ValueError, match="1"):
        Runtime().for_each(work, range(6))
    assert sorted(done) == list(range(6))


def test_helper_threads_have_the_context_of_their_caller() -> None:
    variable: ContextVar[str] = ContextVar("variable")
    variable.set("here")
    seen: list[str] = []
    Runtime().for_each(lambda _: seen.append(variable.get()), range(2))
    assert seen == ["here", "here"]


def test_as_many_helper_threads_as_can_be_started_share_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start
    started: list[threading.Thread] = []
    done: list[int] = []

    def some(thread: threading.Thread) -> None:
        if len(started) == most:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", some)
    most = 2
    Runtime().for_each(done.append, range(5))
    assert sorted(done) == list(range(5))
    most = 0
    started.clear()
    with pytest.raises(RuntimeError, match="start new thread"):
        Runtime().for_each(done.append, range(5))


def test_a_helper_thread_whose_start_is_interrupted_after_it_began_ends_like_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start = threading.Thread.start
    done: list[int] = []

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Runtime().for_each(done.append, [1])
    assert not any(thread.name == "smscode-helper" for thread in threading.enumerate())


def test_a_generator_that_is_interrupted_while_it_leaves_is_no_ghost() -> None:
    with bench(None) as here:
        board = here.client._ordering.waits._shared_poll
        leave = here.client._ordering.waits._leave
        left: list[object] = []

        def interrupted(participant: object) -> None:
            left.append(participant)
            raise KeyboardInterrupt

        outcomes = here.client.orders.otps([here.order_id])
        here.client._ordering.waits._leave = interrupted  # type: ignore[method-assign]  # put back below
        next(outcomes)
        assert len(board._participants) == 1
        with pytest.raises(KeyboardInterrupt):
            next(outcomes)
        here.client._ordering.waits._leave = leave  # type: ignore[method-assign]  # as it was
        assert (len(left), len(board._participants)) == (1, 1)
        here.client.balance()
        assert not board._participants
        here.at_rest()


def test_closing_a_client_closes_the_lane_that_an_interrupted_call_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = Client("a-token-of-tests", base_url="http://127.0.0.1:9")
    driver = client._driver
    closed: list[HttpConnection] = []

    def close(lane: HttpConnection) -> None:
        closed.append(lane)

    monkeypatch.setattr(HttpConnection, "close", close)

    def interrupted() -> HttpConnection:
        caller = Caller(driver._give_back)  # never finished
        lane = driver._connections._take(caller, fresh=True)
        assert isinstance(lane, HttpConnection)
        return lane

    lane = interrupted()
    client.close()
    assert closed == [lane]


@pytest.mark.anyio
async def test_a_call_of_an_event_loop_heals_what_a_thread_left_taken() -> None:
    given_back: list[Caller] = []

    def interrupted() -> None:
        Caller(given_back.append)  # never finished

    async def begin() -> None:
        assert not AsyncCaller(lambda _: None).over

    interrupted()
    await begin()
    assert len(given_back) == 1


# -- event loops that are closed -------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # what the closed loop left open
@pytest.mark.parametrize("sent", [True, False])
def test_a_closed_event_loop_keeps_no_slot_of_its_account(
    sent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    close_a_loop_with_calls_under_way(sent, attrs.evolve(hasten(monkeypatch), balance=2))
    complaints: list[str] = []

    def note(unraisable: sys.UnraisableHookArgs) -> None:
        complaints.append(repr(unraisable.object))

    monkeypatch.setattr(sys, "unraisablehook", note)
    gc.collect()
    # httpcore's own coroutines have some.
    assert not [found for found in complaints if re.search("AsyncClient|AsyncDriver|Pool", found)]


def close_a_loop_with_calls_under_way(sent: bool, limits: RateLimits) -> None:
    with raw_server(lambda connection, request: (b"", False)) as server:
        options: dict[str, Any] = {"base_url": server.url, "rate_limits": limits, "retry": RetryPolicy(1)}
        loop = asyncio.new_event_loop()
        client = AsyncClient("a-token-of-tests", max_connections=2 if sent else 1, **options)

        async def leave(number: int) -> list[asyncio.Task[object]]:
            tasks: list[asyncio.Task[object]] = [asyncio.ensure_future(client.balance()) for _ in range(4)]
            while server.requests < number:
                await asyncio.sleep(0.001)
            return tasks

        left = loop.run_until_complete(leave(2 if sent else 1))  # two of them wait for a slot
        loop.close()
        bucket = client._driver._limits._limiters[EndpointGroup.BALANCE]  # type: ignore[union-attr]
        assert (bucket._slots.busy, bucket.waiting) == (2, 2)
        time.sleep(0.11)  # until it is looked for such slots again
        with Client("a-token-of-tests", **options) as other:
            with pytest.raises(NetworkError):  # that is, it is sent
                other.balance(timeout=0.5)
        assert server.requests == (3 if sent else 2)
        assert (bucket._slots.busy, bucket.waiting) == (0, 0)
        for task in left:
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # it is what is tested


def test_a_call_of_a_closed_event_loop_closes_no_connection() -> None:
    """It would have to wait, and a coroutine that waits while it is collected complains."""
    with raw_server(lambda connection, request: (b"", False)) as server:
        client = AsyncClient("a-token-of-tests", base_url=server.url)
        pool = client._driver._connections

        async def begin() -> AsyncCaller:
            caller = AsyncCaller(lambda _: None)
            pool._take(caller, fresh=True)
            return caller

        loop = asyncio.new_event_loop()
        caller = loop.run_until_complete(begin())
        loop.close()
        pool.give_back(caller)
        with pytest.raises(StopIteration):
            pool._close_unwanted(caller).send(None)
        assert len(pool._unwanted) == 1, "the next call closes it"
        asyncio.run(client.aclose())
        assert not pool._unwanted


def test_a_trio_run_is_over_when_it_has_ended() -> None:
    async def begin() -> AsyncCaller:
        caller = AsyncCaller(lambda _: None)
        assert not caller.over
        return caller

    assert trio.run(begin).over
