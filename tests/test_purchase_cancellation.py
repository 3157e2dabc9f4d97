"""Purchases that are cancelled, wherever they are just then: none is lost, none is bought afterwards."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

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
    # The journal takes its own time: after the small steps ever longer ones, until a purchase is over.
    doubled = (200 * 2**more for more in itertools.count())
    for steps in itertools.chain(range(0, 200, 1 if count == 1 else 5), doubled):
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
        create = asyncio.create_task(cast(Any, client.orders).create(idempotency_key="sale"))
        await asyncio.sleep(0)
        create.cancel()
        with pytest.raises((asyncio.CancelledError, InvalidArgumentError)):
            await create
        assert client.orders.unresolved() == ()


class Refusing(httpx.AsyncBaseTransport):
    """A service that refuses; as soon as it has, the journal is locked by another process."""

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


class Hanging(httpx.AsyncBaseTransport):
    """A service that does not answer before it is let go."""

    def __init__(self) -> None:
        self.asked = 0
        self.go = anyio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        await self.go.wait()
        return httpx.Response(503)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("shared", [True, False])
async def test_what_a_closed_journal_has_not_seen_sent_is_never_bought(shared: bool, tmp_path: Path) -> None:
    """A client that is closed with calls under way, as at the end of a program."""
    path, transport = tmp_path / "orders.db", Hanging()
    journal = str(path) if shared else SQLiteJournal(path)
    client = AsyncClient("invented-token", transport=transport, journal=journal, max_connections=1)
    holding = asyncio.create_task(client.balance())
    await asyncio.sleep(0.01)
    buying = asyncio.create_task(client.orders.create(catalog_product_id=87, idempotency_key="sale"))
    await asyncio.sleep(0.2)
    await client.aclose()
    if isinstance(journal, SQLiteJournal):
        journal.close()
    for task in (holding, buying):
        task.cancel()
    await asyncio.gather(holding, buying, return_exceptions=True)
    assert transport.asked == 1
    sandbox = Sandbox(token="invented-token", otp_after=None)
    with SQLiteJournal(path) as again:
        client = AsyncClient("invented-token", transport=sandbox.transport(), journal=again)
        assert await client.orders.recover() == []
    assert bought_keys(sandbox) == 0


async def test_a_client_that_is_closed_in_a_cancelled_scope_closes_its_journal(tmp_path: Path) -> None:
    path, sandbox = tmp_path / "orders.db", Sandbox(otp_after=None)
    bought: set[int] = set()
    with anyio.CancelScope() as scope:
        async with AsyncClient(sandbox.token, transport=sandbox.transport(), journal=path) as client:
            created = await client.orders.create(catalog_product_id=87)
            bought = {order.id for order in created}
            scope.cancel()
    async with AsyncClient(sandbox.token, transport=sandbox.transport(), journal=path) as client:
        assert len(bought) == 1
        assert ids_of(await client.orders.recover()) == bought


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_what_is_cancelled_while_another_call_recovers_is_not_recovered(tmp_path: Path) -> None:
    transport = Hanging()
    with SQLiteJournal(tmp_path / "orders.db") as journal:
        client = AsyncClient("invented-token", transport=transport, journal=journal, max_connections=1)
        holding = asyncio.create_task(client.balance())
        await asyncio.sleep(0.01)
        buying = [asyncio.create_task(client.orders.create(catalog_product_id=87)) for _ in range(20)]
        await asyncio.sleep(0.3)
        recovering = asyncio.create_task(client.orders.recover())
        await asyncio.sleep(0)
        for task in buying:
            task.cancel()
        await asyncio.gather(*buying, return_exceptions=True)
        assert await recovering == []
        holding.cancel()
        await asyncio.gather(holding, return_exceptions=True)
    assert transport.asked == 1
