"""The table of `nox -s faults`: every scenario, on asyncio, on trio and with threads.

``python -m tests.faults.run`` runs it in full, with ``--short`` in the counts of the CI, with
``--http httpx2`` or ``--http aiohttp`` (asyncio only) over another HTTP stack. It ends with 1 when a
row does not hold. Every fault follows from the seed that is printed.
"""

from __future__ import annotations

import argparse
import functools
import os
import random
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import pytest

from smscode._http.stacks import STACKS
from tests import stacks
from tests.faults import checkpoints, hostile, kills, scenarios, storms
from tests.faults.flavours import FLAVOURS, Flavour
from tests.faults.harness import Server, running_server
from tests.faults.scenarios import Row

Scenario = Callable[[Server, Flavour, int, int], Row]

SCENARIOS: dict[str, tuple[Scenario, int, int]] = {
    "random20": (scenarios.random_faults, 10_000, 500),
    "random50": (functools.partial(scenarios.random_faults, rate=0.5), 2_000, 100),
    "transitions": (scenarios.transitions, 2_000, 150),
    "cut": (scenarios.cut_answers, 1, 37),
    "kill": (kills.kill_and_recover, 200, 8),
    "storm": (storms.cancellation_storm, 20_000, 300),
    "checkpoints": (checkpoints.cancel_at_every_await, 150, 150),
    "race": (scenarios.keepalive_race, 5_000, 400),
    "crowd": (scenarios.crowd, 3_000, 600),
    "extra": (scenarios.foreign_answers, 2_000, 200),
    "hostile": (hostile.hostile_answers, 20, 4),
}
"""Each scenario with its count in full and in short; for "cut" that is the step between the bytes."""

_LINE = "{:<22} {:<8} {:>6} {:>4} {:>5} {:>7} {:>7} {:>7}  {}"


def line_of(row: Row) -> str:
    """Write a row of the table."""
    verdict = row.verdict
    return _LINE.format(
        row.scenario,
        row.flavour,
        row.count,
        verdict.duplicates,
        verdict.lost,
        verdict.orphans,
        "ok" if not verdict.off_by else verdict.off_by,
        f"{row.seconds:.1f}",
        "holds" if row.right else "FAILS",
    )


def run(server: Server, name: str, flavour: Flavour, count: int, seed: int) -> Row:
    """Run one scenario; one that breaks is a row that fails."""
    began = time.monotonic()
    try:
        return SCENARIOS[name][0](server, flavour, count, seed)
    except Exception:
        failure = traceback.format_exc()[-2000:]
        return Row(name, flavour, 0, time.monotonic() - began, failures=(failure,), seed=seed)


def main() -> int:
    """Run what was asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="the counts of the CI")
    parser.add_argument("--seed", type=int, default=None, help="repeat the faults of another run")
    parser.add_argument("--only", nargs="*", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--flavours", nargs="*", choices=FLAVOURS, default=FLAVOURS)
    parser.add_argument("--http", choices=STACKS, default="httpx", help="the stack of the clients")
    given = parser.parse_args()
    flavours: Sequence[Flavour] = given.flavours if given.http != "aiohttp" else ("asyncio",)
    os.environ[stacks.VARIABLE] = given.http
    stacks.use_everywhere(pytest.MonkeyPatch())
    seed = random.SystemRandom().randrange(10**6) if given.seed is None else given.seed
    print(f"seed {seed}")
    print(_LINE.format("scenario", "flavour", "count", "dup", "lost", "orphans", "balance", "seconds", ""))
    began, right = time.monotonic(), True
    for name in given.only:
        for flavour in flavours:
            with running_server(seed) as server:
                _, full, short = SCENARIOS[name]
                row = run(server, name, flavour, short if given.short else full, seed)
            right = right and row.right
            print(line_of(row), flush=True)
            for remark in (row.note, *row.failures[:5], "" if row.verdict.right else str(row.verdict)):
                if remark:
                    print(f"    {remark[:600]}", flush=True)
    print(f"{'all hold' if right else 'NOT ALL HOLD'}, {time.monotonic() - began:.0f} s, seed {seed}")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
