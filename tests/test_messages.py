"""What wrong calls say: what is wrong, which values are right, and what to write instead.

The table is the documentation: each call, and the parts that its message must have, in this order.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, cast

import pytest

import smscode
from smscode import AsyncClient, CancelTooEarlyError, Client, ForbiddenError, SmscodeError
from smscode.sandbox import Sandbox

LEARNED: dict[str, Any] = {"catalog_product_id": 87}
TOKEN = "token-of-the-tests"
Wrong = Callable[[Any], object]
Part = str | re.Pattern[str]


def buy(**arguments: Any) -> Wrong:
    return lambda client: client.orders.create(**{**LEARNED, **arguments})


def opening(**arguments: Any) -> Wrong:
    return lambda _: typed.Client(**{"token": TOKEN, **arguments})


def on(path: str, *arguments: Any, **named: Any) -> Wrong:
    """Call the method of a client at a path such as "orders.get"; go through what it iterates over."""

    def call(client: Any) -> object:
        method = client
        for name in path.split("."):
            method = getattr(method, name)
        result = method(*arguments, **named)
        return [*cast(Any, result)] if isinstance(result, Iterator) else result

    return call


def rented(method: str, **named: object) -> Wrong:
    """Rent a number and call a method of ``orders`` with its id, which the sandbox always makes 1001."""

    def call(client: Client) -> object:
        client.orders.create(**LEARNED)
        return getattr(client.orders, method)(1001, **named)

    return call


def in_a_block(thing: Callable[[Client], Any]) -> Wrong:
    """Enter a plain block of something asynchronous."""

    def call(client: Client) -> None:
        with thing(client):
            pass

    return call


def value(make: Callable[[], Any]) -> Wrong:
    return lambda _: make()


def untyped(thing: Any) -> Any:
    return thing


typed: Any = smscode  # without its types, which would refuse these calls before they are made
sandboxed: Any = Sandbox
RATE: Any = smscode.FxRate("USD/IDR", 16_250)
AN_ID = "expected a positive int of at most 9223372036854775807, got"
AN_ORDER = AN_ID.replace(", got", ", an order or a rental, got")
DOLLARS = "expected a positive decimal number of dollars such as '0.50'"
SECONDS = "expected a number of seconds above 0"

TABLE: list[tuple[str, Wrong, tuple[Part, ...]]] = [
    # -- setting up a client
    ("Client('')", opening(token=""), ("token: expected a token, got an empty string",)),
    ("Client(5)", opening(token=5), ("token: expected a string, got int",)),
    ("Client('Bearer x')", opening(token="Bearer x"), ("token: expected the token only, without", "Bearer")),
    (
        "Client('x\\n')",
        opening(token="x\n"),
        ("token: expected visible ASCII", "line end", "position 1 of 2"),
    ),
    ("a token in quotes", opening(token="'abc'"), ("token: expected the token only, without quotation",)),
    ("no token", opening(token=None), ("No token: give token=, or set SMSCODE_TOKEN",)),
    ("api_version='v3'", opening(api_version="v3"), ("api_version: expected 'v1' or 'v2'",)),
    ("no scheme", opening(base_url="a.example"), ("base_url: expected a URL such as https://host/path",)),
    ("http", opening(base_url="http://a.example"), ("base_url: expected https", "allow_http=True")),
    ("/v2", opening(base_url="https://a.example/v2"), ("base_url: expected no /v2", "api_version adds it")),
    ("timeout=0", opening(timeout=0), (f"timeout: {SECONDS}, got 0",)),
    ("timeout='30'", opening(timeout="30"), (f"timeout: {SECONDS}, got str",)),
    ("read=-1", value(lambda: typed.Timeouts(read=-1)), (f"timeout.read: {SECONDS}, got -1",)),
    ("retry=3", opening(retry=3), ("retry: expected a smscode.RetryPolicy, got 3",)),
    ("rate_limits=9", opening(rate_limits=9), ("rate_limits: expected a smscode.RateLimits, got 9",)),
    (
        "max_connections=0",
        opening(max_connections=0),
        ("max_connections: expected an int of 1..1000, got 0",),
    ),
    ("max_connections=2.5", opening(max_connections=2.5), ("an int of 1..1000, got float",)),
    ("poll_interval=0", opening(poll_interval=0), (f"poll_interval: {SECONDS}, got 0",)),
    ("journal=5", opening(journal=5), ("journal: expected a SQLiteJournal or the path of one, got 5",)),
    (
        "a missing folder",
        opening(journal="/no/a.db"),
        ("journal: /no/a.db", "does not exist; create it first"),
    ),
    (
        ":memory:",
        opening(journal=":memory:"),
        ("journal: ':memory:' keeps nothing; give the path of a file",),
    ),
    ("account=''", opening(account=""), ("account: expected 1..64 printable characters",)),
    ("on_event='x'", opening(on_event="x"), ("on_event: expected a function", "got str")),
    (
        "transport='x'",
        opening(transport="x"),
        ("transport: expected a transport of httpx or httpx2 of this flavour", "got str"),
    ),
    (
        "max_attempts=0",
        value(lambda: typed.RetryPolicy(max_attempts=0)),
        ("max_attempts: expected an int of 1..50",),
    ),
    ("share=2", value(lambda: typed.RateLimits(share=2)), ("share: expected a number above 0, at most 1",)),
    (
        "create=0",
        value(lambda: typed.RateLimits(create=0)),
        ("create: expected an int of 1..1000000000, got 0",),
    ),
    ("redis=5", value(lambda: typed.RateLimits(redis=5)), ("rate_limits.redis: expected a URL", "redis://")),
    # -- with blocks
    (
        "with AsyncClient()",
        in_a_block(lambda _: AsyncClient("x")),
        ("AsyncClient: use `async with`", "`Client`"),
    ),
    (
        "with orders.rent() of an AsyncClient",
        in_a_block(lambda _: AsyncClient("x").orders.rent(**LEARNED)),
        ("AsyncRental: use `async with`", "`Client`"),
    ),
    ("a rental outside of its block", lambda c: c.orders.rent(**LEARNED).phone_number, ("in a with block",)),
    ("a closed client", lambda c: c.close() or c.balance(), ("This client is closed",)),
    ("a copied client", copy.copy, ("a client cannot be pickled or copied",)),
    # -- buying
    (
        "create()",
        on("orders.create"),
        ("orders.create: expected", "product_id", "catalog_product_id", "or a service"),
    ),
    ("create(87)", on("orders.create", 87), ("names, such as catalog_product_id=87",)),
    ("create_many(5, 87)", on("orders.create_many", 5, 87), ("names, such as catalog_product_id=87",)),
    ("prepare(87)", on("orders.prepare", 87), ("names, such as catalog_product_id=87",)),
    (
        "rent(87)",
        in_a_block(lambda client: untyped(client).orders.rent(87)),
        ("such as catalog_product_id=87",),
    ),
    ("obtain(enter, 'wa')", on("orders.obtain", print, "wa"), ("names, such as service='whatsapp', budget",)),
    ("find('whatsapp')", on("catalog.find", "whatsapp"), ("names, such as service='whatsapp'",)),
    ("otps(1001)", on("orders.otps", 1001), ("order_ids: expected several orders or their ids", "[1001")),
    (
        "cancel_many(7)",
        on("orders.cancel_many", 7),
        ("orders: expected several orders or their ids", "[1001"),
    ),
    ("two products", buy(product_id=142), ("orders.create: expected", "exactly one")),
    ("a text as id", buy(catalog_product_id="87"), (f"catalog_product_id: {AN_ID} str",)),
    ("id 0", buy(catalog_product_id=0), (f"catalog_product_id: {AN_ID} 0",)),
    ("quantity=0", buy(quantity=0), ("quantity: expected an int of 1..100, got 0",)),
    ("quantity=101", buy(quantity=101), ("quantity: expected an int of 1..100, got 101",)),
    ("max_price=0.5", buy(max_price=0.5), ("max_price: expected", "decimal string", 'float: write "0.5"')),
    ("max_price=nan", buy(max_price=float("nan")), ("max_price: expected", "decimal string", "got float.")),
    ("max_price='1,5'", buy(max_price="1,5"), (f"max_price: {DOLLARS}", "a point, not a comma")),
    ("max_price='$1'", buy(max_price="$1"), (f"max_price: {DOLLARS}",)),
    ("max_price=20000", buy(max_price=20_000), ("max_price: an int is ambiguous on v2", "'0.50'", "Money")),
    ("max_price='0'", buy(max_price="0"), ("max_price: expected a positive price",)),
    ("max_price='-1'", buy(max_price="-1"), (f"max_price: {DOLLARS}",)),
    (
        "a low max_price",
        buy(max_price="0.0001"),
        ("No offer matches", "Try later, another product or a higher max_price"),
    ),
    ("policy='best'", buy(policy="best"), ("policy: expected one of cheapest, best_success",)),
    ("operator_id='any'", buy(operator_id="any"), (f"operator_id: {AN_ID} str",)),
    (
        "an operator of a tier",
        on("orders.create", product_id=142, operator_id=3),
        ("goes with catalog_product",),
    ),
    ("prefer_provider=''", buy(prefer_provider=""), ("prefer_provider: expected 1..64 printable",)),
    (
        "a key with a space",
        buy(idempotency_key="a b"),
        ("idempotency_key: expected 1..128 characters of A-Z",),
    ),
    ("timeout=0 of a call", buy(timeout=0), (f"timeout: {SECONDS}, got 0",)),
    (
        "create_many(0)",
        on("orders.create_many", 0, **LEARNED),
        ("count: expected an int of 1..10000, got 0",),
    ),
    ("create_many('5')", on("orders.create_many", "5", **LEARNED), ("count: expected an int", "got str")),
    (
        "two numbers in rent",
        on("orders.rent", quantity=2, **LEARNED),
        ("rent() got an unexpected", "'quantity'"),
    ),
    (
        "release_timeout=-1",
        on("orders.rent", release_timeout=-1, **LEARNED),
        (f"release_timeout: {SECONDS}",),
    ),
    ("submit('key')", on("orders.submit", "key"), ("intent: expected a smscode.OrderIntent, got str",)),
    ("recover(max_age=-1)", on("orders.recover", max_age=-1), (f"max_age: {SECONDS}, got -1",)),
    # -- orders
    ("get('1001')", on("orders.get", "1001"), (f"order_id: {AN_ORDER} str",)),
    ("get(1001.0)", on("orders.get", 1001.0), (f"order_id: {AN_ORDER} float",)),
    ("get(True)", on("orders.get", True), (f"order_id: {AN_ORDER} bool",)),
    ("get(9)", on("orders.get", 9), ("Order not found", "Check the id", "the account that has it")),
    ("list(limit=101)", on("orders.list", limit=101), ("limit: expected an int of 1..100, got 101",)),
    ("list(offset=-1)", on("orders.list", offset=-1), ("offset: expected an int of 0..2147483647, got -1",)),
    ("list(status='DONE')", on("orders.list", status="DONE"), ("status: expected one of ACTIVE", "EXPIRED")),
    ("iter(page_size=0)", on("orders.iter", page_size=0), ("page_size: expected an int of 1..100, got 0",)),
    (
        "attach('1001')",
        on("orders.attach", "1001"),
        ("order: expected an order's id, an order, or a rental", "str"),
    ),
    (
        "cancel too early",
        rented("cancel"),
        (re.compile(r"can be cancelled in 1\d\d s, from 2"), re.compile(r"retry after 1\d\d s"), "wait=True"),
    ),
    ("finish without an SMS", rented("finish"), ("cannot be finished", "Read the order to see its state")),
    ("wait(timeout=-1)", on("orders.wait_for_otp", 9, timeout=-1), (SECONDS, "or 0 to check once", "got -1")),
    (
        "wait(after_code=1)",
        on("orders.wait_for_otp", 9, after_code=1),
        ("after_code: expected a string, got 1",),
    ),
    (
        "no SMS in time",
        rented("wait_for_otp", timeout=0),
        (
            "waited 0",
            "seen as ACTIVE",
            "Possible now: orders.wait_for_otp, orders.cancel from 2",
            "+00:00 on",
        ),
    ),
    # -- the catalog
    ("find('nonsense')", on("catalog.find", service="qqq"), ("service: nothing is called 'qqq'", "of the 6")),
    (
        "find(service=3.5)",
        on("catalog.find", service=3.5),
        ("service: expected an id, a code, a name", "float"),
    ),
    ("find('Indonesa')", on("catalog.find", country="Indonesa"), ("the closest are id / Indonesia (id 6)",)),
    ("find(0.5)", on("catalog.find", service="wa", max_price=0.5), ("max_price: expected", 'write "0.5"')),
    (
        "products(limit=9**9)",
        on("catalog.products", limit=9**9),
        ("limit: expected an int of 1..10000, got",),
    ),
    ("products(page=0)", on("catalog.products", page=0), ("page: expected an int of 1..2147483647, got 0",)),
    ("products(sort='price')", on("catalog.products", sort="price"), ("sort: expected one of price_asc",)),
    ("operators() of no service", on("catalog.operators", country_id=6), ("keyword-only", "'platform_id'")),
    ("pair='USDIDR'", on("catalog.exchange_rate", pair="USDIDR"), ("pair: expected", "such as 'USD/IDR'")),
    # -- webhooks
    ("update()", on("webhook.update"), ("webhook.update: expected url, secret or both",)),
    ("http hook", on("webhook.update", url="http://a.example"), ("url: expected https",)),
    ("a long URL", on("webhook.update", url="https://a.example/" + "x" * 2048), ("at most 2048 characters",)),
    ("a secret's line end", on("webhook.update", secret="a\n"), ("secret: expected", "line end", "strip it")),
    ("test() without a URL", on("webhook.test"), ("No webhook URL is set",)),
    ("notify({})", on("notify", {}), ("event: expected an event of smscode.webhooks, got dict",)),
    ("send('orders.get')", on("send", "orders.get"), ("call: expected a smscode.Call, got str",)),
    ("no signature", value(lambda: typed.webhooks.verify(b"", None, "s")), ("The webhook is not signed",)),
    ("text", value(lambda: typed.webhooks.verify("", "x", "s")), ("body: expected the raw bytes, got str",)),
    (
        "no secret",
        value(lambda: typed.webhooks.verify(b"", "x", "")),
        ("secret: expected the webhook secret",),
    ),
    ("no JSON", value(lambda: typed.webhooks.parse(b"x")), ("$: expected a JSON object", "character 0")),
    # -- values
    ("to_dict({})", value(lambda: typed.to_dict({})), ("model: expected a model of smscode, got dict",)),
    ("to_json([1])", value(lambda: typed.to_json([1])), ("model: expected a model of smscode, got int",)),
    ("Money(0.5)", value(lambda: typed.Money(0.5, "USD", 1)), ("Money.amount: expected a finite Decimal",)),
    ("Money.idr('8')", value(lambda: typed.Money.idr("8")), ("amount: expected an int of rupiah, got str",)),
    ("a rate of 0", value(lambda: typed.FxRate("USD/IDR", 0)), ("FxRate.rate: expected a positive int",)),
    ("to_usd(1.5)", value(lambda: RATE.to_usd(1.5, places=2)), ("idr: expected an int, got float",)),
    (
        "to_idr('UP')",
        value(lambda: RATE.to_idr(Decimal(1), rounding="UP")),
        ("rounding: expected ROUND_FLOOR",),
    ),
    # -- the sandbox
    (
        "Sandbox(balance='1')",
        value(lambda: sandboxed(balance="1")),
        ("balance: expected an int of at least 0",),
    ),
    (
        "Sandbox(otp_after=-1)",
        value(lambda: sandboxed(otp_after=-1)),
        ("otp_after: expected seconds of 0..",),
    ),
    (
        "play('x')",
        value(lambda: sandboxed().play("x")),
        ("no scenario is called 'x'; the scenarios are bad_g",),
    ),
    ("advance(-1)", value(lambda: sandboxed().advance(-1)), ("seconds: time moves forward only",)),
]


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.delenv("SMSCODE_TOKEN", raising=False)
    with Sandbox(token=TOKEN) as sandbox, Client(TOKEN, transport=sandbox.transport()) as client:
        yield client


def test_there_are_eighty_wrong_calls_at_least() -> None:
    assert len(TABLE) >= 80
    assert len({name for name, _, _ in TABLE}) == len(TABLE)


@pytest.mark.parametrize(("call", "parts"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_a_wrong_call_says_what_is_wrong_and_what_to_write(
    client: Client, call: Wrong, parts: tuple[Part, ...]
) -> None:
    with pytest.raises((SmscodeError, TypeError)) as caught:
        call(client)
    said = str(caught.value)
    places = [re.search(re.escape(part) if isinstance(part, str) else part, said) for part in parts]
    assert all(places), said
    starts = [place.start() for place in places if place]
    assert starts == sorted(starts), said
    assert TOKEN not in said


@pytest.mark.asyncio
async def test_a_client_of_the_other_flavour_says_what_to_write() -> None:
    with pytest.raises(TypeError, match="use a plain `with`; `async with` takes an `AsyncClient`"):
        async with cast(Any, Client(TOKEN)):
            pass


@pytest.mark.filterwarnings("default::RuntimeWarning")
def test_a_call_that_is_never_awaited_is_named_by_python() -> None:
    with pytest.warns(RuntimeWarning, match=r"coroutine 'AsyncClient\.balance' was never awaited"):
        typed.AsyncClient(TOKEN).balance()


@pytest.mark.parametrize(("wait", "error"), [(False, CancelTooEarlyError), (True, ForbiddenError)])
def test_an_early_cancel_is_reported_also_where_the_order_cannot_be_read(
    wait: bool, error: type[SmscodeError]
) -> None:
    with Sandbox() as sandbox, Client(sandbox.token, transport=sandbox.transport()) as client:
        order = client.orders.create(**LEARNED).orders[0]
        sandbox.fail_next("orders.get", "FORBIDDEN")
        with pytest.raises(error) as caught:
            client.orders.cancel(order.id, wait=wait)
        assert caught.value.retry_after is None
