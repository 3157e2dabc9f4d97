"""The sandbox's public class."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final, Self

from attrs import evolve, fields_dict

from ..errors import InvalidArgumentError
from .checks import check_duration, check_whole
from .clock import Clock, running_clock
from .control.audit import Audit, audit
from .control.history import DEFAULT_LIMIT, Entry, ScenarioChosen, SettingChanged, TimeAdvanced
from .http.api_error import Json
from .http.app import App
from .http.deferred import Deferred
from .http.render import Generation
from .http.routes import MethodNotAllowed
from .options import Options
from .scenarios import BEHAVIOUR, choices
from .scenarios.scenario import Scenario
from .service.abuse import AbuseGuard
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

_OPTIONS: Final = frozenset(fields_dict(Options))


class Sandbox:
    """The whole service in one process, for demos and for tests. It may be used from any thread.

    ``token`` is the only token it accepts. ``balance`` is the account's first balance in whole rupiah;
    ``rate`` is the price of a US dollar in rupiah, None for no rate. An SMS arrives ``otp_after``
    seconds after an order or a resend, None for never. Also in seconds: the ``lifetime`` of an order,
    ``cancel_after``, before which it cannot be cancelled, and the ``resend_cooldown`` between resends.

    ``generation`` is "current" for everything that the service sends today, "documented" for the fewer
    fields and endpoints of its documentation. ``clock`` returns the time as an aware datetime, by default
    the real time; `advance` adds to it. ``deliver`` receives webhooks instead of HTTP and returns the status
    of their endpoint's answer; ``allow_local_webhooks`` allows loopback addresses, also with http, as webhook
    URLs. ``resolve`` returns the addresses of a webhook URL's host name, which must not be private ones; by
    default the system resolves it if webhooks are sent over HTTP, and there are no addresses if ``deliver``
    receives them. ``webhook_jitter`` delays each webhook by up to so many seconds, so that they arrive in any
    order. The same ``seed`` gives the same codes and numbers.

    ``rate_limits`` are the documented ones; False switches them off, a mapping sets other numbers of
    requests per 60 seconds, by the names of `RateLimits`, and ``cancels_per_day``. ``abuse_guard`` defines
    when too many failed orders ban the account from ordering, None for never. The `history` holds the last
    ``history_limit`` entries. ``past_orders`` is how many orders of the last 30 days, with and without a
    code, the account begins with.

    ``state`` is a JSON file that stores the sandbox, created if it does not exist. It is written within a
    second of a change (with ten thousand orders within a few), and at the end by `close`, a ``with`` block or
    the end of the program. A process that is killed loses only the changes after the last write. A stored
    sandbox continues with the arguments it was made with, its token included. Raises `ConfigurationError` for
    an argument that contradicts them, for a file that another sandbox is using, and for any other file than
    this version writes. Raises `InvalidArgumentError` for an argument out of range.
    """

    _control: ClassVar[Callable[[Sandbox, str, str, str, bytes], Deferred | MethodNotAllowed]]
    """Starts a request to the sandbox's own routes; set by the package."""

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
        past_orders: int = 0,
        seed: int = 0,
        state: str | os.PathLike[str] | None = None,
    ) -> None:
        given = locals()  # the names of the options are those of the parameters
        options = Options(**{name: given[name] for name in _OPTIONS})
        if resolve is None:
            resolve = resolve_by_system if deliver is None else resolve_nothing
        self._clock = Clock(clock or running_clock())
        with ExitStack() as opened:
            saved: SavedState | None = None
            if state is not None:
                from .storage.state import SavedState  # imported only if needed: it builds cattrs converters

                saved = SavedState(state)
                opened.callback(saved.close)
                options = saved.options(options)
            control = partial(Sandbox._control, self)
            self._app = App(options, clock=self._clock, deliver=deliver, resolve=resolve, control=control)
            if saved is not None:
                saved.attach(self._app, options)
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
        """Write and close the ``state`` file; without one, do nothing.

        Raises `ConfigurationError` if the file cannot be written.
        """
        self._opened.close()

    def transport(self) -> SandboxTransport:
        """Return the httpx transport of this sandbox, for sync and async clients."""
        return self._transport

    def serve(
        self, port: int = 0, *, host: str = LOOPBACK, names: Iterable[str] = ()
    ) -> AbstractContextManager[Server]:
        """Serve the sandbox over HTTP in a ``with`` block, which gets an object with ``url`` and ``port``.

        Port 0 takes any free one. It needs uvicorn (the ``sandbox`` extra) and runs in its own thread, so the
        block may wait. ``host`` is the name or address to listen on. Requests are answered if their ``Host``
        is loopback, that name or one of ``names``; on "0.0.0.0" and "::" also if it is an IP address or a
        name without a dot. For other machines use a ``token`` that is hard to guess, and clients with
        ``allow_http=True``. Raises OSError if it cannot listen, `ConfigurationError` without uvicorn.
        """
        return serve(self._app, port, (host, *names))

    def asgi_app(self) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
        """Return the ASGI application of this sandbox, for your own server.

        Scheduled steps run with the next request; only `serve` sends webhooks without one.
        """
        return asgi_app(self._app)

    @property
    def now(self) -> datetime:
        """The sandbox's time."""
        with self._app.lock:
            return self._clock()

    @property
    def balance(self) -> int:
        """The account's balance in whole rupiah."""
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
        """Return what orders were charged and refunded, and whatever does not add up."""
        with self._app.lock:
            self._app.settle()
            return audit(self._app.world.ledger, self._app.world.orders)

    @property
    def requests(self) -> Counter[str]:
        """The number of requests of each operation, by method and path, as "GET /orders/{id}"."""
        with self._app.lock:
            return Counter(self._app.requests)

    @property
    def deliveries(self) -> list[Delivery]:
        """The webhooks that were sent, oldest first, each with the status of its answer."""
        with self._app.lock:
            return list(self._app.deliveries)

    @property
    def history(self) -> tuple[Entry, ...]:
        """The requests, events and changes, oldest first; ``str()`` of an entry describes it in a line."""
        with self._app.lock:
            self._app.settle()
            return tuple(self._app.history.entries)

    def advance(self, seconds: float) -> None:
        """Move the sandbox's time forward by ``seconds`` and run everything that is due then."""
        if not seconds >= 0:
            raise InvalidArgumentError("seconds: time moves forward only.")
        with self._app.lock:
            self._app.changed()
            self._app.settle()
            self._clock.ahead += timedelta(seconds=seconds)
            now = self._app.settle()  # what happened on the way comes first in the history
            self._app.history.add(TimeAdvanced(now, seconds))
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

        Each is made by a function of `smscode.sandbox.scenarios`, or a string such as "otp_after(5)", or a
        `Behaviour`. With ``operation``, an endpoint's name as "orders.create", they apply only to its
        requests; with ``times`` only to the next so many requests that they change, one choice after
        another. Without ``times`` they replace the scenarios chosen before for the same. If several scenarios
        set the same thing, the narrower choice counts. Raises `InvalidArgumentError` for an unknown scenario,
        operation, product or order.
        """
        found = choices.read_scenarios(scenarios)
        target = choices.ChoiceTarget(
            catalog_product_id=catalog_product_id,
            product_id=product_id,
            order_id=order_id,
            operation=operation,
            times=times,
        )
        self._change(partial(choices.play, self._app, found, target))

    def clear_scenarios(
        self,
        *,
        catalog_product_id: int | None = None,
        product_id: int | None = None,
        order_id: int | None = None,
    ) -> None:
        """Clear all scenarios, or those of one product or order; their effects so far stay."""
        target = choices.ChoiceTarget(
            catalog_product_id=catalog_product_id, product_id=product_id, order_id=order_id
        )
        self._change(partial(choices.clear, self._app, target))

    def set_balance(self, balance: int) -> None:
        """Set the balance in rupiah; in the ledger it is an adjustment."""
        check_whole("balance", balance, 0)
        self._set("balance", balance, lambda now: self._app.world.ledger.adjust(now, balance))

    def set_rate(self, rate: int | None) -> None:
        """Set the USD/IDR rate; with None, v2 answers with an error wherever it states money."""
        if rate is not None:
            check_whole("rate", rate, 1)
        self._set("rate", rate, lambda now: self._app.world.set_rate(rate, now))

    def set_maintenance(self, on: bool, *, retry_after: int | None = None) -> None:
        """Close or open the service; while closed it sends ``retry_after`` in seconds, if given."""
        value = (retry_after or 0) if on else None
        self._set("maintenance", on, lambda _: setattr(self._app.world, "maintenance", value))

    def set_suspended(self, on: bool) -> None:
        """Suspend the account, so that every request is forbidden, or end the suspension."""
        self._set("suspended", on, lambda _: setattr(self._app.world, "suspended", on))

    def set_behaviour(self, behaviour: Behaviour) -> None:
        """Set the suppliers' behaviour for all purchases from now on; scenarios override it."""

        def change(now: datetime) -> None:
            self._app.world.behaviour = behaviour
            self._app.history.add(ScenarioChosen(now, (BEHAVIOUR,), "everything else"))

        self._change(change)

    def set_otp_after(self, seconds: float | None) -> None:
        """Set how many seconds after the next orders and resends an SMS arrives; None for never."""
        if seconds is not None:
            check_duration("otp_after", seconds)

        def change(_: datetime) -> None:
            world = self._app.world
            world.rules = evolve(world.rules, otp_after=seconds)

        self._set("otp_after", seconds, change)

    def reset(self) -> None:
        """Remove all orders, scenarios and history, as after construction; the time stays as it is."""
        with self._app.lock:
            self._app.reset()

    def deliver_sms(self, order_id: int, *, text: str | None = None, code: str | None = None) -> None:
        """Deliver an SMS now for an order that has not ended.

        ``code`` is the code that the service finds in ``text``, None for no code. Without ``text`` it is the
        usual text, with ``code`` or a new code. Raises `InvalidArgumentError` for an unknown or ended order.
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
        """Make the next ``times`` requests of an operation fail, after those already set to fail.

        ``operation`` is an endpoint's name, as "orders.get". ``code`` is an error code, answered with
        its documented status or ``status``; or an HTTP status, answered without a body as by a proxy. Such
        a request has no effect. Only a ``PROVIDER_ERROR`` of a purchase is stored under the idempotency
        key, as a supplier's error is. Raises `InvalidArgumentError` for an unknown operation or code.
        """
        scenario = choices.fault(operation, code, message, details, retry_after, status)
        self.play(scenario, operation=operation, times=times)

    def wait_for_deliveries(self, timeout: float = 5.0) -> bool:
        """Wait until no webhook is being sent; return False if that takes over ``timeout`` seconds."""
        return self._app.webhook_sender.wait(timeout)

    def _set(self, name: str, value: float | None, change: Callable[[datetime], object]) -> None:
        def change_and_record(now: datetime) -> None:
            change(now)
            self._app.history.add(SettingChanged(now, name, value))

        self._change(change_and_record)

    def _change(self, change: Callable[[datetime], None]) -> None:
        """Make a change after running what was due before it, and send the resulting webhooks."""
        self._app.complete(self._app.act(change))
