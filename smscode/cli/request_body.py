"""Reads the body of a request for the standard library's HTTP server, which does not do it itself."""

from __future__ import annotations

import re
from email.message import Message
from typing import Protocol

from ..receiver import DeliveryBody, WebhookAnswer

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;.*)?\r?\n", re.DOTALL)
_LONGEST_LINE = 1024
_MOST_TRAILERS = 100


class Source(Protocol):
    """The stream that a body is read from."""

    def read(self, size: int, /) -> bytes: ...
    def readline(self, size: int, /) -> bytes: ...


def read_body(headers: Message, source: Source) -> bytes | WebhookAnswer:
    """Return the body of a request, as far as it is worth reading, or the answer that refuses it.

    A body has a length, or is sent in chunks (RFC 9112, 7.1), as tunnels and proxies do; with both, the
    chunks count.
    """
    codings = ",".join(headers.get_all("transfer-encoding", [])).strip().lower()
    body = DeliveryBody()
    if not codings:
        length = headers.get("content-length", "")
        body.read(source, int(length) if length.isdecimal() else 0)
    elif codings != "chunked":
        return WebhookAnswer(501, "The webhook's body has a transfer encoding other than chunked.")
    elif not _read_chunks(source, body):
        return WebhookAnswer(400, "The chunks of the webhook's body cannot be read.")
    return bytes(body)


def _read_chunks(source: Source, body: DeliveryBody) -> bool:
    """Read the chunks into the body; return False if they break the protocol or end too early."""
    while body.room:
        size = _SIZE.fullmatch(source.readline(_LONGEST_LINE))
        if size is None:
            return False
        left = int(size[1], 16)
        if left == 0:
            return _skip_trailers(source)
        if not body.read(source, left) or (body.room and source.readline(2) not in (b"\r\n", b"\n")):
            return False
    return True


def _skip_trailers(source: Source) -> bool:
    """Read the lines after the last chunk; return True if they end with an empty one."""
    lines = (source.readline(_LONGEST_LINE) for _ in range(_MOST_TRAILERS))
    return any(line in (b"\r\n", b"\n") for line in lines)
