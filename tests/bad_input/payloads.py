"""Rows P1..P19 and P37..P51 of the bad-input catalogue: answers that any call may get, and their headers.

The catalogue's `IR` and `RVE` are one class here: `InvalidResponseError` names the JSON path, what was
expected and what was found. It never keeps the raw answer, in which codes and phone numbers are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx

from smscode import (
    APIError,
    ConflictError,
    InternalError,
    InvalidResponseError,
    NetworkError,
    NotFoundError,
    RateLimitError,
)

from .table import (
    ORDER,
    TOKEN,
    Case,
    Check,
    Header,
    Reply,
    answers,
    calling,
    fails,
    gives,
    opening,
    refusal,
    reply,
    success,
    talk,
)

GOOD = success({"currency": "IDR", "balance": 5})
HTML = b"<html>challenge</html>"

BALANCE = opening(api_version="v1")
GET = calling("orders.get", 1001).on(api_version="v1")
CREATE = calling("orders.create", product_id=142, idempotency_key="key-1").on(api_version="v1")
PATIENT = BALANCE.on(timeout=1e6)

HTML_TYPE = ("content-type", "text/html")
DATE = ("date", "Sun, 14 Jun 2026 04:00:00 GMT")
LATER = ("retry-after", "Sun, 14 Jun 2026 04:01:30 GMT")
PAUSED = gives(5, "balance.canonical_amount", sent=2, slept=[1.05])
PAUSED_FOR_LONG = gives(5, "balance.canonical_amount", sent=2, slept=[94.5])
CUT_OFF = gives(5, "balance.canonical_amount", sent=2, slept=[300.0])
GOES_ON = PAUSED  # what is not counted as an attempt is a second apart, whatever the hint

NOT_MESSAGES: Sequence[object] = (None, {}, [], 5, "")
NOT_ERRORS: Sequence[object] = (None, "x", [])
DETAILS: Sequence[object] = (None, True, 5, "x", [], {"a": [None]})


def unreadable(message: str = "$: expected a JSON object, got", status_code: int | None = None) -> Check:
    facts: dict[str, Any] = {} if status_code is None else {"status_code": status_code}
    return fails(InvalidResponseError, message, "unknown", **facts)


def raw(body: bytes) -> Reply:
    """Return an answer whose data is some JSON text."""
    return reply(b'{"success":true,"data":' + body + b"}")


def error(message: object) -> Reply:
    return refusal(409, "CONFLICT", message=message)


def throttled(*headers: Header) -> Reply:
    return refusal(429, "RATE_LIMIT_EXCEEDED", *headers)


def retry_after(seconds: float | None, *values: str) -> list[Case]:
    """Return what each ``Retry-After`` comes to; None: nothing, so the client's own pace."""
    # Half of the largest jitter, a tenth, is added to what was asked for; it is at least a second.
    pause = max(seconds or 0.0, 1.0) * 1.05
    check = gives(5, "balance.canonical_amount", sent=2, slept=[pause])
    row = "P38" if seconds is None else "P37"
    return [talk(row, check, PATIENT, throttled(DATE, ("retry-after", value)), GOOD) for value in values]


