"""``smscode rent`` in a pipe and on a terminal: what is agreed to, shown, and said about the money."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

pytest.importorskip("typer")

import httpx

import smscode
from smscode import Client
from smscode.cli import stdio
from smscode.cli.exits import Exit
from smscode.cli.renting import IN_DOUBT
from smscode.cli.screen import Screen
from smscode.sandbox import Sandbox
from smscode.sandbox.transports.transport import SandboxTransport

from .harness import Shell, always

WHATSAPP = ("rent", "--service", "whatsapp", "--country", "indonesia")


class Interfering(SandboxTransport):
    """Does something when a request arrives: before it is answered, or instead of an answer."""

    def __init__(self, sandbox: Sandbox, happenings: dict[str, list[Any]]) -> None:
        super().__init__(sandbox._app)
        self._happenings = happenings

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        left = self._happenings.get(request.url.path.removeprefix("/v2"), [])
        happening = left.pop(0) if left else None
        if isinstance(happening, Exception):
            raise happening
        if happening is not None:
            happening()
        return await super().handle_async_request(request)


@pytest.fixture
def happen(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, list[Any]]]:
    """Return what is to happen when requests of a path arrive, from the next on; the sandbox sends no SMS."""
    sandbox = shell.use(Sandbox(otp_after=None))
    happenings: dict[str, list[Any]] = {}
    transport = Interfering(sandbox, happenings)
    monkeypatch.setattr(sandbox, "transport", lambda: transport)
    yield happenings
    assert not any(happenings.values()), "all of it happened"


def interrupt(times: int = 1) -> None:
    for _ in range(times):
        signal.raise_signal(signal.SIGINT)


def test_in_a_pipe_the_order_its_number_and_its_code_come_on_a_line_each(shell: Shell) -> None:
    done = shell.run(*WHATSAPP, "--yes")
    assert done.code == 0
    assert re.fullmatch(r"order\t1001\nnumber\t\+62\d+\ncode\t\d{6}\n", done.out)
    assert done.offer == (
        "Renting a number for WhatsApp - Indonesia for at most $0.9231;"
        " 50,000 in stock; your balance is $61.54."
    )
    assert done.err == "Finished; $0.9231 was charged.\n"
    assert shell.sandbox.balance == 985_000


def test_as_json_each_step_is_a_line(shell: Shell) -> None:
    done = shell.run(*WHATSAPP, "--yes", "--json")
    offer, rented, code, released = done.events
    assert (offer["event"], offer["count"], offer["product"]["price"]["amount"]) == ("offer", 1, "0.9231")
    assert done.err == done.offer == ""
    assert rented["event"] == "rented"
    assert rented["order"]["phone_number"].startswith("+62")
    assert code["event"] == "code"
    assert code["sms"]["order_id"] == rented["order"]["id"]
    assert released == {
        "event": "released",
        "order_id": 1001,
        "released": "finished",
        "amount": rented["order"]["amount"],
        "message": "Finished; $0.9231 was charged.",
    }


def test_on_a_terminal_the_price_is_shown_and_agreed_to(shell: Shell) -> None:
    done = shell.type(*WHATSAPP, keys="y\n")
    assert done.code == 0
    assert "50,000 in stock; your balance is $61.54" in done.err
    assert "Rent a number for WhatsApp - Indonesia for at most $0.9231?" in done.err
    assert [line.split()[0] for line in done.out.splitlines()] == ["order", "number", "until", "code"]
    assert "Finished; $0.9231 was charged.\nThe sandbox of this command ends with it; " in done.err


@pytest.mark.parametrize(
    ("generation", "since"), [("current", r"\d\d:\d\d:\d\d"), ("documented", "two minutes")]
)
def test_while_it_waits_it_says_from_when_the_number_can_be_given_back(
    generation: Any, since: str, shell: Shell
) -> None:
    shell.use(Sandbox(otp_after=0.1, generation=generation))
    done = shell.type(*WHATSAPP, keys="y\n")
    assert re.search(rf"waiting for the code; Ctrl-C gives the number back from {since} on", done.err)


@pytest.mark.parametrize("keys", ["n\n", "\n", "perhaps\nn\n", ""])
def test_anything_but_yes_buys_nothing(keys: str, shell: Shell) -> None:
    done = shell.type(*WHATSAPP, keys=keys)
    assert done.code == 5
    assert done.err.endswith("Not confirmed; nothing was done.\n")
    assert shell.sandbox.balance == 1_000_000


def test_without_a_terminal_to_ask_on_nothing_is_bought(shell: Shell) -> None:
    done = shell.run(*WHATSAPP)
    assert done.code == 5
    assert done.err == (
        "Rent a number for WhatsApp - Indonesia for at most $0.9231? No terminal to ask on: give --yes.\n"
    )
    asked = shell.type(*WHATSAPP, "--json", keys="y\n")
    assert asked.code == 5
    assert "give --yes" in json.loads(asked.err)["message"]
    assert shell.sandbox.balance == 1_000_000


def test_the_question_names_the_operator_that_was_chosen(shell: Shell) -> None:
    done = shell.run(*WHATSAPP, "--operator", "telkomsel")
    assert done.code == 5
    assert done.err.startswith("Rent a number for WhatsApp - Indonesia, Telkomsel for at most $1.1077?")


def test_a_product_can_be_named_by_its_id(shell: Shell) -> None:
    assert shell.run("rent", "--product", 87, "--yes").code == 0
    done = shell.run("rent", "--product", 4711, "--yes")
    assert done.code == 1
    assert done.err.splitlines() == [
        "error: There is no product 4711, or it is not in stock.",
        "`smscode products` lists what can be rented.",
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            ["--product", 87, "--max-price", "0.01"],
            [
                "error: There is no product 87, or it is not in stock at that price.",
                "Raise --max-price, or `smscode products` lists what can be rented.",
            ],
        ),
        (
            ["--service", "whatsapp", "--max-price", "0.02", "--min-price", "0.01"],
            [
                "error: Nothing like that is in stock at that price.",
                "Raise --max-price, or lower --min-price, or try later, or another country or operator.",
            ],
        ),
        (
            ["--service", "whatsapp", "--country", "indonesia"],
            ["error: Nothing like that is in stock.", "Try later, or another country or operator."],
        ),
    ],
)
def test_a_price_is_mentioned_only_where_one_was_given(
    given: list[Any], said: list[str], shell: Shell
) -> None:
    if "--max-price" not in given:
        shell.sandbox.play("stock_runs_out(0)")
    done = shell.run("rent", *given, "--yes")
    assert (done.code, done.out, done.err.splitlines()) == (1, "", said)


@pytest.mark.parametrize("named", [[], ["--country", "id"]])
def test_what_the_code_is_for_is_not_guessed(named: list[str], shell: Shell) -> None:
    done = shell.run("rent", "--yes", *named)
    assert done.code == 2
    assert done.err == "error: Name what the code is for: --service NAME, or --product ID.\n"
    assert shell.sandbox.balance == 1_000_000


def test_the_highest_price_is_kept_to(shell: Shell) -> None:
    assert shell.run(*WHATSAPP, "--max-price", "0.90", "--yes").code == 1
    assert shell.run(*WHATSAPP, "--max-price", "14999", "--yes", "--api-version", "v1").code == 1
    assert shell.run("rent", "--product", 87, "--max-price", "0.90", "--yes").code == 1
    assert shell.sandbox.balance == 1_000_000
    assert shell.run(*WHATSAPP, "--max-price", "15000", "--yes", "--api-version", "v1").code == 0


def test_no_code_in_time_gives_the_number_back(shell: Shell) -> None:
    shell.use(Sandbox(otp_after=None, cancel_after=0))
    done = shell.run(*WHATSAPP, "--yes", "--timeout", 0)
    assert done.code == 4
    assert done.err == "No code came in time. Canceled; $0.9231 was refunded.\n"
    assert shell.sandbox.balance == 1_000_000


@pytest.mark.parametrize("ending", [[], [interrupt]])
def test_a_code_that_only_giving_the_number_back_meets_is_shown(
    ending: list[Any], shell: Shell, happen: dict[str, list[Any]]
) -> None:
    happen["/orders/active"] = list(ending)
    happen["/orders/cancel"] = [lambda: shell.sandbox.deliver_sms(1001, code="123456")]
    done = shell.run(*WHATSAPP, "--yes", "--timeout", 0)
    assert done.code == 0
    assert done.rows[2] == ["code", "123456"]
    assert done.err == "Finished; $0.9231 was charged.\n"
    assert shell.sandbox.balance == 985_000


def test_a_late_code_that_cannot_be_shown_can_be_looked_up(
    shell: Shell, happen: dict[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    event = Screen.event

    def fail(self: Screen, name: str, data: Mapping[str, object], pairs: Mapping[str, object]) -> None:
        if name == "code":
            raise OSError(28, "No space left on device")
        event(self, name, data, pairs)

    monkeypatch.setattr(Screen, "event", fail)
    monkeypatch.setattr(stdio, "report_lost_output", always(1))
    happen["/orders/cancel"] = [lambda: shell.sandbox.deliver_sms(1001, code="123456")]
    done = shell.run(*WHATSAPP, "--yes", "--timeout", 0)
    assert done.code == 1
    assert done.err.endswith(
        "Finished; $0.9231 was charged. Its code is 123456; `smscode order 1001` shows it, too.\n"
    )


@pytest.mark.parametrize("broken", ["rented", "code"])
@pytest.mark.parametrize(
    "error", [RuntimeError("x"), OverflowError("x"), UnicodeEncodeError("a", "x", 0, 1, "x")]
)
def test_whatever_breaks_what_became_of_the_money_is_said(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, broken: str, error: Exception
) -> None:
    event = Screen.event

    def fail(self: Screen, name: str, data: Mapping[str, object], pairs: Mapping[str, object]) -> None:
        if name == broken:
            raise error
        event(self, name, data, pairs)

    monkeypatch.setattr(Screen, "event", fail)
    done = shell.run(*WHATSAPP, "--yes")
    assert done.code == 4
    money, defect = done.err.splitlines()
    if broken == "code":
        assert re.match(r"Finished; \$0\.9231 was charged\. Its code is \d{6}; ", money)
    else:
        assert money == "Finished; $0.9231 was charged."
        assert re.fullmatch(r"code\t\d{6}\n", done.out), "the code had come, and was read before the return"
    assert defect.startswith(f"error: This is a defect: {type(error).__name__} ")


def test_a_number_that_cannot_be_given_back_yet_is_left_to_expire(
    shell: Shell, caplog: pytest.LogCaptureFixture
) -> None:
    shell.use(Sandbox(otp_after=None, clock=lambda: datetime(2026, 6, 14, 4, 0, 12, tzinfo=UTC)))
    done = shell.run(*WHATSAPP, "--yes", "--timeout", 0)
    assert done.code == 4
    assert done.err == (
        "No code came in time. It is too early to cancel. Order 1001 ends by itself at 04:20:12; $0.9231 is"
        " refunded then if no SMS came. Sooner: `smscode cancel 1001 --wait`.\n"
    )
    assert caplog.records == [], "it is said once"


def test_an_sms_without_a_code_is_paid_for(shell: Shell, happen: dict[str, list[Any]]) -> None:
    happen["/orders/active"] = [lambda: shell.sandbox.deliver_sms(1001, text="no code in here")]
    done = shell.run(*WHATSAPP, "--yes", "--timeout", 0)
    assert done.code == 4
    assert done.err == "Finished; $0.9231 was charged.\n"


def test_an_order_that_ends_while_it_is_waited_for_says_how(
    shell: Shell, happen: dict[str, list[Any]]
) -> None:
    happen["/orders/active"] = [lambda: shell.sandbox.advance(1200)]
    done = shell.run(*WHATSAPP, "--yes")
    assert done.code == 4
    assert done.err == "Order 1001 ended without a code (EXPIRED); $0.9231 was refunded.\n"


def test_an_order_that_somebody_else_ended_is_said_to_have_ended(
    shell: Shell, happen: dict[str, list[Any]]
) -> None:
    happen["/orders/cancel"] = [lambda: shell.sandbox.advance(1200)]
    done = shell.run(*WHATSAPP, "--yes", "--timeout", 0)
    assert done.code == 4
    assert done.err == "Order 1001 had ended already: `smscode order 1001` shows how.\n"


def test_a_refused_purchase_is_two_lines(shell: Shell, happen: dict[str, list[Any]]) -> None:
    shell.sandbox.fail_next("orders.create", "INSUFFICIENT_BALANCE", message="Balance too low")
    done = shell.run(*WHATSAPP, "--yes")
    assert done.code == 1
    assert re.fullmatch(
        r"error: Balance too low \[INSUFFICIENT_BALANCE, request sandbox-\d+\]\n"
        r"Nothing was bought or changed\. Top up first\.\n",
        done.err,
    )


def test_a_purchase_in_doubt_says_so_and_names_its_key(shell: Shell, happen: dict[str, list[Any]]) -> None:
    shell.sandbox.fail_next("orders.create", "NO_IDEA", status=409, message="I am a teapot")
    done = shell.run(*WHATSAPP, "--yes")
    assert done.code == 3
    first, second = done.err.splitlines()
    assert re.search(r"key [0-9a-f]{32}\]$", first)
    assert second == f"It may have been carried out. {IN_DOUBT}"


def test_a_failing_wait_tells_of_the_number_before_it_tells_of_itself(
    shell: Shell, happen: dict[str, list[Any]]
) -> None:
    shell.sandbox.fail_next("orders.active", "FORBIDDEN", message="Not you")
    done = shell.run(*WHATSAPP, "--yes")
    assert done.code == 4
    assert "It is too early to cancel. Order 1001 ends by itself" in done.err.splitlines()[0]
    assert done.err.splitlines()[1].startswith("error: Not you [FORBIDDEN")


def test_a_failing_return_after_the_code_is_said_but_the_code_counts(
    shell: Shell, happen: dict[str, list[Any]]
) -> None:
    happen["/orders/active"] = [lambda: shell.sandbox.deliver_sms(1001, code="123456")]
    shell.sandbox.fail_next("orders.finish", "FORBIDDEN", message="Not you.")
    done = shell.run(*WHATSAPP, "--yes")
    assert done.code == 0
    assert done.rows[2] == ["code", "123456"]
    assert done.err.startswith("Giving the number back failed: Not you. Order 1001 ends by itself")


def test_a_finish_without_an_answer_is_said_but_the_code_counts(
    shell: Shell, happen: dict[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def finish(self: object, order_id: int, *, timeout: float | None = None) -> None:
        raise smscode.RequestTimeoutError("No answer in time.", outcome="unknown")

    monkeypatch.setattr(smscode.AsyncOrders, "finish", finish)
    happen["/orders/active"] = [lambda: shell.sandbox.deliver_sms(1001, code="123456")]
    done = shell.run(*WHATSAPP, "--yes")
    assert done.code == 0
    assert done.rows[2] == ["code", "123456"]
    assert done.err.startswith("Giving the number back failed: No answer in time.")


class TestInterrupts:
    """Ctrl-C, at every step."""

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_while_waiting_it_cancels_and_refunds(
        self, number: signal.Signals, shell: Shell, happen: dict[str, list[Any]]
    ) -> None:
        def two_minutes_later() -> None:
            shell.sandbox.advance(120)
            signal.raise_signal(number)

        happen["/orders/active"] = [two_minutes_later]
        done = shell.run(*WHATSAPP, "--yes")
        assert done.code == 128 + number
        assert done.err == "Canceled; $0.9231 was refunded.\n"
        assert shell.sandbox.balance == 1_000_000

    def test_too_early_to_cancel_it_says_when_the_money_comes_back(
        self, shell: Shell, happen: dict[str, list[Any]]
    ) -> None:
        happen["/orders/active"] = [interrupt]
        done = shell.type(*WHATSAPP, "--yes")
        assert done.code == 130
        assert "Stopping." in done.err
        assert "It is too early to cancel. Order 1001 ends by itself at" in " ".join(done.err.split())

    def test_while_buying_the_answer_is_waited_for_and_the_number_given_back(
        self, shell: Shell, happen: dict[str, list[Any]]
    ) -> None:
        happen["/orders/create"] = [interrupt]
        happen["/orders/cancel"] = [lambda: shell.sandbox.advance(120)]
        done = shell.run(*WHATSAPP, "--yes")
        assert done.code == 130
        assert done.err == "Canceled; $0.9231 was refunded.\n"

    def test_twice_while_buying_the_purchase_is_in_doubt(
        self, shell: Shell, happen: dict[str, list[Any]]
    ) -> None:
        happen["/orders/create"] = [lambda: interrupt(2)]
        done = shell.run(*WHATSAPP, "--yes")
        assert done.code == 130
        assert done.err == f"Interrupted. The number may have been bought: {IN_DOUBT}\n"

    def test_twice_before_anything_was_sent_nothing_was_bought(
        self, shell: Shell, happen: dict[str, list[Any]]
    ) -> None:
        def fail() -> None:
            interrupt(2)
            raise httpx.ConnectError("nobody there")

        happen["/orders/create"] = [fail]
        done = shell.run(*WHATSAPP, "--yes")
        assert done.code == 130
        assert done.err == "Interrupted. Nothing was bought.\n"
        assert shell.sandbox.balance == 1_000_000

    def test_twice_while_giving_back_that_is_still_tried_once(
        self, shell: Shell, happen: dict[str, list[Any]]
    ) -> None:
        happen["/orders/active"] = [interrupt]
        happen["/orders/cancel"] = [interrupt, lambda: shell.sandbox.advance(120)]
        done = shell.run(*WHATSAPP, "--yes")
        assert done.code == 130
        assert done.err == "Canceled; $0.9231 was refunded.\n"

    def test_three_times_while_buying_it_ends_at_once(
        self, shell: Shell, happen: dict[str, list[Any]]
    ) -> None:
        happen["/orders/create"] = [lambda: interrupt(3)]
        done = shell.run(*WHATSAPP, "--yes")
        assert done.code == 130
        assert done.err.startswith("Interrupted. The number may have been bought: ")

    def test_three_times_with_a_number_it_says_where_to_look(
        self, shell: Shell, happen: dict[str, list[Any]]
    ) -> None:
        happen["/orders/active"] = [lambda: interrupt(3)]
        done = shell.run(*WHATSAPP, "--yes")
        assert done.code == 130
        assert (
            "Interrupted. `smscode order 1001` shows whether the number was given back. If not: " in done.err
        )

    def test_before_buying_nothing_was_changed(self, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
        def balance(self: Client) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(Client, "balance", balance)
        done = shell.run(*WHATSAPP, "--yes")
        assert done.code == 130
        assert done.err == "Interrupted. Nothing was changed.\n"

    def test_afterwards_signals_do_again_what_they_did(self, shell: Shell) -> None:
        before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
        shell.run(*WHATSAPP, "--yes")
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


@pytest.mark.parametrize("price", ["0,50", "$1", "1e3"])
def test_a_wrong_price_is_named_by_its_option(shell: Shell, price: str) -> None:
    done = shell.run("rent", "--service", "whatsapp", "--country", "indonesia", "--max-price", price)
    assert done.code == Exit.USAGE
    assert done.err.startswith("error: --max-price: expected a positive decimal number of dollars")
