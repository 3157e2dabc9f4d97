"""Run mutation tests of the core: ``python -m tests.mutants.run [--seed N] [--count N]``.

The package is changed in one place at a time, in a copy of the tree, where the fast tests of the changed
module run. A change is noticed if one of them fails, or does not end. A change that is listed in
``same.txt`` leaves the program as it is for whoever uses it, and does not count. Ends with 1 when less than
95 % of the others are noticed.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Collection, Iterator
from pathlib import Path

from tests.mutants.baseline import Baseline, BaselineError, measure
from tests.mutants.changes import Change, changes
from tests.mutants.modules import ROOT, files_of, modules
from tests.mutants.runs import TIMES, Chosen, Run, Tree, Verdict, load_libraries

_SAME = Path(__file__).parent / "same.txt"
_LEAST = 60.0  # seconds for tests that take next to nothing, of which each has its own limit
_MEMORY = 6 * 2**30  # bytes of address space for each run: a change can make a program take all there is
_GOAL = 0.95
_LINE = "{:<34} {:>8} {:>6} {:>8} {:>8} {:>9} {:>7}"


def wanted(patterns: list[str]) -> list[Change]:
    """Return all changes of the modules whose path contains one of the patterns, or of all."""
    paths = [path for path in modules() if not patterns or any(part in path for part in patterns)]
    return [change for path in paths for change in changes(path, (ROOT / path).read_text("utf-8"))]


def same() -> set[str]:
    """Return the names of the changes that change nothing, or nothing that matters."""
    lines = _SAME.read_text("utf-8").splitlines()
    return {line for line in lines if line and not line.startswith("#")}


class Attempt:
    """The tests that run while one change is made: those that run its line, then all others of its module."""

    def __init__(self, change: Change, tree: Tree, baseline: Baseline, *, covering: bool) -> None:
        self.change = change
        self.tree = tree
        self._baseline = baseline
        self._tests = baseline.tests_of(change)
        self._last = covering and bool(self._tests)
        tree.make(change)
        self._run = self._begin(self._tests) if self._tests else self._begin_others()

    def verdict(self) -> Verdict | None:
        """Return how the tests end, or None while they run; the change is undone then."""
        verdict = self._run.verdict()
        if verdict == "NOT NOTICED" and not self._last:
            self._run = self._begin_others()
            return None
        if verdict is not None:
            self.tree.undo(self.change)
        return verdict

    def _begin(self, only: Collection[str]) -> Run:
        files = [file for file in files_of(self.change.path) if any(test.startswith(file) for test in only)]
        others = sorted({test.partition("::")[0] for test in only} - set(files))
        return self._run_of([*files, *others], Chosen(self._baseline.seconds, only, ()), only)

    def _begin_others(self) -> Run:
        self._last = True
        plugin = Chosen(self._baseline.seconds, None, self._tests)
        files = files_of(self.change.path)
        folders = tuple(file if file.endswith(".py") else f"{file}/" for file in files)
        return self._run_of(
            files, plugin, [test for test in self._baseline.seconds if test.startswith(folders)]
        )

    def _run_of(self, files: list[str], plugin: Chosen, tests: Collection[str]) -> Run:
        limit = _LEAST + TIMES * self._baseline.duration(tests)
        return Run(self.tree.folder, ["-x", *files], [plugin], limit)


def tried(
    sample: list[Change], trees: list[Tree], baseline: Baseline, until: float, *, covering: bool
) -> Iterator[tuple[Change, Verdict]]:
    """Yield changes and how the tests end with each, one in each tree; after ``until`` none is begun."""
    waiting, free, running = deque(sample), list(trees), list[Attempt]()
    while running or (waiting and time.monotonic() < until):
        while free and waiting and time.monotonic() < until:
            running.append(Attempt(waiting.popleft(), free.pop(), baseline, covering=covering))
        for attempt in list(running):
            if (verdict := attempt.verdict()) is not None:
                running.remove(attempt)
                free.append(attempt.tree)
                yield attempt.change, verdict
        time.sleep(0.02)


def share_of(noticed: int, survived: int) -> str:
    """Return the percentage of the changes that were noticed, of those that change something."""
    return f"{100 * noticed / (noticed + survived):.1f}" if noticed + survived else "-"


def main() -> int:
    """Try a sample of the changes, print those that nothing noticed and a table of the modules."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="repeat another run")
    parser.add_argument("--count", type=int, default=700, help="changes in the sample")
    parser.add_argument("--only", nargs="*", default=[], help="parts of the paths of modules")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="changes at once")
    parser.add_argument("--minutes", type=float, default=30.0, help="after which no other change is tried")
    parser.add_argument(
        "--covering", action="store_true", help="run only the tests that run the changed line"
    )
    parser.add_argument("--verbose", action="store_true", help="print every change as it is tried")
    given = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    began = time.monotonic()
    seed = random.SystemRandom().randrange(10**6) if given.seed is None else given.seed
    possible, ignored = wanted(given.only), same()
    sample = random.Random(seed).sample(possible, min(given.count, len(possible)))
    print(f"seed {seed}, {len(sample)} of {len(possible)} changes", flush=True)
    unchanged = Counter(change.path for change in sample if change.name in ignored)
    failed, late, survived = Counter[str](), Counter[str](), Counter[str]()
    counters = {"failed": failed, "did not end": late, "NOT NOTICED": survived}
    counted = [change for change in sample if change.name not in ignored]
    paths = {change.path for change in counted}
    load_libraries()
    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
        trees = [Tree(Path(scratch) / str(number)) for number in range(given.jobs)]
        try:
            baseline = measure(sorted({file for path in paths for file in files_of(path)}), paths, trees)
        except BaselineError as error:
            print("The tests fail without a change:", error, sep="\n")
            return 1
        until = began + given.minutes * 60
        for change, verdict in tried(counted, trees, baseline, until, covering=given.covering):
            counters[verdict][change.path] += 1
            if given.verbose or verdict == "NOT NOTICED":
                head = f"{change.path}:{change.line} {change.what}: {verdict}"
                print(head, *change.diff, sep="\n    ", flush=True)
    print(_LINE.format("module", "possible", "same", "failed", "no end", "survived", "%"))
    every = Counter(change.path for change in possible)
    columns = (every, unchanged, failed, late, survived)
    for path in sorted(every):
        row = [counter[path] for counter in columns]
        if any(row[1:]):
            share = share_of(failed[path] + late[path], survived[path])
            print(_LINE.format(path.removeprefix("smscode/"), *row, share))
    noticed = failed.total() + late.total()
    totals = [counter.total() for counter in columns]
    print(_LINE.format("all", *totals, share_of(noticed, survived.total())))
    tries = noticed + survived.total()
    if tries < len(counted):
        print(f"{len(counted) - tries} were not tried in {given.minutes:g} minutes")
    print(f"seed {seed}, {time.monotonic() - began:.0f} s")
    return 0 if tries and noticed >= _GOAL * tries else 1


if __name__ == "__main__":
    sys.exit(main())
