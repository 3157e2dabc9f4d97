"""Cancellation: at once, with nothing left behind, and the client works on. By hand: threads have none."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from operator import attrgetter

import anyio
import anyio.lowlevel
import httpx
import pytest
import trio

from smscode import AsyncClient, Money, RetryPolicy, Sms
from smscode._async.semaphore import AsyncFairSemaphore
from smscode._concurrency import AsyncCaller, AsyncRuntime
from smscode._http.connection import AsyncHttpConnection
from smscode._http.environment import ssl_context
from smscode._http.families import family
from smscode._http.messages import HttpRequest, Origin
from smscode._http.protocols import AsyncHttpResponse
from smscode.sandbox import Sandbox

from .concurrency import RawServer, raw_server

BODY = b'{"success":true,"data":{"currency":"IDR","balance":1000000}}'
GOOD = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)
SILENT, HALF = b"", GOOD[:-20]
BALANCE = Money.idr(1_000_000)
STORMS = 5

Cancel = Callable[[Callable[[], Awaitable[object]], Callable[[], bool]], Awaitable[None]]


async def until(condition: Callable[[], object]) -> None:
    with anyio.fail_after(10):
        while not condition():  # what is waited for happens in threads
            await anyio.sleep(0.001)


@asynccontextmanager
async def two_lanes(first: bytes) -> AsyncGenerator[tuple[RawServer, AsyncClient]]:
    """Make a client of two lanes on a server that is stuck, with ``first``, as long as there are storms."""

    def respond(number: int, request: int) -> tuple[bytes, bool]:
        return (first, False) if number <= 2 * STORMS else (GOOD, False)

    with raw_server(respond) as server:
        client = AsyncClient(
            "token",
            api_version="v1",
            base_url=server.url,
            max_connections=2,
            retry=RetryPolicy(max_attempts=1),
        )
        async with client:
            yield server, client


async def all_is_well(server: RawServer, client: AsyncClient) -> None:
    """Check that every lane and every place at the gate is there again."""
    connections = client._driver._connections
    assert not connections._idle
    assert (len(connections._semaphore._inside), len(connections._semaphore._waiters)) == (0, 0)
    await until(lambda: not server.open)  # the connections of the cancelled calls were closed
    balances: list[Money] = []

    async def ask(number: int) -> None:
        balances.append((await client.balance(timeout=5)).balance)

    await AsyncRuntime().for_each(ask, range(10))
    assert balances == [BALANCE] * 10
    assert 1 <= len(connections._idle) <= 2


async def by_task_cancel(call: Callable[[], Awaitable[object]], stuck: Callable[[], bool]) -> None:
    async def run() -> None:
        await call()

    task = asyncio.create_task(run())
    await until(stuck)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def by_asyncio_timeout(call: Callable[[], Awaitable[object]], stuck: Callable[[], bool]) -> None:
    async def run() -> None:
        async with asyncio.timeout(None) as limit:
            expire = asyncio.create_task(until(stuck))
            expire.add_done_callback(lambda _: limit.reschedule(asyncio.get_running_loop().time()))
            await call()

    with pytest.raises(TimeoutError):
        await run()


async def by_scope(call: Callable[[], Awaitable[object]], stuck: Callable[[], bool]) -> None:
    async with anyio.create_task_group() as tasks:

        async def cancel() -> None:
            await until(stuck)
            tasks.cancel_scope.cancel()

        tasks.start_soon(cancel)
        await call()


async def by_fail_after(call: Callable[[], Awaitable[object]], stuck: Callable[[], bool]) -> None:
    with pytest.raises(TimeoutError), anyio.fail_after(0.02):
        await call()


async def storm(cancel: Cancel, first: bytes) -> None:
    """Cancel calls in the middle of their exchange, and others that wait for their turn behind them."""
    async with two_lanes(first) as (server, client):
        gate = client._driver._connections._semaphore
        for number in range(1, STORMS + 1):

            def stuck(wanted: int = 2 * number) -> bool:
                return server.requests == wanted and len(gate._waiters) == 2

            async def calls() -> None:
                async def ask(_: int) -> None:
                    await client.balance()

                await AsyncRuntime().for_each(ask, range(4))

            await cancel(calls, stuck)
        await all_is_well(server, client)


@pytest.mark.asyncio
@pytest.mark.parametrize("first", [SILENT, HALF])
@pytest.mark.parametrize("cancel", [by_task_cancel, by_asyncio_timeout])
async def test_asyncio_cancels_calls_without_a_trace(cancel: Cancel, first: bytes) -> None:
    await storm(cancel, first)
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.anyio
@pytest.mark.parametrize("first", [SILENT, HALF])
async def test_a_scope_cancels_calls_without_a_trace(first: bytes) -> None:
    await storm(by_scope, first)


def test_trio_cancels_calls_without_a_trace() -> None:
    async def main() -> None:
        before = trio.lowlevel.current_statistics().tasks_living
        await storm(by_scope, SILENT)
        assert trio.lowlevel.current_statistics().tasks_living == before

    trio.run(main)


class SlowLane(AsyncHttpConnection):
    """Never answers, and needs a moment to be closed."""

    closed = False

    def __init__(self) -> None:
        origin = Origin(b"http", b"127.0.0.1", 80)
        super().__init__(family("httpx"), origin, ssl_context("http:"), lambda: 0.0)

    async def handle_async_request(self, request: HttpRequest) -> AsyncHttpResponse:
        await anyio.sleep_forever()
        raise AssertionError

    @property
    def gone(self) -> bool:
        return False

    async def aclose(self) -> None:
        await anyio.sleep(0.001)
        self.closed = True


@pytest.mark.anyio
async def test_the_lane_of_a_cancelled_call_is_closed_to_the_end() -> None:
    lane = SlowLane()
    async with AsyncClient("token") as client:
        connections = client._driver._connections
        connections._idle.append((client._driver.runtime.now(), lane))
        with anyio.move_on_after(0.005) as scope:
            await client.balance()
        assert scope.cancelled_caught
        assert lane.closed


# -- closing ------------------------------------------------------------------------------------------


@asynccontextmanager
async def warm_client(own: bool = False) -> AsyncGenerator[tuple[RawServer, AsyncClient]]:
    """Make a client with four connections that are open; ``own`` ones are of the caller's transport."""
    answered = threading.Barrier(4)

    def respond(number: int, request: int) -> tuple[bytes, bool]:
        answered.wait(10)
        return GOOD, False

    with raw_server(respond) as server:
        transport = httpx.AsyncHTTPTransport() if own else None
        client = AsyncClient("token", api_version="v1", base_url=server.url, transport=transport)

        async def ask(number: int) -> None:
            await client.balance()

        await AsyncRuntime().for_each(ask, range(4))
        assert server.open == 4
        yield server, client


