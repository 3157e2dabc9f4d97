"""``smscode rent --count``: several numbers at once, each with its code, its end and its money."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from typing import Any

import httpx
import pytest

pytest.importorskip("typer")

from smscode import Client
from smscode.sandbox import Sandbox
from smscode.sandbox.transports.transport import SandboxTransport

from .harness import Shell

RENT = ("rent", "--service", "whatsapp", "--country", "indonesia")


def test_each_number_and_each_code_is_a_line(shell: Shell) -> None:
    done = shell.run(*RENT, "--count", 3, "--yes")
    assert done.code == 0
    assert done.offer.startswith("Renting 3 numbers for WhatsApp - Indonesia, each for at most $0.9231; ")
    rented = {row[1]: row[2] for row in done.rows if row[0] == "number"}
    codes = {row[1]: row[3] for row in done.rows if row[0] == "code"}
    assert rented.keys() == codes.keys() == {"1001", "1002", "1003"}
    assert all(row[2] == rented[row[1]] for row in done.rows)
    assert sorted(done.err.splitlines()) == [
        f"Order {order_id}: Finished; $0.9231 was charged." for order_id in rented
    ]
    assert shell.sandbox.balance == 1_000_000 - 3 * 15_000


def test_as_json_the_events_name_their_orders(shell: Shell) -> None:
    offer, *events = shell.run(*RENT, "--count", 2, "--yes", "--json").events
    assert (offer["event"], offer["count"]) == ("offer", 2)
    kinds = sorted(event["event"] for event in events)
    assert kinds == ["code", "code", "released", "released", "rented", "rented"]
    assert {event["order_id"] for event in events if event["event"] == "released"} == {1001, 1002}


def test_the_question_says_how_many(shell: Shell) -> None:
    done = shell.type(*RENT, "--count", 2, keys="y\n")
    assert done.code == 0
    assert "Rent 2 numbers for WhatsApp - Indonesia, each for at most $0.9231?" in done.err
    assert [line.split()[0] for line in done.out.splitlines()] == ["number", "number", "code", "code"]
    assert shell.run(*RENT, "--count", 101).code == 2


def test_one_that_cannot_be_bought_keeps_none_from_the_others(shell: Shell) -> None:
    shell.sandbox.fail_next("orders.create", "PROVIDER_ERROR")
    done = shell.run(*RENT, "--count", 2, "--yes")
    assert done.code == 1
    assert sum(row[0] == "code" for row in done.rows) == 1
    assert "error: Scripted by the sandbox [PROVIDER_ERROR" in done.err
    assert "was charged." in done.err
    assert shell.sandbox.balance == 985_000


def test_those_without_a_code_in_time_are_given_back(shell: Shell) -> None:
    shell.use(Sandbox(otp_after=None, cancel_after=0))
    done = shell.run(*RENT, "--count", 2, "--yes", "--timeout", 0)
    assert done.code == 4
    assert done.err.count("No code came in time. Canceled; $0.9231 was refunded.") == 2
    assert shell.sandbox.balance == 1_000_000


class Interrupting(SandboxTransport):
    """Interrupts the command when a poll arrives, or a purchase."""

    def __init__(self, sandbox: Sandbox, path: str, times: int) -> None:
        super().__init__(sandbox._app)
        self._path, self._times = path, times

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._times and request.url.path.endswith(self._path):
            for _ in range(self._times):
                signal.raise_signal(signal.SIGINT)
            self._times = 0
        return await super().handle_async_request(request)


@pytest.fixture
def interrupted(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], None]:
    """Return a function that says when the command is interrupted, and how often."""

    def at(path: str, times: int) -> None:
        sandbox = shell.use(Sandbox(otp_after=None, cancel_after=0))
        transport = Interrupting(sandbox, path, times)
        monkeypatch.setattr(sandbox, "transport", lambda: transport)

    return at


def test_an_interrupt_gives_all_of_them_back(shell: Shell, interrupted: Callable[[str, int], None]) -> None:
    interrupted("/orders/active", 1)
    done = shell.run(*RENT, "--count", 3, "--yes")
    assert done.code == 130
    assert done.err.count("Canceled; $0.9231 was refunded.") == 3
    assert shell.sandbox.balance == 1_000_000


def test_an_interrupt_while_buying_waits_for_the_answers(
    shell: Shell, interrupted: Callable[[str, int], None]
) -> None:
    interrupted("/orders/create", 1)
    done = shell.run(*RENT, "--count", 3, "--yes")
    assert done.code == 130
    assert shell.sandbox.balance == 1_000_000
    assert len(shell.sandbox.ledger) == 7, "three charges, three refunds"


def test_a_third_interrupt_says_of_each_number_what_is_known(
    shell: Shell, interrupted: Callable[[str, int], None]
) -> None:
    interrupted("/orders/active", 3)
    done = shell.run(*RENT, "--count", 2, "--yes")
    assert done.code == 130
    assert all(f"`smscode order {order_id}` shows whether" in done.err for order_id in (1001, 1002))


def test_a_lower_limit_is_kept_to(shell: Shell) -> None:
    done = shell.run(*RENT, "--min-price", "1.00", "--yes", "--json")
    offer, rented, *_ = done.events
    assert offer["product"]["id"] == 144
    assert rented["order"]["product_id"] == 144
    wrong = shell.run(*RENT, "--min-price", "cheap", "--yes")
    assert (wrong.code, "--min-price" in wrong.err) == (2, True)


def test_an_error_in_doubt_has_its_key_and_its_hint(shell: Shell) -> None:
    shell.sandbox.fail_next("orders.create", "NO_IDEA", status=500)
    done = shell.run(*RENT, "--count", 2, "--yes", "--json")
    errors: list[Any] = [json.loads(line) for line in done.err.splitlines()]
    assert done.code in (0, 3)
    assert all(error["exit_code"] == 3 for error in errors)


def test_nothing_else_is_bought(shell: Shell) -> None:
    shell.run(*RENT, "--count", 2, "--yes")
    with Client(shell.sandbox.token, transport=shell.sandbox.transport()) as client:
        assert [order.status for order in client.orders.iter()] == ["COMPLETED", "COMPLETED"]
    assert shell.sandbox.requests["POST /orders/create"] == 2
