"""HTTP in, HTTP out: the service on plain values, callable from any thread.

A request is answered in two steps. `App.begin` does everything that touches the state, under one
lock and without waiting. `App.complete` sends the webhooks that came of it, with no lock held; it
may block, so an event loop runs it elsewhere (see `Exchange.blocking`).
"""

from __future__ import annotations

import hmac
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import format_datetime
from typing import Final
from urllib.parse import unquote

from attrs import evolve, frozen

from ..core.wire import Endpoint, Response
from .courier import Courier
from .handlers import FX_RETRY_AFTER, HANDLERS, Context, Result
from .params import Query
from .refusal import Json, Refusal
from .render import Generation, Version, View, encode
from .routes import MethodNotAllowed, Route, find
from .webhooks import Delivery
from .world import World

BODY_LIMIT: Final = 1_000_000
"""The largest request body in bytes."""


@frozen
class Fault:
    """A scripted answer: a refusal, or a bare status as a proxy would send it."""

    status: int
    retry_after: int | None = None
    refusal: Refusal | None = None


@frozen
class Exchange:
    """An answer and the webhooks to send before it goes out.

    With a ``probe``, the answer tells which status that delivery was answered with. ``blocking`` says
    that completing the exchange may take time.
    """

    response: Response
    deliveries: tuple[Delivery, ...] = ()
    probe: Delivery | None = None
    blocking: bool = False


