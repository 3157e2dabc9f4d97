"""The documentation's shop, used as customers, networks and machines abuse it; the sandbox's books judge it.

Whatever happens: no money is given back for a number that is rented, and no sale buys or is charged twice.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from smscode import AsyncClient, RetryPolicy
from smscode.sandbox import Sandbox

from .programs import ROOT, environment, programs_of

pytestmark = pytest.mark.asyncio

(PROGRAM, *_) = programs_of(ROOT / "docs" / "pages" / "how-to" / "shop.md")
SALE = "sale-1"
PATIENCE = 30.0  # seconds for what takes a moment

# One customer of a shop that runs until it is killed; it prints the books as they are when the purchase
# begins, and "done" when the customer has an answer.
LIFE = """
import asyncio, json, sys
import httpx
shop = {}
exec(compile(open(sys.argv[1], encoding="utf-8").read(), sys.argv[1], "exec"), shop)

async def main():
    browser = httpx.AsyncClient(transport=httpx.ASGITransport(app=shop["app"]), base_url="http://shop")
    async with shop["lifespan"](shop["app"]), browser:
        wish = {"catalog_product_id": 87, "shown_price": "1.50"}
        click = asyncio.create_task(browser.post("/sales/sale-1", params=wish))
        while not shop["sales"]:
            await asyncio.sleep(0)
        print(json.dumps(shop["sales"]), flush=True)
        print("done", (await click).status_code, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


class Sale(dict[str, Any]):
    """A row of the shop's books that remembers what was booked."""

    def __init__(self, **columns: Any) -> None:
        super().__init__(**columns)
        self.booked: list[str] = []

    def __setitem__(self, column: str, value: Any) -> None:
        if column == "state":
            self.booked.append(value)
        super().__setitem__(column, value)


class Shop:
    """The program of the page, open for customers."""

    def __init__(self, names: dict[str, Any], browser: httpx.AsyncClient) -> None:
        self.names = names
        self._browser = browser

    async def click(self, price: str = "1.50", sale: str = SALE) -> tuple[int, Any]:
        """Buy as a customer does; return the status and the answer."""
        wish: dict[str, str | int] = {"catalog_product_id": 87, "shown_price": price}
        answer = await self._browser.post(f"/sales/{sale}", params=wish)
        return answer.status_code, answer.json()


@asynccontextmanager
async def opened(books: dict[str, Sale], attempts: int | None = None) -> AsyncGenerator[Shop]:
    """Start the shop over its books, in a process that lives on; the journal is in the working folder."""
    names: dict[str, Any] = {}
    exec(compile(PROGRAM.source, PROGRAM.name, "exec"), names)
    names["sales"], names["Sale"] = books, Sale
    names["AsyncClient"] = partial(AsyncClient, retry=RetryPolicy(max_attempts=attempts))
    transport = httpx.ASGITransport(app=names["app"])
    async with (
        names["lifespan"](names["app"]),
        httpx.AsyncClient(transport=transport, base_url="http://shop") as browser,
    ):
        yield Shop(names, browser)


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Generator[Sandbox]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SMSCODE_WEBHOOK_SECRET", "a secret")
    sandbox = Sandbox(otp_after=0)
    with served(sandbox, monkeypatch):
        yield sandbox


@contextmanager
def served(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, port: int = 0) -> Generator[str]:
    monkeypatch.setenv("SMSCODE_TOKEN", sandbox.token)
    with sandbox.serve(port=port) as server:
        monkeypatch.setenv("SMSCODE_BASE_URL", server.url)
        yield server.url


def rented(sandbox: Sandbox) -> list[int | None]:
    """Return the orders that the service charged and did not refund."""
    orders = [movement.order_id for movement in sandbox.ledger if movement.kind == "order"]
    returned = {movement.order_id for movement in sandbox.ledger if movement.kind == "refund"}
    return [order for order in orders if order not in returned]


async def test_two_clicks_at_once_buy_one_number_and_charge_once(sandbox: Sandbox) -> None:
    sandbox.play("slow_answer(0.3)", operation="orders.create", times=1)
    books: dict[str, Sale] = {}
    async with opened(books) as shop:
        clicks = [asyncio.create_task(shop.click()) for _ in range(5)]
        answers = [await click for click in clicks]
        again = await shop.click()
    assert sorted(status for status, _ in answers) == [200, 202, 202, 202, 202]
    assert again in answers, "afterwards every click gets that order"
    assert books[SALE].booked == ["charged"]
    assert rented(sandbox) == [books[SALE]["order_id"]]


async def test_a_price_that_moves_between_clicks_changes_nothing(sandbox: Sandbox) -> None:
    books: dict[str, Sale] = {}
    async with opened(books) as shop:
        first = await shop.click("1.50")
        requests = len(sandbox.history)
        assert await shop.click("1.60") == first
        assert len(sandbox.history) == requests, "a sale that is charged asks the service for nothing"
    assert books[SALE].booked == ["charged"]
    assert rented(sandbox) == [books[SALE]["order_id"]]


async def test_a_lost_answer_keeps_the_money_until_a_click_at_any_price_settles_it(sandbox: Sandbox) -> None:
    sandbox.play("lost_response", operation="orders.create", times=1)
    books: dict[str, Sale] = {}
    async with opened(books, attempts=1) as shop:
        status, _ = await shop.click("1.50")
        assert (status, books[SALE]["state"], len(rented(sandbox))) == (202, "held", 1)
        status, answer = await shop.click("9.99")
    assert (status, [answer["order_id"]]) == (200, rented(sandbox))
    assert books[SALE].booked == ["charged"]


async def test_a_refusal_after_a_lost_answer_gives_nothing_back(sandbox: Sandbox) -> None:
    sandbox.play("lost_request", operation="orders.create", times=1)
    books: dict[str, Sale] = {}
    async with opened(books, attempts=1) as shop:
        await shop.click()
        sandbox.play("no_stock", operation="orders.create", times=1)
        assert (await shop.click())[0] == 202, "the first attempt may still arrive and buy"
        assert books[SALE].booked == []
        assert (await shop.click())[0] == 200
    assert books[SALE].booked == ["charged"]
    assert rented(sandbox) == [books[SALE]["order_id"]]


async def test_a_customer_who_leaves_while_it_buys_finds_the_number_later(sandbox: Sandbox) -> None:
    sandbox.play("slow_answer(1)", operation="orders.create", times=1)
    books: dict[str, Sale] = {}
    async with opened(books) as shop:
        click = asyncio.create_task(shop.click())
        while not rented(sandbox):
            await asyncio.sleep(0.01)
        click.cancel()
        with pytest.raises(asyncio.CancelledError):
            await click
        assert books[SALE]["state"] == "held"
        status, answer = await shop.click()
    assert (status, [answer["order_id"]]) == (200, rented(sandbox))
    assert books[SALE].booked == ["charged"]


async def test_a_refused_sale_is_given_back_once_and_never_bought(sandbox: Sandbox) -> None:
    books: dict[str, Sale] = {}
    async with opened(books) as shop:
        assert (await shop.click("0.01"))[0] == 409
        assert (await shop.click("1.50"))[0] == 409
    async with opened(books) as shop:
        assert (await shop.click("1.50"))[0] == 409
    assert books[SALE].booked == ["given back"]
    assert rented(sandbox) == []


async def test_a_sale_without_numbers_is_given_back(sandbox: Sandbox) -> None:
    sandbox.play("partial(0)", operation="orders.create", times=1)
    books: dict[str, Sale] = {}
    async with opened(books) as shop:
        assert (await shop.click())[0] == 409
    assert books[SALE].booked == ["given back"]
    assert rented(sandbox) == []


async def test_a_restart_charges_no_sold_number_again(sandbox: Sandbox) -> None:
    books: dict[str, Sale] = {}
    async with opened(books) as shop:
        first = await shop.click()
    recovered: list[str] = []
    for _ in range(2):
        async with opened(books) as shop:
            client: AsyncClient = shop.names["app"].state.smscode
            recovered += [left.state for left in client.orders.bought()]
            assert await shop.click("1.60") == first
    assert recovered == ["open", "open"], "recover returned the sold number at each start"
    assert books[SALE].booked == ["charged"]
    assert rented(sandbox) == [books[SALE]["order_id"]]


async def test_a_number_whose_restart_could_not_read_it_is_read_at_the_next_click(sandbox: Sandbox) -> None:
    books: dict[str, Sale] = {}
    async with opened(books) as shop:
        _, first = await shop.click()
    held = {SALE: Sale(**{**books[SALE], "state": "held", "order_id": None, "phone_number": None})}
    sandbox.play("internal_error", operation="orders.list", times=1)
    async with opened(held, attempts=1) as shop:
        assert (held[SALE]["state"], held[SALE]["phone_number"]) == ("charged", None)
        assert await shop.click() == (200, first)


class Killed:
    """A shop in a process of its own, with one customer, for `kill`."""

    def __init__(self, sandbox: Sandbox, url: str, folder: Path) -> None:
        (folder / "shop.py").write_text(PROGRAM.source, encoding="utf-8")
        (folder / "life.py").write_text(LIFE, encoding="utf-8")
        command = [sys.executable, "life.py", "shop.py"]
        self._process = subprocess.Popen(
            command, cwd=folder, env=environment(sandbox, url), stdout=subprocess.PIPE, text=True
        )

    async def line(self) -> str:
        """Return the next line that it prints."""
        assert self._process.stdout is not None
        return await asyncio.wait_for(asyncio.to_thread(self._process.stdout.readline), PATIENCE)

    def kill(self) -> None:
        """End the process as `kill -9` does."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def kept(line: str) -> dict[str, Sale]:
    """Return the books as they were committed."""
    return {name: Sale(**sale) for name, sale in json.loads(line).items()}


@pytest.mark.parametrize("cut_off", ["before the answer", "before the books"])
async def test_a_shop_killed_in_a_purchase_charges_it_at_its_restart(
    cut_off: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    if cut_off == "before the answer":
        sandbox.play("slow_answer(3)", operation="orders.create", times=1)
    process = Killed(sandbox, os.environ["SMSCODE_BASE_URL"], tmp_path)
    try:
        books = kept(await process.line())
        if cut_off == "before the books":
            assert await process.line() == "done 200\n"
        async with asyncio.timeout(PATIENCE):
            while not rented(sandbox):
                await asyncio.sleep(0.01)
    finally:
        process.kill()
    async with opened(books) as shop:
        assert books[SALE].booked == ["charged"]
        status, answer = await shop.click("1.60")
    assert (status, [answer["order_id"]]) == (200, rented(sandbox))
    assert books[SALE].booked == ["charged"]


@pytest.mark.parametrize(("scenario", "status"), [("usual", 200), ("no_stock", 202)])
async def test_a_purchase_that_never_arrived_is_settled_at_the_restart_or_stays_held(
    scenario: str, status: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SMSCODE_WEBHOOK_SECRET", "a secret")
    sandbox = Sandbox(otp_after=0)
    with socket.create_server(("127.0.0.1", 0)) as silence:
        port: int = silence.getsockname()[1]
        process = Killed(sandbox, f"http://127.0.0.1:{port}", tmp_path)
        try:
            books = kept(await process.line())
            connection, _ = await asyncio.to_thread(silence.accept)
            with connection:
                assert b"/orders/create" in await asyncio.to_thread(connection.recv, 65536)
                process.kill()
        finally:
            process.kill()
    sandbox.play(scenario, operation="orders.create")
    with served(sandbox, monkeypatch, port):
        async with opened(books) as shop:
            assert (await shop.click("1.60"))[0] == status
    booked = ["charged"] if status == 200 else []  # the request of the killed shop might still arrive
    assert books[SALE].booked == booked
    assert len(rented(sandbox)) == len(booked)
