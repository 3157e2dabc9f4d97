"""The bad-input catalogue of the reliability notes, row by row: each input, and what has to come of it.

The rows that fit into a table are in the modules beside this one; those that are a story are told here, by
functions named after them. Where the package decides otherwise than the catalogue, the row says why.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import traceback
from collections.abc import Callable
from typing import Any, cast
from unittest import mock

import httpx
import pytest

from smscode import (
    AsyncClient,
    Client,
    ClientStateError,
    ConfigurationError,
    InvalidArgumentError,
    NetworkError,
    RequestTimeoutError,
    RetryPolicy,
    WebhookSignatureError,
    calls,
    webhooks,
)
from smscode.webhooks import OtpReceived

from ..concurrency import raw_server
from . import webhooks as deliveries
from .arguments import ARGUMENTS
from .data import DATA
from .payloads import GOOD, HTML, PAYLOADS
from .table import CANARY, FLAVOURS, ONCE, TOKEN, Case, Flavour, Reply, Script, StillClient, reply, run
from .webhooks import DELIVERIES, Delivery
from .wire import BODY as BALANCE
from .wire import WIRE, http

TABLE: list[Case] = [*ARGUMENTS, *PAYLOADS, *DATA, *WIRE]
ROWS = {f"{area}{n}" for area, last in (("A", 54), ("P", 55), ("W", 15)) for n in range(1, last + 1)}

NOT_APPLICABLE = {
    "A36": "no argument is a date or time",
    "A49": "the user agent is fixed: nothing can be added to it",
    "P35": "neither source says how the service marks a replayed answer, so results do not tell (see A23)",
    "W15": "no framework helpers: `verify` takes the value of the header that SIGNATURE_HEADER names",
}
"""The rows without anything to give a bad input to."""


def test_every_row_is_in_the_table_or_is_not_for_this_api() -> None:
    told = {found[1].upper() for found in map(re.compile(r"test_([apw]\d+)_").match, globals()) if found}
    covered = told | {case.row for case in TABLE} | {delivery.row for delivery in DELIVERIES}
    assert covered | NOT_APPLICABLE.keys() == ROWS
    assert not covered & NOT_APPLICABLE.keys()


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("case", TABLE, ids=str)
def test_a_bad_input_comes_to_what_its_row_says(case: Case, flavour: Flavour) -> None:
    case.check(run(case, flavour))


@pytest.mark.parametrize("delivery", DELIVERIES, ids=str)
def test_a_bad_delivery_comes_to_what_its_row_says(delivery: Delivery) -> None:
    given = (delivery.body, delivery.signature, delivery.secret)
    if not isinstance(delivery.expected, tuple):
        assert type(webhooks.receive(*given)) is delivery.expected
        return
    class_, message = delivery.expected
    with pytest.raises(class_, match=re.escape(message)) as caught:
        webhooks.receive(*given)
    assert type(caught.value) is class_
    if class_ is WebhookSignatureError:
        with pytest.raises(class_, match=re.escape(message)):
            webhooks.verify(*given)


# -- arguments -------------------------------------------------------------------------------------


def scripted(script: Script, **options: Any) -> StillClient:
    """Make a client on a script."""
    defaults: dict[str, Any] = {"retry": ONCE}
    return StillClient(TOKEN, transport=script, **(defaults | options))


def buy(client: Client, **wish: Any) -> list[int]:
    """Rent numbers under one key, and return the ids of their orders."""
    created = client.orders.create(catalog_product_id=87, idempotency_key="key-1", **wish)
    return [order.id for order in created.orders]


def test_a22_a_key_is_for_one_purchase() -> None:
    script = Script()
    with scripted(script) as client:
        buy(client)
        for other in ({"quantity": 2}, {"max_price": "1.00"}):
            with pytest.raises(InvalidArgumentError, match="this client has it with another order") as caught:
                buy(client, **other)
            assert (caught.value.outcome, caught.value.attempts) == ("unknown", 0)
        with pytest.raises(InvalidArgumentError, match="this client has it with another order"):
            client.orders.reactivate(1001, idempotency_key="key-1")
    assert len(script.requests) == 1


def test_a23_the_same_purchase_again_is_replayed_by_the_service() -> None:
    """The design has no ``replay=``: the same bytes under the same key cannot buy twice."""
    script = Script()
    with scripted(script) as client:
        assert buy(client) == buy(client)
    first, second = script.requests
    assert (first.content, first.headers) == (second.content, second.headers)


def test_a24_a_purchase_is_not_under_way_twice() -> None:
    seen: list[str] = []

    def submit_again() -> None:
        with pytest.raises(ClientStateError, match="under way") as caught:
            client.orders.submit(intent)
        seen.append(caught.value.outcome)

    script = Script(before=submit_again)
    with scripted(script) as client:
        intent = client.orders.prepare(catalog_product_id=87)
        assert len(client.orders.submit(intent)) == 1
    assert (len(script.requests), seen) == (1, ["unknown"])


def ask_in_no_time(url: str) -> None:
    with Client(TOKEN, base_url=url, timeout=1e-9, retry=ONCE) as client:
        client.balance()


def ask_in_no_time_async(url: str) -> None:
    async def ask() -> None:
        async with AsyncClient(TOKEN, base_url=url, timeout=1e-9, retry=ONCE) as client:
            try:
                await client.balance()
            finally:
                assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(ask())


@pytest.mark.parametrize("ask", [ask_in_no_time, ask_in_no_time_async], ids=FLAVOURS)
def test_a33_a_deadline_that_is_over_at_once_sends_nothing(ask: Callable[[str], None]) -> None:
    with raw_server(lambda connection, request: (http(BALANCE), False)) as server:
        with pytest.raises(RequestTimeoutError) as caught:
            ask(server.url)
    assert (caught.value.outcome, server.requests) == ("not_sent", 0)


@pytest.mark.parametrize("attempts", [0, -1, 1.5, 10**6, 51, True, "3"])
def test_a34_attempts_are_counted_from_1_to_50(attempts: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"retry\.max_attempts: expected an int of 1\.\.50"):
        RetryPolicy(max_attempts=attempts)
    assert RetryPolicy(max_attempts=50).max_attempts == 50


def test_a41_the_callers_httpx_has_to_be_open_and_of_this_flavour() -> None:
    closed = httpx.Client()
    closed.close()
    wrong_here: list[Any] = [closed, httpx.AsyncClient(), object(), httpx.HTTPTransport()]
    for wrong in wrong_here:
        with pytest.raises(
            InvalidArgumentError, match="http_client: expected an open client of httpx or httpx2"
        ):
            Client(TOKEN, http_client=wrong)
    wrong_there: list[Any] = [closed, httpx.Client(), object(), httpx.AsyncHTTPTransport()]
    for wrong in wrong_there:
        with pytest.raises(
            InvalidArgumentError, match="http_client: expected an open client of httpx or httpx2"
        ):
            AsyncClient(TOKEN, http_client=wrong)
    mixed: list[tuple[Callable[..., object], Any]] = [
        (Client, httpx.AsyncHTTPTransport()),
        (AsyncClient, httpx.HTTPTransport()),
        (Client, object()),
    ]
    for class_, transport in mixed:
        with pytest.raises(InvalidArgumentError, match="transport: expected a transport of httpx"):
            class_(TOKEN, transport=transport)


def test_a42_the_callers_httpx_neither_redirects_nor_authenticates() -> None:
    """Its ``auth`` is left unused rather than refused: the client may serve other requests, too."""
    redirect = Reply(b"", 307, ((b"location", b"https://elsewhere.example.net/"),))
    script = Script([redirect])
    own = httpx.Client(transport=script, follow_redirects=True, auth=("user", "password"))
    with own, Client(TOKEN, http_client=own) as client:
        with pytest.raises(Exception, match="redirect, which is never followed"):
            client.balance()
    (request,) = script.requests
    assert request.headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("event", ["request", "response"])
def test_a42_a_hook_that_raises_is_a_failure_of_the_transport(event: str) -> None:
    def hook(_: object) -> None:
        raise ZeroDivisionError("a defect")

    own = httpx.Client(transport=Script([GOOD]), event_hooks={event: [hook]})
    with own, Client(TOKEN, http_client=own, retry=RetryPolicy(base=0.001)) as client:
        with pytest.raises(NetworkError, match="The transport failed") as caught:
            client.balance()
    assert (caught.value.outcome, caught.value.attempts) == ("unknown", 1)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a43_a_client_belongs_to_its_process_and_ends_when_it_is_closed() -> None:
    """It may be used without being entered: a plain `close` ends it as well."""
    script = Script()
    client = scripted(script)
    client.balance()
    with mock.patch("smscode._concurrency.loop_affinity.os.getpid", return_value=-1):
        with pytest.raises(ClientStateError, match="before the process forked"):
            client.balance()
    client.close()
    attempts: list[Callable[[], object]] = [
        client.balance,
        lambda: client.orders.create(catalog_product_id=87),
        lambda: client.orders.wait_for_otp(1001),
    ]
    for attempt in attempts:
        with pytest.raises(ClientStateError, match="closed") as caught:
            attempt()
        assert caught.value.outcome == "not_sent"
    assert len(script.requests) == 1


def test_a43_a_client_belongs_to_its_event_loop() -> None:
    script = Script()
    client = AsyncClient(TOKEN, transport=script)

    async def ask() -> None:
        await client.balance()

    asyncio.run(ask())
    with pytest.raises(ClientStateError, match="another event loop"):
        asyncio.run(ask())
    assert len(script.requests) == 1


def test_a44_a_purchase_that_is_not_awaited_has_not_begun() -> None:
    script = Script()
    client = AsyncClient(TOKEN, transport=script)
    made: list[object] = [client.orders.create(catalog_product_id=87)]
    with pytest.warns(RuntimeWarning, match="never awaited"):
        made.clear()
    assert (client.orders.unresolved(), script.requests) == ((), [])


def test_a48_headers_of_the_callers_httpx_do_not_reach_the_service() -> None:
    """No argument takes headers; those that a caller's own client adds to its requests are not these."""
    script = Script()
    theirs = {"Authorization": "Basic x", "Host": "evil.com", "Content-Length": "5", "Idempotency-Key": "k"}
    with httpx.Client(transport=script, headers=theirs) as own, Client(TOKEN, http_client=own) as client:
        client.balance()
    (request,) = script.requests
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["host"] == "api.smscode.gg"
    assert not {"content-length", "idempotency-key"} & request.headers.keys()


