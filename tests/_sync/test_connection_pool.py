# Generated from tests/_async/test_connection_pool.py by `nox -s generate`: change that file, not this one.

"""What goes over the wire and what may come back: respx between httpx and the network, then sockets."""

from __future__ import annotations

import gzip
import math
import ssl
import sys
import threading
import traceback
from typing import Any, Literal

import httpx
import pytest
import respx

from smscode import (
    Client,
    ClientStateError,
    ConfigurationError,
    InvalidResponseError,
    Money,
    NetworkError,
    NotFoundError,
    RequestTimeoutError,
    RetryPolicy,
    SmscodeError,
    Timeouts,
    calls,
)
from smscode._concurrency import Caller, Event, Runtime, Signal
from smscode._version import DISTRIBUTION, VERSION
from smscode.core.effects import Acquire
from smscode.core.ratelimit.limiter import Lease
from smscode.core.waiting.sms_wait import SmsWait, Waiter
from smscode.models import EndpointGroup
from smscode.sandbox import Sandbox

from ..concurrency import FairSemaphore, raw_server
from ..stacks import only_httpx
from .helpers import BALANCE_V1, Script, idle_lanes, until

pytestmark = pytest.mark.anyio

Version = Literal["v1", "v2"]

TOKEN = "canary-7Qx9-token"
HERE = "http://127.0.0.1:9"
ONCE = RetryPolicy(max_attempts=1)
QUICK = RetryPolicy(base=0.001, cap=0.001)
BALANCE = Money.idr(1_000_000)
OK = httpx.Response(200, content=BALANCE_V1)
# Leaving an answer in the middle leaves httpx's generators behind, of which trio warns as they go.
LEFT_IN_THE_MIDDLE = pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")


def lanes_client(**options: Any) -> Client:
    """Make a client on connections of its own."""
    defaults: dict[str, Any] = {"api_version": "v1", "base_url": HERE, "retry": ONCE}
    return Client(TOKEN, **(defaults | options))


def packed(body: bytes) -> httpx.Response:
    return httpx.Response(200, headers={"content-encoding": "gzip"}, stream=httpx.ByteStream(body))


