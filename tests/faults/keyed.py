"""What goes wrong with a purchase whose idempotency key says so; the fault server's mode "keyed".

``shop-17--lost--NO_OFFER_AVAILABLE`` loses the answer to the first request under this key and refuses
the second; every later one is served. So a plan needs no channel beside the request, thousands of plans
can be under way at once, and a plan is repeated by repeating the key. `create_many` numbers its keys:
``-1`` at the end belongs to no step.

Standard library only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.faults.ledger import Refusal
from tests.faults.script import Fault

_NUMBERED = re.compile(r"-\d+$")
_TIMED = re.compile(r"([a-z]+)(\d+)")

FAULTS = {
    "lost": Fault("commit", "fin"),
    "torn": Fault("body", "fin"),
    "reset": Fault("lookup", "rst"),
    "resetafter": Fault("commit", "rst"),
    "hang": Fault("commit", "stall"),
    "hangbefore": Fault("lookup", "stall"),
    "page": Fault("commit", "502"),
    "pagebefore": Fault("lookup", "502"),
    "broken": Fault("commit", "500"),
}
"""Steps that are one fault of the script; "ok" is none."""

_STATUS = {
    "UNAUTHORIZED": 401,
    "FORBIDDEN": 403,
    "NOT_FOUND": 404,
    "CONFLICT": 409,
    "INSUFFICIENT_BALANCE": 409,
    "REQUEST_IN_PROGRESS": 409,
    "PAYLOAD_TOO_LARGE": 413,
    "RATE_LIMIT_EXCEEDED": 429,
    "TEMP_BANNED_ABUSE_GUARD": 403,
    "INTERNAL_ERROR": 500,
    "SERVICE_UNAVAILABLE": 503,
    "FX_RATE_UNAVAILABLE": 503,
}
_RECORDED = ("PROVIDER_ERROR",)


@dataclass(frozen=True)
class Step:
    """What happens to one request: a ``fault``, or a ``refusal``, or a wait of milliseconds.

    "late" cuts the connection at once and carries the purchase out so much later, as a proxy does that
    has lost its client; "slow" commits and then answers so much later; "slowbefore" commits and answers
    so much later.
    """

    name: str
    fault: Fault | None = None
    refusal: Refusal | None = None
    milliseconds: int = 0


def plan_of(key: str) -> tuple[str, ...]:
    """Return the steps that a key names, one per request under it."""
    return tuple(_NUMBERED.sub("", key).split("--")[1:])


def step_of(name: str) -> Step:
    """Return a step by its name."""
    if name in FAULTS:
        return Step(name, FAULTS[name])
    if name == "ok":
        return Step(name)
    if name.isupper():
        refusal = Refusal(_STATUS.get(name, 422), name, "Refused by the plan", recorded=name in _RECORDED)
        return Step(name, refusal=refusal)
    timed = _TIMED.fullmatch(name)
    if timed is None or timed[1] not in ("late", "slow", "slowbefore"):
        raise ValueError(f"no such step: {name}")
    return Step(timed[1], milliseconds=int(timed[2]))
