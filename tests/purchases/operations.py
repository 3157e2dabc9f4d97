"""What a program can be interrupted in: every call that buys, that ends a purchase, or that waits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from smscode.core.purchases import bulk
from tests.faults.ledger import WITH_SMS
from tests.purchases.lives import Life, Program

MANY = 5
_WAIT = 0.04
_settings: Any = bulk  # the module, whose number of numbers per call is another one here

PER_CALL, PER_REAL_CALL = 2, 100
"""Numbers per call of `create_many` in this proof, so that five take three calls; and in truth."""


async def create(life: Life) -> None:
    """Rent a number by `create`."""
    await life.buy()


async def submit(life: Life) -> None:
    """Rent a number by `prepare` and `submit`."""
    await life.submit()


async def create_many(life: Life) -> None:
    """Rent numbers by three calls."""
    key = life.program.key("m")
    keys = keys_of_many(life.program)
    life.program.asks(*keys)
    result = await life.call(
        "create_many",
        [],
        lambda: life.orders.create_many(MANY, catalog_product_id=412, idempotency_key=key),
    )
    if result is None:
        life.diary.write("broken", text="create_many() raised instead of returning its errors")
        return
    life.returned(result)
    for error in result.errors:
        life.failed(error.idempotency_key, error)


def keys_of_many(program: Program) -> list[str]:
    """Return the keys of the calls of `create_many`."""
    key = program.key("m")
    return [f"{key}-{number}" for number in range(1, -(-MANY // PER_CALL) + 1)]


async def reactivate(life: Life) -> None:
    """Rent the number of a completed order again."""
    key = life.program.key("a")
    life.program.asks(key)
    order = memory[life.program.ident]
    created = await life.call("reactivate", [key], lambda: life.orders.reactivate(order, idempotency_key=key))
    life.returned(created)


async def recover(life: Life) -> None:
    """Settle what an earlier life left behind."""
    await life.recover()


async def rent(life: Life) -> None:
    """Rent a number for a block, which gives it back."""
    key = life.program.key()
    intent = f"c{life.program.ident}"
    life.program.asks(key, intent=intent)

    async def block() -> None:
        async with life.orders.rent(
            catalog_product_id=412, prefer_provider=intent, idempotency_key=key
        ) as rental:
            life.diary.write("result", orders=[rental.order_id])

    await life.call("rent", [key], block, timeout=2 * 1.5)


async def wait_for_otp(life: Life) -> None:
    """Wait for a code that does not come."""
    order = memory[life.program.ident]
    await life.call("wait_for_otp", [], lambda: life.orders.wait_for_otp(order, timeout=_WAIT), timeout=_WAIT)


memory: dict[str, int] = {}
"""The order that a program got ready for, by the program's ident."""


def _own_key(program: Program) -> list[str]:
    return [program.key()]


def _reactivation_key(program: Program) -> list[str]:
    return [program.key("a")]


def _no_key(program: Program) -> list[str]:
    return []


async def _get_order(life: Life) -> None:
    created = await life.orders.create(catalog_product_id=412, idempotency_key=f"s{life.program.ident}")
    memory[life.program.ident] = created.orders[0].id


async def _get_completed_order(life: Life) -> None:
    created: Any = await life.orders.create(
        catalog_product_id=WITH_SMS, idempotency_key=f"s{life.program.ident}"
    )
    memory[life.program.ident] = created.orders[0].id
    await life.orders.finish(created.orders[0].id)


def _order_first(program: Program) -> None:
    program.live(_get_order, journal=False)


def _completed_first(program: Program) -> None:
    program.live(_get_completed_order, journal=False)


def _nothing_first(program: Program) -> None:
    pass


def in_doubt_first(program: Program) -> None:
    """Leave three purchases in doubt: carried out, and the answers lost."""

    async def leave(life: Life) -> None:
        for number in range(3):
            await life.buy(f"r{number}", plan="lost" if program.plan == "ok" else f"lost--{program.plan}")

    program.live(leave, attempts=1)


@dataclass(frozen=True)
class Operation:
    """A call to interrupt; ``first`` gets ready for it, in a life of its own.

    ``keys`` are those that must be listed once the call is over; `recover` has none, because what it did
    not come to is still the ended process' own.
    """

    act: Callable[[Life], Awaitable[None]]
    first: Callable[[Program], None] = _nothing_first
    keys: Callable[[Program], list[str]] = _own_key
    journal: bool = True


OPERATIONS = {
    "create": Operation(create),
    "submit": Operation(submit),
    "create_many": Operation(create_many, keys=keys_of_many),
    "reactivate": Operation(reactivate, _completed_first, _reactivation_key),
    "recover": Operation(recover, in_doubt_first, _no_key),
    "rent": Operation(rent),
    "wait_for_otp": Operation(wait_for_otp, _order_first, _no_key, journal=False),
}


def install() -> None:
    """Make `create_many` take several calls for a few numbers."""
    assert _settings.LARGEST_QUANTITY == PER_REAL_CALL
    _settings.LARGEST_QUANTITY = PER_CALL


def restore() -> None:
    """Make `create_many` take as many numbers per call as it really does."""
    _settings.LARGEST_QUANTITY = PER_REAL_CALL