class App:
    """The service over a `World`. ``clock`` gives the time, ``deliver`` takes webhooks (see `Courier`)."""

    def __init__(
        self,
        world: World,
        *,
        token: str,
        generation: Generation,
        clock: Callable[[], datetime],
        deliver: Callable[[Delivery], int] | None,
        allow_local_webhooks: bool,
    ) -> None:
        self.world = world
        self.lock: threading.Lock = threading.Lock()
        self.courier: Courier = Courier(deliver, self._delivered)
        self.requests: Counter[str] = Counter()
        self.deliveries: list[Delivery] = []
        self.faults: dict[str, deque[Fault]] = {}
        self._authorization = f"Bearer {token}".encode()
        self._generation: Generation = generation
        self._clock = clock
        self._allow_local_webhooks = allow_local_webhooks
        self._answered = 0

    def handle(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Answer a request; ``target`` is the path with the query."""
        return self.complete(self.begin(method, target, headers, body))

    def begin(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Exchange:
        """Do what a request asks."""
        path, _, query = target.partition("?")
        lower = {name.lower(): value for name, value in headers.items()}
        with self.lock:
            now = self.settle()
            # What fell due before the request is signed before the request can change the secret.
            deliveries = self._sign_outbox()
            self._answered += 1
            common = {
                "date": format_datetime(now, usegmt=True),
                "x-request-id": f"sandbox-{self._answered:06d}",
            }
            response, probe = self._respond(method, unquote(path), query, lower, body, now)
            response = evolve(response, headers={**common, **response.headers})
            return self._exchange(response, deliveries + self._sign_outbox(), probe)

    def act(self, change: Callable[[datetime], None]) -> Exchange:
        """Make a change that is no request, given the time; of the exchange only the webhooks matter."""
        with self.lock:
            change(self.settle())
            return self._exchange(_bare(204), self._sign_outbox(), None)

    def tick(self) -> Exchange:
        """Let everything happen that is due, as every request does."""
        return self.act(lambda _: None)

    def until_due(self) -> float | None:
        """Give the seconds until something happens by itself, None for never."""
        with self.lock:
            due = self.world.next_due()
            return None if due is None else (due - self._clock()).total_seconds()

    def complete(self, exchange: Exchange) -> Response:
        """Send the webhooks of an exchange and give its answer."""
        self.courier.dispatch(exchange.deliveries)
        if exchange.probe is None:
            return exchange.response
        done = self.courier.ask(exchange.probe)
        with self.lock:
            self.deliveries.append(done)
        headers = exchange.response.headers
        if done.status is None:
            response = _refused(Refusal("VALIDATION_ERROR", "The webhook endpoint could not be reached"))
        else:
            response = _json(200, {"success": True, "data": {"status_code": done.status}})
        return evolve(response, headers={**headers, **response.headers})

    def settle(self) -> datetime:
        """Bring the world to the present and give the time. The caller holds the lock."""
        now = self._clock()
        self.world.settle(now)
        return now

    def _exchange(
        self, response: Response, deliveries: tuple[Delivery, ...], probe: Delivery | None
    ) -> Exchange:
        waits = probe is not None or (bool(deliveries) and not self.courier.in_background)
        return Exchange(response, deliveries, probe, waits)

    def _respond(
        self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> tuple[Response, Delivery | None]:
        if len(body) > BODY_LIMIT:
            return _bare(413), None
        try:
            route = find(method, path)
            if route is None:
                raise Refusal("NOT_FOUND", "No such endpoint")
            if isinstance(route, MethodNotAllowed):
                return _bare(405, {"allow": route.allow}), None
            self.requests[f"{route.endpoint.method} {route.endpoint.path}"] += 1
            self._authorize(headers)
            if self._generation == "documented" and route.endpoint.newer:
                raise Refusal("NOT_FOUND", "No such endpoint")
            fault = self._next_fault(route.endpoint)
            if fault is not None and fault.refusal is None:
                return _bare(fault.status, _retry_after(fault.retry_after)), None
            result = self._run(route, query, headers, body, now, None if fault is None else fault.refusal)
        except Refusal as refusal:
            return _refused(refusal), None
        shown: dict[str, Json] = {"success": True, "data": result.data}
        if result.meta:
            shown["meta"] = result.meta
        return _json(200, shown), result.probe

    def _run(
        self,
        route: Route,
        query: str,
        headers: Mapping[str, str],
        body: bytes,
        now: datetime,
        refusal: Refusal | None,
    ) -> Result:
        endpoint = route.endpoint
        # A supplier's refusal is recorded under the idempotency key, so the purchase itself raises it.
        from_supplier = (
            refusal is not None
            and refusal.code == "PROVIDER_ERROR"
            and endpoint.name in ("orders.create", "orders.reactivate")
        )
        if refusal is not None and not from_supplier:
            raise refusal
        if endpoint.money and route.version == "v2" and self.world.fx is None:
            raise Refusal(
                "FX_RATE_UNAVAILABLE", "USD/IDR exchange rate is unavailable", retry_after=FX_RETRY_AFTER
            )
        return HANDLERS[endpoint.name](
            Context(
                world=self.world,
                view=self._view(route.version, now),
                endpoint=endpoint,
                path_id=route.path_id,
                query=Query(query, endpoint.query, newer=self._generation == "current"),
                headers=headers,
                content=body,
                allow_local_webhooks=self._allow_local_webhooks,
                supplier_refusal=refusal,
            )
        )

    def _authorize(self, headers: Mapping[str, str]) -> None:
        given = headers.get("authorization", "").encode(errors="replace")
        if not hmac.compare_digest(given, self._authorization):
            raise Refusal("UNAUTHORIZED", "Token missing or not valid")

    def _next_fault(self, endpoint: Endpoint[object]) -> Fault | None:
        queue = self.faults.get(endpoint.name)
        return queue.popleft() if queue else None

    def _view(self, version: Version, now: datetime) -> View:
        return View(version, self._generation, self.world.fx, now)

    def _sign_outbox(self) -> tuple[Delivery, ...]:
        events, self.world.outbox = self.world.outbox, []
        return tuple(
            self.world.webhook.sign(encode(self._view("v1", event.at).event(event))) for event in events
        )

    def _delivered(self, delivery: Delivery) -> None:
        with self.lock:
            self.deliveries.append(delivery)
            self.world.webhook.record(delivery, self._clock())


def _retry_after(seconds: int | None) -> dict[str, str]:
    return {} if seconds is None else {"retry-after": str(seconds)}


def _bare(status: int, headers: Mapping[str, str] | None = None) -> Response:
    return Response(status, {"content-length": "0", **(headers or {})}, b"")


def _json(status: int, value: Json, headers: Mapping[str, str] | None = None) -> Response:
    body = encode(value)
    length = {"content-type": "application/json", "content-length": str(len(body))}
    return Response(status, {**length, **(headers or {})}, body)


def _refused(refusal: Refusal) -> Response:
    error: dict[str, Json] = {"code": refusal.code, "message": refusal.message}
    if refusal.details is not None:
        error["details"] = refusal.details
    return _json(refusal.status, {"success": False, "error": error}, _retry_after(refusal.retry_after))
