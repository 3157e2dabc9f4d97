"""HTTP/1.1 by hand: requests out of bytes, answers into bytes, and the hostile answers.

Standard library only.
"""

from __future__ import annotations

import gzip
import json
import zlib
from functools import cache

from tests.faults.api import Asked, Reply

_REASONS = {
    200: "OK",
    401: "Unauthorized",
    404: "Not Found",
    409: "Conflict",
    422: "Unprocessable Content",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
}
_BOMB = 1 << 28
_BIG_HEADER = 10_000_000

GARBAGE = b"\x16\x03\x01\x02\x00\x01\x00garbage, not HTTP\r\n\r\n"
EXTRA = b"HTTP/1.1 200 OK\r\ncontent-length: 36\r\n\r\n" + b'{"success": true, "data": "POISON!"}'
INTERIM = b"HTTP/1.1 102 Processing\r\n\r\n" * 400


class BadRequestError(Exception):
    """What came is not HTTP as any client of this test sends it."""


def head_of(buffer: bytes | bytearray) -> Asked | None:
    """Read the head of a request, without its body; None as long as it is not whole."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        if len(buffer) > 65_536:
            raise BadRequestError
        return None
    first, *lines = bytes(buffer[:end]).decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3:
        raise BadRequestError
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return Asked(parts[0], parts[1], headers, b"")


def size_of(buffer: bytes | bytearray, asked: Asked) -> int:
    """Return how many bytes the whole request has, head and body."""
    return buffer.find(b"\r\n\r\n") + 4 + int(asked.headers.get("content-length", "0"))


def framed(reply: Reply, request_id: str, framing: str = "length") -> bytes:
    """Write an answer, its body in one of the framings of `Script`."""
    body = json.dumps(reply.value, separators=(",", ":")).encode()
    lines = [
        f"HTTP/1.1 {reply.status} {_REASONS.get(reply.status, 'Unknown')}",
        "content-type: application/json",
        f"x-request-id: {request_id}",
    ]
    if reply.retry_after is not None:
        lines.append(f"retry-after: {reply.retry_after}")
    if framing == "gzip":
        body = gzip.compress(body, mtime=0)
        lines.append("content-encoding: gzip")
    if framing == "chunked":
        lines.append("transfer-encoding: chunked")
        third = len(body) // 3
        pieces = [body[:third], body[third : 2 * third], body[2 * third :], b""]
        body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    elif framing == "close":
        lines.append("connection: close")
    else:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def html(status: int) -> bytes:
    """Write the error page of a proxy that never heard of the API."""
    body = b"<html><head><title>Error</title></head><body><h1>Bad Gateway</h1></body></html>"
    head = f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}\r\ncontent-type: text/html\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


@cache
def bomb() -> bytes:
    """Write a small answer that decompresses to 256 megabytes."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    block = b"0" * (1 << 20)
    parts = [packer.compress(b'{"success": true, "data": "')]
    parts += [packer.compress(block) for _ in range(_BOMB // len(block))]
    body = b"".join([*parts, packer.compress(b'"}'), packer.flush()])
    head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


@cache
def big_header() -> bytes:
    """Write an answer with a header of ten megabytes."""
    body = b'{"success": true, "data": {}}'
    head = b"HTTP/1.1 200 OK\r\nx-much: " + b"m" * _BIG_HEADER
    return head + b"\r\ncontent-length: %d\r\n\r\n" % len(body) + body
