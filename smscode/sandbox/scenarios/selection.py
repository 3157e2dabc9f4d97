"""The scenarios that were chosen, and those of them that apply to a request.

Of two choices the narrower one counts. From the narrowest: for one request by its header, for requests of
an operation or a number of requests, for an order, for a product, for everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import chain
from typing import Final, Literal, TypeAlias

from attrs import define, evolve, field, frozen

from ...core.api.call import Endpoint
from ...core.api.parameters import ORDER_ID
from ...errors import InvalidArgumentError
from ..http.api_error import invalid
from ..http.params import integers_in
from ..http.routes import IncomingRequest, Route
from ..service.catalog import Catalog, Tier
from ..service.market import Market, set_market
from ..service.suppliers import Behaviour
from ..service.world import World
from . import parse_scenarios
from .scenario import NO_SCRIPT, Scenario, Script, script

HEADER: Final = "x-sandbox-scenario"
"""The request header that chooses scenarios for that request."""

ScenarioPlace: TypeAlias = tuple[Literal["everything", "catalog_product_id", "product_id", "order_id"], int]
"""What scenarios are chosen for, and its id, which is 0 for everything."""

EVERYTHING: Final[ScenarioPlace] = ("everything", 0)


@frozen
class Subject:
    """The order or product that a request is about."""

    order_id: int | None = None
    product_id: int | None = None
    catalog_product_id: int | None = None

    def places(self) -> Iterator[ScenarioPlace]:
        """Yield the places that it belongs to, the widest first."""
        yield EVERYTHING
        if self.catalog_product_id is not None:
            yield "catalog_product_id", self.catalog_product_id
        if self.product_id is not None:
            yield "product_id", self.product_id
        if self.order_id is not None:
            yield "order_id", self.order_id


@define
class ScenarioChoice:
    """Scenarios chosen at ``since`` for a ``place``.

    They apply only to ``operation`` if it is set, and only to the next ``times`` matching requests if that is
    set. Choices are numbered by ``number`` from 1.
    """

    number: int
    place: ScenarioPlace
    scenarios: tuple[Scenario, ...]
    since: datetime
    operation: str | None = None
    times: int | None = None

    def playing(self, operation: str, now: datetime) -> list[Scenario]:
        """Return its scenarios that apply to an operation now."""
        if self.operation not in (None, operation):
            return []
        # For a number of requests, a duration begins with each of them.
        since = self.since if self.times is None else now
        found = [scenario.at(since, now) for scenario in self.scenarios if scenario.plays_in(operation)]
        return [scenario for scenario in found if scenario is not None]


@define
class Selection:
    """All choices by place; ``chosen`` is the number of choices so far."""

    choices: dict[ScenarioPlace, list[ScenarioChoice]] = field(
        factory=dict[ScenarioPlace, list[ScenarioChoice]]
    )
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

        Without ``times`` a choice replaces those without ``times`` for the same place and operation; with
        ``times`` it applies after the earlier ones with ``times``.
        """
        self.chosen += 1
        before = self.choices.setdefault(place, [])
        if times is None:
            before[:] = [one for one in before if one.times is not None or one.operation != operation]
        before.append(ScenarioChoice(self.chosen, place, tuple(scenarios), now, operation, times))

    def all(self) -> list[ScenarioChoice]:
        """Return all choices, oldest first."""
        return sorted(chain.from_iterable(self.choices.values()), key=lambda choice: choice.number)

    def clear(self, place: ScenarioPlace) -> None:
        """Remove the choices for a place; those for everything stand for all."""
        if place == EVERYTHING:
            self.choices.clear()
        self.choices.pop(place, None)

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
        """Return the effect of the scenarios on a request; this uses up one of the ``times`` of a choice.

        ``own`` are the scenarios in the request's header. ``tiers`` are the products that it may be filled
        from; without scenarios their suppliers have the ``usual`` behaviour.
        """
        if not self.choices and not own:
            return NO_SCRIPT
        wide: list[Scenario] = []
        narrow: list[Scenario] = []
        limited: list[ScenarioChoice] = []
        for place in subject.places():
            for choice in self.choices.get(place, ()):
                if not (playing := choice.playing(operation, now)):
                    continue
                if choice.times is not None:
                    limited.append(choice)
                else:
                    (wide if choice.operation is None else narrow).extend(playing)
        if limited:
            choice = min(limited, key=lambda choice: choice.number)
            narrow += choice.playing(operation, now)
            self._count(choice)
        chosen = [scenario.at(now, now) for scenario in own if scenario.plays_in(operation)]
        narrow += [scenario for scenario in chosen if scenario is not None]
        tier_behaviours: dict[int, Behaviour] = {}
        for tier in tiers:
            if of_tier := self._for_tier(tier, operation, now):
                tier_behaviours[tier.id] = script([*wide, *of_tier, *narrow]).apply_to(usual)
        found = script([*wide, *narrow])
        return evolve(found, tier_behaviours=tier_behaviours) if tier_behaviours else found

    def set_markets(
        self, catalog: Catalog, operation: str, own: Sequence[Scenario], now: datetime, seed: int
    ) -> None:
        """Set the prices and the stock of all products by the scenarios that apply to a request."""
        every = [*own, *chain.from_iterable(choice.scenarios for choice in self.all())]
        changed = any(scenario.market is not None for scenario in every)
        if not changed and not catalog.changed:
            return
        catalog.changed = changed
        chosen = [scenario.at(now, now) for scenario in own if scenario.plays_in(operation)]
        for tier in catalog.tiers.values():
            wide: list[Scenario | None] = []
            narrow: list[Scenario | None] = []
            for place in Subject(None, tier.id, tier.catalog_product_id).places():
                for choice in self.choices.get(place, ()):
                    if choice.times is None:
                        (wide if choice.operation is None else narrow).extend(choice.playing(operation, now))
            markets: list[Market] = []
            for scenario in filter(None, [*wide, *narrow, *chosen]):
                markets = [] if scenario.alone else markets
                markets += [] if scenario.market is None else [scenario.market]
            set_market(tier, markets, seed)

    def _for_tier(self, tier: Tier, operation: str, now: datetime) -> list[Scenario]:
        """Return the scenarios for a product that the request does not name."""
        choices = [choice for choice in self.choices.get(("product_id", tier.id), ()) if choice.times is None]
        return [scenario for choice in choices for scenario in choice.playing(operation, now)]

    def _count(self, choice: ScenarioChoice) -> None:
        assert choice.times is not None
        choice.times -= 1
        if not choice.times:
            self.choices[choice.place].remove(choice)
            if not self.choices[choice.place]:
                del self.choices[choice.place]


