"""Rows P42..P55 of the bad-input catalogue: what a server may put on the wire, byte by byte."""

from __future__ import annotations

import gzip
from collections.abc import Sequence

from smscode import APIError, InvalidResponseError, NetworkError, RequestTimeoutError

from .table import Case, Check, Step, calling, fails, gives, opening

BODY = b'{"success":true,"data":{"currency":"IDR","balance":5}}'
REFUSED = b'{"success":false,"error":{"code":"NEW_CODE","message":"Scripted"}}'
CREATED = b'{"success":true,"data":{"orders":[{"id":7}],"failed_count":0}}'
LENGTH = b"content-length: %d" % len(BODY)
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)

BALANCE = opening(api_version="v1")
CREATE = calling("orders.create", product_id=142).on(api_version="v1")
GIVES = gives(5, "balance.canonical_amount")
BROKE = fails(NetworkError, "No answer (", "unknown")
NOT_WHOLE = fails(InvalidResponseError, "$: expected a JSON object, got", "unknown")
NOT_ASKED = fails(InvalidResponseError, "content encoding that was not asked for", "unknown")
DAMAGED = fails(NetworkError, "compression", "unknown")
REDIRECT = fails(InvalidResponseError, "got a redirect, which is never followed", "unknown")


def http(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    """Return an answer as it goes over the wire; without headers it states its length."""
    return b"\r\n".join([b"HTTP/1.1 " + status, *(headers or [b"content-length: %d" % len(body)]), b"", body])


def wires(row: str, check: Check, *wires: bytes, step: Step = BALANCE, closes: bool = False) -> list[Case]:
    """Make cases of a server that sends bytes as they are."""
    return [Case(row, step, check, wire=wire, closes=closes) for wire in wires]


def encoded(encoding: bytes, body: bytes) -> bytes:
    return http(body, b"content-encoding: " + encoding, b"content-length: %d" % len(body))


def lengths(*values: object) -> list[bytes]:
    return [http(BODY, b"content-length: " + str(value).encode()) for value in values]


def statuses(values: Sequence[str], body: bytes) -> list[bytes]:
    return [http(body, status=value.encode() + b" X") for value in values]


INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"

WIRE: list[Case] = [
    *wires("P42", NOT_WHOLE, *lengths(5, 0), closes=True),
    *wires("P42", BROKE, *lengths(len(BODY) + 1, 10**9), closes=True),
    *wires("P42", BROKE, *lengths(-1, f"+{len(BODY)}", hex(len(BODY)), "", "5 5"), closes=True),
    *wires("P42", BROKE, http(BODY, LENGTH, b"content-length: 5"), closes=True),
    *wires("P42", GIVES, http(BODY, LENGTH, LENGTH)),  # the same twice is not ambiguous (RFC 9112 6.3)
    *wires("P43", BROKE, http(CHUNKED, b"transfer-encoding: gzip, chunked"), closes=True),
    # RFC 9112 6.3: chunks go before a length. That all of them came, the JSON proves.
    *wires("P43", GIVES, http(CHUNKED, b"transfer-encoding: chunked", LENGTH)),
    *wires("P43", BROKE, http(BODY, b"transfer-encoding: chunked", LENGTH), closes=True),
    *wires("P44", GIVES, encoded(b"identity", BODY)),
    *wires(
        "P44",
        GIVES,
        encoded(b"gzip", gzip.compress(BODY, mtime=0)),
        encoded(b"x-gzip", gzip.compress(BODY, mtime=0)),
    ),
    *wires("P44", NOT_ASKED, *(encoded(name, BODY) for name in (b"br", b"zstd", b"gzip, gzip", b"foo"))),
    # A gzip body may have several members (RFC 1952, 2.2).
    *wires(
        "P44", GIVES, encoded(b"gzip", gzip.compress(BODY[:20], mtime=0) + gzip.compress(BODY[20:], mtime=0))
    ),
    *wires("P44", GIVES, encoded(b"gzip", b"".join(gzip.compress(bytes([byte]), mtime=0) for byte in BODY))),
    *wires("P44", GIVES, encoded(b"gzip", gzip.compress(BODY, mtime=0) + bytes(8))),
    *wires(
        "P44",
        DAMAGED,
        encoded(b"gzip", gzip.compress(BODY[:20], mtime=0) + gzip.compress(BODY[20:], mtime=0)[:-1]),
    ),
    # Damage on the way is no answer at all: as ambiguous as a connection that broke (1.3 row 12).
    *wires(
        "P44", DAMAGED, encoded(b"gzip", b"not gzip"), encoded(b"gzip", gzip.compress(BODY, mtime=0)[:-9])
    ),
    *wires("P45", GIVES, INTERIM + http(BODY), INTERIM * 50 + http(BODY)),
    *wires("P45", GIVES, *(b"HTTP/1.1 %b\r\n\r\n" % status + http(BODY) for status in (b"102 X", b"103 X"))),
    # However many there are, the deadline of the call bounds them. It is long enough to connect before.
    *wires(
        "P45",
        fails(RequestTimeoutError, "No answer in time", "unknown"),
        INTERIM * 50_000,
        step=BALANCE.on(timeout=0.5),
    ),
    *wires("P45", BROKE, http(b"", b"upgrade: x", b"connection: upgrade", status=b"101 X"), closes=True),
    *wires("P46", BROKE, *statuses(["0", "99", "abc", "-1", "1000"], BODY), closes=True),
    *wires(
        "P46",
        fails(InvalidResponseError, "$.success: expected false", "unknown"),
        *statuses(["600", "999"], BODY),
    ),
    *wires(
        "P46",
        fails(APIError, "Scripted", "unknown", code="NEW_CODE"),
        *statuses(["600", "999"], REFUSED),
        step=CREATE,
    ),
    *(
        case
        for status in (b"301 X", b"302 X", b"303 X", b"307 X", b"308 X")
        for location in (b"location: https://elsewhere.example.net/", b"location: http://[::1", b"x: y")
        for case in wires("P47", REDIRECT, http(BODY, LENGTH, location, status=status), step=CREATE)
    ),
    *wires("P49", BROKE, http(BODY, LENGTH, b"x: " + b"a" * 200_000), closes=True),
    *wires("P49", BROKE, http(BODY, LENGTH, *(b"x-%d: %d" % (n, n) for n in range(10_000))), closes=True),
    # The server here answers when it has the head of the request, so before it has the body.
    *wires("P55", gives(7, lambda created: created.orders[0].id), http(CREATED), step=CREATE),
    # It also closes before the body has come, so what the client sees may be a reset.
    *wires("P55", fails(NetworkError, "No answer", "unknown"), http(CREATED)[:-9], step=CREATE, closes=True),
]
