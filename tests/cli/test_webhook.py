"""``smscode webhook show``, ``set``, ``test`` and ``listen``."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from email.message import Message

import pytest

pytest.importorskip("typer")

from smscode import Client, ConfigurationError, webhooks
from smscode.cli import request_body, webhook_listener
from smscode.cli.screen import Screen
from smscode.receiver import WebhookAnswer, WebhookReceiver
from smscode.sandbox import Sandbox

from .harness import Shell, always

URL = "https://hooks.example.net/sms"
OTHER = "https://other.example.net/sms"
SECRET = "a secret"
BODY = json.dumps(
    {
        "event": "order.otp_received",
        "timestamp": "2026-06-14T04:15:00+00:00",
        "data": {
            "order_id": 1001,
            "phone_number": "+6281234567890",
            "otp_code": "123456",
            "otp_message": "Your code is 123456",
            "product_id": 142,
            "catalog_product_id": 87,
            "country": "Indonesia",
            "platform": "WhatsApp",
        },
    }
).encode()
NO_CODE = BODY.replace(b'"otp_code": "123456"', b'"otp_code": null')
NEW_KIND = BODY.replace(b"order.otp_received", b"order.transformed")


@pytest.fixture
def client(shell: Shell) -> Client:
    """Return a client of an account whose webhook answers 204, or what it is told to in ``answers``."""
    sandbox = shell.use(Sandbox(deliver=lambda delivery: answers.pop() if answers else 204))
    return Client(sandbox.token, transport=sandbox.transport())


answers: list[int] = []


def test_the_secret_is_not_shown(shell: Shell, client: Client) -> None:
    client.webhook.update(url=URL, secret=SECRET)
    assert shell.run("webhook", "show").rows == [
        ["url", URL],
        ["secret", "set"],
        ["delivery", "on"],
        ["failures", "0"],
    ]
    shown = shell.run("webhook", "show", "--json")
    assert SECRET not in shown.out
    assert shown.data["webhook_secret_set"] is True
    assert shown.data["webhook_url"] == URL


def test_an_address_is_set_and_cleared(shell: Shell, client: Client) -> None:
    assert shell.run("webhook", "set", URL).rows[0] == ["url", URL]
    assert shell.run("webhook", "set", URL).code == 0
    assert shell.run("webhook", "set", "", "--yes").rows[0] == ["url", "-"]


def test_another_address_is_replaced_only_if_that_is_agreed_to(shell: Shell, client: Client) -> None:
    client.webhook.update(url=OTHER)
    done = shell.run("webhook", "set", URL)
    assert done.code == 5
    assert OTHER in done.err
    assert client.webhook.get().webhook_url == OTHER
    assert shell.run("webhook", "set", URL, "--yes").code == 0
    assert client.webhook.get().webhook_url == URL


def test_the_secret_comes_from_the_standard_input(
    shell: Shell, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{SECRET}\n"))
    assert shell.run("webhook", "set", URL, "--secret-stdin").code == 0
    assert client.webhook.get().webhook_secret == SECRET
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert shell.run("webhook", "set", URL, "--secret-stdin").code == 2


def test_a_wrong_address_is_refused_before_anything_is_asked(shell: Shell, client: Client) -> None:
    done = shell.run("webhook", "set", "http://somewhere.example.net")
    assert done.code == 2
    assert done.err.startswith("error: url: ")


def test_what_the_service_has_against_an_address_is_shown(shell: Shell, client: Client) -> None:
    shell.use(Sandbox())  # one that takes no address on this machine
    done = shell.run("webhook", "set", "http://127.0.0.1:9/")
    assert done.code == 1
    refusal, details, money = done.err.splitlines()
    assert refusal.startswith("error: Request is not valid [VALIDATION_ERROR")
    assert details == "webhook_url: must be an https:// URL"
    assert money == "Nothing was bought or changed."
    assert json.loads(shell.run("webhook", "set", "http://127.0.0.1:9/", "--json").err)["details"] == {
        "fields": {"webhook_url": "must be an https:// URL"}
    }


def test_a_test_succeeds_if_the_address_takes_it(shell: Shell, client: Client) -> None:
    client.webhook.update(url=URL)
    assert shell.run("webhook", "test").out == "answered\t204\n"
    answers.append(500)
    assert shell.run("webhook", "test").code == 1


def test_an_endpoint_that_was_switched_off_says_since_when(shell: Shell, client: Client) -> None:
    client.webhook.update(url=URL)
    world = shell.sandbox._app.world
    world.webhook.disabled_at = datetime(2026, 6, 14, 4, 0, tzinfo=UTC)
    delivery = dict(row for row in shell.run("webhook", "show").rows)["delivery"]
    assert delivery.startswith("switched off by the service since 2026-06-14")
    assert shell.run("doctor").code == 1


def test_listening_on_the_sandbox_shows_its_test_event(shell: Shell) -> None:
    done = shell.run("webhook", "listen", "--port", 0, "--count", 1)
    assert done.code == 0
    assert done.err.startswith("listening on http://127.0.0.1:")
    received, said = done.rows[0]
    assert received == "received"
    assert said.split("  ")[1:] == ["webhook.test", "This is a test webhook event from SMSCode."]


def test_listening_needs_a_secret(shell: Shell, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smscode.cli.session.Session.client", always(client))
    monkeypatch.setenv("SMSCODE_TOKEN", "a-token")
    done = shell.bare("webhook", "listen")
    assert done.code == 6
    assert "SMSCODE_WEBHOOK_SECRET" in done.err


def test_listening_with_a_secret_as_it_stands_in_a_file_says_which_one_it_is(
    shell: Shell, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smscode.cli.session.Session.client", always(client))
    monkeypatch.setenv("SMSCODE_TOKEN", "a-token")
    monkeypatch.setenv("SMSCODE_WEBHOOK_SECRET", f"{SECRET}\n")
    done = shell.bare("webhook", "listen")
    assert done.code == 2
    assert done.err.startswith(
        "error: SMSCODE_WEBHOOK_SECRET: expected the webhook secret alone, found a line"
    )
    assert SECRET not in done.err


def test_listening_for_an_account_changes_nothing_of_it(
    shell: Shell, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def listen(
        screen: Screen, secret: str, address: object, count: int, ready: Callable[[str], None]
    ) -> None:
        assert secret == SECRET
        ready("http://127.0.0.1:1/")

    monkeypatch.setattr("smscode.cli.session.Session.client", always(client))
    monkeypatch.setattr("smscode.cli.webhook.listen_for_events", listen)
    monkeypatch.setenv("SMSCODE_TOKEN", "a-token")
    monkeypatch.setenv("SMSCODE_WEBHOOK_SECRET", SECRET)
    assert shell.bare("webhook", "listen").err == "listening on http://127.0.0.1:1/\n"
    assert shell.sandbox._app.world.webhook.url is None


def test_listening_on_a_port_that_is_taken_says_so(shell: Shell) -> None:
    def again(url: str) -> None:
        port = int(url.rpartition(":")[2].rstrip("/"))
        with pytest.raises(ConfigurationError, match="Cannot listen on 127"):
            webhook_listener.listen(screen, SECRET, ("127.0.0.1", port), 1, lambda url: None)
        raise KeyboardInterrupt

    screen = Screen(as_json=False)
    with pytest.raises(KeyboardInterrupt):
        webhook_listener.listen(screen, SECRET, ("127.0.0.1", 0), 1, again)


class Sender:
    """Sends bodies to a receiver and keeps the answers."""

    def __init__(self, *bodies: tuple[bytes, str | None]) -> None:
        self.statuses: list[int] = []
        self._bodies = bodies

    def __call__(self, url: str) -> None:
        port = int(url.rpartition(":")[2].rstrip("/"))
        for body, signature in self._bodies:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            headers = {} if signature is None else {webhooks.SIGNATURE_HEADER: signature}
            connection.request("POST", "/", body, headers)
            self.statuses.append(connection.getresponse().status)
            connection.close()


def signed(body: bytes) -> tuple[bytes, str]:
    return body, webhooks.sign(body, SECRET)


def test_only_what_the_service_signed_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    forged = (BODY, webhooks.sign(BODY, "wrong"))
    sender = Sender((BODY, None), forged, signed(b"[]"), signed(BODY), signed(BODY), signed(NO_CODE))
    webhook_listener.listen(Screen(as_json=False), SECRET, ("127.0.0.1", 0), 2, sender)
    streams = capsys.readouterr()
    assert sender.statuses == [401, 401, 400, 204, 204, 204]
    first, _ = streams.out.splitlines()
    assert first.endswith("order.otp_received  order 1001  +628********90  code 123456")
    assert streams.err.count("refused with 401") == 2


def test_events_without_a_code_and_of_an_unknown_kind_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    webhook_listener.listen(
        Screen(as_json=False), SECRET, ("127.0.0.1", 0), 2, Sender(signed(NO_CODE), signed(NEW_KIND))
    )
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("order.otp_received  order 1001  +628********90")
    assert second.endswith("order.transformed")


def test_as_json_an_event_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    webhook_listener.listen(Screen(as_json=True), SECRET, ("127.0.0.1", 0), 1, Sender(signed(BODY)))
    line = json.loads(capsys.readouterr().out)
    assert line["event"] == "order.otp_received"
    assert line["data"]["otp_code"] == "123456"


@pytest.mark.parametrize(("length", "status"), [("2000000", 413), ("many", 401), (None, 401)])
def test_a_body_that_is_too_large_or_of_no_length_is_not_read(length: str | None, status: int) -> None:
    found: list[int] = []

    def send(url: str) -> None:
        port = int(url.rpartition(":")[2].rstrip("/"))
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.putrequest("POST", "/")
        if length is not None:
            connection.putheader("Content-Length", length)
        connection.endheaders()
        found.append(connection.getresponse().status)
        connection.close()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        webhook_listener.listen(Screen(as_json=False), SECRET, ("127.0.0.1", 0), None, send)
    assert found == [status]


def chunks(*pieces: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + end


BYTES = [bytes([byte]) for byte in BODY]
ENDED_EARLY = b""


@pytest.mark.parametrize(
    ("coding", "sent", "status"),
    [
        ("chunked", chunks(BODY), 204),
        ("Chunked", chunks(*BYTES), 204),
        ("chunked", chunks(BODY, end=b"0\r\nX-Trailer: 1\r\nY: 2\r\n\r\n"), 204),
        ("chunked", b"%X;name=value\r\n%b\r\n00\r\n\r\n" % (len(BODY), BODY), 204),
        ("chunked", b"%x\n%b\n0\n\n" % (len(BODY), BODY), 204),
        ("chunked", chunks(BODY[:-1]), 401),
        ("chunked", chunks(), 401),
        ("chunked", chunks(bytes(2**20), b"x"), 413),
        ("chunked", b"ffffffff\r\n" + bytes(2**20 + 1), 413),
        ("chunked", BODY, 400),
        ("chunked", b"-1\r\n", 400),
        ("chunked", b"0x5\r\nhello\r\n0\r\n\r\n", 400),
        ("chunked", b"fffffffff\r\n", 400),
        ("chunked", b"5\r\nhelloX\r\n0\r\n\r\n", 400),
        ("chunked", chunks(BODY, end=ENDED_EARLY), 400),
        ("chunked", chunks(BODY)[:-2], 400),
        ("chunked", b"ff\r\nhello", 400),
        ("chunked", chunks(BODY, end=b"0\r\n" + b"X: 1\r\n" * 200 + b"\r\n"), 400),
        ("gzip, chunked", chunks(BODY), 501),
        ("gzip", BODY, 501),
    ],
    ids=lambda value: ascii(value)[:30],
)
@pytest.mark.parametrize("length", [None, "5"])
def test_a_body_in_chunks_is_read_to_its_end_or_refused_with_what_is_wrong_with_it(
    coding: str, sent: bytes, status: int, length: str | None
) -> None:
    headers = Message()
    headers["Transfer-Encoding"] = coding
    if length is not None:
        headers["Content-Length"] = length  # chunks count before a length
    found = request_body.read_body(headers, io.BytesIO(sent))
    if not isinstance(found, WebhookAnswer):
        signature = [(webhooks.SIGNATURE_HEADER, webhooks.sign(BODY, SECRET))]
        found = WebhookReceiver(SECRET).receive(signature, found)
    assert found.status == status
    assert (found.reason == "") == (status == 204)


@pytest.mark.parametrize(("end", "status"), [(b"0\r\n\r\n", 204), (b"zz\r\n", 400)])
def test_what_a_tunnel_sends_in_chunks_is_received(
    end: bytes, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    found: list[int] = []

    def send(url: str) -> None:
        port = int(url.rpartition(":")[2].rstrip("/"))
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.putrequest("POST", "/")
        connection.putheader(webhooks.SIGNATURE_HEADER, webhooks.sign(BODY, SECRET))
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders(chunks(BODY[:50], BODY[50:], end=end))
        found.append(connection.getresponse().status)
        connection.close()
        if status != 204:
            raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        webhook_listener.listen(Screen(as_json=False), SECRET, ("127.0.0.1", 0), 1, send)
    assert found == [status]
    assert ("code 123456" in capsys.readouterr().out) == (status == 204)
