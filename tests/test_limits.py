"""Rate limits across tasks, threads and event loops: giving up loses nothing, waking reaches everybody."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest
import trio
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from smscode import AsyncClient, Client, NetworkError, RateLimitError, RateLimits, RetryPolicy
from smscode._concurrency import AsyncLoopAffinity, AsyncSignal, LoopAffinity
from smscode._ratelimit import budget as account_limits
from smscode._ratelimit import registry
from smscode._ratelimit.budget import AccountLimits
from smscode.core.ratelimit.limiter import GroupLimiter, Lease
from smscode.core.ratelimit.options import RateLimits as Options
from smscode.core.ratelimit.slots import RequestEnding
from smscode.models import EndpointGroup

ONE = RateLimits(balance=1)
ONCE = RetryPolicy(max_attempts=1)
BALANCE = {"success": True, "data": {"currency": "IDR", "balance": 5}}


@define
class Service(httpx.AsyncBaseTransport, httpx.BaseTransport):
    """Keeps the first request until it is told to, and then refuses its connection; answers the others."""

    begun: threading.Event = field(factory=threading.Event)
    go_on: threading.Event = field(factory=threading.Event)
    requests: int = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        if self.requests == 1:
            self.begun.set()
            assert self.go_on.wait(10)
            raise httpx.ConnectError("refused")
        return httpx.Response(200, json=BALANCE)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        return httpx.Response(200, json=BALANCE)


def waiting() -> int:
    """Return how many wait for the balance's limit in all accounts."""
    held = list(registry._registry._budgets.values())
    return sum(len(budget.buckets[EndpointGroup.BALANCE]._waiting) for budget in held)


def wait_until(condition: Callable[[], bool]) -> None:
    done = threading.Event()
    for _ in range(10_000):
        if condition():
            return
        done.wait(0.001)
    raise AssertionError("it never came to that")


def test_a_slot_freed_by_a_thread_wakes_a_waiting_event_loop(anyio_backend: str) -> None:
    service = Service()

    def hold() -> None:
        with (
            Client("token", transport=service, api_version="v1", rate_limits=ONE, retry=ONCE) as client,
            pytest.raises(NetworkError),
        ):
            client.balance()

    async def follow() -> int:
        async with AsyncClient("token", transport=service, api_version="v1", rate_limits=ONE) as client:
            with anyio.fail_after(20):
                return (await client.balance(timeout=1000)).balance.canonical_amount

    with ThreadPoolExecutor() as threads:
        first = threads.submit(hold)
        assert service.begun.wait(10)
        second = threads.submit(lambda: anyio.run(follow, backend=anyio_backend))
        wait_until(lambda: waiting() == 1)
        service.go_on.set()
        first.result(20)
        assert second.result(20) == 5


def balance_bucket(client: AsyncClient) -> tuple[int, int]:
    """Return how many of the balance's slots are busy, and how many cool."""
    limits = client._driver._limits
    assert limits is not None
    slots = limits._budget.buckets[EndpointGroup.BALANCE]._slots
    return slots.busy, slots.cooling


@define
class Stalling(httpx.AsyncBaseTransport):
    """Never answers; reports its progress to the client."""

    writes: bool
    begun: anyio.Event = field(factory=anyio.Event)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        trace = request.extensions["trace"]
        await trace("connection.connect_tcp.started", {})
        if self.writes:
            await trace("http11.send_request_headers.started", {"request": request})
        self.begun.set()
        await anyio.sleep_forever()
        raise AssertionError


@pytest.mark.anyio
@pytest.mark.parametrize("writes", [True, False])
async def test_a_cancelled_request_counts_only_if_it_was_sent(writes: bool) -> None:
    transport = Stalling(writes)
    async with AsyncClient("token", transport=transport, api_version="v1") as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.balance)
            await transport.begun.wait()
            assert balance_bucket(client) == (1, 0)
            tasks.cancel_scope.cancel()
        assert balance_bucket(client) == (0, 1 if writes else 0)


@pytest.mark.anyio
async def test_giving_up_the_wait_gives_up_the_place() -> None:
    transport = Stalling(writes=False)
    async with AsyncClient("token", transport=transport, api_version="v1", rate_limits=ONE) as client:

        async def ask() -> None:
            await client.balance(timeout=1e6)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await transport.begun.wait()
            async with anyio.create_task_group() as more:
                for _ in range(50):
                    more.start_soon(ask)
                while waiting() < 50:
                    await anyio.lowlevel.checkpoint()
                more.cancel_scope.cancel()
            assert waiting() == 0
            tasks.cancel_scope.cancel()
        assert balance_bucket(client) == (0, 0)


