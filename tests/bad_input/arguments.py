"""Rows A1..A54 of the bad-input catalogue: arguments. Nothing is sent for a bad one."""

from __future__ import annotations

import math
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Any

from smscode import ConfigurationError, Money, NotFoundError, OrderTerminalError, OtpTimeoutError, Timeouts

from .table import (
    ACTIVE,
    CANARY,
    ORDER,
    TOKEN,
    Case,
    Step,
    buying,
    calling,
    cases,
    fails,
    misused,
    opening,
    refused,
    sends,
    success,
    talk,
)

ABOUT_AN_ORDER = (
    "orders.get",
    "orders.cancel",
    "orders.finish",
    "orders.resend",
    "orders.reactivate",
    "orders.reactivate_options",
    "orders.wait_for_otp",
    "orders.wait_for_sms",
)


class HostileInt(int):
    """Lies about itself wherever it is asked."""

    def __str__(self) -> str:
        return "1/../balance"

    __repr__ = __str__


class HostileText(str):
    """A string that shows another one."""

    def __str__(self) -> str:
        return "a\r\nX-Evil: 1"

    def __iter__(self) -> Any:
        while True:
            yield "x"


class HostileDecimal(Decimal):
    """Writes itself as another number."""

    def __format__(self, specifier: str, context: object = None, /) -> str:
        return "20000"


