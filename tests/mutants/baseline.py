"""Which tests run which line of the package, and how long each takes."""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import attrs
import coverage
import pytest

from tests.mutants.changes import Change
from tests.mutants.runs import Run, Tree

_LIMIT = 1800.0  # seconds for all tests together
_COVERAGE = ("--cov=smscode", "--cov-context=test", "--cov-report=", "--cov-fail-under=0")


class BaselineError(Exception):
    """The tests fail without a change."""


@attrs.frozen
class Baseline:
    """The tests without any change."""

    seconds: Mapping[str, float]
    """What each test takes, by its id."""
    tests: Mapping[str, Mapping[int, set[str]]]
    """The ids of the tests that run a line, by the paths of modules and the lines in them."""

    def tests_of(self, change: Change) -> set[str]:
        """Return the tests that run the line; none if it runs at import only, or in other processes."""
        return self.tests[change.path].get(change.line, set())

    def duration(self, tests: Collection[str]) -> float:
        """Return how many seconds tests take, loading them included."""
        return 2.0 + sum(self.seconds.get(test, 0.0) for test in tests)


class _Seconds:
    """A plugin that writes how many seconds each test took."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seconds: dict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[report.nodeid] += report.duration

    def pytest_sessionfinish(self) -> None:
        self._file.write_text(json.dumps(self._seconds), encoding="utf-8")


def measure(files: Sequence[str], paths: Collection[str], trees: Sequence[Tree]) -> Baseline:
    """Run test files, some in each tree, and return which of them run which lines of modules."""
    shares = [(tree, files[number :: len(trees)]) for number, tree in enumerate(trees)]
    plugins = [_Seconds(tree.folder / "seconds.json") for tree in trees]
    running = [
        Run(tree.folder, [*_COVERAGE, *share], [plugin], _LIMIT)
        for (tree, share), plugin in zip(shares, plugins, strict=True)
        if share
    ]
    for run in running:
        while (verdict := run.verdict()) is None:
            time.sleep(0.1)
        if verdict != "NOT NOTICED":
            raise BaselineError(f"{verdict}: {run.end()}")
    seconds: dict[str, float] = {}
    tests: dict[str, dict[int, set[str]]] = {path: defaultdict(set) for path in paths}
    for tree in trees[: len(running)]:
        seconds |= json.loads((tree.folder / "seconds.json").read_text("utf-8"))
        data = coverage.CoverageData(str(tree.folder / ".coverage"))
        data.read()
        for path in paths:
            for line, contexts in data.contexts_by_lineno(os.path.realpath(tree.folder / path)).items():
                tests[path][line] |= {context.rpartition("|")[0] for context in contexts if context}
    return Baseline(seconds, tests)
