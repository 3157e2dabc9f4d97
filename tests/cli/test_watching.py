"""``smscode watch``: each change of the open orders, until none is open."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

pytest.importorskip("typer")

from smscode import Client, NetworkError
from smscode.cli import watching
from smscode.cli.session import Session
from smscode.sandbox import Sandbox

from .harness import Shell


@pytest.fixture
def client(shell: Shell) -> Client:
    sandbox = shell.use(Sandbox(otp_after=None, cancel_after=0, clock=lambda: datetime.now(UTC)))
    return Client(sandbox.token, transport=sandbox.transport())


@pytest.fixture
def then(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], object]]:
    """Return what is to happen between two polls, one after the other; a further poll is an interrupt."""
    steps: list[Callable[[], object]] = []

    def pause(self: Session, seconds: float) -> None:
        assert seconds == 0.25
        if not steps:
            raise KeyboardInterrupt
        steps.pop(0)()

    monkeypatch.setattr(Session, "pause", pause)
    return steps


def nothing() -> None:
    """Change nothing."""


def test_each_change_is_a_line_and_it_ends_when_no_order_is_open(
    shell: Shell, client: Client, then: list[Callable[[], object]]
) -> None:
    first, second = (order.id for order in client.orders.create(catalog_product_id=87, quantity=2))
    then += [
        lambda: shell.sandbox.deliver_sms(second, code="123456"),
        nothing,
        lambda: client.orders.cancel(first),
        lambda: shell.sandbox.deliver_sms(second, text="and no code"),
        lambda: client.orders.finish(second),
    ]
    done = shell.run("watch")
    assert (done.code, done.err, then) == (0, "", [])
    assert [[row[0], row[1], row[4]] for row in done.rows] == [
        [str(first), "ACTIVE", "-"],
        [str(second), "ACTIVE", "-"],
        [str(second), "OTP_RECEIVED", "123456"],
        [str(first), "CANCELED", "-"],
        [str(second), "OTP_RECEIVED", "123456"],
        [str(second), "COMPLETED", "123456"],
    ]
    assert all(row[2].startswith("+62") and "*" in row[2] for row in done.rows)
    assert done.rows[0][3] in ("20:00", "19:59")
    assert done.rows[3][3] == "-"


def test_that_no_order_is_open_is_said(
    shell: Shell, client: Client, then: list[Callable[[], object]]
) -> None:
    for run in (shell.run, shell.type):
        done = run("watch")
        assert (done.code, done.err) == (0, "no open orders\n")
    done = shell.run("watch", "--json")
    assert (done.code, done.out, done.err) == (0, "", "")


def test_new_orders_are_seen_too_and_the_text_where_there_is_no_code(
    shell: Shell, client: Client, then: list[Callable[[], object]]
) -> None:
    def buy() -> None:
        client.orders.create(catalog_product_id=87)

    then += [
        buy,
        lambda: shell.sandbox.deliver_sms(1001, text="tap here"),
        lambda: client.orders.finish(1001),
    ]
    done = shell.run("watch", "--follow")
    assert (done.code, done.err) == (130, "Interrupted. Nothing was changed.\n")
    assert [[row[1], row[4]] for row in done.rows] == [
        ["ACTIVE", "-"],
        ["OTP_RECEIVED", "tap here"],
        ["COMPLETED", "tap here"],
    ]


def test_as_json_each_change_is_an_event(
    shell: Shell, client: Client, then: list[Callable[[], object]]
) -> None:
    client.orders.create(catalog_product_id=87)
    then.append(lambda: client.orders.cancel(1001))
    first, second = shell.run("watch", "--json").events
    assert (first["event"], first["order"]["id"], first["order"]["status"]) == ("order", 1001, "ACTIVE")
    assert second["order"]["status"] == "CANCELED"


def test_on_a_terminal_there_is_a_table_with_the_time_that_is_left(
    shell: Shell, client: Client, then: list[Callable[[], object]]
) -> None:
    client.orders.create(catalog_product_id=87)
    then += [
        lambda: shell.sandbox.deliver_sms(1001, code="123456"),
        nothing,
        lambda: client.orders.finish(1001),
    ]
    done = shell.type("watch")
    assert done.code == 0
    assert "order  status" in done.out
    assert "OTP_RECEIVED" in done.out
    assert "123456" in done.out


def test_a_failure_that_passes_is_said_and_the_watch_goes_on(
    shell: Shell, client: Client, then: list[Callable[[], object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    client.orders.create(catalog_product_id=87)
    read = watching.Watched.read
    failing: list[Any] = [NetworkError("No answer.", outcome="unknown")]

    def fail(self: watching.Watched) -> Any:
        if failing:
            raise failing.pop()
        return read(self)

    monkeypatch.setattr(watching.Watched, "read", fail)
    then += [nothing, lambda: client.orders.cancel(1001)]
    done = shell.run("watch")
    assert (done.code, done.err) == (0, "No answer. It is tried again.\n")
    assert [row[1] for row in done.rows] == ["ACTIVE", "CANCELED"]


def test_a_refusal_ends_it(shell: Shell, client: Client, then: list[Callable[[], object]]) -> None:
    shell.sandbox.set_suspended(True)
    assert shell.run("watch").code == 1


def test_an_order_without_an_end_has_no_time_left() -> None:
    assert watching._left(None) is None
    assert watching._left(datetime(2020, 1, 1, tzinfo=UTC)) == "0:00"


def test_a_pause_is_real() -> None:
    session = Session.__new__(Session)
    Session.pause(session, 0)
