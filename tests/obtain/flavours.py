"""Runs a call of `orders.obtain` in a world: on asyncio, on trio and with the synchronous client."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import anyio
import anyio.lowlevel

from smscode import CodeNotObtainedError, NumberRefused, Obtained, SpendingLimit, Try
from tests.concurrency import AsyncVirtualClient, VirtualClient
from tests.obtain.world import AsyncFaulty, Faulty, Interrupted, SiteDown, World

Flavour = Literal["asyncio", "trio", "threads"]
FLAVOURS: tuple[Flavour, ...] = get_args(Flavour)


@dataclass
class Told:
    """What the caller was told, and which orders (``known``) and purchases in doubt the client names."""

    ended: Literal["code", "no code", "site down", "interrupted"] = "interrupted"
    obtained: Obtained | None = None
    error: CodeNotObtainedError | None = None
    tried: tuple[Try, ...] = ()
    known: set[int] = field(default_factory=set[int])
    doubts: set[str] = field(default_factory=set[str])


def run(flavour: Flavour, world: World, folder: Path) -> Told:
    """Run the call of a world."""
    told = Told()
    if flavour == "threads":
        world.threads = True
        _in_thread(world, folder, told)
    else:
        anyio.run(_in_task, world, folder, told, backend=flavour)
    return told


def options(world: World, folder: Path) -> dict[str, Any]:
    """Return the arguments of the client."""
    given = world.given
    return {
        "journal": folder / "orders.db" if given.journal else None,
        "spending": None if given.limit is None else SpendingLimit(total=given.limit),
        "rate_limits": None,
    }


def note(told: Told, end: Obtained | BaseException) -> None:
    """Write down how a call ended."""
    if isinstance(end, Obtained):
        told.ended, told.obtained, told.tried = "code", end, end.tried
    elif isinstance(end, CodeNotObtainedError):
        told.ended, told.error, told.tried = "no code", end, end.tried
    elif isinstance(end, SiteDown):
        told.ended = "site down"


def look(told: Told, orders: Any) -> None:
    """Write down which orders and purchases the client names."""
    told.known = {order.id for one in orders.bought() for order in one.orders}
    told.doubts = {intent.idempotency_key for intent in orders.unresolved()}


async def _in_task(world: World, folder: Path, told: Told) -> None:
    async def enter(rental: Any) -> None:
        await anyio.lowlevel.checkpoint()
        world.enter(rental)
        await anyio.lowlevel.checkpoint()

    transport = AsyncFaulty(world)
    async with AsyncVirtualClient(world.sandbox, transport=transport, **options(world, folder)) as client:

        async def call() -> None:
            try:
                note(told, await client.orders.obtain(enter, **world.given.arguments))
            except (CodeNotObtainedError, SiteDown) as end:
                note(told, end)
            tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            if world.given.interrupted_after is not None:
                for _ in range(3 * world.given.interrupted_after):
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
            else:
                await anyio.sleep_forever()
        look(told, client.orders)


def _in_thread(world: World, folder: Path, told: Told) -> None:
    with VirtualClient(world.sandbox, transport=Faulty(world), **options(world, folder)) as client:
        wait: Callable[..., bool] = client.runtime.wait

        def count(*arguments: Any) -> bool:
            world.turn()
            return wait(*arguments)

        client.runtime.wait = count  # type: ignore[assignment, method-assign]  # a Ctrl-C can come in a wait, too
        try:
            note(told, client.orders.obtain(world.enter, **world.given.arguments))
        except (CodeNotObtainedError, SiteDown) as end:
            note(told, end)
        except Interrupted:
            pass
        look(told, client.orders)


__all__ = ["FLAVOURS", "Flavour", "NumberRefused", "Told", "run"]
