"""Scenarios as plain values: deviations from the usual behaviour in some requests."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from attrs import evolve, field, frozen

from ..http.api_error import Problem
from ..service.abuse import AbuseGuard, ban_error
from ..service.market import Market
from ..service.suppliers import USUAL, Behaviour

PURCHASES: Final = ("orders.create", "orders.reactivate")


@frozen
class Fault:
    """An answer instead of the operation: a problem, or a status without a body as a proxy would send it.

    ``lost``: the connection breaks instead of an answer.
    """

    status: int
    retry_after: int | None = None
    problem: Problem | None = None
    lost: bool = False


@frozen(kw_only=True)
class Scenario:
    """Deviations from the usual behaviour in the requests that the scenario applies to.

    ``name`` is how it was chosen, with its arguments. ``operations`` are the names of the endpoints that
    it applies to; an empty tuple stands for all. ``behaviour`` is that of the suppliers; an order keeps the
    one that it was bought with. ``fault`` is answered instead of running the operation. The answer is delayed
    by ``delay`` seconds; if it is ``lost``, the operation takes effect and the connection breaks. With
    ``no_rate`` there is no exchange rate; with ``ban`` ordering is paused. ``market`` changes prices and
    stock for as long as the scenario is chosen. The scenario ``lasts`` so many
    seconds from when it was chosen, None for no end. With ``alone`` no wider scenario applies.
    """

    name: str
    operations: tuple[str, ...] = ()
    behaviour: Behaviour = USUAL
    fault: Fault | None = None
    delay: float = 0.0
    lost: bool = False
    no_rate: bool = False
    ban: bool = False
    market: Market | None = None
    lasts: float | None = None
    alone: bool = False

    def __str__(self) -> str:
        return self.name

    def plays_in(self, operation: str) -> bool:
        """Return True if it applies to an operation."""
        return not self.operations or operation in self.operations

    def at(self, since: datetime, now: datetime) -> Scenario | None:
        """Return the scenario, chosen at ``since``, as it is at ``now``; None if it is over."""
        if self.market is not None:
            return evolve(self, market=self.market.at(since, now))
        if self.lasts is None:
            return self
        until = since + timedelta(seconds=self.lasts)
        if now >= until:
            return None
        left = math.ceil((until - now).total_seconds())
        if self.ban:
            problem = ban_error(until, now, AbuseGuard().tier).problem
            return evolve(self, behaviour=evolve(self.behaviour, problem=problem))
        return self if self.fault is None else evolve(self, fault=evolve(self.fault, retry_after=left))


@frozen(kw_only=True)
class Script:
    """The combined effect of all scenarios that apply to a request.

    ``behaviour`` holds their changes of a behaviour; with ``alone`` it replaces it. ``tier_behaviours`` are
    the behaviours of single products.
    """

    names: tuple[str, ...] = ()
    behaviour: Behaviour = USUAL
    tier_behaviours: Mapping[int, Behaviour] = field(factory=dict[int, Behaviour])
    fault: Fault | None = None
    delay: float = 0.0
    lost: bool = False
    no_rate: bool = False
    alone: bool = False

    def apply_to(self, behaviour: Behaviour) -> Behaviour:
        """Return a behaviour with the changes of the scenarios."""
        return self.behaviour if self.alone else behaviour.refined(self.behaviour)


NO_SCRIPT: Final = Script()


def script(scenarios: Iterable[Scenario]) -> Script:
    """Combine scenarios, the widest first; where two set the same field, the narrower one counts."""
    found = NO_SCRIPT
    for scenario in scenarios:
        before = Script(alone=True) if scenario.alone else found
        found = Script(
            names=(*before.names, scenario.name),
            behaviour=before.behaviour.refined(scenario.behaviour),
            fault=scenario.fault or before.fault,
            delay=scenario.delay or before.delay,
            lost=scenario.lost or before.lost or (scenario.fault is not None and scenario.fault.lost),
            no_rate=scenario.no_rate or before.no_rate,
            alone=before.alone,
        )
    return found
