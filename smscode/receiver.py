"""What a webhook endpoint answers, and which events it passes on. No I/O, for any web framework.

`smscode.ext` has endpoints made of this for FastAPI, aiohttp, ASGI and WSGI. In any other framework::

    receiver = WebhookReceiver(secret)
    answer = receiver.receive(request.headers.items(), request.body)
    if answer.event is not None:
        client.notify(answer.event)
    return Response(answer.reason, answer.status)
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from attrs import frozen

from ._seen import Seen
from .core.api import arguments
from .errors import WebhookPayloadError, WebhookSignatureError
from .webhooks import LARGEST_BODY, SIGNATURE_HEADER, Event, parse, secret_keys, verify

__all__ = ["Header", "WebhookAnswer", "WebhookReceiver"]

Header: TypeAlias = tuple[str, str] | tuple[bytes, bytes]
"""A name and a value as the framework has them; the case of the name does not matter."""

_MOST_DIGESTS = 10_000


@frozen
class WebhookAnswer:
    """What to answer to a delivery, and the ``event`` to pass on: None when there is none, or no more.

    ``status`` is 204 for what is believed (also the second time), 401 without a right signature, 400 for
    what is signed but no event, 405 for another method than POST, 411 for a body whose end a server does
    not show, 413 for too large a body. ``reason`` is the text to answer with, ``error`` what
    `smscode.webhooks` raised. ``duplicate`` is True if the same delivery came before.
    """

    status: int
    reason: str = ""
    event: Event | None = None
    error: WebhookSignatureError | WebhookPayloadError | None = None
    duplicate: bool = False

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers to answer with, but for the length."""
        headers = [("content-type", "text/plain; charset=utf-8")] if self.reason else []
        return [*headers, ("allow", "POST")] if self.status == 405 else headers


_TOO_LARGE = WebhookAnswer(413, f"The webhook's body is larger than {LARGEST_BODY} bytes.")


class WebhookReceiver:
    """Decides about deliveries; it remembers those that it passed on, to pass on none of them twice.

    It may be used by any number of threads at once.
    """

    def __init__(self, secret: str | Sequence[str], *, most_remembered: int = _MOST_DIGESTS) -> None:
        """Set up with the account's webhook secret, or with several while one replaces another.

        ``most_remembered`` is the number of deliveries that a repeated one is compared with, by a digest
        of 32 bytes each: 1..1000000, the newest. Raises `InvalidArgumentError` without a secret, so an
        endpoint that would believe anything cannot be made, and for one with a line end, a space or quotation
        marks around it, with which it would believe nothing.
        """
        secret_keys(secret)
        self._secret: tuple[str, ...] = (secret,) if isinstance(secret, str) else tuple(secret)
        self._seen = Seen(arguments.integer("most_remembered", most_remembered, 1, 1_000_000))

    def refuse(self, method: str, headers: Iterable[Header]) -> WebhookAnswer | None:
        """Refuse a request before its body is read, or give None: then read it, and call `receive`.

        Of a body that turns out to be larger than `smscode.webhooks.LARGEST_BODY`, no more needs to be read.
        """
        if method != "POST":
            return WebhookAnswer(405, "A webhook is a POST request.")
        lengths = _values(headers, "content-length")
        if any(length.isdecimal() and int(length[:16]) > LARGEST_BODY for length in lengths):
            return _TOO_LARGE
        return None

    def receive(self, headers: Iterable[Header], body: bytes) -> WebhookAnswer:
        """Decide about a delivery: its signature first, then whether it came before, then what it says.

        ``body`` is the raw body, before any framework parsed it. Raises nothing that a sender could cause.
        """
        if len(body) > LARGEST_BODY:
            return _TOO_LARGE
        try:
            verify(body, _signature(headers), self._secret)
            event = parse(body)
        except WebhookSignatureError as error:
            return WebhookAnswer(401, error.message, error=error.with_traceback(None))
        except WebhookPayloadError as error:
            # Its frames hold the body, and whoever reports the error may print their variables.
            return WebhookAnswer(400, error.message, error=error.with_traceback(None))
        if not self._seen.add(hashlib.sha256(body).digest()):
            return WebhookAnswer(204, duplicate=True)
        return WebhookAnswer(204, event=event)


def _values(headers: Iterable[Header], name: str) -> list[str]:
    """Return the values of the headers of a name (in lower case)."""
    pairs = ((_text(header[0]), _text(header[1])) for header in headers)
    return [value for known, value in pairs if known.lower() == name]


def _text(part: str | bytes) -> str:
    return part if isinstance(part, str) else part.decode("latin-1")


def _signature(headers: Iterable[Header]) -> str | None:
    """Return the signature; of two, even equal ones, none is right."""
    signatures = _values(headers, SIGNATURE_HEADER.lower())
    return ", ".join(signatures) if signatures else None
