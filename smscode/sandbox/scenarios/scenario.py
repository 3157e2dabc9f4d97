"""A scenario: what goes otherwise than usual in some requests, as a plain value."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from attrs import evolve, field, frozen

from ..http.api_error import Problem
from ..service.abuse import AbuseGuard, banned
from ..service.suppliers import USUAL, Behaviour

PURCHASES: Final = ("orders.create", "orders.reactivate")


@frozen
class Fault:
    """An answer in place of what was asked for: a problem, or a bare status as a proxy would send it.

    ``lost``: there is no answer either, the connection breaks.
    """

    status: int
    retry_after: int | None = None
    problem: Problem | None = None
    lost: bool = False


@frozen(kw_only=True)
class Scenario:
    """What goes otherwise than usual in the requests that it plays in.

    ``name`` is how it was chosen, with its arguments. ``operations`` are the names of the endpoints that
    it plays in; none stands for all. ``behaviour`` is what suppliers do; an order keeps the one that it
    was bought with. ``fault`` is answered in place of what was asked for. The answer is held back for
    ``delay`` seconds; when it is ``lost``, what was asked for is done and the connection breaks. With
    ``no_rate`` there is no exchange rate; with ``ban`` ordering is paused. It ``lasts`` so many seconds
    from when it was chosen, None for as long as it is chosen. With ``alone`` no wider scenario plays.
    """

    name: str
    operations: tuple[str, ...] = ()
    behaviour: Behaviour = USUAL
    fault: Fault | None = None
    delay: float = 0.0
    lost: bool = False
    no_rate: bool = False
    ban: bool = False
    lasts: float | None = None
    alone: bool = False

    def __str__(self) -> str:
        return self.name

    def plays_in(self, operation: str) -> bool:
        """Return True if it changes anything in an operation."""
        return not self.operations or operation in self.operations

    def at(self, since: datetime, now: datetime) -> Scenario | None:
        """Return the scenario, chosen at ``since``, as it is now: what counts down has; None: it is over."""
        if self.lasts is None:
            return self
        until = since + timedelta(seconds=self.lasts)
        if now >= until:
            return None
        left = math.ceil((until - now).total_seconds())
        if self.ban:
            problem = banned(until, now, AbuseGuard().tier).problem
            return evolve(self, behaviour=evolve(self.behaviour, problem=problem))
        return self if self.fault is None else evolve(self, fault=evolve(self.fault, retry_after=left))


@frozen(kw_only=True)
class Script:
    """What all the scenarios that play in a request make of it.

    ``behaviour`` is what they change of a behaviour, or with ``alone`` what counts in place of it.
    ``of_tiers`` is what counts for single products.
    """

    names: tuple[str, ...] = ()
    behaviour: Behaviour = USUAL
    of_tiers: Mapping[int, Behaviour] = field(factory=dict[int, Behaviour])
    fault: Fault | None = None
    delay: float = 0.0
    lost: bool = False
    no_rate: bool = False
    alone: bool = False

    def treat(self, behaviour: Behaviour) -> Behaviour:
        """Return, for a behaviour, the one that counts for the request."""
        return self.behaviour if self.alone else behaviour.refined(self.behaviour)


NO_SCRIPT: Final = Script()


def script(scenarios: Iterable[Scenario]) -> Script:
    """Make one script of scenarios, the widest first; where two say something, the narrower one counts."""
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
