"""Runs one benchmark in this process and prints its figures, a line of JSON for each.

python -m benchmarks.one NAME SCALE [PYTHON_OF_THE_VENDOR]
"""

from __future__ import annotations

import sys

from . import machine, report
from .suite import Scale, Setup, measure


def main(name: str, scale: str, vendor: str | None = None) -> None:
    """Measure on a core of its own."""
    machine.pin(0)
    for figure in measure(name, Setup(Scale(scale), vendor)):
        print(report.write(figure), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
