"""A webhook endpoint for aiohttp's web server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from .._async.client import AsyncClient
from .._sync.client import Client
from ..core.timeouts import check_seconds
from ..errors import ConfigurationError
from ..receiver import DeliveryBody, WebhookReceiver
from ._webhook_listeners import DEFAULT_PATH, Callback, WebhookListeners

if TYPE_CHECKING:
    from aiohttp import web


def add_webhook(
    app: web.Application,
    *to: AsyncClient | Client | Callback,
    secret: str | Sequence[str],
    path: str = DEFAULT_PATH,
    shutdown_timeout: float = 10.0,
) -> None:
    """Add a route to an application that receives the account's webhooks at ``path``.

    ``to`` and ``secret`` are those of `smscode.ext.asgi.webhook_app`. When the application ends, functions
    that still run have ``shutdown_timeout`` seconds (default 10) before they are cancelled. Add a client's
    own clean-up before this, so that the client is still open then.

    Raises `ConfigurationError` without the ``aiohttp`` extra, and `InvalidArgumentError` like `webhook_app`
    and for a ``shutdown_timeout`` that is no positive number.
    """
    try:
        from aiohttp import web
    except ImportError:
        raise ConfigurationError(
            'The webhook endpoint needs aiohttp: pip install "smscode-async[aiohttp]"'
        ) from None
    seconds = check_seconds("shutdown_timeout", shutdown_timeout)
    receiver, listeners = WebhookReceiver(secret), WebhookListeners(to)
    running: set[asyncio.Task[None]] = set()

    async def serve(request: web.Request) -> web.Response:
        answer = receiver.refuse(request.method, request.raw_headers)
        if answer is None:
            answer = receiver.receive(request.raw_headers, await _read(request))
        event = listeners.notify_clients(answer)
        if event is not None:
            # In a task of its own, because aiohttp serves the next request of this connection after this one
            # ends.
            task = asyncio.create_task(listeners.run_callbacks(event))
            running.add(task)
            task.add_done_callback(running.discard)
        return web.Response(status=answer.status, body=answer.reason.encode(), headers=answer.headers)

    async def finish(_: web.Application) -> AsyncIterator[None]:
        yield
        if running:
            await asyncio.wait(running, timeout=seconds)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    app.router.add_route("*", path, serve)
    app.cleanup_ctx.append(finish)


async def _read(request: web.Request) -> bytes:
    """Read the body, as far as it is worth reading."""
    body = DeliveryBody()
    async for piece in request.content.iter_any():
        if not body.feed(piece):
            break
    return bytes(body)
