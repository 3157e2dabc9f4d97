"""Which stack a client takes, and what may be said about its connections."""

from __future__ import annotations

import ssl
import subprocess
import sys
from typing import Any
from unittest import mock

import httpx
import pytest
import trio

from smscode import AsyncClient, Client, ConfigurationError, InvalidArgumentError, NetworkError, RetryPolicy
from smscode._http.environment import ssl_context
from smscode.sandbox import Sandbox

from ..concurrency import raw_server
from ..stacks import only_httpx

pytestmark = only_httpx  # they choose for themselves

BODY = b'{"success":true,"data":{"currency":"IDR","balance":5}}'
GOOD = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY)
SECRET = "s3cr3t-word"
OPTIONS: dict[str, Any] = {"token": "token-4711", "api_version": "v1", "retry": RetryPolicy(max_attempts=1)}


@pytest.fixture
def httpx2() -> Any:
    return pytest.importorskip("httpx2")


# -- which stack -----------------------------------------------------------------------------------


@pytest.mark.parametrize("class_", [AsyncClient, Client])
@pytest.mark.parametrize("http", ["requests", "HTTPX", "", None, 2, ["httpx"]])
def test_a_stack_that_is_not_known_is_refused(class_: Any, http: object) -> None:
    with pytest.raises(InvalidArgumentError, match="'httpx', 'httpx2', 'aiohttp'"):
        class_("token", http=http)


def test_aiohttp_has_no_synchronous_flavour() -> None:
    with pytest.raises(ConfigurationError, match="AsyncClient on asyncio only"):
        Client("token", http="aiohttp")


def test_aiohttp_does_not_run_on_trio() -> None:
    pytest.importorskip("aiohttp")

    async def use() -> None:
        async with AsyncClient("token", base_url="http://127.0.0.1:9", http="aiohttp") as client:
            with pytest.raises(ConfigurationError, match="only runs on asyncio") as caught:
                await client.orders.create(catalog_product_id=87)
            assert client.orders.unresolved() == ()
            assert caught.value.outcome == "not_sent"

    trio.run(use)


@pytest.mark.parametrize(
    ("class_", "http"), [(AsyncClient, "aiohttp"), (AsyncClient, "httpx2"), (Client, "httpx2")]
)
def test_a_stack_that_is_not_installed_names_its_extra(
    class_: Any, http: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, http, None)
    monkeypatch.delitem(sys.modules, "smscode._http.aiohttp_connection", raising=False)
    monkeypatch.delattr("smscode._http.aiohttp_connection", raising=False)
    with pytest.raises(ConfigurationError, match=rf'pip install "smscode-async\[{http}\]"'):
        class_("token", http=http)


SYNC = "with Client(**options) as client: client.balance()\n"
ASYNC = """
async def main():
    async with AsyncClient(**options) as client: await client.balance()
asyncio.run(main())
"""