ENVELOPES: list[Case] = [
    *(
        case
        for step in (BALANCE, CREATE)
        for case in answers(
            "P1", unreadable(), step, *map(reply, (b"", b"null", b"[]", b'"x"', b"1", b"true"))
        )
    ),
    *answers("P1", unreadable("got an empty body"), CREATE, reply(b"", 204)),
    *answers("P2", unreadable("bytes of text/html"), CREATE, reply(HTML, 200, ("content-type", "text/html"))),
    *answers("P2", unreadable(), BALANCE, reply(HTML, 200, ("content-type", "application/json"))),
    *answers(
        "P2",
        gives(5, "balance.canonical_amount"),
        BALANCE,
        success({"balance": 5}, ("content-type", "text/html")),
    ),
    *answers("P3", unreadable("$: the field 'data' is missing"), BALANCE, reply({"success": True})),
    *answers("P3", unreadable("$: the field 'data' is missing"), CREATE, reply({"success": True})),
    *answers(
        "P4",
        unreadable("$.success: expected a boolean, got"),
        BALANCE,
        *(reply({"success": value, "data": {"balance": 5}}) for value in ("true", 1, None)),
    ),
    *answers(
        "P5",
        fails(APIError, "The service answered HTTP 409.", "unknown", code=None, details=None),
        CREATE,
        reply({"success": False}, 409),
        *(reply({"success": False, "error": wrong}, 409) for wrong in NOT_ERRORS),
    ),
    *answers(
        "P6", fails(NotFoundError, "Scripted", "rejected", status_code=200), GET, refusal(200, "NOT_FOUND")
    ),
    *answers(
        "P7",
        unreadable("$.success: expected false with HTTP 500, got true"),
        CREATE,
        reply({"success": True, "data": {"orders": [{"id": 1}]}}, 500),
    ),
    *answers(
        "P8", fails(APIError, "Scripted", "rejected", code="NEW_CODE"), CREATE, refusal(422, "NEW_CODE")
    ),
    *answers(
        "P8", fails(APIError, "Scripted", "rejected", code="not_found"), CREATE, refusal(404, "not_found")
    ),
    *answers(
        "P8", fails(APIError, "Scripted", "unknown", code=None), CREATE, refusal(404, 404), refusal(404, None)
    ),
    *answers(
        "P8", fails(APIError, "Scripted", "rejected", code="X" * 300), CREATE, refusal(422, "X" * 10_240)
    ),
    # The code makes the class and the pause; 429 with another code is what that code says.
    talk(
        "P9",
        fails(RateLimitError, "Scripted", "rejected", status_code=422, retry_after=60.0),
        BALANCE,
        refusal(422, "RATE_LIMIT_EXCEEDED", ("retry-after", "60")),
    ),
    *answers(
        "P9",
        fails(InternalError, "Scripted", "unknown", status_code=429),
        CREATE,
        refusal(429, "INTERNAL_ERROR"),
    ),
    *answers(
        "P10",
        fails(ConflictError, "The service answered HTTP 409.", "rejected"),
        GET,
        *map(error, NOT_MESSAGES),
    ),
    *answers("P10", fails(ConflictError, "x" * 300, "rejected"), GET, error("x" * 2**20)),
    *answers("P10", fails(ConflictError, " [31mred [0m", "rejected"), GET, error("\x1b[31mred\x1b[0m\r\n")),
    *answers(
        "P10", fails(ConflictError, "[removed]", "rejected"), GET, error(f"no {TOKEN}"), error("Bearer x.y")
    ),
    *(
        case
        for details in DETAILS
        for case in answers(
            "P11",
            fails(ConflictError, "Scripted", "rejected", details=details),
            GET,
            refusal(409, "CONFLICT", details=details),
        )
    ),
    *answers(
        "P11",
        fails(ConflictError, "Scripted", "rejected", details="x" * 5_000_000),
        GET,
        refusal(409, "CONFLICT", details="x" * 5_000_000),
    ),
    # The cap of P11 is that of the whole body (P32); what nests too deeply is no JSON, so no envelope.
    *answers(
        "P11",
        unreadable("nested too deeply"),
        GET,
        reply(
            b'{"success":false,"error":{"code":"CONFLICT","details":%b}}' % (b"[" * 10_000 + b"]" * 10_000),
            409,
        ),
    ),
]

JSON: list[Case] = [
    *answers(
        "P12", unreadable(), BALANCE, *map(raw, (b"NaN", b"Infinity", b"-Infinity", b'{"balance":1e400}'))
    ),
    *answers("P13", unreadable("names a field twice"), CREATE, raw(b'{"orders":[{"id":1,"id":2}]}')),
    # RFC 8259 (8.1) lets a reader ignore one byte order mark; a second one is text outside of any value.
    *answers("P14", gives(5, "balance.canonical_amount"), BALANCE, reply(b"\xef\xbb\xbf" + GOOD.body)),
    *answers(
        "P14",
        unreadable(),
        BALANCE,
        reply(b"\xef\xbb\xbf" * 2 + GOOD.body),
        reply(b"\xef\xbb\xbf"),
        reply(b"\xef\xbb" + GOOD.body),
        reply(b"\xfe\xff" + GOOD.body),
    ),
    *answers(
        "P15",
        unreadable("not UTF-8 text"),
        BALANCE,
        reply(GOOD.body.decode().encode("utf-16")),
        raw(b'"\xe9"'),
    ),
    # Without a byte-order mark or with one, UTF-32 of ASCII text is UTF-8 full of NULs, or none at all.
    *answers(
        "P15",
        unreadable(),
        BALANCE,
        *(reply(GOOD.body.decode().encode(f"utf-32{end}")) for end in ("", "-le", "-be")),
    ),
    *answers("P16", fails(ConflictError, "half ? of it", "rejected"), GET, error("half \ud800 of it")),
    *answers("P16", gives("?1", "otp_code"), GET, success({**ORDER, "otp_code": "\ud8001"})),
    # A limit of our own: that of `json` differs between interpreters, from 995 levels to 65,230.
    *answers(
        "P17",
        unreadable("nested too deeply: more than 100 levels"),
        CREATE,
        *(raw(b"[" * levels + b"]" * levels) for levels in (100, 900, 2000, 100_000)),
    ),
    *answers("P17", unreadable("$.data.orders: expected an array"), CREATE, raw(b"[" * 99 + b"]" * 99)),
    *answers("P18", unreadable(), BALANCE, raw(b'{"balance":' + b"9" * 5000 + b"}")),
    *answers("P19", unreadable(), BALANCE, reply(GOOD.body + b" x"), reply(GOOD.body * 2)),
]