@pytest.mark.anyio
async def test_a_pause_ends_the_waits_that_it_makes_hopeless() -> None:
    transport = Stalling(writes=False)
    async with AsyncClient("token", transport=transport, api_version="v1", rate_limits=ONE) as client:
        limits = client._driver._limits
        assert limits is not None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.balance)
            await transport.begun.wait()

            async def ask() -> None:
                with pytest.raises(RateLimitError, match="asked for a pause of the group balance"):
                    await client.balance(timeout=1000)
                tasks.cancel_scope.cancel()

            tasks.start_soon(ask)
            while not waiting():
                await anyio.lowlevel.checkpoint()
            limits._budget.buckets[EndpointGroup.BALANCE].pause(None, limits._clock(), 2000)


def test_an_ended_event_loop_has_nobody_to_wake() -> None:
    async def signal() -> AsyncSignal:
        return AsyncSignal()

    for ended in (asyncio.run(signal()), trio.run(signal)):
        with ThreadPoolExecutor() as threads:
            assert threads.submit(ended.wake).result(10) is False


@pytest.mark.anyio
async def test_what_a_signal_stops_is_not_begun_after_it_was_set() -> None:
    signal = AsyncSignal()
    signal.wake()
    done = False
    with signal.stopping():
        await anyio.lowlevel.checkpoint()
        done = True
    assert not done
    with anyio.fail_after(10):
        await anyio.sleep(0.001)  # what comes afterwards is not stopped


@define(eq=False, hash=False)
class Clock:
    """A clock that stands still; all of them are the same one to the budgets."""

    now: float

    def __call__(self) -> float:
        return self.now

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Clock)

    def __hash__(self) -> int:
        return 0


@define(eq=False)
class Place:
    """Stands for the event loop and process of a client."""

    over: bool = False


HELD = Place()


def budget(
    account: str, now: float = 0.0, home: Place | None = None, limits: RateLimits = Options()
) -> AccountLimits:
    return registry.account_limits(account, None, home or Place(), limits, 90.0, Clock(now))


def others(now: float) -> None:
    """Use and drop so many accounts that the registry looks through what it has."""
    for number in range(100):
        budget(f"other {number}", now)


def send_one(held: AccountLimits) -> GroupLimiter:
    """Begin and end a request at the time 0."""
    bucket = held.buckets[EndpointGroup.CREATE]
    lease = bucket.ask(0.0, 1.0)
    assert isinstance(lease, Lease)
    bucket.end(lease, 0.0, RequestEnding.ANSWERED)
    return bucket


def test_a_budget_stays_while_its_requests_count_and_goes_afterwards() -> None:
    bucket = send_one(budget("a"))
    others(now=30.0)
    assert budget("a").buckets[EndpointGroup.CREATE] is bucket
    others(now=100.0)
    assert budget("a", now=100.0).buckets[EndpointGroup.CREATE] is not bucket


def test_a_budget_that_a_client_holds_stays_and_so_does_what_it_sends_last() -> None:
    held = budget("a", home=(client := Place()))
    others(now=0.0)
    assert budget("a") is held
    bucket = send_one(held)
    del client, held
    gc.collect()
    others(now=30.0)
    assert budget("a").buckets[EndpointGroup.CREATE] is bucket


def test_a_budget_whose_clients_have_lost_their_loops_goes_too() -> None:
    held = budget("a", home=(place := Place()))
    place.over = True
    others(now=0.0)
    assert budget("a") is not held


def numbers(held: AccountLimits) -> tuple[int, float]:
    bucket = held.buckets[EndpointGroup.CREATE]
    return bucket.limit, bucket.window


def test_the_strictest_numbers_of_the_clients_that_live_are_in_force() -> None:
    few, slow = RateLimits(create=5), RateLimits(create=100, window=90.0)
    held = budget("a", home=HELD)
    places = [Place(), Place(), Place()]
    for place, limits in zip(places, (few, few, slow), strict=True):
        budget("a", home=place, limits=limits)
    assert numbers(held) == (5, 90.0)
    held.release(places.pop(0))
    held.refresh(0.0)
    assert numbers(held) == (5, 90.0)
    places.pop(0)
    gc.collect()
    held.refresh(0.0)
    assert numbers(held) == (100, 90.0)
    places[0].over = True
    held.refresh(0.05)  # it looks at that now and then
    assert numbers(held) == (100, 90.0)
    held.refresh(0.1)
    assert numbers(held) == (3000, 60.0)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["come", "come", "close", "be collected", "lose its loop"]),
            st.integers(0, 3),
            st.sampled_from(
                [RateLimits(create=limit, window=window) for limit in (3, 50) for window in (9, 90)]
            ),
        ),
        max_size=20,
    )
)
def test_whatever_clients_come_and_go_the_strictest_of_the_living_hold(
    steps: list[tuple[str, int, RateLimits]],
) -> None:
    held = AccountLimits(Options())
    living: dict[int, tuple[Place, RateLimits]] = {}
    place = Place()
    before = numbers(held)
    for now, (step, number, limits) in enumerate(steps):
        if step == "come":
            living[number] = place, _ = Place(), limits
            held.admit(place, limits, float(now))
        elif number in living:
            place, _ = living.pop(number)
            place.over = step == "lose its loop"
            if step == "close":
                held.release(place)
        place = Place()  # nothing else refers to one that was popped
        held.refresh(float(now))
        inside = [limits for _, limits in living.values()]
        if inside:
            before = min(limits.create for limits in inside), max(limits.window for limits in inside)
        assert numbers(held) == before


def test_a_client_that_comes_after_all_others_have_closed_brings_its_own_numbers() -> None:
    held = budget("a", home=HELD, limits=RateLimits(create=5, window=10.0))
    bucket = send_one(held)
    held.release(HELD)
    held.refresh(0.0)
    assert numbers(held) == (5, 10.0)
    assert numbers(budget("a", limits=RateLimits(create=7))) == (7, 60.0)
    assert bucket._slots.cooling == 1  # what was sent under the old ones still counts


def test_giving_up_limits_twice_changes_nothing() -> None:
    held = budget("a", home=HELD, limits=RateLimits(create=5))
    other = Place()
    budget("a", home=other)
    held.release(HELD)
    held.release(HELD)
    held.refresh(0.0)
    assert numbers(held) == (3000, 60.0)


def test_budgets_that_nobody_needs_do_not_pile_up() -> None:
    budget("a", home=HELD)
    for _ in range(20):
        others(now=0.0)
    assert len(registry._registry._budgets) <= 100


