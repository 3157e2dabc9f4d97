"""The standard streams: full, closed, or with nobody left to read them."""

from __future__ import annotations

import io
import os
import sys

import pytest

pytest.importorskip("typer")

from smscode.__main__ import main


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
        (["finish", "1002", "--sandbox"], 3),
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
    assert capsys.readouterr().err == (
        "Finished; $0.9231 was charged. `smscode order 1004` shows its code.\n"
        "error: The output cannot be written (No space left on device).\n"
    )


def test_streams_that_are_closed_lead_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    try:
        assert main(["cancel", "1003", "--sandbox"]) == 0
        assert main(["rent", "--product", "87", "--sandbox"]) == 5, "nobody to ask"
    finally:
        for stream in (sys.stdin, sys.stdout, sys.stderr):
            stream.close()