HEADERS: list[Case] = [
    *retry_after(0, "0"),
    *retry_after(60, "60"),
    *retry_after(7, " 7 "),
    *retry_after(90, "Sun, 14 Jun 2026 04:01:30 GMT", "Sunday, 14-Jun-26 04:01:30 GMT"),
    *retry_after(
        None, "-1", "nan", "inf", "1e9", "\u00b2", "\uff15", "+5", "1.", "", ",", "2026-06-14T04:01:30Z"
    ),
    *retry_after(
        90, "Sun Jun 14 04:01:30 2026", "Sun, 14 Jun 2026 04:01:30 -0000", "1781409690", "1781409690000"
    ),
    *retry_after(1.5, "1.5", "0, 1.5"),
    *retry_after(5, "5, 5", "soon, 5", "-1, 5", "5, Sun, 14 Jun 2026 04:00:02 GMT"),
    talk("P38", GOES_ON, PATIENT, throttled(DATE, ("retry-after", "Sun, 14 Jun 2026 03:59:00 GMT")), GOOD),
    *(
        talk(
            "P38",
            PAUSED_FOR_LONG,
            PATIENT,
            throttled(DATE, ("retry-after", first), ("retry-after", second)),
            GOOD,
        )
        for first, second in (("90", "5"), ("5", "90"), ("5", LATER[1]), (LATER[1], "soon"))
    ),
    *(
        talk("P39", CUT_OFF, BALANCE.on(timeout=None), throttled(DATE, ("retry-after", value)), GOOD)
        for value in ("301", "86400", "864000000", "Sun, 14 Jun 9999 04:00:00 GMT", "99999999999")
    ),
    talk(
        "P39",
        fails(RateLimitError, "Scripted", "rejected", retry_after=86_400.0),
        BALANCE,
        throttled(("retry-after", "86400")),
    ),
    # An id that is not fit to be shown or searched for is none: nothing is cut off or put in its place.
    *(
        case
        for given, kept in (
            ([], None),
            (["r-1", "r-2"], "r-1"),
            (["x" * 10_240], None),
            (["r\u00e9"], None),
            (["r\x1b[31m"], None),
        )
        for case in answers(
            "P40",
            fails(NotFoundError, "Scripted", "rejected", request_id=kept),
            GET,
            refusal(404, "NOT_FOUND", *(("x-request-id", value) for value in given)),
        )
    ),
    *(
        talk(
            "P41",
            gives(5, "balance.canonical_amount", sent=2, slept=[94.5]),
            PATIENT,
            throttled(LATER, *date),
            GOOD,
        )
        for date in ([], [("date", "garbage")], [("date", "")])
    ),
    *answers("P50", unreadable("bytes of text/html", status_code=401), BALANCE, reply(HTML, 401, HTML_TYPE)),
    # A proxy's own 407 is a ProxyError of the connection (not sent); as an answer it is as any other page.
    *answers("P50", unreadable("bytes of text/html", status_code=407), BALANCE, reply(HTML, 407, HTML_TYPE)),
    talk("P50", fails(NetworkError, "The proxy refuses (407)", "not_sent"), BALANCE, httpx.ProxyError("407")),
    talk("P51", PAUSED, PATIENT, reply(HTML, 429, HTML_TYPE), GOOD),
    *answers("P51", unreadable("bytes of text/html", status_code=403), CREATE, reply(HTML, 403, HTML_TYPE)),
]

PAYLOADS: list[Case] = [*ENVELOPES, *JSON, *HEADERS]
