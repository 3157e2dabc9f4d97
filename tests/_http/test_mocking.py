"""Libraries for tests that stand in for the network: no request of this package goes past them."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import anyio
import httpcore
import httpx
import pytest
import respx

from smscode import AsyncClient, Client, ConfigurationError, NetworkError, RequestTimeoutError, RetryPolicy
from smscode._concurrency import AsyncCaller
from smscode._http.families import family
from smscode._http.messages import HttpRequest
from smscode._http.mocking import async_mocked, replaced, sync_mocked
from smscode._http.stack_errors import ConnectTimeout

from ..concurrency import RawServer, raw_server
from ..stacks import only_httpx

pytestmark = only_httpx

BODY = b'{"success":true,"data":{"currency":"IDR","balance":5}}'
GOOD = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY)
OPTIONS: dict[str, Any] = {"token": "token-4711", "api_version": "v1", "retry": RetryPolicy(max_attempts=1)}
Ask = Callable[[Client], int]


@pytest.fixture
def server() -> Iterator[RawServer]:
    """Serve what no test here may reach, unless it says so."""
    with raw_server(lambda connection, request: (GOOD, False)) as server:
        yield server


def ask(client: Client) -> int:
    return client.balance().balance.canonical_amount


async def ask_async(client: AsyncClient) -> int:
    return (await client.balance()).balance.canonical_amount


def stand_in(answer: httpx.Response | Exception, passes: bool = False) -> mock._patch[Any]:
    """Do to httpx what pytest-httpx does."""
    real = httpx.HTTPTransport.handle_request

    def handle_request(transport: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        if passes:
            return real(transport, request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return mock.patch.object(httpx.HTTPTransport, "handle_request", handle_request)


def stand_in_async(answer: httpx.Response | Exception, passes: bool = False) -> mock._patch[Any]:
    real = httpx.AsyncHTTPTransport.handle_async_request

    async def handle(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        if passes:
            return await real(transport, request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return mock.patch.object(httpx.AsyncHTTPTransport, "handle_async_request", handle)


def answer() -> httpx.Response:
    return httpx.Response(200, content=BODY.replace(b"5", b"7"))


def test_what_replaces_httpx_s_transport_answers_a_client_that_is_connected_already(
    server: RawServer,
) -> None:
    with Client(**OPTIONS, base_url=server.url) as client:
        assert ask(client) == 5
        with stand_in(answer()):
            assert ask(client) == 7
        with stand_in(RuntimeError("the network is off in tests")), pytest.raises(NetworkError):
            client.orders.create(product_id=1)
        assert server.requests == 1
        assert ask(client) == 5


@pytest.mark.parametrize("asynchronous", [False, True])
def test_what_replaces_only_httpcore_is_asked_where_nobody_has_imported_httpx(
    server: RawServer, asynchronous: bool
) -> None:
    """As a cassette of vcrpy does."""
    use = "with Client(**options) as client: print(client.balance().balance.canonical_amount)"
    if asynchronous:
        use = (
            "async def main():\n"
            "    async with AsyncClient(**options) as client:\n"
            "        print((await client.balance()).balance.canonical_amount)\n"
            "asyncio.run(main())"
        )
    program = (
        "import asyncio, sys, httpcore\n"
        "from smscode import AsyncClient, Client\n"
        f"answer = httpcore.Response(200, content={BODY.replace(b'5', b'7')!r})\n"
        "def handle(pool, request): return answer\n"
        "async def handle_async(pool, request): return answer\n"
        "httpcore.ConnectionPool.handle_request = handle\n"
        "httpcore.AsyncConnectionPool.handle_async_request = handle_async\n"
        "assert 'httpx' not in sys.modules\n"
        f"options = dict(token='token-4711', base_url={server.url!r}, api_version='v1')\n"
        f"{use}"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout, server.connections) == ("7\n", 0)


def test_httpcore_is_looked_at_where_nobody_has_imported_httpx(monkeypatch: pytest.MonkeyPatch) -> None:
    own = family("httpx")
    monkeypatch.delitem(sys.modules, "httpx")
    assert family("httpx") is own
    assert (sync_mocked(own), async_mocked(own), async_mocked(None)) == (False, False, False)
    monkeypatch.setattr(httpcore.ConnectionPool, "handle_request", mock.Mock())
    monkeypatch.setattr(httpcore.AsyncConnectionPool, "handle_async_request", mock.Mock())
    assert (sync_mocked(own), async_mocked(own)) == (True, True)
    with pytest.raises(ConfigurationError, match="cannot see the requests"):
        async_mocked(None)


@pytest.mark.anyio
async def test_what_replaces_httpx_s_transport_answers_tasks_too(server: RawServer) -> None:
    async with AsyncClient(**OPTIONS, base_url=server.url) as client:
        assert await ask_async(client) == 5
        with stand_in_async(answer()):
            assert await ask_async(client) == 7
        with stand_in_async(RuntimeError("the network is off in tests")), pytest.raises(NetworkError):
            await client.orders.create(product_id=1)
        assert server.requests == 1
        assert await ask_async(client) == 5


@pytest.mark.anyio
async def test_a_stand_in_that_never_answers_does_not_hold_a_call_beyond_its_deadline(
    server: RawServer,
) -> None:
    async def hang(*arguments: object) -> httpx.Response:
        await anyio.sleep_forever()
        raise AssertionError

    async with AsyncClient(**OPTIONS, base_url=server.url) as client:
        for connected in (False, True):
            with mock.patch.object(httpx.AsyncHTTPTransport, "handle_async_request", hang):
                with pytest.raises(RequestTimeoutError):
                    await client.balance(timeout=0.2)
            if not connected:
                assert await ask_async(client) == 5


@pytest.mark.anyio
async def test_a_stand_in_gets_nothing_any_more_at_the_deadline(server: RawServer) -> None:
    async with AsyncClient(**OPTIONS, base_url=server.url) as client:
        connections, caller = client._driver._connections, AsyncCaller(lambda _: None)
        new = connections._take(caller, fresh=True)
        new.until(client._driver.runtime.now())
        request = HttpRequest(connections._translate.origin, "GET", b"/", [], b"", {})
        with stand_in_async(AssertionError("asked")), pytest.raises(ConnectTimeout):
            await new.handle_async_request(request)
        await connections.release(caller, keep=False)


@pytest.mark.anyio
async def test_what_replaces_httpx_s_transport_answers_in_place_of_a_proxy_too() -> None:
    options: dict[str, Any] = {**OPTIONS, "base_url": "https://127.0.0.1:9", "proxy": "http://127.0.0.1:9"}
    with stand_in(answer()), Client(**options) as client:
        assert ask(client) == 7
    with stand_in_async(answer()):
        async with AsyncClient(**options) as tasks:
            assert await ask_async(tasks) == 7


def test_a_purchase_that_a_stand_in_refuses_to_connect_is_not_in_doubt() -> None:
    with Client(**OPTIONS, base_url="http://127.0.0.1:9") as client:
        with stand_in(httpx.ConnectError("no")), pytest.raises(NetworkError) as caught:
            client.orders.create(product_id=1)
        assert caught.value.outcome == "not_sent"
        assert client.orders.unresolved() == ()


@pytest.mark.anyio
async def test_what_a_stand_in_lets_pass_is_sent(server: RawServer) -> None:
    with stand_in(answer(), passes=True), Client(**OPTIONS, base_url=server.url) as client:
        assert ask(client) == 5
    with stand_in_async(answer(), passes=True):
        async with AsyncClient(**OPTIONS, base_url=server.url) as tasks:
            assert await ask_async(tasks) == 5
    assert server.requests == 2


@pytest.mark.anyio
@pytest.mark.parametrize("proxy", ["", "http://127.0.0.1:9", "socks5://127.0.0.1:9"])
async def test_respx_is_asked_whatever_proxy_there_is(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    if proxy.startswith("socks"):
        pytest.importorskip("socksio")
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with respx.mock() as router:
        route = router.get("https://api.smscode.gg/v1/balance").mock(return_value=answer())
        with Client(**OPTIONS) as client:
            assert ask(client) == 7
        async with AsyncClient(**OPTIONS) as tasks:
            assert await ask_async(tasks) == 7
    assert route.call_count == 2


def refused(error: ConfigurationError) -> bool:
    return (error.outcome, error.attempts, "Nothing is sent" in error.message) == ("not_sent", 1, True)


@pytest.mark.anyio
async def test_a_stand_in_that_cannot_see_the_requests_lets_none_out(server: RawServer) -> None:
    with respx.mock(using="httpx"):
        with Client(**OPTIONS, base_url=server.url) as client:
            with pytest.raises(ConfigurationError) as caught:
                client.orders.create(product_id=1)
            assert refused(caught.value)
            assert client.orders.unresolved() == ()
        async with AsyncClient(**OPTIONS, base_url=server.url) as tasks:
            with pytest.raises(ConfigurationError) as caught:
                await tasks.orders.create(product_id=1)
            assert refused(caught.value)
    assert server.requests == 0


@pytest.mark.anyio
async def test_a_stand_in_for_the_sending_of_httpx_lets_none_out(server: RawServer) -> None:
    with mock.patch.object(httpx.Client, "_send_single_request", mock.Mock()):
        with Client(**OPTIONS, base_url=server.url) as client:
            with pytest.raises(ConfigurationError) as caught:
                client.orders.create(product_id=1)
            assert refused(caught.value)
    with mock.patch.object(httpx.AsyncClient, "_send_single_request", mock.AsyncMock()):
        async with AsyncClient(**OPTIONS, base_url=server.url) as tasks:
            with pytest.raises(ConfigurationError) as caught:
                await tasks.orders.create(product_id=1)
            assert refused(caught.value)
    assert server.requests == 0


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.anyio
async def test_aiohttp_sends_nothing_past_a_stand_in(server: RawServer) -> None:
    aiohttp = pytest.importorskip("aiohttp")
    through = pytest.importorskip("smscode.ext.aiohttp")
    patches = [
        stand_in_async(answer()),
        mock.patch.object(aiohttp.ClientSession, "_request", mock.AsyncMock()),
    ]
    for patch in patches:
        async with AsyncClient(**OPTIONS, base_url=server.url, transport=through.transport()) as client:
            with patch, pytest.raises(ConfigurationError) as caught:
                await client.orders.create(product_id=1)
            assert refused(caught.value)
            assert await ask_async(client) == 5
    assert server.requests == 2


def test_an_instrumentation_is_no_stand_in(server: RawServer) -> None:
    real, calls = httpx.HTTPTransport.handle_request, list[object]()

    @functools.wraps(real)
    def traced(*arguments: Any) -> httpx.Response:
        calls.append(arguments)
        return real(*arguments)

    with mock.patch.object(httpx.HTTPTransport, "handle_request", traced):
        with Client(**OPTIONS, base_url=server.url) as client:
            assert ask(client) == 5
    assert calls == []
    assert server.requests == 1


def test_what_is_replaced_is_known_by_where_it_comes_from() -> None:
    own = [httpx.HTTPTransport.handle_request, httpcore.ConnectionPool.handle_request]
    assert not any(replaced(method, ("httpx", "httpcore")) for method in own)
    others: list[object] = [mock.Mock(), mock.AsyncMock(), lambda: None, None, functools.partial(print)]
    assert all(replaced(method, ("httpx", "httpcore")) for method in others)


def test_pytest_httpx_itself_is_asked(server: RawServer, request: pytest.FixtureRequest) -> None:
    pytest.importorskip("pytest_httpx")
    stand_in = request.getfixturevalue("httpx_mock")
    stand_in.add_response(content=BODY.replace(b"5", b"7"))
    with Client(**OPTIONS, base_url=server.url) as client:
        assert ask(client) == 7
    assert server.requests == 0