@pytest.mark.anyio
@pytest.mark.parametrize("own", [False, True])
async def test_closing_closes_all_connections_where_everything_is_being_cancelled(own: bool) -> None:
    async with warm_client(own) as (server, client):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await client.aclose()
        await until(lambda: not server.open)


@pytest.mark.anyio
async def test_leaving_the_block_of_a_client_closes_all_connections_in_a_cancelled_scope() -> None:
    async with warm_client() as (server, client):
        with anyio.CancelScope() as scope:
            async with client:
                scope.cancel()
                await anyio.sleep_forever()
        await until(lambda: not server.open)


@pytest.mark.anyio
async def test_calls_that_are_cancelled_with_their_client_leave_no_connection_open() -> None:
    with raw_server(lambda number, request: (SILENT, False)) as server:
        client = AsyncClient("token", api_version="v1", base_url=server.url)
        with anyio.CancelScope() as scope:
            async with client, anyio.create_task_group() as tasks:
                for _ in range(4):
                    tasks.start_soon(client.balance)
                await until(lambda: server.requests == 4)
                scope.cancel()
        await until(lambda: not server.open)


@pytest.mark.asyncio
async def test_closing_that_is_cancelled_itself_closes_all_connections() -> None:
    async with warm_client() as (server, client):

        async def close() -> None:
            asyncio.current_task().cancel()  # type: ignore[union-attr]  # there is one
            await client.aclose()

        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(close())
        await until(lambda: not server.open)