class Index:
    """An int as array libraries have them: one by its ``__index__`` only."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __index__(self) -> Any:
        return self._value


class Numbered(IntEnum):
    ORDER = 1001


class Named(StrEnum):
    KEY = "key-1"


MANY_INTS = (HostileInt(1001), Index(1001), Numbered.ORDER)


def about_orders(*order_ids: object) -> list[Step]:
    """Return each to every method that is about an order: all decide alike."""
    return [calling(method, order_id) for method in ABOUT_AN_ORDER for order_id in order_ids]


def every(call: str, name: str, *values: object, **others: Any) -> list[Step]:
    return [calling(call, **others, **{name: value}) for value in values]


def tokens(*values: object) -> list[Step]:
    return [opening(token=value) for value in values]


def addresses(*values: object) -> list[Step]:
    return [opening(base_url=value) for value in values]


def prices(*values: object) -> list[Step]:
    return [buying(max_price=value) for value in values]


def keyed(*values: object) -> list[Step]:
    return [
        *(buying(idempotency_key=value) for value in values),
        *(calling("orders.reactivate", 1001, idempotency_key=value) for value in values),
    ]


VISIBLE = refused("token: expected visible ASCII characters only")
NOT_AN_ID = refused(
    "order_id: expected a positive int of at most 9223372036854775807, an order or a rental, got "
)
NOT_A_KEY = refused("idempotency_key: expected 1..128 characters")
NOT_DOLLARS = refused("max_price: expected a positive decimal number of dollars")
NOT_A_LIMIT = refused("max_price: expected an int of rupiah (v1), a Decimal or decimal string of dollars")
ASCII_URL = refused("base_url: expected a URL of visible ASCII characters")
NEEDS_HTTPS = refused("base_url: expected https (http is only for this machine itself)")
SPOILED = "secret: expected the webhook secret alone, found"
LOOK = calling("orders.wait_for_sms", 1001, timeout=0)
NO_LIMIT = sends(seconds=None)

ARGUMENTS: list[Case] = [
    # -- the token
    *cases("A1", refused("token: expected a token, got an empty string"), opening(token="")),
    *cases("A1", refused("No token: give token=", ConfigurationError), opening(token=None)),
    *cases("A1", refused("token: expected a string, got"), *tokens(0, CANARY.encode())),
    *cases("A2", VISIBLE, *tokens(CANARY + "\n", " " + CANARY, CANARY + " ")),
    *cases("A3", VISIBLE, opening(token=CANARY + "\r\nX-Evil: 1")),
    *cases("A4", VISIBLE, *tokens(*(CANARY + odd for odd in "\u00e9\u200b\ufeff\u2028"))),
    *cases(
        "A5", refused("expected the token only, without the word Bearer"), opening(token=f"Bearer {CANARY}")
    ),
    *cases("A6", refused("token: expected at most 4096 characters"), opening(token=CANARY * 1000)),
    # -- the address
    *cases("A7", NEEDS_HTTPS, opening(base_url="http://api.smscode.gg")),
    *cases("A8", sends("http://localhost:8080/v2/balance"), opening(base_url="http://localhost:8080")),
    *cases("A8", sends("http://127.0.0.2/v2/balance"), opening(base_url="http://127.0.0.2")),
    *cases("A8", sends("http://[::1]/v2/balance"), opening(base_url="http://[::1]")),
    *cases("A9", NEEDS_HTTPS, *addresses("http://localhost.evil.com", "http://127.0.0.1.nip.io")),
    *cases("A9", refused("base_url: expected no user name"), opening(base_url="http://127.0.0.1@evil.com")),
    *cases("A10", NEEDS_HTTPS, *addresses("http://0x7f.1", "http://2130706433", "http://127.1")),
    *cases(
        "A11", refused("base_url: expected no user name"), *addresses("https://u:p@host", "https://host#f")
    ),
    *cases("A11", refused("base_url: expected no query"), opening(base_url="https://host?x=1")),
    *cases("A12", refused("base_url: expected a URL such as"), *addresses("ftp://h", "h/v1", "https://", "")),
    *cases(
        "A12",
        refused("base_url: its host or port is not valid"),
        *(opening(base_url=f"https://h:{port}") for port in (99999, 0)),
    ),
    *cases("A12", ASCII_URL, opening(base_url="https://h\n")),
    *cases("A13", sends("https://host/v2/balance"), *addresses("https://host", "https://host/")),
    *cases("A13", sends("https://host/api/v2/balance"), opening(base_url="https://host/api//")),
    # A host is given in ASCII, so as punycode: what is shown is what is connected to.
    *cases("A14", ASCII_URL, opening(base_url="https://ex\u00e4mple.com")),
    *cases(
        "A14", sends("https://xn--exmple-cua.com/v2/balance"), opening(base_url="https://xn--exmple-cua.com")
    ),
    # -- order ids: this API's are ints, so no text is one
    *cases("A15", NOT_AN_ID, *about_orders("", ".", "..", "../balance")),
    *cases("A16", NOT_AN_ID, *about_orders("a/b", "a?x=1", "a#b", "a%2Fb", "a\0", "a b", "a;b")),
    *cases("A17", NOT_AN_ID, *about_orders("1001", 1001.0, 0, -1, 2**63)),
    # What a service gave can be given back to it, up to 64 bits, whatever its documentation says.
    *cases("A17", sends("https://api.smscode.gg/v2/orders/3000000001"), calling("orders.get", 3_000_000_001)),
    *cases("A17", sends(body={"id": 2**63 - 1}), calling("orders.cancel", 2**63 - 1)),
    *cases("A18", NOT_AN_ID, *about_orders(None, True, Money.idr(1), object())),
    *cases("A19", NOT_AN_ID, *about_orders("1" * 10_000, "\u0430", 10**5000)),
    # -- idempotency keys
    *cases("A20", NOT_A_KEY, *keyed("", "a" * 129, "a b", "a.b", "\u00e9", "a\n", 1, b"a", True)),
    *(
        case
        for key in ("a" * 128, "a", "-_")
        for case in cases("A21", sends(headers={"idempotency-key": key}), *keyed(key))
    ),
    # -- price limits
    *cases("A25", NOT_A_LIMIT, *prices(0.1, 1.0, float("nan"))),
    *cases("A26", NOT_DOLLARS, *prices(Decimal("NaN"), Decimal("Infinity"), Decimal("-0"), Decimal(-1))),
    *cases("A26", NOT_DOLLARS, *prices("-1", "1e-400", "1,5", "\uff11.\uff15", "", " 1 ", "+1", "1_0")),
    *cases("A26", refused("max_price: expected a positive price"), *prices("0", Decimal(0))),
    *cases("A27", NOT_A_LIMIT, *prices(True), buying(max_price=True).on(api_version="v1")),
    *cases("A28", NOT_DOLLARS, *prices(Decimal("0.123456789012"))),
    *cases("A28", sends(body={"max_price": "0.12345678"}), *prices(Decimal("0.12345678"))),
    *cases("A28", refused("an int is ambiguous on v2"), *prices(20_000)),
    # -- texts. Countries and services have int ids here; an unknown one goes to the service
    *cases(
        "A29",
        refused("country_id: expected a positive int of at most 9223372036854775807, got "),
        *every("catalog.services", "country_id", "", " us ", "US", "us", 0),
    ),
    *cases(
        "A29",
        sends("https://api.smscode.gg/v2/catalog/services?country_id=999999"),
        calling("catalog.services", country_id=999_999),
    ),
    *cases("A29", refused("prefer_provider: expected 1..64 printable"), buying(prefer_provider="")),
    *cases("A29", sends(body={"prefer_provider": "nobody"}), buying(prefer_provider="nobody")),
    *cases("A30", refused("prefer_provider: expected 1..64 printable"), buying(prefer_provider="\ud800")),
    *cases("A30", refused(SPOILED), calling("webhook.update", secret="\ud800")),
    *cases(
        "A31",
        refused("prefer_provider: expected 1..64 printable"),
        *(buying(prefer_provider=text) for text in ("a\0", "\u202eabc", "x" * 2**20)),
    ),
    # -- times
    *cases(
        "A32",
        refused("timeout: expected a number of seconds above 0"),
        *every("balance", "timeout", 0, -1, math.nan, "5", True, Decimal(5)),
        *(opening(timeout=wrong) for wrong in (0, -1, math.nan, "5", True)),
        *every("orders.wait_for_otp", "timeout", -1, math.nan, "5", True, order_id=1001),
    ),
    # None is no limit for a client, and the client's limit for a call.
    *cases("A32", NO_LIMIT, opening(timeout=None), opening(timeout=math.inf)),
    *cases("A32", NO_LIMIT, calling("balance", timeout=math.inf), opening(timeout=Timeouts(total=math.inf))),
    *cases("A32", sends(seconds=30), calling("balance", timeout=None)),
    *cases(
        "A35", refused("limit: expected an int of 1..100, got"), *every("orders.list", "limit", 0, -1, 10**9)
    ),
    *cases(
        "A35",
        refused("page_size: expected an int of 1..100, got"),
        *every("orders.iter", "page_size", 0, -1, 10**9),
    ),
    *cases(
        "A35",
        refused("page_size: expected an int of 1..10000, got"),
        *every("catalog.iter_products", "page_size", 0, -1, 10**9),
    ),
    *cases("A35", refused("offset: expected an int of 0..2147483647"), calling("orders.list", offset=-1)),
    # -- how methods are called
    *cases("A37", misused("unexpected keyword argument"), buying(county="id"), opening(tokn=TOKEN)),
    *cases("A37", misused("unexpected keyword argument"), calling("orders.get", 1001, verbose=True)),
    *cases("A38", misused("positional argument"), calling("orders.create", 142, 5)),
    *cases("A38", misused("positional argument"), calling("catalog.operators", 6, 3)),
    *cases("A38", misused("positional argument"), calling("webhook.update", "https://host", "secret")),
    # -- webhooks
    *cases(
        "A39",
        refused("url: expected"),
        *every("webhook.update", "url", "http://", "javascript:alert(1)", "http://example.com/hook"),
        *every("webhook.update", "url", "https://example.com/" + "a" * 5000, "https://u:p@example.com"),
    ),
    # This machine is for the service to judge: its sandbox may run here, too.
    *cases(
        "A39",
        sends(body={"webhook_url": "http://localhost/x"}),
        *every("webhook.update", "url", "http://localhost/x"),
    ),
    # "" clears the secret and None leaves it; the wire is JSON, so bytes are none. For `verify` see W9.
    *cases("A40", sends(body={"webhook_secret": ""}), calling("webhook.update", secret="")),
    *cases("A40", refused("expected url, secret or both"), calling("webhook.update", secret=None)),
    *cases(
        "A40",
        refused(SPOILED),
        *every("webhook.update", "secret", " ", "\n", f"{CANARY}\n", f" {CANARY}", f'"{CANARY}"'),
    ),
    *cases("A40", refused("secret: expected a string, got bytes"), *every("webhook.update", "secret", b"s")),
    # -- orders that are not as the caller thinks
    *cases("A45", fails(NotFoundError, "", "rejected"), calling("orders.cancel", 999)),
    talk("A46", fails(OtpTimeoutError, "No SMS for order 1001", "not_sent"), LOOK, success([ACTIVE])),
    *(
        talk(
            "A47",
            fails(OrderTerminalError, f"ended as {status}", "not_sent", sent=2, order_id=1001, status=status),
            LOOK.on(api_version="v1"),
            success([]),
            success({**ORDER, "status": status}),
        )
        for status in ("CANCELED", "EXPIRED", "COMPLETED")
    ),
    # -- objects that lie: each is taken for what it is, as a copy of exactly that type
    *cases(
        "A52", sends("https://api.smscode.gg/v2/orders/1001"), *every("orders.get", "order_id", *MANY_INTS)
    ),
    *cases("A52", sends(body={"id": 1001}), *every("orders.finish", "order_id", *MANY_INTS)),
    *cases("A52", sends(body={"quantity": 1}), buying(quantity=HostileInt(1)), buying(quantity=Index(1))),
    *cases("A52", sends(headers={"idempotency-key": "key-1"}), *keyed(HostileText("key-1"), Named.KEY)),
    *cases("A52", sends(body={"max_price": "0.5"}), *prices(HostileText("0.5"), HostileDecimal("0.5"))),
    *cases("A52", refused("an int is ambiguous on v2"), *prices(HostileInt(1), Index(1))),
    *cases("A52", sends(body={"max_price": 1}), buying(max_price=Index(1)).on(api_version="v1")),
    *cases("A52", sends(headers={"authorization": f"Bearer {TOKEN}"}), opening(token=HostileText(TOKEN))),
    *cases("A52", sends("https://host/v2/balance"), opening(base_url=HostileText("https://host"))),
    *cases("A52", sends(body={"prefer_provider": "x"}), buying(prefer_provider=HostileText("x"))),
    *cases("A52", sends(body={"policy": "cheapest"}), buying(policy=HostileText("cheapest"))),
    *cases("A52", sends(seconds=5), *every("balance", "timeout", Index(5), HostileInt(5))),
    *cases("A52", NOT_AN_ID, *about_orders(Index("1001"), HostileText("1001"), HostileDecimal(1001))),
    *cases("A52", NOT_A_LIMIT, *prices(Index("1"), HostileDecimal)),
    *cases("A52", NOT_A_KEY, *keyed(HostileText("a b"))),
    *cases("A52", VISIBLE, opening(token=HostileText(CANARY + "\n"))),
]
