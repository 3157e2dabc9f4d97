"""What goes wrong with which request: a pure function of the script, the seed and the request's number.

Standard library only: the fault server shares nothing with the package that it judges.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Point = Literal["accept", "head", "lookup", "progress", "commit", "status", "headers", "body", "after"]
"""Where a fault strikes, P0 to P8 of the plan: at accept; with the head read; with the body read
but before the key is looked up; with the key stored as in progress; after the commit and before the
answer; in the middle of the status line, of the headers, of the body; after the body."""

Kind = Literal["fin", "rst", "stall", "drip", "429", "500", "503", "502", "garbage", "close", "extra"]
"""What happens there: close, reset, silence, slowness, an answer that is not the API's own, garbage;
after the body a close that nobody announced, or bytes that nobody asked for."""

Mode = Literal["none", "random", "first", "cut", "race", "bomb", "header", "endless", "drip", "keyed"]


@dataclass(frozen=True)
class Fault:
    """One fault; ``chance`` (0..1) decides its details, such as where exactly a body is cut."""

    point: Point
    kind: Kind
    chance: float = 0.5


MIX: tuple[tuple[Point, Kind], ...] = (
    ("accept", "rst"),
    ("head", "fin"),
    ("lookup", "rst"),
    ("lookup", "429"),
    ("lookup", "503"),
    ("progress", "rst"),
    ("progress", "stall"),
    ("commit", "fin"),
    ("commit", "stall"),
    ("commit", "500"),
    ("commit", "502"),
    ("commit", "garbage"),
    ("status", "rst"),
    ("headers", "fin"),
    ("body", "fin"),
    ("body", "rst"),
    ("body", "drip"),
    ("after", "close"),
    ("after", "extra"),
)
"""The mixture of the random script; it has all eleven kinds."""

assert {kind for _, kind in MIX} == set(get_args(Kind))


@dataclass(frozen=True)
class Script:
    """How the server behaves.

    ``rate`` is the share of requests with a fault (mode "random"); ``mix`` are the faults to choose
    from, also for "first", where the first request of each key (or of each body on a path that takes
    no key) has the first of them and the later ones have none. "cut" cuts the first answer to each
    purchase after as many bytes as the number in its intent says, in the manner ``how``, with the
    body in the ``framing``. "race" closes each connection at a random time within ``late`` seconds
    after an answer. "drip" sends a byte every ``late`` seconds, from the head on or with ``how`` =
    "body" from the body on. "bomb", "header" and "endless" answer with a gzip bomb, a header of 10 MB
    and interim answers without end. ``latency`` is between arrival and commit; ``jitter`` adds up to as
    much again; ``stall`` is how long a silent connection stays open.
    """

    mode: Mode = "none"
    rate: float = 0.0
    mix: tuple[tuple[Point, Kind], ...] = MIX
    how: Literal["fin", "rst", "stall", "body", "head"] = "fin"
    framing: Literal["length", "chunked", "gzip", "close"] = "length"
    latency: float = 0.0
    jitter: float = 0.0
    late: float = 0.002
    stall: float = 3.0
    only: tuple[str, ...] = field(default=())

    @classmethod
    def of(cls, values: dict[str, Any]) -> Script:
        """Read a script from JSON values; a name that is not known is an error."""
        values = dict(values)
        if "mix" in values:
            values["mix"] = tuple((point, kind) for point, kind in values["mix"])
        if "only" in values:
            values["only"] = tuple(values["only"])
        return cls(**values)


class Draw:
    """Draws the faults of a script, each from the seed and the request's number alone."""

    def __init__(self, script: Script, seed: int) -> None:
        self.script = script
        self._seed = seed

    def fault(self, number: int) -> Fault | None:
        """Return what goes wrong with a request, by its number; None for nothing."""
        if self.script.mode != "random":
            return None
        dice = random.Random(f"{self._seed}:{number}")
        if dice.random() >= self.script.rate:
            return None
        point, kind = dice.choice(self.script.mix)
        return Fault(point, kind, dice.random())

    def chance(self, number: int, purpose: str) -> float:
        """Return a number of 0..1 for another purpose of a request."""
        return random.Random(f"{self._seed}:{number}:{purpose}").random()
