# Generated from smscode/_async/client.py by `nox -s generate`: change that file, not this one.

"""The client: all endpoints of the service, over one set of connections."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Literal, NoReturn, Self, SupportsIndex, TypeVar, cast

from .._concurrency import Block, LoopAffinity, Runtime
from .._first_models import Balance, EndpointGroup
from .._http.protocols import HttpClient, Transport
from .._http.stacks import Stack
from .._observer import Observer
from .._ratelimit.registry import account_limits
from ..core.api import arguments, balance
from ..core.api.call import Answer, Call, CallKind
from ..core.decoding import converter
from ..core.ratelimit.options import RateLimits
from ..core.retry import RetryPolicy
from ..core.settings import Settings
from ..core.timeouts import Timeouts, check_seconds
from ..errors import JsonValue
from ..money import Money
from .connection_pool import ConnectionPool
from .driver import Driver
from .own_transport import own_handler
from .rate_limiter import RateLimiter

if TYPE_CHECKING:  # imported when they are first used, so that a first call is cheap
    from ..core.purchases.spending import SpendingLimit
    from ..events import ClientEvent
    from ..journal import SQLiteJournal
    from ..models import CreatedOrders
    from ..webhooks import Event
    from .catalog import Catalog
    from .ordering import Ordering
    from .orders import Orders
    from .webhook import Webhook

T = TypeVar("T")

_MOST_CONNECTIONS = 1000


class Client(Block):
    """A client of the SMSCode API.

    >>> with Client() as client:  # the token is in SMSCODE_TOKEN
    ...     with client.orders.rent(catalog_product_id=87, max_price="0.50") as rental:
    ...         print(rental.phone_number, (rental.wait_for_otp(timeout=120)).code)

    Create one client per account and keep it: it holds the connections and the shared poll. Use it as a
    context manager, or close it at the end.
    """

    _made: Ordering | None = None

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
        spending: SpendingLimit | None = None,
        http: Literal["httpx", "httpx2", "aiohttp"] = "httpx",
        proxy: str | None = None,
        trust_env: bool = True,
        ssl_context: ssl.SSLContext | None = None,
        user_agent: str | None = None,
        on_event: Callable[[ClientEvent], object] | None = None,
        allow_http: bool = False,
        transport: Transport | None = None,
        http_client: HttpClient | None = None,
    ) -> None:
        """Set up a client; nothing is sent yet.

        ``token`` is the account's API token; None means the environment variable SMSCODE_TOKEN.
        ``api_version`` is "v2" (money in US dollars) or "v1" (whole rupiah). ``base_url`` is an https URL, or
        http for this machine, without the version; None means SMSCODE_BASE_URL, or the service's own address.
        ``allow_http`` permits http for any host, for a sandbox in another container; the token and all codes
        are then sent as plain text.

        ``timeout`` is the total seconds for each call (above 0), a `Timeouts` for finer limits, or None for
        no limit; by default 30 seconds, and 90 for purchases. ``retry`` says how often failed calls are
        repeated. ``rate_limits`` are the limits to respect by waiting, together with all other clients of
        this account in this process; None means no limits. ``max_connections`` is 1..1000; calls beyond it
        wait in order. ``journal`` is a path, or a `SQLiteJournal`: every purchase is written there before it
        is sent, so that `orders.recover` finds the purchases of a killed process. A journal given by its path
        is closed with the client. ``account`` is a name (1..64 characters) under which the journal stores
        this account's purchases; without it, only clients with the same token find them. ``poll_interval`` is
        the number of seconds between two polls for codes (above 0). ``spending`` is a `SpendingLimit`: a
        purchase that may exceed it raises `SpendingLimitError` and is not sent. ``on_event`` is a plain
        function that is called with each event of `smscode.events`. It must not block; an exception from it
        is logged once and ignored.

        ``http`` is the HTTP library that connects: "httpx", "httpx2", or "aiohttp", which has no synchronous
        flavour and only runs on Python's own event loops; the last two need the extra of the same name.
        ``proxy`` is the URL of a proxy, used whatever NO_PROXY says; None means the proxy of the environment.
        ``ssl_context`` replaces the TLS settings of the environment. ``trust_env=False`` reads nothing from
        the environment, the token included. ``user_agent`` (1..200 characters) is put before this package's
        own in each request.

        ``transport`` is a transport of httpx or httpx2 to use instead of own connections; it is closed with
        the client. ``http_client`` is a client of httpx or httpx2 to use; it stays open. At most one of them
        may be given, and then none of the five before.

        Raises `InvalidArgumentError` for a wrong argument, `ConfigurationError` if there is no token, or if
        the library is not installed or has no client of this flavour. Proxies and certificates of the
        environment are checked by the first call, before it sends anything: it raises `ConfigurationError` if
        they cannot be used.
        """
        environ: Mapping[str, str] = {} if trust_env is False else os.environ
        settings = Settings.resolve(token, base_url, api_version, environ, account, allow_http=allow_http)
        arguments.instance("retry", retry, RetryPolicy)
        if rate_limits is not None:
            arguments.instance("rate_limits", rate_limits, RateLimits)
        timeouts = Timeouts.of(timeout)
        converter.hook(settings.version, Money)  # every answer needs it
        stack = Stack.choose(
            transport,
            http_client,
            http=http,
            proxy=proxy,
            trust_env=trust_env,
            ssl_context=ssl_context,
            user_agent=user_agent,
            base_url=settings.base_url,
        )
        runtime = self._runtime()
        connections = ConnectionPool(
            settings,
            timeouts,
            runtime,
            size=arguments.integer("max_connections", max_connections, 1, _MOST_CONNECTIONS),
            stack=stack,
            shared=None if stack is not None else own_handler(transport, http_client),
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
        self._polling = check_seconds("poll_interval", poll_interval), max_connections
        self._spending = spending
        if spending is not None:
            from ..core.purchases.spending import SpendingLimit

            arguments.instance("spending", spending, SpendingLimit).check(settings.version)
        self._journal = (None, False) if journal is None else _journal(journal)
        if journal is not None:
            self.orders  # noqa: B018  # from now on, what is seen of an order is written into the journal

    def _runtime(self) -> Runtime:
        """Return the source of time and waiting. Tests replace it."""
        return Runtime()

    @property
    def _ordering(self) -> Ordering:
        """What belongs to orders. It knows the purchases, so there is one, whichever threads are first."""
        made = self._made
        if made is None:
            from .ordering import Ordering

            new = Ordering(self._driver, self._settings, self._journal, self._spending, *self._polling)
            made = cast(Ordering, vars(self).setdefault("_made", new))  # an atomic step
        if self._driver.seen is None:
            self._driver.seen = made.recovery.see
        return made

    @cached_property
    def orders(self) -> Orders:
        """The order endpoints."""
        return self._ordering.orders

    @cached_property
    def catalog(self) -> Catalog:
        """The catalog endpoints."""
        from .catalog import Catalog

        return Catalog(self._driver)

    @cached_property
    def webhook(self) -> Webhook:
        """The webhook endpoints."""
        from .webhook import Webhook

        return Webhook(self._driver)

    def balance(self, *, timeout: float | None = None) -> Balance:
        """Read the account's balance.

        ``timeout`` is the total seconds for the call; None means the client's limit. Raises the errors that
        every method of ``client.orders`` can raise.
        """
        return (self._driver.run(balance.get(), timeout)).data

    def send(self, call: Call[T], *, timeout: float | None = None) -> Answer[T]:
        """Send a call that was built by `smscode.calls`, and return its answer.

        >>> answer = client.send(calls.orders.get(1001))
        >>> print(answer.data.status, answer.request_id)

        The answer has the result as ``data``, and the request id, the HTTP status, the exchange rate and the
        number of attempts. Raises the same errors as the method of the client for that call.
        """
        arguments.instance("call", call, Call)
        if call.endpoint.kind is not CallKind.CREATE:
            return self._driver.run(call, timeout)
        return cast("Answer[T]", self._ordering.buy(cast("Call[CreatedOrders]", call), timeout))

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int | None] | None = None,
        json: Mapping[str, JsonValue] | None = None,
        group: EndpointGroup | str | None = None,
        timeout: float | None = None,
    ) -> Answer[JsonValue]:
        """Send a request to an endpoint that has no method here yet, and return its answer.

        >>> answer = client.request("GET", "/orders/1001/messages", params={"limit": 20})
        >>> print(answer.data, answer.headers.get("x-request-id"))

        ``method`` is GET, HEAD, POST, PUT, PATCH or DELETE. ``path`` begins with one "/"; the version of the
        client is put before it. ``params`` are those of the query, without the ones that are None. ``json``
        is a JSON object to send as the body. ``group`` is the `EndpointGroup` whose rate limit counts; None
        means that of the known endpoint with the most leading segments in common, or "order_actions".

        The ``data`` of the answer is JSON; None if the service sent none. Only GET and HEAD are repeated
        after a failure. With other methods, the ``outcome`` of an error is "unknown" as soon as the request
        may have left, unless the service itself refused it.

        Raises `InvalidArgumentError` for a wrong argument, and for a request that buys: those are made by
        `orders.create` and `orders.reactivate`, which give each purchase an idempotency key. Otherwise raises
        the errors that every method of ``client.orders`` can raise.
        """
        from ..core.api.request import request

        call = request(method, path, params=params, json=json, group=group)
        return self._driver.run(call, timeout)

    def notify(self, event: Event) -> None:
        """Pass a webhook's event to the waits. ``event`` is the result of `smscode.webhooks.receive`.

        >>> client.notify(webhooks.receive(body, signature, secret))

        A wait for that order's SMS ends at once, without a poll. If there is none, the event is kept for
        later waits (for the 10,000 orders with the newest events). Repeated and older events are ignored, and
        so are events about no order. Nothing is sent. Unlike other methods, it can be called in any thread.

        Raises `InvalidArgumentError` if ``event`` is not an event of `smscode.webhooks`.
        """
        self._ordering.notify(event)

    def close(self) -> None:
        """Close the connections, and a journal that was given by its path.

        Using the client afterwards raises `ClientStateError`. If numbers of `orders.rent` or `orders.attach`
        are not released yet, a warning is logged with their orders and when these expire. So is one with the
        idempotency keys of purchases that may have been carried out without the caller knowing it.
        """
        try:
            self._driver.close()
        finally:
            if self._made is not None:
                self._made.close()

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
        return f"{type(self).__name__}{self._driver.service}"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a client cannot be pickled or copied: it holds connections and a token")


def _journal(journal: object) -> tuple[SQLiteJournal, bool]:
    """Return the journal, and whether to close it with the client."""
    from ..journal import SQLiteJournal, shared

    if isinstance(journal, SQLiteJournal):
        return journal, False
    if not isinstance(journal, str | os.PathLike):
        raise arguments.wrong("journal", "a SQLiteJournal or the path of one", journal)
    return shared(cast("str | os.PathLike[str]", journal)), True
