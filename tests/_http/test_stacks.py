"""Calls over each HTTP stack: what goes over the wire, what failures mean, and what is left behind."""

from __future__ import annotations

import asyncio
import base64
import gzip
import socket
import ssl
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from smscode import (
    AsyncClient,
    InvalidResponseError,
    NetworkError,
    RequestTimeoutError,
    RetryPolicy,
    Timeouts,
    calls,
)
from smscode._concurrency import AsyncCaller
from smscode._http.messages import HttpRequest
from smscode._http.stacks import STACKS
from smscode.errors import SmscodeError
from smscode.sandbox import Sandbox

from ..concurrency import raw_server, talking

pytestmark = pytest.mark.asyncio

TOKEN = "canary-7Qx9-token"
ONCE = RetryPolicy(max_attempts=1)
QUICK = RetryPolicy(base=0.001, cap=0.001)
BODY = b'{"success":true,"data":{"currency":"IDR","balance":5}}'
CREATED = b'{"success":true,"data":{"orders":[{"id":7}],"failed_count":0}}'

Open = Callable[..., AsyncClient]


def http(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """Return an answer as it goes over the wire."""
    head = "\r\n".join([f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers])
    return head.encode() + b"\r\n\r\n" + body


GOOD = http(BODY)
OTHER = GOOD.replace(b'"balance":5', b'"balance":6')


@pytest.fixture(params=STACKS)
def stack(request: pytest.FixtureRequest) -> str:
    name = str(request.param)
    pytest.importorskip(name)
    return name


@pytest.fixture
def connected(stack: str) -> Open:
    """Return what makes a client that connects by the stack."""

    def make(url: str, **options: Any) -> AsyncClient:
        defaults: dict[str, Any] = {"api_version": "v1", "retry": ONCE, "http": stack}
        return AsyncClient(TOKEN, base_url=url, **(defaults | options))

    return make


async def balance(client: AsyncClient) -> int:
    return (await client.balance()).balance.canonical_amount


# -- what is sent ----------------------------------------------------------------------------------


async def test_a_purchase_goes_over_the_wire_as_by_any_other_stack(connected: Open) -> None:
    heads: list[list[bytes]] = []

    def talk(connection: socket.socket) -> None:
        received = connection.recv(65536)
        while not received.endswith(b"}"):
            received += connection.recv(65536)
        heads.append(sorted(received.split(b"\r\n")))
        connection.sendall(http(CREATED))

    with talking(talk) as port:
        for other in ({}, {"http": "httpx"}):
            async with connected(f"http://127.0.0.1:{port}", **other) as client:
                await client.orders.create(product_id=1, idempotency_key="key-1")
    mine, own = ([line.partition(b":")[2].strip() or line for line in head] for head in heads)
    assert sorted(mine) == sorted(own)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(connected: Open, status: int) -> None:
    answer = http(b"", f"{status} Elsewhere", "location: /v1/balance")
    with raw_server(lambda number, request: (answer, False)) as server:
        async with connected(server.url, retry=QUICK) as client:
            with pytest.raises(InvalidResponseError, match="redirect"):
                await client.balance()
    assert server.requests == 1


async def test_no_cookie_is_kept(connected: Open) -> None:
    requests: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        while received := connection.recv(65536):
            requests.append(received)
            connection.sendall(http(BODY, "200 OK", "set-cookie: session=1; Path=/"))

    with talking(talk) as port:
        async with connected(f"http://localhost:{port}") as client:
            assert [await balance(client) for _ in range(3)] == [5, 5, 5]
    assert len(requests) == 3
    assert not any(b"cookie" in request.lower() for request in requests)


async def test_connections_are_used_again_and_closed_at_the_end(connected: Open) -> None:
    with raw_server(lambda number, request: (GOOD, False)) as server:
        async with connected(server.url, max_connections=4) as client:
            await asyncio.gather(*(client.balance() for _ in range(40)))
        assert server.connections <= 4
        assert server.requests == 40
        async with asyncio.timeout(10):
            while server.open:
                await asyncio.sleep(0.001)


async def test_connections_are_closed_also_where_everything_is_being_cancelled(connected: Open) -> None:
    together = threading.Barrier(3)

    def respond(number: int, request: int) -> tuple[bytes, bool]:
        together.wait(10)
        return GOOD, False

    with raw_server(respond) as server:
        client = connected(server.url)
        await asyncio.gather(*(client.balance() for _ in range(3)))
        assert server.open == 3
        with anyio.CancelScope() as scope:
            scope.cancel()
            await client.aclose()
        async with asyncio.timeout(10):
            while server.open:
                await asyncio.sleep(0.001)


async def test_rentals_go_all_the_way(stack: str) -> None:
    pytest.importorskip("uvicorn")
    sandbox = Sandbox(otp_after=0.02)
    with sandbox.serve() as server:
        options: dict[str, Any] = {"poll_interval": 0.02, "max_connections": 5, "http": stack}
        async with AsyncClient(sandbox.token, base_url=server.url, **options) as client:

            async def rent() -> str | None:
                async with client.orders.rent(catalog_product_id=87) as rental:
                    return (await rental.wait_for_otp()).code

            codes = await asyncio.gather(*(rent() for _ in range(10)))
            orders = [order async for order in client.orders.iter(status="COMPLETED")]
    assert sorted(map(str, codes)) == sorted(str(order.otp_code) for order in orders)
    assert len(codes) == 10


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
async def test_after_an_answer_that_is_none_a_purchase_is_in_doubt(connected: Open, answer: bytes) -> None:
    with raw_server(lambda number, request: (answer, True)) as server:
        async with connected(server.url) as client:
            with pytest.raises(SmscodeError) as caught:
                await client.orders.create(product_id=1)
            assert len(client.orders.unresolved()) == 1
    assert (caught.value.outcome, caught.value.attempts, server.requests) == ("unknown", 1, 1)


@pytest.mark.parametrize("count", [1, 2, 3])
async def test_a_reset_leaves_a_purchase_in_doubt(connected: Open, count: int) -> None:
    def reset(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(GOOD[: 30 * (count - 1)])
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with talking(reset) as port:
        async with connected(f"http://127.0.0.1:{port}") as client:
            with pytest.raises(NetworkError) as caught:
                await client.orders.create(product_id=1)
    assert (caught.value.outcome, caught.value.trouble) == ("unknown", "connection broke")


async def test_a_server_that_nobody_runs_was_not_sent_anything(connected: Open) -> None:
    with raw_server(lambda number, request: (GOOD, False)) as server:
        url = server.url
    async with connected(url) as client:
        with pytest.raises(NetworkError, match=r"127\.0\.0\.1:\d+: Connection refused \(Con") as caught:
            await client.orders.create(product_id=1)
        assert client.orders.unresolved() == ()
    assert caught.value.outcome == "not_sent"
    assert type(caught.value.__cause__).__name__ == "ConnectError"


def answer(connection: socket.socket) -> None:
    while connection.recv(65536):
        connection.sendall(GOOD)


async def test_it_speaks_tls(connected: Open, trusted: ssl.SSLContext) -> None:
    with talking(answer, trusted) as port:
        async with connected(f"https://localhost:{port}") as client:
            assert await balance(client) == 5


async def test_an_untrusted_certificate_is_refused_at_once(
    connected: Open, trusted: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with talking(answer, trusted) as port:
        async with connected(f"https://localhost:{port}", retry=QUICK) as client:
            with pytest.raises(NetworkError, match="certificate cannot be verified") as caught:
                await client.balance()
    assert (caught.value.outcome, caught.value.attempts) == ("not_sent", 1)


async def test_a_handshake_that_never_ends_is_no_connection(connected: Open) -> None:
    def silence(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass

    with talking(silence) as port:
        options = {"timeout": Timeouts(connect=0.05)}
        async with connected(f"https://localhost:{port}", **options) as client:
            with pytest.raises(RequestTimeoutError, match=r"to localhost:\d+ in time") as caught:
                await client.orders.create(product_id=1)
            assert client.orders.unresolved() == ()
    assert caught.value.outcome == "not_sent"


async def test_a_proxy_that_refuses_was_not_sent_anything(
    connected: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    with raw_server(lambda number, request: (http(b"", "407 Who are you"), True)) as server:
        monkeypatch.setenv("HTTPS_PROXY", server.url)
        async with connected("https://api.smscode.gg") as client:
            with pytest.raises(NetworkError, match="refuses") as caught:
                await client.balance()
    assert (caught.value.outcome, server.requests) == ("not_sent", 1)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_kept_connection_that_breaks_is_told_apart_and_repeated_by_nobody_else(
    connected: Open, method: str
) -> None:
    with raw_server(lambda number, request: (b"" if request == 2 else GOOD, request == 2)) as server:
        async with connected(server.url) as client:
            assert await balance(client) == 5
            with pytest.raises(NetworkError) as caught:
                await (client.balance() if method == "GET" else client.orders.resend(7))
    assert (caught.value.trouble, caught.value.outcome) == ("kept-alive connection broke", "unknown")
    assert server.requests == 2


async def test_a_kept_connection_that_breaks_within_an_answer_is_like_any_other(connected: Open) -> None:
    with raw_server(lambda number, request: (GOOD[:-1] if request == 2 else GOOD, request == 2)) as server:
        async with connected(server.url) as client:
            assert await balance(client) == 5
            with pytest.raises(NetworkError) as caught:
                await client.orders.resend(7)
    assert (caught.value.trouble, caught.value.outcome) == ("connection broke", "unknown")
    assert server.connections == 1


async def test_passing_failures_are_repeated(connected: Open) -> None:
    with raw_server(lambda number, request: (GOOD if number == 3 else b"", number < 3)) as server:
        async with connected(server.url, retry=QUICK) as client:
            assert (await client.send(calls.balance.get())).attempts == 3
    assert server.connections == 3


@pytest.mark.parametrize("late", [False, True])
async def test_an_answer_too_many_is_not_the_next_answer(connected: Open, late: bool) -> None:
    writers: list[asyncio.StreamWriter] = []

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(GOOD if late else GOOD + OTHER)

    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, connected(f"http://127.0.0.1:{port}") as client:
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


async def test_an_answer_that_does_not_come_is_not_waited_for(connected: Open) -> None:
    with raw_server(lambda number, request: (b"" if number == 1 else GOOD, False)) as server:
        async with connected(server.url, timeout=Timeouts(read=0.2)) as client:
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
async def test_a_server_that_drips_does_not_hold_a_call_beyond_its_deadline(
    connected: Open, pieces: list[bytes]
) -> None:
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
        async with connected(f"http://127.0.0.1:{port}") as client:
            assert await balance(client) == 5  # so that the deadline is not over before it is connected
            with pytest.raises(RequestTimeoutError) as caught:
                await client.balance(timeout=0.4)
        over.set()
    assert caught.value.outcome == "unknown"


async def test_an_answer_that_the_deadline_cuts_off_is_none(connected: Open) -> None:
    """Also if only the end of the connection would have been its end."""
    over = threading.Event()

    def begin(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(GOOD)
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + CREATED)
        over.wait(10)

    with talking(begin) as port:
        async with connected(f"http://127.0.0.1:{port}") as client:
            assert await balance(client) == 5  # so that the deadline is not over before it is connected
            with pytest.raises(RequestTimeoutError, match="No answer in time") as caught:
                await client.orders.create(product_id=1, timeout=0.4)
        over.set()
    assert caught.value.outcome == "unknown"


async def test_nothing_is_sent_any_more_at_the_deadline(connected: Open) -> None:
    with raw_server(lambda number, request: (GOOD, False)) as server:
        async with connected(server.url) as client:
            await balance(client)
            connections, caller = client._driver._connections, AsyncCaller(lambda _: None)
            kept = connections._take(caller, fresh=False)
            kept.until(client._driver.runtime.now())
            origin = connections._translate.origin
            request = HttpRequest(origin, "GET", b"/", [(b"host", b"localhost")], b"", {})
            with pytest.raises(Exception, match="the deadline of the call has passed"):
                await kept.handle_async_request(request)
            await connections.release(caller, keep=False)
        assert server.requests == 1


async def test_a_header_may_be_as_long_as_elsewhere(connected: Open) -> None:
    with raw_server(lambda number, request: (http(BODY, "200 OK", f"x: {'x' * 60_000}"), False)) as server:
        async with connected(server.url) as client:
            assert await balance(client) == 5


@pytest.mark.parametrize("is_packed", [False, True])
async def test_an_answer_has_a_largest_size_unpacked(
    connected: Open, is_packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = BODY + b" " * 50_000
    packed = http(gzip.compress(body), "200 OK", "content-encoding: gzip") if is_packed else http(body)
    with raw_server(lambda number, request: (packed, False)) as server:
        async with connected(server.url) as client:
            monkeypatch.setattr("smscode._http.messages.LARGEST_BODY", len(body))
            assert await balance(client) == 5
            monkeypatch.setattr("smscode._http.messages.LARGEST_BODY", len(body) - 1)
            with pytest.raises(InvalidResponseError, match=f"larger than {len(body) - 1} bytes"):
                await client.balance()


# -- cancellation ----------------------------------------------------------------------------------


async def test_a_cancelled_purchase_is_in_doubt_only_once_it_was_sent(connected: Open) -> None:
    with raw_server(lambda number, request: (b"", False)) as server:
        async with connected(server.url) as client:
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


async def cancel_after(turns: int, client: AsyncClient) -> None:
    """Begin ten calls, and cancel them after so many turns of the event loop."""
    tasks = [asyncio.create_task(client.balance()) for _ in range(10)]
    for _ in range(turns):
        await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_cancellations_leave_every_connection_alive_and_nothing_behind(connected: Open) -> None:
    with raw_server(lambda number, request: (GOOD, False)) as server:
        async with connected(server.url, max_connections=5, timeout=10) as client:
            for turn in range(60):
                await cancel_after(turn % 12, client)
            assert await asyncio.gather(*(balance(client) for _ in range(10))) == [5] * 10
        assert asyncio.all_tasks() == {asyncio.current_task()}


# -- where it cannot run ---------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [b"", GOOD[:-5], b"no status line\r\n\r\n"])
async def test_the_token_is_in_no_error(connected: Open, answer: bytes) -> None:
    with raw_server(lambda number, request: (answer, True)) as server:
        async with connected(server.url) as client:
            with pytest.raises(SmscodeError) as caught:
                await client.balance()
    error: BaseException | None = caught.value
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert TOKEN not in "".join(shown.format())
    while error is not None:
        assert not type(error).__module__.startswith("aiohttp")
        error = error.__cause__ or error.__context__


# -- a connection is not used again after what is not the service's answer -------------------------


@pytest.mark.parametrize("status", ["200 OK", "502 Bad Gateway"])
async def test_a_foreign_answer_closes_its_connection(connected: Open, status: str) -> None:
    page = http(b"<html>", status, "content-type: text/html")
    with raw_server(lambda number, request: (page if number == 1 else GOOD, False)) as server:
        async with connected(server.url) as client:
            with pytest.raises(SmscodeError):
                await client.balance()
            assert [await balance(client) for _ in range(3)] == [5, 5, 5]
    assert server.connections == 2


async def test_any_number_of_headers_is_taken(connected: Open) -> None:
    many = (f"x-{number}: {number}" for number in range(1000))
    with raw_server(lambda number, request: (http(BODY, "200 OK", *many), False)) as server:
        async with connected(server.url) as client:
            assert await balance(client) == 5


async def test_a_connection_that_the_server_closed_while_idle_is_not_used(connected: Open) -> None:
    with raw_server(lambda number, request: (GOOD, True)) as server:
        async with connected(server.url) as client:
            for _ in range(3):
                assert await balance(client) == 5
                while server.open:
                    await asyncio.sleep(0.001)
    assert (server.connections, server.requests) == (3, 3)


async def test_own_words_come_before_the_name_of_this_package(connected: Open) -> None:
    heads: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        heads.append(connection.recv(65536))
        connection.sendall(GOOD)

    with talking(talk) as port:
        async with connected(f"http://127.0.0.1:{port}", user_agent="shop/2.1 (+https://shop)") as client:
            assert await balance(client) == 5
    agents = [line for line in heads[0].split(b"\r\n") if line.lower().startswith(b"user-agent:")]
    assert len(agents) == 1
    assert agents[0].split(b": ", 1)[1].startswith(b"shop/2.1 (+https://shop) smscode-async/")


async def test_the_callers_tls_settings_are_used(
    connected: Open, trusted: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trusting = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    monkeypatch.delenv("SSL_CERT_FILE")
    with talking(answer, trusted) as port:
        async with connected(f"https://localhost:{port}", ssl_context=trusting) as client:
            assert await balance(client) == 5


async def test_nothing_of_the_environment_is_used_where_it_is_not_trusted(
    connected: Open, trusted: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "nonsense://x")
    monkeypatch.setenv("SSLKEYLOGFILE", "/not/there/keys.log")
    with talking(answer, trusted) as port:
        async with connected(f"https://localhost:{port}", trust_env=False) as client:
            with pytest.raises(NetworkError, match="certificate cannot be verified"):
                await client.balance()


async def test_the_given_proxy_is_asked_whatever_is_excepted(
    connected: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    with raw_server(lambda number, request: (http(b"", "407 Who are you"), True)) as server:
        proxy = server.url.replace("//", "//user:s3cr3t@")
        async with connected("https://api.smscode.gg", proxy=proxy) as client:
            with pytest.raises(NetworkError, match="refuses") as caught:
                await client.balance()
            assert "s3cr3t" not in f"{client!r} {caught.value!r} {caught.value}"
    assert (caught.value.outcome, server.requests) == ("not_sent", 1)


async def test_calls_go_through_a_tunnel_that_shows_the_proxy_nothing(
    connected: Open, trusted: ssl.SSLContext
) -> None:
    asked: list[bytes] = []
    seen = bytearray()

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65536):
            seen.extend(chunk)
            writer.write(chunk)
        writer.close()

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        back, onward = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Go on\r\n\r\n")
        await asyncio.gather(pipe(reader, onward), pipe(back, writer), return_exceptions=True)
        over.set()

    over = asyncio.Event()
    with talking(answer, trusted) as port:
        proxy = await asyncio.start_server(tunnel, "127.0.0.1", 0)
        url = f"http://us%40er:p%40ss@127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
        async with proxy:
            async with connected(f"https://localhost:{port}", proxy=url) as client:
                assert [await balance(client), await balance(client)] == [5, 5]
            await asyncio.wait_for(over.wait(), 10)  # leaving the block below holds the loop
    (head,) = asked
    assert head.startswith(b"CONNECT localhost:%d HTTP/1.1\r\n" % port)
    assert base64.b64encode(b"us@er:p@ss") in head
    assert TOKEN.encode() not in head + seen