def test_a_forked_process_has_the_same_budgets_with_nothing_under_way() -> None:
    held = budget("a", home=HELD, limits=Options(create=7))
    send_one(held)
    registry._registry.acquire_locks()
    registry._registry.reset_after_fork()  # as in the child
    assert budget("a") is held
    assert held.buckets[EndpointGroup.CREATE].limit == 7
    assert held.buckets[EndpointGroup.CREATE].idle(0.0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_waits_for_other_threads_to_be_done_with_the_budgets() -> None:
    held = budget("a", home=HELD)
    send_one(held)
    for _ in range(20):
        inside, go_on = threading.Event(), threading.Event()

        def work(inside: threading.Event = inside, go_on: threading.Event = go_on) -> None:
            with held.lock:
                inside.set()
                go_on.wait(0.005)

        with ThreadPoolExecutor() as threads:
            done = threads.submit(work)
            assert inside.wait(10)
            child = os.fork()
            if child == 0:  # pragma: no cover
                free = held.lock.acquire(timeout=5)
                os._exit(0 if free and held.buckets[EndpointGroup.CREATE].idle(0.0) else 1)
            done.result(10)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert not held.buckets[EndpointGroup.CREATE].idle(0.0)


# -- clients that are gone ----------------------------------------------------------------------------


def test_who_waits_by_the_numbers_of_a_closed_client_goes_at_once() -> None:
    answering = httpx.MockTransport(lambda request: httpx.Response(200, json=BALANCE))
    with Client("token", transport=answering, api_version="v1") as generous:
        strict = Client("token", transport=answering, api_version="v1", rate_limits=ONE)
        strict.balance()
        with ThreadPoolExecutor() as threads:
            waits = threads.submit(lambda: generous.balance(timeout=1000))
            wait_until(lambda: waiting() == 1)
            strict.close()
            assert waits.result(10).balance.canonical_amount == 5


def test_the_numbers_of_a_collected_client_go_with_it() -> None:
    answering = httpx.MockTransport(lambda request: httpx.Response(200, json=BALANCE))
    with Client("token", transport=answering, api_version="v1") as generous:
        strict = Client("token", transport=answering, api_version="v1", rate_limits=ONE)
        strict.balance()
        with pytest.raises(RateLimitError):
            generous.balance(timeout=1)
        with ThreadPoolExecutor() as threads:
            waits = threads.submit(lambda: generous.balance(timeout=1000))
            wait_until(lambda: waiting() == 1)
            del strict
            gc.collect()
            assert waits.result(10).balance.canonical_amount == 5


def test_the_numbers_of_a_client_whose_loop_was_closed_go_with_it(anyio_backend: str) -> None:
    left: list[AsyncClient] = []

    async def use_and_leave() -> None:
        transport = Service(requests=1)
        left.append(AsyncClient("token", transport=transport, api_version="v1", rate_limits=ONE))
        await left[0].balance()

    anyio.run(use_and_leave, backend=anyio_backend)
    answering = httpx.MockTransport(lambda request: httpx.Response(200, json=BALANCE))
    with Client("token", transport=answering, api_version="v1") as client:
        for _ in range(3):
            client.balance(timeout=1)


def test_a_client_that_is_collected_never_waits_for_the_lock_of_its_account() -> None:
    """The collection may come in a thread that has another account's lock."""
    held, place = AccountLimits(Options()), Place()
    with held.lock:
        held.admit(place, Options(balance=1), 0.0)
    locked, may_end = threading.Event(), threading.Event()

    def hold() -> None:
        with held.lock:
            locked.set()
            may_end.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    assert locked.wait(10)
    del place
    assert thread.is_alive()
    may_end.set()
    thread.join()
    assert not held._in_force


class Collected(dict[Any, Any]):
    """Loses a client in the middle of a loop over it, as by a garbage collection."""

    def __iter__(self) -> Iterator[Any]:
        for key in super().__iter__():
            self.popitem()
            yield key

    def items(self) -> Any:
        return ((key, self.get(key)) for key in self)


def test_clients_that_are_collected_while_limits_are_applied_disturb_nothing() -> None:
    held, places = AccountLimits(Options()), [Place() for _ in range(3)]
    for place in places:
        held.admit(place, Options(), 0.0)
    held._in_force = Collected(held._in_force)
    held.refresh(1e9)
    assert held.is_needed(1e9)


def test_who_waits_by_the_numbers_of_a_client_whose_loop_is_closed_meanwhile_goes_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(account_limits, "_PATIENCE", 0.001)
    loop = asyncio.new_event_loop()
    strict = AsyncClient("token", transport=Service(requests=1), api_version="v1", rate_limits=ONE)
    loop.run_until_complete(strict.balance())
    answering = httpx.MockTransport(lambda request: httpx.Response(200, json=BALANCE))
    with Client("token", transport=answering, api_version="v1") as generous, ThreadPoolExecutor() as threads:
        waits = threads.submit(lambda: generous.balance(timeout=1000))
        wait_until(lambda: waiting() == 1)
        loop.close()
        assert waits.result(10).balance.canonical_amount == 5
    assert strict._driver._affinity.over


def test_a_client_from_before_a_fork_is_over_in_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    home = LoopAffinity()
    assert not home.over
    home.check()
    assert not home.over
    monkeypatch.setattr(os, "getpid", lambda: 0)
    assert home.over


@pytest.mark.anyio
async def test_an_asynchronous_client_is_over_with_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    home = AsyncLoopAffinity()
    assert not home.over
    home.check()
    assert not home.over
    monkeypatch.setattr(os, "getpid", lambda: 0)
    assert home.over


def test_slots_of_calls_whose_loop_was_closed_are_free_again() -> None:
    """A loop that is stopped and closed with calls under way runs no ``finally`` of theirs."""

    async def begin(transport: Stalling) -> AsyncClient:
        client = AsyncClient("token", transport=transport, api_version="v1", rate_limits=ONE)
        tasks.append(asyncio.ensure_future(client.balance(timeout=1000)))
        await transport.begun.wait()
        return client

    tasks = list["asyncio.Future[Any]"]()
    loop = asyncio.new_event_loop()
    held = loop.run_until_complete(begin(Stalling(writes=False)))
    assert balance_bucket(held) == (1, 0)
    loop.close()
    answering = httpx.MockTransport(lambda request: httpx.Response(200, json=BALANCE))
    with Client("token", transport=answering, api_version="v1", rate_limits=ONE) as client:
        client.balance(timeout=5)
