"""The connections themselves, on real sockets: deadlines, TLS, leftovers, and where they belong."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

import anyio
import httpcore
import pytest
import trio

from smscode import AsyncClient, Client, ClientStateError, NetworkError, RequestTimeoutError, RetryPolicy
from smscode._concurrency import AsyncCaller
from smscode._http.connection import AsyncHttpConnection, HttpConnection
from smscode._http.environment import ssl_context
from smscode._http.families import KEEPALIVE_EXPIRY, family
from smscode._http.messages import HttpRequest, Origin
from smscode._http.proxied_connection import ProxiedConnection
from smscode._http.stack_errors import ConnectTimeout

from ..concurrency import raw_server, talking

ONCE = RetryPolicy(max_attempts=1)
BODY = b'{"success":true,"data":{"currency":"IDR","balance":5}}'
GOOD = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY)
OTHER = GOOD.replace(b'"balance":5', b'"balance":6')


def options(url: str, **more: Any) -> dict[str, Any]:
    return {"token": "token", "base_url": url, "api_version": "v1", "retry": ONCE, **more}


def drip(connection: socket.socket) -> None:
    """Answer once; then send an answer byte by byte, without end."""
    connection.recv(65536)
    connection.sendall(GOOD)
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nx: ")
    while True:
        connection.sendall(b"x")
        time.sleep(0.01)


def chatter(connection: socket.socket) -> None:
    """Answer once; then announce an answer again and again without ever giving it."""
    connection.recv(65536)
    connection.sendall(GOOD)
    connection.recv(65536)
    while True:
        connection.sendall(b"HTTP/1.1 102 Processing\r\n\r\n" * 20)
        time.sleep(0.005)


@pytest.mark.parametrize("talk", [drip, chatter])
def test_a_thread_is_not_held_beyond_its_deadline(talk: Callable[[socket.socket], None]) -> None:
    with talking(talk) as port, Client(**options(f"http://127.0.0.1:{port}")) as client:
        client.balance()  # so that the deadline is not over before it is connected
        with pytest.raises(RequestTimeoutError) as late:
            client.balance(timeout=0.5)
    assert late.value.outcome == "unknown"


@pytest.mark.parametrize("talk", [drip, chatter])
@pytest.mark.anyio
async def test_a_task_is_not_held_beyond_its_deadline(talk: Callable[[socket.socket], None]) -> None:
    with talking(talk) as port:
        async with AsyncClient(**options(f"http://127.0.0.1:{port}")) as client:
            await client.balance()  # so that the deadline is not over before it is connected
            with pytest.raises(RequestTimeoutError) as late:
                await client.balance(timeout=0.5)
    assert late.value.outcome == "unknown"


@pytest.mark.anyio
async def test_only_what_cannot_keep_to_a_deadline_needs_a_limit(anyio_backend_name: str) -> None:
    with talking(answer) as port:
        async with AsyncClient(**options(f"http://127.0.0.1:{port}")) as client:
            await client.balance()
            connection = client._driver._connections._idle[-1][1]
            assert connection.bounded is (anyio_backend_name == "asyncio")


def answer(connection: socket.socket) -> None:
    while connection.recv(65536):
        connection.sendall(GOOD)


def test_a_thread_speaks_tls(trusted: ssl.SSLContext) -> None:
    with talking(answer, trusted) as port, Client(**options(f"https://localhost:{port}")) as client:
        assert client.balance().balance.canonical_amount == 5
        assert client.balance().balance.canonical_amount == 5


@pytest.mark.anyio
async def test_a_task_speaks_tls(trusted: ssl.SSLContext) -> None:
    with talking(answer, trusted) as port:
        async with AsyncClient(**options(f"https://localhost:{port}")) as client:
            assert (await client.balance()).balance.canonical_amount == 5


def test_an_untrusted_certificate_is_refused_at_once(
    trusted: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with talking(answer, trusted) as port:
        url = f"https://localhost:{port}"
        with Client(**options(url, retry=RetryPolicy())) as client:
            with pytest.raises(NetworkError, match="certificate cannot be verified") as refused:
                client.balance()
    assert (refused.value.outcome, refused.value.attempts) == ("not_sent", 1)


def test_a_thread_without_a_limit_waits_as_long_as_it_takes() -> None:
    with talking(answer) as port, Client(**options(f"http://127.0.0.1:{port}", timeout=None)) as client:
        assert client.balance().balance.canonical_amount == 5


def test_time_that_is_over_before_connecting_is_a_timeout() -> None:
    with talking(answer) as port, Client(**options(f"http://127.0.0.1:{port}")) as client:
        with pytest.raises(RequestTimeoutError) as late:
            client.balance(timeout=1e-9)
    assert late.value.outcome == "not_sent"


def test_nothing_begins_at_its_deadline() -> None:
    with talking(answer) as port:
        origin = Origin(b"http", b"127.0.0.1", port)
        lane = HttpConnection(family("httpx"), origin, ssl_context("http:"), now=lambda: 5.0)
        lane.until(5.0)
        with pytest.raises(ConnectTimeout, match="deadline of the call has passed"):
            lane.handle_request(HttpRequest(origin, "GET", b"/", [], b"", {}))


class Early:
    """A stream of a server that answers, and closes the connection, before it has the whole request."""

    def __init__(self) -> None:
        self.reads = [b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\n", b"{}"]

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        raise httpcore.WriteError

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.reads.pop(0)

    def close(self) -> None:
        """Do nothing: there is no socket."""


class AsyncEarly:
    def __init__(self) -> None:
        self._early = Early()

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._early.write(buffer)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._early.read(max_bytes)

    async def aclose(self) -> None:
        """Do nothing: there is no socket."""


@pytest.mark.anyio
async def test_an_answer_that_came_before_the_whole_request_was_written_counts() -> None:
    origin = Origin(b"http", b"127.0.0.1", 9)
    request = HttpRequest(origin, "POST", b"/", [(b"host", b"x"), (b"content-length", b"1")], b"x", {})
    lane = HttpConnection(family("httpx"), origin, ssl_context("http:"), time.monotonic)
    lane._stream = Early()
    response = lane.handle_request(request)
    assert (response.status, b"".join(response.stream), lane.clean) == (413, b"{}", False)
    lane.close()
    task_lane = AsyncHttpConnection(family("httpx"), origin, ssl_context("http:"), time.monotonic)
    task_lane._stream = AsyncEarly()
    answered = await task_lane.handle_async_request(request)
    body = b"".join([chunk async for chunk in answered.stream])
    assert (answered.status, body, task_lane.clean) == (413, b"{}", False)
    await task_lane.aclose()


def test_a_connection_through_a_proxy_can_be_broken_off_before_it_is_made() -> None:
    origin = Origin(b"https", b"localhost", 443)
    lane = ProxiedConnection(
        family("httpx"), origin, ssl_context("http:"), "http://127.0.0.1:9", time.monotonic
    )
    lane.break_off()
    with pytest.raises(ConnectTimeout, match="deadline of the call has passed"):
        lane.handle_request(HttpRequest(origin, "GET", b"/", [(b"host", b"x")], b"", {}))
    lane.close()


@pytest.mark.parametrize("flavour", ["threads", "asyncio", "trio"])
def test_an_answer_too_many_is_not_the_next_answer(flavour: str) -> None:
    with raw_server(lambda connection, request: (GOOD + OTHER, False)) as server:
        found: list[int] = []

        def sync() -> None:
            with Client(**options(server.url)) as client:
                found.extend(client.balance().balance.canonical_amount for _ in range(3))

        async def tasks() -> None:
            async with AsyncClient(**options(server.url)) as client:
                found.extend([(await client.balance()).balance.canonical_amount for _ in range(3)])

        if flavour == "threads":
            sync()
        else:
            anyio.run(tasks, backend=flavour)
        assert found == [5, 5, 5]
        assert server.connections == 3


def at_once(
    answers: list[bytes], context: ssl.SSLContext, connections: list[socket.socket]
) -> Callable[[socket.socket], None]:
    """Return a server by TLS that sends these answers to each request: a record each, in one segment."""

    def answer_all(connection: socket.socket) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_side=True)
        steps: list[Callable[[], object]] = [tls.do_handshake]
        with connection, contextlib.suppress(OSError):
            while received := connection.recv(65536):
                incoming.write(received)
                with contextlib.suppress(ssl.SSLWantReadError):
                    while steps:
                        steps[0]()
                        steps.pop()
                    tls.read(65536)
                    for one in answers:
                        tls.write(one)
                connection.sendall(outgoing.read())

    def talk(connection: socket.socket) -> None:
        connections.append(connection.dup())
        threading.Thread(target=answer_all, args=(connections[-1],), daemon=True).start()

    return talk


def tunnel(connection: socket.socket) -> None:
    """Be a proxy for one connection, beside others."""

    def pass_on(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while received := source.recv(65536):
                sink.sendall(received)
            sink.shutdown(socket.SHUT_WR)

    def serve(client: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += client.recv(65536)
        host, _, port = head.split()[1].partition(b":")
        with client, socket.create_connection((host.decode(), int(port))) as server:
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=pass_on, args=(server, client), daemon=True)
            back.start()
            pass_on(client, server)
            back.join()

    threading.Thread(target=serve, args=(connection.dup(),), daemon=True).start()


@pytest.mark.parametrize("proxied", [False, True])
@pytest.mark.parametrize("flavour", ["threads", "asyncio", "trio"])
@pytest.mark.parametrize(("answers", "needed"), [([GOOD], 1), ([GOOD, OTHER], 3)])
def test_an_answer_too_many_by_tls_is_not_the_next_answer(
    proxied: bool, flavour: str, answers: list[bytes], needed: int, trusted: ssl.SSLContext
) -> None:
    connections: list[socket.socket] = []
    with talking(at_once(answers, trusted, connections)) as port, talking(tunnel) as proxy_port:
        found: list[int] = []
        proxy = {"proxy": f"http://127.0.0.1:{proxy_port}"} if proxied else {}
        chosen = options(f"https://localhost:{port}", **proxy)

        async def tasks() -> None:
            async with AsyncClient(**chosen) as client:
                found.extend([(await client.balance()).balance.canonical_amount for _ in range(3)])

        if flavour == "threads":
            with Client(**chosen) as client:
                found.extend(client.balance().balance.canonical_amount for _ in range(3))
        else:
            anyio.run(tasks, backend=flavour)
        assert (found, len(connections)) == ([5, 5, 5], needed)


@pytest.mark.anyio
async def test_connections_that_nobody_used_for_long_are_closed() -> None:
    with raw_server(lambda connection, request: (GOOD, False)) as server:
        async with AsyncClient(**options(server.url)) as client:
            connections = client._driver._connections
            await client.balance()
            one, two = (AsyncCaller(lambda _: None) for _ in range(2))
            first = connections._take(one, fresh=False)
            await client.balance()
            second = connections._take(two, fresh=False)
            now = client._driver.runtime.now()
            connections._put_back(one, first, now)
            assert not connections._unwanted
            connections._put_back(two, second, now + KEEPALIVE_EXPIRY + 1)
            assert list(connections._unwanted) == [first]
            await connections._close_unwanted(one)
            assert not connections._unwanted
            assert [lane for _, lane in connections._idle] == [second]


def test_a_client_belongs_to_one_event_loop() -> None:
    with raw_server(lambda connection, request: (GOOD, False)) as server:
        client = AsyncClient(**options(server.url))

        async def use() -> None:
            await client.balance()

        async def close() -> None:
            await client.aclose()

        with asyncio.Runner() as runner:
            runner.run(use())
            with pytest.raises(ClientStateError, match="another event loop"):
                trio.run(use)
            with pytest.raises(ClientStateError, match="another event loop"):
                in_another_loop(use)
            runner.run(close())


def in_another_loop(use: Callable[[], Any]) -> None:
    """Run a coroutine in the event loop of another thread, and raise what it raises."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(use())
        except ClientStateError as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    raise raised[0]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # the server here has threads
