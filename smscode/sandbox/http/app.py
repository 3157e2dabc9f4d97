"""HTTP in, HTTP out: the service on plain values, callable from any thread.

A request is answered in two steps. `App.begin` does everything that touches the state, under one
lock and without waiting. `App.complete` sends the webhooks that came of it, with no lock held, and
goes on with what had to wait for something outside; it may block, so an event loop runs it elsewhere
(see `Exchange.blocking`).
"""

from __future__ import annotations

import hmac
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final, TypeAlias
from urllib.parse import unquote

from attrs import evolve, frozen

from ...core.api.call import Endpoint, Response
from ...errors import ClientStateError
from ..clock import Clock
from ..control.history import History, RequestAnswered, WebhookSent, shown_path, shown_url
from ..scenarios.lookup import script_of, subject_of
from ..scenarios.scenario import NO_SCRIPT, Fault, Script
from ..scenarios.selection import Stage, Subject
from ..service.purchases import Settling
from ..service.webhooks import Delivery, ServiceEvent
from ..service.world import World
from ..transports.addresses import Resolve
from ..transports.webhook_sender import Courier
from .api_error import Refusal
from .deferred import DeferredOutcome, Errand, Later, Lookup, Probe
from .handlers import FX_RETRY_AFTER, HANDLERS, Context
from .limits import ServiceLimits
from .params import Query
from .render import Generation, View, encode
from .replies import HttpReply, bare, labelled, refused, retry_after, success
from .routes import MethodNotAllowed, Route, find

BODY_LIMIT: Final = 1_000_000
"""The largest request body in bytes."""
CONTROL: Final = "/_sandbox"
"""The path below which the sandbox itself is controlled; no part of the service."""

Steer: TypeAlias = Callable[[str, str, str, bytes], Later | MethodNotAllowed]
"""Begins what a request to the sandbox itself asks, given method, path, query and body; may refuse."""


class ConnectionLost(Exception):
    """The connection breaks in place of an answer."""


@frozen
class Exchange:
    """An answer, or what it has to wait for first, and the webhooks to send before it goes out.

    ``entry`` is what the history tells of the request, None for what is no request. ``blocking`` says
    that completing the exchange may take time. The answer is held back until ``held_until``.
    """

    entry: RequestAnswered | None
    answer: Response | Later
    deliveries: tuple[Delivery, ...] = ()
    blocking: bool = False
    held_until: datetime | None = None


@frozen
class Handled:
    """What became of a request: its answer, and what it was about as far as that is known."""

    answer: HttpReply | Later
    operation: str | None = None
    subject: Subject = Subject()
    script: Script = NO_SCRIPT

    def entry(self, now: datetime, request_id: str, method: str, path: str) -> RequestAnswered:
        """Return what the history tells of the request."""
        status: int | None = None
        code: str | None = None
        orders: tuple[int, ...] = () if self.subject.order_id is None else (self.subject.order_id,)
        if isinstance(self.answer, HttpReply):
            status, code = self.answer.response.status_code or None, self.answer.code
            orders = self.answer.order_ids or orders
        names, lost = self.script.names, self.script.lost
        return RequestAnswered(
            now, request_id, method, path, status, self.operation, code, orders, names, lost
        )


