"""Purchases that are cancelled, wherever they are just then: none is lost, none is bought afterwards."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import anyio.lowlevel
import httpx
import pytest

from smscode import AsyncClient, InvalidArgumentError, Recovered, SmscodeError
from smscode.journal import SQLiteJournal
from smscode.sandbox import Sandbox

pytestmark = pytest.mark.anyio
CREATE = "POST /orders/create"


class Steps(httpx.AsyncBaseTransport):
    """A sandbox that lets others run a few times before and after it does what it is asked."""

    def __init__(self, sandbox: Sandbox, steps: int = 3) -> None:
        self._inner = sandbox.transport()
        self._steps = steps

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        for _ in range(self._steps):
            await anyio.lowlevel.checkpoint()
        response = await self._inner.handle_async_request(request)
        for _ in range(self._steps):
            await anyio.lowlevel.checkpoint()
        return response


def bought_keys(sandbox: Sandbox) -> int:
    return sandbox.requests[CREATE]


async def cancelled_after(steps: int, client: AsyncClient, count: int) -> bool:
    """Cancel a purchase after so many turns of the event loop; return whether it was over before."""
    done = False

    async def buy() -> None:
        nonlocal done
        if count == 1:
            await client.orders.create(catalog_product_id=87)
        else:
            await client.orders.create_many(count, catalog_product_id=87)
        done = True

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(buy)
        for _ in range(steps):
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    return done


def ids_of(recovered: list[Recovered]) -> set[int]:
    return {order.id for one in recovered for order in one.orders}


@pytest.mark.parametrize("count", [1, 250])
async def test_a_purchase_that_is_cancelled_anywhere_is_found_again_or_never_bought(
    count: int, tmp_path: Path
) -> None:
    ended = False
    for steps in range(0, 200, 1 if count == 1 else 5):
        sandbox = Sandbox(otp_after=None, balance=10**9)
        path = tmp_path / f"{steps}.db"
        with SQLiteJournal(path) as journal:
            client = AsyncClient(sandbox.token, transport=Steps(sandbox), journal=journal)
            ended = await cancelled_after(steps, client, count)
            in_memory = {one.intent for one in client.orders.bought()} | set(client.orders.unresolved())
        before = {entry.order_id for entry in sandbox.ledger if entry.order_id is not None}
        with SQLiteJournal(path) as journal:
            client = AsyncClient(sandbox.token, transport=sandbox.transport(), journal=journal)
            recovered = await client.orders.recover()
        assert before <= ids_of(recovered)
        assert in_memory >= {one.intent for one in recovered}
        if ended:
            break
    assert ended, "the last one was not cancelled any more"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_cancellation_does_not_wait_for_a_locked_journal_and_nothing_is_bought(
    tmp_path: Path,
) -> None:
    path, sandbox = tmp_path / "orders.db", Sandbox(otp_after=None)
    with SQLiteJournal(path) as journal:
        client = AsyncClient(sandbox.token, transport=sandbox.transport(), journal=journal)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        tasks = [asyncio.create_task(client.orders.create(catalog_product_id=87)) for _ in range(20)]
        await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)
        assert client.orders.unresolved() == ()
        other.execute("ROLLBACK")
        other.close()
    with SQLiteJournal(path) as journal:
        client = AsyncClient(sandbox.token, transport=sandbox.transport(), journal=journal)
        assert await client.orders.recover() == []
    assert bought_keys(sandbox) == 0


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_error_that_is_being_labelled_can_be_cancelled(tmp_path: Path) -> None:
    """Until it is known what the journal has of a key, nothing is said; leaving then changes nothing."""
    path, sandbox = tmp_path / "orders.db", Sandbox(otp_after=None)
    with SQLiteJournal(path) as journal:
        client = AsyncClient(sandbox.token, transport=sandbox.transport(), journal=journal)
        create = asyncio.create_task(client.orders.create(idempotency_key="sale"))
        await asyncio.sleep(0)
        create.cancel()
        with pytest.raises((asyncio.CancelledError, InvalidArgumentError)):
            await create
        assert client.orders.unresolved() == ()


class Refusing(httpx.AsyncBaseTransport):
    """A service that refuses; as soon as it has, the journal is locked by somebody else."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.other: sqlite3.Connection | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.other = sqlite3.connect(self._path, isolation_level=None)
        self.other.execute("BEGIN IMMEDIATE")
        error = {"code": "NO_OFFER_AVAILABLE", "message": "none"}
        return httpx.Response(422, json={"success": False, "error": error})


@pytest.fixture
async def refused(tmp_path: Path) -> AsyncIterator[tuple[AsyncClient, Refusing]]:
    transport = Refusing(tmp_path / "orders.db")
    with SQLiteJournal(tmp_path / "orders.db") as journal:
        yield AsyncClient("invented-token", transport=transport, journal=journal), transport


async def test_a_refusal_that_is_not_on_disk_by_the_deadline_is_not_certain(
    refused: tuple[AsyncClient, Refusing],
) -> None:
    client, transport = refused
    with pytest.raises(SmscodeError) as error:
        await client.orders.create(catalog_product_id=87, timeout=0.3)
    assert error.value.outcome == "unknown"
    (intent,) = client.orders.unresolved()
    assert intent.idempotency_key == error.value.idempotency_key
    assert transport.other is not None
    transport.other.close()


async def test_a_caller_who_leaves_while_a_refusal_is_stored_leaves_nothing_behind(
    refused: tuple[AsyncClient, Refusing],
) -> None:
    client, transport = refused
    with anyio.move_on_after(0.2):
        await client.orders.create(catalog_product_id=87)
    assert client.orders.unresolved() == ()
    assert transport.other is not None
    transport.other.close()