def subject_of(route: Route, body: bytes, world: World, *, products: bool) -> Subject:
    """Return the subject of a request if its body can be read; that of purchases only with ``products``."""
    fields = route.endpoint.fields
    order_id = route.path_id or None
    if order_id is None and (ORDER_ID in fields or (fields and products)):
        given = integers_in(body)
        order_id = given.get("id")
        if order_id is None:
            tier = world.catalog.tiers.get(given.get("product_id", 0))
            if tier is None:
                return Subject(catalog_product_id=given.get("catalog_product_id"))
            return Subject(product_id=tier.id, catalog_product_id=tier.catalog_product_id)
    order = world.orders.get(order_id or 0)
    if order is None:
        return Subject(order_id)
    return Subject(order_id, order.tier.id, order.tier.catalog_product_id)


def script_of(
    endpoint: Endpoint[object],
    subject: Subject,
    request: IncomingRequest,
    selection: Selection,
    world: World,
) -> Script:
    """Return the effect of the scenarios on a request. Raises `ServiceError` if its own do not exist."""
    try:
        own = parse_scenarios(request.headers[HEADER]) if HEADER in request.headers else ()
    except InvalidArgumentError as error:
        raise invalid({HEADER: str(error).partition(": ")[2]}) from None
    selection.set_markets(world.catalog, endpoint.name, own, request.now, world.rules.seed)
    tiers: Sequence[Tier] = ()
    if endpoint.name == "orders.create" and subject.product_id is None:
        tiers = world.catalog.routed(subject.catalog_product_id)
    return selection.script(endpoint.name, subject, own, request.now, usual=world.behaviour, tiers=tiers)