@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_a50_an_empty_token_in_the_environment_is_none(client: Callable[[], object]) -> None:
    with mock.patch.dict(os.environ, {"SMSCODE_TOKEN": ""}):
        with pytest.raises(ConfigurationError, match="No token: give token=, or set SMSCODE_TOKEN"):
            client()


def test_a51_a_socks_proxy_needs_one_more_package_and_says_which() -> None:
    """There is no ``proxy=``: proxies come from the environment, or with a caller's own httpx client."""
    with mock.patch.dict(os.environ, {"https_proxy": "socks5://127.0.0.1:9"}):
        with mock.patch.dict("sys.modules", {"socksio": None}), Client(TOKEN, retry=ONCE) as client:
            with pytest.raises(ConfigurationError, match=re.escape('pip install "httpx[socks]"')) as caught:
                client.balance()
    assert caught.value.outcome == "not_sent"


def test_a53_a_purchase_is_frozen_before_it_is_sent() -> None:
    call = calls.orders.create(catalog_product_id=87, idempotency_key="key-1")

    def change() -> None:
        cast("dict[str, object]", call.fields)["quantity"] = 100

    script = Script([reply(HTML, 503)], before=change)
    with scripted(script, retry=RetryPolicy(max_attempts=2)) as client:
        assert len(client.send(call).data) == 1
    first, second = script.requests
    assert first.content == second.content == b'{"catalog_product_id":87,"quantity":1}'


