"""A webhook endpoint as a WSGI application. It needs no extra."""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from .._async.client import AsyncClient
from .._sync.client import Client
from ..errors import InvalidArgumentError
from ..receiver import DeliveryBody, WebhookAnswer, WebhookReceiver
from ..webhooks import Event
from ._webhook_listeners import Callback, WebhookListeners, is_async, report

if TYPE_CHECKING:
    from typing import Protocol
    from wsgiref.types import StartResponse, WSGIEnvironment

    class _Input(Protocol):
        def read(self, size: int, /) -> bytes: ...


__all__ = ["WebhookApp", "webhook_app"]

_MOST_THREADS = 8
_NO_LENGTH = WebhookAnswer(
    411, "The webhook's body was sent in chunks, which this WSGI server does not pass on: send its length."
)


class WebhookApp:
    """The WSGI application that `webhook_app` returns. It serves any path, in any number of threads."""

    def __init__(self, receiver: WebhookReceiver, listeners: WebhookListeners) -> None:
        self._receiver = receiver
        self._listeners = listeners
        # The pool starts its threads with the first events, so a server may fork before that.
        self._threads = ThreadPoolExecutor(_MOST_THREADS, "smscode-webhooks")

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        """Serve one request."""
        method = str(environ["REQUEST_METHOD"])
        headers = _headers(environ)
        answer = self._receiver.refuse(method, headers)
        if answer is None:
            body = _read(environ)
            answer = _NO_LENGTH if body is None else self._receiver.receive(headers, body)
        event = self._listeners.notify_clients(answer)
        if event is not None:
            for callback in self._listeners.callbacks:
                try:
                    self._threads.submit(_run, callback, event)
                except RuntimeError as error:  # the pool is closed, or the interpreter ends
                    report(callback, error)
        return _answer(start_response, answer)

    def close(self) -> None:
        """Wait for the functions that still run, without a limit, as the interpreter does when it ends."""
        self._threads.shutdown()


def _headers(environ: WSGIEnvironment) -> list[tuple[str, str]]:
    """Return the request's headers under their own names."""
    headers = [
        (name.removeprefix("HTTP_").replace("_", "-"), str(value))
        for name, value in environ.items()
        if name.startswith("HTTP_")
    ]
    return [*headers, ("content-length", str(environ.get("CONTENT_LENGTH") or ""))]


def _read(environ: WSGIEnvironment) -> bytes | None:
    """Read the body, as far as it is worth reading. Return None if nothing says where it ends.

    Chunks count before a length (RFC 9112, 6.3). By PEP 3333 nothing may be read beyond the length, so a body
    in chunks can be read only if the server says that its input ends by itself.
    """
    source = cast("_Input", environ["wsgi.input"])
    chunked = bool(environ.get("HTTP_TRANSFER_ENCODING"))
    ends = environ.get("wsgi.input_terminated") or (chunked and isinstance(source, io.BytesIO))
    length = str(environ.get("CONTENT_LENGTH") or "")
    if chunked and not (ends or length.isdecimal()):
        return None
    body = DeliveryBody()
    if ends and (chunked or not length.isdecimal()):
        body.read(source)
    else:
        body.read(source, int(length[:16]) if length.isdecimal() else 0)
    return bytes(body)


def _answer(start_response: StartResponse, answer: WebhookAnswer) -> list[bytes]:
    body = answer.reason.encode()
    headers = list(answer.headers)
    if answer.status != 204:
        headers.append(("content-length", str(len(body))))
    start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", headers)
    return [body] if body else []


def _run(callback: Callback, event: Event) -> None:
    try:
        callback(event)
    except Exception as error:
        report(callback, error)


def webhook_app(*to: AsyncClient | Client | Callback, secret: str | Sequence[str]) -> WebhookApp:
    """Return a WSGI application that receives the account's webhooks.

    Each of ``to`` is a client or a function, and gets every event once. A client's waits for that SMS end at
    once, also those of an `AsyncClient` in another thread. A function takes the event, in one of at most 8
    threads of the application, so the delivery is answered whatever it does; `WebhookApp.close` waits for it.
    What it raises is logged without its text, and changes no answer.

    ``secret`` is the account's webhook secret, or several while one replaces another. Raises
    `InvalidArgumentError` without a secret, without a client or function, and for an ``async def``.
    """
    listeners = WebhookListeners(to)
    if any(map(is_async, listeners.callbacks)):
        raise InvalidArgumentError("to: expected plain functions; for async ones there is smscode.ext.asgi.")
    return WebhookApp(WebhookReceiver(secret), listeners)
