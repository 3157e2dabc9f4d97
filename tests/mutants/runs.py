"""Test runs in copies of the project, each in a child of a process that has the libraries loaded already."""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Collection, Generator, Mapping, Sequence
from pathlib import Path
from typing import IO, Final, Literal, NoReturn

import pytest

from tests.mutants.changes import Change
from tests.mutants.modules import ROOT

TIMES: Final = 5.0
"""How many times as long as without a change tests may take."""

Verdict = Literal["failed", "did not end", "NOT NOTICED"]

_COPIED = ("smscode", "tests", "docs", "README.md", "CHANGELOG.md", "pyproject.toml", "noxfile.py", ".ci")
_LIBRARIES = (
    "attrs",
    "cattrs",
    "anyio",
    "httpx",
    "hypothesis",
    "msgspec",
    "pydantic",
    "pytest_asyncio",
    "trio",
)
_LOADED = (
    *_LIBRARIES,
    "hypothesis.stateful",
    "_hypothesis_pytestplugin",
    "respx",
    "cattrs.strategies",
    "sqlite3",
)
_OPTIONS = ("-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning")
_HANGS = 15.0  # seconds within which a test ends that ends at all
_SHORT = 0.1  # seconds; tests that take longer come after the others


def load_libraries() -> None:
    """Import what nearly every run needs, so that no run has to."""
    for name in _LOADED:
        importlib.import_module(name)


class Tree:
    """A copy of the project in which one module at a time is changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._times = int(time.time())
        for name in _COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, folder / name)

    def make(self, change: Change) -> None:
        """Change the module."""
        self._write(change.path, change.after)

    def undo(self, change: Change) -> None:
        """Write the module as it was."""
        self._write(change.path, change.before)

    def _write(self, path: str, source: str) -> None:
        file = self.folder / path
        file.write_text(source, encoding="utf-8")
        self._times += 1  # compiled files are known by these seconds and the size, which may be equal
        os.utime(file, (self._times, self._times))


class Chosen:
    """A plugin that leaves tests out, runs the short ones first, and ends the process in one that hangs."""

    def __init__(
        self, seconds: Mapping[str, float], only: Collection[str] | None, no: Collection[str]
    ) -> None:
        self._seconds = seconds
        self._only = only
        self._no = no

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Choose the tests by their ids."""
        items[:] = [
            item
            for item in items
            if (self._only is None or item.nodeid in self._only) and item.nodeid not in self._no
        ]
        items.sort(key=lambda item: self._seconds.get(item.nodeid, 0.0) > _SHORT)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Send SIGALRM to this process unless the test ends in time."""
        signal.setitimer(signal.ITIMER_REAL, _HANGS + TIMES * self._seconds.get(item.nodeid, 0.0))
        try:
            return (yield)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


class Run:
    """Tests that run in a process of their own, which ends by ``limit`` seconds from now."""

    def __init__(self, folder: Path, arguments: Sequence[str], plugins: list[object], limit: float) -> None:
        self._until = time.monotonic() + limit
        self._output: Final[IO[str]] = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
        sys.stdout.flush()
        self._pid = os.fork()
        if not self._pid:
            _test(folder, [*arguments, *_OPTIONS], plugins, self._output.fileno())

    def verdict(self) -> Verdict | None:
        """Return how the tests end, or None while they run."""
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        if not pid and time.monotonic() < self._until:
            return None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._pid, signal.SIGKILL)  # what it started ends with it
        if not pid:
            os.waitpid(self._pid, 0)
        if not pid or os.WTERMSIG(status) == signal.SIGALRM:
            return "did not end"
        # Without a test that is chosen, nothing is noticed.
        return "NOT NOTICED" if status in (0, int(pytest.ExitCode.NO_TESTS_COLLECTED) << 8) else "failed"

    def end(self) -> str:
        """Return the end of what the tests printed."""
        with self._output as output:
            output.seek(0)
            return output.read()[-2000:]


def _test(folder: Path, arguments: list[str], plugins: list[object], output: int) -> NoReturn:
    """Run tests in a child, which ends here."""
    code = 70
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(folder)
        os.environ["PYTHONPATH"] = str(folder)
        sys.dont_write_bytecode = False  # each run would compile all modules again
        sys.path.insert(0, str(folder))
        for name in [name for name in sys.modules if name.split(".")[0] in ("tests", "smscode")]:
            del sys.modules[name]  # those of the copy are imported in their place
        code = int(pytest.main(arguments, plugins))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
