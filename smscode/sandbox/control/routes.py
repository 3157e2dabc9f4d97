"""The sandbox's own routes, below ``/_sandbox``: what `Sandbox` does in Python, over HTTP.

They are no part of the service, nor of its OpenAPI document. They need the same token; neither
scenarios nor limits, maintenance or a suspension touch them. Answers and errors have the service's
envelope. What they take is in the query of a GET or DELETE, else in a JSON object.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, NoReturn, TypeAlias, cast
from urllib.parse import parse_qsl

from attrs import frozen

from ...errors import InvalidArgumentError
from ..checks import LONGEST
from ..http.api_error import Json, Refusal
from ..http.deferred import Errand, Later, Result
from ..http.routes import MethodNotAllowed
from ..sandbox import Sandbox
from ..scenarios import described
from ..scenarios.choices import ChoiceReader
from .history import as_json

ControlMethod: TypeAlias = Literal["GET", "POST", "PATCH", "DELETE"]
Given: TypeAlias = Mapping[str, Any]
"""What a request gave, checked against the fields of its route."""

_INT53: Final = 2**53


@frozen
class Field:
    """Something that a route takes: of one of ``kinds``, and a number of ``low..high``."""

    name: str
    kinds: tuple[type, ...]
    low: float = 0
    high: float = _INT53
    required: bool = False

    def problem(self, value: object) -> str | None:
        """Return what is wrong with a value, or None."""
        # A JSON true is a Python int, so the exact type counts.
        if type(value) not in self.kinds:
            return f"must be {' or '.join(_JSON_NAMES[kind] for kind in self.kinds)}"
        if isinstance(value, int | float) and not self.low <= value <= self.high:
            return f"must be a number of {self.low}..{self.high}"
        return None

    def read(self, text: str) -> object:
        """Make a value of what a query holds."""
        return int(text) if int in self.kinds and text.isdecimal() and len(text) < 20 else text


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
    """A route: its method, its path below ``/_sandbox``, what it is about, what it takes, what it does."""

    method: ControlMethod
    path: str
    about: str
    run: Callable[[Sandbox, Given], Json]
    fields: tuple[Field, ...] = ()


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
    if "balance" in given:
        sandbox.set_balance(given["balance"])
    if "rate" in given:
        sandbox.set_rate(given["rate"])
    if "otp_after" in given:
        sandbox.set_otp_after(given["otp_after"])
    if "maintenance" in given:
        sandbox.set_maintenance(given["maintenance"], retry_after=given.get("retry_after"))
    if "suspended" in given:
        sandbox.set_suspended(given["suspended"])
    return _state(sandbox, given)


def _advance(sandbox: Sandbox, given: Given) -> Json:
    sandbox.advance(given["seconds"])
    return {"now": sandbox.now.isoformat()}


def _deliver_sms(sandbox: Sandbox, given: Given) -> Json:
    sandbox.deliver_sms(given["order_id"], text=given.get("text"), code=given.get("code"))
    return None


def _scenarios(sandbox: Sandbox, _: Given) -> Json:
    app = sandbox.transport().app
    with app.lock:
        playing: list[Json] = [
            {
                "scenarios": [scenario.name for scenario in cue.scenarios],
                "place": str(ChoiceReader(**_ids(cue.place), operation=cue.operation, times=cue.times)),
            }
            for cue in app.stage.all()
        ]
    known: list[Json] = [{"name": scenario.form, "about": scenario.about} for scenario in described()]
    return {"playing": playing, "known": known}


def _ids(place: tuple[str, int]) -> dict[str, Any]:
    return {} if place[0] == "everything" else {place[0]: place[1]}


def _play(sandbox: Sandbox, given: Given) -> Json:
    choice = {name: value for name, value in given.items() if name != "scenario"}
    sandbox.play(given["scenario"], **choice)
    return None


def _clear_scenarios(sandbox: Sandbox, given: Given) -> Json:
    sandbox.clear_scenarios(**given)
    return None


def _fail_next(sandbox: Sandbox, given: Given) -> Json:
    sandbox.fail_next(**given)
    return None


def _history(sandbox: Sandbox, given: Given) -> Json:
    app = sandbox.transport().app
    with app.lock:
        app.settle()
        after, limit = given.get("after", 0), given.get("limit", 1000)
        entries = app.history.since(after, limit)
        first = max(after, app.history.forgotten)
    return {"entries": [as_json(entry) for entry in entries], "next": first + len(entries)}


def _requests(sandbox: Sandbox, _: Given) -> Json:
    return dict(sandbox.requests)


def _deliveries(sandbox: Sandbox, _: Given) -> Json:
    return [
        {
            "url": delivery.url,
            "event": delivery.event,
            "order_id": delivery.order_id,
            "attempt": delivery.attempt,
            "status": delivery.status,
            "body": json.loads(delivery.body),
        }
        for delivery in sandbox.deliveries
    ]


def _ledger(sandbox: Sandbox, _: Given) -> Json:
    return [
        {
            "at": movement.at.isoformat(),
            "kind": movement.kind,
            "amount": movement.amount,
            "order_id": movement.order_id,
        }
        for movement in sandbox.ledger
    ]


def _audit(sandbox: Sandbox, _: Given) -> Json:
    found = sandbox.audit()
    return {
        "opening_balance": found.opening_balance,
        "adjustments": found.adjustments,
        "charges": found.charges,
        "refunds": found.refunds,
        "closing_balance": found.closing_balance,
        "held": found.held,
        "discrepancies": list(found.discrepancies),
    }


def _reset(sandbox: Sandbox, _: Given) -> Json:
    sandbox.reset()
    return None


_PLACE: Final = tuple(Field(name, (int,)) for name in ("catalog_product_id", "product_id", "order_id"))
_TIMES: Final = Field("times", (int,), 1)

ROUTES: Final = (
    ControlRoute("GET", "", "these routes", _index),
    ControlRoute("GET", "/state", "time, balance, rate and what else can be set", _state),
    ControlRoute(
        "PATCH",
        "/state",
        "set some of it; a balance and a rate in rupiah, null for no rate or no SMS by itself",
        _set_state,
        (
            Field("balance", (int,)),
            Field("rate", (int, _NONE), 1),
            Field("otp_after", (int, float, _NONE), 0, LONGEST),
            Field("maintenance", (bool,)),
            Field("retry_after", (int, _NONE)),
            Field("suspended", (bool,)),
        ),
    ),
    ControlRoute(
        "POST",
        "/advance",
        "let so many seconds pass at once",
        _advance,
        (Field("seconds", (int, float), 0, LONGEST, required=True),),
    ),
    ControlRoute(
        "POST",
        "/sms",
        "let an SMS arrive for an order",
        _deliver_sms,
        (
            Field("order_id", (int,), required=True),
            Field("text", (str, _NONE)),
            Field("code", (str, _NONE)),
        ),
    ),
    ControlRoute("GET", "/scenarios", "what was chosen and what there is", _scenarios),
    ControlRoute(
        "POST",
        "/scenarios",
        "choose scenarios",
        _play,
        (
            Field("scenario", (str,), required=True),
            *_PLACE,
            Field("operation", (str, _NONE)),
            Field("times", (int, _NONE), 1),
        ),
    ),
    ControlRoute(
        "DELETE", "/scenarios", "take back all scenarios, or those of one place", _clear_scenarios, _PLACE
    ),
    ControlRoute(
        "POST",
        "/faults",
        "let the next requests of an operation fail",
        _fail_next,
        (
            Field("operation", (str,), required=True),
            Field("code", (str, int), 100, 599, required=True),
            _TIMES,
            Field("message", (str,)),
            Field("details", (dict, _NONE)),
            Field("retry_after", (int, _NONE)),
            Field("status", (int, _NONE), 100, 599),
        ),
    ),
    ControlRoute(
        "GET",
        "/history",
        "what happened, from the entry number after on; next is the number to go on with",
        _history,
        (Field("after", (int,)), Field("limit", (int,), 1, 10_000)),
    ),
    ControlRoute("GET", "/requests", "how often each operation was asked for", _requests),
    ControlRoute("GET", "/deliveries", "the webhooks that were sent", _deliveries),
    ControlRoute("GET", "/ledger", "every movement of the balance", _ledger),
    ControlRoute("GET", "/audit", "what became of every rupiah, and what does not add up", _audit),
    ControlRoute("POST", "/reset", "begin anew: no orders, no scenarios, the first balance", _reset),
)
"""All of them; a new one is an entry here, and a row of the reference."""


def begin(sandbox: Sandbox, method: str, path: str, query: str, body: bytes) -> Later | MethodNotAllowed:
    """Begin what a request asks; it is done when no lock is held. Raises `Refusal`."""
    routes = {route.method: route for route in ROUTES if route.path == path}
    if not routes:
        raise Refusal("NOT_FOUND", "The sandbox has no such route")
    route = routes.get(cast(ControlMethod, method))
    if route is None:
        return MethodNotAllowed(", ".join(sorted(routes)))
    given = _read(route, query, body)

    def run() -> Result:
        try:
            return Result(route.run(sandbox, given))
        except InvalidArgumentError as error:
            name, _, problem = str(error).partition(": ")
            raise _invalid({name: problem}) from None

    errand = Errand(run)
    return Later(errand, errand.result)


def _read(route: ControlRoute, query: str, body: bytes) -> Given:
    """Check what a request gives against what its route takes."""
    known = {field.name: field for field in route.fields}
    if route.method in ("GET", "DELETE"):
        texts = dict(parse_qsl(query, keep_blank_values=True))
        given = {name: known[name].read(text) if name in known else text for name, text in texts.items()}
    else:
        given = _object(body)
    problems: dict[str, str] = {}
    for name, value in given.items():
        problem = known[name].problem(value) if name in known else "is not a field of this request"
        if problem is not None:
            problems[name] = problem
    problems |= {
        field.name: "is required" for field in route.fields if field.required and field.name not in given
    }
    if problems:
        raise _invalid(problems)
    return given


def _object(body: bytes) -> dict[str, object]:
    try:
        value: object = json.loads(body, parse_constant=_not_a_number) if body else {}
        # Half of a character is no text, and could not be sent on.
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise Refusal("VALIDATION_ERROR", "Body is not JSON") from None
    if not isinstance(value, dict):
        raise Refusal("VALIDATION_ERROR", "Body is not a JSON object")
    return cast("dict[str, object]", value)


def _not_a_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _invalid(problems: Mapping[str, str]) -> Refusal:
    return Refusal("VALIDATION_ERROR", "Request is not valid", details={"fields": dict(problems)})
