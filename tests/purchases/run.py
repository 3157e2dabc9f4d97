"""The proof of purchases: ``python -m tests.purchases.run [--short | --mutants] [--seed N] [--only NAME]``.

``--only`` takes the name of a scenario as it is printed, or a pattern such as ``line/create/*``. It ends
with 1 when a law was broken; what was tried follows from the names and the seed.
"""

from __future__ import annotations

import argparse
import fnmatch
import random
import re
import sys
import time
from collections import Counter

from tests.purchases.catalogue import catalogue
from tests.purchases.judge import LAWS, Violation
from tests.purchases.pool import Job, Outcome, running_pool

_LINE = "{:<66} {:>6} {:>6} {:>7}  {}"


def line_of(outcome: Outcome) -> str:
    """Return the line of the table for a scenario."""
    laws = ", ".join(f"{law} {count}" for law, count in sorted(outcome.laws.items()))
    return _LINE.format(
        outcome.job.name, outcome.points, outcome.made, f"{outcome.seconds:.1f}", laws or "holds"
    )


def samples(violations: list[Violation], most: int) -> list[str]:
    """Return some of the violations, of as many kinds as possible."""
    kinds: Counter[str] = Counter()
    chosen: list[str] = []
    for violation in violations:
        kind = f"{violation.law} {re.sub(r'[0-9a-f]{12}|[0-9]+', '#', violation.text)}"
        kinds[kind] += 1
        if kinds[kind] == 1 and len(chosen) < most:
            chosen.append(str(violation)[:1200])
    return chosen


def show(outcome: Outcome) -> None:
    """Print the diary of the first points at which a law was broken."""
    points = list(dict.fromkeys(violation.point for violation in outcome.violations))[:3]
    for fact in outcome.facts:
        if fact.point in points:
            print(f"      {fact.at:.3f} {fact.point} life {fact.life} {fact.what} {fact.details}")


def wanted(jobs: list[Job], patterns: list[str] | None) -> list[Job]:
    """Return the jobs whose names fit one of the patterns."""
    if not patterns:
        return jobs
    return [job for job in jobs if any(fnmatch.fnmatchcase(job.name, pattern) for pattern in patterns)]


def run_mutants(names: list[str] | None, slots: int, seed: int) -> int:
    """Run the scenarios of each mutant; return 1 unless each of them breaks a law that it should."""
    from tests.purchases.mutants import MUTANTS, jobs_of

    by_name = {
        job.name: mutant
        for mutant in MUTANTS
        for job in jobs_of(mutant)
        if not names or any(fnmatch.fnmatchcase(mutant.name, name) for name in names)
    }
    jobs = [job for mutant in MUTANTS for job in jobs_of(mutant) if job.name in by_name]
    print(f"seed {seed}, {len(jobs)} scenarios with a fault")
    missed = 0
    with running_pool(slots, seed) as pool:
        for outcome in pool.run(jobs):
            expected = by_name[outcome.job.name].laws
            seen = any(law in outcome.laws for law in expected)
            missed += not seen
            found = ", ".join(f"{law} {count}" for law, count in sorted(outcome.laws.items()))
            verdict = "seen" if seen else f"NOT SEEN, expected {' or '.join(expected)}"
            print(f"{outcome.job.name:<100} {found or 'holds':<24} {verdict}", flush=True)
    print("all seen" if not missed else f"{missed} NOT SEEN")
    return 1 if missed or not jobs else 0


def main() -> int:
    """Run what was asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a sample for the CI")
    parser.add_argument("--seed", type=int, default=None, help="repeat another run")
    parser.add_argument("--only", nargs="*", help="names of scenarios, or patterns of them")
    parser.add_argument("--mutants", action="store_true", help="put each known fault back: all must be seen")
    parser.add_argument("--slots", type=int, default=2, help="scenarios at once")
    parser.add_argument("--diary", action="store_true", help="print what was told where a law was broken")
    parser.add_argument("--list", action="store_true", help="only print the names")
    given = parser.parse_args()
    if given.mutants:
        return run_mutants(given.only, given.slots, given.seed or 1)
    seed = random.SystemRandom().randrange(10**6) if given.seed is None else given.seed
    jobs = wanted(catalogue(short=given.short), given.only)
    if given.list:
        print(*(job.name for job in jobs), sep="\n")
        return 0
    print(f"seed {seed}, {len(jobs)} scenarios")
    print(_LINE.format("scenario", "points", "made", "seconds", ""))
    began, laws, points, made, hold = time.monotonic(), Counter[str](), 0, 0, 0.0
    with running_pool(given.slots, seed) as pool:
        for outcome in pool.run(jobs):
            laws.update(outcome.laws)
            points, made = points + outcome.points, made + outcome.made
            hold = max(hold, outcome.longest_hold)
            print(line_of(outcome), flush=True)
            for text in samples(outcome.violations, 6):
                print(f"    {text}", flush=True)
            if given.diary:
                show(outcome)
    for law, meaning in LAWS.items():
        print(f"{law:<7}{meaning}: {laws[law] or 'holds'}")
    print(f"{points} points, {made} interruptions, longest hold {hold * 1000:.0f} ms, seed {seed}")
    print(f"{'all hold' if not laws and jobs else 'NOT ALL HOLD'}, {time.monotonic() - began:.0f} s")
    return 1 if laws or not jobs else 0


if __name__ == "__main__":
    sys.exit(main())
