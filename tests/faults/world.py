"""What the connections of the fault server share, and the channel that commands it.

Standard library only.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any, Protocol

from tests.faults import wire
from tests.faults.api import Api, Reply
from tests.faults.ledger import Ledger
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
        self.api = Api(self.ledger)
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

    def next_number(self) -> int:
        """Number the next request."""
        self.numbered += 1
        return self.numbered

    def dump(self) -> dict[str, Any]:
        """Give the books and what was seen, as JSON values."""
        ledger = self.ledger
        return {
            "seed": self.seed,
            "balance": ledger.balance,
            "off_by": ledger.audit(),
            "refunds": ledger.refunds,
            "orders": [
                [order.id, order.intent, order.key, order.status, order.resends]
                for order in ledger.orders.values()
            ],
            "purchases": ledger.purchases,
            "in_progress": sum(entry.in_progress for entry in ledger.keys.values()),
            "requests": self.numbered,
            "completed": self.completed,
            "paths": self.paths,
            "arrivals": self.arrivals,
            "faults": self.faults,
            "peak": self.peak,
            "open": len(self.connections),
            "opened": self.opened,
        }


class Control(asyncio.Protocol):
    """Takes commands: ``GET /dump``, ``POST /script`` and ``POST /reset`` (``{"seed", "script"}``)."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._buffer = bytearray()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection; it serves one command."""
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
            case "/reset":
                self._world.reset(int(fields["seed"]), Script.of(fields["script"]))
            case _:
                pass
        self._transport.write(wire.framed(Reply(200, self._world.dump()), "control", "close"))
        self._transport.close()
