"""What all commands have in common: help, usage errors, settings, defects, completion."""

from __future__ import annotations

import json
import re
import ssl
import sys
from collections.abc import Callable
from pathlib import Path

import httpcore
import httpx
import pytest

pytest.importorskip("typer")

from typer.testing import CliRunner

import smscode
from smscode import Client
from smscode.__main__ import main
from smscode.cli import app as commands
from smscode.cli import fallback, offline
from smscode.cli.exits import Exit
from smscode.sandbox import Sandbox, openapi

from .harness import Shell

PAGES = Path(__file__).parent.parent.parent / "docs" / "pages"
PAGE = (PAGES / "how-to" / "command-line.md").read_text("utf-8")
COMMANDS = [
    *(["balance"], ["countries"], ["services"], ["products"], ["rent"], ["orders"], ["order"], ["cancel"]),
    *(["finish"], ["resend"], ["recover"], ["webhook", "show"], ["webhook", "set"], ["webhook", "test"]),
    *(["webhook", "listen"], ["doctor"], ["stats"], ["watch"], ["login"], ["operators"], ["exchange-rate"]),
    *(["reactivate"], ["reactivate-options"], ["obtain"]),
]
LOCAL = [["demo"], ["sandbox"], ["openapi"]]


@pytest.fixture(autouse=True)
def terminal_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize("command", [[], ["webhook"], *LOCAL, *COMMANDS], ids=" ".join)
def test_every_help_fits_80_columns(command: list[str]) -> None:
    shown = CliRunner().invoke(commands.app, [*command, "--help"])
    assert shown.exit_code == 0
    assert "Usage: " in shown.output
    assert max(len(line) for line in shown.output.splitlines()) <= 80
    assert "bool" not in shown.output, "an option without a value shows none"


@pytest.mark.parametrize("command", [*LOCAL, *COMMANDS], ids=" ".join)
def test_every_command_has_the_shared_options(command: list[str]) -> None:
    shown = CliRunner().invoke(commands.app, [*command, "--help"]).output
    assert all(option in shown for option in ("--json", "--sandbox"))
    assert ("--api-version" in shown) is (command != ["sandbox"])


def test_the_commands_that_need_the_extra_are_known_without_it() -> None:
    assert set(fallback.EXTRA_COMMANDS) == {command[0] for command in COMMANDS}