@pytest.mark.parametrize("use", [SYNC, ASYNC], ids=["sync", "async"])
@pytest.mark.parametrize(("http", "core"), [("httpx", "httpcore"), ("httpx2", "httpcore2")])
def test_a_call_imports_no_more_of_its_stack_than_it_needs(http: str, core: str, use: str) -> None:
    """Not httpx itself, which would be a tenth of a first call."""
    pytest.importorskip(http)
    with raw_server(lambda connection, request: (GOOD, False)) as server:
        program = (
            "import asyncio, sys\n"
            "from smscode import AsyncClient, Client\n"
            f"options = dict(token='token-4711', base_url={server.url!r}, api_version='v1', http={http!r})\n"
            f"{use}"
            "stacks = {'httpx', 'httpx2', 'httpcore', 'httpcore2', 'aiohttp'}\n"
            "print(*stacks & set(sys.modules))"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert server.requests == 1
    assert done.stdout == f"{core}\n"


def test_httpx_under_another_name_is_httpx2(httpx2: Any) -> None:
    program = (
        "import httpx2; httpx2.alias_httpx()\n"
        "import httpx, sys\n"
        "from smscode import Client\n"
        "from smscode.sandbox import Sandbox\n"
        "with Sandbox() as sandbox, sandbox.serve() as server:\n"
        "    for own in ({'transport': sandbox.transport()}, {}):\n"
        "        with Client(sandbox.token, base_url=server.url, **own) as client:\n"
        "            client.balance()\n"
        "            name = own or client._driver._connections._idle[0][1]._family.name\n"
        "print(httpx.__name__, name)\n"
    )
    pytest.importorskip("uvicorn")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "httpx2 httpx2\n"


# -- a caller's own --------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_clients_of_httpx2_send_to_a_sandbox(httpx2: Any) -> None:
    with Sandbox() as sandbox:
        async with httpx2.AsyncClient(transport=sandbox.transport()) as http:
            async with AsyncClient(sandbox.token, http_client=http) as client:
                created = await client.orders.create(catalog_product_id=87)
                assert (await client.orders.get(created.orders[0].id)).id == created.orders[0].id
            assert not http.is_closed
        with (
            httpx2.Client(transport=sandbox.transport()) as http,
            Client(sandbox.token, http_client=http) as sync,
        ):
            assert len(sync.orders.active()) == 1
            assert isinstance(http.get("https://x/v2/balance"), httpx2.Response)


@pytest.mark.anyio
async def test_transports_of_httpx2_are_used_and_closed(httpx2: Any) -> None:
    closed: list[str] = []

    class Own(httpx2.MockTransport):  # type: ignore[misc]
        def close(self) -> None:
            closed.append("threads")

        async def aclose(self) -> None:
            closed.append("tasks")

    def answer(request: Any) -> Any:
        assert isinstance(request, httpx2.Request)
        return httpx2.Response(200, content=BODY)

    async with AsyncClient(**OPTIONS, transport=Own(answer)) as client:
        assert (await client.balance()).balance.canonical_amount == 5
    with Client(**OPTIONS, transport=Own(answer)) as sync:
        assert sync.balance().balance.canonical_amount == 5
    assert closed == ["tasks", "threads"]


@pytest.mark.anyio
async def test_a_failure_of_httpx2_means_what_it_means_in_httpx(httpx2: Any) -> None:
    def fail(request: Any) -> Any:
        raise httpx2.ConnectError("no")

    async with AsyncClient(**OPTIONS, transport=httpx2.MockTransport(fail)) as client:
        with pytest.raises(NetworkError, match="No connection") as caught:
            await client.orders.create(product_id=1)
        assert client.orders.unresolved() == ()
    assert caught.value.outcome == "not_sent"


@pytest.mark.parametrize("argument", ["transport", "http_client"])
@pytest.mark.parametrize("class_", [AsyncClient, Client])
def test_what_sends_no_requests_is_refused(class_: Any, argument: str) -> None:
    other = httpx.HTTPTransport() if class_ is AsyncClient else httpx.AsyncHTTPTransport()
    values: list[Any] = [other, object(), "httpx", httpx, httpx.Client, 1]
    for value in values:
        with pytest.raises(InvalidArgumentError, match=rf"{argument}: expected .* of httpx or httpx2"):
            class_("token", **{argument: value})


GIVEN: dict[str, Any] = {
    "http": "httpx2",
    "proxy": "http://127.0.0.1:1",
    "trust_env": False,
    "ssl_context": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
    "user_agent": "shop/1",
}


@pytest.mark.parametrize("class_", [AsyncClient, Client])
def test_a_transport_and_a_client_are_not_given_together(class_: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="at most one of them"):
        class_("token", transport=object(), http_client=object())


@pytest.mark.parametrize("name", GIVEN)
@pytest.mark.parametrize("argument", ["transport", "http_client"])
def test_how_to_connect_is_not_said_beside_what_connects(name: str, argument: str) -> None:
    own: Any = {"transport": httpx.HTTPTransport(), "http_client": httpx.Client()}[argument]
    with pytest.raises(InvalidArgumentError, match=rf"\A{name}: not together with {argument}"):
        Client("token", **{argument: own, name: GIVEN[name]})
    own.close()


# -- proxies, certificates, environment ------------------------------------------------------------


@pytest.mark.parametrize(
    "proxy",
    [
        "",
        "http://",
        "ftp://p:1",
        "http://p:x",
        "http://p q:1",
        f"http://u:{SECRET}/1@p:1",
        8080,
        b"http://p:1",
    ],
)
def test_a_given_proxy_that_cannot_be_used_is_refused_and_not_shown(proxy: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"\Aproxy: ") as caught:
        Client("token", proxy=proxy)
    assert SECRET not in f"{caught.value} {caught.value!r} {caught.value.__context__!r}"


@pytest.mark.parametrize("proxy", ["foo", "proxy.example/", f"user:{SECRET}", f"user:{SECRET}@proxy.example"])
def test_a_proxy_without_scheme_and_port_is_refused_with_the_forms_that_are_accepted(proxy: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        Client("token", proxy=proxy)
    assert caught.value.message == (
        "proxy: expected one of http://host:port, https://host:port, socks5://host:port, socks5h://host:port,"
        " or host:port, which is http; found neither a scheme nor a port."
    )


@pytest.mark.parametrize("proxy", ["foo:8080", "foo:8080/", "user:password@foo:8080", "http://foo"])
def test_a_proxy_with_a_scheme_or_a_port_is_taken(proxy: str) -> None:
    with Client("token", proxy=proxy) as client:
        assert "foo" not in repr(client)


def test_a_proxy_is_not_given_the_token() -> None:
    with pytest.raises(InvalidArgumentError, match="proxy: expected an https address"):
        Client("token", base_url="http://127.0.0.1:9", proxy="http://p:1")


def test_a_socks_proxy_that_is_given_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "socksio", None)
    with pytest.raises(ConfigurationError, match=r"httpx\[socks\]"):
        Client("token", proxy="socks5://p:1")


@pytest.mark.parametrize("value", [None, 0, 1, "no"])
def test_whether_the_environment_counts_is_true_or_false(value: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="trust_env: expected True or False"):
        Client("token", trust_env=value)


@pytest.mark.parametrize("value", [True, "verify", object()])
def test_tls_settings_are_those_of_the_standard_library(value: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"ssl_context: expected a ssl\.SSLContext"):
        Client("token", ssl_context=value)


@pytest.mark.parametrize(
    "value", ["", " ", " shop", "shop ", "a\r\nb: c", "a\nb", "a\x00b", "café", "x" * 201, 1]
)
def test_a_user_agent_cannot_hold_another_header(value: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"\Auser_agent: expected"):
        Client("token", user_agent=value)


def test_where_the_environment_does_not_count_it_has_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMSCODE_TOKEN", "token")
    monkeypatch.setenv("SMSCODE_BASE_URL", "https://elsewhere.example")
    with pytest.raises(ConfigurationError, match="No token"):
        Client(trust_env=False)
    with Client("token", trust_env=False) as client:
        assert "elsewhere" not in repr(client)


def test_certificates_without_the_environment_are_those_of_certifi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/not/there.pem")
    monkeypatch.setenv("SSLKEYLOGFILE", "/not/there/keys.log")
    context = ssl_context("https://x", trust_env=False)
    assert context.cert_store_stats()["x509"] > 10
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.keylog_filename is None


# -- stand-ins of tests ----------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_stand_in_for_the_other_family_lets_nothing_out(httpx2: Any) -> None:
    with raw_server(lambda connection, request: (GOOD, False)) as server:
        for there, name in ((httpx2, "httpx"), (httpx, "httpx2")):
            options: Any = {**OPTIONS, "base_url": server.url, "http": name}
            with mock.patch.object(there.HTTPTransport, "handle_request", mock.Mock()):
                with Client(**options) as client, pytest.raises(ConfigurationError, match="Nothing is sent"):
                    client.orders.create(product_id=1)
            with mock.patch.object(there.AsyncHTTPTransport, "handle_async_request", mock.AsyncMock()):
                async with AsyncClient(**options) as tasks:
                    with pytest.raises(ConfigurationError, match="Nothing is sent"):
                        await tasks.orders.create(product_id=1)
    assert server.requests == 0


@pytest.mark.anyio
async def test_a_stand_in_for_httpx2_answers_its_clients(httpx2: Any) -> None:
    def respond(*_: object) -> Any:
        return httpx2.Response(200, content=BODY)

    async def respond_async(*_: object) -> Any:
        return httpx2.Response(200, content=BODY)

    options: Any = {**OPTIONS, "base_url": "http://127.0.0.1:9", "http": "httpx2"}
    with mock.patch.object(httpx2.HTTPTransport, "handle_request", respond), Client(**options) as client:
        assert client.balance().balance.canonical_amount == 5
    with mock.patch.object(httpx2.AsyncHTTPTransport, "handle_async_request", respond_async):
        async with AsyncClient(**options) as tasks:
            assert (await tasks.balance()).balance.canonical_amount == 5
