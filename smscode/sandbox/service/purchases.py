"""A purchase on its way: what was asked for, and when the suppliers have answered."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from attrs import define, field

from ..http.api_error import Problem
from ..http.idempotency import KeyedPurchase, KeyScope
from .catalog import Tier
from .routing import Again, OrderRequest
from .suppliers import Behaviour


@define(eq=False)
class Settling:
    """A purchase that is made at ``ready_at``; from then on it has its ``result``.

    ``body`` is the fingerprint that its idempotency ``key`` is bound to; ``key`` None stands for none.
    ``behaviour`` is how the suppliers treat it, ``of_tiers`` how those of single products do.
    """

    number: int
    wanted: OrderRequest | Again
    key: str | None
    body: str
    behaviour: Behaviour
    ready_at: datetime
    of_tiers: Mapping[int, Behaviour] = field(factory=dict[int, Behaviour])
    result: KeyedPurchase | Problem | None = None

    def behaviour_of(self, tier: Tier) -> Behaviour:
        """Return how a product's supplier treats it."""
        return self.of_tiers.get(tier.id, self.behaviour)

    @property
    def scope(self) -> KeyScope:
        """Whose idempotency keys it uses."""
        return "create" if isinstance(self.wanted, OrderRequest) else "reactivate"
