"""A webhook endpoint as an ASGI application. It needs no extra."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from typing import TypeAlias, cast

from .._async.client import AsyncClient
from .._sync.client import Client
from ..receiver import DeliveryBody, WebhookAnswer, WebhookReceiver
from ._webhook_listeners import Callback, WebhookListeners

__all__ = ["WebhookApp", "webhook_app"]

AsgiMessage: TypeAlias = MutableMapping[str, object]
AsgiReceive: TypeAlias = Callable[[], Awaitable[AsgiMessage]]
AsgiSend: TypeAlias = Callable[[AsgiMessage], Awaitable[None]]


class WebhookApp:
    """The ASGI application that `webhook_app` returns. It runs on asyncio and trio, and serves any path."""

    def __init__(self, receiver: WebhookReceiver, listeners: WebhookListeners) -> None:
        self._receiver = receiver
        self._listeners = listeners

    async def __call__(self, scope: AsgiMessage, receive: AsgiReceive, send: AsgiSend) -> None:
        """Serve one request, or the lifespan of the server. Web sockets are closed."""
        if scope["type"] == "lifespan":
            await _serve_lifespan(receive, send)
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
        # The event counts, even if the sender is no longer there to read the answer.
        with contextlib.suppress(OSError):
            await _answer(send, answer)
        # The sender has its answer now. This task goes on, and a server that stops waits for it.
        if event is not None:
            await self._listeners.run_callbacks(event)


async def _serve_lifespan(receive: AsgiReceive, send: AsgiSend) -> None:
    ending = False
    while not ending:
        kind = str((await receive())["type"])
        ending = kind == "lifespan.shutdown"
        await send({"type": f"{kind}.complete"})


async def _read(receive: AsgiReceive) -> bytes | None:
    """Read the body, as far as it is worth reading. Return None if the sender has left."""
    body = DeliveryBody()
    while (message := await receive())["type"] != "http.disconnect":
        if not (body.feed(cast(bytes, message.get("body", b""))) and message.get("more_body", False)):
            return bytes(body)
    return None


async def _answer(send: AsgiSend, answer: WebhookAnswer) -> None:
    body = answer.reason.encode()
    headers = [(name.encode(), value.encode()) for name, value in answer.headers]
    if answer.status != 204:
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def webhook_app(*to: AsyncClient | Client | Callback, secret: str | Sequence[str]) -> WebhookApp:
    """Return an ASGI application that receives the account's webhooks.

    Each of ``to`` is a client or a function, and gets every event once. A client's waits for that SMS end at
    once. A function takes the event, after the delivery was answered, so it may take its time; a server that
    stops waits for it. An ``async def`` runs in the event loop, any other function in a thread. What it
    raises is logged without its text, and changes no answer. Two processes may both pass the same delivery
    on.

    ``secret`` is the account's webhook secret, or several while one replaces another. Raises
    `InvalidArgumentError` without a secret, or without a client or function. Example::

        app = webhook_app(client, secret=os.environ["SMSCODE_WEBHOOK_SECRET"])
    """
    return WebhookApp(WebhookReceiver(secret), WebhookListeners(to))
