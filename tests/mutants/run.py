"""Run mutation tests of the core: ``python -m tests.mutants.run [--seed N] [--count N]``.

The package is changed in one place at a time, in a copy of the tree, where the fast tests of the changed
module run. A change is noticed if one of them fails, or does not end. A change that is listed in
``same.txt`` leaves the program as it is for whoever uses it, and does not count. Ends with 1 when less than
95 % of the others are noticed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import queue
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Literal

from tests.mutants.changes import Change, changes
from tests.mutants.modules import ROOT, files_of, modules

_SAME = Path(__file__).parent / "same.txt"
_COPIED = ("smscode", "tests", "docs", "README.md", "CHANGELOG.md", "pyproject.toml", "noxfile.py", ".ci")
_BASELINE = 1800.0  # seconds for all tests together; the time they take says how fast the machine is
_MEMORY = 6 * 2**30  # bytes of address space for each run: a change can make a program take all there is
_GOAL = 0.95
_LINE = "{:<34} {:>8} {:>6} {:>8} {:>8} {:>9} {:>7}"


Verdict = Literal["failed", "did not end", "NOT NOTICED"]


class Tree:
    """A copy of the project in which one module at a time is changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._times = int(time.time())
        for name in _COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, folder / name)

    def verdict(self, change: Change, limit: float) -> Verdict:
        """Run the tests of a module with the change."""
        with self._changed(change):
            return self.run(files_of(change.path), limit)[0]

    def run(self, files: Iterable[str], limit: float) -> tuple[Verdict, str]:
        """Run test files; return how they end, and the end of what they print."""
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *files]
        with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
            process = subprocess.Popen(
                command,
                cwd=self._folder,
                env={**os.environ, "PYTHONPATH": str(self._folder)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            code: int | None = None
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(limit)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # what it started ends with it
            process.wait()
            output.seek(0)
            end = output.read()[-2000:]
        return ("did not end" if code is None else "failed" if code else "NOT NOTICED"), end

    @contextlib.contextmanager
    def _changed(self, change: Change) -> Generator[None]:
        self._write(change.path, change.after)
        try:
            yield
        finally:
            self._write(change.path, change.before)

    def _write(self, path: str, source: str) -> None:
        file = self._folder / path
        file.write_text(source, encoding="utf-8")
        self._times += 1  # compiled files are known by these seconds and the size, which may be equal
        os.utime(file, (self._times, self._times))


def wanted(patterns: list[str]) -> list[Change]:
    """Return all changes of the modules whose path contains one of the patterns, or of all."""
    paths = [path for path in modules() if not patterns or any(part in path for part in patterns)]
    return [change for path in paths for change in changes(path, (ROOT / path).read_text("utf-8"))]


def same() -> set[str]:
    """Return the names of the changes that change nothing, or nothing that matters."""
    lines = _SAME.read_text("utf-8").splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def tried(sample: list[Change], jobs: int, until: float, limit: float) -> Iterator[tuple[Change, Verdict]]:
    """Yield changes and how the tests end with each, several at once; after ``until`` none is begun."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
        trees: queue.Queue[Tree] = queue.Queue()
        for number in range(jobs):
            trees.put(Tree(Path(scratch) / str(number)))

        def attempt(change: Change) -> Verdict | None:
            if time.monotonic() > until:
                return None
            tree = trees.get()
            try:
                return tree.verdict(change, limit)
            finally:
                trees.put(tree)

        with ThreadPoolExecutor(jobs) as pool:
            running = {pool.submit(attempt, change): change for change in sample}
            for future in as_completed(running):
                verdict = future.result()
                if verdict is not None:
                    yield running[future], verdict


def baseline(paths: Iterable[str]) -> str | None:
    """Run the tests of modules without any change; return None if they pass, else what they print."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
        files = sorted({file for path in paths for file in files_of(path)})
        verdict, end = Tree(Path(scratch) / "tree").run(files, _BASELINE)
        return None if verdict == "NOT NOTICED" else f"{verdict}: {end}"


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
    parser.add_argument("--verbose", action="store_true", help="print every change as it is tried")
    given = parser.parse_args()
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    began = time.monotonic()
    seed = random.SystemRandom().randrange(10**6) if given.seed is None else given.seed
    possible, ignored = wanted(given.only), same()
    sample = random.Random(seed).sample(possible, min(given.count, len(possible)))
    print(f"seed {seed}, {len(sample)} of {len(possible)} changes", flush=True)
    if (failure := baseline(change.path for change in sample)) is not None:
        print("The tests fail without a change:", failure, sep="\n")
        return 1
    limit = 60.0 + time.monotonic() - began
    unchanged = Counter(change.path for change in sample if change.name in ignored)
    failed, late, survived = Counter[str](), Counter[str](), Counter[str]()
    counters = {"failed": failed, "did not end": late, "NOT NOTICED": survived}
    counted = [change for change in sample if change.name not in ignored]
    for change, verdict in tried(counted, given.jobs, began + given.minutes * 60, limit):
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