def http(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """Return an answer as it goes over the wire."""
    head = "\r\n".join([f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers])
    return head.encode() + b"\r\n\r\n" + body


GOOD = http(BALANCE_V1)


# -- requests --------------------------------------------------------------------------------------


@only_httpx
def test_a_request_has_these_headers_and_no_others() -> None:
    with respx.mock(base_url="https://api.smscode.gg") as router:
        route = router.get("/v1/balance").mock(return_value=OK)
        with Client(TOKEN, api_version="v1") as client:
            assert (client.balance()).balance == BALANCE
        request = route.calls.last.request
    assert dict(request.headers) == {
        "host": "api.smscode.gg",
        "accept": "application/json",
        "accept-encoding": "gzip",
        "user-agent": f"{DISTRIBUTION}/{VERSION}",
        "authorization": f"Bearer {TOKEN}",
    }
    assert request.content == b""


@only_httpx
def test_a_purchase_has_its_body_key_and_length() -> None:
    created = {"success": True, "data": {"orders": [{"id": 7}], "failed_count": 0}}
    with respx.mock(base_url=HERE) as router:
        route = router.post("/v2/orders/create").mock(return_value=httpx.Response(200, json=created))
        with lanes_client(api_version="v2") as client:
            client.orders.create(product_id=142, max_price="0.50", idempotency_key="key-1")
        request = route.calls.last.request
    assert request.content == b'{"product_id":142,"quantity":1,"max_price":"0.50"}'
    assert request.headers["content-length"] == str(len(request.content))
    assert request.headers["content-type"] == "application/json"
    assert request.headers["idempotency-key"] == "key-1"


@only_httpx
def test_a_query_is_escaped() -> None:
    rate = {"pair": "USD/IDR", "rate": 16_250, "base_currency": "USD", "quote_currency": "IDR"}
    with respx.mock() as router:
        answer = httpx.Response(200, json={"success": True, "data": rate})
        route = router.get(url__startswith=f"{HERE}/api/v1/catalog/").mock(return_value=answer)
        with lanes_client(base_url=f"{HERE}/api/") as client:
            client.catalog.exchange_rate()
        assert str(route.calls.last.request.url) == f"{HERE}/api/v1/catalog/exchange-rate?pair=USD%2FIDR"


@only_httpx
def test_no_cookie_is_kept() -> None:
    with respx.mock(base_url=HERE) as router:
        answer = httpx.Response(200, headers={"set-cookie": "session=1; Path=/"}, content=BALANCE_V1)
        route = router.get("/v1/balance").mock(return_value=answer)
        with lanes_client() as client:
            client.balance()
            client.balance()
        assert "cookie" not in route.calls.last.request.headers


# -- answers ---------------------------------------------------------------------------------------


@only_httpx
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    with respx.mock(base_url=HERE) as router:
        answer = httpx.Response(status, headers={"location": "https://elsewhere.example.net/"})
        route = router.get("/v1/balance").mock(return_value=answer)
        with lanes_client(retry=QUICK) as client:
            with pytest.raises(InvalidResponseError, match="redirect") as caught:
                client.balance()
        assert route.call_count == 1
    assert caught.value.status_code == status


@only_httpx
def test_a_packed_answer_is_unpacked() -> None:
    with respx.mock(base_url=HERE) as router:
        router.get("/v1/balance").mock(return_value=packed(gzip.compress(BALANCE_V1)))
        with lanes_client() as client:
            assert (client.balance()).balance == BALANCE


@only_httpx
def test_an_encoding_that_was_not_asked_for_is_refused() -> None:
    with respx.mock(base_url=HERE) as router:
        answer = httpx.Response(200, headers={"content-encoding": "br"}, content=b"...")
        route = router.get("/v1/balance").mock(return_value=answer)
        with lanes_client(retry=QUICK) as client:
            with pytest.raises(InvalidResponseError, match="content encoding") as caught:
                client.balance()
            assert idle_lanes(client) == []
        assert route.call_count == 4
    assert (caught.value.outcome, caught.value.attempts) == ("unknown", 4)


@LEFT_IN_THE_MIDDLE
@pytest.mark.parametrize("body", [gzip.compress(BALANCE_V1, mtime=0)[:-9], b"this is not gzip"])
def test_a_packed_answer_that_is_cut_or_damaged_is_like_a_broken_connection(body: bytes) -> None:
    bad = http(body, "200 OK", "content-encoding: gzip")
    with raw_server(lambda number, request: (bad if number == 1 else GOOD, False)) as server:
        with lanes_client(base_url=server.url) as client:
            with pytest.raises(NetworkError, match="compression") as caught:
                client.balance()
            assert caught.value.outcome == "unknown"
            assert idle_lanes(client) == []
            assert (client.balance()).balance == BALANCE
    assert server.connections == 2


@only_httpx
@LEFT_IN_THE_MIDDLE
@pytest.mark.parametrize("is_packed", [False, True])
def test_an_answer_has_a_largest_size_unpacked(
    is_packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = BALANCE_V1 + b" " * 5000
    answer = packed(gzip.compress(body)) if is_packed else httpx.Response(200, content=body)
    with respx.mock(base_url=HERE) as router:
        router.get("/v1/balance").mock(return_value=answer)
        with lanes_client() as client:
            monkeypatch.setattr("smscode._http.messages.LARGEST_BODY", len(body))
            assert (client.balance()).balance == BALANCE
            monkeypatch.setattr("smscode._http.messages.LARGEST_BODY", len(body) - 1)
            with pytest.raises(InvalidResponseError, match=f"larger than {len(body) - 1} bytes"):
                client.balance()
            assert idle_lanes(client) == []


# -- failures --------------------------------------------------------------------------------------

FAILURES: list[tuple[Exception, type[NetworkError], str]] = [
    (httpx.ConnectError("no"), NetworkError, "not_sent"),
    (httpx.ConnectTimeout("no"), RequestTimeoutError, "not_sent"),
    (httpx.PoolTimeout("no"), RequestTimeoutError, "not_sent"),
    (httpx.ProxyError("no"), NetworkError, "not_sent"),
    (httpx.ReadError("no"), NetworkError, "unknown"),
    (httpx.WriteError("no"), NetworkError, "unknown"),
    (httpx.CloseError("no"), NetworkError, "unknown"),
    (httpx.ReadTimeout("no"), RequestTimeoutError, "unknown"),
    (httpx.WriteTimeout("no"), RequestTimeoutError, "unknown"),
    (httpx.RemoteProtocolError("no"), NetworkError, "unknown"),
    (httpx.LocalProtocolError("no"), NetworkError, "not_sent"),
    (httpx.UnsupportedProtocol("no"), NetworkError, "not_sent"),
    (ConnectionResetError("no"), NetworkError, "unknown"),
    (ssl.SSLError("no"), NetworkError, "unknown"),
]


@only_httpx
@pytest.mark.parametrize(("failure", "class_", "outcome"), FAILURES)
def test_a_failure_says_what_became_of_the_request(
    failure: Exception, class_: type[NetworkError], outcome: str
) -> None:
    with respx.mock(base_url=HERE) as router:
        router.get("/v1/balance").mock(side_effect=failure)
        with lanes_client() as client:
            with pytest.raises(NetworkError) as caught:
                client.balance()
            assert idle_lanes(client) == []
    assert type(caught.value) is class_
    assert (caught.value.outcome, caught.value.attempts) == (outcome, 1)
    assert type(failure).__name__ in str(caught.value)


@only_httpx
def test_a_certificate_that_cannot_be_verified_stays_that_way() -> None:
    failure = httpx.ConnectError("TLS")
    failure.__cause__ = ssl.SSLCertVerificationError("self-signed certificate")
    script = Script([failure, OK])
    with lanes_client(transport=script, retry=QUICK) as client:
        with pytest.raises(NetworkError, match="certificate cannot be verified") as caught:
            client.balance()
    assert len(script.requests) == 1
    assert caught.value.outcome == "not_sent"
    assert caught.value.__cause__ is failure


@only_httpx
def test_an_exception_that_quotes_the_headers_is_not_passed_on() -> None:
    with respx.mock(base_url=HERE) as router:
        route = router.get("/v1/balance").mock(
            side_effect=httpx.LocalProtocolError(f"Illegal header value b'Bearer {TOKEN}'")
        )
        with lanes_client(retry=QUICK) as client:
            with pytest.raises(NetworkError) as caught:
                client.balance()
        assert route.call_count == 1
    error = caught.value
    assert (error.__cause__, error.__context__) == (None, None)
    assert TOKEN not in f"{error} {error!r}"


@only_httpx
def test_a_defect_below_is_not_tried_again_and_can_be_found() -> None:
    with respx.mock(base_url=HERE) as router:
        route = router.get("/v1/balance").mock(side_effect=[ZeroDivisionError("a defect"), OK])
        with lanes_client(max_connections=1, retry=QUICK) as client:
            with pytest.raises(NetworkError, match=r"transport failed \(ZeroDivisionError\)") as caught:
                client.balance()
            assert route.call_count == 1
            assert (client.balance()).balance == BALANCE
    assert (caught.value.outcome, caught.value.trouble) == ("unknown", "transport failed")
    cause = caught.value.__cause__
    assert isinstance(cause, ZeroDivisionError)
    frames = [frame.filename for frame in traceback.extract_tb(cause.__traceback__)]
    assert any("respx" in name for name in frames)
    assert not any("httpcore" in name for name in frames)


def test_a_socks_proxy_without_its_package_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "socksio", None)
    with lanes_client(base_url="https://api.smscode.gg") as client:
        with pytest.raises(ConfigurationError, match=r"ALL_PROXY: .*httpx\[socks\]"):
            client.balance()


@only_httpx
def test_passing_failures_are_repeated_on_new_lanes() -> None:
    with respx.mock(base_url=HERE) as router:
        route = router.get("/v1/balance").mock(
            side_effect=[httpx.ReadError("no"), httpx.ConnectTimeout("no"), OK]
        )
        with lanes_client(retry=QUICK, max_connections=1) as client:
            assert (client.send(calls.balance.get())).attempts == 3
        assert route.call_count == 3


# -- lanes and the gate ----------------------------------------------------------------------------


def test_a_lane_is_used_again() -> None:
    with raw_server(lambda connection, request: (GOOD, False)) as server:
        with lanes_client(base_url=server.url) as client:
            for _ in range(3):
                assert (client.balance()).balance == BALANCE
                assert len(idle_lanes(client)) == 1
        until(lambda: not server.open)
    assert (server.connections, server.requests) == (1, 3)


def test_the_lane_used_last_is_used_first() -> None:
    both_asked = threading.Barrier(2)

    def respond(number: int, request: int) -> tuple[bytes, bool]:
        if request == 1:
            both_asked.wait(10)
        return GOOD, False

    with raw_server(respond) as server:
        with lanes_client(base_url=server.url) as client:

            def ask(number: int) -> None:
                client.balance()

            Runtime().for_each(ask, [0, 1])
            cold, warm = idle_lanes(client)
            for _ in range(3):
                client.balance()
                assert idle_lanes(client) == [cold, warm]
    assert server.connections == 2


def test_no_more_lanes_than_allowed_are_opened() -> None:
    with raw_server(lambda connection, request: (GOOD, False)) as server:
        with lanes_client(base_url=server.url, max_connections=4) as client:

            def ask(number: int) -> None:
                assert (client.balance()).balance == BALANCE

            Runtime().for_each(ask, range(20))
            opened = server.connections
            for _ in range(5):
                client.balance()
            assert server.connections == opened
    assert 1 <= opened <= 4
    assert server.requests == 25


@pytest.mark.parametrize(
    ("answer", "close"),
    [
        (b"", True),
        (GOOD[:30], True),
        (GOOD[:-5], True),
        (b"this is not HTTP\r\n\r\n", False),
        (http(b"<html>", "502 Bad Gateway"), False),
    ],
)
def test_after_a_failure_the_call_is_repeated(answer: bytes, close: bool) -> None:
    def respond(number: int, request: int) -> tuple[bytes, bool]:
        return (answer, close) if server.requests == 1 else (GOOD, False)

    with raw_server(respond) as server:
        with lanes_client(base_url=server.url, retry=QUICK) as client:
            assert (client.send(calls.balance.get())).attempts == 2
    assert server.requests == 2


@pytest.mark.parametrize("answer", [b"", GOOD[:-5]])
def test_a_lane_that_broke_is_not_used_again(answer: bytes) -> None:
    with raw_server(lambda number, request: (answer if number == 1 else GOOD, number == 1)) as server:
        with lanes_client(base_url=server.url) as client:
            with pytest.raises(NetworkError) as caught:
                client.balance()
            assert caught.value.outcome == "unknown"
            assert idle_lanes(client) == []
            assert (client.balance()).balance == BALANCE
            assert len(idle_lanes(client)) == 1
    assert server.connections == 2


@pytest.mark.parametrize(
    ("status", "body"),
    [
        ("200 OK", b'{"success": true, "data": "POISON!"}'),
        ("200 OK", b'{"data": {}}'),
        ("200 OK", b"<html>Welcome to the hotel</html>"),
        ("302 Found", b""),
        ("408 Request Timeout", b'{"success": false, "error": {}}'),
        ("429 Too Many Requests", b"<html>Slow down</html>"),
    ],
)
def test_no_call_gets_the_answer_to_another_one_after_an_answer_too_many(
    status: str, body: bytes
) -> None:
    """The service's answers are one behind on a connection where something sent an answer too many."""
    behind = http(BALANCE_V1.replace(b"1000000", b"7"), "200 OK")

    def respond(connection: int, request: int) -> tuple[bytes, bool]:
        if connection > 1 or request == 1:
            return GOOD, False
        return (http(body, status) if request == 2 else behind), False

    with raw_server(respond) as server:
        with lanes_client(base_url=server.url) as client:
            assert (client.balance()).balance == BALANCE
            with pytest.raises(SmscodeError):
                client.balance(timeout=0.9)  # less than the pause after a 429
            assert idle_lanes(client) == []
            for _ in range(2):
                assert (client.balance()).balance == BALANCE
    assert server.connections == 2


def test_a_refusal_of_the_service_costs_no_connection() -> None:
    refused = b'{"success": false, "error": {"code": "NOT_FOUND", "message": "no"}}'
    with raw_server(lambda number, request: (http(refused, "404 Not Found"), False)) as server:
        with lanes_client(base_url=server.url) as client:
            for _ in range(3):
                with pytest.raises(NotFoundError):
                    client.balance()
    assert server.connections == 1


def test_a_call_that_is_left_while_it_reads_its_answer_gives_everything_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def leave(runtime: Runtime, seconds: float) -> None:
        raise KeyError(seconds)

    rows = b",".join([b'{"id": 1, "code": "ID", "name": "Indonesia", "active": true}'] * 2_000)
    page = http(b'{"success": true, "data": [' + rows + b"]}", "200 OK")
    with raw_server(lambda number, request: (page if number == 1 else GOOD, False)) as server:
        with lanes_client(base_url=server.url, max_connections=1) as client:
            with monkeypatch.context() as patch:
                patch.setattr(Runtime, "sleep", leave)
                with pytest.raises(KeyError):
                    client.catalog.countries()
            assert idle_lanes(client) == []
            assert (client.balance()).balance == BALANCE
    assert server.connections == 2


def test_an_answer_that_does_not_come_is_not_waited_for() -> None:
    with raw_server(lambda number, request: (b"" if number == 1 else GOOD, False)) as server:
        with lanes_client(base_url=server.url, timeout=Timeouts(read=0.02)) as client:
            with pytest.raises(RequestTimeoutError, match="No answer in time") as caught:
                client.balance()
            assert caught.value.outcome == "unknown"
            until(lambda: not server.open)
            assert (client.balance()).balance == BALANCE


def test_a_server_that_nobody_runs_is_no_connection() -> None:
    with raw_server(lambda number, request: (GOOD, False)) as server:
        url = server.url
    with lanes_client(base_url=url) as client:
        with pytest.raises(NetworkError, match="No connection") as caught:
            client.balance()
        assert caught.value.outcome == "not_sent"
        assert idle_lanes(client) == []


@pytest.mark.parametrize("header", [[], ["connection: close"]])
def test_a_server_may_close_connections_between_calls(header: list[str]) -> None:
    with raw_server(lambda number, request: (http(BALANCE_V1, "200 OK", *header), True)) as server:
        with lanes_client(base_url=server.url, retry=QUICK) as client:
            for _ in range(5):
                assert (client.balance()).balance == BALANCE
    assert server.connections >= 5


def test_a_lane_that_comes_back_after_the_end_is_closed() -> None:
    may_answer = threading.Event()

    def respond(number: int, request: int) -> tuple[bytes, bool]:
        assert may_answer.wait(10)
        return GOOD, False

    with raw_server(respond) as server:
        client = lanes_client(base_url=server.url)

        def use(part: int) -> None:
            if part == 0:
                assert (client.balance()).balance == BALANCE
            else:
                until(lambda: server.requests)
                client.close()
                may_answer.set()

        Runtime().for_each(use, [0, 1])
        until(lambda: not server.open)
        assert idle_lanes(client) == []


def test_an_interrupt_while_connections_are_closed_keeps_no_other_one_open() -> None:
    together = threading.Barrier(4)

    def respond(number: int, request: int) -> tuple[bytes, bool]:
        together.wait(10)
        return GOOD, False

    def interrupt() -> None:
        raise KeyboardInterrupt

    with raw_server(respond) as server:
        client = lanes_client(base_url=server.url)

        def use(part: int) -> None:
            client.balance()

        Runtime().for_each(use, range(4))
        lane = client._driver._connections._idle[0][1]
        close, lane.close = lane.close, interrupt  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            client.close()
        until(lambda: server.open == 1)
        lane.close = close  # type: ignore[method-assign]
        client.close()
        until(lambda: not server.open)


class Held(Script):
    """Answers the first request only when it is let go, and the others at once."""

    def __init__(self) -> None:
        super().__init__([])
        self.go = Event()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if len(self.requests) == 1:
            self.go.wait(10)
        return httpx.Response(200, content=BALANCE_V1)


def test_calls_beyond_the_connections_wait_in_their_order() -> None:
    held = Held()
    client = lanes_client(transport=held, max_connections=1)
    gate = client._driver._connections._semaphore

    def use(place: int) -> None:
        if place == 5:
            until(lambda: len(gate._waiters) == 4)
            held.go.set()
            return
        # One after the other: the first holds the connection, each other one queues up behind.
        until(lambda: len(held.requests) + len(gate._waiters) >= place)
        client.balance(timeout=100 + place)

    with client:
        Runtime().for_each(use, range(6))
    left = [request.extensions["timeout"]["pool"] for request in held.requests]
    assert len(left) == 5
    assert left == sorted(left)


def test_waiting_for_a_connection_ends_with_the_time_of_the_call() -> None:
    held = Held()
    client = lanes_client(transport=held, max_connections=1)

    def use(place: int) -> None:
        if place == 0:
            client.balance()
            return
        until(lambda: held.requests)
        with pytest.raises(RequestTimeoutError, match="No connection became free in time") as caught:
            client.balance(timeout=0.01)
        assert (caught.value.outcome, caught.value.attempts) == ("not_sent", 1)
        held.go.set()

    with client:
        Runtime().for_each(use, [0, 1])
        assert (client.balance()).balance == BALANCE
    assert len(held.requests) == 2


def test_a_gate_lets_nobody_overtake() -> None:
    gate = FairSemaphore(2, Runtime())
    one, two, three, four = (Caller(lambda _: None) for _ in range(4))
    assert [gate.enter(caller, 0) for caller in (one, two, three)] == [True, True, False]
    gate.leave(one)
    assert gate.enter(three, 0)
    assert not gate.enter(four, 0)
    gate.leave(one)  # again, which gives nobody a second place
    assert not gate.enter(four, 0)


# -- what the caller brings ------------------------------------------------------------------------


def test_a_callers_transport_is_closed_with_the_client() -> None:
    script = Script([httpx.ReadError("no"), OK])
    with lanes_client(transport=script) as client:
        with pytest.raises(NetworkError):
            client.balance()
        assert script.closed == 0  # a failure is no reason to take it away
        client.balance()
    assert script.closed == 1


def test_a_callers_http_client_is_used_as_it_is_and_stays_open() -> None:
    script = Script([httpx.Response(302, headers={"location": HERE}), httpx.ReadError("no"), OK])
    http_client = httpx.Client(
        transport=script,
        follow_redirects=True,
        auth=("user", "password"),
        headers={"x-mine": "1", "authorization": "Basic nothing"},
        base_url="https://elsewhere.example.net",
    )
    with http_client:
        with lanes_client(http_client=http_client) as client:
            with pytest.raises(InvalidResponseError, match="redirect"):
                client.balance()
            with pytest.raises(NetworkError):
                client.balance()
            assert (client.balance()).balance == BALANCE
        assert not http_client.is_closed
    assert len(script.requests) == 3
    for request in script.requests:
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        assert str(request.url) == f"{HERE}/v1/balance"


def test_a_callers_http_client_that_was_closed_meanwhile_fails_each_call() -> None:
    http_client = httpx.Client(transport=Script([]))
    with lanes_client(http_client=http_client) as client:
        http_client.close()
        with pytest.raises(NetworkError, match="transport failed") as caught:
            client.balance()
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_a_client_may_be_closed_without_having_been_used() -> None:
    client = lanes_client()
    client.close()
    client.close()
    with pytest.raises(ClientStateError, match="closed"):
        client.balance()


# -- sockets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("api_version", ["v1", "v2"])
def test_twenty_rentals_go_over_five_connections(api_version: Version) -> None:
    pytest.importorskip("uvicorn")
    sandbox = Sandbox(otp_after=0.02)
    codes: dict[int, str | None] = {}
    with sandbox.serve() as server:
        client = Client(
            sandbox.token,
            api_version=api_version,
            base_url=server.url,
            max_connections=5,
            poll_interval=0.02,
        )

        def use(product_id: int) -> None:
            created = client.orders.create(catalog_product_id=product_id)
            sms = client.orders.wait_for_otp(created.orders[0].id)
            codes[sms.order_id] = sms.code
            client.orders.finish(sms.order_id)

        with client:
            Runtime().for_each(use, [87 + number % 6 for number in range(20)])
            assert 1 <= len(idle_lanes(client)) <= 5
            orders = [order for order in client.orders.iter(status="COMPLETED")]
            balance = (client.balance()).balance
    assert {order.id: order.otp_code for order in orders} == codes
    assert len(codes) == 20
    assert balance.canonical_amount == 1_000_000 - sum(order.amount.canonical_amount for order in orders)
    assert sandbox.requests["POST /orders/create"] == 20


def test_a_service_that_was_away_is_found_again() -> None:
    pytest.importorskip("uvicorn")
    sandbox = Sandbox(token=TOKEN)
    with sandbox.serve() as server:
        client = lanes_client(base_url=server.url)
        assert (client.balance()).balance == BALANCE
    with pytest.raises(SmscodeError) as caught:
        client.balance()
    assert caught.value.outcome == "not_sent"
    with sandbox.serve(server.port):
        assert (client.balance()).balance == BALANCE
        client.close()


def test_what_an_interrupted_call_holds_can_be_given_back_by_others_and_more_than_once() -> None:
    with lanes_client(max_connections=1) as client:
        driver = client._driver
        connections, limits = driver._connections, driver._limits
        assert limits is not None
        caller, other = (Caller(lambda _: None) for _ in range(2))
        acquire = Acquire(EndpointGroup.BALANCE, math.inf, urgent=False)
        lease = limits.acquire(acquire, 1.0, caller)
        assert isinstance(lease, Lease)
        assert connections._semaphore.enter(caller, 0)
        lane = connections._take(caller, fresh=False)
        connections.break_off(other)  # which has no lane
        connections.break_off(caller)
        for _ in range(2):
            driver._give_back(caller)
            assert (caller.connection, caller.lease, lease.granted) == (None, None, False)
        assert list(connections._unwanted) == [lane]
        assert connections._semaphore.enter(other, 0)
        driver._give_back(other)
        caller.finish()
        other.finish()
    assert not connections._unwanted


def test_a_lane_that_an_interrupted_call_took_is_not_used_by_another_one() -> None:
    """The call was interrupted after it had the lane, and before the lane was off the list of idle ones."""
    with lanes_client() as client:
        connections = client._driver._connections
        lost, other = (Caller(lambda _: None) for _ in range(2))
        lane = connections._take(lost, fresh=False)
        connections._idle.append((client._driver.runtime.now(), lane))
        assert connections._take(other, fresh=False) is not lane
        assert not connections._idle
        connections._idle.append((client._driver.runtime.now(), lane))
        client._driver._give_back(lost)
        client._driver._give_back(other)
        lost.finish()
        other.finish()
    assert not connections._unwanted


def test_a_client_without_limits_gives_back_its_connections_alone() -> None:
    with lanes_client(max_connections=1, rate_limits=None) as client:
        caller = Caller(lambda _: None)
        gate = client._driver._connections._semaphore
        assert gate.enter(caller, 0)
        client._driver._give_back(caller)
        caller.finish()
        assert not gate._inside


def test_a_wait_that_is_collected_just_as_its_turn_comes_keeps_no_place() -> None:
    """A garbage collection can end an abandoned wait between any two instructions."""

    class Inside(dict[Caller, None]):
        def __setitem__(self, caller: Caller, place: None) -> None:
            if caller is abandoned:
                gate._waiters.pop(caller, None)  # as its `leave` does
            super().__setitem__(caller, place)

    gate = FairSemaphore(1, Runtime())
    first, abandoned, third = (Caller(lambda _: None) for _ in range(3))
    gate._inside = Inside()
    assert gate.enter(first, 0)
    gate._waiters[abandoned] = Event()
    gate.leave(first)
    assert not gate._inside
    assert gate.enter(third, 0)


def test_the_waits_of_a_generator_are_left_for_it() -> None:
    with lanes_client() as client:
        waits = client._ordering.waits
        waiter = Waiter([SmsWait(1001, needs_code=True, after_revision=None, after_code=None)], Signal())
        waits._join(waiter)
        for _ in range(2):
            waits._leave_all([waiter])
        assert (len(waits._shared_poll._participants), len(waits._shared_poll._by_order)) == (0, 0)
