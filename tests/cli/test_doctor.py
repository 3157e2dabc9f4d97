"""``smscode doctor``."""

from __future__ import annotations

import contextlib
import importlib.metadata
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

pytest.importorskip("typer")

import trustme

from smscode import Client, _vendor
from smscode.cli import doctor, tls
from smscode.cli.session import Session
from smscode.sandbox import Sandbox

from .harness import Done, Shell, always


def found(done: Done) -> dict[str, tuple[str, str]]:
    """Return the state and the message of every check."""
    return {name: (state, said) for state, name, said in done.rows}


@pytest.fixture
def client(shell: Shell) -> Client:
    return Client(shell.sandbox.token, transport=shell.sandbox.transport())


@pytest.fixture
def account(shell: Shell, client: Client, monkeypatch: pytest.MonkeyPatch) -> str:
    """Set up an account for commands without --sandbox, and return its address."""
    url = "https://sms.example.net"
    monkeypatch.setenv("SMSCODE_TOKEN", "a-secret-token")
    monkeypatch.setenv("SMSCODE_BASE_URL", url)
    monkeypatch.setattr(Session, "client", always(client))
    monkeypatch.setattr(doctor, "_journal", always(doctor.Finding("ok", "journal", "")))
    monkeypatch.setattr(tls, "inspect", always(tls.TlsConnection("TLSv1.3", 90)))
    return url


def test_a_healthy_account_is_ok_in_every_line(shell: Shell) -> None:
    done = shell.run("doctor")
    assert done.code == 0
    assert {state for state, _ in found(done).values()} == {"ok"}
    assert list(found(done)) == [
        *("package", "tls", "token", "clock", "balance", "rate", "webhook", "limits", "journal")
    ]


def test_it_is_a_list_as_json_and_in_colours_on_a_terminal(shell: Shell) -> None:
    assert shell.run("doctor", "--json").data[0]["state"] == "ok"
    assert shell.type("doctor").out.split()[:3] == ["ok", "package", "smscode-async"]


def test_without_a_token_it_says_where_to_put_it_and_stops(shell: Shell) -> None:
    done = shell.bare("doctor")
    assert done.code == 1
    assert found(done)["token"][0] == "fail"
    assert "SMSCODE_TOKEN" in found(done)["token"][1]
    assert "webhook" not in found(done)


def test_a_refused_token_says_what_to_do_and_is_not_shown(shell: Shell, account: str) -> None:
    shell.sandbox.fail_next("balance.get", "UNAUTHORIZED", message="Who are you?")
    done = shell.bare("doctor")
    assert done.code == 1
    state, said = found(done)["token"]
    assert state == "fail"
    assert "Check SMSCODE_TOKEN" in said
    assert "a-secret-token" not in done.out + done.err


def test_a_service_that_is_down_is_named_by_what_was_asked(shell: Shell) -> None:
    shell.sandbox.fail_next("webhook.get", "FORBIDDEN", message="No webhooks for you")
    done = shell.run("doctor")
    assert found(done)["webhook"][0] == "fail"
    assert done.code == 1


@pytest.mark.parametrize(("seconds", "way"), [(90, "behind"), (-90, "ahead of")])
def test_a_clock_that_is_off_is_a_warning(seconds: int, way: str, shell: Shell) -> None:
    shell.use(Sandbox(clock=lambda: datetime.now(UTC) + timedelta(seconds=seconds)))
    done = shell.run("doctor")
    assert done.code == 0
    state, said = found(done)["clock"]
    assert state == "warn"
    assert way in said


def test_an_empty_account_is_a_warning(shell: Shell) -> None:
    shell.use(Sandbox(balance=0))
    assert found(shell.run("doctor"))["balance"] == ("warn", "$0.00: top up before renting.")


def test_a_missing_rate_is_a_warning_that_names_the_way_out(shell: Shell) -> None:
    shell.sandbox.fail_next("catalog.exchange_rate", "FX_RATE_UNAVAILABLE", retry_after=3600)
    state, said = found(shell.run("doctor"))["rate"]
    assert state == "warn"
    assert "--api-version v1" in said


def test_being_limited_is_a_warning_with_the_time_to_wait(shell: Shell) -> None:
    shell.sandbox.fail_next("webhook.get", "RATE_LIMIT_EXCEEDED", retry_after=3600)
    assert found(shell.run("doctor"))["limits"] == (
        "warn",
        "Too many requests: wait 3600 s, or send fewer.",
    )


def test_the_webhook_is_judged(shell: Shell, client: Client) -> None:
    client.webhook.update(url="https://hooks.example.net/sms", secret="a secret")
    assert found(shell.run("doctor"))["webhook"] == ("ok", "goes to https://hooks.example.net/sms")
    webhook = shell.sandbox._app.world.webhook
    webhook.failures = 3
    assert found(shell.run("doctor"))["webhook"][1].startswith("The last 3 deliveries failed.")
    client.webhook.update(secret="")
    webhook.secret = None
    assert "It has no secret" in found(shell.run("doctor"))["webhook"][1]


