"""The vendor's own SDK, in its own environment and process: its import name is this package's, too."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

SCRIPT = Path(__file__).with_name("vendor_sdk.py")


def version(python: str) -> str:
    """Return the version of the SDK in an environment."""
    program = "import importlib.metadata as found; print(found.version('smscode'))"
    done = subprocess.run([python, "-I", "-c", program], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


class Vendor:
    """A running vendor's SDK that does on demand what `vendor_sdk` can do."""

    def __init__(self, python: str, url: str) -> None:
        """Set up; ``python`` is the interpreter of an environment that has the SDK."""
        self._command = [python, "-I", str(SCRIPT), url]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._process:
            pass  # closes its input, which ends it, and waits for it

    def ask(self, what: str, *arguments: int) -> Any:
        """Run a command of the SDK's process, and return its reply."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([what, *arguments]), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())
