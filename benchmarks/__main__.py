"""``python -m benchmarks [names] [--quick] [--json FILE] [--vendor PYTHON] [--record]``: measures."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import report, table
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
    parser.add_argument(
        "--record",
        action="store_true",
        help="run all in full, and renew the record and its tables",
    )
    given = parser.parse_args(arguments)
    if given.record and (given.names or given.quick or given.smoke or not given.vendor):
        parser.error("--record: a record is of all benchmarks in full, with the vendor's SDK")
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
    if given.json or given.record:
        command = " ".join(["python -m benchmarks", *given.names, *(["--quick"] if given.quick else [])])
        record = report.record(results, scale, command, given.vendor)
        for file in filter(None, (given.json, table.RECORD if given.record else None)):
            file.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
        if given.record:
            table.renew(record)
    broken = [figure for figures in results.values() for figure in figures if figure.held is False]
    return int(scale is Scale.FULL and bool(broken))


if __name__ == "__main__":
    sys.exit(main())
