"""Who is told of a webhook: the waits of clients before the answer goes out, functions after it."""

from __future__ import annotations

import inspect
import logging
import traceback
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import TypeAlias

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from .._async.client import AsyncClient
from .._sync.client import Client
from ..core.api import arguments
from ..errors import InvalidArgumentError
from ..receiver import WebhookAnswer
from ..webhooks import Event

Callback: TypeAlias = Callable[[Event], object]
"""A function of the caller's; an ``async def`` runs in the event loop, another in a thread."""

DEFAULT_PATH = "/smscode-webhook"

_MOST_THREADS = 40
_THREADS: RunVar[anyio.CapacityLimiter] = RunVar("smscode_webhook_threads")
_log = logging.getLogger("smscode.webhooks")


class WebhookListeners:
    """The clients and functions that are told of the events of one endpoint."""

    def __init__(self, to: Sequence[AsyncClient | Client | Callback]) -> None:
        """Store the listeners; raises `InvalidArgumentError` for nobody, or for something else."""
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
        """Notify the clients, which takes no time; return the event to call the functions with."""
        if answer.error is not None or answer.status == HTTPStatus.LENGTH_REQUIRED:
            _log.warning("A webhook was refused with %d: %s", answer.status, answer.reason)
        if answer.event is None:
            return None
        for client in self._clients:
            client.notify(answer.event)
        return answer.event if self.callbacks else None

    async def run_callbacks(self, event: Event) -> None:
        """Call all functions at once, however long they take; what they raise is logged."""
        async with anyio.create_task_group() as tasks:
            for callback in self.callbacks:
                tasks.start_soon(_tell, callback, event)


async def _tell(callback: Callback, event: Event) -> None:
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
    """Return True if a function, a method or an object that is called is ``async def``."""
    return inspect.iscoroutinefunction(callback) or inspect.iscoroutinefunction(
        getattr(callback, "__call__", None)  # noqa: B004
    )


def report(callback: Callback, error: Exception) -> None:
    """Log what a function raised: where, but not its text or any value, which may hold a code."""
    name = getattr(callback, "__qualname__", type(callback).__qualname__)
    where = "".join(traceback.format_tb(error.__traceback__))
    _log.error("The webhook function %s raised %s in\n%s", name, type(error).__qualname__, where)


def _threads() -> anyio.CapacityLimiter:
    """Return the threads for slow functions: not those that a web framework runs its own in."""
    try:
        return _THREADS.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(_MOST_THREADS)
        _THREADS.set(limiter)
        return limiter
