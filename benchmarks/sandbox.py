"""What the sandbox costs its users' tests, also when it holds many orders."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from attrs import field, frozen

from smscode.core.api.call import Response
from smscode.sandbox import Sandbox

from .measure import Contestant, cpu_of, interleave
from .suite import Figure, Setup

START = datetime(2026, 6, 14, 4, 0, 12, tzinfo=UTC)
ONE = b'{"product_id":142}'
HUNDRED = b'{"product_id":142,"quantity":100}'


@frozen
class Held:
    """A sandbox that holds so many orders that have ended, and so many that have not."""

    ended: int
    active: int
    version: str = "v1"
    state: Path | None = None
    sandbox: Sandbox = field(init=False, eq=False)

    def __attrs_post_init__(self) -> None:
        sandbox = Sandbox(
            balance=10**15,
            otp_after=1.0,
            clock=lambda: START,
            rate_limits=False,
            abuse_guard=None,
            state=self.state,
        )
        object.__setattr__(self, "sandbox", sandbox)
        for number in range(self.ended // 100):
            self.ask("POST", "/orders/create", HUNDRED)
            if number % 100 == 99:
                sandbox.advance(1200)
        sandbox.advance(1200)
        for _ in range(self.active):
            self.ask("POST", "/orders/create", ONE)

    def ask(self, method: str, path: str, body: bytes = b"") -> Response:
        """Send a request, without a client around it."""
        app = self.sandbox.transport().app
        headers = {"authorization": f"Bearer {self.sandbox.token}", "content-type": "application/json"}
        return app.complete(app.begin(method, f"/{self.version}{path}", headers, body))

    def pair(self) -> None:
        """Rent a number and read the order."""
        order_id = json.loads(self.ask("POST", "/orders/create", ONE).body)["data"]["orders"][0]["id"]
        self.ask("GET", f"/orders/{order_id}")

    def read_active(self) -> None:
        """Read the orders that have not ended."""
        self.ask("GET", "/orders/active")

    def pairs(self, times: int) -> Contestant:
        """Rent and read, and let the orders end before the next round."""

        def contestant() -> float:
            cost = cpu_of(self.pair, times)
            self.sandbox.advance(1200)
            return cost

        return contestant


def _by_httpx(http: httpx.Client) -> None:
    created = http.post("/v1/orders/create", json={"product_id": 142}).json()
    http.get(f"/v1/orders/{created['data']['orders'][0]['id']}")


def _canned(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={"data": {"orders": [{"id": 1}]}})


def run(setup: Setup) -> Iterator[Figure]:
    """Measure create and get, and whether they and the active orders care about what has been."""
    many, times, rounds = setup.pick((100_000, 1000, 7), (20_000, 300, 3), (200, 3, 1))
    yield from _pairs(times, rounds)
    yield from _with_httpx(times, rounds)
    yield from _held(many, times, rounds)
    yield from _kept(many, times, rounds)


def _pairs(times: int, rounds: int) -> Iterator[Figure]:
    for version in ("v1", "v2"):
        found = interleave({"pair": Held(0, 0, version).pairs(times)}, rounds)
        yield Figure(
            f"create + get per second and core, in process, {version}",
            1 / found.median("pair"),
            1500,
            "at least",
            parts=found.show("us", 1e6),
        )


def _with_httpx(times: int, rounds: int) -> Iterator[Figure]:
    sandbox = Held(0, 0).sandbox
    headers = {"authorization": f"Bearer {sandbox.token}"}
    with (
        httpx.Client(transport=sandbox.transport(), base_url="http://sandbox", headers=headers) as asking,
        httpx.Client(transport=httpx.MockTransport(_canned), base_url="http://sandbox") as canned,
    ):
        contestants: dict[str, Contestant] = {
            "sandbox": partial(cpu_of, partial(_by_httpx, asking), times),
            "canned answers": partial(cpu_of, partial(_by_httpx, canned), times),
        }
        found = interleave(contestants, rounds)
    yield Figure(
        "create + get per second and core, through httpx.Client",
        1 / found.median("sandbox"),
        parts=found.show("us", 1e6),
    )


def _held(many: int, times: int, rounds: int) -> Iterator[Figure]:
    full, empty = Held(many, 0), Held(0, 0)
    found = interleave({"many": full.pairs(times), "none": empty.pairs(times)}, rounds)
    yield Figure(
        f"create + get with {many} orders held / none",
        found.ratio("many", "none"),
        1.25,
        parts=found.show("us", 1e6),
    )
    few, more = Held(0, 10), Held(0, 100)
    for _ in range(10):
        full.ask("POST", "/orders/create", ONE)
    contestants: dict[str, Contestant] = {
        name: partial(cpu_of, held.read_active, times)
        for name, held in {"10 of many": full, "10": few, "100": more}.items()
    }
    found = interleave(contestants, rounds)
    parts = found.show("us", 1e6)
    yield Figure(
        f"orders/active, 10 active of {many} / of 10", found.ratio("10 of many", "10"), 1.25, parts=parts
    )
    yield Figure("orders/active, 100 active / 10 active", found.ratio("100", "10"), parts=parts)


def _kept(many: int, times: int, rounds: int) -> Iterator[Figure]:
    with TemporaryDirectory() as folder:
        # One kept sandbox at a time: all threads of the process are measured, those that write included.
        for ended, name, limit in ((0, "in memory", 1.3), (many, f"in memory, with {many} orders", 1.75)):
            kept = Held(ended, 0, state=Path(folder) / f"{ended}.json")
            contestants = {"kept": kept.pairs(times), "in memory": Held(ended, 0).pairs(times)}
            found = interleave(contestants, rounds)
            kept.sandbox.close()
            yield Figure(
                f"create + get kept in a file / {name}",
                found.ratio("kept", "in memory"),
                limit,
                parts=found.show("us", 1e6),
            )
