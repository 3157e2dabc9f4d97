"""Choosing scenarios: for what, and whether they apply there at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from difflib import get_close_matches

from attrs import frozen

from ...core.api.registry import ENDPOINTS
from ...errors import API_ERRORS, InvalidArgumentError
from ..checks import check_whole
from ..control.history import ScenarioChosen
from ..http.api_error import Json, ServiceError
from ..http.app import App
from ..service.suppliers import Behaviour
from . import of_behaviour, parse_scenarios
from .scenario import PURCHASES, Fault, Scenario, script
from .selection import EVERYTHING, ScenarioChoice, ScenarioPlace, Subject


@frozen(kw_only=True)
class ChoiceTarget(Subject):
    """What scenarios are chosen for: a product, an order or, without an id, everything.

    With ``operation`` only requests of that endpoint count, with ``times`` only the next so many.
    """

    operation: str | None = None
    times: int | None = None

    @classmethod
    def of(cls, choice: ScenarioChoice) -> ChoiceTarget:
        """Return the target of a choice that was made."""
        ids = {} if choice.place == EVERYTHING else dict([choice.place])
        return cls(operation=choice.operation, times=choice.times, **ids)

    @property
    def place(self) -> ScenarioPlace:
        """The place of the only id. Raises `InvalidArgumentError` if there are several."""
        everything, *places = self.places()
        if len(places) > 1:
            names = " and ".join(name for name, _ in places)
            raise InvalidArgumentError(f"{places[1][0]}: give only one of {names}.")
        return places[0] if places else everything

    def __str__(self) -> str:
        name, number = self.place
        parts = [name if (name, number) == EVERYTHING else f"{name} {number}"]
        if self.operation is not None:
            parts.append(self.operation)
        if self.times is not None:
            parts.append("the next request" if self.times == 1 else f"the next {self.times} requests")
        return ", ".join(parts)

    def check(self, app: App) -> ScenarioPlace:
        """Return the place. Raises `InvalidArgumentError` for an unknown product, order or operation."""
        name, number = place = self.place
        catalog = app.world.catalog
        known = {
            "everything": True,
            "catalog_product_id": bool(catalog.routed(number)),
            "product_id": number in catalog.tiers,
            "order_id": number in app.world.orders,
        }
        if not known[name]:
            raise InvalidArgumentError(f"{name}: there is no {number!r}.")
        if self.operation is not None:
            check_operation(self.operation)
        if self.times is not None:
            check_whole("times", self.times, 1)
        return place


def check_operation(operation: str) -> None:
    """Raise `InvalidArgumentError` unless ``operation`` is the name of an endpoint."""
    if operation not in ENDPOINTS:
        close = get_close_matches(operation, ENDPOINTS, 3) or ["orders.get"]
        names = " or ".join(map(repr, close))
        raise InvalidArgumentError(f"operation: expected the name of an endpoint, as {names}.")


def read_scenarios(given: Iterable[Scenario | Behaviour | str]) -> tuple[Scenario, ...]:
    """Return the scenarios that an argument of `Sandbox.play` stands for. Raises `InvalidArgumentError`."""
    found: list[Scenario] = []
    for value in given:
        if isinstance(value, str):
            found += parse_scenarios(value)
        else:
            found.append(of_behaviour(value) if isinstance(value, Behaviour) else value)
    if not found:
        raise InvalidArgumentError("scenario: expected at least one.")
    return tuple(found)


def play(app: App, scenarios: tuple[Scenario, ...], target: ChoiceTarget, now: datetime) -> None:
    """Choose scenarios. The caller holds the lock. Raises `InvalidArgumentError`."""
    place = target.check(app)
    for scenario in scenarios:
        if target.operation is not None and not scenario.plays_in(target.operation):
            names = ", ".join(scenario.operations)
            raise InvalidArgumentError(
                f"operation: {scenario} applies to {names}, not to {target.operation}."
            )
        if place[0] == "order_id" and scenario.operations == ("orders.create",):
            raise InvalidArgumentError(f"order_id: {scenario} applies to new orders only.")
        if scenario.market is not None and (place[0] == "order_id" or target.times is not None):
            name = "order_id" if place[0] == "order_id" else "times"
            raise InvalidArgumentError(
                f"{name}: {scenario} applies to products, for as long as it is chosen."
            )
    app.selection.play(scenarios, place, now, operation=target.operation, times=target.times)
    if place[0] == "order_id" and target.operation is None and target.times is None:
        order = app.world.orders[place[1]]
        found = script(scenarios)
        new = found.behaviour
        reschedule = bool(found.alone or new.messages is not None or new.dead or new.late)
        app.world.change_behaviour(order, found.apply_to(order.behaviour), now, reschedule=reschedule)
    app.history.add(ScenarioChosen(now, tuple(scenario.name for scenario in scenarios), str(target)))


def clear(app: App, target: ChoiceTarget, now: datetime) -> None:
    """Clear the scenarios of a place, or all of them. The caller holds the lock."""
    app.selection.clear(target.check(app))
    app.history.add(ScenarioChosen(now, (), str(target)))


def fault(
    operation: str,
    code: str | int,
    message: str,
    details: Mapping[str, Json] | None,
    retry_after: int | None,
    status: int | None,
) -> Scenario:
    """Return a scenario that answers with an error code, or with an HTTP status without a body."""
    check_operation(operation)
    if isinstance(code, int):
        return Scenario(name=str(code), operations=(operation,), fault=Fault(code, retry_after))
    if status is None and code not in API_ERRORS:
        close = get_close_matches(str(code).upper(), API_ERRORS, 3)
        known = f"; the closest is {' or '.join(map(repr, close))}" if close else ""
        raise InvalidArgumentError(f"code: {code!r} is not documented{known}. Another one needs a status=.")
    problem = ServiceError(code, message, status=status, details=details, retry_after=retry_after).problem
    if code == "PROVIDER_ERROR" and operation in PURCHASES:
        # A supplier's error is stored under the idempotency key, so the purchase itself has to raise it.
        return Scenario(name=code, operations=(operation,), behaviour=Behaviour(problem=problem))
    return Scenario(name=code, operations=(operation,), fault=Fault(problem.status, retry_after, problem))
