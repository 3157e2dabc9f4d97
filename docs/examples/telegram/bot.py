"""A Telegram bot that sells codes: /number whatsapp indonesia rents a number and sends the code.

Start it with BOT_TOKEN and SMSCODE_TOKEN in the environment::

    python bot.py
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

from aiogram import Bot, Dispatcher, Router
from aiogram.filters import Command, CommandObject
from aiogram.types import Message
from attrs import define, field

from smscode import (
    AsyncClient,
    InvalidArgumentError,
    Money,
    OrderStatus,
    OrderTerminalError,
    OtpTimeoutError,
    SmscodeError,
)

WAIT = 300.0  # seconds to wait for a code
RELEASE = 150.0  # seconds to wait until an order may be cancelled
SETTLE_EVERY = 60.0  # seconds


@define
class Hold:
    """Money that a user has set aside for one purchase."""

    user: int
    amount: int  # rupiah
    order_id: int | None = None


@define
class Accounts:
    """The users' money in rupiah. Use your database instead, so that it survives a restart."""

    balances: dict[int, int] = field(factory=dict[int, int])
    holds: dict[str, Hold] = field(factory=dict[str, Hold])
    finished: set[str] = field(factory=set[str])

    def hold(self, sale: str, user: int, amount: int) -> bool:
        """Set money aside. Return False if there is not enough, or if this sale was begun before."""
        if sale in self.holds or sale in self.finished or self.balances.get(user, 0) < amount:
            return False
        self.balances[user] -= amount
        self.holds[sale] = Hold(user, amount)
        return True

    def charge(self, sale: str) -> None:
        """End a sale whose code arrived."""
        self.holds.pop(sale)
        self.finished.add(sale)

    def give_back(self, sale: str) -> None:
        """End a sale for which nothing was bought, or whose order was refunded."""
        hold = self.holds.pop(sale)
        self.finished.add(sale)
        self.balances[hold.user] += hold.amount

    def bought(self) -> Iterator[tuple[str, int]]:
        """Yield the sales that are still held and have an order."""
        for sale, hold in [*self.holds.items()]:
            if hold.order_id is not None:
                yield sale, hold.order_id


async def show_balance(message: Message, accounts: Accounts) -> None:
    """/balance"""
    assert message.from_user is not None
    await message.answer(f"You have {Money.idr(accounts.balances.get(message.from_user.id, 0))}.")


async def sell_number(
    message: Message, command: CommandObject, client: AsyncClient, accounts: Accounts
) -> None:
    """/number SERVICE COUNTRY"""
    assert message.from_user is not None
    words = (command.args or "").split()
    if len(words) != 2:
        await message.answer("Say for example: /number whatsapp indonesia")
        return
    try:
        products = await client.catalog.find(service=words[0], country=words[1])
    except InvalidArgumentError as error:  # an unknown name; the message has the closest ones
        await message.answer(error.message)
        return
    except SmscodeError:
        await message.answer("The service does not answer. Please try again later.")
        return
    if not products or products[0].catalog_product_id is None:
        await message.answer("There is no number in stock.")
        return
    price = products[0].price
    # Telegram can deliver a message twice: the same sale is held once, and the same key buys once.
    sale = f"telegram-{message.chat.id}-{message.message_id}"
    if not accounts.hold(sale, message.from_user.id, price.canonical_amount):
        await message.answer(f"A number costs {Money.idr(price.canonical_amount)}. Please top up first.")
        return
    rental = client.orders.rent(
        catalog_product_id=products[0].catalog_product_id,
        max_price=price,
        idempotency_key=sale,
        release_timeout=RELEASE,
    )
    try:
        async with rental:
            accounts.holds[sale].order_id = rental.order_id
            await message.answer(f"Your number: {rental.phone_number}")
            sms = await rental.wait_for_otp(timeout=WAIT)
            await message.answer(f"Your code: {sms.code}")
    except (OtpTimeoutError, OrderTerminalError):
        await message.answer("No code arrived. Your money comes back as soon as the order has ended.")
    except SmscodeError as error:
        if accounts.holds[sale].order_id is None and error.outcome != "unknown":
            accounts.give_back(sale)  # nothing was bought under this key, and nothing will be
            await message.answer("No number could be rented. Your money is back.")
        else:
            await message.answer("Something failed. Your money is held until it is known what was bought.")
    await settle(client, accounts)


async def settle(client: AsyncClient, accounts: Accounts) -> None:
    """Charge or give back what is still held, as far as the service has decided it."""
    for intent in client.orders.unresolved():
        sale = intent.idempotency_key
        try:
            created = await client.orders.submit(intent)
        except SmscodeError as error:
            if sale in accounts.holds and error.outcome != "unknown":
                accounts.give_back(sale)
        else:
            if sale in accounts.holds and created.orders:
                accounts.holds[sale].order_id = created.orders[0].id
            elif sale in accounts.holds:
                accounts.give_back(sale)
    for sale, order_id in accounts.bought():
        try:
            order = await client.orders.get(order_id)
        except SmscodeError:
            continue  # it stays held until the next time
        if order.status == OrderStatus.COMPLETED:
            accounts.charge(sale)
        elif order.status in (OrderStatus.CANCELED, OrderStatus.EXPIRED):
            accounts.give_back(sale)


async def settle_regularly(client: AsyncClient, accounts: Accounts) -> None:
    """Settle once a minute."""
    while True:
        await settle(client, accounts)
        await asyncio.sleep(SETTLE_EVERY)


def dispatcher(client: AsyncClient, accounts: Accounts) -> Dispatcher:
    """Return the bot's dispatcher, which passes ``client`` and ``accounts`` to each handler."""
    router = Router()
    router.message.register(show_balance, Command("balance"))
    router.message.register(sell_number, Command("number"))
    made = Dispatcher(client=client, accounts=accounts)
    made.include_router(router)
    return made


async def main() -> None:
    """Run the bot until it is stopped."""
    accounts = Accounts()
    async with AsyncClient(journal="orders.db") as client, asyncio.TaskGroup() as group:
        settling = group.create_task(settle_regularly(client, accounts))
        bot = Bot(os.environ["BOT_TOKEN"])
        # aiogram does not say of which type the keyword arguments are that it passes on.
        await dispatcher(client, accounts).start_polling(bot)  # pyright: ignore[reportUnknownMemberType]
        settling.cancel()


if __name__ == "__main__":
    asyncio.run(main())
