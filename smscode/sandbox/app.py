"""HTTP in, HTTP out: the service on plain values, callable from any thread.

A request is answered in two steps. `App.begin` does everything that touches the state, under one
lock and without waiting. `App.complete` sends the webhooks that came of it, with no lock held, and
goes on with what had to wait for something outside; it may block, so an event loop runs it elsewhere
(see `Exchange.blocking`).
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
from .addresses import Resolve
from .behaviour import Behaviour
from .courier import Courier
from .handlers import FX_RETRY_AFTER, HANDLERS, Context
from .later import Later, Lookup, Outcome, Probe, Result
from .limits import RateLimits
from .params import Query
from .purchases import Settling
from .refusal import Json, Problem, Refusal
from .render import Generation, View, encode
from .routes import MethodNotAllowed, Route, find
from .webhooks import Delivery, Event
from .world import World

BODY_LIMIT: Final = 1_000_000
"""The largest request body in bytes."""
_PURCHASES: Final = ("orders.create", "orders.reactivate")


@frozen
class Fault:
    """A scripted answer: a problem, or a bare status as a proxy would send it."""

    status: int
    retry_after: int | None = None
    problem: Problem | None = None


@frozen
class Exchange:
    """An answer, or what it has to wait for first, and the webhooks to send before it goes out.

    ``blocking`` says that completing the exchange may take time.
    """

    request_id: str
    answer: Response | Later
    deliveries: tuple[Delivery, ...] = ()
    blocking: bool = False


class App:
    """The service over a `World`.

    ``clock`` gives the time, ``deliver`` takes webhooks (see `Courier`), ``resolve`` gives the addresses
    of a webhook URL's host.
    """

    def __init__(
        self,
        world: World,
        *,
        token: str,
        generation: Generation,
        clock: Callable[[], datetime],
        deliver: Callable[[Delivery], int] | None,
        resolve: Resolve,
        allow_local_webhooks: bool,
        limits: RateLimits,
    ) -> None:
        self.world = world
        self.lock: threading.Lock = threading.Lock()
        self.courier: Courier = Courier(deliver, self._delivered)
        self.limits: RateLimits = limits
        self.requests: Counter[str] = Counter()
        self.deliveries: list[Delivery] = []
        self.faults: dict[str, deque[Fault]] = {}
        self._authorization = f"Bearer {token}".encode()
        self._generation: Generation = generation
        self._clock = clock
        self._resolve = resolve
        self._allow_local_webhooks = allow_local_webhooks
        self._answered = 0

    def begin(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Exchange:
        """Do what a request asks; ``target`` is the path with the query."""
        path, _, query = target.partition("?")
        lower = {name.lower(): value for name, value in headers.items()}
        with self.lock:
            now = self.settle()
            # What fell due before the request is signed before the request can change the secret.
            deliveries = self._outgoing(now)
            self._answered += 1
            request_id = f"sandbox-{self._answered:06d}"
            answer = self._respond(method, unquote(path), query, lower, body, now)
            if isinstance(answer, Response):
                answer = _labelled(answer, request_id, now)
            return self._exchange(request_id, answer, deliveries + self._outgoing(now))

    def act(self, change: Callable[[datetime], None]) -> Exchange:
        """Make a change that is no request, given the time; of the exchange only the webhooks matter."""
        with self.lock:
            now = self.settle()
            change(now)
            return self._exchange("", _bare(204), self._outgoing(now))

    def tick(self) -> Exchange:
        """Let everything happen that is due, as every request does."""
        return self.act(lambda _: None)

    def until_due(self) -> float | None:
        """Give the seconds until something happens by itself, None for never."""
        with self.lock:
            due = self.world.next_due()
            return None if due is None else (due - self._clock()).total_seconds()

    def until_settled(self, exchange: Exchange) -> float:
        """Give the seconds until an exchange can be completed, 0 for now."""
        if isinstance(exchange.answer, Response) or not isinstance(exchange.answer.awaited, Settling):
            return 0.0
        awaited = exchange.answer.awaited
        with self.lock:
            now = self.settle()
            return 0.0 if awaited.result is not None else (awaited.ready_at - now).total_seconds()

    def complete(self, exchange: Exchange) -> Response:
        """Send the webhooks of an exchange and give its answer, which is not waited for any more."""
        self.courier.dispatch(exchange.deliveries)
        later = exchange.answer
        if isinstance(later, Response):
            return later
        if isinstance(later.awaited, Probe):
            later.awaited.delivery = self.courier.ask(later.awaited.delivery)
        elif isinstance(later.awaited, Lookup):
            later.awaited.addresses = tuple(self._resolve(later.awaited.host))
        with self.lock:
            now = self.settle()
            if isinstance(later.awaited, Probe):
                self.deliveries.append(later.awaited.delivery)
            response = _labelled(_finish(later), exchange.request_id, now)
            deliveries = self._outgoing(now)
        self.courier.dispatch(deliveries)
        return response

    def settle(self) -> datetime:
        """Bring the world to the present and give the time. The caller holds the lock."""
        now = self._clock()
        self.world.settle(now)
        return now

    def _exchange(
        self, request_id: str, answer: Response | Later, deliveries: tuple[Delivery, ...]
    ) -> Exchange:
        waits = isinstance(answer, Later) and not isinstance(answer.awaited, Settling)
        sends = bool(deliveries) and not self.courier.in_background
        return Exchange(request_id, answer, deliveries, waits or sends)

    def _respond(
        self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> Response | Later:
        if len(body) > BODY_LIMIT:
            return _bare(413)
        route = find(method, path)
        if isinstance(route, MethodNotAllowed):
            return _bare(405, {"allow": route.allow})
        try:
            if route is None:
                raise Refusal("NOT_FOUND", "No such endpoint")
            self.requests[f"{route.endpoint.method} {route.endpoint.path}"] += 1
            self._admit(route.endpoint, headers, now)
            fault = self._next_fault(route.endpoint)
            if fault is not None and fault.problem is None:
                return _bare(fault.status, _retry_after(fault.retry_after))
            outcome = self._run(route, query, headers, body, now, None if fault is None else fault.problem)
        except Refusal as refusal:
            return _refused(refusal.problem)
        return outcome if isinstance(outcome, Later) else _success(outcome)

    def _admit(self, endpoint: Endpoint[object], headers: Mapping[str, str], now: datetime) -> None:
        """Refuse what the account may not do at all, or not now."""
        wait = self.world.maintenance
        if wait is not None:
            raise Refusal("SERVICE_UNAVAILABLE", "Down for maintenance", retry_after=wait or None)
        given = headers.get("authorization", "").encode(errors="replace")
        if not hmac.compare_digest(given, self._authorization):
            raise Refusal("UNAUTHORIZED", "Token missing or not valid")
        if self.world.suspended:
            raise Refusal("FORBIDDEN", "The account is suspended")
        if self._generation == "documented" and endpoint.newer:
            raise Refusal("NOT_FOUND", "No such endpoint")
        self.limits.take(endpoint.group, now)

    def _run(
        self,
        route: Route,
        query: str,
        headers: Mapping[str, str],
        body: bytes,
        now: datetime,
        problem: Problem | None,
    ) -> Outcome:
        endpoint = route.endpoint
        behaviour: Behaviour | None = None
        if problem is not None:
            # A supplier's refusal is recorded under the idempotency key, so the purchase itself raises it.
            if problem.code != "PROVIDER_ERROR" or endpoint.name not in _PURCHASES:
                raise Refusal.of(problem)
            behaviour = evolve(self.world.behaviour, problem=problem)
        if endpoint.money and route.version == "v2" and self.world.fx is None:
            raise Refusal(
                "FX_RATE_UNAVAILABLE", "USD/IDR exchange rate is unavailable", retry_after=FX_RETRY_AFTER
            )
        return HANDLERS[endpoint.name](
            Context(
                world=self.world,
                view=View(route.version, self._generation, self.world.fx, now),
                endpoint=endpoint,
                path_id=route.path_id,
                query=Query(query, endpoint.query, newer=self._generation == "current"),
                headers=headers,
                content=body,
                allow_local_webhooks=self._allow_local_webhooks,
                behaviour=behaviour,
            )
        )

    def _next_fault(self, endpoint: Endpoint[object]) -> Fault | None:
        queue = self.faults.get(endpoint.name)
        return queue.popleft() if queue else None

    def _outgoing(self, now: datetime) -> tuple[Delivery, ...]:
        """Sign what happened and give the webhooks that are to be sent now."""
        world = self.world
        events, world.outbox = world.outbox, []
        signed = [(event, self._signed(event)) for event in events]
        if world.rules.webhook_jitter:
            for event, delivery in signed:
                world.hold_back(delivery, event.at)
            signed.clear()
        return (*(delivery for _, delivery in signed), *world.postbox.take(now, world.webhook))

    def _signed(self, event: Event) -> Delivery:
        view = View("v1", self._generation, None, event.at)
        return self.world.webhook.sign(encode(view.event(event)))

    def _delivered(self, delivery: Delivery) -> None:
        with self.lock:
            self.deliveries.append(delivery)
            self.world.delivered(delivery, self._clock())


def _finish(later: Later) -> Response:
    try:
        return _success(later.finish())
    except Refusal as refusal:
        return _refused(refusal.problem)


def _labelled(response: Response, request_id: str, now: datetime) -> Response:
    common = {"date": format_datetime(now, usegmt=True), "x-request-id": request_id}
    return Response(response.status_code, {**common, **response.headers}, response.body)


def _retry_after(seconds: int | None) -> dict[str, str]:
    return {} if seconds is None else {"retry-after": str(seconds)}


def _bare(status: int, headers: Mapping[str, str] | None = None) -> Response:
    return Response(status, {"content-length": "0", **(headers or {})}, b"")


def _json(status: int, value: Json, headers: Mapping[str, str] | None = None) -> Response:
    body = encode(value)
    length = {"content-type": "application/json", "content-length": str(len(body))}
    return Response(status, {**length, **(headers or {})}, body)


def _success(result: Result) -> Response:
    shown: dict[str, Json] = {"success": True, "data": result.data}
    if result.meta:
        shown["meta"] = result.meta
    return _json(200, shown)


def _refused(problem: Problem) -> Response:
    error: dict[str, Json] = {"code": problem.code, "message": problem.message}
    if problem.details is not None:
        error["details"] = problem.details
    return _json(problem.status, {"success": False, "error": error}, _retry_after(problem.retry_after))
