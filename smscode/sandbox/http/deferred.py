"""Answers that have to wait for something outside the service's lock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from attrs import define, field, frozen

from ..service.purchases import Settling
from ..service.webhooks import Delivery
from .api_error import Json, Problem, Refusal


@define
class Probe:
    """A webhook test: its delivery, afterwards with the status that it was answered with."""

    delivery: Delivery


@define
class Lookup:
    """A host name, and afterwards the addresses that it resolves to."""

    host: str
    addresses: tuple[str, ...] = ()


@frozen
class Result:
    """What an operation answers: ``meta`` is left out when empty. ``orders`` are those it is about."""

    data: Json
    meta: Mapping[str, Json] = field(factory=dict[str, Json])
    orders: tuple[int, ...] = ()


@define
class Errand:
    """Something that the sandbox itself is to do, and afterwards what came of it.

    ``run`` is called with no lock held, and may refuse.
    """

    run: Callable[[], Result]
    outcome: Result | Problem | None = None

    def go(self) -> None:
        """Do it."""
        try:
            self.outcome = self.run()
        except Refusal as refusal:
            self.outcome = refusal.problem

    def result(self) -> Result:
        """Return or raise what came of it."""
        if isinstance(self.outcome, Problem):
            raise Refusal.of(self.outcome)
        assert self.outcome is not None  # it was done
        return self.outcome


@frozen
class Later:
    """An operation that goes on when something has happened; ``finish`` then gives its result.

    What happens is written into ``awaited``. ``finish`` is called under the lock and may refuse.
    """

    awaited: Probe | Lookup | Settling | Errand
    finish: Callable[[], Result]


DeferredOutcome: TypeAlias = Result | Later
