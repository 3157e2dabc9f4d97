"""The table of `nox -s obtain`: ``python -m tests.obtain.run [--short] [--count N] [--seed N]``.

Each run is a world of its own: scenarios, faults, refusals and the caller's interruption follow from its
seed. It ends with 1 when a law was broken.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from tests.obtain.again import repeat
from tests.obtain.crowd import crowd
from tests.obtain.flavours import FLAVOURS, Flavour, run
from tests.obtain.judge import LAWS, judge
from tests.obtain.kills import kills
from tests.obtain.rows import LINE, Row
from tests.obtain.world import RATE, World, draw


def runs(flavour: Flavour, count: int, seed: int, *, interrupted: float = 0.25, rate: float = RATE) -> Row:
    """Make so many runs, each judged by itself."""
    row, began = Row(f"faults {rate:.0%}", flavour, count), time.monotonic()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            one = seed * 100_003 + number
            world = World(one, draw(one, interrupted), rate)
            place = Path(folder, str(number))
            place.mkdir()
            told = run(flavour, world, place)
            reason = f" by {told.error.reason}" if told.error is not None else ""
            row.ends[told.ended + reason] += 1
            row.ends["faults"] += world.faults
            row.broken += [f"{law} in run {one}" for law in judge(world, told)]
            if told.ended == "interrupted" and "idempotency_key" in world.given.arguments:
                row.ends["repeated"] += 1
                row.broken += [f"{law} in run {one}" for law in repeat(flavour, world, place)]
    row.seconds = time.monotonic() - began
    return row


def main() -> int:
    """Run what was asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="the counts of the CI")
    parser.add_argument("--count", type=int, default=None, help="runs for each flavour")
    parser.add_argument("--seed", type=int, default=None, help="repeat another run")
    parser.add_argument("--flavours", nargs="*", choices=FLAVOURS, default=FLAVOURS)
    given = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if given.seed is None else given.seed
    count = given.count or (100 if given.short else 2_000)
    print(f"seed {seed}")
    print(LINE.format("scenario", "flavour", "count", "seconds", ""))
    broken = False
    for flavour in given.flavours:
        for make in (
            partial(runs, flavour, count, seed),
            partial(runs, flavour, count // 4, seed, interrupted=1.0, rate=0.0),
            partial(kills, flavour, max(count // 20, 4), seed),
            partial(crowd, flavour, 50 if given.short else 300, seed),
        ):
            row = make()
            print(row, flush=True)
            for law in row.broken[:5]:
                print(f"    {law}: {LAWS.get(law.split()[0], '')}")
            broken = broken or bool(row.broken)
    print("NOT ALL HOLD" if broken else "all hold", f"seed {seed}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
