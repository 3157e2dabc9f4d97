"""The standard streams: full, closed, or without a reader."""

from __future__ import annotations

import io
import json
import os
import re
import sys

import pytest

pytest.importorskip("typer")

from smscode import Client
from smscode.__main__ import main
from smscode.cli.session import Session
from smscode.sandbox import Sandbox


def test_a_reader_that_goes_away_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    end, start = os.pipe()
    os.close(end)
    with os.fdopen(start, "w") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        assert main(["countries", "--sandbox"]) == 141


def test_a_reader_that_goes_away_while_renting_does_not_lose_the_number(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    end, start = os.pipe()
    os.close(end)
    with os.fdopen(start, "w") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        assert main(["rent", "--product", "87", "--yes", "--sandbox"]) == 141
    assert "Order 1004 ends by itself" in capfd.readouterr().err


class Full(io.StringIO):
    """A file on a disk without space."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["countries", "--sandbox"], 1),
        (["--version"], 1),
        (["--help"], 1),
        (["openapi"], 1),
    ],
)
def test_an_output_that_cannot_be_written_is_said(
    command: list[str], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with open(os.devnull, "w") as other:
        monkeypatch.setattr(sys, "stdout", Full(other.fileno()))
        assert main(command) == code
    assert capsys.readouterr().err == "error: The output cannot be written (No space left on device).\n"


def test_a_code_that_could_not_be_shown_is_not_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class FillsUp(Full):
        def write(self, text: str) -> int:
            return super().write(text) if "code" in text else len(text)

    with open(os.devnull, "w") as other:
        monkeypatch.setattr(sys, "stdout", FillsUp(other.fileno()))
        assert main(["rent", "--product", "87", "--yes", "--sandbox"]) == 3
    assert re.fullmatch(
        r"Renting .*\n"
        r"Finished; \$0\.9231 was charged\. Its code is \d{6}; `smscode order 1004` shows it, too\.\n"
        r"error: The output cannot be written \(No space left on device\)\.\n",
        capsys.readouterr().err,
    )


def test_with_json_too_the_money_is_spoken_of_where_it_can_be_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class FillsUp(Full):
        def write(self, text: str) -> int:
            fits = '"rented"' in text or '"offer"' in text or not text.strip()
            return len(text) if fits else super().write(text)

    with open(os.devnull, "w") as other:
        monkeypatch.setattr(sys, "stdout", FillsUp(other.fileno()))
        assert main(["rent", "--product", "87", "--yes", "--sandbox", "--json"]) == 3
    first = json.loads(capsys.readouterr().err.splitlines()[0])["message"]
    assert first.startswith("Finished; $0.9231 was charged. Its code is ")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), BrokenPipeError()])
def test_a_change_whose_end_cannot_be_shown_says_how_to_look_at_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: OSError
) -> None:
    class Broken(Full):
        def write(self, text: str) -> int:
            raise error

    with open(os.devnull, "w") as other:
        monkeypatch.setattr(sys, "stdout", Broken(other.fileno()))
        assert main(["finish", "1002", "--sandbox"]) == (141 if isinstance(error, BrokenPipeError) else 3)
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "It may have been carried out: `smscode order 1002` shows its state."


@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_what_cannot_be_said_on_the_standard_error_is_said_on_the_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], as_json: list[str]
) -> None:
    with open(os.devnull, "w") as other:
        monkeypatch.setattr(sys, "stderr", Full(other.fileno()))
        rent = ["rent", "--product", "87", "--yes", "--sandbox", "--timeout", "0"]
        assert main([*rent, *as_json]) == 4
        assert "$0.9231 is refunded then if no SMS came" in capsys.readouterr().out
        assert main(["order", "1", "--sandbox", *as_json]) == 1
        assert "[NOT_FOUND, " in capsys.readouterr().out


def test_both_streams_may_be_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    with open(os.devnull, "w") as other:
        for name in ("stdout", "stderr"):
            monkeypatch.setattr(sys, name, Full(other.fileno()))
        assert main(["finish", "1002", "--sandbox"]) == 3
        monkeypatch.setattr(sys, "stdout", io.StringIO())  # without a descriptor
        monkeypatch.setattr(sys.stdout, "write", sys.stderr.write)
        assert main(["countries", "--sandbox"]) == 1


def test_rich_does_not_end_a_command_whose_reader_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    end, start = os.pipe()
    os.close(end)
    with os.fdopen(start, "w") as closed:
        closed.isatty = lambda: True  # type: ignore[method-assign]  # a terminal that is closed
        monkeypatch.setattr(sys, "stdout", closed)
        assert main(["balance", "--sandbox"]) == 141


ENCODINGS = ["ascii", "cp1252", "latin-1", "ascii:surrogateescape", "utf-8", "utf-16", "shift_jis"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("as_json", [False, True])
def test_a_code_is_shown_in_any_encoding(
    encoding: str, as_json: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "٤٨٢-é-\U0001f511"
    sandbox = Sandbox(otp_after=None)
    with Client(sandbox.token, transport=sandbox.transport()) as client:
        order = client.orders.create(catalog_product_id=87).orders[0]
    sandbox.deliver_sms(order.id, code=code)
    monkeypatch.setattr(Session, "sandbox", sandbox)
    written = io.BytesIO()
    name, _, errors = encoding.partition(":")
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, name, errors or "strict"))
    assert main(["order", str(order.id), "--sandbox", *(["--json"] if as_json else [])]) == 0
    sys.stdout.flush()
    shown = written.getvalue().decode(name)
    if as_json:
        assert json.loads(shown)["otp_code"] == code
    else:
        (line,) = [line for line in shown.splitlines() if line.startswith("code")]
        found = line.partition("\t")[2]
        assert all(ord(character) < 128 or character in code for character in found)
        assert found == code.encode(name, "backslashreplace").decode(name)


def test_streams_that_are_closed_lead_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    try:
        assert main(["cancel", "1003", "--sandbox"]) == 0
        assert main(["rent", "--product", "87", "--sandbox"]) == 5, "nobody to ask"
    finally:
        for stream in (sys.stdin, sys.stdout, sys.stderr):
            stream.close()
