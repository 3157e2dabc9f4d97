"""``smscode obtain``: a code by as many numbers as it takes, and what all of them cost."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("typer")

from smscode.cli import token_file
from smscode.sandbox import Sandbox
from smscode.sandbox.transports.transport import SandboxTransport

from .harness import Shell, always

OBTAIN = ("obtain", "--service", "whatsapp", "--country", "indonesia", "--wait", 1)
PAID = (*OBTAIN, "--budget", "2")


@pytest.fixture(autouse=True)
def soon(shell: Shell) -> None:
    """Send codes at once, and allow a cancel soon."""
    shell.use(Sandbox(otp_after=0, cancel_after=0.1))


def dead_first(shell: Shell, times: int = 1) -> None:
    shell.sandbox.play("never", operation="orders.create", times=times)


def test_in_a_pipe_each_number_and_the_code_come_as_they_come(shell: Shell) -> None:
    dead_first(shell)
    done = shell.run(*PAID, "--yes", "--release-timeout", 20)
    assert done.code == 0
    assert [row[0] for row in done.rows] == ["order", "number", "order", "number", "code"]
    assert done.err.splitlines() == [
        "Obtaining a code for whatsapp in indonesia with up to 3 numbers, for at most $2 in all.",
        "Order 1001: no code came; $0.0000 was charged.",
        "$0.9231 was charged for 2 number(s).",
    ]
    assert shell.sandbox.balance == 985_000


def test_without_a_token_nothing_is_asked_or_announced(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(token_file, "token_path", always(tmp_path / "token"))
    monkeypatch.setenv("SMSCODE_JOURNAL", str(tmp_path / "orders.db"))
    monkeypatch.delenv("SMSCODE_TOKEN", raising=False)
    for yes in ([], ["--yes"]):
        done = shell.bare(*PAID, *yes)
        assert (done.code, done.err.partition("`")[0]) == (6, "error: No token. ")
    monkeypatch.setenv("SMSCODE_TOKEN", "")
    done = shell.bare(*PAID, "--yes")
    assert (done.code, done.err.partition("`")[0]) == (6, "error: SMSCODE_TOKEN is empty. ")


def test_as_json_each_step_is_an_event(shell: Shell) -> None:
    dead_first(shell)
    events = shell.run(*PAID, "--yes", "--json").events
    assert [event["event"] for event in events] == ["rented", "rented", "code", "tried", "obtained"]
    assert events[3] == {
        "event": "tried",
        "order_id": 1001,
        "result": "no_code",
        "spent": events[3]["spent"],
        "released": "left_to_expire",
    }
    assert (events[4]["order_id"], events[4]["spent"]["canonical_amount"]) == (1002, 30_000)


def test_on_a_terminal_it_asks_and_another_number_can_be_had(shell: Shell) -> None:
    shell.use(Sandbox(otp_after=1, cancel_after=0.1))
    done = shell.type(*PAID, "--country", "vietnam", keys="y\nn\n\n", columns=120)
    assert done.code == 0
    question = "Obtain a code for whatsapp in indonesia, vietnam with up to 3 numbers, for at most $2 in all?"
    assert question in done.err
    assert done.err.count("Press Enter when the site has sent its code, n for another number:") == 2
    assert [line.split()[0] for line in done.out.splitlines()] == [
        *("order", "number", "until"),
        *("order", "number", "until", "code"),
    ]
    assert re.search(r"Order 1001: (refused|its code came late \(\d{6}\)); ", done.err)


def test_without_an_answer_the_number_is_used(shell: Shell) -> None:
    assert shell.type(*PAID, keys="y\n").code == 0
    assert shell.run(*PAID).code == 5, "there is nobody to ask"
    assert shell.sandbox.requests["POST /orders/create"] == 1


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ([], "error: Give --budget or --max-price, "),
        (["--budget", "0.1"], "error: --budget: the cheapest number"),
        (["--max-price", "1", "--max-price", "0.5"], "error: "),
    ],
)
def test_wrong_limits_buy_nothing(shell: Shell, limits: list[str], said: str) -> None:
    done = shell.run(*OBTAIN, *limits, "--yes")
    assert done.code == 2
    assert said in done.err
    assert shell.sandbox.balance == 1_000_000


def test_the_limits_are_in_the_question(shell: Shell) -> None:
    limits = ("--max-price", 15_000, "--max-price", 20_000, "--budget", 40_000)
    done = shell.run(*OBTAIN, *limits, "--api-version", "v1")
    assert done.code == 5
    assert "for at most Rp 40000 in all and at most Rp 15000, then Rp 20000 each?" in done.err


def test_without_a_code_it_says_what_became_of_each_number(shell: Shell) -> None:
    dead_first(shell, 2)
    done = shell.run(*PAID, "--yes", "--tries", 2, "--release-timeout", 20)
    assert done.code == 4
    assert done.err.count(": no code came; $0.0000 was charged.") == 2
    assert shell.sandbox.balance == 1_000_000


def test_a_number_that_cannot_be_given_back_yet_is_said_to_be_open(shell: Shell) -> None:
    shell.use(Sandbox(otp_after=None))
    done = shell.run(*PAID, "--yes", "--tries", 1)
    assert done.code == 4
    assert (
        "Order 1001: no code came; $0.9231 was charged. It is open, and refunded at its end if no SMS came."
        in done.err
    )


def test_where_nothing_can_be_bought_nothing_was(shell: Shell) -> None:
    shell.sandbox.play("provider_error")
    done = shell.run(*PAID, "--yes", "--tries", 1)
    assert done.code == 1
    assert "A purchase: not bought; $0.0000 was charged." in done.err


def test_a_purchase_in_doubt_says_how_to_settle_it(shell: Shell) -> None:
    shell.sandbox.fail_next("orders.create", "CONFLICT", times=50)
    done = shell.run(*PAID, "--yes", "--tries", 1)
    assert done.code == 3
    assert "A purchase: it may have been bought; " in done.err
    assert "`smscode recover` settles it." in done.err


class Interrupting(SandboxTransport):
    """Interrupts the command when a request of a path arrives."""

    def __init__(self, sandbox: Sandbox, path: str) -> None:
        super().__init__(sandbox._app)
        self._path = path

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith(self._path):
            self._path = "never again"
            signal.raise_signal(signal.SIGINT)
        return super().handle_request(request)


@pytest.fixture
def interrupted(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that says when the command is interrupted, on a sandbox without codes."""

    def at(path: str, **options: Any) -> None:
        sandbox = shell.use(Sandbox(otp_after=None, **options))
        transport = Interrupting(sandbox, path)
        monkeypatch.setattr(sandbox, "transport", lambda: transport)

    return at


def test_an_interrupt_before_anything_was_bought_leaves_nothing(
    shell: Shell, interrupted: Callable[..., None]
) -> None:
    interrupted("/catalog/products")
    done = shell.run(*PAID, "--yes")
    assert done.code == 130
    assert done.err.endswith("Interrupted. No number is left open.\n")
    assert shell.sandbox.balance == 1_000_000


def test_an_interrupt_names_the_number_that_is_left(shell: Shell, interrupted: Callable[..., None]) -> None:
    interrupted("/orders/active")
    done = shell.run(*PAID, "--yes")
    assert done.code == 130
    assert "Interrupted. Order 1001 ends by itself at " in done.err
    assert "`smscode cancel 1001 --wait`" in done.err


def test_an_interrupt_while_buying_says_that_it_may_have_been_bought(
    shell: Shell, interrupted: Callable[..., None]
) -> None:
    interrupted("/orders/create", cancel_after=0)
    done = shell.run(*PAID, "--yes")
    assert done.code == 130
    assert "Interrupted. A number may have been bought: " in done.err
