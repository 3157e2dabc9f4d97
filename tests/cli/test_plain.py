"""The command line without the ``cli`` extra: the commands that need no account."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import smscode
from smscode import ConfigurationError, __main__
from smscode.cli import fallback, offline
from smscode.cli.exits import Exit
from smscode.demo import command as demo
from smscode.sandbox import Sandbox, openapi

ROOT = Path(__file__).parent.parent.parent
serves = pytest.mark.skipif(importlib.util.find_spec("uvicorn") is None, reason="needs the sandbox extra")


@serves
@pytest.mark.parametrize("sync", [False, True], ids=["asyncio", "threads"])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_demo_adds_up(version: str, sync: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_OTP_AFTER", 0.05)
    monkeypatch.setattr(demo, "_POLL_INTERVAL", 0.05)
    out = io.StringIO()
    command = ["demo", "--count", "12", "--api-version", version, *(["--sync"] if sync else [])]
    assert fallback.main(command, out) == 0
    text = out.getvalue()
    assert len(re.findall(r"^ +\d+  \+\d+ +\d{6} +\d+\.\d\d$", text, re.MULTILINE)) == 12
    assert "finished  12 of 12" in text
    assert re.search(r"spent     Rp ([\d,]+) = sum of orders Rp \1: ok", text)
    assert "\r" not in text


@serves
def test_the_demo_can_be_read_by_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_OTP_AFTER", 0.0)
    out = io.StringIO()
    assert fallback.main(["demo", "--count", "3", "--json"], out) == 0
    told = json.loads(out.getvalue())
    assert told["adds_up"] is True
    assert [len(rental["code"]) for rental in told["rentals"]] == [6, 6, 6]
    assert told["spent"] == told["charged"]
    assert (
        told["balance_before"]["canonical_amount"] - told["spent"]["canonical_amount"]
        == (told["balance_after"]["canonical_amount"])
    )


@serves
def test_the_demo_shows_its_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(demo, "_OTP_AFTER", 0.0)
    out = Terminal()
    assert demo.run(3, "v2", False, out) == 0
    assert "\rrented 3/3   codes 3/3   finished 3/3" in out.getvalue()


@serves
def test_the_demo_fails_when_a_rental_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(Sandbox):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.fail_next("orders.finish", "CONFLICT", message="no")

    monkeypatch.setattr(demo, "Sandbox", Failing)
    monkeypatch.setattr(demo, "_OTP_AFTER", 0.0)
    out = io.StringIO()
    assert demo.run(3, "v1", True, out) == 1
    assert "failed: no [code CONFLICT, HTTP 409" in out.getvalue()
    assert "finished  2 of 3" in out.getvalue()
    assert "WRONG" in out.getvalue()


@pytest.mark.parametrize(
    "arguments",
    [
        ["dance"],
        ["demo", "--count", "0"],
        ["demo", "--count", "1001"],
        ["demo", "--count", "many"],
        ["demo", "--api-version", "v3"],
        ["sandbox", "--port", "65536"],
    ],
)
def test_a_wrong_command_line_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        fallback.main(arguments, io.StringIO())
    assert refused.value.code == 2
    assert "usage: python -m smscode" in capsys.readouterr().err


def test_a_failing_command_says_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def serve(self: Sandbox, port: int = 0, **options: object) -> None:
        raise ConfigurationError("uvicorn is missing")

    monkeypatch.setattr(Sandbox, "serve", serve)
    assert fallback.main(["sandbox"], io.StringIO()) == Exit.SETUP
    assert capsys.readouterr().err == "smscode: uvicorn is missing\n"


@serves
@pytest.mark.parametrize(("ending", "code"), [(None, 0), (KeyboardInterrupt, 130)])
def test_the_sandbox_command_says_where_it_listens_first(
    ending: type[BaseException] | None,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Stop:
        def wait(self, seconds: float) -> bool:
            if ending is not None:
                raise ending
            return True

    monkeypatch.setattr(offline, "_stop", Stop())
    out = io.StringIO()
    assert fallback.main(["sandbox", "--balance", "5"], out) == code
    said = re.fullmatch(r"listening on (http://127\.0\.0\.1:\d+) token (sandbox-\S+)\n", out.getvalue())
    assert said
    hint = f"For other commands and programs: export SMSCODE_BASE_URL={said[1]} SMSCODE_TOKEN={said[2]}\n"
    if os.name != "nt":
        assert capsys.readouterr().err == hint
    out = io.StringIO()
    assert fallback.main(["sandbox", "--json"], out) == code
    assert set(json.loads(out.getvalue())) == {"event", "url", "token"}
    assert hint not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("system", "line"),
    [
        ("nt", "$env:SMSCODE_BASE_URL = 'http://127.0.0.1:1'; $env:SMSCODE_TOKEN = 'a b'"),
        ("posix", "export SMSCODE_BASE_URL=http://127.0.0.1:1 SMSCODE_TOKEN='a b'"),
    ],
)
def test_the_line_for_other_commands_is_for_the_shell_of_the_system(
    system: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as shell:
        shell.setattr(os, "name", system)
        shown = offline._variables("http://127.0.0.1:1", "a b")
    assert shown == line


@pytest.mark.parametrize(
    ("text", "rupiah"),
    [
        *(("1000usd", 16_250_000), ("$1000", 16_250_000), ("$ 1,000.50", 16_258_125), ("USD 1", 16_250)),
        *(("0", 0), ("16250000", 16_250_000), ("Rp 1000", 1000), ("1000 IDR", 1000)),
    ],
)
def test_the_balance_is_in_dollars_or_rupiah(text: str, rupiah: int) -> None:
    assert offline.funds(text) == rupiah


@pytest.mark.parametrize(
    "text", ["", "$", "-1", "1e3", "1.5", "5 eur", "usd 5 idr", "1.5rp", "9" * 16, "$1.234"]
)
def test_another_balance_is_refused_with_examples(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert fallback.main(["sandbox", f"--balance={text}"], io.StringIO()) == Exit.USAGE
    assert "balance: expected dollars such as 10usd, or whole rupiah" in capsys.readouterr().err


@serves
def test_a_new_sandbox_is_rich_and_one_of_a_file_has_its_own_balance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stop:
        def wait(self, seconds: float) -> bool:
            return True

    monkeypatch.setattr(offline, "_stop", Stop())
    for name, options, balance in (("rich", [], 16_250_000), ("poor", ["--balance", "5"], 5)):
        file = str(tmp_path / name)
        for arguments in (options, []):
            assert fallback.main(["sandbox", "--state", file, *arguments], io.StringIO()) == 0
        with Sandbox(state=file) as sandbox:
            assert sandbox.balance == balance


def test_without_a_command_the_help_is_shown() -> None:
    out = io.StringIO()
    assert fallback.main([], out) == Exit.USAGE
    assert out.getvalue().startswith("usage: python -m smscode")
    assert "serve a sandbox on this machine" in out.getvalue()


@pytest.mark.parametrize("command", ["demo", "sandbox", "openapi"])
def test_every_option_has_a_help_text(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        fallback.main([command, "--help"], io.StringIO())
    options = capsys.readouterr().out.partition("options:\n")[2]
    for option in re.split(r"^  (?=-)", options, flags=re.MULTILINE)[1:]:
        assert re.search(r"  \S|\n +\S", option), option


def test_an_interrupt_ends_the_demo(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*arguments: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(offline, "demo", interrupt)
    assert fallback.main(["demo"], io.StringIO()) == Exit.INTERRUPTED
    assert capsys.readouterr().err == "Interrupted. Nothing was changed.\n"


@serves
def test_a_port_that_is_taken_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with Sandbox().serve() as server:
        port = server.url.rpartition(":")[2]
        assert fallback.main(["sandbox", "--port", port], io.StringIO()) == Exit.SETUP
    assert re.match(
        rf"smscode: Cannot listen on 127\.0\.0\.1:{port} \(.*[Aa]ddress already in use",
        capsys.readouterr().err,
    )


@serves
@pytest.mark.parametrize("more", [[], ["--local-webhooks"]])
def test_the_sandbox_command_serves_until_it_is_interrupted(more: list[str]) -> None:
    command = [sys.executable, "-m", "smscode", "sandbox", "--otp-after", "0.1", *more]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stdout is not None
        _, _, url, _, token = server.stdout.readline().split()
        with smscode.Client(token, base_url=url) as client:
            assert client.balance().balance.canonical_amount == 16_250_000
            for url in ("http://127.0.0.1:9/", "https://localhost/"):
                if more:
                    assert client.webhook.update(url=url).webhook_secret
                else:
                    with pytest.raises(smscode.ValidationError):
                        client.webhook.update(url=url)
        server.send_signal(signal.SIGINT)
        try:
            assert server.wait(30) == 130
        finally:
            server.kill()


@serves
def test_the_sandbox_command_plays_scenarios(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()

    class Stop:
        """Buys while the sandbox is served."""

        def wait(self, seconds: float) -> bool:
            _, _, url, _, token = out.getvalue().split()
            with smscode.Client(token, base_url=url) as client:
                with pytest.raises(smscode.TempBannedError):
                    client.orders.create(catalog_product_id=87)
            return True

    monkeypatch.setattr(offline, "_stop", Stop())
    assert fallback.main(["sandbox", "--scenario", "never", "--scenario", "ban(60)"], out) == 0


def test_a_scenario_that_there_is_not_is_refused_with_the_closest(capsys: pytest.CaptureFixture[str]) -> None:
    assert fallback.main(["sandbox", "--scenario", "lost_respones"], io.StringIO()) == Exit.USAGE
    assert "no scenario is called 'lost_respones'; the closest are lost_response" in capsys.readouterr().err


def test_the_openapi_command_prints_the_document() -> None:
    out = io.StringIO()
    assert fallback.main(["openapi", "--generation", "documented", "--api-version", "v1"], out) == 0
    assert out.getvalue() == openapi.text("documented", "v1")


@pytest.fixture
def without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide typer, as if it were not installed."""

    def find_spec(name: str) -> None:
        """Find nothing."""

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)


@pytest.mark.usefixtures("without_the_extra")
def test_without_the_extra_the_commands_that_need_no_account_are_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["smscode", "openapi"])
    assert __main__.main() == 0
    assert capsys.readouterr().out == openapi.text()


@pytest.mark.usefixtures("without_the_extra")
@pytest.mark.parametrize("name", fallback.EXTRA_COMMANDS)
def test_without_the_extra_the_others_say_how_to_install_it(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert __main__.main([name, "--whatever"]) == Exit.SETUP
    assert capsys.readouterr().err == (
        'smscode: This command needs an extra: pip install "smscode-async[cli]"\n'
    )
