"""A cancelled reader does not lose the list for those who wait for it. By hand: threads have none."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import httpx
import pytest

from smscode import AsyncClient, Product
from smscode.sandbox import Sandbox

pytestmark = pytest.mark.anyio


class Held(httpx.AsyncBaseTransport):
    """Answers like a sandbox, but never the first of the lists."""

    def __init__(self) -> None:
        self.sandbox = Sandbox()
        self._inner = self.sandbox.transport()
        self.lists = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/countries"):
            self.lists += 1
            if self.lists == 1:
                await anyio.sleep_forever()
        return await self._inner.handle_async_request(request)


async def test_another_reads_when_the_reader_is_cancelled() -> None:
    held = Held()
    found: list[list[Product]] = []
    with anyio.fail_after(20):
        async with AsyncClient(held.sandbox.token, transport=held) as client:

            async def find() -> None:
                found.append(await client.catalog.find(country="indonesia", service=3))

            async with anyio.create_task_group() as others:
                async with anyio.create_task_group() as first:
                    first.start_soon(find)
                    while not held.lists:
                        await anyio.lowlevel.checkpoint()
                    for _ in range(10):
                        others.start_soon(find)
                    for _ in range(20):
                        await anyio.lowlevel.checkpoint()
                    assert held.lists == 1
                    first.cancel_scope.cancel()
    assert held.lists == 2
    assert len(found) == 10


async def test_a_cancelled_follower_leaves_the_reader_alone() -> None:
    held = Held()
    with anyio.fail_after(20):
        async with AsyncClient(held.sandbox.token, transport=held) as client:

            async def find() -> None:
                await client.catalog.find(country="indonesia")

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(find)
                while not held.lists:
                    await anyio.lowlevel.checkpoint()
                with anyio.move_on_after(0.01) as follower:
                    await find()
                assert follower.cancelled_caught
                assert held.lists == 1
                tasks.cancel_scope.cancel()
            assert await client.catalog.find(country="indonesia")
    assert held.lists == 2
