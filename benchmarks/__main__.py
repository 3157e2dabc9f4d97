"""``python -m benchmarks [names] [--quick] [--json FILE] [--vendor PYTHON]``: measures and prints."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import report
from .suite import NAMES, Figure, Scale


def run(name: str, scale: Scale, vendor: str | None) -> Iterator[Figure]:
    """Run a benchmark in a process of its own, which nothing measured before has left its traces in."""
    command = [sys.executable, "-m", "benchmarks.one", name, scale.value, *([vendor] if vendor else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            yield report.read(line)
    if process.returncode:
        raise SystemExit(f"{name}: the benchmark broke")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for; 1 when a figure of a full run is not what it should be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"any of {', '.join(NAMES)}; all by default")
    parser.add_argument("--quick", action="store_true", help="a first impression, within a minute")
    parser.add_argument(
        "--smoke", action="store_true", help="only that everything runs; the figures are void"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--vendor", metavar="PYTHON", help="an interpreter that has the vendor's SDK")
    given = parser.parse_args(arguments)
    unknown = set(given.names) - set(NAMES)
    if unknown:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    scale = Scale.SMOKE if given.smoke else Scale.QUICK if given.quick else Scale.FULL
    results: dict[str, list[Figure]] = {}
    for name in given.names or NAMES:
        began = time.monotonic()
        print(name)
        for figure in run(name, scale, given.vendor):
            results.setdefault(name, []).append(figure)
            print(*report.lines(figure), sep="\n", flush=True)
        print(f"  ({time.monotonic() - began:.0f} s)")
    if given.json:
        command = " ".join(["python -m benchmarks", *given.names, *(["--quick"] if given.quick else [])])
        given.json.write_text(json.dumps(report.record(results, scale, command), indent=1) + "\n", "utf-8")
    broken = [figure for figures in results.values() for figure in figures if figure.held is False]
    return int(scale is Scale.FULL and bool(broken))


if __name__ == "__main__":
    sys.exit(main())
