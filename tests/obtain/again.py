"""A call that was interrupted, made again with the same idempotency key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tests.obtain.flavours import Flavour, run
from tests.obtain.world import World


def repeat(flavour: Flavour, world: World, folder: Path) -> Iterator[str]:
    """Yield the laws that a repeated call breaks; nothing is in its way."""
    orders = world.sandbox._app.world.orders
    before = len(orders)
    had_code = any(order.otp_code is not None for order in orders.values())
    world.sandbox.clear_scenarios()
    world.given = replace(world.given, interrupted_after=None)
    world.rate, world.friendly = 0.0, True
    told = run(flavour, world, folder)
    if len(orders) > world.given.arguments["tries"]:
        yield "tries"
    if had_code and len(orders) > before:
        yield "twice"
    if had_code and told.ended != "code":
        yield "thrown"
