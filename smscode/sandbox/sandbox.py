"""The sandbox: what its users see of it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Self

from attrs import evolve

from ..errors import InvalidArgumentError
from .checks import check_seconds, check_whole
from .clock import Clock, running_clock
from .control.audit import Audit, audit
from .control.history import DEFAULT_LIMIT, Entry, ScenarioChosen, SettingChanged, TimeAdvanced
from .http.api_error import Json, Problem
from .http.app import App
from .http.deferred import Later
from .http.render import Generation
from .http.routes import MethodNotAllowed
from .options import Options
from .scenarios import BEHAVIOUR, choices
from .scenarios.scenario import Scenario
from .service.abuse import AbuseGuard
from .service.catalogue_data import seed_catalog
from .service.ledger import Movement
from .service.suppliers import Behaviour
from .service.webhooks import Delivery
from .transports.addresses import resolve_by_system, resolve_nothing
from .transports.asgi import Receive, Scope, Send, asgi_app
from .transports.hosts import LOOPBACK
from .transports.serving import Server, serve
from .transports.transport import SandboxTransport

if TYPE_CHECKING:
    from .storage.state import SavedState


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
    when too many failed orders stop an account from ordering, None for never. The `history` holds the last
    ``history_limit`` entries.

    ``state`` is a file that the sandbox is kept in, made if there is none: JSON, written within a second
    of a change (of ten thousand orders within a few), and at the end by `close`, a ``with`` block or the
    end of the program. A process that is killed loses what came after the last writing, no more. The
    sandbox goes on as what it was made with, its token included; an argument that says otherwise raises
    `ConfigurationError`, as does a file that another sandbox is using, or that is none of this version's.
    """

    control: ClassVar[Callable[[Sandbox, str, str, str, bytes], Later | MethodNotAllowed]]
    """Begins what a request to the sandbox's own routes asks; the package puts it here."""

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
        history_limit: int = DEFAULT_LIMIT,
        seed: int = 0,
        state: str | os.PathLike[str] | None = None,
    ) -> None:
        options = Options(
            token=token,
            balance=balance,
            rate=rate,
            otp_after=otp_after,
            lifetime=lifetime,
            cancel_after=cancel_after,
            resend_cooldown=resend_cooldown,
            generation=generation,
            allow_local_webhooks=allow_local_webhooks,
            webhook_jitter=webhook_jitter,
            rate_limits=rate_limits,
            abuse_guard=abuse_guard,
            history_limit=history_limit,
            seed=seed,
        )
        if resolve is None:
            resolve = resolve_by_system if deliver is None else resolve_nothing
        self._clock = Clock(clock or running_clock())
        now = self._clock()
        with ExitStack() as opened:
            kept: SavedState | None = None
            if state is not None:
                from .storage.state import SavedState  # with cattrs' converters, for those who ask for it

                kept = SavedState(state)
                opened.callback(kept.close)
                options = kept.options(options)
            self._options = options
            self._app = App(
                options.world(seed_catalog(), now),
                token=options.token,
                generation=options.generation,
                clock=self._clock,
                deliver=deliver,
                resolve=resolve,
                allow_local_webhooks=options.allow_local_webhooks,
                limits=options.limits(),
                steer=partial(Sandbox.control, self),
                history_limit=options.history_limit,
            )
            if kept is not None:
                kept.keep(self._app, options)
            self._opened = opened.pop_all()
        self.token: str = options.token
        self.generation: Generation = options.generation
        self._transport = SandboxTransport(self._app)

    def __repr__(self) -> str:
        return f"<Sandbox {len(self._app.world.orders)} orders, balance {self.balance} IDR>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Write and close the ``state`` file; a sandbox without one needs no closing.

        Raises `ConfigurationError` if it cannot be written.
        """
        self._opened.close()

    def transport(self) -> SandboxTransport:
        """Return the httpx transport that leads here; it fits sync and async clients alike."""
        return self._transport

    def serve(
        self, port: int = 0, *, host: str = LOOPBACK, names: Iterable[str] = ()
    ) -> AbstractContextManager[Server]:
        """Serve while a ``with`` block runs; it gives an object with ``url`` and ``port``.

        Port 0 takes any free one. It needs uvicorn (the ``sandbox`` extra) and runs in a thread of
        its own, so the block may do as it likes. ``host`` is the name or address to listen on. Requests are
        answered if their ``Host`` is loopback, that name or one of ``names``; on "0.0.0.0" and "::" also if
        it is an IP address or a name without a dot. For other machines take a ``token`` that is hard to
        guess, and clients with ``allow_http=True``.
        """
        return serve(self._app, port, (host, *names))

    def asgi_app(self) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
        """Return the ASGI application that leads here, for a server of your own.

        What is due happens when somebody asks: only `serve` sends webhooks although nobody does.
        """
        return asgi_app(self._app)

    @property
    def now(self) -> datetime:
        """The sandbox's time."""
        with self._app.lock:
            return self._clock()

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

    @property
    def history(self) -> tuple[Entry, ...]:
        """What happened, oldest first; ``str()`` of an entry is for people."""
        with self._app.lock:
            self._app.settle()
            return tuple(self._app.history.entries)

    def advance(self, seconds: float) -> None:
        """Move the sandbox's time forward and let everything happen that is due then."""
        if not seconds >= 0:
            raise InvalidArgumentError("seconds: time moves forward only.")
        with self._app.lock:
            self._app.changed()
            self._app.settle()
            self._clock.ahead += timedelta(seconds=seconds)
            self._app.history.add(TimeAdvanced(self._clock(), seconds))
        self._app.complete(self._app.tick())

    def play(
        self,
        *scenarios: Scenario | Behaviour | str,
        catalog_product_id: int | None = None,
        product_id: int | None = None,
        order_id: int | None = None,
        operation: str | None = None,
        times: int | None = None,
    ) -> None:
        """Choose scenarios: for a product, for an order from now on, or without an id for everything.

        Each is made by a function of `smscode.sandbox.scenarios`, or written out, as "otp_after(5)"; a
        `Behaviour` is one, too. With ``operation``, an endpoint's name as "orders.create", they play in its
        requests only; with ``times`` in the next so many requests that they change, one choice after the
        other. Else they take the place of those chosen before for the same. Where several say something
        the narrower choice counts. Raises `InvalidArgumentError` for what there is not.
        """
        found = choices.read(scenarios)
        choice = choices.ChoiceReader(
            catalog_product_id=catalog_product_id,
            product_id=product_id,
            order_id=order_id,
            operation=operation,
            times=times,
        )
        self._change(partial(choices.play, self._app, found, choice))

    def clear_scenarios(
        self,
        *,
        catalog_product_id: int | None = None,
        product_id: int | None = None,
        order_id: int | None = None,
    ) -> None:
        """Clear all scenarios, or those of one product or order; what has come of them stays."""
        choice = choices.ChoiceReader(
            catalog_product_id=catalog_product_id, product_id=product_id, order_id=order_id
        )
        self._change(partial(choices.clear, self._app, choice))

    def set_balance(self, balance: int) -> None:
        """Make the balance so many rupiah; the ledger calls it an adjustment."""
        check_whole("balance", balance, 0)
        self._set("balance", balance, lambda now: self._app.world.ledger.adjust(now, balance))

    def set_rate(self, rate: int | None) -> None:
        """Change the USD/IDR rate; with None, v2 has no money to show and answers with an error."""
        if rate is not None:
            check_whole("rate", rate, 1)
        self._set("rate", rate, lambda now: self._app.world.set_rate(rate, now))

    def set_maintenance(self, on: bool, *, retry_after: int | None = None) -> None:
        """Close or open the service; while it is closed it may say after how many seconds to try again."""
        value = (retry_after or 0) if on else None
        self._set("maintenance", on, lambda _: setattr(self._app.world, "maintenance", value))

    def set_suspended(self, on: bool) -> None:
        """Suspend the account, which is then forbidden everything, or let it in again."""
        self._set("suspended", on, lambda _: setattr(self._app.world, "suspended", on))

    def set_behaviour(self, behaviour: Behaviour) -> None:
        """Change how suppliers treat the purchases from now on, where no scenario says otherwise."""

        def change(now: datetime) -> None:
            self._app.world.behaviour = behaviour
            self._app.history.add(ScenarioChosen(now, (BEHAVIOUR,), "everything else"))

        self._change(change)

    def set_otp_after(self, seconds: float | None) -> None:
        """Change how soon an SMS arrives after an order or a resend to come; None for never."""
        if seconds is not None:
            check_seconds("otp_after", seconds)

        def change(_: datetime) -> None:
            world = self._app.world
            world.rules = evolve(world.rules, otp_after=seconds)

        self._set("otp_after", seconds, change)

    def reset(self) -> None:
        """Begin anew, as after construction: no orders, scenarios or history; the time goes on."""
        with self._app.lock:
            self._app.world.abandon(Problem("SERVICE_UNAVAILABLE", "The sandbox was reset", 503))
            world = self._options.world(seed_catalog(), self._clock())
            self._app.begin_anew(world, self._options.limits())

    def deliver_sms(self, order_id: int, *, text: str | None = None, code: str | None = None) -> None:
        """Deliver an SMS now for an order that has not ended.

        ``code`` is what the service finds in ``text``, None for nothing. Without ``text`` it is the
        usual one, with ``code`` or a new code in it.
        """

        def arrive(now: datetime) -> None:
            order = self._app.world.open.get(order_id)
            if order is None:
                raise InvalidArgumentError("order_id: no such order, or it has ended.")
            self._app.world.receive_sms(order, now, text, code)

        self._change(arrive)

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
        """Make the next ``times`` requests of an operation fail, after those already scripted to.

        ``operation`` is an endpoint's name, as "orders.get". ``code`` is an error code, answered with
        its documented status or ``status``; or an HTTP status, answered bare as a proxy would. Nothing
        is done for such a request. Only a ``PROVIDER_ERROR`` of a purchase is recorded under the
        idempotency key, as that of a real supplier is.
        """
        self.play(
            choices.fault(operation, code, message, details, retry_after, status),
            operation=operation,
            times=times,
        )

    def wait_for_deliveries(self, timeout: float = 5.0) -> bool:
        """Wait until no webhook is on its way; tell whether that was so within ``timeout`` seconds."""
        return self._app.courier.wait(timeout)

    def _set(self, name: str, value: float | None, change: Callable[[datetime], object]) -> None:
        def note(now: datetime) -> None:
            change(now)
            self._app.history.add(SettingChanged(now, name, value))

        self._change(note)

    def _change(self, change: Callable[[datetime], None]) -> None:
        """Change something, after what fell due before, and send the webhooks that come of it."""
        self._app.complete(self._app.act(change))
