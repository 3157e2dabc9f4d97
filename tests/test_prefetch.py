"""Cancelling what is read ahead leaves nothing behind: no task, no thread, no connection in use."""

from __future__ import annotations

import threading

import anyio
import httpx
import pytest

from smscode import AsyncClient, Client
from smscode._concurrency import Ahead, Event
from tests.concurrency import raw_server

pytestmark = pytest.mark.anyio

FIRST = (
    b'{"success":true,"data":[{"id":1,"available":5,"price":15000,"active":true}],'
    b'"meta":{"page":1,"limit":1,"count":1}}'
)


class Hanging(httpx.AsyncBaseTransport):
    """Answers the first request, and leaves the others waiting until they are cancelled."""

    def __init__(self) -> None:
        self.waiting = anyio.Event()
        self.cancelled = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.params["page"] == "1":
            return httpx.Response(200, content=FIRST)
        self.waiting.set()
        try:
            await anyio.sleep_forever()
        finally:
            self.cancelled = True
        raise AssertionError("never")


def client_of(transport: Hanging) -> AsyncClient:
    return AsyncClient("a-token-of-tests", api_version="v1", transport=transport, timeout=None)


async def read_all(client: AsyncClient, seconds: float) -> None:
    with anyio.fail_after(seconds):
        async with client.catalog.prefetch_products(page_size=1) as products:
            async for _ in products:
                pass


async def test_leaving_the_block_cancels_the_page_under_way() -> None:
    transport = Hanging()
    async with client_of(transport) as client:
        async with client.catalog.prefetch_products(page_size=1) as products:
            assert (await anext(products)).id == 1
            await transport.waiting.wait()
        assert transport.cancelled


@pytest.mark.parametrize("where", ["in the block", "waiting for the next page"])
async def test_a_cancelled_block_ends_at_once(where: str) -> None:
    transport = Hanging()
    left = False
    async with client_of(transport) as client:
        with anyio.CancelScope() as scope:
            async with client.catalog.prefetch_products(page_size=1) as products:
                assert (await anext(products)).id == 1
                await transport.waiting.wait()
                scope.cancel()
                if where == "in the block":
                    await anyio.sleep_forever()
                await anext(products)
            left = True
        assert scope.cancelled_caught
        assert not left
        assert transport.cancelled


async def test_a_timeout_around_it_stays_a_timeout() -> None:
    transport = Hanging()
    async with client_of(transport) as client:
        with pytest.raises(TimeoutError):
            await read_all(client, 0.05)
    assert transport.cancelled


class Stuck(httpx.BaseTransport):
    """Answers the first request, and holds the others until it is let go."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.go = threading.Event()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.params["page"] != "1":
            self.reached.set()
            self.go.wait(10)
        return httpx.Response(200, content=FIRST)


def helpers() -> int:
    return sum(thread.name == "smscode-helper" for thread in threading.enumerate())


def test_leaving_the_block_leaves_no_thread() -> None:
    transport = Stuck()
    with Client("a-token-of-tests", api_version="v1", transport=transport) as client:
        with client.catalog.prefetch_products(page_size=1) as products:
            assert next(products).id == 1
            assert transport.reached.wait(10)
            assert helpers() == 1
            transport.go.set()
        assert helpers() == 0


def test_an_interrupt_does_not_wait_for_a_transport_that_cannot_be_broken_off() -> None:
    transport = Stuck()
    with Client("a-token-of-tests", api_version="v1", transport=transport) as client:

        def read() -> None:
            with client.catalog.prefetch_products(page_size=1) as products:
                assert next(products).id == 1
                assert transport.reached.wait(10)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            read()
        assert helpers() == 1
        transport.go.set()
        for thread in threading.enumerate():
            if thread.name == "smscode-helper":
                thread.join(10)


def test_leaving_the_block_breaks_off_the_page_under_way() -> None:
    """The server never answers the second page, and no time limit ends that."""
    answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(FIRST)
    reached = threading.Event()

    def respond(connection: int, request: int) -> tuple[bytes, bool]:
        if request == 1:
            return answer + FIRST, False
        reached.set()
        return b"", False

    with raw_server(respond) as server:
        with Client("a-token-of-tests", api_version="v1", base_url=server.url, timeout=None) as client:
            with client.catalog.prefetch_products(page_size=1) as products:
                assert next(products).id == 1
                assert reached.wait(10)
            assert helpers() == 0
            assert not client._driver._connections._gate._inside


def test_whoever_takes_waits_for_what_is_not_there_yet() -> None:
    asked = threading.Event()

    class Done(Event):
        def wait(self, seconds: float) -> bool:
            asked.set()
            return super().wait(seconds)

    ahead = Ahead(lambda: asked.wait(30))
    with ahead:
        assert ahead._next is not None
        ahead._next.done = Done()
        assert ahead.take() is True
