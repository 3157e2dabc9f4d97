"""The client's calls sent by aiohttp: what goes over the wire, what failures mean, what is left behind."""

from __future__ import annotations

import asyncio
import gzip
import importlib
import socket
import ssl
import sys
import threading
import traceback
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import trio
import trustme

from smscode import (
    AsyncClient,
    ConfigurationError,
    InvalidResponseError,
    NetworkError,
    RequestTimeoutError,
    RetryPolicy,
    Timeouts,
    calls,
)
from smscode.errors import SmscodeError
from smscode.sandbox import Sandbox

from ..concurrency import raw_server, talking

pytest.importorskip("aiohttp")

from smscode.ext.aiohttp import transport

pytestmark = pytest.mark.asyncio

TOKEN = "canary-7Qx9-token"
HERE = "http://127.0.0.1:9"
ONCE = RetryPolicy(max_attempts=1)
QUICK = RetryPolicy(base=0.001, cap=0.001)
BODY = b'{"success":true,"data":{"currency":"IDR","balance":5}}'
CREATED = b'{"success":true,"data":{"orders":[{"id":7}],"failed_count":0}}'


def http(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """Return an answer as it goes over the wire."""
    head = "\r\n".join([f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers])
    return head.encode() + b"\r\n\r\n" + body


GOOD = http(BODY)
OTHER = GOOD.replace(b'"balance":5', b'"balance":6')


def aiohttp_client(url: str, **options: Any) -> AsyncClient:
    defaults: dict[str, Any] = {"api_version": "v1", "retry": ONCE, "transport": transport()}
    return AsyncClient(TOKEN, base_url=url, **(defaults | options))


async def balance(client: AsyncClient) -> int:
    return (await client.balance()).balance.canonical_amount


# -- what is sent ----------------------------------------------------------------------------------


async def test_a_purchase_goes_over_the_wire_as_with_own_connections() -> None:
    heads: list[list[bytes]] = []

    def talk(connection: socket.socket) -> None:
        received = connection.recv(65536)
        while not received.endswith(b"}"):
            received += connection.recv(65536)
        heads.append(sorted(received.split(b"\r\n")))
        connection.sendall(http(CREATED))

    with talking(talk) as port:
        for other in ({}, {"transport": None}):
            async with aiohttp_client(f"http://127.0.0.1:{port}", **other) as client:
                await client.orders.create(product_id=1, idempotency_key="key-1")
    mine, own = ([line.partition(b":")[2].strip() or line for line in head] for head in heads)
    assert sorted(mine) == sorted(own)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    answer = http(b"", f"{status} Elsewhere", "location: /v1/balance")
    with raw_server(lambda number, request: (answer, False)) as server:
        async with aiohttp_client(server.url, retry=QUICK) as client:
            with pytest.raises(InvalidResponseError, match="redirect"):
                await client.balance()
    assert server.requests == 1


async def test_no_cookie_is_kept() -> None:
    requests: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        while received := connection.recv(65536):
            requests.append(received)
            connection.sendall(http(BODY, "200 OK", "set-cookie: session=1; Path=/"))

    with talking(talk) as port:
        async with aiohttp_client(f"http://localhost:{port}") as client:
            assert [await balance(client) for _ in range(3)] == [5, 5, 5]
    assert len(requests) == 3
    assert not any(b"cookie" in request.lower() for request in requests)


async def test_connections_are_used_again_and_closed_at_the_end() -> None:
    with raw_server(lambda number, request: (GOOD, False)) as server:
        async with aiohttp_client(server.url, max_connections=4) as client:
            await asyncio.gather(*(client.balance() for _ in range(40)))
        assert server.connections <= 4
        assert server.requests == 40
        async with asyncio.timeout(10):
            while server.open:
                await asyncio.sleep(0.001)


@pytest.mark.parametrize("through_httpx", [False, True])
async def test_connections_are_closed_also_where_everything_is_being_cancelled(through_httpx: bool) -> None:
    together = threading.Barrier(3)

    def respond(number: int, request: int) -> tuple[bytes, bool]:
        together.wait(10)
        return GOOD, False

    with raw_server(respond) as server:
        client: Any = (
            httpx.AsyncClient(transport=transport()) if through_httpx else aiohttp_client(server.url)
        )
        ask = partial(client.get, server.url) if through_httpx else client.balance
        await asyncio.gather(*(ask() for _ in range(3)))
        assert server.open == 3
        with anyio.CancelScope() as scope:
            scope.cancel()
            await client.aclose()
        async with asyncio.timeout(10):
            while server.open:
                await asyncio.sleep(0.001)


async def test_rentals_go_all_the_way() -> None:
    sandbox = Sandbox(otp_after=0.02)
    with sandbox.serve() as server:
        options: dict[str, Any] = {"poll_interval": 0.02, "max_connections": 5, "transport": transport()}
        async with AsyncClient(sandbox.token, base_url=server.url, **options) as client:

            async def rent() -> str | None:
                async with client.orders.rent(catalog_product_id=87) as rental:
                    return (await rental.wait_for_otp()).code

            codes = await asyncio.gather(*(rent() for _ in range(10)))
            orders = [order async for order in client.orders.iter(status="COMPLETED")]
    assert sorted(map(str, codes)) == sorted(str(order.otp_code) for order in orders)
    assert len(codes) == 10


async def test_it_serves_any_httpx_client() -> None:
    with raw_server(lambda number, request: (GOOD, False)) as server:
        async with httpx.AsyncClient(transport=transport()) as client:
            assert (await client.get(server.url)).content == BODY


async def test_one_transport_may_have_several_destinations() -> None:
    with (
        raw_server(lambda number, request: (GOOD, False)) as one,
        raw_server(lambda number, request: (OTHER, False)) as other,
    ):
        async with httpx.AsyncClient(transport=transport()) as client:
            found = [(await client.get(url)).content for url in (one.url, other.url) * 2]
    assert found == [BODY, BODY.replace(b"5}", b"6}")] * 2
    assert (one.connections, other.connections) == (1, 1)


async def test_a_body_that_comes_by_pieces_is_sent_whole() -> None:
    received: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        data = connection.recv(65536)
        while not data.endswith(b"two"):
            data += connection.recv(65536)
        received.append(data.lower())
        connection.sendall(GOOD)

    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    with talking(talk) as port:
        async with httpx.AsyncClient(transport=transport()) as client:
            await client.post(f"http://127.0.0.1:{port}", content=pieces())
    head, _, body = received[0].partition(b"\r\n\r\n")
    assert body == b"onetwo"
    assert b"content-length: 6" in head
    assert b"transfer-encoding" not in head


@pytest.mark.parametrize("value", ["a\r\nhost: b", "a\nb", "a\rb"])
async def test_a_header_cannot_hold_another(value: str) -> None:
    with raw_server(lambda number, request: (GOOD, False)) as server:
        async with httpx.AsyncClient(transport=transport()) as client:
            with pytest.raises(httpx.LocalProtocolError) as refused:
                await client.get(server.url, headers={"x": value})
    assert value not in str(refused.value)
    assert server.connections == 0


# -- what failures mean ----------------------------------------------------------------------------

BROKEN = [
    b"",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"no status line\r\n\r\n",
    b"HTTP/1.1 999999 Odd\r\n\r\n",
    GOOD[:12],
    GOOD[:-5],
    b"HTTP/1.1 200 OK\r\nx: " + b"x" * 200_000 + b"\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcde",
    b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n" + BODY[:-5],
    http(gzip.compress(BODY, mtime=0)[:-9], "200 OK", "content-encoding: gzip"),
    http(b"not gzip", "200 OK", "content-encoding: gzip"),
    http(b"...", "200 OK", "content-encoding: br"),
]


@pytest.mark.parametrize("answer", BROKEN, ids=range(len(BROKEN)))
async def test_after_an_answer_that_is_none_a_purchase_is_in_doubt(answer: bytes) -> None:
    with raw_server(lambda number, request: (answer, True)) as server:
        async with aiohttp_client(server.url) as client:
            with pytest.raises(SmscodeError) as caught:
                await client.orders.create(product_id=1)
            assert len(client.orders.unresolved()) == 1
    assert (caught.value.outcome, caught.value.attempts, server.requests) == ("unknown", 1, 1)


@pytest.mark.parametrize("count", [1, 2, 3])
async def test_a_reset_leaves_a_purchase_in_doubt(count: int) -> None:
    def reset(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(GOOD[: 30 * (count - 1)])
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with talking(reset) as port:
        async with aiohttp_client(f"http://127.0.0.1:{port}") as client:
            with pytest.raises(NetworkError) as caught:
                await client.orders.create(product_id=1)
    assert (caught.value.outcome, caught.value.trouble) == ("unknown", "connection broke")


async def test_a_server_that_nobody_runs_was_not_sent_anything() -> None:
    with raw_server(lambda number, request: (GOOD, False)) as server:
        url = server.url
    async with aiohttp_client(url) as client:
        with pytest.raises(NetworkError, match=r"127\.0\.0\.1:\d+: Connection refused \(Con") as caught:
            await client.orders.create(product_id=1)
        assert client.orders.unresolved() == ()
    assert caught.value.outcome == "not_sent"
    assert isinstance(caught.value.__cause__, httpx.ConnectError)
    assert isinstance(caught.value.__cause__.__cause__, ConnectionRefusedError)


async def test_a_connection_that_is_closed_before_the_first_byte_counts_as_sent() -> None:
    async def trace(event: str, info: object) -> None:
        while event.endswith("send_request_headers.started") and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.001)

    def hang_up(connection: socket.socket) -> None:
        connection.shutdown(socket.SHUT_RDWR)

    until = asyncio.get_running_loop().time() + 0.1
    with talking(hang_up) as port:
        async with httpx.AsyncClient(transport=transport()) as client:
            with pytest.raises(httpx.RemoteProtocolError, match="ServerDisconnectedError"):
                await client.get(f"http://127.0.0.1:{port}", extensions={"trace": trace})


@pytest.fixture
def server_context(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ssl.SSLContext:
    """Return the TLS side of a server that the machine trusts."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate: Any = authority.issue_cert("localhost")
    certificate.configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return context


def answer(connection: socket.socket) -> None:
    while connection.recv(65536):
        connection.sendall(GOOD)


async def test_it_speaks_tls(server_context: ssl.SSLContext) -> None:
    with talking(answer, server_context) as port:
        async with aiohttp_client(f"https://localhost:{port}") as client:
            assert await balance(client) == 5


async def test_an_untrusted_certificate_is_refused_at_once(
    server_context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with talking(answer, server_context) as port:
        async with aiohttp_client(f"https://localhost:{port}", retry=QUICK) as client:
            with pytest.raises(NetworkError, match="certificate cannot be verified") as caught:
                await client.balance()
    assert (caught.value.outcome, caught.value.attempts) == ("not_sent", 1)


async def test_a_caller_may_bring_own_tls_settings(
    server_context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusting = httpx.create_ssl_context()
    monkeypatch.delenv("SSL_CERT_FILE")
    with talking(answer, server_context) as port:
        own = transport(ssl_context=trusting)
        async with aiohttp_client(f"https://localhost:{port}", transport=own) as client:
            assert await balance(client) == 5


async def test_a_handshake_that_never_ends_is_no_connection() -> None:
    def silence(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass

    with talking(silence) as port:
        options = {"timeout": Timeouts(connect=0.05)}
        async with aiohttp_client(f"https://localhost:{port}", **options) as client:
            with pytest.raises(RequestTimeoutError, match=r"to localhost:\d+ in time") as caught:
                await client.orders.create(product_id=1)
            assert client.orders.unresolved() == ()
    assert caught.value.outcome == "not_sent"


async def test_a_proxy_that_refuses_was_not_sent_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    with raw_server(lambda number, request: (http(b"", "407 Who are you"), True)) as server:
        monkeypatch.setenv("HTTPS_PROXY", server.url)
        async with aiohttp_client("https://api.smscode.gg") as client:
            with pytest.raises(NetworkError, match="refuses") as caught:
                await client.balance()
    assert (caught.value.outcome, server.requests) == ("not_sent", 1)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_kept_connection_that_breaks_is_told_apart_and_repeated_by_nobody_else(method: str) -> None:
    with raw_server(lambda number, request: (b"" if request == 2 else GOOD, request == 2)) as server:
        async with aiohttp_client(server.url) as client:
            assert await balance(client) == 5
            with pytest.raises(NetworkError) as caught:
                await (client.balance() if method == "GET" else client.orders.resend(7))
    assert (caught.value.trouble, caught.value.outcome) == ("kept-alive connection broke", "unknown")
    assert server.requests == 2


async def test_passing_failures_are_repeated() -> None:
    with raw_server(lambda number, request: (GOOD if number == 3 else b"", number < 3)) as server:
        async with aiohttp_client(server.url, retry=QUICK) as client:
            assert (await client.send(calls.balance.get())).attempts == 3
    assert server.connections == 3


@pytest.mark.parametrize("late", [False, True])
async def test_an_answer_too_many_is_not_the_next_answer(late: bool) -> None:
    writers: list[asyncio.StreamWriter] = []

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(GOOD if late else GOOD + OTHER)

    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, aiohttp_client(f"http://127.0.0.1:{port}") as client:
        assert await balance(client) == 5
        writers[0].write(OTHER if late else b"")
        for _ in range(10):
            await asyncio.sleep(0)
        assert await balance(client) == 5
        for writer in writers:
            writer.close()
            await writer.wait_closed()
    assert len(writers) == 2


# -- limits ----------------------------------------------------------------------------------------


async def test_an_answer_that_does_not_come_is_not_waited_for() -> None:
    with raw_server(lambda number, request: (b"" if number == 1 else GOOD, False)) as server:
        async with aiohttp_client(server.url, timeout=Timeouts(read=0.02)) as client:
            with pytest.raises(RequestTimeoutError, match=r"No answer in time \(ReadTimeout\)") as caught:
                await client.orders.create(product_id=1)
            assert caught.value.outcome == "unknown"
            assert await balance(client) == 5


@pytest.mark.parametrize(
    "pieces",
    [
        [b"HTTP/1.1 102 Processing\r\n\r\n"] * 5000,
        [bytes([byte]) for byte in b"HTTP/1.1 200 OK\r\nx: " * 500],
    ],
)
async def test_a_server_that_drips_does_not_hold_a_call_beyond_its_deadline(pieces: list[bytes]) -> None:
    over = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(GOOD)
        connection.recv(65536)
        for piece in pieces:
            connection.sendall(piece)
            if over.wait(0.02):
                return

    with talking(drip) as port:
        async with aiohttp_client(f"http://127.0.0.1:{port}") as client:
            assert await balance(client) == 5  # so that the deadline is not over before it is connected
            with pytest.raises(RequestTimeoutError) as caught:
                await client.balance(timeout=0.4)
        over.set()
    assert caught.value.outcome == "unknown"


async def test_a_header_may_be_as_long_as_elsewhere() -> None:
    with raw_server(lambda number, request: (http(BODY, "200 OK", f"x: {'x' * 60_000}"), False)) as server:
        async with aiohttp_client(server.url) as client:
            assert await balance(client) == 5


@pytest.mark.parametrize("is_packed", [False, True])
async def test_an_answer_has_a_largest_size_unpacked(
    is_packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = BODY + b" " * 50_000
    packed = http(gzip.compress(body), "200 OK", "content-encoding: gzip") if is_packed else http(body)
    with raw_server(lambda number, request: (packed, False)) as server:
        async with aiohttp_client(server.url) as client:
            monkeypatch.setattr("smscode._http.messages.LARGEST_BODY", len(body))
            assert await balance(client) == 5
            monkeypatch.setattr("smscode._http.messages.LARGEST_BODY", len(body) - 1)
            with pytest.raises(InvalidResponseError, match=f"larger than {len(body) - 1} bytes"):
                await client.balance()


# -- cancellation ----------------------------------------------------------------------------------


async def test_a_cancelled_purchase_is_in_doubt_only_once_it_was_sent() -> None:
    with raw_server(lambda number, request: (b"", False)) as server:
        async with aiohttp_client(server.url) as client:
            early = asyncio.create_task(client.orders.create(product_id=1))
            await asyncio.sleep(0)
            early.cancel()
            with pytest.raises(asyncio.CancelledError):
                await early
            assert client.orders.unresolved() == ()
            sent = asyncio.create_task(client.orders.create(product_id=1))
            while not server.requests:
                await asyncio.sleep(0.001)
            sent.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await sent
            assert len(client.orders.unresolved()) == 1
        shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        assert TOKEN not in "".join(shown.format())


async def test_cancellations_leave_every_connection_alive_and_nothing_behind() -> None:
    with raw_server(lambda number, request: (GOOD, False)) as server:
        async with aiohttp_client(server.url, max_connections=5, timeout=10) as client:
            for turn in range(60):
                tasks = [asyncio.create_task(client.balance()) for _ in range(10)]
                for _ in range(turn % 12):
                    await asyncio.sleep(0)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            assert await asyncio.gather(*(balance(client) for _ in range(10))) == [5] * 10
        assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_an_event_that_cannot_be_told_leaves_no_connection_behind() -> None:
    async def broken(event: str, info: object) -> None:
        if event.startswith("http11"):
            raise ZeroDivisionError

    with raw_server(lambda number, request: (GOOD, False)) as server:
        async with httpx.AsyncClient(transport=transport()) as client:
            with pytest.raises(ZeroDivisionError):
                await client.get(server.url, extensions={"trace": broken})
            async with asyncio.timeout(10):
                while server.open or not server.connections:
                    await asyncio.sleep(0.001)


# -- where it cannot run ---------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [b"", GOOD[:-5], b"no status line\r\n\r\n"])
async def test_the_token_is_in_no_error(answer: bytes) -> None:
    with raw_server(lambda number, request: (answer, True)) as server:
        async with aiohttp_client(server.url) as client:
            with pytest.raises(SmscodeError) as caught:
                await client.balance()
    error: BaseException | None = caught.value
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert TOKEN not in "".join(shown.format())
    while error is not None:
        assert not type(error).__module__.startswith("aiohttp")
        error = error.__cause__ or error.__context__


async def test_it_says_that_it_needs_asyncio() -> None:
    async def use() -> None:
        async with aiohttp_client(HERE) as client:
            await client.balance()

    with pytest.raises(ConfigurationError, match="only runs on asyncio"):
        await asyncio.to_thread(trio.run, use)


@pytest.mark.parametrize(
    ("url", "proxy"), [("https://api.smscode.gg", "socks5://127.0.0.1:1"), (HERE, "http://127.0.0.1:1")]
)
async def test_it_says_that_it_needs_an_http_proxy_for_https(url: str, proxy: str) -> None:
    async with aiohttp_client(url, transport=transport(proxy=proxy)) as client:
        with pytest.raises(ConfigurationError, match="HTTP proxies"):
            await client.balance()


async def test_it_says_which_extra_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    monkeypatch.delitem(sys.modules, "smscode.ext._aiohttp")
    with pytest.raises(ConfigurationError, match=r"smscode-async\[aiohttp\]"):
        importlib.import_module("smscode.ext._aiohttp")
