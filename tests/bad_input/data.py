"""Rows P20..P36, P52 and P53 of the bad-input catalogue: what may be wrong with an answer's data."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx

from smscode import APIError, InvalidResponseError, OrderStatus, RetryPolicy
from smscode.models import CreatedOrders

from .payloads import BALANCE, CREATE, GET, raw, unreadable
from .table import (
    ACTIVE,
    ORDER,
    START,
    Case,
    Check,
    Reply,
    answers,
    calling,
    fails,
    gives,
    opening,
    refusal,
    success,
    talk,
)

PRODUCT: dict[str, object] = {"id": 142, "available": 42, "price": 15000, "active": True}
PAGE: dict[str, object] = {"page": 1, "limit": 1, "count": 1}

BALANCE_V2 = opening()
CANCEL = calling("orders.cancel", 1001).on(api_version="v1")
PRODUCTS = calling("catalog.products").on(api_version="v1")
WAIT = calling("orders.wait_for_otp", 1001, timeout=10).on(api_version="v1", poll_interval=3)
ALL_PRODUCTS = calling("catalog.iter_products", page_size=1).on(api_version="v1")
ALL_ORDERS = calling("orders.iter", page_size=1).on(api_version="v1")
THRICE = RetryPolicy(max_attempts=3)
CANCELED = success({"order_id": 1001, "status": "CANCELED", "refund_amount": 15000, "new_balance": 5})

NOT_IDS: Sequence[object] = (None, "", "x" * 2**20, "a/b", "1001", True)
NOT_BOOLEANS: Sequence[object] = ("false", 0, 1)
NOT_COUNTS: Sequence[object] = (1.0, 1.9, "12", True)
NOT_ARRAYS: Sequence[object] = ({}, "123", None)


def order(**changes: object) -> Reply:
    return success({**ORDER, **changes})


def created(**changes: object) -> Reply:
    return success({"orders": [{"id": 1001, **changes}], "failed_count": 0})


def products(*changes: dict[str, object], **page: object) -> Reply:
    return success([{**PRODUCT, **each} for each in changes], **{**PAGE, **page})


def dollars(amount: bytes) -> Reply:
    money = b'{"amount":%b,"currency":"USD","canonical_amount":1,"canonical_currency":"IDR"}' % amount
    return raw(b'{"balance":%b}' % money)


def left_out(problem: str) -> Check:
    """Expect a page without the one row that cannot be read, which is named."""
    return gives((0, True), lambda page: (len(page.items), problem in " ".join(page.problems)))


def ids(rows: list[Any]) -> list[int]:
    return [row.id for row in rows]


def first(name: str) -> Callable[[CreatedOrders], object]:
    """Read a field of the first order of a purchase."""
    return lambda created: getattr(created.orders[0], name)


def packed(body: bytes) -> bytes:
    pack = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    return pack.compress(body) + pack.flush()


FIELDS: list[Case] = [
    *answers("P20", gives(Decimal("0.1"), "balance.amount"), BALANCE_V2, dollars(b"0.1")),
    *answers("P21", gives(Decimal("0.10"), "balance.amount"), BALANCE_V2, dollars(b'"0.10"')),
    *answers("P21", gives(Decimal("1e1"), "balance.amount"), BALANCE_V2, dollars(b'"1e1"')),
    *answers(
        "P21",
        unreadable("$.data.balance.amount: expected a decimal string"),
        BALANCE_V2,
        *map(dollars, (b'" 1 "', b'"1,00"', b'""', b"null", b"true", b"[]")),
    ),
    # A balance may be below zero (P36), a price may not.
    *answers("P21", left_out("price: expected no negative amount"), PRODUCTS, products({"price": -1})),
    # Ids are documented as ints.
    *answers(
        "P22",
        unreadable("$.data.id: expected an integer, got"),
        GET,
        *(order(id=wrong) for wrong in NOT_IDS),
    ),
    *answers(
        "P23",
        left_out("active: expected a boolean, got"),
        PRODUCTS,
        *(products({"active": v}) for v in NOT_BOOLEANS),
    ),
    # 1.0 is no integer either: no peer that counts writes one.
    *answers(
        "P24",
        left_out("available: expected an integer, got"),
        PRODUCTS,
        *(products({"available": v}) for v in NOT_COUNTS),
    ),
    *answers(
        "P25",
        unreadable("$.data: expected an array, got"),
        PRODUCTS,
        *(success(v, **PAGE) for v in NOT_ARRAYS),
    ),
    *answers(
        "P25",
        unreadable("$.data.orders: expected an array"),
        CREATE,
        *(success({"orders": v}) for v in NOT_ARRAYS),
    ),
    # The text itself stands for UNKNOWN, so that nothing is lost.
    *answers("P26", gives("PAUSED", "status"), GET, order(status="PAUSED")),
    talk(
        "P26",
        gives("123456", "code", sent=2, slept=[3.0]),
        WAIT,
        success([{**ACTIVE, "status": "PAUSED"}]),
        success([{**ACTIVE, "status": "OTP_RECEIVED", "otp_code": "123456"}]),
    ),
    *answers("P27", gives(None, "otp_message"), GET, order()),
    *answers("P27", gives(1001, "id"), GET, order(new_field={"x": [None]})),
    *answers(
        "P27",
        unreadable("$.data.amount: the field 'amount' is missing"),
        GET,
        success({**{k: v for k, v in ORDER.items() if k != "amount"}, "amount_idr": 15000}),
    ),
    *answers("P28", gives(START, "created_at"), GET, order(created_at="2026-06-14T04:00:00Z")),
    *answers(
        "P28",
        gives(True, lambda found: found.created_at == START),
        GET,
        order(created_at="2026-06-14T11:00:00+07:00"),
    ),
    # Every form of RFC 3339, which differ in what a careless reader refuses.
    *answers(
        "P28",
        gives(True, lambda found: found.created_at == START),
        GET,
        *(
            order(created_at=form)
            for form in (
                *("2026-06-14t04:00:00z", "2026-06-14T04:00:00-00:00", "2026-06-14 04:00:00Z"),
                *("2026-06-14T04:00:00." + "0" * 40 + "Z", "2026-06-14t03:59:00.0-00:01"),
            )
        ),
    ),
    *answers(
        "P28",
        gives(True, lambda found: found.created_at == datetime(2026, 7, 1, tzinfo=UTC)),
        GET,
        *(order(created_at=leap) for leap in ("2026-06-30T23:59:60Z", "2026-07-01T06:59:60+07:00")),
    ),
    # No warning takes the place of a wrong time: it is refused, required or not. A purchase's answer keeps
    # its orders and lists the field.
    *answers(
        "P28",
        unreadable("$.data.expires_at: expected a"),
        GET,
        *(
            order(expires_at=wrong)
            for wrong in (
                *("2026-06-14T04:00:00", "2026-06-14T04:00:60Z", "0000-01-01T00:00:00Z"),
                *("10000-01-01T00:00:00Z", "", 1772013600, 1772013600000),
            )
        ),
    ),
    *answers(
        "P28",
        gives(("$.data.orders[0].expires_at: expected an RFC 3339 time with an offset",), "problems"),
        CREATE,
        created(expires_at="soon"),
    ),
    # Also an empty one is kept: the schema lets an order have no number at all.
    *(
        case
        for phone in ("15551234567", "+1 555 1234567", "call me", "")
        for case in answers("P29", gives(phone, "phone_number"), GET, order(phone_number=phone))
    ),
    *(
        case
        for code in ("0048", "a-1", " 48 ", "9" * 10_240, None)
        for case in answers("P30", gives(code, "otp_code"), GET, order(otp_code=code))
    ),
    # Blank is no code: many services send it for "none yet".
    *(
        case
        for blank in ("", " ", "\r\n", "\u00a0\u3000", "\u200b")
        for case in answers("P30", gives(None, "otp_code"), GET, order(otp_code=blank))
    ),
    *(
        talk(
            "P30",
            gives("123456", "code", sent=2, slept=[3.0]),
            WAIT,
            success([{**ACTIVE, "otp_code": blank, "otp_message": blank}]),
            success([{**ACTIVE, "status": "OTP_RECEIVED", "otp_code": "123456"}]),
        )
        for blank in ("", "  ")
    ),
    *answers(
        "P30", unreadable("$.data.otp_code: expected a string, got an integer"), GET, order(otp_code=48)
    ),
]

STATES: list[Case] = [
    # A list that repeats itself or goes on without rows just ends: more of it would not be new, and none of
    # the pinned errors is a PaginationError.
    talk("P31", gives([142], ids, sent=2), ALL_PRODUCTS, products({}), products({}, page=2)),
    talk("P31", gives([142], ids, sent=2), ALL_PRODUCTS, products({}), products(page=2)),
    talk("P31", gives([1001], ids, sent=32), ALL_ORDERS, *[success([ORDER])] * 40),
    # Nothing of a list is used before all of it is there; the size of the unpacked body bounds the memory.
    *answers(
        "P32",
        fails(InvalidResponseError, "larger than 16777216 bytes", "unknown"),
        PRODUCTS,
        Reply(packed(b" " * 17 * 2**20), 200, ((b"content-encoding", b"gzip"),)),
        Reply(packed(b" " * 2**20) * 17, 200, ((b"content-encoding", b"gzip"),)),
    ),
    *answers("P33", unreadable("$.data.id: expected order 1001, got another one"), GET, order(id=1002)),
    *answers(
        "P33",
        unreadable("$.data.order_id: expected order 1001, got another one"),
        calling("orders.finish", 1001),
        success({"order_id": 1002, "status": "COMPLETED"}),
    ),
    *answers("P34", gives(OrderStatus.CANCELED, first("status")), CREATE, created(status="CANCELED")),
    *answers("P36", gives(-5, "balance.canonical_amount"), BALANCE, success({"balance": -5})),
    *answers("P36", gives(10**29, "balance.canonical_amount"), BALANCE, success({"balance": 10**29})),
    *answers(
        "P36", unreadable("currency: expected IDR"), BALANCE, success({"currency": "USD", "balance": 5})
    ),
    # The order is read after the lost attempt. That a later one is refused with an unknown code ends the call
    # with an unknown outcome: reliability.md 1.3 row 39, the safe side of the same.
    talk(
        "P52",
        fails(APIError, "Scripted", "unknown", code="NEW_CODE", sent=3, slept=[0.125]),
        CANCEL.on(retry=THRICE),
        httpx.ReadError("lost"),
        order(),
        refusal(409, "NEW_CODE"),
    ),
    # What the service says is what the caller gets; a wait or another look shows the rest.
    *answers("P53", gives(OrderStatus.CANCELED, "status"), CANCEL, CANCELED),
    talk("P53", gives(OrderStatus.ACTIVE, "status"), GET, order()),
]

DATA: list[Case] = [*FIELDS, *STATES]
