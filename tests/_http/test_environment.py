"""What the environment says about the way to the service, and what becomes of it where that is wrong."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import ssl
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
import trustme

from smscode import AsyncClient, Client, ConfigurationError, InvalidArgumentError, NetworkError, RetryPolicy
from smscode._http.environment import environment_proxy, is_excepted, ssl_context

from ..concurrency import raw_server
from ..stacks import only_httpx

SERVICE = "https://api.smscode.gg"
SECRET = "s3cr3t-word"


@pytest.fixture(autouse=True)
def no_certificates_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"):
        monkeypatch.delenv(name, raising=False)


# -- which proxy -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "base_url", "proxy"),
    [
        ({}, SERVICE, None),
        ({"https_proxy": "http://p:1"}, SERVICE, "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1"}, SERVICE, "http://p:1"),
        ({"Https_Proxy": "http://p:1"}, SERVICE, "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1", "https_proxy": "http://p:2"}, SERVICE, "http://p:2"),
        ({"HTTPS_PROXY": "http://p:1", "https_proxy": ""}, SERVICE, None),
        ({"HTTPS_PROXY": "", "ALL_PROXY": "http://p:2"}, SERVICE, "http://p:2"),
        ({"http_proxy": "http://p:1"}, SERVICE, None),
        ({"http_proxy": "http://p:1"}, "http://localhost:8080", None),
        ({"http_proxy": "http://p:1"}, "http://sandbox:8080", None),
        ({"all_proxy": "http://p:1"}, "http://127.0.0.1:8080", None),
        ({"all_proxy": "http://p:1"}, "https://[::1]:8080", None),
        ({"all_proxy": "http://p:2"}, SERVICE, "http://p:2"),
        ({"https_proxy": "http://p:1", "all_proxy": "http://p:2"}, SERVICE, "http://p:1"),
        ({"https_proxy": "http://p:1", "no_proxy": "smscode.gg"}, SERVICE, None),
        ({"https_proxy": "http://p:1", "NO_PROXY": "*"}, SERVICE, None),
        ({"https_proxy": "http://p:1", "NO_PROXY": "*", "no_proxy": ""}, SERVICE, None),
        ({"https_proxy": "http://p:1", "NO_PROXY": "*", "no_proxy": "a.b"}, SERVICE, "http://p:1"),
        ({"https_proxy": "http://p:1", "no_proxy": "example.net"}, SERVICE, "http://p:1"),
        ({"https_proxy": "http://p:1", "no_proxy": "host:8443"}, "https://host:8443", None),
        ({"https_proxy": "http://p:1", "no_proxy": "host:8443"}, "https://host", "http://p:1"),
        ({"https_proxy": "p:1"}, SERVICE, "http://p:1"),
        ({"https_proxy": "p:1/"}, SERVICE, "http://p:1/"),
        ({"https_proxy": "HTTP://P:1"}, SERVICE, "http://P:1"),
        ({"https_proxy": "Https://user:pw@p"}, SERVICE, "https://user:pw@p"),
        ({"https_proxy": "http://[2001:db8::1]:3128"}, SERVICE, "http://[2001:db8::1]:3128"),
        ({"https_proxy": "http://pröxy:1"}, SERVICE, "http://pröxy:1"),
        ({"https_proxy": "http://p:1"}, "", None),
    ],
)
def test_the_environment_names_the_proxy(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], base_url: str, proxy: str | None
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert environment_proxy(base_url) == proxy


UNUSABLE = [
    "ftp://p:1",
    "socks://p:1",
    "socks4a://p:1",
    "quic://p:1",
    f"{SECRET}://p:1",
    "://p:1",
    "http://p:x",
    "http://p:99999",
    "http://p:-1",
    "http://p:0",
    f"http://user:{SECRET}/1@p:1",
    f"user:{SECRET}:1@p:1:2",
    "http://",
    "http://:3128",
    "http:/p:3128",
    "http//p:3128",
    "http:p:3128",
    "http://[::1",
    "http://a..b:1",
    f"http://{'a' * 64}:1",
    "http://p%20q:1",
    "http://p\\q:1",
    "http://p q:1",
    " http://p:1",
    "http://p:1\n",
    "http://p:1\t",
    "http://p\u00a0:1",
    " ",
]


@pytest.mark.parametrize("value", UNUSABLE, ids=repr)
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_that_cannot_be_used_is_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=rf"\A{name}: ") as caught:
        environment_proxy(SERVICE)
    error: BaseException | None = caught.value
    while error is not None:
        assert SECRET not in f"{error} {error!r}"
        error = error.__cause__


def test_a_proxy_that_is_excepted_may_be_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "ftp://p:1")
    monkeypatch.setenv("NO_PROXY", "api.smscode.gg")
    assert environment_proxy(SERVICE) is None
    assert environment_proxy("http://127.0.0.1:1") is None


def test_a_stack_that_speaks_no_socks_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5h://p:1")
    with pytest.raises(ConfigurationError, match=r"ALL_PROXY: .* 'socks5h' .* one of http, https\."):
        environment_proxy(SERVICE, ("http", "https"))


@pytest.mark.parametrize("value", ["socks5://p:1", "SOCKS5H://user:pw@p"])
def test_a_socks_proxy_needs_its_package(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("ALL_PROXY", value)
    monkeypatch.setitem(sys.modules, "socksio", None)
    with pytest.raises(ConfigurationError, match=r"ALL_PROXY: .*httpx\[socks\]"):
        environment_proxy(SERVICE)
    monkeypatch.setitem(sys.modules, "socksio", os)  # stands for the package
    assert environment_proxy(SERVICE) == value.replace("SOCKS5H", "socks5h")


def test_without_variables_the_settings_of_the_system_count(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"https": "http://p:1"}
    bypassed: list[str] = []
    monkeypatch.setattr(urllib.request, "getproxies", lambda: found)
    monkeypatch.setattr(urllib.request, "proxy_bypass", bypassed.__contains__)
    assert environment_proxy(SERVICE) == "http://p:1"
    bypassed.append("api.smscode.gg")
    assert environment_proxy(SERVICE) is None
    bypassed.clear()
    found["https"] = "http://p:x"
    with pytest.raises(ConfigurationError, match="the system's settings: the proxy's host or port"):
        environment_proxy(SERVICE)
    monkeypatch.setenv("HTTPS_PROXY", "http://p:2")
    assert environment_proxy(SERVICE) == "http://p:2"


GO = (
    "foobar.com, .barbaz.net, 192.168.1.1, 192.168.1.2:81, 192.168.1.3:80, 10.0.0.0/30, "
    "2001:db8::52:0:1, [2001:db8::52:0:2]:443, [2001:db8::52:0:3]:80, 2002:db8:a::45/64"
)
EXCEPTED: list[tuple[str, int, str, bool]] = [
    # The table of Go's own test, golang.org/x/net/http/httpproxy, for port 80.
    ("barbaz.net", 80, GO, False),
    ("www.barbaz.net", 80, GO, True),
    ("foobar.com", 80, GO, True),
    ("www.foobar.com", 80, GO, True),
    ("foofoobar.com", 80, GO, False),
    ("baz.com", 80, GO, False),
    ("localhost.net", 80, GO, False),
    ("192.168.1.1", 80, GO, True),
    ("192.168.1.2", 80, GO, False),
    ("192.168.1.3", 80, GO, True),
    ("192.168.1.4", 80, GO, False),
    ("10.0.0.2", 80, GO, True),
    ("10.0.0.4", 80, GO, False),
    ("2001:db8::52:0:1", 80, GO, True),
    ("2001:db8::52:0:2", 80, GO, False),
    ("2001:db8::52:0:3", 80, GO, True),
    ("2002:db8:a::123", 80, GO, True),
    ("fe80::424b:c8be:1643:a1b6", 80, GO, False),
    ("example.com", 80, ":1", False),
    ("192.168.1.1", 443, "*", True),
    ("x", 443, "a, *", True),
    # And what else there is.
    ("x", 443, "", False),
    ("x", 443, " , ,", False),
    ("x", 443, ":443", False),
    ("x", 443, "*.", False),
    ("x", 443, ".", False),
    ("a.b", 443, "*.a.b", False),
    ("x.a.b", 443, "*.a.b", True),
    ("xa.b", 443, "*a.b", False),
    ("x.a.b", 443, "*.a.b:443", True),
    ("x.a.b", 443, ".a.b:80", False),
    ("a.b", 443, "a.b:443", True),
    ("a.b", 443, "a.b:80", False),
    ("a.b", 443, "a.b:", True),
    ("a.b", 443, "a.b:https", False),
    ("a.b", 443, "*:443", False),
    ("A.b", 443, "a.B", True),
    ("a.b.", 443, "a.b", True),
    ("a.b", 443, "a.b.", True),
    ("a.b", 443, "c.d  a.b\te.f", True),
    ("a.b", 443, "https://a.b", False),
    ("xn--exmple-cua.com", 443, "exämple.com", True),
    ("x.xn--exmple-cua.com", 443, ".exämple.com", True),
    ("a.b", 443, "ä..b", False),
    ("::1", 443, "[::1]", True),
    ("[2001:db8::1]", 443, "2001:DB8:0::1", True),
    ("2001:db8::1", 443, "[2001:db8::1]:80", False),
    ("::ffff:10.0.0.1", 443, "10.0.0.1", True),
    ("10.0.0.1", 443, "10.0.0.0/8", True),
    ("10.0.0.1", 443, "10.0.0.1/8", True),
    ("11.0.0.1", 443, "10.0.0.0/8", False),
    ("10.0.0.1", 443, "2001:db8::/32", False),
    ("10.0.0.1", 443, "10.0.0.0/99", False),
    ("a.b", 443, "10.0.0.0/8", False),
    ("10.0.0.1", 443, "010.0.0.1", False),
]


@pytest.mark.parametrize(("host", "port", "no_proxy", "excepted"), EXCEPTED)
def test_exceptions_are_read_as_go_does(host: str, port: int, no_proxy: str, excepted: bool) -> None:
    assert is_excepted(host, port, no_proxy) is excepted


# -- which certificates ----------------------------------------------------------------------------


def test_certificates_are_verified() -> None:
    context = ssl_context(SERVICE)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.get_ca_certs()
    plain = ssl_context("http://127.0.0.1")
    assert (plain.verify_mode, plain.get_ca_certs()) == (ssl.CERT_REQUIRED, [])


def test_the_environment_names_the_certificates(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", "/not/there")  # not looked at beside a file
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    assert len(ssl_context(SERVICE).get_ca_certs()) == 1
    monkeypatch.delenv("SSL_CERT_FILE")
    hashed = tmp_path / "hashed"
    hashed.mkdir()
    authority.cert_pem.write_to_path(str(hashed / "0123abcd.0"))
    monkeypatch.setenv("SSL_CERT_DIR", f"/not/there{os.pathsep}{hashed}")
    assert ssl_context(SERVICE).verify_mode == ssl.CERT_REQUIRED


PEM = "-----BEGIN {0}-----\nAAAA\n-----END {0}-----\n"


def _missing(path: Path) -> None:
    """Leave the file out."""


def _directory(path: Path) -> None:
    path.mkdir()


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _file(content: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(content)


def _loop(path: Path) -> None:
    path.symlink_to(path)


WRONG_FILES = {
    "missing": (_missing, "cannot be read (No such file or directory)"),
    "loop": (_loop, "cannot be read (Too many levels of symbolic links)"),
    "directory": (_directory, "is a directory"),
    "pipe": (_pipe, "is not a file"),
    "empty": (_file(""), "no usable PEM certificate"),
    "text": (_file("not a certificate\n"), "no usable PEM certificate"),
    "damaged": (_file(PEM.format("CERTIFICATE")), "no usable PEM certificate"),
    "key": (_file(PEM.format("PRIVATE KEY")), "no usable PEM certificate"),
}


@pytest.mark.skipif(sys.platform == "win32", reason="pipes and links")
@pytest.mark.parametrize("kind", WRONG_FILES)
def test_a_certificate_file_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    make, reason = WRONG_FILES[kind]
    path = tmp_path / "ca.pem"
    make(path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with pytest.raises(ConfigurationError) as caught:
        ssl_context(SERVICE)
    message = str(caught.value)
    assert message.startswith("SSL_CERT_FILE: ")
    assert repr(str(path)) in message
    assert reason in message


def test_a_file_that_may_not_be_read_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)  # the tests may run as a user who may read anything
    with pytest.raises(ConfigurationError, match=r"ca\.pem' cannot be read \(Permission denied\)"):
        ssl_context(SERVICE)


def test_a_file_with_revocations_only_has_no_certificate(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "ca.pem"
    path.write_text("as if it were a list of revoked certificates")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    empty = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    def no_context(**_: object) -> ssl.SSLContext:
        return empty

    monkeypatch.setattr("ssl.create_default_context", no_context)
    with pytest.raises(ConfigurationError, match="SSL_CERT_FILE: no usable PEM certificate"):
        ssl_context(SERVICE)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (None, "cannot be read"),
        ({}, "no PEM certificate with a hashed name"),
        ({"ca.pem": PEM.format("CERTIFICATE")}, "no PEM certificate with a hashed name"),
        ({"0123abcd.0": "text"}, "no PEM certificate with a hashed name"),
        ({"0123abcd.0": PEM.format("PRIVATE KEY")}, "no PEM certificate with a hashed name"),
    ],
)
def test_a_directory_without_certificates_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: dict[str, str] | None, reason: str
) -> None:
    path = tmp_path / "certs"
    if files is not None:
        path.mkdir()
        for name, content in files.items():
            (path / name).write_text(content)
    monkeypatch.setenv("SSL_CERT_DIR", str(path))
    with pytest.raises(ConfigurationError) as caught:
        ssl_context(SERVICE)
    assert str(caught.value).startswith("SSL_CERT_DIR: ")
    assert repr(str(path)) in str(caught.value)
    assert reason in str(caught.value)


def test_a_file_in_place_of_a_directory_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_DIR", __file__)
    with pytest.raises(ConfigurationError, match=r"SSL_CERT_DIR: .* cannot be read \(Not a directory\)"):
        ssl_context(SERVICE)


def test_a_key_log_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "not there" / "keys.log"
    monkeypatch.setenv("SSLKEYLOGFILE", str(path))
    with pytest.raises(ConfigurationError, match=r"SSLKEYLOGFILE: .*keys\.log' cannot be written"):
        ssl_context(SERVICE)


@pytest.mark.parametrize("error", [FileNotFoundError(2, "No such file"), ssl.SSLError(1, "a wrong provider")])
def test_tls_that_cannot_be_set_up_for_another_reason_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: OSError
) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr("ssl.create_default_context", fail)
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys.log"))
    with pytest.raises(ConfigurationError, match=r"TLS cannot be set up .*certifi"):
        ssl_context(SERVICE)


# -- what becomes of a call ------------------------------------------------------------------------

WRONG_ENVIRONMENTS = [
    {"HTTPS_PROXY": "ftp://127.0.0.1:9"},
    {"https_proxy": "http://127.0.0.1:port"},
    {"ALL_PROXY": "http://127.0.0.1 :9"},
    {"SSL_CERT_FILE": "/not/there.pem"},
    {"SSL_CERT_FILE": __file__},
    {"SSL_CERT_DIR": "/not/there"},
]


@pytest.mark.parametrize("environ", WRONG_ENVIRONMENTS)
def test_a_purchase_in_a_wrong_environment_is_not_sent_and_never_in_doubt(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]
) -> None:
    name, value = next(iter(environ.items()))
    monkeypatch.setenv(name, value)
    with Client("token-4711", retry=RetryPolicy(max_attempts=8)) as client:
        for _ in range(2):  # no later call may go past what the first one met
            with pytest.raises(ConfigurationError, match=rf"\A{name}: ") as caught:
                client.orders.create(catalog_product_id=87)
            assert (caught.value.outcome, caught.value.attempts) == ("not_sent", 1)
        assert client.orders.unresolved() == ()


@pytest.mark.anyio
@pytest.mark.parametrize("environ", WRONG_ENVIRONMENTS)
async def test_a_task_that_buys_in_a_wrong_environment_is_told_so_at_once(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]
) -> None:
    name, value = next(iter(environ.items()))
    monkeypatch.setenv(name, value)
    async with AsyncClient("token-4711", retry=RetryPolicy(max_attempts=8)) as client:
        for _ in range(2):
            with pytest.raises(ConfigurationError, match=rf"\A{name}: ") as caught:
                await client.orders.create(catalog_product_id=87)
            assert (caught.value.outcome, caught.value.attempts) == ("not_sent", 1)
        assert client.orders.unresolved() == ()


def test_a_setting_that_is_put_right_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("SSL_CERT_FILE", "/not/there.pem")
    with Client("token-4711", retry=RetryPolicy(max_attempts=1)) as client:
        with pytest.raises(ConfigurationError, match="SSL_CERT_FILE"):
            client.balance()
        monkeypatch.delenv("SSL_CERT_FILE")
        with pytest.raises(NetworkError, match="ConnectError"):
            client.balance()


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve a proxy that refuses and repeats the password it was sent; return its host and port."""
    said = base64.b64encode(f"user:{SECRET}".encode()).decode()
    answer = f"HTTP/1.1 407 Who is user:{SECRET} ({said})\r\ncontent-length: 0\r\n\r\n".encode()
    with raw_server(lambda connection, request: (answer, True)) as server:
        address = server.url.removeprefix("http://")
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:{SECRET}@{address}")
        yield address


