"""The documentation's Telegram bot, with Telegram's server and the service in this process."""

from __future__ import annotations

import runpy
from collections.abc import AsyncGenerator, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("aiogram")

from aiogram import Bot
from aiogram.client.session.base import BaseSession
from aiogram.methods import SendMessage, TelegramMethod
from aiogram.types import Chat, Message, Update, User

from smscode import AsyncClient
from smscode.sandbox import Sandbox
from smscode.sandbox.transports.virtual import AsyncVirtualClient, VirtualTime

from .programs import ROOT

pytestmark = pytest.mark.asyncio
PRICE = 15_000  # rupiah, of the cheapest number for WhatsApp in Indonesia
USER = User(id=7, is_bot=False, first_name="A user")


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox(clock=lambda: datetime(2026, 6, 14, 4, tzinfo=UTC))


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[AsyncClient]:
    """A client whose waits take no time."""
    client = AsyncVirtualClient(sandbox, VirtualTime(sandbox))
    yield client
    client.leave()


class Telegram(BaseSession):
    """Telegram's server: it stores what the bot sends."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[str] = []

    async def make_request(self, bot: Bot, method: TelegramMethod[Any], timeout: int | None = None) -> Any:
        assert isinstance(method, SendMessage)
        self.sent.append(method.text)
        return message(0, method.text)

    async def stream_content(self, *args: Any, **options: Any) -> AsyncGenerator[bytes]:
        raise AssertionError("the bot reads no files")
        yield b""

    async def close(self) -> None:
        """Close nothing."""


def message(number: int, text: str) -> Message:
    return Message(
        message_id=number,
        date=datetime.now(UTC),
        chat=Chat(id=70, type="private"),
        from_user=USER,
        text=text,
    )


class Talk:
    """A user's conversation with the bot."""

    def __init__(self, client: AsyncClient, balance: int) -> None:
        self.bot = SimpleNamespace(**runpy.run_path(str(ROOT / "docs" / "examples" / "telegram" / "bot.py")))
        self.client = client
        self.accounts = self.bot.Accounts(balances={USER.id: balance})
        self._telegram = Telegram()
        self._dispatcher = self.bot.dispatcher(client, self.accounts)

    async def say(self, text: str, number: int = 1) -> list[str]:
        """Send the bot a message, and return what it answers."""
        self._telegram.sent.clear()
        bot = Bot("1:token", session=self._telegram)
        await self._dispatcher.feed_update(bot, Update(update_id=number, message=message(number, text)))
        return [*self._telegram.sent]

    @property
    def balance(self) -> int:
        balance: int = self.accounts.balances[USER.id]
        return balance


async def test_a_code_is_sold(sandbox: Sandbox, client: AsyncClient) -> None:
    talk = Talk(client, 50_000)
    number, code = await talk.say("/number whatsapp indonesia")
    assert number.startswith("Your number: +62")
    assert code.startswith("Your code: ")
    assert talk.balance == 50_000 - PRICE
    assert talk.accounts.holds == {}
    assert await talk.say("/balance", 2) == ["You have Rp 35,000."]


async def test_a_message_that_comes_twice_buys_once(sandbox: Sandbox, client: AsyncClient) -> None:
    talk = Talk(client, 50_000)
    for _ in range(2):
        await talk.say("/number whatsapp indonesia")
    assert sandbox.requests["POST /orders/create"] == 1
    assert talk.balance == 50_000 - PRICE


async def test_the_money_comes_back_if_no_code_comes(sandbox: Sandbox, client: AsyncClient) -> None:
    sandbox.play("never")
    before = sandbox.balance
    talk = Talk(client, 50_000)
    assert (await talk.say("/number whatsapp indonesia"))[1].startswith("No code arrived")
    assert (talk.balance, talk.accounts.holds) == (50_000, {})
    assert sandbox.balance == before


async def test_nothing_is_bought_without_the_money(sandbox: Sandbox, client: AsyncClient) -> None:
    talk = Talk(client, PRICE - 1)
    assert await talk.say("/number whatsapp indonesia") == ["A number costs Rp 15,000. Please top up first."]
    assert "POST /orders/create" not in sandbox.requests


async def test_a_refused_purchase_gives_the_money_back(sandbox: Sandbox, client: AsyncClient) -> None:
    sandbox.play("provider_error", operation="orders.create")
    talk = Talk(client, 50_000)
    assert await talk.say("/number whatsapp indonesia") == ["No number could be rented. Your money is back."]
    assert talk.balance == 50_000


async def test_the_money_stays_held_while_a_purchase_is_in_doubt(
    sandbox: Sandbox, client: AsyncClient
) -> None:
    sandbox.play("lost_response", operation="orders.create")
    talk = Talk(client, 50_000)
    assert (await talk.say("/number whatsapp indonesia"))[0].startswith("Something failed")
    assert talk.balance == 50_000 - PRICE
    assert len(talk.accounts.holds) == 1
    sandbox.clear_scenarios()
    await talk.bot.settle(talk.client, talk.accounts)
    (order,) = await talk.client.orders.active()
    await talk.client.orders.wait_for_otp(order.id)
    await talk.client.orders.finish(order.id)
    await talk.bot.settle(talk.client, talk.accounts)
    assert talk.accounts.holds == {}
    assert talk.balance == 50_000 - PRICE, "one order, charged once"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("/number whatsapp", "Say for example: /number whatsapp indonesia"),
        ("/number watsap indonesia", "WhatsApp"),
    ],
)
async def test_a_wrong_command_is_explained(text: str, answer: str, client: AsyncClient) -> None:
    (said,) = await Talk(client, 50_000).say(text)
    assert answer in said