class App:
    """The service over a `World`.

    ``deliver`` takes webhooks (see `Courier`), ``resolve`` gives the addresses of a webhook URL's host.
    ``changed`` is called, under the lock, by whatever is about to change the state. ``steer`` serves what
    is below `CONTROL`.
    """

    def __init__(
        self,
        world: World,
        *,
        token: str,
        generation: Generation,
        clock: Clock,
        deliver: Callable[[Delivery], int] | None,
        resolve: Resolve,
        allow_local_webhooks: bool,
        limits: ServiceLimits,
        steer: Steer,
        history_limit: int,
    ) -> None:
        self.world: World = world
        self.lock: threading.Lock = threading.Lock()
        self.changed: Callable[[], None] = _not_kept
        self.clock: Clock = clock
        self.courier: Courier = Courier(deliver, self._delivered)
        self.limits: ServiceLimits = limits
        self.answered: int = 0
        self.requests: Counter[str] = Counter()
        self.deliveries: list[Delivery] = []
        self.stage: Stage = Stage()
        self.history: History = History(history_limit)
        self._steer: Steer = steer
        self._token = token
        self._authorization = f"Bearer {token}".encode()
        self._generation: Generation = generation
        self._resolve = resolve
        self._allow_local_webhooks = allow_local_webhooks

    def begin(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Exchange:
        """Do what a request asks; ``target`` is the path with the query."""
        path, _, query = target.partition("?")
        lower = {name.lower(): value for name, value in headers.items()}
        with self.lock:
            self.changed()
            now = self.settle()
            # What fell due before the request is signed before the request can change the secret.
            deliveries = self._outgoing(now)
            self.answered += 1
            request_id = f"sandbox-{self.answered:06d}"
            path = unquote(path)
            if path == CONTROL or path.startswith(f"{CONTROL}/"):
                return self._control(request_id, method, path, query, lower, body, now)
            handled = self._respond(method, path, query, lower, body, now)
            entry = handled.entry(now, request_id, method, shown_path(path, self._token))
            if not isinstance(handled.answer, Later) or isinstance(handled.answer.awaited, Settling):
                # One that waits for suppliers is there again when they have answered.
                self.history.add(entry)
            found = handled.answer
            answer = found if isinstance(found, Later) else labelled(found.response, request_id, now)
            self._take_note()
            delay = handled.script.delay
            held_until = now + timedelta(seconds=delay) if delay else None
            return self._exchange(entry, answer, deliveries + self._outgoing(now), held_until)

    def begin_anew(self, world: World, limits: ServiceLimits) -> None:
        """Serve another world, of which nothing has happened yet. The caller holds the lock."""
        self.changed()
        self.world, self.limits, self.stage = world, limits, Stage()
        self.requests.clear()
        self.deliveries.clear()
        self.history.clear()

    def act(self, change: Callable[[datetime], None]) -> Exchange:
        """Make a change that is no request, given the time; of the exchange only the webhooks matter."""
        with self.lock:
            self.changed()
            now = self.settle()
            change(now)
            self._take_note()
            return self._exchange(None, bare(204).response, self._outgoing(now))

    def tick(self) -> Exchange:
        """Run everything that is due, as every request does."""
        with self.lock:
            now = self.settle()
            return self._exchange(None, bare(204).response, self._outgoing(now))

    def until_due(self) -> float | None:
        """Return the seconds until something happens by itself, None for never."""
        with self.lock:
            due = self.world.next_due()
            return None if due is None else (due - self.clock()).total_seconds()

    def until_settled(self, exchange: Exchange) -> float:
        """Return the seconds until an exchange can be completed, 0 for now."""
        awaited = None if isinstance(exchange.answer, Response) else exchange.answer.awaited
        if exchange.held_until is None and not isinstance(awaited, Settling):
            return 0.0
        with self.lock:
            now = self.settle()
            until = exchange.held_until or now
            if isinstance(awaited, Settling) and awaited.result is None:
                until = max(until, awaited.ready_at)
            return (until - now).total_seconds()

    def send_webhooks(self, exchange: Exchange) -> Exchange:
        """Send the webhooks of an exchange, whose answer is waited for, and give what is left of it."""
        self.courier.dispatch(exchange.deliveries)
        return self._exchange(exchange.entry, exchange.answer, (), exchange.held_until)

    def complete(self, exchange: Exchange) -> Response:
        """Send the webhooks of an exchange and give its answer, which is not waited for any more.

        Raises `ConnectionLost` for an answer that is not to arrive.
        """
        self.courier.dispatch(exchange.deliveries)
        answer = exchange.answer
        response = answer if isinstance(answer, Response) else self._complete(exchange.entry, answer)
        if exchange.entry is not None and exchange.entry.lost:
            raise ConnectionLost
        return response

    def _complete(self, entry: RequestAnswered | None, later: Later) -> Response:
        assert entry is not None  # only requests wait
        if isinstance(later.awaited, Errand):
            later.awaited.go()
        elif isinstance(later.awaited, Probe):
            later.awaited.delivery = self.courier.ask(later.awaited.delivery)
        elif isinstance(later.awaited, Lookup):
            later.awaited.addresses = tuple(self._resolve(later.awaited.host))
        with self.lock:
            self.changed()
            now = self.settle()
            if isinstance(later.awaited, Probe):
                self._note_delivery(later.awaited.delivery, now)
            reply = _finish(later)
            if not isinstance(later.awaited, Errand):
                status, orders = reply.response.status_code, reply.order_ids or entry.order_ids
                self.history.add(evolve(entry, at=now, status=status, code=reply.code, order_ids=orders))
            self._take_note()
            response = labelled(reply.response, entry.request_id, now)
            deliveries = self._outgoing(now)
        self.courier.dispatch(deliveries)
        return response

    def settle(self) -> datetime:
        """Bring the world to the present and give the time. The caller holds the lock."""
        now = self.clock()
        due = self.world.next_due()
        if due is not None and due <= now:
            self.changed()
            self.world.settle(now)
        self._take_note()
        return now

    def _take_note(self) -> None:
        if self.world.happened:
            self.history.extend(self.world.happened)
            self.world.happened.clear()

    def _exchange(
        self,
        entry: RequestAnswered | None,
        answer: Response | Later,
        deliveries: tuple[Delivery, ...] = (),
        held_until: datetime | None = None,
    ) -> Exchange:
        waits = isinstance(answer, Later) and not isinstance(answer.awaited, Settling)
        sends = bool(deliveries) and not self.courier.in_background
        return Exchange(entry, answer, deliveries, waits or sends, held_until)

    def _control(
        self,
        request_id: str,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes,
        now: datetime,
    ) -> Exchange:
        """Begin what a request to the sandbox itself asks; it needs the token and nothing else."""
        answer: Response | Later
        if len(body) > BODY_LIMIT:
            return self._exchange(None, labelled(bare(413).response, request_id, now))
        try:
            self._authenticate(headers)
            begun = self._steer(method, path.removeprefix(CONTROL), query, body)
            answer = begun if isinstance(begun, Later) else bare(405, {"allow": begun.allow}).response
        except Refusal as refusal:
            answer = refused(refusal.problem).response
        if isinstance(answer, Response):
            answer = labelled(answer, request_id, now)
        return self._exchange(RequestAnswered(now, request_id, method, path, None), answer)

    def _respond(
        self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> Handled:
        if len(body) > BODY_LIMIT:
            return Handled(bare(413))
        route = find(method, path)
        if isinstance(route, MethodNotAllowed):
            return Handled(bare(405, {"allow": route.allow}))
        if route is None:
            return Handled(refused(Refusal("NOT_FOUND", "No such endpoint").problem))
        subject, script = Subject(), NO_SCRIPT
        try:
            self.requests[f"{route.endpoint.method} {route.endpoint.path}"] += 1
            self._admit(route.endpoint, headers, now)
            subject = subject_of(route, body, self.world, products=bool(self.stage.cues))
            script = script_of(route.endpoint, subject, headers, self.stage, self.world, now)
            if script.fault is not None:
                answer: HttpReply | Later = _answer(script.fault)
            else:
                outcome = self._run(route, query, headers, body, now, script)
                answer = outcome if isinstance(outcome, Later) else success(outcome)
        except Refusal as refusal:
            answer = refused(refusal.problem)
        return Handled(answer, route.endpoint.name, subject, script)

    def _authenticate(self, headers: Mapping[str, str]) -> None:
        given = headers.get("authorization", "").encode(errors="replace")
        if not hmac.compare_digest(given, self._authorization):
            raise Refusal("UNAUTHORIZED", "Token missing or not valid")

    def _admit(self, endpoint: Endpoint[object], headers: Mapping[str, str], now: datetime) -> None:
        """Refuse what the account may not do at all, or not now."""
        wait = self.world.maintenance
        if wait is not None:
            raise Refusal("SERVICE_UNAVAILABLE", "Down for maintenance", retry_after=wait or None)
        self._authenticate(headers)
        if self.world.suspended:
            raise Refusal("FORBIDDEN", "The account is suspended")
        if self._generation == "documented" and endpoint.current_only:
            raise Refusal("NOT_FOUND", "No such endpoint")
        self.limits.take(endpoint.group, now)

    def _run(
        self,
        route: Route,
        query: str,
        headers: Mapping[str, str],
        body: bytes,
        now: datetime,
        script: Script,
    ) -> DeferredOutcome:
        endpoint = route.endpoint
        fx = None if script.no_rate else self.world.fx
        if endpoint.money and route.version == "v2" and fx is None:
            raise Refusal(
                "FX_RATE_UNAVAILABLE", "USD/IDR exchange rate is unavailable", retry_after=FX_RETRY_AFTER
            )
        return HANDLERS[endpoint.name](
            Context(
                world=self.world,
                view=View(route.version, self._generation, fx, now),
                endpoint=endpoint,
                path_id=route.path_id,
                query=Query(query, endpoint.query, newer=self._generation == "current"),
                headers=headers,
                content=body,
                allow_local_webhooks=self._allow_local_webhooks,
                script=script,
            )
        )

    def _outgoing(self, now: datetime) -> tuple[Delivery, ...]:
        """Sign what happened and give the webhooks that are to be sent now."""
        world = self.world
        events, world.outbox = world.outbox, []
        for event in events:
            world.post(self._signed(event), event.at)
        return tuple(world.postbox.take(now, world.webhook))

    def _signed(self, event: ServiceEvent) -> Delivery:
        view = View("v1", self._generation, None, event.at)
        return self.world.webhook.sign(encode(view.event(event)), event)

    def _delivered(self, delivery: Delivery) -> None:
        # A sandbox that was closed meanwhile sends it again when it goes on.
        with self.lock, suppress(ClientStateError):
            self.changed()
            now = self.clock()
            self._note_delivery(delivery, now)
            self.world.delivered(delivery, now)

    def _note_delivery(self, delivery: Delivery, now: datetime) -> None:
        self.deliveries.append(delivery)
        url, attempt, status = shown_url(delivery.url), delivery.attempt, delivery.status
        self.history.add(WebhookSent(now, url, delivery.event, delivery.order_id, attempt, status))


def _not_kept() -> None:
    """Do nothing about a change: the state is in memory only."""


def _finish(later: Later) -> HttpReply:
    try:
        return success(later.finish())
    except Refusal as refusal:
        return refused(refusal.problem)


def _answer(fault: Fault) -> HttpReply:
    if fault.problem is None:
        return bare(fault.status, retry_after(fault.retry_after))
    return refused(evolve(fault.problem, retry_after=fault.retry_after))
