"""The market: how scenarios change the prices and the stock of products."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from attrs import evolve, frozen

from ..chance import draw_share
from .catalog import Tier


@frozen(kw_only=True)
class Market:
    """How prices and stock differ from the usual ones.

    A price is up to ``swing`` percent lower or higher than usual, and another one every ``seconds``. At most
    ``numbers`` are left of each product, None for as many as it has; those that are sold do not come back.
    ``period`` counts the prices since the scenario was chosen, from 0.
    """

    swing: int = 0
    seconds: float = 60.0
    numbers: int | None = None
    period: int = 0

    def at(self, since: datetime, now: datetime) -> Market:
        """Return the market, chosen at ``since``, with its ``period`` at ``now``."""
        every = max(timedelta(seconds=self.seconds), timedelta(microseconds=1))
        return evolve(self, period=(now - since) // every)


def set_market(tier: Tier, markets: Iterable[Market], seed: int) -> None:
    """Set the price and the stock of a product by ``markets``, the widest first; without any, as usual.

    Stock that was taken away by them stays away.
    """
    tier.price, tier.restocks = tier.usual_price, True
    for market in markets:
        if market.swing:
            share = 2 * draw_share(seed, f"price/{tier.id}/{market.period}") - 1
            tier.price = max(1, round(tier.usual_price * (100 + market.swing * share) / 100))
        if market.numbers is not None:
            tier.stock, tier.restocks = min(tier.stock, market.numbers), False
