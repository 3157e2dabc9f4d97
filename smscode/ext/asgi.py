"""A webhook endpoint as an ASGI application. It needs no extra."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from typing import TypeAlias, cast

from .._async.client import AsyncClient
from .._sync.client import Client
from ..receiver import WebhookAnswer, WebhookReceiver
from ..webhooks import LARGEST_BODY
from ._webhook_listeners import Callback, WebhookListeners

__all__ = ["WebhookApp", "webhook_app"]

AsgiMessage: TypeAlias = MutableMapping[str, object]
AsgiReceive: TypeAlias = Callable[[], Awaitable[AsgiMessage]]
AsgiSend: TypeAlias = Callable[[AsgiMessage], Awaitable[None]]


class WebhookApp:
    """The ASGI application that `webhook_app` makes; on asyncio or trio, at any path."""

    def __init__(self, receiver: WebhookReceiver, listeners: WebhookListeners) -> None:
        self._receiver = receiver
        self._listeners = listeners

    async def __call__(self, scope: AsgiMessage, receive: AsgiReceive, send: AsgiSend) -> None:
        """Serve one request; the application's start and end are nothing to it."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)
        else:
            await send({"type": "websocket.close"})

    async def _serve(self, scope: AsgiMessage, receive: AsgiReceive, send: AsgiSend) -> None:
        headers = list(cast("Iterable[tuple[bytes, bytes]]", scope["headers"]))
        answer = self._receiver.refuse(str(scope["method"]), headers)
        if answer is None:
            body = await _read(receive)
            if body is None:
                return
            answer = self._receiver.receive(headers, body)
        event = self._listeners.notify_clients(answer)
        # The event is believed, whether or not the sender is still there to hear that.
        with contextlib.suppress(OSError):
            await _answer(send, answer)
        # The request is over for its sender; this task goes on, and the server waits for it when it stops.
        if event is not None:
            await self._listeners.run_callbacks(event)


async def _live(receive: AsgiReceive, send: AsgiSend) -> None:
    ending = False
    while not ending:
        kind = str((await receive())["type"])
        ending = kind == "lifespan.shutdown"
        await send({"type": f"{kind}.complete"})


async def _read(receive: AsgiReceive) -> bytes | None:
    """Read the body, of one that is too large only enough to tell; None: the sender left."""
    body = bytearray()
    while len(body) <= LARGEST_BODY:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += cast(bytes, message.get("body", b""))
        if not message.get("more_body", False):
            break
    return bytes(body)


async def _answer(send: AsgiSend, answer: WebhookAnswer) -> None:
    body = answer.reason.encode()
    headers = [(name.encode(), value.encode()) for name, value in answer.headers]
    if answer.status != 204:
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def webhook_app(*to: AsyncClient | Client | Callback, secret: str | Sequence[str]) -> WebhookApp:
    """Make an ASGI application that receives the account's webhooks.

    Each of ``to`` is told of every event. A client's waits for that SMS end at once. A function takes the
    event: an ``async def`` runs in the event loop, any other in a thread, after the delivery is answered,
    so it may take its time; the server waits for it when it stops. What it raises is logged without its
    text and changes no answer. A process passes no delivery on twice; two processes may pass on the same.

    ``secret`` is the account's webhook secret, or several while one replaces another. Raises
    `InvalidArgumentError` without one.
    """
    return WebhookApp(WebhookReceiver(secret), WebhookListeners(to))