def hidden(error: BaseException | None) -> bool:
    while error is not None:
        if SECRET in f"{error} {error!r} {vars(error)}":
            return False
        error = error.__cause__
    return True


def test_a_proxy_that_refuses_is_named_with_its_answer_and_without_its_password(refusing: str) -> None:
    with Client("token-4711", retry=RetryPolicy(max_attempts=1)) as client:
        with pytest.raises(NetworkError, match="refuses") as caught:
            client.orders.create(catalog_product_id=87)
        assert client.orders.unresolved() == ()
    assert caught.value.message == f"The proxy {refusing} refuses (407 Who is [removed] ([removed]))."
    assert (caught.value.outcome, hidden(caught.value)) == ("not_sent", True)


@only_httpx  # aiohttp does not give the proxy's own words: see the next test
@pytest.mark.anyio
async def test_a_task_is_told_what_a_proxy_answers_too(refusing: str) -> None:
    async with AsyncClient("token-4711", retry=RetryPolicy(max_attempts=1)) as client:
        with pytest.raises(NetworkError, match="refuses") as caught:
            await client.balance()
    assert caught.value.message == f"The proxy {refusing} refuses (407 Who is [removed] ([removed]))."


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.anyio
async def test_aiohttp_says_what_a_proxy_answers_in_the_standard_s_words(refusing: str) -> None:
    pytest.importorskip("aiohttp")
    async with AsyncClient("token-4711", http="aiohttp", retry=RetryPolicy(max_attempts=1)) as client:
        with pytest.raises(NetworkError, match="refuses") as caught:
            await client.balance()
    assert caught.value.message == f"The proxy {refusing} refuses (407 Proxy Authentication Required)."
    assert hidden(caught.value)