@pytest.mark.anyio
async def test_a_connection_that_takes_long_to_close_is_not_waited_for() -> None:
    class Stuck(SlowLane):
        async def aclose(self) -> None:
            await anyio.sleep_forever()

    client = AsyncClient("token")
    client._driver.runtime.shield = lambda seconds: anyio.move_on_after(0.05, shield=True)  # type: ignore[method-assign]
    connections, after = client._driver._connections, SlowLane()
    connections._idle += [(client._driver.runtime.now(), lane) for lane in (Stuck(), after)]
    with anyio.CancelScope() as scope:
        scope.cancel()
        await client.aclose()
    assert after.closed


@pytest.mark.anyio
async def test_a_limit_around_a_call_cancels_it() -> None:
    async with two_lanes(SILENT) as (server, client):
        await by_fail_after(client.balance, lambda: True)
        connections = client._driver._connections
        assert (len(connections._idle), len(connections._semaphore._inside)) == (0, 0)
        await until(lambda: not server.open)


@pytest.mark.asyncio
async def test_a_call_cancelled_before_it_starts_sends_nothing() -> None:
    with raw_server(lambda number, request: (GOOD, False)) as server:
        async with AsyncClient("token", api_version="v1", base_url=server.url) as client:
            task = asyncio.create_task(client.balance())
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await client.balance()).balance == BALANCE
    assert server.requests == 1


@pytest.mark.asyncio
async def test_a_cancelled_pause_between_attempts_ends_the_call() -> None:
    sandbox = Sandbox()
    sandbox.fail_next("balance.get", 503, retry_after=10)
    async with AsyncClient(sandbox.token, transport=sandbox.transport()) as client:
        task = asyncio.create_task(client.balance())
        await until(lambda: sandbox.requests)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await client.balance()
    assert sandbox.requests == {"GET /balance": 2}


# -- the gate --------------------------------------------------------------------------------------


def some_callers(count: int) -> list[AsyncCaller]:
    return [AsyncCaller(lambda _: None) for _ in range(count)]


@pytest.mark.asyncio
async def test_a_waiter_cancelled_before_its_turn_gives_its_place_to_the_next() -> None:
    gate = AsyncFairSemaphore(1, AsyncRuntime())
    one, two, three = some_callers(3)
    assert await gate.enter(one, 0)
    first, second = (asyncio.create_task(gate.enter(caller, 10)) for caller in (two, three))
    await until(lambda: len(gate._waiters) == 2)
    first.cancel()
    await asyncio.wait([first])
    assert first.cancelled()
    assert len(gate._waiters) == 1
    gate.leave(one)
    assert await second
    gate.leave(three)
    assert not gate._inside


@pytest.mark.asyncio
async def test_a_waiter_cancelled_just_as_its_turn_comes_passes_it_on() -> None:
    gate = AsyncFairSemaphore(1, AsyncRuntime())
    one, two, three = some_callers(3)
    assert await gate.enter(one, 0)
    first, second = (asyncio.create_task(gate.enter(caller, 10)) for caller in (two, three))
    await until(lambda: len(gate._waiters) == 2)
    gate.leave(one)
    first.cancel()
    assert await second
    assert first.cancelled()
    gate.leave(three)
    assert not gate._inside


@pytest.mark.asyncio
async def test_many_waiters_may_be_cancelled_in_any_order() -> None:
    gate = AsyncFairSemaphore(3, AsyncRuntime())

    async def hold(number: int) -> None:
        (caller,) = some_callers(1)
        assert await gate.enter(caller, 10)
        try:
            await asyncio.sleep(0.001 * (number % 3))
        finally:
            gate.leave(caller)

    for step in (1, 2, 3, 5):
        tasks = [asyncio.create_task(hold(number)) for number in range(100)]
        await asyncio.sleep(0)
        for task in tasks[::step]:
            task.cancel()
            await asyncio.sleep(0)
        await asyncio.wait(tasks)
        assert (len(gate._inside), len(gate._waiters)) == (0, 0)


