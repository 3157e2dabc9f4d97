"""What a program was told, written to a pipe line by line, so that a kill takes nothing back.

Standard library only: the judge reads it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Fact:
    """A line of a diary: ``what`` happened in which ``life`` of which ``point``, with its details.

    ``at`` is in seconds of the machine's monotonic clock, which the fault server uses, too.
    """

    what: str
    point: str
    life: int
    at: float
    details: dict[str, Any] = field(default_factory=dict[str, Any])

    def __getitem__(self, name: str) -> Any:
        return self.details[name]

    @classmethod
    def of(cls, line: bytes) -> Fact:
        """Read a line."""
        values: dict[str, Any] = json.loads(line)
        what, point, life, at = (values.pop(name) for name in ("what", "point", "life", "at"))
        return cls(what, point, life, at, values)


class Diary:
    """Writes facts; ``point`` and ``life`` are those under way.

    The facts, with their details:

    - ``point``: a point begins; ``journal`` (it has one), ``durable`` (the journal's file stays in place)
    - ``asked``: a purchase is about to be asked for; ``key``, ``intent`` (its name at the server, or "")
    - ``result``: a call returned; ``orders``
    - ``error``: a purchase raised; ``key``, ``outcome``, ``error``
    - ``left``: a call was left by a cancellation or an interrupt; ``keys``
    - ``listed``: what the client says of itself; ``unresolved`` (keys), ``bought`` (order ids),
      ``after`` (keys of calls that are over)
    - ``recovered``: `recover` returned; ``rows``, each with ``key``, ``state``, ``orders``, ``outcome``
    - ``held``: the event loop stood still; ``seconds``
    - ``late``: a call was over so many ``seconds`` after its time, or after its cancellation; ``call``
    - ``stuck``: a later call found a lock, a slot or a lane lost; ``error``
    - ``broken``: something else that must not be; ``text``
    - ``end``: a life ended by itself
    - ``count``: so many interruptions were made; ``made``
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.point = ""
        self.life = 0

    def write(self, what: str, **details: Any) -> None:
        """Write a fact."""
        values = {"what": what, "point": self.point, "life": self.life, "at": time.monotonic(), **details}
        line = (json.dumps(values) + "\n").encode()
        while line:
            line = line[os.write(self._descriptor, line) :]

    def begin(self, point: str, *, journal: bool, durable: bool) -> None:
        """Begin a point."""
        self.point, self.life = point, 0
        self.write("point", journal=journal, durable=durable)

    def listed(self, unresolved: Sequence[str], bought: Sequence[int], after: Sequence[str]) -> None:
        """Write down what a client says of itself."""
        self.write("listed", unresolved=list(unresolved), bought=list(bought), after=list(after))
