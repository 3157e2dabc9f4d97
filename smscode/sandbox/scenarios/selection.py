"""Which scenarios were chosen for what, and which of them play in a request.

The narrower a choice, the more it counts: for one request by its header, for requests by their
operation or number, for an order, for a product, for everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, Literal, TypeAlias

from attrs import define, evolve, field, frozen

from ..service.catalog import Tier
from ..service.suppliers import Behaviour
from .scenario import NO_SCRIPT, Scenario, Script, script

HEADER: Final = "x-sandbox-scenario"
"""The request header that chooses scenarios for that request."""

ScenarioPlace: TypeAlias = tuple[Literal["everything", "catalog_product_id", "product_id", "order_id"], int]
"""What scenarios are chosen for, and its id; 0 for everything."""

EVERYTHING: Final[ScenarioPlace] = ("everything", 0)


@frozen
class Subject:
    """What a request is about."""

    order_id: int | None = None
    product_id: int | None = None
    catalog_product_id: int | None = None

    def places(self) -> Iterator[ScenarioPlace]:
        """Return the places that it belongs to, the widest first."""
        yield EVERYTHING
        if self.catalog_product_id is not None:
            yield "catalog_product_id", self.catalog_product_id
        if self.product_id is not None:
            yield "product_id", self.product_id
        if self.order_id is not None:
            yield "order_id", self.order_id


@define
class ScenarioChoice:
    """Scenarios chosen at ``since`` for a ``place``, and there for some requests or all.

    Those count of one ``operation``, with ``times`` the next so many. ``number`` is which choice it was.
    """

    number: int
    place: ScenarioPlace
    scenarios: tuple[Scenario, ...]
    since: datetime
    operation: str | None = None
    times: int | None = None

    def playing(self, operation: str, now: datetime) -> list[Scenario]:
        """Return what of it plays in an operation now."""
        if self.operation not in (None, operation):
            return []
        # What is for a number of requests begins anew with each of them.
        since = self.since if self.times is None else now
        found = [scenario.at(since, now) for scenario in self.scenarios if scenario.plays_in(operation)]
        return [scenario for scenario in found if scenario is not None]


@define
class Stage:
    """All that was chosen, by place; ``chosen`` counts it."""

    cues: dict[ScenarioPlace, list[ScenarioChoice]] = field(factory=dict[ScenarioPlace, list[ScenarioChoice]])
    chosen: int = 0

    def play(
        self,
        scenarios: Sequence[Scenario],
        place: ScenarioPlace,
        now: datetime,
        *,
        operation: str | None = None,
        times: int | None = None,
    ) -> None:
        """Choose scenarios.

        What is chosen for good replaces what was so chosen for the same; what is for a number of requests
        comes after what was chosen so before.
        """
        self.chosen += 1
        cues = self.cues.setdefault(place, [])
        if times is None:
            cues[:] = [cue for cue in cues if cue.times is not None or cue.operation != operation]
        cues.append(ScenarioChoice(self.chosen, place, tuple(scenarios), now, operation, times))

    def all(self) -> list[ScenarioChoice]:
        """Return everything that was chosen, in the order in which it was."""
        return sorted((cue for cues in self.cues.values() for cue in cues), key=lambda cue: cue.number)

    def clear(self, place: ScenarioPlace) -> None:
        """Clear all that was chosen for a place."""
        self.cues.pop(place, None)

    def script(
        self,
        operation: str,
        subject: Subject,
        own: Sequence[Scenario],
        now: datetime,
        *,
        usual: Behaviour,
        tiers: Sequence[Tier] = (),
    ) -> Script:
        """Find out what plays in a request; what is for a number of requests has then played once.

        ``own`` are the scenarios that the request itself chose. ``tiers`` are the products that it may
        be filled from, whose suppliers are otherwise of the ``usual`` behaviour.
        """
        if not self.cues and not own:
            return NO_SCRIPT
        wide: list[Scenario] = []
        narrow: list[Scenario] = []
        limited: list[ScenarioChoice] = []
        for place in subject.places():
            for cue in self.cues.get(place, ()):
                if not (playing := cue.playing(operation, now)):
                    continue
                if cue.times is not None:
                    limited.append(cue)
                else:
                    (wide if cue.operation is None else narrow).extend(playing)
        if limited:
            cue = min(limited, key=lambda cue: cue.number)
            narrow += cue.playing(operation, now)
            self._count(cue)
        chosen = [scenario.at(now, now) for scenario in own if scenario.plays_in(operation)]
        narrow += [scenario for scenario in chosen if scenario is not None]
        of_tiers: dict[int, Behaviour] = {}
        for tier in tiers:
            of_tier = self._of_tier(tier, operation, now)
            if of_tier:
                of_tiers[tier.id] = script([*wide, *of_tier, *narrow]).treat(usual)
        found = script([*wide, *narrow])
        return evolve(found, of_tiers=of_tiers) if of_tiers else found

    def _of_tier(self, tier: Tier, operation: str, now: datetime) -> list[Scenario]:
        """Return what plays for a product although the request does not name it."""
        cues = [cue for cue in self.cues.get(("product_id", tier.id), ()) if cue.times is None]
        return [scenario for cue in cues for scenario in cue.playing(operation, now)]

    def _count(self, cue: ScenarioChoice) -> None:
        assert cue.times is not None
        cue.times -= 1
        if not cue.times:
            self.cues[cue.place].remove(cue)
            if not self.cues[cue.place]:
                del self.cues[cue.place]
