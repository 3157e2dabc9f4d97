"""The token is nowhere to be seen: not in logs, errors, tracebacks with locals, pickles or on disk."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import pickle
import threading
import traceback
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
import trio

from smscode import AsyncClient, Client, RetryPolicy, SmscodeError
from smscode.journal import SQLiteJournal

from .concurrency import raw_server

CANARY = "canary-4711-0815"
ONCE = RetryPolicy(max_attempts=1)


Respond = Callable[[int, int], tuple[bytes, bool]]


def respond(body: bytes, status: str = "200 OK") -> Respond:
    head = f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    return lambda connection, request: (head + body, False)


ECHO = f'{{"success":false,"error":{{"code":"UNAUTHORIZED","message":"Bearer {CANARY}, or {CANARY}?"}}}}'
ANSWERS: dict[str, Respond] = {
    "closes": lambda connection, request: (b"", True),
    "garbage": lambda connection, request: (b"\x00\xffgarbage\r\n\r\n", True),
    "cut": lambda connection, request: (b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{", True),
    "proxy page": respond(b"<html>" + CANARY.encode(), "502 Bad Gateway"),
    "echo": respond(ECHO.encode(), "401 Unauthorized"),
    "not the API": respond(CANARY.encode()),
    "says nothing": lambda connection, request: (b"", False),
}


@pytest.fixture(autouse=True)
def _watched(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Log everything there is, and look through it afterwards."""
    with caplog.at_level(logging.DEBUG):
        yield
    assert CANARY not in caplog.text
    assert all(CANARY not in repr(record.__dict__) for record in caplog.records)


def look_through(error: BaseException) -> None:
    """Look for the token everywhere that an error leads to."""
    seen: list[BaseException] = []
    left: list[BaseException | None] = [error]
    while left:
        found = left.pop()
        if found is None or found in seen:
            continue
        seen.append(found)
        left += [found.__cause__, found.__context__]
        texts = (str(found), repr(found), repr(found.args), repr(vars(found)))  # the last has the notes
        assert CANARY not in "".join(texts)
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    for text in shown.format():
        assert CANARY not in text
    if isinstance(error, SmscodeError):
        assert CANARY.encode() not in pickle.dumps(error)


@contextlib.contextmanager
def watched() -> Generator[None]:
    """Run a block whose errors are looked through, and end there."""
    try:
        yield
    except BaseException as error:
        look_through(error)


def options(url: str, **more: Any) -> dict[str, Any]:
    return {"token": CANARY, "base_url": url, "retry": ONCE, "timeout": 0.3, **more}


@pytest.mark.parametrize("kind", ANSWERS)
def test_threads_do_not_show_it(kind: str, tmp_path: Path) -> None:
    with raw_server(ANSWERS[kind]) as server, SQLiteJournal(tmp_path / "orders.db") as journal:
        with Client(**options(server.url, journal=journal)) as client:
            with pytest.raises(SmscodeError) as failed:
                client.orders.create(catalog_product_id=87)
            look_through(failed.value)
            assert CANARY not in repr(client) + repr(vars(client)) + repr(client.orders.unresolved())
        assert all(CANARY.encode() not in path.read_bytes() for path in tmp_path.iterdir())


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_tasks_do_not_show_it(kind: str, backend: str) -> None:
    async def buy(url: str) -> None:
        async with AsyncClient(**options(url)) as client:
            with pytest.raises(SmscodeError) as failed:
                await client.orders.create(catalog_product_id=87)
            look_through(failed.value)

    with raw_server(ANSWERS[kind]) as server:
        anyio.run(buy, server.url, backend=backend)


def test_a_refused_connection_does_not_show_it() -> None:
    with raw_server(ANSWERS["closes"]) as server:
        url = server.url
    with Client(**options(url)) as client:
        with pytest.raises(SmscodeError) as failed:
            client.balance()
        look_through(failed.value)


@pytest.mark.asyncio
async def test_a_cancelled_task_does_not_show_it() -> None:
    with raw_server(ANSWERS["says nothing"]) as server:
        async with AsyncClient(**options(server.url, timeout=30)) as client:
            task = asyncio.create_task(client.orders.create(catalog_product_id=87))
            while not server.requests:
                await asyncio.sleep(0.001)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as cancelled:
                await task
            look_through(cancelled.value)
            assert len(client.orders.unresolved()) == 1


def test_a_cancelled_trio_task_does_not_show_it() -> None:
    async def buy(client: AsyncClient) -> None:
        try:
            await client.orders.create(catalog_product_id=87)
        except BaseException as cancelled:
            look_through(cancelled)
            raise

    async def main() -> None:
        async with AsyncClient(**options(server.url, timeout=30)) as client:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(buy, client)
                while not server.requests:
                    await trio.sleep(0.001)
                nursery.cancel_scope.cancel()
            assert len(client.orders.unresolved()) == 1

    with raw_server(ANSWERS["says nothing"]) as server:
        trio.run(main)


def test_threads_that_share_a_client_do_not_show_it() -> None:
    with raw_server(ANSWERS["echo"]) as server, Client(**options(server.url)) as client:

        def ask() -> None:
            with watched():
                client.balance()

        threads = [threading.Thread(target=ask) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert CANARY not in repr(client)
