"""Commands run in this process, as from a pipe or as on a terminal, against a sandbox."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest
from attrs import frozen

from smscode.__main__ import main
from smscode.cli.session import Session
from smscode.sandbox import Sandbox

T = TypeVar("T")

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


def always(value: T) -> Callable[..., T]:
    """Return a function that returns a value for any arguments."""

    def give(*arguments: object, **options: object) -> T:
        return value

    return give


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@frozen
class Done:
    """What a command did; ``offer`` is what it said on the standard error before it bought anything."""

    code: int
    out: str
    err: str
    offer: str = ""

    @classmethod
    def of(cls, code: int, out: str, err: str) -> Done:
        """Return what a command did that wrote these texts."""
        offer, _, rest = err.partition("\n")
        return cls(code, out, rest, offer) if offer.startswith("Renting ") else cls(code, out, err)

    @property
    def rows(self) -> list[list[str]]:
        """The cells of the lines that a pipe got."""
        return [line.split("\t") for line in self.out.splitlines()]

    @property
    def data(self) -> Any:
        """What came as JSON."""
        return json.loads(self.out)

    @property
    def events(self) -> list[Any]:
        """What came as lines of JSON."""
        return [json.loads(line) for line in self.out.splitlines()]


class Shell:
    """Runs commands on one sandbox; ``now`` is the sandbox's time until `Sandbox.advance` adds to it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self.use(Sandbox(otp_after=0, clock=lambda: datetime.now(UTC), allow_local_webhooks=True))

    def use(self, sandbox: Sandbox) -> Sandbox:
        """Run the commands to come on another sandbox."""
        self.sandbox = sandbox
        self._monkeypatch.setattr(Session, "sandbox", sandbox)
        return sandbox

    def run(self, *arguments: object) -> Done:
        """Run a command in a pipe, on the sandbox."""
        self._capsys.readouterr()
        code = main([*map(str, arguments), "--sandbox"])
        return self._done(code)

    def bare(self, *arguments: object) -> Done:
        """Run a command in a pipe, without --sandbox."""
        self._capsys.readouterr()
        code = main([*map(str, arguments)])
        return self._done(code)

    def _done(self, code: int) -> Done:
        streams = self._capsys.readouterr()
        return Done.of(code, streams.out, streams.err)

    def type(self, *arguments: object, keys: str = "", columns: int = 80, bare: bool = False) -> Done:
        """Run a command on a terminal, in which ``keys`` are typed; with --sandbox unless ``bare``."""
        with self._monkeypatch.context() as patch:
            patch.setenv("COLUMNS", str(columns))
            patch.setenv("NO_COLOR", "1")
            patch.setattr(sys, "stdin", Terminal(keys))
            patch.setattr(sys, "stdout", out := Terminal())
            patch.setattr(sys, "stderr", err := Terminal())
            code = main([*map(str, arguments), *([] if bare else ["--sandbox"])])
        texts = [_ESCAPES.sub("", stream.getvalue()) for stream in (out, err)]
        return Done(code, *texts)