def test_the_vendors_sdk_in_the_same_environment_is_a_failure(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.metadata, "version", always("1.2.0"))
    state, said = found(shell.run("doctor"))["package"]
    assert state == "fail"
    assert "smscode 1.2.0) is installed in another place than smscode-async" in said
    assert "python -m pip uninstall --yes smscode smscode-async" in said
    monkeypatch.setattr(_vendor, "THEIR_MODULE", "errors.py")
    state, said = found(shell.run("doctor"))["package"]
    assert (state, said.startswith("smscode-async was installed over the vendor's SDK")) == ("fail", True)


def test_tls_is_looked_at(shell: Shell, account: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(shell.bare("doctor"))["tls"] == (
        "ok",
        f"TLSv1.3 to {account}, its certificate is good for 90 days",
    )
    monkeypatch.setattr(tls, "inspect", always(tls.TlsConnection("TLSv1.3", 3)))
    assert found(shell.bare("doctor"))["tls"][0] == "warn"


@pytest.mark.parametrize(
    ("error", "hint"),
    [(ssl.SSLError("certificate verify failed"), "Is the clock right"), (OSError("no route"), "the network")],
)
def test_a_connection_that_cannot_be_made_is_a_failure(
    error: OSError, hint: str, shell: Shell, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(base_url: str) -> tls.TlsConnection:
        raise error

    monkeypatch.setattr(tls, "inspect", look)
    state, said = found(shell.bare("doctor"))["tls"]
    assert state == "fail"
    assert hint in said


def test_a_proxy_is_not_looked_through(shell: Shell, account: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.net:3128")
    assert found(shell.bare("doctor"))["tls"][0] == "warn"


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "SSL_CERT_FILE"])
def test_a_setting_that_cannot_be_used_is_named(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("SMSCODE_TOKEN", "a-secret-token")
    monkeypatch.setenv(name, "/not/there")
    with socket.create_server(("localhost", 0)) as listener:
        # "localhost" would need no proxy, but it is a name as any other to the check of the certificates.
        host = "localhost" if name == "SSL_CERT_FILE" else "sms.example.net"
        monkeypatch.setenv("SMSCODE_BASE_URL", f"https://{host}:{listener.getsockname()[1]}")
        done = shell.bare("doctor")
    assert done.code == 1
    for check in ("tls", "account"):
        state, said = found(done)[check]
        assert state == "fail"
        assert said.startswith(f"{name}: ")


def test_an_address_on_this_machine_needs_no_tls(
    shell: Shell, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("SMSCODE_BASE_URL", f"http://127.0.0.1:{listener.getsockname()[1]}")
        assert found(shell.bare("doctor"))["tls"][0] == "ok"


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("token", ["a-secret-token", ""])
def test_a_refused_connection_is_called_so_also_without_a_token(
    shell: Shell, scheme: str, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
    monkeypatch.setenv("SMSCODE_TOKEN", token)
    monkeypatch.setenv("SMSCODE_BASE_URL", address)
    done = shell.bare("doctor")
    state, said = found(done)["tls"]
    assert state == "fail"
    assert said.startswith(f"No connection to {address} (Connection refused). Nothing listens there")
    assert "SMSCODE_BASE_URL" in said
    assert ("journal" in found(done)) == bool(token), "what can be checked is"


def test_an_address_that_cannot_be_used_is_named_without_a_token(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMSCODE_BASE_URL", "api.smscode.gg")
    assert found(shell.bare("doctor"))["address"] == (
        "fail",
        "SMSCODE_BASE_URL: expected a URL such as https://host/path.",
    )


@pytest.fixture
def secured(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve one TLS handshake with a certificate that is trusted, and return the address."""
    authority: Any = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", not_after=datetime.now(UTC) + timedelta(days=10)).configure_cert(server)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    monkeypatch.setattr(tls, "ssl_context", always(trusting))
    with socket.create_server(("localhost", 0)) as listener:

        def shake_hands() -> None:
            plain, _ = listener.accept()
            # Who only looks drops the connection, without having read all that came.
            with contextlib.suppress(ConnectionError), plain:
                with server.wrap_socket(plain, server_side=True) as secured:
                    secured.recv(1)

        thread = threading.Thread(target=shake_hands)
        thread.start()
        yield f"https://localhost:{listener.getsockname()[1]}"
        thread.join()


def test_a_certificate_is_read(secured: str) -> None:
    seen = tls.inspect(secured)
    assert seen.protocol == "TLSv1.3"
    assert seen.days_left == 9
