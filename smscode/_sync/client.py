# Generated from smscode/_async/client.py by `nox -s generate`: change that file, not this one.

"""The client: everything the service offers, with one set of connections behind it."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import TracebackType
from typing import Literal, NoReturn, Self, SupportsIndex, TypeVar, cast

import httpx

from .._concurrency import LoopAffinity, Runtime
from .._http.connection import HandlerTransport, RequestHandler
from .._observer import Observer
from .._ratelimit.registry import account_limits
from ..core.api import arguments, balance
from ..core.api.call import Answer, Call, CallKind
from ..core.decoding import rows
from ..core.purchases.intents import OrderIntent
from ..core.ratelimit.options import RateLimits
from ..core.retry import RetryPolicy
from ..core.settings import Settings
from ..core.timeouts import Timeouts, check_seconds
from ..errors import InvalidArgumentError
from ..events import ClientEvent
from ..journal import SQLiteJournal, shared
from ..models import Balance, CreatedOrders
from ..webhooks import Event, OrderEvent
from .catalog import Catalog
from .connection_pool import ClientLane, ConnectionPool, OwnTransportLane
from .driver import Driver
from .orders import Orders
from .purchases import Delivery, Purchases
from .rate_limiter import RateLimiter
from .recovery import Recovery
from .sms_waits import SmsWaits
from .webhook import Webhook

T = TypeVar("T")

_MOST_CONNECTIONS = 1000
_CLOSING = 6.0  # seconds: more than a journal takes at most


class Client:
    """A client of the SMSCode API.

    Make one per account and keep it: it holds the connections and the shared poll. Use it as a
    context manager, or close it at the end.
    """

    catalog: Catalog
    orders: Orders
    webhook: Webhook

    def __init__(
        self,
        token: str | None = None,
        *,
        api_version: Literal["v1", "v2"] = "v2",
        base_url: str | None = None,
        timeout: Timeouts | float | None = Timeouts(),
        retry: RetryPolicy = RetryPolicy(),
        rate_limits: RateLimits | None = RateLimits(),
        max_connections: int = 100,
        journal: SQLiteJournal | str | os.PathLike[str] | None = None,
        account: str | None = None,
        poll_interval: float = 3.0,
        on_event: Callable[[ClientEvent], object] | None = None,
        allow_http: bool = False,
        transport: httpx.BaseTransport | None = None,
        http_client: httpx.Client | None = None,
    ) -> None:
        """Set a client up; nothing is sent yet.

        ``token`` is the account's API token; None takes SMSCODE_TOKEN from the environment.
        ``api_version`` is "v2" (money in US dollars) or "v1" (whole rupiah). ``base_url`` is https,
        or http to this machine; None takes SMSCODE_BASE_URL or the service's own address. It ends before the
        version, which ``api_version`` adds. ``allow_http`` lets it be http for any host, for a sandbox in
        another container; the token and all codes then go over the network as plain text.

        ``timeout`` is a number of seconds for every call as a whole, a `Timeouts` for finer limits, or
        None for none. ``retry`` says how often failed calls are repeated. ``rate_limits`` are kept by
        waiting, together with all other clients of this account in this process; None keeps none.
        ``max_connections`` is 1..1000; calls beyond it wait their turn. ``journal`` is a path, or a
        `SQLiteJournal`: every purchase is written there before it is sent, so that `orders.recover` finds
        what a killed process left behind. One given by its path is closed with the client. ``account`` is a
        name (1..64 characters) under which the journal keeps this account's purchases; without it they are
        found only by clients with the same token.
        ``poll_interval`` is the seconds between two polls for codes. ``on_event`` is called with what
        happens, see `smscode.events`: a plain function, which must not block. What it raises is logged
        once and changes nothing.

        ``transport`` is used instead of own connections and closed with the client;
        ``http_client`` likewise, but it stays open. At most one of them may be given.

        Raises `InvalidArgumentError` for an unusable argument, `ConfigurationError` without any token. What
        the environment says about proxies and certificates is looked at by the first call, before it sends:
        that raises `ConfigurationError`, too.
        """
        settings = Settings.resolve(token, base_url, api_version, os.environ, account, allow_http=allow_http)
        arguments.instance("retry", retry, RetryPolicy)
        if rate_limits is not None:
            arguments.instance("rate_limits", rate_limits, RateLimits)
        timeouts = Timeouts.of(timeout)
        rows.prepare(settings.version)
        runtime = self._runtime()
        connections = ConnectionPool(
            settings,
            timeouts,
            runtime,
            size=arguments.integer("max_connections", max_connections, 1, _MOST_CONNECTIONS),
            shared=_shared_lane(transport, http_client),
        )
        self._settings = settings
        affinity = LoopAffinity()
        limits = None
        if rate_limits is not None:
            # A sandbox is a service of its own, so its transport says which one it is.
            origin = getattr(transport, "origin", None)
            budget = account_limits(
                settings.account, origin, affinity, rate_limits, timeouts.longest, runtime.clock
            )
            limits = RateLimiter(budget, runtime)
        observer = Observer(on_event, settings.version, settings.base_url)
        version = settings.version
        self._driver = Driver(connections, runtime, version, retry, timeouts, limits, observer, affinity)
        self._waits = SmsWaits(
            self._driver, check_seconds("poll_interval", poll_interval), max_connections
        )
        self.catalog = Catalog(self._driver)
        self._journal, self._owns_journal = _journal(journal)
        self._purchases = Purchases(self._driver, self._journal, settings.account, settings.credential)
        self._recovery = Recovery(self._driver, self._purchases)
        self.orders = Orders(self._driver, self._purchases, self._recovery, self._waits)
        self.webhook = Webhook(self._driver)

    def _runtime(self) -> Runtime:
        """Return the source of time and waiting; tests put one they control in its place."""
        return Runtime()

    def balance(self, *, timeout: float | None = None) -> Balance:
        """Read the account's balance."""
        return (self._driver.run(balance.get(), timeout)).data

    def send(self, call: Call[T], *, timeout: float | None = None) -> Answer[T]:
        """Make a call built by `smscode.calls`.

        The answer holds the result with the request id, the HTTP status, the rate and the attempts.
        """
        if call.endpoint.kind is not CallKind.CREATE:
            return self._driver.run(call, timeout)
        purchase = cast(Call[CreatedOrders], call)

        def buy(delivery: Delivery) -> Answer[CreatedOrders]:
            intent = OrderIntent.of(purchase, self._settings.version)
            return self._purchases.submit(intent, delivery)

        return cast(Answer[T], self._purchases.deliver(buy, timeout, call.idempotency_key))

    def notify(self, event: Event) -> None:
        """Pass a webhook's event to the waits; ``event`` is what `smscode.webhooks.receive` gives.

        A wait for that order's SMS ends at once, without a poll; without one, the event is kept for the
        waits to come (of the 10,000 orders heard of last). Events that came before, older ones and those
        about no order are ignored. Nothing is sent, and nothing is to be waited for. It may be called in any
        thread, whatever else belongs to an event loop.
        """
        self._waits.notify(event)
        if isinstance(event, OrderEvent):
            self._recovery.notify(event)

    def close(self) -> None:
        """Close the connections, and a journal that was given by its path.

        Using the client afterwards raises `ClientStateError`. If numbers of `orders.rent` or `orders.attach`
        are not given back yet, one warning in the log names their orders and when those expire.
        """
        try:
            self._driver.close()
        finally:
            if self._journal is not None and self._owns_journal:
                with self._driver.runtime.shield(_CLOSING):
                    self._owns_journal = False
                    if self._purchases.close():
                        self._driver.runtime.in_thread(self._journal.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._settings.base_url!r}, api_version={self._settings.version!r})"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a client cannot be pickled or copied: it holds connections and a token")


def _journal(journal: object) -> tuple[SQLiteJournal | None, bool]:
    """Return the journal, and whether it is closed with the client."""
    if journal is None or isinstance(journal, SQLiteJournal):
        return journal, False
    if not isinstance(journal, str | os.PathLike):
        raise arguments.wrong("journal", "a SQLiteJournal or the path of one", journal)
    return shared(cast("str | os.PathLike[str]", journal)), True


def _shared_lane(transport: object, http_client: object) -> RequestHandler | None:
    if transport is not None and http_client is not None:
        raise InvalidArgumentError("transport, http_client: expected at most one of them.")
    if transport is not None:
        own = arguments.instance("transport", transport, httpx.BaseTransport)
        return own.handler if isinstance(own, HandlerTransport) else OwnTransportLane(own)
    if http_client is None:
        return None
    if not isinstance(http_client, httpx.Client) or http_client.is_closed:
        raise arguments.wrong("http_client", "an open httpx client of this flavour", http_client)
    return ClientLane(http_client)
