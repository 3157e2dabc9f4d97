"""Starting, commanding and stopping a fault server from a test."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.faults.api import TOKEN
from tests.faults.script import Script

__all__ = ["TOKEN", "Book", "Purchase", "Server", "running_server"]

_PATIENCE = 10.0


@dataclass(frozen=True)
class Purchase:
    """An order as the server's books have it."""

    id: int
    intent: str
    key: str | None
    status: str
    resends: int


@dataclass(frozen=True)
class Book:
    """The server's books, and what it saw, at one time.

    ``off_by`` are the rupiah that the balance is wrong by; ``purchases`` counts per intent, whatever the
    key; ``made`` has each key's purchases, with their times (monotonic) and orders; ``arrivals`` are the
    intents of all purchase requests in the order they came; ``peak`` is the most requests served at once;
    ``paths`` counts the requests.
    """

    orders: tuple[Purchase, ...]
    purchases: dict[str, int]
    off_by: int
    refunds: int
    in_progress: int
    requests: int
    arrivals: tuple[str, ...]
    paths: dict[str, int]
    faults: tuple[tuple[int, str, str, str], ...]
    peak: int
    open: int
    opened: int
    made: dict[str, tuple[tuple[float, tuple[int, ...]], ...]]

    @classmethod
    def of(cls, dump: dict[str, Any]) -> Book:
        """Read the server's own account."""
        return cls(
            orders=tuple(Purchase(*row) for row in dump["orders"]),
            purchases=dump["purchases"],
            off_by=dump["off_by"],
            refunds=dump["refunds"],
            in_progress=dump["in_progress"],
            requests=dump["requests"],
            arrivals=tuple(dump["arrivals"]),
            paths=dump["paths"],
            faults=tuple((number, point, kind, target) for number, point, kind, target in dump["faults"]),
            peak=dump["peak"],
            open=dump["open"],
            opened=dump["opened"],
            made={
                key: tuple((at, tuple(orders)) for at, orders in purchases)
                for key, purchases in dump["made"].items()
            },
        )


class Server:
    """A fault server that runs."""

    def __init__(self, port: int, control: int) -> None:
        self.base_url = f"http://127.0.0.1:{port}"
        self.control = control

    def book(self) -> Book:
        """Read the books."""
        return Book.of(self._command("GET", "/dump", {}))

    def settled(self) -> Book:
        """Read the books when no purchase is in progress any more."""
        end = time.monotonic() + _PATIENCE
        while (book := self.book()).in_progress and time.monotonic() < end:
            time.sleep(0.02)
        return book

    def use(self, script: Script) -> None:
        """Behave by another script from now on; the books stay."""
        self._command("POST", "/script", {"script": asdict(script)})

    def forget(self) -> None:
        """Forget the idempotency keys, as the service does after a day."""
        self._command("POST", "/forget", {})

    def reset(self, seed: int, script: Script) -> None:
        """Start over with empty books."""
        self._command("POST", "/reset", {"seed": seed, "script": asdict(script)})

    def _command(self, method: str, path: str, fields: dict[str, Any]) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.control, timeout=_PATIENCE)
        try:
            connection.request(method, path, json.dumps(fields))
            dump: dict[str, Any] = json.loads(connection.getresponse().read())
            return dump
        finally:
            connection.close()


@contextmanager
def running_server(seed: int = 1, script: Script | None = None) -> Generator[Server]:
    """Run a fault server in a process of its own; it ends with the block, also when this process dies."""
    command = [sys.executable, str(Path(__file__).with_name("server.py")), "--until-eof", "--seed", str(seed)]
    command += ["--script", json.dumps(asdict(script or Script()))]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        words = process.stdout.readline().split()
        if len(words) != 4:
            raise RuntimeError("the fault server did not start")
        yield Server(int(words[1]), int(words[3]))
    finally:
        process.stdin.close()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
