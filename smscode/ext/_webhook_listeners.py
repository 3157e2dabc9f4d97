"""The clients and functions that get the events of a webhook endpoint.

Clients are notified before the delivery is answered, which takes no time; functions are called after it.
"""

from __future__ import annotations

import inspect
import logging
import traceback
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import TypeAlias

import anyio
import anyio.to_thread
import attrs
from anyio.lowlevel import RunVar

from .._async.client import AsyncClient
from .._sync.client import Client
from ..core.api import arguments
from ..errors import InvalidArgumentError
from ..receiver import WebhookAnswer
from ..webhooks import Event, OrderEvent, UnknownEvent, WebhookTest

Callback: TypeAlias = Callable[[Event], object]
"""A function that takes an event; an ``async def`` runs in the event loop, any other in a thread."""

DEFAULT_PATH = "/smscode-webhook"

_MOST_THREADS = 40
_THREADS: RunVar[anyio.CapacityLimiter] = RunVar("smscode_webhook_threads")
_log = logging.getLogger("smscode.webhooks")


class WebhookListeners:
    """The clients and functions that get the events of one endpoint."""

    def __init__(self, to: Sequence[AsyncClient | Client | Callback]) -> None:
        """Sort the listeners; raises `InvalidArgumentError` without any, or for another kind of object."""
        if not to:
            raise InvalidArgumentError("to: expected a client or a function that takes the event.")
        self._clients: list[AsyncClient | Client] = []
        self.callbacks: list[Callback] = []
        for one in to:
            if isinstance(one, AsyncClient | Client):
                self._clients.append(one)
            elif callable(one):
                self.callbacks.append(one)
            else:
                raise arguments.wrong("to", "a client or a function that takes the event", one)

    def notify_clients(self, answer: WebhookAnswer) -> Event | None:
        """Notify the clients of the event, if any; return it if there are functions to call with it."""
        if answer.error is not None or answer.status == HTTPStatus.LENGTH_REQUIRED:
            _log.warning("A webhook was refused with %d: %s", answer.status, answer.reason)
        if answer.event is None:
            return None
        for client in self._clients:
            client.notify(answer.event)
        return answer.event if self.callbacks else None

    async def run_callbacks(self, event: Event) -> None:
        """Call all functions at once and wait until they have ended; what they raise is logged."""
        async with anyio.create_task_group() as tasks:
            for callback in self.callbacks:
                tasks.start_soon(_run, callback, event)


async def _run(callback: Callback, event: Event) -> None:
    try:
        if is_async(callback):
            result = callback(event)
        else:
            result = await anyio.to_thread.run_sync(callback, event, limiter=_threads())
        if isinstance(result, Awaitable):
            await result
    except Exception as error:
        report(callback, error)


def is_async(callback: Callback) -> bool:
    """Return True if a function or method, or the ``__call__`` of an object, is an ``async def``."""
    return inspect.iscoroutinefunction(callback) or inspect.iscoroutinefunction(
        getattr(callback, "__call__", None)  # noqa: B004
    )


def report(callback: Callback, error: Exception) -> None:
    """Log the type and place of an exception that a function raised, but no text, which may hold a code."""
    name = getattr(callback, "__qualname__", type(callback).__qualname__)
    where = "".join(traceback.format_tb(error.__traceback__))
    what = type(error).__qualname__ + _missing_field(error)
    _log.error("The webhook function %s raised %s in\n%s", name, what, where)


def _missing_field(error: Exception) -> str:
    """Return the explanation of a field that only events of an order have, read from another event."""
    # Both names are this package's own, so the text holds nothing that the sender or the function wrote.
    if (
        isinstance(error, AttributeError)
        and isinstance(error.obj, WebhookTest | UnknownEvent)
        and error.name in attrs.fields_dict(OrderEvent)
    ):
        kind = type(error.obj).__name__
        return f" (a {kind} has no {error.name}: check isinstance(event, OrderEvent) first)"
    return ""


def _threads() -> anyio.CapacityLimiter:
    """Return the limiter of the event loop's threads for functions, apart from those of the web framework."""
    try:
        return _THREADS.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(_MOST_THREADS)
        _THREADS.set(limiter)
        return limiter
