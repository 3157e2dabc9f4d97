"""One run's world: a sandbox with scenarios, a transport with faults, a caller, all drawn from a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from smscode import NumberRefused, Offer
from smscode.sandbox import Sandbox

START = datetime(2026, 6, 14, 4, 0, 12, tzinfo=UTC)
CANCEL_AFTER = 120.0
RATE = 0.2
"""The share of requests that meet a fault."""

_HTML = "<html><h1>502 Bad Gateway</h1></html>"
_CREATE = "/orders/create"


class SiteDown(Exception):
    """What a caller's function raises of its own."""


class Interrupted(KeyboardInterrupt):
    """A Ctrl-C that comes with a request or a wait, as far as the synchronous client can tell."""


@dataclass(frozen=True)
class Given:
    """The arguments of one call, and what is in its way. Interruptions come after so many turns."""

    arguments: dict[str, Any]
    scenarios: tuple[str, ...]
    interrupted_after: int | None
    journal: bool
    limit: str | None

    @property
    def budget(self) -> int | None:
        """The budget in rupiah."""
        budget = self.arguments.get("budget")
        return None if budget is None else round(float(budget) * 16_250)


def draw(seed: int, interrupted: float) -> Given:
    """Draw the arguments of a run; so many of the callers are interrupted."""
    chance = random.Random(f"given {seed}")
    arguments: dict[str, Any] = {
        "tries": chance.randint(1, 5),
        "wait": chance.choice((20, 60, 125)),
        "resend_after": chance.choice((None, None, 15)),
        "timeout": chance.choice((None, 200, 900)),
        "release_timeout": chance.choice((0, 300)),
        "keep": chance.random() < 0.1,
    }
    if chance.random() < 0.6:
        arguments |= {"service": "whatsapp", "country": ["indonesia", "vietnam"]}
        arguments["budget"] = chance.choice(("0.95", "1.60", "3.00"))
        if chance.random() < 0.5:
            arguments["max_price"] = ["0.70", "0.95"]
    else:
        arguments["offers"] = [
            Offer(catalog_product_id=one, max_price="0.95") for one in chance.sample((87, 93), 2)
        ]
        arguments["budget"] = chance.choice((None, "0.95", "2.00"))
    journal = chance.random() < 0.3
    if chance.random() < 0.5 and (journal or "offers" in arguments):
        arguments["idempotency_key"] = f"sale-{seed}"
    scenarios = ["dead_numbers(0.5)", f"late_code({chance.choice((70, 118, 122, 180))}, 0.4)"]
    scenarios += [one for one in ("stock_runs_out(3)", "prices_move(15, 60)") if chance.random() < 0.3]
    after = chance.randint(1, 60) if chance.random() < interrupted else None
    limit = "2.00" if chance.random() < 0.2 else None
    return Given(arguments, tuple(scenarios), after, journal, limit)


@dataclass
class World:
    """A service and the faults on the way to it."""

    seed: int
    given: Given
    rate: float = RATE
    entered: list[int] = field(default_factory=list[int])
    turns: int = 0
    faults: int = 0
    threads: bool = False
    friendly: bool = False

    def __post_init__(self) -> None:
        self.chance = random.Random(f"faults {self.seed}")
        self.sandbox = Sandbox(
            clock=lambda: START,
            otp_after=15,
            cancel_after=CANCEL_AFTER,
            seed=self.seed,
            abuse_guard=None,
            rate_limits=False,
        )
        self.sandbox.play(*self.given.scenarios)
        if self.chance.random() < 0.2:
            self.sandbox.play("provider_error", operation="orders.create", times=1)
        if self.chance.random() < 0.1:
            self.sandbox.play("no_stock", catalog_product_id=93)

    def turn(self) -> None:
        """Count a request or a wait; of a synchronous caller it may be the last one."""
        self.turns += 1
        if self.threads and self.turns == self.given.interrupted_after:
            raise Interrupted

    def fault(self) -> str | None:
        """Draw what happens to a request."""
        if self.chance.random() >= self.rate:
            return None
        self.faults += 1
        return self.chance.choice(("request", "response", "refused", "html", "busy", "full"))

    def answer(self, fault: str | None) -> httpx.Response | None:
        """Return the answer of something before the service, if it is what answers."""
        if fault == "html":
            return httpx.Response(502, html=_HTML)
        if fault == "busy":
            error = {"code": "SERVICE_UNAVAILABLE", "message": "Busy"}
            return httpx.Response(503, json={"success": False, "error": error})
        if fault == "full":
            error = {"code": "RATE_LIMIT_EXCEEDED", "message": "Too many"}
            return httpx.Response(429, headers={"retry-after": "1"}, json={"success": False, "error": error})
        if fault == "request":
            raise httpx.ReadError("lost before it arrived")
        if fault == "refused":
            raise httpx.ConnectError("refused")
        return None

    def enter(self, rental: Any) -> None:
        """Use a number, as the caller does: sometimes the site refuses it, or fails."""
        self.turn()
        self.entered.append(rental.order_id)
        drawn = 1.0 if self.friendly else self.chance.random()
        if drawn < 0.15:
            raise NumberRefused
        if drawn < 0.18:
            raise SiteDown

    @property
    def peak(self) -> int:
        """The most rupiah that all orders cost at any moment, less refunds."""
        net, most = 0, 0
        for entry in self.sandbox.ledger:
            if entry.order_id is not None:
                net -= entry.amount
                most = max(most, net)
        return most


class AsyncFaulty(httpx.AsyncBaseTransport):
    """The way to the service, for the asynchronous client."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._inner = world.sandbox.transport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        fault = self._world.fault()
        answer = self._world.answer(fault)
        if answer is not None:
            return answer
        response = await self._inner.handle_async_request(request)
        if fault == "response":
            raise httpx.ReadError("lost after it was carried out")
        return response


class Faulty(httpx.BaseTransport):
    """The way to the service, for the synchronous client. A Ctrl-C may come before or after the request."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._inner = world.sandbox.transport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._world.turn()
        fault = self._world.fault()
        answer = self._world.answer(fault)
        if answer is not None:
            return answer
        response = self._inner.handle_request(request)
        self._world.turn()
        if fault == "response":
            raise httpx.ReadError("lost after it was carried out")
        return response
