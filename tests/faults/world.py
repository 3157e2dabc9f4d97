"""What the connections of the fault server share, and the channel that commands it.

Standard library only.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any, Protocol

from tests.faults import wire
from tests.faults.api import TOKEN, Api, Asked, Reply
from tests.faults.keyed import Step, plan_of, step_of
from tests.faults.ledger import Ledger, Order
from tests.faults.script import Draw, Script


class Cuttable(Protocol):
    """A connection, as far as the world cares."""

    def cut(self, kind: str) -> None:
        """Close it, politely or with a reset."""
        ...


class World:
    """Everything the connections share: the ledger, the script, and what was seen."""

    def __init__(self, seed: int, script: Script) -> None:
        self.seed = seed
        self.connections: set[Cuttable] = set()
        self.opened = 0
        self.reset(seed, script)

    def reset(self, seed: int, script: Script) -> None:
        """Start over with empty books; connections of before are closed."""
        for connection in tuple(self.connections):
            connection.cut("rst")
        self.seed = seed
        self.ledger = Ledger()
        self.apis = {TOKEN: Api(self.ledger)}
        self.late = 0
        self.numbered = 0
        self.completed = 0
        self.serving = 0
        self.peak = 0
        self.arrivals: list[str] = []
        self.paths: Counter[str] = Counter()
        self.faults: list[tuple[int, str, str, str]] = []
        self.repeats: Counter[str] = Counter()
        self.use(script)

    def use(self, script: Script) -> None:
        """Behave by another script from now on; the books stay."""
        self.script = script
        self.peak = self.serving
        self.draw = Draw(script, self.seed)

    def api_of(self, asked: Asked) -> Api:
        """Return the API of the account that is asked for; in mode "keyed" every token of ours has one."""
        token = asked.token
        if token in self.apis or self.script.mode != "keyed" or not token.startswith(TOKEN):
            return self.apis.get(token, self.apis[TOKEN])
        ledger = Ledger(numbers=self.ledger.numbers)
        return self.apis.setdefault(token, Api(ledger, token))

    def step(self, asked: Asked) -> Step:
        """Return what happens to a purchase by the plan in its key, and count it."""
        key = asked.key or ""
        plan, place = plan_of(key), self.repeats[key]
        self.repeats[key] += 1
        return step_of(plan[place] if place < len(plan) else "ok")

    def next_number(self) -> int:
        """Number the next request."""
        self.numbered += 1
        return self.numbered

    def dump(self) -> dict[str, Any]:
        """Return the books and what was seen, as JSON values."""
        ledgers = [api.ledger for api in self.apis.values()]
        orders: list[Order] = []
        purchases: Counter[str] = Counter()
        made: dict[str, list[tuple[float, list[int]]]] = {}
        for ledger in ledgers:
            orders += ledger.orders.values()
            purchases.update(ledger.purchases)
            made |= ledger.made
        return {
            "seed": self.seed,
            "off_by": sum(ledger.audit() for ledger in ledgers),
            "refunds": sum(ledger.refunds for ledger in ledgers),
            "orders": [[order.id, order.intent, order.key, order.status, order.resends] for order in orders],
            "purchases": purchases,
            "made": made,
            "in_progress": self.late
            + sum(entry.in_progress for ledger in ledgers for entry in ledger.keys.values()),
            "requests": self.numbered,
            "completed": self.completed,
            "paths": self.paths,
            "arrivals": self.arrivals,
            "faults": self.faults,
            "peak": self.peak,
            "open": len(self.connections),
            "opened": self.opened,
        }

    def forget(self) -> None:
        """Forget the idempotency keys of every account."""
        for api in self.apis.values():
            api.ledger.forget()


class Control(asyncio.Protocol):
    """Serves the commands ``GET /dump``, ``POST /script``, ``POST /forget`` and ``POST /reset``."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._buffer = bytearray()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept a connection and serve its one command."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Collect a command, and carry it out when it is whole."""
        self._buffer += data
        asked = wire.head_of(self._buffer)
        if asked is None or len(self._buffer) < (size := wire.size_of(self._buffer, asked)):
            return
        length = int(asked.headers.get("content-length", "0"))
        fields = json.loads(self._buffer[size - length : size] or b"{}")
        match asked.path:
            case "/script":
                self._world.use(Script.of(fields["script"]))
            case "/forget":
                self._world.forget()
            case "/reset":
                self._world.reset(int(fields["seed"]), Script.of(fields["script"]))
            case _:
                pass
        self._transport.write(wire.framed(Reply(200, self._world.dump()), "control", "close"))
        self._transport.close()
