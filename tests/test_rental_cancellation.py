"""Rentals, bulk purchases and waits that are cancelled. By hand: threads have no cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import anyio
import httpx
import pytest

from smscode import AsyncClient, AsyncRental, NetworkError, Released
from smscode._async import rental as rental_module
from smscode.sandbox import Sandbox


class Stuck(httpx.AsyncBaseTransport):
    """A sandbox that never answers requests to some path, although it does what they ask."""

    def __init__(self, sandbox: Sandbox, path: str) -> None:
        self._inner: httpx.AsyncBaseTransport = sandbox.transport()
        self._path = path
        self.stuck = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        if request.url.path.endswith(self._path):
            self.stuck += 1
            await anyio.sleep_forever()
        return response


async def until(condition: Callable[[], object]) -> None:
    with anyio.fail_after(10):
        while not condition():
            await anyio.sleep(0.001)


async def rent_and_wait(rental: AsyncRental) -> None:
    async with rental:
        await rental.wait_for_otp()


async def cancelled_in_a_scope(client: AsyncClient, rental: AsyncRental, sandbox: Sandbox) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rent_and_wait, rental)
        await until(lambda: sandbox.requests["GET /orders/active"])
        tasks.cancel_scope.cancel()


def client_of(sandbox: Sandbox, transport: httpx.AsyncBaseTransport | None = None) -> AsyncClient:
    plain: httpx.AsyncBaseTransport = sandbox.transport()
    return AsyncClient(sandbox.token, transport=transport or plain, poll_interval=600)


@pytest.mark.anyio
async def test_a_cancelled_rental_is_given_back() -> None:
    sandbox = Sandbox(otp_after=None, cancel_after=0)
    balance = sandbox.balance
    async with client_of(sandbox) as client:
        rental = client.orders.rent(catalog_product_id=87)
        await cancelled_in_a_scope(client, rental, sandbox)
    assert rental.released is Released.CANCELED
    assert sandbox.balance == balance


@pytest.mark.asyncio
async def test_a_rental_in_a_cancelled_task_is_given_back() -> None:
    sandbox = Sandbox(otp_after=None, cancel_after=0)
    async with client_of(sandbox) as client:
        rental = client.orders.rent(catalog_product_id=87)
        task = asyncio.create_task(rent_and_wait(rental))
        await until(lambda: sandbox.requests["GET /orders/active"])
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert rental.released is Released.CANCELED


async def hold(rental: AsyncRental, entered: anyio.Event) -> None:
    async with rental:
        entered.set()
        await anyio.sleep_forever()


@pytest.mark.anyio
async def test_an_sms_that_the_cancel_of_a_cancelled_rental_meets_is_read() -> None:
    sandbox = Sandbox(otp_after=0)
    async with client_of(sandbox) as client:
        rental, entered = client.orders.rent(catalog_product_id=87), anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hold, rental, entered)
            await entered.wait()
            tasks.cancel_scope.cancel()
    assert rental.released is Released.FINISHED
    assert rental.sms is not None
    assert rental.sms.code is not None


@pytest.mark.asyncio
async def test_an_sms_that_the_cancel_in_a_cancelled_task_meets_is_read() -> None:
    sandbox = Sandbox(otp_after=0)
    async with client_of(sandbox) as client:
        rental, entered = client.orders.rent(catalog_product_id=87), anyio.Event()
        task = asyncio.create_task(hold(rental, entered))
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert rental.released is Released.FINISHED
    assert rental.sms is not None
    assert rental.sms.code is not None


@pytest.mark.asyncio
@pytest.mark.parametrize("path", ["/cancel", "/orders/1001", "/finish"])
async def test_a_task_that_is_cancelled_again_while_it_gives_back_says_nothing_untrue(path: str) -> None:
    sandbox = Sandbox(otp_after=0)
    transport = Stuck(sandbox, path)
    async with client_of(sandbox, transport) as client:
        rental, entered = client.orders.rent(catalog_product_id=87), anyio.Event()
        task = asyncio.create_task(hold(rental, entered))
        await entered.wait()
        task.cancel()
        await until(lambda: transport.stuck)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert transport.stuck == 1, "it is not tried again"
        assert (rental.released, rental.release_error) == (None, None)
        assert rental.order_id in client._driver.open_rentals


@pytest.mark.anyio
async def test_a_cancelled_rental_that_is_too_new_is_not_waited_for() -> None:
    sandbox = Sandbox(otp_after=None)
    async with client_of(sandbox) as client:
        rental = client.orders.rent(catalog_product_id=87, release_timeout=600)
        await cancelled_in_a_scope(client, rental, sandbox)
    assert rental.released is Released.LEFT_TO_EXPIRE


@pytest.mark.anyio
@pytest.mark.parametrize("last_call", [0.01, 60.0])
async def test_a_service_that_does_not_answer_does_not_keep_a_cancelled_rental(
    last_call: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rental_module, "_LAST_CALL", last_call)
    monkeypatch.setattr(rental_module, "_LAST_CALLS", 0.1)
    sandbox = Sandbox(otp_after=None, cancel_after=0)
    async with client_of(sandbox, Stuck(sandbox, "/cancel")) as client:
        rental = client.orders.rent(catalog_product_id=87)
        with anyio.fail_after(10):
            await cancelled_in_a_scope(client, rental, sandbox)
    assert rental.released is None
    assert isinstance(rental.release_error, NetworkError)
    assert rental.release_error.outcome == "unknown"


@pytest.mark.anyio
async def test_giving_back_that_is_cancelled_is_tried_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rental_module, "_LAST_CALL", 0.01)
    sandbox = Sandbox(otp_after=0)
    transport = Stuck(sandbox, "/finish")
    async with client_of(sandbox, transport) as client:
        rental = client.orders.rent(catalog_product_id=87)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(rent_and_wait, rental)
            await until(lambda: transport.stuck)
            tasks.cancel_scope.cancel()
    assert transport.stuck == 2
    assert rental.released is None
    assert isinstance(rental.release_error, NetworkError)


@pytest.mark.anyio
async def test_a_rental_cancelled_while_it_buys_is_unresolved() -> None:
    sandbox = Sandbox()
    transport = Stuck(sandbox, "/create")
    client = client_of(sandbox, transport)
    rental = client.orders.rent(catalog_product_id=87, idempotency_key="mine")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rent_and_wait, rental)
        await until(lambda: transport.stuck)
        tasks.cancel_scope.cancel()
    assert [intent.idempotency_key for intent in client.orders.unresolved()] == ["mine"]
    assert rental.released is None
    assert set(sandbox.requests) == {"POST /orders/create"}


@pytest.mark.anyio
async def test_purchases_cancelled_in_their_midst_are_all_unresolved() -> None:
    sandbox = Sandbox(balance=10**9)
    transport = Stuck(sandbox, "/create")
    client = client_of(sandbox, transport)

    async def create() -> None:
        await client.orders.create_many(1500, catalog_product_id=87, idempotency_key="mine")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(create)
        await until(lambda: transport.stuck == 10)
        tasks.cancel_scope.cancel()
    left = {intent.idempotency_key for intent in client.orders.unresolved()}
    assert left == {f"mine-{number}" for number in range(1, 11)}


@pytest.mark.anyio
async def test_cancelled_waits_for_several_codes_leave_nothing_behind() -> None:
    sandbox = Sandbox(otp_after=None)
    async with client_of(sandbox) as client:
        created = await client.orders.create(catalog_product_id=87, quantity=3)

        async def codes() -> None:
            ids = [order.id for order in created]
            _ = [outcome async for outcome in client.orders.otps(ids)]

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(codes)
            await until(lambda: sandbox.requests["GET /orders/active"])
            tasks.cancel_scope.cancel()
        assert (
            len(client._ordering.waits._shared_poll._participants),
            client._ordering.waits._shared_poll._leader,
        ) == (0, None)
