"""The scenarios by name: each is made by the function of its name, or written as text.

Text looks as in Python, ``otp_after(5)`` or ``rate_limited(retry_after=10)``; several scenarios are
separated by commas. Times are in seconds.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from difflib import get_close_matches
from functools import wraps
from typing import Final, NoReturn, ParamSpec

from attrs import evolve, frozen

from ...errors import InvalidArgumentError
from ..checks import Probability, check_duration, check_probability, check_whole
from ..http.api_error import ServiceError
from ..service.market import Market
from ..service.suppliers import Behaviour, Message
from .scenario import PURCHASES, Fault, Scenario

P = ParamSpec("P")

SCENARIOS: Final[dict[str, Callable[..., Scenario]]] = {}
"""All scenarios by name."""

BEHAVIOUR: Final = "behaviour"
"""The name of a scenario made from a `Behaviour`."""

_WITHOUT_CODE: Final = "Tap to confirm: https://example.com/c/7f3a"
_FORM: Final = re.compile(r"\s*(?P<name>\w+)\s*(?:\((?P<arguments>[^()]*)\))?\s*(?:,|$)")
_CANCEL: Final = "orders.cancel"
_MARKET: Final = (
    "catalog.services",
    "catalog.operators",
    "catalog.products",
    *PURCHASES,
    "orders.reactivate_options",
)
_MOST_NAMED: Final = 3


@frozen
class Described:
    """The text of a scenario, with its defaults, and a description."""

    form: str
    about: str


def _named(make: Callable[P, Scenario]) -> Callable[P, Scenario]:
    """Register a scenario. The wrapper checks the arguments and adds them to the scenario's name."""
    name, signature = make.__name__, inspect.signature(make)

    @wraps(make)
    def made(*args: P.args, **kwargs: P.kwargs) -> Scenario:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        for argument, value in bound.arguments.items():
            match signature.parameters[argument].annotation:
                case "int":
                    check_whole(argument, value, 0)
                case "Probability":
                    check_probability(argument, value)
                case _:
                    check_duration(argument, value)
        given = ", ".join(map(_shown, bound.arguments.values()))
        return evolve(make(*args, **kwargs), name=f"{name}({given})" if given else name)

    SCENARIOS[name] = made
    return made


def _messages(*messages: Message) -> Scenario:
    return Scenario(name="", operations=PURCHASES, behaviour=Behaviour(messages=messages))


def _fault(code: str, message: str, lasts: float | None = None) -> Scenario:
    problem = ServiceError(code, message).problem
    return Scenario(name="", fault=Fault(problem.status, problem=problem), lasts=lasts)


@_named
def usual() -> Scenario:
    """Every request succeeds: no wider scenario applies."""
    return Scenario(name="", alone=True)


@_named
def otp_after(seconds: float = 2.0) -> Scenario:
    """The SMS arrives after so many seconds."""
    return _messages(Message(seconds))


@_named
def text_only(seconds: float = 2.0) -> Scenario:
    """The SMS contains no code."""
    return _messages(Message(seconds, _WITHOUT_CODE))


@_named
def text_then_code(first: float = 2.0, second: float = 30.0) -> Scenario:
    """An SMS without a code arrives, and later one with a code."""
    return _messages(Message(first, _WITHOUT_CODE), Message(second))


@_named
def two_messages(first: float = 2.0, second: float = 30.0) -> Scenario:
    """Two SMS arrive, each with its own code."""
    return _messages(Message(first), Message(second))


@_named
def never() -> Scenario:
    """No SMS arrives, so the order expires and is refunded."""
    return _messages()


@_named
def late_code(seconds: float = 180.0, probability: Probability = 0.5) -> Scenario:
    """With that probability a number's SMS arrives only after so many seconds."""
    behaviour = Behaviour(late=probability, late_after=seconds)
    return Scenario(name="", operations=PURCHASES, behaviour=behaviour)


@_named
def dead_numbers(probability: Probability = 0.3) -> Scenario:
    """With that probability a number gets no SMS, also after a resend."""
    return Scenario(name="", operations=PURCHASES, behaviour=Behaviour(dead=probability))


@_named
def expires_soon(seconds: float = 10.0) -> Scenario:
    """The order expires after so many seconds."""
    return Scenario(name="", operations=PURCHASES, behaviour=Behaviour(lifetime=seconds))


@_named
def partial(numbers: int = 1) -> Scenario:
    """At most so many of the requested numbers are available."""
    return Scenario(name="", operations=("orders.create",), behaviour=Behaviour(at_most=numbers))


@_named
def no_stock() -> Scenario:
    """No supplier has a number, although the catalogue still shows stock."""
    return Scenario(name="", operations=("orders.create",), behaviour=Behaviour(sold_out=True))


@_named
def stock_runs_out(numbers: int = 3) -> Scenario:
    """So many numbers of each product are left, and those that are sold do not come back."""
    return Scenario(name="", operations=_MARKET, market=Market(numbers=numbers))


@_named
def prices_move(percent: int = 20, seconds: float = 60.0) -> Scenario:
    """All prices change every so many seconds, each by up to so many percent of its usual one."""
    return Scenario(name="", operations=_MARKET, market=Market(swing=percent, seconds=seconds))


@_named
def provider_error() -> Scenario:
    """The suppliers refuse purchases, cancels and resends."""
    behaviour = Behaviour(outcome="provider_error", cancel="provider_error", resend="provider_error")
    operations = (*PURCHASES, "orders.reactivate_options", _CANCEL, "orders.resend")
    return Scenario(name="", operations=operations, behaviour=behaviour)


