"""Cancelling what is read ahead leaves nothing behind: no task, no thread, no connection in use."""

from __future__ import annotations

import threading

import anyio
import httpx
import pytest

from smscode import AsyncClient, Client

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


def test_leaving_the_block_leaves_no_thread() -> None:
    before = threading.active_count()

    def respond(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=FIRST)

    with Client("a-token-of-tests", api_version="v1", transport=httpx.MockTransport(respond)) as client:
        with client.catalog.prefetch_products(page_size=1) as products:
            assert next(products).id == 1
            assert threading.active_count() == before + 1
        assert threading.active_count() == before
