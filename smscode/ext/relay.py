"""Passes webhooks on to all processes, so that one received anywhere ends waits everywhere. Needs ``redis``.

Redis only passes messages on (publish and subscribe), and stores nothing. A message contains what a wait
needs: the id of the order, its end or the message with the code, the revision and the time; not the phone
number, and never the token or the webhook secret. It is signed with that secret, so that a program that can
write to Redis without the secret cannot end a wait with a code of its own. A program that can read it sees
codes without their numbers. While Redis cannot be reached, polling ends the waits, only later.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from datetime import datetime
from types import TracebackType
from typing import NoReturn, Protocol, Self, cast

import attrs
from anyio.from_thread import BlockingPortal, start_blocking_portal

from .._async.client import AsyncClient
from .._sync.client import Client
from ..core.api import arguments
from ..errors import (
    ClientStateError,
    ConfigurationError,
    InvalidArgumentError,
    WebhookPayloadError,
    WebhookSignatureError,
)
from ..webhook_events import ORDER_EVENTS
from ..webhooks import Event, OrderEvent, UnknownEvent, WebhookTest, receive, secret_keys, sign

try:
    from redis.asyncio import BlockingConnectionPool, Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
except ImportError as _missing:
    raise ConfigurationError('redis is missing: pip install "smscode-async[redis]"') from _missing

__all__ = ["AsyncEventRelay", "EventRelay"]

CHANNEL = "smscode:events"

_PATIENCE = 2.0  # seconds for Redis to answer
_SILENCE = 15.0  # seconds without a message after which the connection is checked
_MOST_CONNECTIONS = 5  # one listens, the others publish
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0  # seconds between attempts to reach it
_NOT_SENT = ("phone_number", "country", "platform")  # no wait needs them

_log = logging.getLogger("smscode.webhooks")


def pack(event: OrderEvent, secret: str) -> bytes:
    """Return the message for an event: its signature, and a body like that of the service."""
    values = attrs.asdict(event)
    data = {field: None if field in _NOT_SENT else value for field, value in values.items()}
    name = next(name for name, kind in ORDER_EVENTS.items() if isinstance(event, kind))
    envelope = {"event": name, "timestamp": data.pop("timestamp"), "data": data}
    body = json.dumps(envelope, default=datetime.isoformat, separators=(",", ":")).encode()
    return sign(body, secret).encode() + b"\n" + body


def unpack(message: object, secrets: Sequence[str]) -> Event | None:
    """Return the event of a message, None if it is not signed with any of the secrets."""
    if not isinstance(message, bytes):
        return None
    signature, _, body = message.partition(b"\n")
    try:
        return receive(body, signature.decode("latin-1"), secrets)
    except (WebhookSignatureError, WebhookPayloadError):
        return None


class _Subscription(Protocol):
    """The used part of a subscription of redis-py, whose own types are incomplete."""

    async def subscribe(self, channel: str, /) -> object: ...
    async def get_message(self, *, timeout: float) -> Mapping[str, object] | None: ...
    async def ping(self) -> object: ...
    async def aclose(self) -> None: ...


class _Redis(Protocol):
    def pubsub(self) -> _Subscription: ...
    async def publish(self, channel: str, message: bytes, /) -> object: ...


class _Contact:
    """The state of one direction to Redis; it logs the begin and the end of each outage once."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._lost = False

    def lost(self, error: BaseException) -> None:
        # Not the error's text, which may hold the address with its password.
        if not self._lost:
            _log.warning(
                "%s through Redis fails (%s); until it works again, polls end the waits of other processes.",
                self._what,
                type(error).__name__,
            )
        self._lost = True

    def works(self) -> None:
        if self._lost:
            _log.info("%s through Redis works again.", self._what)
        self._lost = False


