"""Runs one benchmark in this process and prints its figures, a line of JSON for each.

python -m benchmarks.one NAME SCALE [PYTHON_OF_THE_VENDOR]
"""

from __future__ import annotations

import sys
from typing import Any

NOT_NEEDED = ("click", "rich", "trio")
"""What only tests and tools of this project need.

httpx and its parts import these where they happen to be installed, with all that they import in turn; who
only uses this package has none of them. The more a process has imported, the longer each garbage collection
holds it up.
"""


def main(name: str, scale: str, vendor: str | None = None) -> None:
    """Measure on a core of its own."""
    absent: Any = dict.fromkeys(NOT_NEEDED)
    sys.modules.update(absent)  # before anything imports them
    from . import machine, report
    from .suite import Scale, Setup, measure

    machine.pin(0)
    for figure in measure(name, Setup(Scale(scale), vendor)):
        print(report.write(figure), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
