"""Reading the body of a request with the standard library's HTTP server, which leaves that to others."""

from __future__ import annotations

import re
from email.message import Message
from typing import Protocol

from ..receiver import WebhookAnswer
from ..webhooks import LARGEST_BODY

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;.*)?\r?\n", re.DOTALL)
_LONGEST_LINE = 1024
_MOST_TRAILERS = 100


class Source(Protocol):
    """What a body is read from."""

    def read(self, size: int, /) -> bytes: ...
    def readline(self, size: int, /) -> bytes: ...


def read_body(headers: Message, source: Source) -> bytes | WebhookAnswer:
    """Return the body of a request, or what to answer where it cannot be read.

    A body has a length, or is sent in chunks (RFC 9112, 7.1), as tunnels and proxies do; with both, the
    chunks count. Of one that is too large only enough is read to know that.
    """
    codings = ",".join(headers.get_all("transfer-encoding", [])).strip().lower()
    if not codings:
        length = headers.get("content-length", "")
        return source.read(int(length) if length.isdecimal() else 0)
    if codings != "chunked":
        return WebhookAnswer(501, "The webhook's body has a transfer encoding other than chunked.")
    body = _read_chunks(source)
    return WebhookAnswer(400, "The chunks of the webhook's body cannot be read.") if body is None else body


def _read_chunks(source: Source) -> bytes | None:
    """Return the joined chunks, None where they are not as the protocol says, or end too early."""
    body = bytearray()
    while len(body) <= LARGEST_BODY:
        size = _SIZE.fullmatch(source.readline(_LONGEST_LINE))
        if size is None:
            return None
        left = int(size[1], 16)
        if left == 0:
            return bytes(body) if _skip_trailers(source) else None
        wanted = min(left, LARGEST_BODY + 1 - len(body))
        piece = source.read(wanted)
        body += piece
        if len(piece) < wanted or (wanted == left and source.readline(2) not in (b"\r\n", b"\n")):
            return None
    return bytes(body)


def _skip_trailers(source: Source) -> bool:
    """Read the lines after the last chunk; return True if they end with an empty one."""
    lines = (source.readline(_LONGEST_LINE) for _ in range(_MOST_TRAILERS))
    return any(line in (b"\r\n", b"\n") for line in lines)
