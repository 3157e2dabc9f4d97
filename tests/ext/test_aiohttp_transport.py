"""The transport for any httpx client that sends with aiohttp."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import socket
import ssl
import sys
import threading
import time
from collections.abc import AsyncIterator
from typing import Any, cast

import anyio
import httpx
import pytest
import trio
import trustme

from smscode import AsyncClient, ConfigurationError, InvalidArgumentError, RetryPolicy

from ..concurrency import raw_server, talking

pytest.importorskip("aiohttp")

from smscode._http.aiohttp_connection import AiohttpConnection
from smscode._http.families import KEEPALIVE_EXPIRY
from smscode._http.messages import HttpRequest, Origin
from smscode.ext.aiohttp import transport

pytestmark = pytest.mark.asyncio

HERE = "http://127.0.0.1:9"
BODY = b'{"success":true,"data":{"currency":"IDR","balance":5}}'
GOOD = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)
OTHER = GOOD.replace(b'"balance":5', b'"balance":6')


def aiohttp_client(url: str, **options: Any) -> AsyncClient:
    defaults: dict[str, Any] = {
        "api_version": "v1",
        "retry": RetryPolicy(max_attempts=1),
        "transport": transport(),
    }
    return AsyncClient("token-4711", base_url=url, **(defaults | options))


async def balance(client: AsyncClient) -> int:
    return (await client.balance()).balance.canonical_amount


async def test_connections_are_closed_also_where_everything_is_being_cancelled() -> None:
    together = threading.Barrier(3)

    def respond(number: int, request: int) -> tuple[bytes, bool]:
        together.wait(10)
        return GOOD, False

    with raw_server(respond) as server:
        client = httpx.AsyncClient(transport=transport())
        await asyncio.gather(*(client.get(server.url) for _ in range(3)))
        assert server.open == 3
        with anyio.CancelScope() as scope:
            scope.cancel()
            await client.aclose()
        async with asyncio.timeout(10):
            while server.open:
                await asyncio.sleep(0.001)


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


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("content", [b"", b"two"])
async def test_no_header_is_added(method: str, content: bytes) -> None:
    heads: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        data = connection.recv(65536)
        while not data.endswith(b"two" if content else b"\r\n\r\n"):
            data += connection.recv(65536)
        heads.append(data.lower().partition(b"\r\n\r\n")[0])
        connection.sendall(GOOD)

    with talking(talk) as port:
        async with httpx.AsyncClient(transport=transport()) as client:
            client.headers.clear()
            await client.request(method, f"http://127.0.0.1:{port}", content=content or None)
    names = {line.partition(b":")[0] for line in heads[0].split(b"\r\n")[1:]}
    assert names - {b"content-length"} == {b"host"}


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


@pytest.mark.parametrize("value", ["a\r\nhost: b", "a\nb", "a\rb", b"\xff"])
async def test_a_header_cannot_hold_another(value: Any) -> None:
    with raw_server(lambda number, request: (GOOD, False)) as server:
        async with httpx.AsyncClient(transport=transport()) as client:
            with pytest.raises(httpx.LocalProtocolError) as refused:
                await client.get(server.url, headers=cast("dict[str, str]", {"x": value}))
    assert str(value) not in str(refused.value)
    assert server.connections == 0


async def test_a_connection_that_is_closed_before_the_first_byte_counts_as_sent() -> None:
    async def trace(event: str, info: object) -> None:
        while event.endswith("send_request_headers.started") and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.001)

    def hang_up(connection: socket.socket) -> None:
        connection.shutdown(socket.SHUT_RDWR)

    until = asyncio.get_running_loop().time() + 0.1
    with talking(hang_up) as port:
        async with httpx.AsyncClient(transport=transport()) as client:
            with pytest.raises(httpx.RemoteProtocolError, match=r"(Server|Client)[a-zA-Z]+Error"):
                await client.get(f"http://127.0.0.1:{port}", extensions={"trace": trace})


async def test_a_caller_may_bring_own_tls_settings() -> None:
    authority: Any = trustme.CA()
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server_context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    def answer(connection: socket.socket) -> None:
        while connection.recv(65536):
            connection.sendall(GOOD)

    with talking(answer, server_context) as port:
        own = transport(ssl_context=trusting)
        async with aiohttp_client(f"https://localhost:{port}", transport=own) as client:
            assert await balance(client) == 5


@pytest.mark.parametrize("untold", ["http11.send", "http11.receive"])
async def test_an_event_that_cannot_be_told_leaves_no_connection_behind(untold: str) -> None:
    async def broken(event: str, info: object) -> None:
        if event.startswith(untold):
            raise ZeroDivisionError

    with raw_server(lambda number, request: (GOOD[:-1], False)) as server:  # the body is not whole yet
        async with httpx.AsyncClient(transport=transport()) as client:
            with pytest.raises(ZeroDivisionError):
                await client.get(server.url, extensions={"trace": broken})
            gc.collect()
            async with asyncio.timeout(10):
                while server.open or not server.connections:
                    await asyncio.sleep(0.001)


async def test_it_says_that_it_needs_asyncio() -> None:
    async def use() -> None:
        async with aiohttp_client(HERE) as client:
            await client.balance()

    with pytest.raises(ConfigurationError, match="only runs on asyncio"):
        await asyncio.to_thread(trio.run, use)


async def test_it_says_that_it_needs_an_http_proxy_for_https() -> None:
    with pytest.raises(InvalidArgumentError, match="expected one of http, https"):
        transport(proxy="socks5://127.0.0.1:1")
    async with aiohttp_client(HERE, transport=transport(proxy="http://127.0.0.1:1")) as client:
        with pytest.raises(InvalidArgumentError, match="expected an https address") as caught:
            await client.balance()
    assert caught.value.outcome == "not_sent"


async def test_it_says_which_extra_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    monkeypatch.delitem(sys.modules, "smscode.ext._aiohttp")
    monkeypatch.delitem(sys.modules, "smscode._http.aiohttp_connection")
    with pytest.raises(ConfigurationError, match=r"smscode-async\[aiohttp\]"):
        importlib.import_module("smscode.ext._aiohttp")


async def test_a_connection_that_was_closed_while_idle_is_replaced() -> None:
    server = await asyncio.start_server(respond_once_and_wait, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, httpx.AsyncClient(transport=transport()) as client:
        assert (await client.get(url)).content == BODY
        first = held.pop()
        first.write(OTHER)  # which nothing asked for
        time.sleep(0.01)  # noqa: ASYNC251  it is there, and the loop has not read it
        assert (await client.get(url)).content == BODY
        for writer in (first, held.pop()):
            writer.close()
            with contextlib.suppress(ConnectionResetError):  # the client has reset the first one
                await writer.wait_closed()


async def test_a_connection_that_was_idle_for_too_long_is_not_used_again() -> None:
    now = 0.0
    request = HttpRequest(Origin(b"http", b"127.0.0.1", 0), "GET", b"/", [(b"host", b"x")], b"", {})
    with raw_server(lambda number, request: (GOOD, False)) as server:
        origin = Origin(b"http", b"127.0.0.1", int(server.url.rpartition(":")[2]))
        connection = AiohttpConnection(origin, ssl.create_default_context(), None, lambda: now)
        response = await connection.handle_async_request(request)
        assert [chunk async for chunk in response.stream] == [BODY]
        await response.aclose()
        now = KEEPALIVE_EXPIRY
        assert not connection.gone
        now = KEEPALIVE_EXPIRY + 1
        assert connection.gone
        await connection.aclose()


held: list[asyncio.StreamWriter] = []


async def respond_once_and_wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    held.append(writer)
    await reader.readuntil(b"\r\n\r\n")
    writer.write(GOOD)


async def test_an_answer_that_is_cut_is_an_error_of_httpx() -> None:
    with raw_server(lambda number, request: (GOOD[:-5], True)) as server:
        async with httpx.AsyncClient(transport=transport()) as client:
            with pytest.raises(httpx.RemoteProtocolError, match="ClientPayloadError"):
                await client.get(server.url)


async def test_a_body_that_is_not_read_closes_its_connection() -> None:
    with raw_server(lambda number, request: (GOOD, False)) as server:
        async with httpx.AsyncClient(transport=transport()) as client:
            async with client.stream("GET", server.url) as response:
                assert response.status_code == 200
            assert (await client.get(server.url)).content == BODY
    assert server.connections == 2
