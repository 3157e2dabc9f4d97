"""The sandbox's own routes, below ``/_sandbox``: what `Sandbox` does in Python, over HTTP.

They are no part of the service, nor of its OpenAPI document. They need the same token; scenarios,
limits, maintenance and a suspension do not apply to them. Answers and errors have the service's
envelope. A GET or DELETE has its fields in the query, any other request in a JSON object.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeAlias, cast
from urllib.parse import parse_qsl

from attrs import frozen

from ...errors import InvalidArgumentError
from ..checks import LONGEST
from ..http.api_error import Json, ServiceError, invalid
from ..http.deferred import Deferred, Result
from ..http.params import json_object
from ..http.routes import MethodNotAllowed
from ..sandbox import Sandbox
from ..scenarios import described
from ..scenarios.choices import ChoiceTarget
from .history import entry_json, fields_json

ControlMethod: TypeAlias = Literal["GET", "POST", "PATCH", "DELETE"]
Given: TypeAlias = Mapping[str, Any]
"""The fields of a request, checked against those of its route."""

_INT53: Final = 2**53


@frozen
class ControlField:
    """A field of a route: its value is of one of ``types``, and a number is in ``low..high``."""

    name: str
    types: tuple[type, ...]
    low: float = 0
    high: float = _INT53
    required: bool = False

    def problem(self, value: object) -> str | None:
        """Return what is wrong with a value, or None."""
        # A JSON true is a Python int, so the exact type counts.
        if type(value) not in self.types:
            return f"must be {' or '.join(_JSON_NAMES[type_] for type_ in self.types)}"
        if isinstance(value, int | float) and not self.low <= value <= self.high:
            return f"must be a number of {self.low}..{self.high}"
        return None

    def parse(self, text: str) -> object:
        """Return the value of a query parameter."""
        return int(text) if int in self.types and text.isdecimal() and len(text) < 20 else text


_NONE: Final = type(None)
_JSON_NAMES: Final[Mapping[type, str]] = {
    int: "an integer",
    float: "a number",
    str: "a string",
    bool: "true or false",
    dict: "an object",
    _NONE: "null",
}


@frozen
class ControlRoute:
    """A route: its method, its path below ``/_sandbox``, a description, its action and its fields."""

    method: ControlMethod
    path: str
    about: str
    run: Callable[[Sandbox, Given], Json]
    fields: tuple[ControlField, ...] = ()


def _index(_: Sandbox, __: Given) -> Json:
    return [
        {
            "method": route.method,
            "path": f"/_sandbox{route.path}",
            "about": route.about,
            "fields": [field.name for field in route.fields],
        }
        for route in ROUTES
    ]


def _state(sandbox: Sandbox, _: Given) -> Json:
    app = sandbox.transport().app
    with app.lock:
        now, world = app.settle(), app.world
        return {
            "now": now.isoformat(),
            "generation": sandbox.generation,
            "balance": world.ledger.balance,
            "rate": None if world.fx is None else world.fx.rate,
            "otp_after": world.rules.otp_after,
            "maintenance": world.maintenance is not None,
            "suspended": world.suspended,
            "orders": len(world.orders),
            "active_orders": len(world.open),
        }


def _set_state(sandbox: Sandbox, given: Given) -> Json:
    for name in ("balance", "rate", "otp_after", "suspended"):
        if name in given:
            getattr(sandbox, f"set_{name}")(given[name])
    if "maintenance" in given:
        sandbox.set_maintenance(given["maintenance"], retry_after=given.get("retry_after"))
    return _state(sandbox, given)


def _advance(sandbox: Sandbox, given: Given) -> Json:
    sandbox.advance(given["seconds"])
    return {"now": sandbox.now.isoformat()}


def _scenarios(sandbox: Sandbox, _: Given) -> Json:
    app = sandbox.transport().app
    with app.lock:
        playing: list[Json] = [
            {"scenarios": [one.name for one in choice.scenarios], "place": str(ChoiceTarget.of(choice))}
            for choice in app.selection.all()
        ]
    known: list[Json] = [{"name": scenario.form, "about": scenario.about} for scenario in described()]
    return {"playing": playing, "known": known}


def _history(sandbox: Sandbox, given: Given) -> Json:
    app = sandbox.transport().app
    with app.lock:
        app.settle()
        after, limit = given.get("after", 0), given.get("limit", 1000)
        entries = app.history.since(after, limit)
        first = max(after, app.history.forgotten)
    return {"entries": [entry_json(entry) for entry in entries], "next": first + len(entries)}


def _deliveries(sandbox: Sandbox, _: Given) -> Json:
    names = ("url", "event", "order_id", "attempt", "status")
    return [
        {**{name: getattr(delivery, name) for name in names}, "body": json.loads(delivery.body)}
        for delivery in sandbox.deliveries
    ]


def _ledger(sandbox: Sandbox, _: Given) -> Json:
    return [fields_json(movement) for movement in sandbox.ledger]


def _audit(sandbox: Sandbox, _: Given) -> Json:
    found = sandbox.audit()
    shown = fields_json(found)
    del shown["orders"]
    return {**shown, "held": found.held}


def _deliver_sms(sandbox: Sandbox, given: Given) -> None:
    sandbox.deliver_sms(**given)


def _play(sandbox: Sandbox, given: Given) -> None:
    sandbox.play(given["scenario"], **{name: given[name] for name in given if name != "scenario"})


def _clear(sandbox: Sandbox, given: Given) -> None:
    sandbox.clear_scenarios(**given)


def _fail_next(sandbox: Sandbox, given: Given) -> None:
    sandbox.fail_next(**given)


def _requests(sandbox: Sandbox, _: Given) -> Json:
    return dict(sandbox.requests)


def _reset(sandbox: Sandbox, _: Given) -> None:
    sandbox.reset()


_STATE: Final = (
    ControlField("balance", (int,)),
    ControlField("rate", (int, _NONE), 1),
    ControlField("otp_after", (int, float, _NONE), 0, LONGEST),
    ControlField("maintenance", (bool,)),
    ControlField("retry_after", (int, _NONE)),
    ControlField("suspended", (bool,)),
)
_SECONDS: Final = (ControlField("seconds", (int, float), 0, LONGEST, required=True),)
_ORDER_ID: Final = ControlField("order_id", (int,), required=True)
_SMS: Final = (_ORDER_ID, ControlField("text", (str, _NONE)), ControlField("code", (str, _NONE)))
_TARGET: Final = tuple(
    ControlField(name, (int,)) for name in ("catalog_product_id", "product_id", "order_id")
)
_CHOICE: Final = (
    ControlField("scenario", (str,), required=True),
    *_TARGET,
    ControlField("operation", (str, _NONE)),
    ControlField("times", (int, _NONE), 1),
)
_FAULT: Final = (
    ControlField("operation", (str,), required=True),
    ControlField("code", (str, int), 100, 599, required=True),
    ControlField("times", (int,), 1),
    ControlField("message", (str,)),
    ControlField("details", (dict, _NONE)),
    ControlField("retry_after", (int, _NONE)),
    ControlField("status", (int, _NONE), 100, 599),
)
_ENTRIES: Final = (ControlField("after", (int,)), ControlField("limit", (int,), 1, 10_000))
_ABOUT_STATE: Final = "change settings; balance and rate in rupiah, null for no rate or no automatic SMS"
_ABOUT_HISTORY: Final = "the history, from the entry number after on; next is the after of the next request"

ROUTES: Final = (
    ControlRoute("GET", "", "these routes", _index),
    ControlRoute("GET", "/state", "the time, the balance, the rate and the other settings", _state),
    ControlRoute("PATCH", "/state", _ABOUT_STATE, _set_state, _STATE),
    ControlRoute("POST", "/advance", "advance the time by so many seconds", _advance, _SECONDS),
    ControlRoute("POST", "/sms", "deliver an SMS for an order", _deliver_sms, _SMS),
    ControlRoute("GET", "/scenarios", "the chosen scenarios and all that exist", _scenarios),
    ControlRoute("POST", "/scenarios", "choose scenarios", _play, _CHOICE),
    ControlRoute("DELETE", "/scenarios", "clear all scenarios, or those of one id", _clear, _TARGET),
    ControlRoute("POST", "/faults", "make the next requests of an operation fail", _fail_next, _FAULT),
    ControlRoute("GET", "/history", _ABOUT_HISTORY, _history, _ENTRIES),
    ControlRoute("GET", "/requests", "the number of requests of each operation", _requests),
    ControlRoute("GET", "/deliveries", "the webhooks that were sent", _deliveries),
    ControlRoute("GET", "/ledger", "every movement of the balance", _ledger),
    ControlRoute("GET", "/audit", "all charges and refunds, and whatever does not add up", _audit),
    ControlRoute("POST", "/reset", "remove all orders and scenarios, and restore the first balance", _reset),
)
"""All routes; a new one is an entry here and a row in the reference."""


def begin(sandbox: Sandbox, method: str, path: str, query: str, body: bytes) -> Deferred | MethodNotAllowed:
    """Start a request; its action runs later, without the app's lock. Raises `ServiceError`."""
    routes = {route.method: route for route in ROUTES if route.path == path}
    if not routes:
        raise ServiceError("NOT_FOUND", "The sandbox has no such route")
    route = routes.get(cast(ControlMethod, method))
    if route is None:
        return MethodNotAllowed(", ".join(sorted(routes)))
    given = _checked_fields(route, query, body)

    def run() -> Result:
        try:
            return Result(route.run(sandbox, given))
        except InvalidArgumentError as error:
            name, _, problem = str(error).partition(": ")
            raise invalid({name: problem}) from None

    return Deferred(None, run)


def _checked_fields(route: ControlRoute, query: str, body: bytes) -> Given:
    """Return the fields of a request. Raises `ServiceError` if its route does not allow them."""
    known = {field.name: field for field in route.fields}
    if route.method in ("GET", "DELETE"):
        texts = dict(parse_qsl(query, keep_blank_values=True))
        given = {name: known[name].parse(text) if name in known else text for name, text in texts.items()}
    else:
        # Written and read again so that fractions, which `json_object` makes Decimals, become floats.
        given = cast("dict[str, object]", json.loads(json.dumps(json_object(body or b"{}"), default=float)))
    problems: dict[str, str] = {}
    for name, value in given.items():
        problem = known[name].problem(value) if name in known else "is not a field of this request"
        if problem is not None:
            problems[name] = problem
    problems |= {
        field.name: "is required" for field in route.fields if field.required and field.name not in given
    }
    if problems:
        raise invalid(problems)
    return given