class AsyncEventRelay:
    """Passes webhooks on to the clients of all processes; an asynchronous context manager, on asyncio only.

    Pass its `notify` to a webhook endpoint::

        async with AsyncEventRelay("redis://localhost", client, secret=secret) as relay:
            app = webhook_app(relay.notify, secret=secret)

    It notifies its own clients at once, and through Redis those of the other processes whose relay has the
    same ``channel`` and secret. While Redis cannot be reached it logs one warning, and tries again after 0.1
    to 5 seconds.
    """

    def __init__(
        self, url: str, *clients: AsyncClient | Client, secret: str | Sequence[str], channel: str = CHANNEL
    ) -> None:
        """Set up; nothing is sent yet.

        ``url`` is redis://, rediss:// or unix://. ``clients`` are those of this process whose waits are to
        end; without any, the relay only passes events on. ``secret`` is the account's webhook secret, or
        several while one replaces another (the first one signs). ``channel`` is the name of the Redis
        channel.

        Raises `InvalidArgumentError` for a value that cannot be used.
        """
        secret_keys(secret)
        self._secrets: tuple[str, ...] = (secret,) if isinstance(secret, str) else tuple(secret)
        self._channel = arguments.text("channel", channel, 256)
        for client in cast("Sequence[object]", clients):
            if not isinstance(client, AsyncClient | Client):
                raise arguments.wrong("clients", "clients", client)
        self._clients = clients
        self._url = arguments.text("url", url, 2048)
        self._pool: BlockingConnectionPool | None = None
        self._exit = AsyncExitStack()
        self._silent = False
        self._failures = 0
        self._ignoring = False
        self._publishing = _Contact("Passing webhooks on")
        self._listening = _Contact("Receiving webhooks")
        try:
            # Only to check the address and its options: this connects nothing.
            self._open().make_connection()  # type: ignore[no-untyped-call]  # redis-py's types
        except ValueError:
            raise InvalidArgumentError("url: expected redis://, rediss:// or unix://.") from None
        except TypeError:
            # Not its text, which may hold the value of the option.
            raise InvalidArgumentError("url: has an option that redis-py does not know.") from None

    async def __aenter__(self) -> Self:
        """Start to listen. It is no error if Redis cannot be reached."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            raise ConfigurationError("The relay needs asyncio: its Redis client has no other loop.") from None
        async with AsyncExitStack() as stack:
            pool = self._open()
            stack.push_async_callback(pool.aclose)
            if self._clients:
                tried = asyncio.Event()
                task = asyncio.create_task(self._listen(pool, tried))
                stack.push_async_callback(_end, task)
                await tried.wait()
            self._pool, self._exit = pool, stack.pop_all()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pool = None
        await self._exit.aclose()

    async def notify(self, event: Event) -> None:
        """Notify the clients of this process, and through Redis those of the others.

        Only events about an order go to other processes. Raises `ClientStateError` outside of the relay's
        block and `InvalidArgumentError` for an object that is no event. All other failures are logged.
        """
        if not isinstance(cast(object, event), OrderEvent | WebhookTest | UnknownEvent):
            raise arguments.wrong("event", "an event of smscode.webhooks", event)
        pool = self._pool
        if pool is None:
            raise ClientStateError("The relay is not open: use it as a context manager.")
        self._notify_clients(event)
        if isinstance(event, OrderEvent):
            try:
                redis = cast("_Redis", Redis(connection_pool=pool))
                await redis.publish(self._channel, pack(event, self._secrets[0]))
            except Exception as error:  # a failure to pass it on does not make the delivery invalid
                self._publishing.lost(error)
            else:
                self._publishing.works()

    def _open(self) -> BlockingConnectionPool:
        pool = BlockingConnectionPool.from_url(  # pyright: ignore[reportUnknownMemberType]  # redis-py's types
            self._url,
            max_connections=_MOST_CONNECTIONS,
            timeout=_PATIENCE,
            socket_connect_timeout=_PATIENCE,
            socket_timeout=_PATIENCE,
            retry=Retry(NoBackoff(), 0),
        )
        # A URL that other programs use, too, may ask for text; messages here are bytes.
        pool.connection_kwargs["decode_responses"] = False
        return pool

    def _notify_clients(self, event: Event) -> None:
        for client in self._clients:
            try:
                client.notify(event)
            except Exception as error:  # the other clients are notified all the same
                _log.error("A client cannot be notified of a webhook (%s).", type(error).__name__)

    async def _listen(self, pool: BlockingConnectionPool, tried: asyncio.Event) -> None:
        """Listen until cancelled; subscribe again after every failure, as nothing else would."""
        task = asyncio.current_task()
        while True:
            try:
                await self._receive(pool, tried)
            except asyncio.CancelledError as error:
                # Also raised if something awaited here was cancelled, but not this task.
                if task is None or task.cancelling():
                    raise
                self._listening.lost(error)
            except Exception as error:
                self._listening.lost(error)
            pause = min(_FIRST_PAUSE * 2**self._failures, _LONGEST_PAUSE)
            self._failures = min(self._failures + 1, 10)
            await asyncio.sleep(pause * random.uniform(0.5, 1))

    async def _receive(self, pool: BlockingConnectionPool, tried: asyncio.Event) -> NoReturn:
        """Subscribe and receive messages until that fails."""
        try:
            subscription = cast("_Redis", Redis(connection_pool=pool)).pubsub()
            try:
                await subscription.subscribe(self._channel)
                self._silent = False
                while True:
                    message = await subscription.get_message(timeout=_SILENCE)
                    await self._take(message, subscription)
                    tried.set()
            finally:
                with contextlib.suppress(Exception):
                    await subscription.aclose()
        finally:
            tried.set()

    async def _take(self, message: Mapping[str, object] | None, subscription: _Subscription) -> None:
        """Handle a message, or the lack of one: ping Redis first, and raise TimeoutError the next time."""
        if message is not None:
            self._silent = False
            self._listening.works()
            # Not after "subscribe": a failure after each of these would be repeated without a pause.
            if message["type"] != "subscribe":
                self._failures = 0
            if message["type"] == "message":  # other types concern the subscription itself
                self._pass_on(unpack(message["data"], self._secrets))
        elif self._silent:
            raise TimeoutError
        else:
            self._silent, self._failures = True, 0
            await subscription.ping()

    def _pass_on(self, event: Event | None) -> None:
        """Notify the clients of an event. Of messages without a valid one only the first is logged."""
        if event is not None:
            self._notify_clients(event)
        elif not self._ignoring:
            _log.warning(
                "Messages on the channel %r are not signed with a secret of this relay, or cannot be read:"
                " they are ignored. Do all its processes have the same webhook secret?",
                self._channel,
            )
            self._ignoring = True


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


class EventRelay:
    """Passes webhooks on to the clients of all processes, for programs without an event loop.

    A context manager. It runs an `AsyncEventRelay` in a thread of its own, so make it after a fork. Its
    `notify` may be called in any thread: ``webhook_app(relay.notify, secret=...)``.
    """

    def __init__(
        self, url: str, *clients: Client, secret: str | Sequence[str], channel: str = CHANNEL
    ) -> None:
        """Set up; nothing is sent yet. The arguments and errors are those of `AsyncEventRelay`."""
        for client in clients:
            arguments.instance("clients", client, Client)
        self._relay = AsyncEventRelay(url, *clients, secret=secret, channel=channel)
        self._portal: BlockingPortal | None = None
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        """Start to listen. It is no error if Redis cannot be reached."""
        with ExitStack() as stack:
            portal = stack.enter_context(start_blocking_portal())
            stack.enter_context(portal.wrap_async_context_manager(self._relay))
            self._portal, self._exit = portal, stack.pop_all()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._portal = None
        self._exit.close()

    def notify(self, event: Event) -> None:
        """Notify the clients of this process and, through Redis, the others; see `AsyncEventRelay.notify`.

        It takes up to a few seconds while Redis does not answer.
        """
        if self._portal is None:
            raise ClientStateError("The relay is not open: use it as a context manager.")
        self._portal.call(self._relay.notify, event)
