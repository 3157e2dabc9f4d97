"""Who may talk to a served sandbox: by which Host, from where, and with which token."""

from __future__ import annotations

import http.client
import importlib.util
import io
import re
import socket
from pathlib import Path

import pytest

from smscode import AsyncClient, Client, InvalidArgumentError
from smscode.cli import fallback, offline
from smscode.cli.exits import Exit
from smscode.sandbox import Sandbox
from smscode.sandbox.transports.hosts import Hosts, url_of

serves = pytest.mark.skipif(importlib.util.find_spec("uvicorn") is None, reason="needs the sandbox extra")

OWN = [
    *("localhost", "LOCALHOST:8080", "localhost.", "a.localhost:1"),
    *("127.0.0.1", "127.0.0.1:80", "127.9.9.9"),
    *("[::1]", "[::1]:8080", "[0:0:0:0:0:0:0:1]:8080"),
]
DOTTED = [
    *("attacker.example", "attacker.example:8080", "127.0.0.1.attacker.example"),
    *("localhost.attacker.example", "127.0.0.1@attacker.example", "attacker.example:127.0.0.1"),
    *("", ":8080", "127.0.0.1, attacker.example"),
]
FOREIGN = [*DOTTED, "xlocalhost", "127.0.0.1:8080:8080", "[::1", "[::1]x", " 127.0.0.1"]


@pytest.mark.parametrize(
    ("hosts", "admitted", "refused"),
    [
        (["127.0.0.1"], OWN, [*FOREIGN, "sandbox", "172.17.0.1", "[2001:db8::1]:80"]),
        (["sandbox"], [*OWN, "sandbox", "Sandbox:8080", "sandbox."], [*FOREIGN, "sandbox2", "172.17.0.1"]),
        (["172.17.0.1"], [*OWN, "172.17.0.1:80"], [*FOREIGN, "172.17.0.2", "sandbox"]),
        (["2001:DB8::1"], [*OWN, "[2001:db8:0::1]:80"], [*FOREIGN, "[2001:db8::2]"]),
        (["[::1]", "host.docker.internal"], [*OWN, "host.docker.internal:1"], [*FOREIGN, "docker.internal"]),
        (["0.0.0.0"], [*OWN, "sandbox:80", "172.17.0.1", "[2001:db8::1]:80"], DOTTED),
        (["::"], [*OWN, "sandbox:80"], DOTTED),
        (["0.0.0.0", "a.b"], ["a.b:80", "sandbox"], ["x.a.b", "b.c"]),
    ],
)
def test_it_answers_to_its_own_names_only(hosts: list[str], admitted: list[str], refused: list[str]) -> None:
    names = Hosts(hosts)
    assert [host for host in admitted if not names.admit(host)] == []
    assert [host for host in refused if names.admit(host)] == []
    assert not names.admit(None)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://127.0.0.1:80"),
        ("::1", "http://[::1]:80"),
        ("Sandbox", "http://sandbox:80"),
    ],
)
def test_its_url_can_be_used(host: str, url: str) -> None:
    assert url_of(host, 80) == url


def ask(port: int, path: str, host: str, token: str, address: str = "127.0.0.1") -> int:
    connection = http.client.HTTPConnection(address, port, timeout=10)
    try:
        connection.request("GET", path, headers={"Host": host, "Authorization": f"Bearer {token}"})
        return connection.getresponse().status
    finally:
        connection.close()


@serves
def test_a_page_that_has_its_own_name_lead_here_is_refused_whatever_it_asks() -> None:
    sandbox = Sandbox()
    with sandbox.serve() as server:
        for path in ("/_sandbox/history", "/v2/balance", "/anything"):
            assert ask(server.port, path, "attacker.example", sandbox.token) == 421
        assert ask(server.port, "/_sandbox/history", "localhost", sandbox.token) == 200
        assert ask(server.port, "/_sandbox/history", "localhost", "another") == 401
    assert not sandbox.requests


@serves
def test_a_request_of_old_without_a_host_is_refused() -> None:
    with Sandbox().serve() as server, socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(b"GET /v2/balance HTTP/1.0\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 421 ")


@serves
def test_other_machines_are_served_where_that_is_asked_for() -> None:
    sandbox = Sandbox(token="hard-to-guess")
    with sandbox.serve(host="0.0.0.0", names=["host.docker.internal"]) as server:
        assert server.url == f"http://127.0.0.1:{server.port}"
        for host in ("sandbox:80", "172.17.0.1", "host.docker.internal"):
            assert ask(server.port, "/v2/balance", host, sandbox.token) == 200
        assert ask(server.port, "/v2/balance", "attacker.example", sandbox.token) == 421


@serves
@pytest.mark.anyio
async def test_a_client_takes_plain_http_for_a_sandbox_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    find = socket.getaddrinfo

    def resolve(host: str | bytes | None, *more: object, **options: object) -> object:
        name = host.decode() if isinstance(host, bytes) else host
        return find("127.0.0.1" if name == "sandbox" else name, *more, **options)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    sandbox = Sandbox()
    with sandbox.serve(host="sandbox") as server:
        assert server.url == f"http://sandbox:{server.port}"
        with Client(sandbox.token, base_url=server.url, allow_http=True) as client:
            assert client.balance().balance.canonical_amount == 1_000_000
        async with AsyncClient(sandbox.token, base_url=server.url, allow_http=True) as tasks:
            assert (await tasks.balance()).balance.canonical_amount == 1_000_000


class Stop:
    """Ends the command at once."""

    def wait(self, seconds: float) -> bool:
        """Return at once."""
        return True


def started(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[str, str]:
    """Run the command until it listens; return its address and token."""
    monkeypatch.setattr(offline, "_stop", Stop())
    out = io.StringIO()
    assert fallback.main(["sandbox", *arguments], out) == Exit.OK
    found = re.fullmatch(r"listening on (\S+) token (\S+)\n", out.getvalue())
    assert found
    return found[1], found[2]


@serves
def test_each_start_has_a_token_of_its_own_unless_one_is_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tokens = {started(monkeypatch)[1] for _ in range(3)}
    assert len(tokens) == 3
    assert min(map(len, tokens)) >= 20
    assert started(monkeypatch, "--token", "mine")[1] == "mine"
    kept = str(tmp_path / "kept.db")
    first = started(monkeypatch, "--state", kept)[1]
    assert len(first) >= 20
    assert started(monkeypatch, "--state", kept)[1] == first
    assert started(monkeypatch, "--state", kept, f"--token={first}")[1] == first
    (tmp_path / "empty.db").touch()
    assert started(monkeypatch, "--state", str(tmp_path / "empty.db"))[1] not in (first, "sandbox-token")


@serves
def test_a_host_can_be_named_and_one_that_is_not_here_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert started(monkeypatch, "--host", "localhost", "--host", "sandbox")[0].startswith("http://localhost:")
    assert fallback.main(["sandbox", "--host", "nobody.invalid"], io.StringIO()) == Exit.SETUP
    assert "Cannot listen on nobody.invalid:0 (" in capsys.readouterr().err


@pytest.mark.parametrize("token", ["", "two words", "Bearer x", "é"])
def test_a_token_that_no_client_can_send_is_refused(token: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert fallback.main(["sandbox", "--token", token], io.StringIO()) == Exit.USAGE
    assert "--token: expected" in capsys.readouterr().err


def test_the_error_of_a_wrong_token_does_not_show_it() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        offline.sandbox(0, 1, "current", "1", [], None, [], "two s3cr3t", False, 0, False, io.StringIO())
    assert "s3cr3t" not in str(caught.value)
