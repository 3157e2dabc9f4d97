"""The logic of a webhook endpoint, for any web framework: what to answer, and which events to pass on. No
I/O.

`smscode.ext` has endpoints with this logic for FastAPI, aiohttp, ASGI and WSGI. In any other framework::

    receiver = WebhookReceiver(secret)
    answer = receiver.receive(request.headers.items(), request.body)
    if answer.event is not None:
        client.notify(answer.event)
    return Response(answer.reason, answer.status)
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeAlias

from attrs import frozen

from .core.api import arguments
from .errors import WebhookPayloadError, WebhookSignatureError
from .webhooks import LARGEST_BODY, SIGNATURE_HEADER, Event, parse, secret_keys, verify

__all__ = ["Header", "WebhookAnswer", "WebhookReceiver"]

Header: TypeAlias = tuple[str, str] | tuple[bytes, bytes]
"""The name of a header, in any case, and its value, as text or bytes."""

_MOST_DIGESTS = 10_000


@frozen
class WebhookAnswer:
    """The answer to a delivery, and the ``event`` to pass on.

    ``status`` is the HTTP status: 204 for a valid delivery (a repeated one, too), 401 for a missing or wrong
    signature, 400 for a signed body that is no event, 405 for another method than POST, 411 if the server
    cannot tell where the body ends, 413 if the body is larger than `smscode.webhooks.LARGEST_BODY`, 501 for
    an unknown transfer encoding. ``reason`` is the text to answer with, empty with 204. ``event`` is None
    unless a valid delivery came for the first time. ``error`` is what `smscode.webhooks` raised, None if
    nothing. ``duplicate`` is True if the same delivery came before.
    """

    status: int
    reason: str = ""
    event: Event | None = None
    error: WebhookSignatureError | WebhookPayloadError | None = None
    duplicate: bool = False

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers to answer with, except ``content-length``."""
        headers = [("content-type", "text/plain; charset=utf-8")] if self.reason else []
        return [*headers, ("allow", "POST")] if self.status == 405 else headers


_TOO_LARGE = WebhookAnswer(413, f"The webhook's body is larger than {LARGEST_BODY} bytes.")


class _Source(Protocol):
    def read(self, size: int, /) -> bytes: ...


class DeliveryBody:
    """The body of a delivery while it is read: at most one byte more than `LARGEST_BODY`.

    All endpoints of this package read with it, each from its own kind of source.
    """

    def __init__(self) -> None:
        self._body = bytearray()

    @property
    def room(self) -> int:
        """The number of bytes that are still worth reading; 0 if the body is too large."""
        return max(LARGEST_BODY + 1 - len(self._body), 0)

    def feed(self, piece: bytes) -> bool:
        """Add the next piece; return False if the body is too large, so that no more needs to be read."""
        self._body += piece
        return self.room > 0

    def read(self, source: _Source, length: int | None = None) -> bool:
        """Read ``length`` bytes, or to the end, from a source that blocks, as far as they are worth reading.

        Return False if the source ended before.
        """
        left = self.room if length is None else min(length, self.room)
        while left and (piece := source.read(left)):
            self._body += piece
            left -= len(piece)
        return not left

    def __bytes__(self) -> bytes:
        return bytes(self._body)


class _Remembered:
    """The digests of the newest deliveries, at most ``most``; it may be used by several threads at once."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._digests: OrderedDict[bytes, None] = OrderedDict()
        self._lock = threading.Lock()  # no other lock is taken under it

    def __len__(self) -> int:
        return len(self._digests)

    def add(self, digest: bytes) -> bool:
        """Store a digest; return True to the first caller with it, False to all others."""
        with self._lock:
            if digest in self._digests:
                return False
            self._digests[digest] = None
            if len(self._digests) > self._most:
                self._digests.popitem(last=False)
            return True


class WebhookReceiver:
    """Checks deliveries, and remembers those that it accepted, so that no event is passed on twice.

    It may be used by several threads at once. It knows of the deliveries to this process only.
    """

    def __init__(self, secret: str | Sequence[str], *, most_remembered: int = _MOST_DIGESTS) -> None:
        """Set up for one account.

        ``secret`` is the account's webhook secret, or several while one replaces another: a delivery that is
        signed with any of them is accepted. ``most_remembered`` is the number of deliveries that are
        remembered, as digests of 32 bytes: 1..1000000, default 10000; the oldest are dropped first.

        Raises `InvalidArgumentError` without a secret, as such an endpoint would accept everything; for a
        secret with a line end, a space or quotation marks around it, which would match nothing; and for a
        ``most_remembered`` out of range.
        """
        secret_keys(secret)
        self._secret: tuple[str, ...] = (secret,) if isinstance(secret, str) else tuple(secret)
        self._seen = _Remembered(arguments.integer("most_remembered", most_remembered, 1, 1_000_000))

    def refuse(self, method: str, headers: Iterable[Header]) -> WebhookAnswer | None:
        """Check a request before its body is read: return the answer that refuses it, or None.

        If it is None, read the body and call `receive`. Reading may stop as soon as the body is larger than
        `smscode.webhooks.LARGEST_BODY` (in bytes).
        """
        if method != "POST":
            return WebhookAnswer(405, "A webhook is a POST request.")
        lengths = _values(headers, "content-length")
        if any(length.isdecimal() and int(length[:16]) > LARGEST_BODY for length in lengths):
            return _TOO_LARGE
        return None

    def receive(self, headers: Iterable[Header], body: bytes) -> WebhookAnswer:
        """Check a delivery and return the answer to it, with the event if it is to be passed on.

        ``body`` are the raw bytes, before a framework parsed them. Raises nothing, whatever the sender sent:
        errors are in the answer.
        """
        if len(body) > LARGEST_BODY:
            return _TOO_LARGE
        try:
            verify(body, _signature(headers), self._secret)
            event = parse(body)
        except WebhookSignatureError as error:
            return WebhookAnswer(401, error.message, error=error.with_traceback(None))
        except WebhookPayloadError as error:
            # The frames hold the body, and an error report may print their variables.
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
    """Return the signature header; several are joined, so that they match nothing, even if they are equal."""
    signatures = _values(headers, SIGNATURE_HEADER.lower())
    return ", ".join(signatures) if signatures else None