@pytest.mark.anyio
async def test_a_waiter_whose_scope_is_cancelled_gives_its_place_back() -> None:
    gate = AsyncFairSemaphore(1, AsyncRuntime())
    one, two = some_callers(2)
    assert await gate.enter(one, 0)
    with anyio.move_on_after(0.001) as scope:
        await gate.enter(two, 10)
    assert scope.cancelled_caught
    assert not gate._waiters
    gate.leave(one)
    assert await gate.enter(two, 0)


# -- waiting for codes -----------------------------------------------------------------------------


@asynccontextmanager
async def waiting(count: int) -> AsyncGenerator[tuple[Sandbox, list[int], list[asyncio.Task[Sms]]]]:
    """Start waits, each for an order of its own, of which the first one polls."""
    sandbox = Sandbox(otp_after=None)
    transport: httpx.AsyncBaseTransport = sandbox.transport()
    async with AsyncClient(sandbox.token, transport=transport, poll_interval=0.01) as client:
        created = await client.orders.create(catalog_product_id=87, quantity=count)
        ids = [order.id for order in created]
        tasks: list[asyncio.Task[Sms]] = []
        for order_id in ids:
            tasks.append(asyncio.create_task(client.orders.wait_for_otp(order_id)))
            await asyncio.sleep(0)
        await until(lambda: sandbox.requests["GET /orders/active"])
        try:
            yield sandbox, ids, tasks
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert not client.orders._waits._shared_poll._participants


@pytest.mark.asyncio
async def test_when_the_polling_wait_is_cancelled_another_one_polls_on() -> None:
    async with waiting(3) as (sandbox, ids, tasks):
        tasks[0].cancel()
        await asyncio.wait([tasks[0]])
        for order_id in ids[1:]:
            sandbox.deliver_sms(order_id, code="123456")
        async with asyncio.timeout(5):
            codes = [(await task).code for task in tasks[1:]]
    assert tasks[0].cancelled()
    assert codes == ["123456"] * 2


@pytest.mark.asyncio
async def test_a_wait_that_follows_may_be_cancelled() -> None:
    async with waiting(3) as (sandbox, ids, tasks):
        tasks[1].cancel()
        await asyncio.wait([tasks[1]])
        for order_id in (ids[0], ids[2]):
            sandbox.deliver_sms(order_id, code="123456")
        async with asyncio.timeout(5):
            assert (await tasks[0]).code == (await tasks[2]).code == "123456"


@pytest.mark.asyncio
async def test_when_the_polling_wait_and_its_successor_are_cancelled_a_third_one_polls_on() -> None:
    async with waiting(3) as (sandbox, ids, tasks):
        tasks[0].cancel()
        tasks[1].cancel()
        sandbox.deliver_sms(ids[2], code="123456")
        async with asyncio.timeout(5):
            assert (await tasks[2]).code == "123456"


async def soon(condition: Callable[[], object]) -> None:
    for _ in range(100):
        if condition():
            return
        await anyio.lowlevel.checkpoint()
    raise AssertionError("it did not come to that")