@pytest.mark.parametrize("used", [True, False])
def test_a_used_client_does_not_survive_a_fork(used: bool) -> None:
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    with raw_server(lambda connection, request: (GOOD, False)) as server:
        with Client(**options(server.url)) as client:

            def child() -> None:
                try:
                    sender.send(client.balance().balance.canonical_amount)
                except ClientStateError as error:
                    sender.send(error.message)

            if used:
                client.balance()
            process = context.Process(target=child)
            process.start()
            process.join(30)
            told = receiver.recv()
    receiver.close()
    sender.close()
    process.close()
    assert ("forked" in told) if used else (told == 5)


@pytest.mark.asyncio
async def test_another_process_is_noticed_by_both_flavours(monkeypatch: pytest.MonkeyPatch) -> None:
    with raw_server(lambda connection, request: (GOOD, False)) as server:
        async with AsyncClient(**options(server.url)) as client:
            await client.balance()
            with Client(**options(server.url)) as sync_client, monkeypatch.context() as forked:
                sync_client.balance()
                forked.setattr("smscode._concurrency.loop_affinity.os.getpid", lambda: -1)
                with pytest.raises(ClientStateError, match="forked"):
                    await client.balance()
                with pytest.raises(ClientStateError, match="forked"):
                    sync_client.balance()
                forked.undo()
