"""The sandbox: what its users see of it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import get_args

from attrs import evolve

from ..core.endpoints import ENDPOINTS
from ..errors import API_ERRORS, InvalidArgumentError
from .abuse import AbuseGuard
from .addresses import resolve_by_system, resolve_nothing
from .app import App, Fault
from .audit import Audit, audit
from .behaviour import Behaviour
from .ledger import Movement
from .limits import read_limits
from .refusal import Json, Refusal
from .register import Rules
from .render import Generation
from .seed import seed_catalog
from .serving import Server, serve
from .transport import SandboxTransport
from .webhooks import Delivery
from .world import World


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _whole(name: str, value: object, minimum: int) -> None:
    if type(value) is not int or value < minimum:
        raise InvalidArgumentError(f"{name}: expected an int of at least {minimum}.")


def _seconds(name: str, value: float | None) -> None:
    # Written so that NaN is refused, too; a year is longer than anybody waits.
    if value is not None and not 0 <= value <= 31_536_000:
        raise InvalidArgumentError(f"{name}: expected seconds of 0..31536000.")


class Sandbox:
    """The whole service in one process, for demos and for tests. It may be used from any thread.

    ``token`` is the only one it accepts. ``balance`` is what the account starts with, in whole rupiah;
    ``rate`` is how many of them a US dollar costs, None for no rate. An SMS arrives ``otp_after``
    seconds after an order or a resend, None for never. Also in seconds: ``lifetime`` of an order,
    ``cancel_after``, before which it cannot be cancelled, and ``resend_cooldown`` between resends.

    ``generation`` is "current" for all that the service sends today, "documented" for the fewer
    fields and endpoints of its documentation. ``clock`` gives the time as an aware datetime, the
    real time unless given; `advance` adds to it. ``deliver`` takes webhooks instead of HTTP and
    returns the status that their endpoint answers; ``allow_local_webhooks`` lets webhook URLs be
    loopback addresses, with http, too. ``resolve`` gives the addresses of a webhook URL's host name,
    which must not be private ones; unless given, the system is asked where webhooks go out over HTTP,
    and nobody where ``deliver`` takes them. ``webhook_jitter`` is for how many seconds at most a webhook
    is held back, so that they arrive in any order. The same ``seed`` gives the same codes and numbers.

    ``rate_limits`` are the documented ones; False switches them off, a mapping gives other numbers of
    requests per 60 seconds, by the names of `RateLimits`, and ``cancels_per_day``. ``abuse_guard`` says
    when too many failed orders stop an account from ordering, None for never.
    """

    def __init__(
        self,
        *,
        token: str = "sandbox-token",
        balance: int = 1_000_000,
        rate: int | None = 16_250,
        otp_after: float | None = 2.0,
        lifetime: float = 1200.0,
        cancel_after: float = 120.0,
        resend_cooldown: float = 30.0,
        generation: Generation = "current",
        clock: Callable[[], datetime] | None = None,
        deliver: Callable[[Delivery], int] | None = None,
        allow_local_webhooks: bool = False,
        resolve: Callable[[str], Iterable[str]] | None = None,
        webhook_jitter: float = 0.0,
        rate_limits: bool | Mapping[str, int] = True,
        abuse_guard: AbuseGuard | None = AbuseGuard(),
        seed: int = 0,
    ) -> None:
        _whole("balance", balance, 0)
        if rate is not None:
            _whole("rate", rate, 1)
        if generation not in get_args(Generation):
            raise InvalidArgumentError("generation: expected 'documented' or 'current'.")
        for name, seconds in (
            ("otp_after", otp_after),
            ("lifetime", lifetime),
            ("cancel_after", cancel_after),
            ("resend_cooldown", resend_cooldown),
            ("webhook_jitter", webhook_jitter),
        ):
            _seconds(name, seconds)
        self.token = token
        self._clock = clock or _utc_now
        self._ahead = timedelta(0)
        self._latest = datetime.min.replace(tzinfo=UTC)
        limits, per_day = read_limits(rate_limits)
        if resolve is None:
            resolve = resolve_by_system if deliver is None else resolve_nothing
        rules = Rules(
            otp_after=otp_after,
            lifetime=lifetime,
            cancel_after=cancel_after,
            resend_cooldown=resend_cooldown,
            current=generation == "current",
            webhook_jitter=webhook_jitter,
            cancels_per_day=per_day,
            abuse_guard=abuse_guard,
            seed=seed,
        )
        self._app = App(
            World(rules, seed_catalog(), balance=balance, rate=rate, now=self._now()),
            token=token,
            generation=generation,
            clock=self._now,
            deliver=deliver,
            resolve=resolve,
            allow_local_webhooks=allow_local_webhooks,
            limits=limits,
        )
        self._transport = SandboxTransport(self._app)

    def __repr__(self) -> str:
        return f"<Sandbox {len(self._app.world.orders)} orders, balance {self.balance} IDR>"

    def transport(self) -> SandboxTransport:
        """Give the httpx transport that leads here; it fits sync and async clients alike."""
        return self._transport

    def serve(self, port: int = 0) -> AbstractContextManager[Server]:
        """Serve on 127.0.0.1 while a ``with`` block runs; it gives an object with ``url`` and ``port``.

        Port 0 takes any free one. It needs uvicorn (the ``sandbox`` extra) and runs in a thread of
        its own, so the block may do as it likes.
        """
        return serve(self._app, port)

    @property
    def now(self) -> datetime:
        """The sandbox's time."""
        with self._app.lock:
            return self._now()

    @property
    def balance(self) -> int:
        """What the account holds, in whole rupiah."""
        with self._app.lock:
            self._app.settle()
            return self._app.world.ledger.balance

    @property
    def ledger(self) -> tuple[Movement, ...]:
        """Every movement of the balance, oldest first; they add up to `balance`."""
        with self._app.lock:
            self._app.settle()
            return tuple(self._app.world.ledger.movements)

    def audit(self) -> Audit:
        """Account for every rupiah: what orders were charged and given back, and what does not add up."""
        with self._app.lock:
            self._app.settle()
            return audit(self._app.world.ledger, self._app.world.orders)

    @property
    def requests(self) -> Counter[str]:
        """How often each operation was asked for, by method and path, as "GET /orders/{id}"."""
        with self._app.lock:
            return Counter(self._app.requests)

    @property
    def deliveries(self) -> list[Delivery]:
        """The webhooks that were sent, oldest first, each with the status it was answered with."""
        with self._app.lock:
            return list(self._app.deliveries)

    def advance(self, seconds: float) -> None:
        """Move the sandbox's time forward and let everything happen that is due then."""
        if not seconds >= 0:
            raise InvalidArgumentError("seconds: time moves forward only.")
        with self._app.lock:
            self._ahead += timedelta(seconds=seconds)
        self._app.complete(self._app.tick())

    def set_rate(self, rate: int | None) -> None:
        """Change the USD/IDR rate; with None, v2 has no money to show and answers with an error."""
        if rate is not None:
            _whole("rate", rate, 1)
        with self._app.lock:
            self._app.world.set_rate(rate, self._now())

    def set_maintenance(self, on: bool, *, retry_after: int | None = None) -> None:
        """Close or open the service; while it is closed it may say after how many seconds to try again."""
        with self._app.lock:
            self._app.world.maintenance = (retry_after or 0) if on else None

    def set_suspended(self, on: bool) -> None:
        """Suspend the account, which is then forbidden everything, or let it in again."""
        with self._app.lock:
            self._app.world.suspended = on

    def set_behaviour(self, behaviour: Behaviour) -> None:
        """Change how suppliers treat the purchases from now on."""
        with self._app.lock:
            self._app.world.behaviour = behaviour

    def set_otp_after(self, seconds: float | None) -> None:
        """Change how soon an SMS arrives after an order or a resend to come; None for never."""
        _seconds("otp_after", seconds)
        with self._app.lock:
            world = self._app.world
            world.rules = evolve(world.rules, otp_after=seconds)

    def deliver_sms(self, order_id: int, *, text: str | None = None, code: str | None = None) -> None:
        """Let an SMS arrive now for an order that has not ended.

        ``code`` is what the service finds in ``text``, None for nothing. Without ``text`` it is the
        usual one, with ``code`` or a new code in it.
        """

        def arrive(now: datetime) -> None:
            order = self._app.world.open.get(order_id)
            if order is None:
                raise InvalidArgumentError("order_id: no such order, or it has ended.")
            self._app.world.receive_sms(order, now, text, code)

        self._app.complete(self._app.act(arrive))

    def fail_next(
        self,
        operation: str,
        code: str | int,
        *,
        times: int = 1,
        message: str = "Scripted by the sandbox",
        details: Mapping[str, Json] | None = None,
        retry_after: int | None = None,
        status: int | None = None,
    ) -> None:
        """Let the next ``times`` requests of an operation fail, after those already scripted to.

        ``operation`` is an endpoint's name, as "orders.get". ``code`` is an error code, answered with
        its documented status or ``status``; or an HTTP status, answered bare as a proxy would. Nothing
        is done for such a request. Only a ``PROVIDER_ERROR`` of a purchase is recorded under the
        idempotency key, as that of a real supplier is.
        """
        if operation not in ENDPOINTS:
            raise InvalidArgumentError("operation: expected the name of an endpoint, as 'orders.get'.")
        _whole("times", times, 1)
        if isinstance(code, int):
            fault = Fault(code, retry_after)
        elif status is None and code not in API_ERRORS:
            raise InvalidArgumentError("code: this one is not documented, so it needs a status.")
        else:
            refusal = Refusal(code, message, status=status, details=details, retry_after=retry_after)
            fault = Fault(refusal.problem.status, retry_after, refusal.problem)
        with self._app.lock:
            self._app.faults.setdefault(operation, deque()).extend([fault] * times)

    def wait_for_deliveries(self, timeout: float = 5.0) -> bool:
        """Wait until no webhook is on its way; tell whether that was so within ``timeout`` seconds."""
        return self._app.courier.wait(timeout)

    def _now(self) -> datetime:
        now = self._clock()
        if now.tzinfo is None:
            raise InvalidArgumentError("clock: expected an aware datetime.")
        # The state only moves forward, also where the clock of the machine is set back.
        self._latest = max(self._latest, now.astimezone(UTC) + self._ahead)
        return self._latest