def test_a_port_where_nothing_listens_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    with Client("token-4711", base_url=f"http://{address}", retry=RetryPolicy(max_attempts=1)) as client:
        with pytest.raises(NetworkError) as caught:
            client.balance()
    assert caught.value.message == f"No connection to {address}: Connection refused (ConnectError)."


@only_httpx  # aiohttp has a socket of its own by then, and loses it
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.anyio
async def test_a_loop_that_cannot_connect_is_a_matter_of_the_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object, **__: object) -> NoReturn:
        raise NotImplementedError

    monkeypatch.setattr(type(asyncio.get_running_loop()), "create_connection", unsupported)
    with raw_server(lambda connection, request: (b"", True)) as server:
        async with AsyncClient("token-4711", base_url=server.url) as client:
            with pytest.raises(ConfigurationError, match="event loop") as caught:
                await client.orders.create(catalog_product_id=87)
            assert client.orders.unresolved() == ()
    assert (caught.value.outcome, caught.value.attempts) == ("not_sent", 1)
    assert "(NotImplementedError)" in caught.value.message


# -- the address -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address", ["https://h/v2", "https://h/v1/", "https://h/V2//", "https://h/api/v1", "HTTPS://H/v10"]
)
def test_an_address_that_ends_in_a_version_is_refused_with_a_hint(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=r"\Abase_url: expected no /[vV]\d+ at the end: api_ver"):
        Client("token-4711", base_url=address)
    monkeypatch.setenv("SMSCODE_BASE_URL", address)
    with pytest.raises(InvalidArgumentError, match=r"\ASMSCODE_BASE_URL: expected no /[vV]"):
        AsyncClient("token-4711")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("HTTPS://API.smscode.gg", "https://api.smscode.gg"),
        ("Https://Host:8443/Api/", "https://host:8443/Api"),
        ("HTTP://LocalHost:80/v2x", "http://localhost:80/v2x"),
        ("https://h/v2/api", "https://h/v2/api"),
        ("https://h/v", "https://h/v"),
        ("https://[2001:DB8::1]", "https://[2001:db8::1]"),
    ],
)
def test_scheme_and_host_of_an_address_are_read_without_case(address: str, shown: str) -> None:
    with Client("token-4711", base_url=address) as client:
        assert repr(client) == f"Client({shown!r}, api_version='v2')"


@pytest.mark.parametrize("address", ["https://a..b", f"https://{'a' * 64}.b", "https://.a", "https://a%20b"])
def test_an_address_that_no_resolver_takes_is_refused(address: str) -> None:
    with pytest.raises(InvalidArgumentError, match="base_url: its host or port is not valid"):
        Client("token-4711", base_url=address)


@pytest.mark.parametrize("address", ["http://sandbox:8080", "http://172.17.0.1:8080", "http://localhost.:80"])
def test_plain_http_to_another_machine_has_to_be_asked_for(address: str) -> None:
    with pytest.raises(InvalidArgumentError, match="allow_http=True"):
        Client("token-4711", base_url=address)
    with Client("token-4711", base_url=address, allow_http=True) as client:
        assert address in repr(client)


@pytest.mark.parametrize("value", [1, None, "yes"])
def test_plain_http_is_asked_for_by_true_alone(value: object) -> None:
    with pytest.raises(InvalidArgumentError, match="allow_http: expected True or False"):
        Client("token-4711", allow_http=value)  # type: ignore[arg-type]  # what the test is about