@_named
def insufficient_balance() -> Scenario:
    """The balance is too low for any purchase."""
    problem = ServiceError("INSUFFICIENT_BALANCE", "Balance too low").problem
    return Scenario(name="", operations=PURCHASES, behaviour=Behaviour(problem=problem))


@_named
def slow_create(seconds: float = 5.0) -> Scenario:
    """A purchase settles after so many seconds, and its idempotency key is in use until then."""
    return Scenario(name="", operations=PURCHASES, behaviour=Behaviour(takes=seconds))


@_named
def ban(seconds: float = 14_400.0) -> Scenario:
    """The abuse guard has banned the account from ordering for so many seconds."""
    return Scenario(name="", operations=("orders.create",), ban=True, lasts=seconds)


@_named
def too_early(seconds: float = 600.0) -> Scenario:
    """An order cannot be cancelled before so many seconds have passed."""
    return Scenario(name="", operations=(*PURCHASES, _CANCEL), behaviour=Behaviour(cancel_after=seconds))


@_named
def cancel_refused() -> Scenario:
    """The supplier refuses to cancel."""
    return Scenario(name="", operations=(_CANCEL,), behaviour=Behaviour(cancel="provider_error"))


@_named
def resend_refused() -> Scenario:
    """The supplier refuses to send another SMS."""
    behaviour = Behaviour(resend="provider_error")
    return Scenario(name="", operations=("orders.resend",), behaviour=behaviour)


@_named
def fx_down() -> Scenario:
    """There is no USD/IDR rate, so v2 shows no money and sells nothing."""
    return Scenario(name="", no_rate=True)


@_named
def rate_limited(retry_after: int = 30) -> Scenario:
    """Too many requests were sent; the limit ends after so many seconds."""
    return _fault("RATE_LIMIT_EXCEEDED", "Too many requests", retry_after)


@_named
def maintenance(seconds: float = 60.0) -> Scenario:
    """The service is closed for so many seconds."""
    return _fault("SERVICE_UNAVAILABLE", "Down for maintenance", seconds)


@_named
def unauthorized() -> Scenario:
    """The token is not valid."""
    return _fault("UNAUTHORIZED", "Token missing or not valid")


@_named
def suspended() -> Scenario:
    """All requests of the account are forbidden."""
    return _fault("FORBIDDEN", "The account is suspended")


@_named
def internal_error() -> Scenario:
    """The service fails, and the request has no effect."""
    return _fault("INTERNAL_ERROR", "Something went wrong")


@_named
def bad_gateway() -> Scenario:
    """A proxy answers with a 502 without a body, and the request has no effect."""
    return Scenario(name="", fault=Fault(502))


@_named
def slow_answer(seconds: float = 5.0) -> Scenario:
    """The request takes effect at once, and is answered after so many seconds."""
    return Scenario(name="", delay=seconds)


@_named
def lost_response() -> Scenario:
    """The request takes effect, and the connection breaks before the answer."""
    return Scenario(name="", lost=True)


@_named
def lost_request() -> Scenario:
    """The connection breaks, and the request has no effect."""
    return Scenario(name="", fault=Fault(0, lost=True))


def parse_scenarios(text: str) -> tuple[Scenario, ...]:
    """Return the scenarios in a text. Raises `InvalidArgumentError` if one is not valid."""
    found: list[Scenario] = []
    place = 0
    while place < len(text) or not found:
        match = _FORM.match(text, place)
        if match is None:
            _refuse(f"expected names as 'otp_after(5), lost_response', not {text[:200]!r}")
        found.append(_make(match["name"], match["arguments"] or ""))
        place = match.end()
    return tuple(found)


def of_behaviour(behaviour: Behaviour) -> Scenario:
    """Return a scenario for purchases with a behaviour, also for cancels and resends if it changes them."""
    operations = [*PURCHASES, "orders.reactivate_options"]
    operations += [_CANCEL] if behaviour.cancel != "ok" or behaviour.cancel_after is not None else []
    operations += ["orders.resend"] if behaviour.resend != "ok" else []
    return Scenario(name=BEHAVIOUR, operations=tuple(operations), behaviour=behaviour)


def described() -> tuple[Described, ...]:
    """Return the text and the description of all scenarios."""
    return tuple(Described(_form(name), inspect.getdoc(make) or "") for name, make in SCENARIOS.items())


def _form(name: str) -> str:
    parameters = inspect.signature(SCENARIOS[name]).parameters.values()
    arguments = ", ".join(f"{parameter.name}={_shown(parameter.default)}" for parameter in parameters)
    return f"{name}({arguments})" if arguments else name


def _make(name: str, arguments: str) -> Scenario:
    make = SCENARIOS.get(name)
    if make is None:
        close = get_close_matches(name, SCENARIOS, _MOST_NAMED) or sorted(SCENARIOS)
        known = "the closest are" if len(close) <= _MOST_NAMED else "the scenarios are"
        _refuse(f"no scenario is called {name!r}; {known} {', '.join(close)}")
    args: list[float] = []
    kwargs: dict[str, float] = {}
    for given in filter(None, map(str.strip, arguments.split(","))):
        key, _, value = given.rpartition("=")
        if key:
            kwargs[key.strip()] = _number(name, value)
        else:
            args.append(_number(name, value))
    try:
        inspect.signature(make).bind(*args, **kwargs)
    except TypeError:
        _refuse(f"expected {_form(name)}")
    return make(*args, **kwargs)


def _shown(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)


def _number(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        _refuse(f"{text.strip()!r} is not a number: expected {_form(name)}")
    # A number without a fraction may also be a count.
    return int(number) if number.is_integer() else number


def _refuse(problem: str) -> NoReturn:
    raise InvalidArgumentError(f"scenario: {problem}.") from None
