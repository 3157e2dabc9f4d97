"""Simulated clients, to prove the judge: one that is right, and one for each way of being wrong.

They speak HTTP over plain streams and keep a journal of JSON lines. ``python -m tests.purchases.fakes``
puts each through the same walks as the package's own client and prints the laws that it broke.
"""

from __future__ import annotations

import asyncio
import functools
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from smscode import SmscodeError
from smscode.errors import Outcome
from tests.purchases.judge import Invariant
from tests.purchases.lives import Maker
from tests.purchases.pool import Context, Job, running_pool
from tests.purchases.walks import Walk, Walker

_ATTEMPTS = 3


@dataclass
class Entry:
    """A purchase as the simulated journal has it."""

    key: str
    body: str
    orders: list[int] | None = None
    closed: bool = False


class Journal:
    """A file of JSON lines: key, body, and what became of it."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a+", encoding="utf-8", buffering=1)

    def write(self, key: str, what: str, detail: object = None) -> None:
        """Add a line."""
        self._file.write(json.dumps([key, what, detail]) + "\n")

    def entries(self) -> dict[str, Entry]:
        """Read all purchases."""
        entries: dict[str, Entry] = {}
        self._file.seek(0)
        for line in self._file:
            key, what, detail = json.loads(line)
            if what == "written":
                entries.setdefault(key, Entry(key, detail)).closed = False
            elif what == "bought":
                entries[key].orders = detail
            else:
                entries[key].closed = True
        return entries

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@dataclass
class Intent:
    """A purchase by its key."""

    idempotency_key: str


@dataclass
class Bought:
    """An order by its id."""

    id: int


@dataclass
class Recovered:
    """A row of what `recover` returns."""

    intent: Intent
    state: str
    orders: list[Bought]
    error: SmscodeError | None = None


@dataclass
class Created:
    """What a purchase bought."""

    orders: list[Bought]


class Right:
    """A client that is right, as far as it goes; its subclasses are each wrong in one way."""

    def __init__(self, token: str, base_url: str, journal: Journal, **settings: object) -> None:
        self.journal = journal
        self._token = token
        self._host, _, self._port = base_url.removeprefix("http://").partition(":")
        self.doubt: dict[str, str] = {}
        self.mine: dict[str, list[int]] = {}
        self.orders = self  # its purchases are made by the client itself

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close nothing: each request has a connection of its own."""

    async def balance(self, timeout: float | None = None) -> None:
        """Read the balance."""
        await self._ask("GET", "/v2/balance", "", "")

    async def create(
        self,
        *,
        catalog_product_id: int,
        idempotency_key: str,
        prefer_provider: str = "",
        timeout: float | None = None,
    ) -> Created:
        """Rent a number."""
        body = json.dumps({"catalog_product_id": catalog_product_id, "prefer_provider": prefer_provider})
        return await self._buy(idempotency_key, body)

    async def _buy(self, key: str, body: str) -> Created:
        self.journal.write(key, "written", body)
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.withdraw(key)
            raise
        self.doubt[key] = body
        try:
            for number in range(_ATTEMPTS):
                await self.before(number)
                orders = await self._ask("POST", "/v2/orders/create", self.key(key, number), body)
                if orders is not None:
                    self.store(key, orders)
                    return Created([Bought(order) for order in orders])
        except asyncio.CancelledError:
            self.cancelled(key)
            raise
        raise self.given_up(key)

    def key(self, key: str, number: int) -> str:
        """Return the key of an attempt."""
        return key

    async def before(self, number: int) -> None:
        """Go on before an attempt."""

    def withdraw(self, key: str) -> None:
        """Withdraw a purchase that was not sent."""
        self.journal.write(key, "withdrawn")

    def store(self, key: str, orders: list[int]) -> None:
        """Store what was bought."""
        self.journal.write(key, "bought", orders)
        self.mine[key] = orders
        self.doubt.pop(key, None)

    def cancelled(self, key: str) -> None:
        """Leave a purchase as a cancellation finds it: in doubt."""

    def given_up(self, key: str, outcome: Outcome = "unknown") -> SmscodeError:
        """Return the error of a purchase that got no answer."""
        return SmscodeError("No answer.", outcome=outcome, idempotency_key=key)

    def unresolved(self) -> list[Intent]:
        """Return what is in doubt."""
        return [Intent(key) for key in self.doubt]

    def bought(self) -> list[Recovered]:
        """Return what was bought."""
        return [self.row(key, orders) for key, orders in self.mine.items()]

    def row(self, key: str, orders: list[int]) -> Recovered:
        """Return a row of an answer."""
        return Recovered(Intent(key), "open", [Bought(order) for order in orders])

    async def recover(self) -> list[Recovered]:
        """Settle what is in doubt, and return it with what was bought."""
        rows: list[Recovered] = []
        for entry in self.journal.entries().values():
            if entry.closed:
                continue
            if entry.orders is None:
                try:
                    orders = [order.id for order in (await self._buy(entry.key, entry.body)).orders]
                except SmscodeError as error:
                    rows.append(Recovered(Intent(entry.key), "unsettled", [], error))
                    continue
            else:
                orders = entry.orders
            rows.append(self.row(entry.key, orders))
        return rows

    async def _ask(self, method: str, path: str, key: str, body: str) -> list[int] | None:
        """Send a request; return the orders of its answer, None without an answer."""
        reader, writer = await asyncio.open_connection(self._host, int(self._port))
        head = f"{method} {path} HTTP/1.1\r\nauthorization: Bearer {self._token}\r\n"
        head += f"idempotency-key: {key}\r\n" if key else ""
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n{body}".encode())
        try:
            answer = await reader.readuntil(b"\r\n\r\n")
            length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            value = json.loads(await reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        finally:
            writer.close()
        return [order["id"] for order in value["data"].get("orders", ())] if value["success"] else None


class NewKeys(Right):
    """Uses a new key for each attempt."""

    def key(self, key: str, number: int) -> str:
        return f"n{number}-{key}" if number else key


class Forgetful(Right):
    """Forgets a purchase that is cancelled after it was sent."""

    def cancelled(self, key: str) -> None:
        self.doubt.pop(key, None)


class Amnesiac(Right):
    """Withholds from the next process what was bought and not handed over."""

    def store(self, key: str, orders: list[int]) -> None:
        super().store(key, orders)
        self.journal.write(key, "closed")


class Liar(Right):
    """Claims that nothing was bought when there was no answer."""

    def given_up(self, key: str, outcome: Outcome = "unknown") -> SmscodeError:
        return super().given_up(key, "rejected")


class Insistent(Right):
    """Does not take a purchase back that was cancelled before it was sent."""

    def withdraw(self, key: str) -> None:
        pass


class Holding(Right):
    """Holds the event loop."""

    async def before(self, number: int) -> None:
        time.sleep(0.4)  # noqa: ASYNC251  # this is the fault


class Overrunning(Right):
    """Does not look at its deadline."""

    async def before(self, number: int) -> None:
        await asyncio.sleep(2.0)


class Deaf(Right):
    """Delays a cancellation."""

    def cancelled(self, key: str) -> None:
        time.sleep(0.4)


class Leaking(Right):
    """Loses a connection with each cancellation, of one."""

    lost = False

    def cancelled(self, key: str) -> None:
        self.lost = True

    async def balance(self, timeout: float | None = None) -> None:
        if self.lost:
            raise SmscodeError("No connection became free in time.")
        await super().balance(timeout)


CANCELLED = Walk("task", "create", "asyncio")
LOST = Walk("task", "create", "asyncio", plan="lost")
NEVER = Walk("task", "create", "asyncio", plan="lost--reset--reset")
KILLED = Walk("none", "create", "asyncio", plan="lost")

FAKES: dict[type[Right], tuple[Walk, tuple[Invariant, ...]]] = {
    NewKeys: (LOST, ("I1", "I2")),
    Forgetful: (LOST, ("I2", "I3")),
    Amnesiac: (CANCELLED, ("I2",)),
    Liar: (NEVER, ("I3",)),
    Insistent: (CANCELLED, ("I3",)),
    Holding: (KILLED, ("I4",)),
    Overrunning: (KILLED, ("I5",)),
    Deaf: (CANCELLED, ("I5", "I4")),
    Leaking: (CANCELLED, ("I6",)),
}
"""Each wrong client, a walk that shows it, and the laws that it breaks there: the first one always."""

RIGHT = (CANCELLED, LOST, NEVER, KILLED)


def _walk(fake: type[Right], walk: Walk, context: Context) -> None:
    server = context.server
    maker = Maker(async_client=fake, journal=Journal)
    Walker(walk, server.base_url, context.diary, context.seed, server.forget, maker).run(context.first)


def main() -> int:
    """Print, as JSON, the laws that each simulated client broke, by its name."""
    walks = [(Right, walk) for walk in RIGHT] + [(fake, walk) for fake, (walk, _) in FAKES.items()]
    jobs = [Job(fake.__name__, functools.partial(_walk, fake, walk)) for fake, walk in walks]
    broken: dict[str, dict[str, int]] = {}
    with running_pool(2, seed=1) as pool:
        for outcome in pool.run(jobs):
            found = broken.setdefault(outcome.job.name, {})
            for law, count in outcome.laws.items():
                found[law] = found.get(law, 0) + count
            if "--explain" in sys.argv:
                print(outcome.job.name, *outcome.violations[:5], sep="\n    ")
    print(json.dumps(broken))
    return 0


if __name__ == "__main__":
    sys.exit(main())