def test_the_help_and_the_documentation_have_every_exit_code() -> None:
    shown = CliRunner().invoke(commands.app, ["--help"]).output
    stated = dict(re.findall(r"^\| `(\d+)` \| (.*) \|$", PAGE, re.MULTILINE))
    for code in Exit:
        assert re.search(rf"^ *{code:d}  {re.escape(code.meaning)}", shown, re.MULTILINE)
        assert stated[str(code.value)] == code.meaning
    assert len(stated) == len(Exit)


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "Usage: smscode" in "".join(capsys.readouterr())


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"smscode-async {smscode.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["dance"], "error: No such command 'dance'."),
        (["balance", "--loud"], "error: No such option: --loud"),
        (["order", "many"], "error: Invalid value for 'ID'"),
        (["webhook", "set"], "error: Missing argument 'URL'."),
        (["demo", "--count", "0"], "error: Invalid value for '--count'"),
        (["sandbox", "--port", "65536"], "error: Invalid value for '--port'"),
        (["webhook", "dance"], "error: No such command 'dance'."),
    ],
)
def test_a_wrong_command_line_is_two_lines(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(said)
    assert re.fullmatch(r"Try `smscode[a-z ]* --help`\.", second)


@pytest.mark.parametrize(
    "asking",
    [
        {"_SMSCODE_COMPLETE": "complete_bash", "COMP_WORDS": "smscode re", "COMP_CWORD": "1"},
        {"_SMSCODE_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "smscode re"},
        {
            "_SMSCODE_COMPLETE": "complete_fish",
            "_TYPER_COMPLETE_ARGS": "smscode re",
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
            "_TYPER_COMPLETE_WORD_TO_COMPLETE": "re",
        },
    ],
    ids=["bash", "zsh", "fish"],
)
def test_completion_is_offered(
    asking: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in asking.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 0
    assert set(re.findall(r"\b(?:rent|resend|recover|orders)\b", capsys.readouterr().out)) == {
        *("rent", "resend", "recover"),
    }


def test_a_defect_is_told_without_a_traceback_and_without_its_words(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def balance(self: Client) -> None:
        raise RuntimeError("with a secret in it")

    monkeypatch.setattr(Client, "balance", balance)
    done = shell.run("balance")
    assert done.code == 1
    assert re.fullmatch(
        r"error: This is a defect: RuntimeError at test_app\.py:\d+\. Please report it\.\n", done.err
    )


def test_a_defect_while_something_is_changed_leaves_that_in_doubt(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def finish(self: object, order_id: int) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("smscode._sync.orders.Orders.finish", finish)
    done = shell.run("finish", 1001)
    assert done.code == 3
    assert done.err.splitlines()[1] == "It may have been carried out. `smscode order 1001` shows its state."


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["balance"], "Interrupted. Nothing was changed.\n"),
        (
            ["finish", "1001"],
            "Interrupted. It may have been carried out: `smscode order 1001` shows its state.\n",
        ),
    ],
)
def test_an_interrupt_says_what_may_have_changed(
    command: list[str], said: str, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "balance", interrupt)
    monkeypatch.setattr("smscode._sync.orders.Orders.finish", interrupt)
    done = shell.run(*command)
    assert done.code == 130
    assert done.err == said
    assert json.loads(shell.run(*command, "--json").err) == {"message": said.rstrip()}


def test_a_limit_says_how_long_to_wait(shell: Shell) -> None:
    shell.sandbox.fail_next("balance.get", "RATE_LIMIT_EXCEEDED", message="Too many", retry_after=3600)
    done = shell.run("balance")
    assert done.code == 1
    assert done.err.splitlines()[1] == "Wait 3600 s."


def test_the_commands_that_need_no_account_are_the_same_as_without_the_extra(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["openapi", "--api-version", "v1", "--generation", "documented"]) == 0
    assert capsys.readouterr().out == openapi.text("documented", "v1")

    calls: list[object] = []

    def note(*given: object) -> int:
        calls.append(given)
        return 1

    monkeypatch.setattr(offline, "demo", note)
    monkeypatch.setattr(offline, "sandbox", note)
    options = ["--otp-after", "1", "--generation", "documented", "--balance", "5", "--state", "kept.db"]
    options += ["--host", "0.0.0.0", "--host", "sandbox", "--token", "mine", "--local-webhooks"]
    options += ["--past-orders", "8"]
    runs: list[Callable[[list[str]], int]] = [main, lambda arguments: fallback.main(arguments, sys.stdout)]
    for run in runs:
        assert run(["demo", "--count", "3", "--sync", "--api-version", "v1", "--sandbox"]) == 1
        assert run(["sandbox", *options, "--scenario", "never", "--scenario", "ban(60)"]) == 1
        assert run(["demo", "--json"]) == 1
    with_typer, without = calls[:3], calls[3:]
    assert with_typer == without
    assert with_typer == [
        (3, "v1", True, False, sys.stdout),
        (
            *(0, 1.0, "documented", "5", ["never", "ban(60)"], Path("kept.db")),
            *(["0.0.0.0", "sandbox"], "mine", True, 8, False, sys.stdout),
        ),
        (50, "v2", False, True, sys.stdout),
    ]


def test_a_wrong_balance_is_named_by_its_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sandbox", "--balance", "much"]) == Exit.USAGE
    assert capsys.readouterr().err.startswith("error: --balance: expected dollars such as 10usd")


def test_the_sandbox_can_be_interrupted_and_can_fail(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def serve(self: Sandbox, port: int = 0, **options: object) -> None:
        raise KeyboardInterrupt if port else smscode.ConfigurationError("uvicorn is missing")

    monkeypatch.setattr(Sandbox, "serve", serve)
    assert main(["sandbox", "--port", "1"]) == 130
    assert capsys.readouterr().err == "Interrupted. Nothing was changed.\n"
    assert main(["sandbox"]) == 6
    assert capsys.readouterr().err == "error: uvicorn is missing\n"


def test_a_token_or_address_that_cannot_be_used_is_a_matter_of_the_set_up(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SMSCODE_BASE_URL", raising=False)
    for token in ("secret\nsecret", "secret ", "secrét", "secret" * 1000, "Bearer secret"):
        monkeypatch.setenv("SMSCODE_TOKEN", token)
        done = shell.bare("balance")
        assert done.code == 6
        assert done.err.startswith("error: SMSCODE_TOKEN: expected ")
        assert "secr" not in done.err
    monkeypatch.setenv("SMSCODE_TOKEN", "a-token")
    for address in ("ftp://host", "http://example.net", "https://me:secret@example.net"):
        monkeypatch.setenv("SMSCODE_BASE_URL", address)
        done = shell.bare("balance")
        assert done.code == 6
        assert done.err.startswith("error: SMSCODE_BASE_URL: expected ")
        assert "secret" not in done.err


def test_a_service_that_cannot_be_reached_says_what_to_look_at(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Client) -> None:
        raise smscode.NetworkError("No connection (ConnectError).", outcome="not_sent")

    monkeypatch.setattr(Client, "balance", refuse)
    done = shell.run("balance")
    assert done.code == 1
    assert done.err.splitlines()[1] == "Is the network there, and SMSCODE_BASE_URL right, if it is set?"


@pytest.mark.parametrize(
    ("cause", "advice"),
    [
        (httpcore.ProxyError("407 Proxy Authentication Required"), "Is HTTPS_PROXY right"),
        (httpx.ProxyError("407 Proxy Authentication Required"), "Is HTTPS_PROXY right"),
        (ssl.SSLCertVerificationError("x"), "Is the clock right, and SSL_CERT_FILE"),
        (OSError("x"), "Is the network there"),
    ],
)
def test_a_way_that_is_closed_is_not_blamed_on_the_network(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, cause: Exception, advice: str
) -> None:
    def refuse(self: Client) -> None:
        raise smscode.NetworkError("No connection.", outcome="not_sent") from cause

    monkeypatch.setattr(Client, "balance", refuse)
    assert shell.run("balance").err.splitlines()[1].startswith(advice)


@pytest.mark.parametrize("order_id", [0, -1, 2**63, 10**30])
def test_an_id_that_no_order_has_is_a_wrong_argument(order_id: int, shell: Shell) -> None:
    done = shell.run("cancel", "--json", "--", order_id) if order_id < 0 else shell.run("cancel", order_id)
    assert done.code == 2


def test_an_interrupt_while_it_starts_is_no_defect(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "run", interrupt)
    assert main(["balance"]) == 130
    assert capsys.readouterr().err == "Interrupted.\n"
