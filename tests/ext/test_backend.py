"""The example backend under load: two workers, two hundred customers, and a third of the news lost."""

from __future__ import annotations

import asyncio
import os
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("fastapi")
pytest.importorskip("redis")
pytest.importorskip("uvicorn")

import aiohttp

from smscode import Client, OrderStatus
from smscode.sandbox import Delivery, Sandbox
from smscode.sandbox.transports import serving
from smscode.sandbox.transports.asgi import asgi_app

from .redis_server import RedisServer

ROOT = Path(__file__).parent.parent.parent
BACKEND = ROOT / "docs" / "examples" / "backend"
CUSTOMERS = 200
LOST = 0.3
WHATSAPP_INDONESIA = 87


class Loss:
    """Loses requests by chance, and counts them."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self.lost = 0
        self.passed = 0

    def __call__(self) -> bool:
        lost = self._chance.random() < LOST
        self.lost, self.passed = self.lost + lost, self.passed + (not lost)
        return lost


def losing_polls(loss: Loss) -> Callable[[Any, Any], Any]:
    """Run a proxy before the served sandbox that answers some polls itself."""

    def make(app: Any, hosts: Any) -> Any:
        serve: Callable[..., Awaitable[None]] = asgi_app(app, hosts)

        async def proxy(scope: Any, receive: Any, send: Any) -> None:
            if not (scope["path"].endswith("/orders/active") and loss()):
                await serve(scope, receive, send)
                return
            await send({"type": "http.response.start", "status": 502, "headers": []})
            await send({"type": "http.response.body", "body": b"<html>bad gateway"})

        return proxy

    return make


@contextmanager
def backend(environment: dict[str, str], log: Path) -> Generator[str]:
    """Run the example under uvicorn with two workers; yield its address and the file of its log."""
    command = [sys.executable, "-m", "uvicorn", "app:app", "--app-dir", str(BACKEND)]
    command += ["--port", "0", "--no-access-log", "--timeout-worker-healthcheck", "60"]
    with log.open("wb") as writing:
        server = subprocess.Popen(
            command,
            stderr=writing,
            stdout=writing,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        )
    try:
        while (address := re.search(r"running on (http://\S+:\d+)", log.read_text())) is None:
            assert server.poll() is None, log.read_text()
        yield address[1]
    finally:
        server.terminate()
        server.wait(20)
    assert server.returncode in (0, -15), log.read_text()


async def both_workers(http: aiohttp.ClientSession, url: str) -> None:
    """Wait until both workers answer; on a new connection each time, as one stays with its worker."""
    workers: set[int] = set()
    while len(workers) < 2:
        try:
            async with http.get(f"{url}/health", headers={"connection": "close"}) as response:
                workers.add((await response.json())["worker"])
        except aiohttp.ClientConnectionError:  # neither listens yet
            await asyncio.sleep(0.05)


class Shop:
    """The customers, and what they were answered."""

    def __init__(self, http: aiohttp.ClientSession, url: str, sandbox: Sandbox) -> None:
        self._http = http
        self._url = url
        self._sandbox = sandbox
        self.codes: list[tuple[int, str]] = []
        self.statuses: Counter[tuple[str, int]] = Counter()

    async def customer(self, number: int) -> None:
        path = f"/sales/{number}?catalog_product_id={WHATSAPP_INDONESIA}"
        rented = [await self._ask("PUT", path) for _ in range(2)]  # reloads the page
        assert rented[0] == rented[1]
        order_id: int = rented[0]["order_id"]
        if number % 10 == 0:
            await self._ask("DELETE", f"/orders/{order_id}")
            return
        # Presses the button twice; the SMS arrives at any time.
        await asyncio.gather(self._take(order_id), self._take(order_id), self._receive(order_id, number))

    async def _take(self, order_id: int) -> None:
        while True:
            answer = await self._ask("POST", f"/orders/{order_id}/code")
            if "code" in answer:
                self.codes.append((order_id, answer["code"]))
                return
            if answer["status"] != 202:
                return

    async def _receive(self, order_id: int, number: int) -> None:
        await asyncio.sleep(number % 20 / 20)
        await asyncio.to_thread(self._sandbox.deliver_sms, order_id, code=f"{number:06d}")

    async def _ask(self, method: str, path: str) -> dict[str, Any]:
        async with self._http.request(method, self._url + path) as response:
            answer: dict[str, Any] = await response.json()
        self.statuses[method, response.status] += 1
        return {**answer, "status": response.status}


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    """Return what webhooks are sent with; an endpoint has three seconds."""
    with httpx.Client(timeout=3, trust_env=False) as http:
        yield http


@pytest.mark.asyncio
async def test_every_customer_gets_the_code_once_or_the_money_back(
    redis: RedisServer, http: httpx.Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    polls, webhooks = Loss(1), Loss(2)
    monkeypatch.setattr(serving, "asgi_app", losing_polls(polls))
    statuses: Counter[int] = Counter()

    def deliver(delivery: Delivery) -> int:
        if webhooks():
            raise OSError("lost")
        response = http.post(delivery.url, headers=dict(delivery.headers), content=delivery.body)
        statuses[response.status_code] += 1
        return response.status_code

    sandbox = Sandbox(
        balance=10**8, otp_after=None, cancel_after=0, deliver=deliver, allow_local_webhooks=True
    )
    log = tmp_path / "log"
    own = Client(sandbox.token, transport=sandbox.transport())
    with sandbox.serve() as server:
        environment = {"SMSCODE_TOKEN": sandbox.token, "SMSCODE_BASE_URL": server.url}
        environment |= {"SMSCODE_WEBHOOK_SECRET": "a secret", "REDIS_URL": redis.url, "WEB_CONCURRENCY": "2"}
        with backend(environment, log) as url:
            own.webhook.update(url=f"{url}/smscode-webhook", secret="a secret")
            connector = aiohttp.TCPConnector(limit=0)
            async with aiohttp.ClientSession(connector=connector) as browser:
                await asyncio.wait_for(both_workers(browser, url), 20)
                shop = Shop(browser, url, sandbox)
                await asyncio.gather(*map(shop.customer, range(CUSTOMERS)))
    canceled, served = CUSTOMERS // 10, CUSTOMERS - CUSTOMERS // 10
    # Every code reached its customer, and reached nobody twice.
    assert sorted(code for _, code in shop.codes) == sorted(
        f"{number:06d}" for number in range(CUSTOMERS) if number % 10
    )
    orders = {order.id: order for order in own.orders.iter()}
    assert all(orders[order_id].otp_code == code for order_id, code in shop.codes)
    assert Counter(order.status for order in orders.values()) == {
        OrderStatus.COMPLETED: served,
        OrderStatus.CANCELED: canceled,
    }
    spent = sum(order.amount.canonical_amount for order in orders.values() if order.canceled_at is None)
    assert sandbox.balance == 10**8 - spent
    # Nothing failed: a second taker meets the conflict, and who waits long is told to ask again.
    asked_again = shop.statuses.pop(("POST", 202), 0)
    assert shop.statuses == {
        ("PUT", 200): 2 * CUSTOMERS,
        ("DELETE", 200): canceled,
        ("POST", 200): served,
        ("POST", 409): served,
    }, asked_again
    assert set(statuses) == {204}
    text = log.read_text()
    assert not re.search(r"ERROR|Traceback|Exception", text), text
    # The third that was meant to be lost was.
    assert webhooks.lost > 0.15 * (webhooks.lost + webhooks.passed)
    assert polls.lost > 0
    own.close()