def test_a54_keys_do_not_come_from_seeded_chance() -> None:
    keys: set[str] = set()
    with scripted(Script()) as client:
        for _ in range(2):
            random.seed(1)
            keys.add(client.orders.prepare(catalog_product_id=87).idempotency_key)
    assert len(keys) == 2


# -- payloads --------------------------------------------------------------------------------------


def test_p48_cookies_are_ignored_however_many() -> None:
    flood = tuple((b"set-cookie", b"c%d=%d; Path=/" % (n, n)) for n in range(1000))
    script = Script([Reply(GOOD.body, 200, flood), GOOD])
    with scripted(script, api_version="v1") as client:
        assert client.balance() == client.balance()
    assert ["cookie" in request.headers for request in script.requests] == [False, False]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_p54_bytes_after_an_answer_are_not_the_next_one(flavour: Flavour) -> None:
    stray = http(BALANCE.replace(b"5}}", b"6}}"))

    def respond(connection: int, request: int) -> tuple[bytes, bool]:
        return http(BALANCE) + stray, False

    with raw_server(respond) as server:
        if flavour == "sync":
            with Client(TOKEN, api_version="v1", base_url=server.url, retry=ONCE) as client:
                found = [client.balance().balance.canonical_amount for _ in range(3)]
        else:
            found = asyncio.run(_balances(server.url))
    assert found == [5, 5, 5]
    assert (server.requests, server.connections) == (3, 3)


async def _balances(url: str) -> list[int]:
    async with AsyncClient(TOKEN, api_version="v1", base_url=url, retry=ONCE) as client:
        return [(await client.balance()).balance.canonical_amount for _ in range(3)]


# -- webhooks --------------------------------------------------------------------------------------


def test_w10_an_event_that_comes_twice_or_late_is_signed_all_the_same_and_can_be_told() -> None:
    """A delivery has no id and no signed time of sending: its revision tells which news is older."""
    older, newer = (
        deliveries.event(data={**deliveries.DATA, "sms_revision": revision}) for revision in (1, 2)
    )
    read = [
        webhooks.receive(body, webhooks.sign(body, deliveries.SECRET), deliveries.SECRET)
        for body in (newer, newer, older)
    ]
    assert read[0] == read[1]
    assert [event.sms_revision for event in read if isinstance(event, OtpReceived)] == [2, 2, 1]


@pytest.mark.parametrize("signature", [None, "", "sha256=" + "0" * 64])
def test_w14_no_report_shows_the_secret_or_the_right_signature(signature: str | None) -> None:
    with pytest.raises(WebhookSignatureError) as caught:
        webhooks.receive(deliveries.BODY, signature, f"{CANARY}-" + "secret")
    found = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    report = "".join(found.format())
    assert "refusal" in report, "the variables are in the report"
    assert CANARY not in report
    assert deliveries.DIGITS not in report