@pytest.mark.anyio
async def test_a_thousand_leaders_cancelled_as_soon_as_they_lead_cost_no_poll_and_lose_no_waiter() -> None:
    sandbox = Sandbox(otp_after=None)
    transport: httpx.AsyncBaseTransport = sandbox.transport()
    async with AsyncClient(sandbox.token, transport=transport, poll_interval=3600) as client:
        order_id = (await client.orders.create(catalog_product_id=87)).orders[0].id
        board = client.orders._waits._shared_poll
        found: list[Sms] = []
        led = 0

        async def wait() -> None:
            found.append(await client.orders.wait_for_otp(order_id))

        async def lead_and_go(scope: anyio.CancelScope) -> None:
            with scope:
                await client.orders.wait_for_otp(order_id)

        async with anyio.create_task_group() as tasks:
            scopes: list[anyio.CancelScope] = []
            for _ in range(1000):
                scopes.append(anyio.CancelScope())
                tasks.start_soon(lead_and_go, scopes[-1])
                await soon(lambda: len(board._participants) == len(scopes))
            tasks.start_soon(wait)
            await until(lambda: len(board._participants) == 1001 and sandbox.requests["GET /orders/active"])
            for scope in scopes:
                leader = board._leader
                scope.cancel()
                await soon(lambda: board._leader not in (leader, None))  # noqa: B023
                led += 1
            assert (led, len(board._participants)) == (1000, 1)
            assert sandbox.requests["GET /orders/active"] == 1
            board._due = 0.0  # the time of the next poll has come, and the last one has to know
            sandbox.deliver_sms(order_id, code="123456")
            next(iter(board._participants)).signal.set()
        assert [sms.code for sms in found] == ["123456"]
        assert sandbox.requests["GET /orders/active"] == 2


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["catalog.iter_products", "catalog.iter_product_pages", "orders.iter"])
async def test_a_walk_that_is_closed_in_the_middle_leaves_nothing_open(name: str) -> None:
    # Trio warns of every generator that is left open, and warnings are errors here.
    sandbox = Sandbox()
    async with AsyncClient(sandbox.token, transport=sandbox.transport()) as client:
        await client.orders.create(catalog_product_id=87, quantity=5)
        before = sandbox.requests.total()
        async with aclosing(attrgetter(name)(client)(page_size=2)) as walk:
            async for _ in walk:
                break
        assert sandbox.requests.total() == before + 1


@pytest.mark.anyio
async def test_a_wait_may_be_left_by_its_scope() -> None:
    sandbox = Sandbox(otp_after=None)
    async with AsyncClient(sandbox.token, transport=sandbox.transport(), poll_interval=0.002) as client:
        created = await client.orders.create(catalog_product_id=87)
        with anyio.move_on_after(0.01) as scope:
            await client.orders.wait_for_otp(created.orders[0].id)
        assert scope.cancelled_caught
        assert not client.orders._waits._shared_poll._participants
        sandbox.deliver_sms(created.orders[0].id, code="123456")
        assert (await client.orders.wait_for_otp(created.orders[0].id, timeout=0)).code == "123456"


@pytest.mark.anyio
async def test_a_purchase_whose_cancellation_was_swallowed_is_unresolved() -> None:
    with raw_server(lambda number, request: (b"", False)) as server:
        async with AsyncClient("token", base_url=server.url) as client:
            with anyio.move_on_after(30) as scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(cancel_when, scope, lambda: server.requests == 1)
                    await create(client, "by-a-scope")
            assert scope.cancelled_caught
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(create, client, "by-a-task-group")
                await until(lambda: server.requests == 2)
                tasks.cancel_scope.cancel()
            keys = [intent.idempotency_key for intent in client.orders.unresolved()]
    assert keys == ["by-a-scope", "by-a-task-group"]


async def cancel_when(scope: anyio.CancelScope, condition: Callable[[], bool]) -> None:
    await until(condition)
    scope.cancel()


async def create(client: AsyncClient, key: str) -> None:
    await client.orders.create(catalog_product_id=87, idempotency_key=key)


@pytest.mark.anyio
async def test_a_purchase_cancelled_before_its_first_byte_is_not_in_doubt() -> None:
    with raw_server(lambda number, request: (b"", False)) as server:
        async with AsyncClient("token", base_url=server.url, max_connections=1) as client:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(create, client, "sent")
                await until(lambda: server.requests == 1)
                with anyio.move_on_after(0.02):
                    await create(client, "waits")
                tasks.cancel_scope.cancel()
            assert [intent.idempotency_key for intent in client.orders.unresolved()] == ["sent"]
