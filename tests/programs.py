"""The Python programs in Markdown files, and ways to run them as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from attrs import field, frozen

from smscode.sandbox import Sandbox

ROOT = Path(__file__).parent.parent
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@frozen
class Program:
    """A code block: where it is, and what it says."""

    path: Path
    line: int
    source: str = field(repr=False)

    @property
    def name(self) -> str:
        """Return the path and line, as a test's name."""
        return f"{self.path.relative_to(ROOT)}:{self.line}"


def programs_of(path: Path) -> list[Program]:
    """Return the Python programs of a Markdown file, in order."""
    text = path.read_text("utf-8")
    return [
        Program(path, text.count("\n", 0, block.start(1)) + 1, block[1]) for block in _BLOCK.finditer(text)
    ]


@contextmanager
def modules_of(page: Path, folder: Path) -> Generator[None]:
    """Write the programs of a page that name their file to a folder, from where they can be imported."""
    packages: set[str] = set()
    for program in programs_of(page):
        named = re.match(r"# (\w+)/(\w+\.py)$", program.source.splitlines()[0])
        if named is not None:
            packages.add(named[1])
            (folder / named[1]).mkdir(exist_ok=True)
            (folder / named[1] / named[2]).write_text(program.source, encoding="utf-8")
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.partition(".")[0] in packages]:
            del sys.modules[name]


def environment(sandbox: Sandbox, url: str) -> dict[str, str]:
    """Return the environment of a program that finds this checkout and a served sandbox."""
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "error",
        "SMSCODE_TOKEN": sandbox.token,
        "SMSCODE_BASE_URL": url,
    }


def run(program: Program, folder: Path) -> str:
    """Run a program in a process of its own, against a sandbox of its own; return its output."""
    pytest.importorskip("uvicorn")
    sandbox = Sandbox(otp_after=0)
    file = folder / "program.py"
    file.write_text(program.source, encoding="utf-8")
    with sandbox.serve() as server:
        done = subprocess.run(
            [sys.executable, str(file)],
            env=environment(sandbox, server.url),
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout
