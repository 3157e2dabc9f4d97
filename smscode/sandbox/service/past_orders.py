"""Past orders: what an account bought in the days before its sandbox was made.

They are drawn from the sandbox's seed. A supplier's share of numbers with a code is that of its other
orders; how long its codes take differs between products.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from ...models import OrderStatus
from ..chance import draw, draw_share
from .catalog import Tier
from .ledger import Ledger
from .order_book import FIRST_ORDER_ID, NO_SMS
from .orders import ServiceOrder, window
from .suppliers import DAYS
from .world import World

_SHARES: Final = 6
_TEXT_ONLY: Final = 0.03
_CANCELED: Final = 0.6


def add_past_orders(world: World, count: int, now: datetime) -> None:
    """Add ``count`` orders of the last 30 days to a new world; all of them have ended.

    The account's deposit paid for them, and afterwards its balance is set to what it was.
    """
    tiers = [tier for tier in world.catalog.tiers.values() if tier.stock]
    slowness = {tier.id: draw_share(world.rules.seed, f"past/{tier.id}/seconds") for tier in tiers}
    start = now - timedelta(days=DAYS)
    room = timedelta(days=DAYS) - timedelta(seconds=world.rules.lifetime + 1)
    moves: list[tuple[datetime, int, int]] = []
    for number in range(count):
        shares = list(_shares(world.rules.seed, number))
        created_at = start + room * ((number + shares[0]) / count)
        # Squared, so that some products have many orders and others only a few.
        tier = tiers[int(shares[1] ** 2 * len(tiers))]
        order, ended_at = _past_order(world, tier, created_at, slowness[tier.id], shares[2:])
        world.orders[order.id] = order
        moves.append((created_at, order.id, -order.amount))
        if order.status is not OrderStatus.COMPLETED:
            moves.append((ended_at, order.id, order.amount))
    heapq.heapify(moves)
    balance, world.ledger = world.ledger.balance, Ledger(start, -sum(min(amount, 0) for *_, amount in moves))
    for at, order_id, amount in (heapq.heappop(moves) for _ in range(len(moves))):
        if amount < 0:
            world.ledger.debit(at, -amount, order_id)
        else:
            world.ledger.refund(at, amount, order_id)
    world.ledger.adjust(now, balance)


def _shares(seed: int, number: int) -> Iterator[float]:
    """Yield numbers of at least 0 and less than 1; one hash is enough for all of them."""
    drawn = draw(seed, f"past/{number}", 32 * _SHARES)
    for _ in range(_SHARES):
        drawn, share = divmod(drawn, 2**32)
        yield share / 2**32


def _past_order(
    world: World, tier: Tier, created_at: datetime, slowness: float, shares: list[float]
) -> tuple[ServiceOrder, datetime]:
    """Return an order that has ended, and when it did."""
    outcome, wait, end, code = shares
    lifetime = world.rules.lifetime
    order = ServiceOrder(
        id=FIRST_ORDER_ID + len(world.orders),
        tier=tier,
        amount=tier.price,
        phone_number=world.new_number(tier),
        created_at=created_at,
        expires_at=window(created_at, lifetime),
        cancel_at=window(created_at, world.rules.cancel_after),
    )
    seconds = (8 + 40 * slowness) * (0.3 - math.log(1 - wait))
    orders, with_code = tier.provider.past
    if outcome * orders < with_code and seconds < lifetime:
        found = None if code < _TEXT_ONLY else f"{int(code * 10**6):06d}"
        text = f"Your {tier.service.name} code is {found}" if found else "Tap to confirm: https://example.com"
        order.receive(created_at + timedelta(seconds=seconds), text, found)
        order.status = OrderStatus.COMPLETED
        return order, order.expires_at
    cancel_at = order.cancel_at + timedelta(seconds=60 * code)
    if end < _CANCELED and cancel_at < order.expires_at:
        order.status, order.canceled_at = OrderStatus.CANCELED, cancel_at
        return order, cancel_at
    order.status, order.failed_reason = OrderStatus.EXPIRED, NO_SMS
    return order, order.expires_at
