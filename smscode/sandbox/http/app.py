"""HTTP in, HTTP out: the service on plain values, callable from any thread.

A request is answered in two steps. `App.begin` does everything that touches the state, under one
lock and without waiting. `App.complete` sends the resulting webhooks, without the lock, and continues
an operation that needed something outside; it may block, so an event loop calls it in a thread
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
from ..options import Options
from ..scenarios.scenario import NO_SCRIPT, Fault, Script
from ..scenarios.selection import Selection, Subject, script_of, subject_of
from ..service.purchases import Settling
from ..service.webhooks import Delivery
from ..service.world import World
from ..transports.addresses import Resolve
from ..transports.webhook_sender import WebhookSender
from .api_error import Problem, ServiceError
from .deferred import Deferred, HandlerResult, HostLookup, Result, TestDelivery
from .handlers import FX_RETRY_AFTER, HANDLERS, Context
from .limits import ServiceLimits
from .params import Query
from .render import View, encode
from .replies import HttpReply, bare, failure, labelled, retry_after, success
from .routes import IncomingRequest, MethodNotAllowed, Route, find_route

BODY_LIMIT: Final = 1_000_000
"""The largest request body in bytes."""
CONTROL: Final = "/_sandbox"
"""The path below which the sandbox itself is controlled; no part of the service."""

ControlHandler: TypeAlias = Callable[[str, str, str, bytes], Deferred | MethodNotAllowed]
"""Starts a request to the sandbox itself, given method, path, query and body. Raises `ServiceError`."""


class ConnectionLost(Exception):
    """The connection breaks instead of an answer."""


@frozen
class Exchange:
    """An answer or an operation to continue, and the webhooks to send before the answer.

    ``entry`` is the entry for the history, None for what is no request. ``blocking``: completing the exchange
    may take time. The answer is held back until ``held_until``.
    """

    entry: RequestAnswered | None
    answer: Response | Deferred
    deliveries: tuple[Delivery, ...] = ()
    blocking: bool = False
    held_until: datetime | None = None


@frozen
class HandledRequest:
    """The answer of a request, with its operation, subject and script as far as they are known."""

    answer: HttpReply | Deferred
    operation: str | None = None
    subject: Subject = Subject()
    script: Script = NO_SCRIPT

    def entry(self, request: IncomingRequest, token: str) -> RequestAnswered:
        """Return the entry for the history."""
        entry = RequestAnswered(
            request.now,
            request.id,
            request.method,
            shown_path(request.path, token),
            None,
            self.operation,
            order_ids=() if self.subject.order_id is None else (self.subject.order_id,),
            scenarios=self.script.names,
            lost=self.script.lost,
        )
        return _answered(entry, self.answer) if isinstance(self.answer, HttpReply) else entry


class App:
    """The service over a `World`.

    ``deliver`` takes webhooks (see `WebhookSender`), ``resolve`` returns the addresses of their hosts.
    ``changed`` is called, with the lock held, before each change of the state. ``control`` handles the paths
    below `CONTROL`.

    ``lock`` guards the whole state. It is the only lock here, and is never held while webhooks are sent, host
    names are resolved or an answer is waited for.
    """

    def __init__(
        self,
        options: Options,
        *,
        clock: Clock,
        deliver: Callable[[Delivery], int] | None,
        resolve: Resolve,
        control: ControlHandler,
    ) -> None:
        self.world: World = options.world(clock())
        self.lock: threading.Lock = threading.Lock()
        self.changed: Callable[[], None] = _ignore_change
        self.clock: Clock = clock
        self.webhook_sender: WebhookSender = WebhookSender(deliver, self._delivered)
        self.limits: ServiceLimits = options.limits()
        self.answered: int = 0
        self.requests: Counter[str] = Counter()
        self.deliveries: list[Delivery] = []
        self.selection: Selection = Selection()
        self.history: History = History(options.history_limit)
        self._control_handler: ControlHandler = control
        self.options: Options = options
        self._authorization = f"Bearer {options.token}".encode()
        self._resolve = resolve

    def begin(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Exchange:
        """Start a request; ``target`` is the path with the query."""
        path, _, query = target.partition("?")
        lower = {name.lower(): value for name, value in headers.items()}
        with self.lock:
            self.changed()
            now = self.settle()
            # Events before the request are signed before the request can change the secret.
            deliveries = self._outgoing(now)
            self.answered += 1
            id_ = f"sandbox-{self.answered:06d}"
            request = IncomingRequest(id_, now, method, unquote(path), query, lower, body)
            if request.path == CONTROL or request.path.startswith(f"{CONTROL}/"):
                return self._control(request)
            handled = self._respond(request)
            entry, answer = handled.entry(request, self.options.token), handled.answer
            if not isinstance(answer, Deferred) or isinstance(answer.awaited, Settling):
                # A purchase that settles later gets a second entry then.
                self.history.add(entry)
            self._record_new_entries()
            delay = handled.script.delay
            return self._exchange(
                entry,
                answer if isinstance(answer, Deferred) else labelled(answer.response, id_, now),
                deliveries + self._outgoing(now),
                now + timedelta(seconds=delay) if delay else None,
            )

    def reset(self) -> None:
        """Serve a new world; purchases that are settling fail. The caller holds the lock."""
        self.changed()
        self.world.abandon(Problem("SERVICE_UNAVAILABLE", "The sandbox was reset", 503))
        self.world, self.limits = self.options.world(self.clock()), self.options.limits()
        self.selection = Selection()
        self.requests.clear()
        self.deliveries.clear()
        self.history.clear()

    def act(self, change: Callable[[datetime], None]) -> Exchange:
        """Make a change that is no request, given the time; of the exchange only the webhooks matter."""
        with self.lock:
            self.changed()
            now = self.settle()
            change(now)
            self._record_new_entries()
            return self._exchange(None, bare(204).response, self._outgoing(now))

    def tick(self) -> Exchange:
        """Run everything that is due, as every request does."""
        with self.lock:
            now = self.settle()
            return self._exchange(None, bare(204).response, self._outgoing(now))

    def until_due(self) -> float | None:
        """Return the seconds until the next scheduled event, None if there is none."""
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
        """Send the webhooks of an exchange and return it without them, before waiting for its answer."""
        self.webhook_sender.dispatch(exchange.deliveries)
        return self._exchange(exchange.entry, exchange.answer, (), exchange.held_until)

    def complete(self, exchange: Exchange) -> Response:
        """Send the webhooks of an exchange and return its answer; the caller has waited for it.

        Raises `ConnectionLost` for an answer that does not arrive.
        """
        self.webhook_sender.dispatch(exchange.deliveries)
        answer = exchange.answer
        response = answer if isinstance(answer, Response) else self._complete(exchange.entry, answer)
        if exchange.entry is not None and exchange.entry.lost:
            raise ConnectionLost
        return response

    def _complete(self, entry: RequestAnswered | None, deferred: Deferred) -> Response:
        assert entry is not None  # only requests are deferred
        awaited = deferred.awaited
        if isinstance(awaited, TestDelivery):
            awaited.delivery = self.webhook_sender.send_now(awaited.delivery)
        elif isinstance(awaited, HostLookup):
            awaited.addresses = tuple(self._resolve(awaited.host))
        reply = _reply_of(deferred.finish) if awaited is None else None
        with self.lock:
            self.changed()
            now = self.settle()
            if isinstance(awaited, TestDelivery):
                self._record_delivery(awaited.delivery, now)
            if reply is None:
                reply = _reply_of(deferred.finish)
                self.history.add(_answered(evolve(entry, at=now), reply))
            self._record_new_entries()
            deliveries = self._outgoing(now)
        self.webhook_sender.dispatch(deliveries)
        return labelled(reply.response, entry.request_id, now)

    def settle(self) -> datetime:
        """Run what is due and return the time. The caller holds the lock."""
        now = self.clock()
        due = self.world.next_due()
        if due is not None and due <= now:
            self.changed()
            self.world.settle(now)
        self._record_new_entries()
        return now

    def _record_new_entries(self) -> None:
        if self.world.new_entries:
            self.history.add(*self.world.new_entries)
            self.world.new_entries.clear()

    def _exchange(
        self,
        entry: RequestAnswered | None,
        answer: Response | Deferred,
        deliveries: tuple[Delivery, ...] = (),
        held_until: datetime | None = None,
    ) -> Exchange:
        waits = isinstance(answer, Deferred) and not isinstance(answer.awaited, Settling)
        sends = bool(deliveries) and not self.webhook_sender.in_background
        return Exchange(entry, answer, deliveries, waits or sends, held_until)

    def _control(self, request: IncomingRequest) -> Exchange:
        """Start a request to the sandbox itself; it needs the token and nothing else."""
        answer: HttpReply | Deferred
        try:
            if len(request.body) > BODY_LIMIT:
                answer = bare(413)
            else:
                self._authenticate(request)
                path = request.path.removeprefix(CONTROL)
                begun = self._control_handler(request.method, path, request.query, request.body)
                answer = begun if isinstance(begun, Deferred) else bare(405, {"allow": begun.allow})
        except ServiceError as error:
            answer = failure(error.problem)
        entry = RequestAnswered(request.now, request.id, request.method, request.path, None)
        if isinstance(answer, HttpReply):
            return self._exchange(entry, labelled(answer.response, request.id, request.now))
        return self._exchange(entry, answer)

    def _respond(self, request: IncomingRequest) -> HandledRequest:
        if len(request.body) > BODY_LIMIT:
            return HandledRequest(bare(413))
        route = find_route(request.method, request.path)
        if isinstance(route, MethodNotAllowed):
            return HandledRequest(bare(405, {"allow": route.allow}))
        if route is None:
            return HandledRequest(failure(ServiceError("NOT_FOUND", "No such endpoint").problem))
        subject, script = Subject(), NO_SCRIPT
        try:
            self.requests[f"{route.endpoint.method} {route.endpoint.path}"] += 1
            self._admit(route.endpoint, request)
            subject = subject_of(route, request.body, self.world, products=bool(self.selection.choices))
            script = script_of(route.endpoint, subject, request, self.selection, self.world)
            if script.fault is not None:
                answer: HttpReply | Deferred = _fault_reply(script.fault)
            else:
                result = self._run(request, route, script)
                answer = result if isinstance(result, Deferred) else success(result)
        except ServiceError as error:
            answer = failure(error.problem)
        return HandledRequest(answer, route.endpoint.name, subject, script)

    def _authenticate(self, request: IncomingRequest) -> None:
        given = request.headers.get("authorization", "").encode(errors="replace")
        if not hmac.compare_digest(given, self._authorization):
            raise ServiceError("UNAUTHORIZED", "Token missing or not valid")

    def _admit(self, endpoint: Endpoint[object], request: IncomingRequest) -> None:
        """Raise `ServiceError` for a request that the account may not send at all, or not now."""
        wait = self.world.maintenance
        if wait is not None:
            raise ServiceError("SERVICE_UNAVAILABLE", "Down for maintenance", retry_after=wait or None)
        self._authenticate(request)
        if self.world.suspended:
            raise ServiceError("FORBIDDEN", "The account is suspended")
        if endpoint.current_only and not self.options.current:
            raise ServiceError("NOT_FOUND", "No such endpoint")
        self.limits.take(endpoint.group, request.now)

    def _run(self, request: IncomingRequest, route: Route, script: Script) -> HandlerResult:
        endpoint, fx = route.endpoint, None if script.no_rate else self.world.fx
        view = View(route.version, self.options.generation, fx, request.now)
        if endpoint.money and view.in_dollars and fx is None:
            message = "USD/IDR exchange rate is unavailable"
            raise ServiceError("FX_RATE_UNAVAILABLE", message, retry_after=FX_RETRY_AFTER)
        query = Query(request.query, endpoint.query, current=view.current)
        allow_local = self.options.allow_local_webhooks
        context = Context(request, route, self.world, view, query, allow_local, script)
        return HANDLERS[endpoint.name](context)

    def _outgoing(self, now: datetime) -> tuple[Delivery, ...]:
        """Sign the new events and return the webhooks that are to be sent now."""
        world = self.world
        events, world.outbox = world.outbox, []
        for event in events:
            view = View("v1", self.options.generation, None, event.at)  # events state no money
            world.enqueue(world.webhook.sign(encode(view.event(event)), event), event.at)
        return tuple(world.delivery_queue.take(now, world.webhook))

    def _delivered(self, delivery: Delivery) -> None:
        # A sandbox that was closed in the meantime sends it again after it is opened again.
        with self.lock, suppress(ClientStateError):
            self.changed()
            now = self.clock()
            self._record_delivery(delivery, now)
            self.world.delivered(delivery, now)

    def _record_delivery(self, delivery: Delivery, now: datetime) -> None:
        self.deliveries.append(delivery)
        url, attempt, status = shown_url(delivery.url), delivery.attempt, delivery.status
        self.history.add(WebhookSent(now, url, delivery.event, delivery.order_id, attempt, status))


def _ignore_change() -> None:
    """Do nothing about a change: the state is in memory only."""


def _reply_of(finish: Callable[[], Result]) -> HttpReply:
    try:
        return success(finish())
    except ServiceError as error:
        return failure(error.problem)


def _fault_reply(fault: Fault) -> HttpReply:
    if fault.problem is None:
        return bare(fault.status, retry_after(fault.retry_after))
    return failure(evolve(fault.problem, retry_after=fault.retry_after))


def _answered(entry: RequestAnswered, reply: HttpReply) -> RequestAnswered:
    """Return a request's entry with its answer; a fault without an answer has the status 0."""
    status, orders = reply.response.status_code or None, reply.order_ids or entry.order_ids
    return evolve(entry, status=status, code=reply.code, order_ids=orders)
