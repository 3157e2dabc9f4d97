"""What it costs to start Python and import the package."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from functools import partial

from .measure import interleave
from .one import NOT_NEEDED
from .suite import Figure, Setup

_WITHOUT = f"import sys; sys.modules.update(dict.fromkeys({NOT_NEEDED!r})); "
PROGRAMS = {
    "httpx and attrs": "import httpx, attrs",
    "this": "import smscode",
    "this with a client": "from smscode import AsyncClient; AsyncClient('a-token-of-benchmarks')",
    "httpx with a client, attrs": "import httpx, attrs; httpx.AsyncClient()",
    "nothing": "",
}


def start(program: str) -> float:
    """Start Python for a program; return the seconds of CPU."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", _WITHOUT + program], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def run(setup: Setup) -> Iterator[Figure]:
    """Compare with the start of what the package stands on."""
    rounds = setup.pick(21, 7, 1)
    found = interleave({name: partial(start, program) for name, program in PROGRAMS.items()}, rounds)
    yield Figure(
        "python -c 'import smscode' / 'import httpx, attrs'",
        found.ratio("this", "httpx and attrs"),
        1.15,
        parts=found.show("ms", 1e3),
    )
    yield Figure(
        "the same with a client made / 'import httpx, attrs' with an httpx client made",
        found.ratio("this with a client", "httpx with a client, attrs"),
    )
