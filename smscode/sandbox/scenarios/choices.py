"""Choosing scenarios: for what, and whether they play there at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from difflib import get_close_matches

from attrs import frozen

from ...core.api.registry import ENDPOINTS
from ...errors import API_ERRORS, InvalidArgumentError
from ..checks import check_whole
from ..control.history import ScenarioChosen
from ..http.api_error import Json, Refusal
from ..http.app import App
from ..service.suppliers import Behaviour
from . import of_behaviour, parse
from .scenario import PURCHASES, Fault, Scenario, script
from .selection import EVERYTHING, ScenarioPlace


@frozen(kw_only=True)
class ChoiceReader:
    """What scenarios are chosen for: a product, an order or, without an id, everything.

    With ``operation`` only requests of that endpoint count, with ``times`` only the next so many.
    """

    catalog_product_id: int | None = None
    product_id: int | None = None
    order_id: int | None = None
    operation: str | None = None
    times: int | None = None

    @property
    def place(self) -> ScenarioPlace:
        """The one thing that it is for."""
        places: list[ScenarioPlace] = []
        if self.catalog_product_id is not None:
            places.append(("catalog_product_id", self.catalog_product_id))
        if self.product_id is not None:
            places.append(("product_id", self.product_id))
        if self.order_id is not None:
            places.append(("order_id", self.order_id))
        if len(places) > 1:
            names = " and ".join(name for name, _ in places)
            raise InvalidArgumentError(f"{places[1][0]}: give only one of {names}.")
        return places[0] if places else EVERYTHING

    def __str__(self) -> str:
        kind, number = self.place
        parts = [kind if (kind, number) == EVERYTHING else f"{kind} {number}"]
        if self.operation is not None:
            parts.append(self.operation)
        if self.times is not None:
            parts.append("the next request" if self.times == 1 else f"the next {self.times} requests")
        return ", ".join(parts)

    def check(self, app: App) -> ScenarioPlace:
        """Return the place, or refuse what there is not."""
        kind, number = place = self.place
        catalog = app.world.catalog
        known = {
            "everything": True,
            "catalog_product_id": bool(catalog.routed(number)),
            "product_id": number in catalog.tiers,
            "order_id": number in app.world.orders,
        }
        if not known[kind]:
            raise InvalidArgumentError(f"{kind}: there is no {number!r}.")
        if self.operation is not None:
            check_operation(self.operation)
        if self.times is not None:
            check_whole("times", self.times, 1)
        return place


def check_operation(operation: str) -> None:
    """Refuse what is not the name of an endpoint."""
    if operation not in ENDPOINTS:
        close = get_close_matches(operation, ENDPOINTS, 3) or ["orders.get"]
        raise InvalidArgumentError(
            f"operation: expected the name of an endpoint, as {' or '.join(map(repr, close))}."
        )


def read(given: Iterable[Scenario | Behaviour | str]) -> tuple[Scenario, ...]:
    """Make scenarios of what was given for them."""
    found: list[Scenario] = []
    for value in given:
        if isinstance(value, str):
            found += parse(value)
        else:
            found.append(of_behaviour(value) if isinstance(value, Behaviour) else value)
    if not found:
        raise InvalidArgumentError("scenario: expected at least one.")
    return tuple(found)


def play(app: App, scenarios: tuple[Scenario, ...], choice: ChoiceReader, now: datetime) -> None:
    """Choose scenarios. The caller holds the lock."""
    place = choice.check(app)
    for scenario in scenarios:
        if choice.operation is not None and not scenario.plays_in(choice.operation):
            raise InvalidArgumentError(
                f"operation: {scenario} plays in {', '.join(scenario.operations)}, not in {choice.operation}."
            )
        if place[0] == "order_id" and scenario.operations == ("orders.create",):
            raise InvalidArgumentError(f"order_id: {scenario} plays in new orders only.")
    app.stage.play(scenarios, place, now, operation=choice.operation, times=choice.times)
    if place[0] == "order_id" and choice.operation is None and choice.times is None:
        order = app.world.orders[place[1]]
        found = script(scenarios)
        afresh = found.alone or found.behaviour.messages is not None
        app.world.redirect(order, found.treat(order.behaviour), now, afresh=afresh)
    app.history.add(ScenarioChosen(now, tuple(scenario.name for scenario in scenarios), str(choice)))


def clear(app: App, choice: ChoiceReader, now: datetime) -> None:
    """Clear what was chosen for something, or all of it. The caller holds the lock."""
    if (place := choice.check(app)) == EVERYTHING:
        app.stage.cues.clear()
    else:
        app.stage.clear(place)
    app.history.add(ScenarioChosen(now, (), str(choice)))


def fault(
    operation: str,
    code: str | int,
    message: str,
    details: Mapping[str, Json] | None,
    retry_after: int | None,
    status: int | None,
) -> Scenario:
    """Make a scenario of an error code, or of a bare HTTP status."""
    check_operation(operation)
    if isinstance(code, int):
        return Scenario(name=str(code), operations=(operation,), fault=Fault(code, retry_after))
    if status is None and code not in API_ERRORS:
        raise InvalidArgumentError("code: this one is not documented, so it needs a status.")
    problem = Refusal(code, message, status=status, details=details, retry_after=retry_after).problem
    if code == "PROVIDER_ERROR" and operation in PURCHASES:
        # A supplier's refusal is recorded under the idempotency key, so the purchase itself raises it.
        return Scenario(name=code, operations=(operation,), behaviour=Behaviour(problem=problem))
    return Scenario(name=code, operations=(operation,), fault=Fault(problem.status, retry_after, problem))
