"""A purchase on its way: what was asked for, and when the suppliers have answered."""

from __future__ import annotations

from datetime import datetime

from attrs import define

from .behaviour import Behaviour
from .idempotency import Purchase, Scope
from .refusal import Problem
from .routing import Again, Wish


@define(eq=False)
class Settling:
    """A purchase that is made at ``ready_at``; from then on it has its ``result``.

    ``body`` is the fingerprint that its idempotency ``key`` is bound to; ``key`` None stands for none.
    """

    number: int
    wanted: Wish | Again
    key: str | None
    body: str
    behaviour: Behaviour
    ready_at: datetime
    result: Purchase | Problem | None = None

    @property
    def scope(self) -> Scope:
        """Whose idempotency keys it uses."""
        return "create" if isinstance(self.wanted, Wish) else "reactivate"
