"""Who reads and buys: this package and others, on an event loop."""

from __future__ import annotations

import asyncio
import importlib
import itertools
import time
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Any, Protocol, Self

from attrs import frozen

from smscode import AsyncClient
from smscode._http.stacks import StackName

from . import machine
from .answers import ORDER_ID

TOKEN = "benchmark-token-"
READ = f"/v2/orders/{ORDER_ID}"
CREATE = "/v2/orders/create"
BODY = {"catalog_product_id": 412, "quantity": 1}

_tokens = itertools.count()


def token() -> str:
    """Return a token that no other client has: clients of one account share its rate limits."""
    return f"{TOKEN}{next(_tokens)}"


class Caller(Protocol):
    """Does one call and reads its answer."""

    async def read(self) -> object:
        """Read an order."""
        ...

    async def create(self) -> object:
        """Rent a number."""
        ...


Opener = Callable[[str], AbstractAsyncContextManager[Caller]]


class _This:
    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def read(self) -> object:
        return await self._client.orders.get(ORDER_ID)

    async def create(self) -> object:
        return await self._client.orders.create(catalog_product_id=412)


class _Httpx:
    def __init__(self, client: Any) -> None:  # of httpx or httpx2
        self._client = client

    async def read(self) -> object:
        response = await self._client.get(READ)
        response.raise_for_status()
        return response.json()["data"]

    async def create(self) -> object:
        response = await self._client.post(CREATE, json=BODY, headers={"idempotency-key": uuid.uuid4().hex})
        response.raise_for_status()
        return response.json()["data"]


class _Aiohttp:
    def __init__(self, session: Any) -> None:
        self._session = session

    async def read(self) -> object:
        async with self._session.get(READ) as response:
            response.raise_for_status()
            return (await response.json())["data"]

    async def create(self) -> object:
        headers = {"idempotency-key": uuid.uuid4().hex}
        async with self._session.post(CREATE, json=BODY, headers=headers) as response:
            response.raise_for_status()
            return (await response.json())["data"]


@asynccontextmanager
async def this(url: str, http: StackName = "httpx") -> AsyncGenerator[Caller]:
    """Open this package's client with its default options, by an HTTP stack."""
    async with AsyncClient(token(), base_url=url, http=http) as client:
        yield _This(client)


@asynccontextmanager
async def bare_httpx(url: str, name: str = "httpx") -> AsyncGenerator[Caller]:
    """Open a bare client of httpx or httpx2 with as many connections and no time-outs.

    None for connections without use either: a long burst would lose its connections while it queues.
    """
    library: Any = importlib.import_module(name)
    headers = {"authorization": f"Bearer {TOKEN}", "accept": "application/json"}
    limits = library.Limits(max_connections=100, max_keepalive_connections=100, keepalive_expiry=None)
    async with library.AsyncClient(base_url=url, headers=headers, timeout=None, limits=limits) as client:
        yield _Httpx(client)


@asynccontextmanager
async def bare_aiohttp(url: str) -> AsyncGenerator[Caller]:
    """Open a bare aiohttp session; it has 100 connections by itself."""
    aiohttp = importlib.import_module("aiohttp")
    headers = {"authorization": f"Bearer {TOKEN}", "accept": "application/json"}
    async with aiohttp.ClientSession(base_url=url, headers=headers) as session:
        yield _Aiohttp(session)


@frozen
class Contender:
    """What opens a caller, and where the event loop comes from: "asyncio" or "uvloop"."""

    opener: Opener
    loop: str = "asyncio"
    needs: frozenset[str] = frozenset()


def contenders(*names: str) -> dict[str, Contender]:
    """Return those of the named callers for which everything is installed."""
    aiohttp, uvloop, httpx2 = frozenset({"aiohttp"}), frozenset({"uvloop"}), frozenset({"httpx2"})
    this_on_aiohttp = partial(this, http="aiohttp")
    known = {
        "this": Contender(this),
        "httpx": Contender(bare_httpx),
        "httpx2": Contender(partial(bare_httpx, name="httpx2"), needs=httpx2),
        "aiohttp": Contender(bare_aiohttp, needs=aiohttp),
        "this on httpx2": Contender(partial(this, http="httpx2"), needs=httpx2),
        "this on aiohttp": Contender(this_on_aiohttp, needs=aiohttp),
        "this on uvloop": Contender(this, "uvloop", uvloop),
        "httpx on uvloop": Contender(bare_httpx, "uvloop", uvloop),
        "aiohttp on uvloop": Contender(bare_aiohttp, "uvloop", uvloop | aiohttp),
        "this on aiohttp on uvloop": Contender(this_on_aiohttp, "uvloop", uvloop | aiohttp),
    }
    return {name: known[name] for name in names if all(map(machine.has, known[name].needs))}


class Looped:
    """A caller on an event loop of its own, which stays open from round to round."""

    def __init__(self, contender: Contender, url: str) -> None:
        factory: Callable[[], asyncio.AbstractEventLoop] = importlib.import_module(
            contender.loop
        ).new_event_loop
        self._runner = asyncio.Runner(loop_factory=factory)
        self._opened = contender.opener(url)

    def __enter__(self) -> Self:
        self._caller: Caller = self._runner.run(self._opened.__aenter__())
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._runner.run(self._opened.__aexit__(exc_type, exc_value, traceback))
        self._runner.close()

    def reads(self, count: int) -> float:
        """Make ``count`` reads one after the other; return the seconds of CPU for each."""

        async def run() -> float:
            read = self._caller.read
            began = time.process_time()
            for _ in range(count):
                await read()
            return (time.process_time() - began) / count

        return self._runner.run(run())

    def warm(self, connections: int = 100) -> Self:
        """Open the connections, by so many reads at once."""

        async def run() -> None:
            await asyncio.gather(*(self._caller.read() for _ in range(connections)))

        self._runner.run(run())
        return self

    def creates(self, tasks: int, times: int = 1) -> float:
        """Buy with so many tasks at once, so many times; return the seconds of CPU for each purchase."""

        async def run() -> float:
            create = self._caller.create
            began = time.process_time()
            for _ in range(times):
                await asyncio.gather(*(create() for _ in range(tasks)))
            return (time.process_time() - began) / tasks / times

        return self._runner.run(run())
