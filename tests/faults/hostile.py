"""The row of the hostile answers, each flavour in a process of its own, so that its memory can be read.

``python -m tests.faults.hostile FLAVOUR PORT CONTROL COUNT`` prints a line of JSON for each kind.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, cast

from tests.faults.flavours import Flavour, Job, Plan, perform
from tests.faults.harness import Server
from tests.faults.judge import Verdict
from tests.faults.scenarios import Row, told_errors
from tests.faults.script import Script

DEADLINE = 1.0
_TOLERANCE = 0.5  # of a machine that others use, too
_MOST_GROWTH = 32.0
_ROOT = Path(__file__).resolve().parents[2]
_PATIENCE = 60.0

SCRIPTS: dict[str, tuple[Script, int]] = {
    "10 MB header": (Script("header"), 1),
    "endless 1xx": (Script("endless"), 2),
    "drip from the head": (Script("drip", how="head", late=0.2), 20),
    "drip of the body": (Script("drip", how="body", late=0.2), 20),
    "gzip bomb": (Script("bomb"), 1),
}
"""The scripts with the calls made at once; the calls that read much are made one after the other."""


def hostile_answers(server: Server, flavour: Flavour, count: int, seed: int) -> Row:
    """Call a server that answers too much, too slowly or for ever; look at memory and at the deadline."""
    ports = [server.base_url.rpartition(":")[2], str(server.control)]
    command = [sys.executable, "-m", "tests.faults.hostile", flavour, *ports, str(count)]
    began = time.monotonic()
    failures: list[str] = []
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=_ROOT, timeout=_PATIENCE, check=False
        )
        shown = done.stdout
        if done.returncode:
            failures.append(f"ended with {done.returncode}: {done.stderr[-400:]}")
    except subprocess.TimeoutExpired as error:
        shown = (error.stdout or b"").decode()
        failures.append(f"not over after {_PATIENCE:.0f} s, in what comes after the last one measured")
    seconds = time.monotonic() - began
    notes, calls, foreign = list[str](), 0, 0
    for line in shown.splitlines():
        name, found = cast("tuple[str, dict[str, Any]]", json.loads(line))
        calls += found["calls"]
        foreign += found["foreign"]
        notes.append(f"{name} {found['growth']:.0f} MB {found['late'] * 1000:+.0f} ms")
        if found["growth"] >= _MOST_GROWTH:
            failures.append(f"{name}: memory grew by {found['growth']:.0f} MB")
        if found["late"] > _TOLERANCE:
            failures.append(f"{name}: {found['late']:.2f} s beyond the deadline")
        if found["succeeded"]:
            failures.append(f"{name}: {found['succeeded']} calls succeeded")
        if found["foreign"]:
            failures.append(f"{name}: {found['errors']}")
    verdict = Verdict(foreign=foreign)
    return Row("hostile answers", flavour, calls, seconds, verdict, tuple(failures), "; ".join(notes), seed)


def measure(server: Server, flavour: Flavour, count: int) -> None:
    """Make the calls of every script, and print what each came to on a line of its own."""
    server.reset(1, Script())
    perform(flavour, server.base_url, Plan([Job("balance")] * 5, workers=5))
    for name, (script, workers) in SCRIPTS.items():
        server.use(script)
        gc.collect()
        before = _status("VmRSS")
        jobs = [
            Job("balance", timeout=DEADLINE) if number % 2 else Job("buy", f"i-{number}", timeout=DEADLINE)
            for number in range(count)
        ]
        # One attempt: what is measured is the answer, not how often it is asked for.
        told = perform(flavour, server.base_url, Plan(jobs, workers=workers, attempts=1, read=30.0))
        found: dict[str, Any] = {
            "calls": len(jobs),
            "growth": max(0, _status("VmHWM") - before) / 1024,
            "late": max(report.late for report in told.reports),
            "foreign": sum(report.foreign for report in told.reports),
            "succeeded": sum(report.outcome is None for report in told.reports),
            "errors": told_errors(told.reports),
        }
        print(json.dumps([name, found]), flush=True)


def _status(name: str) -> int:
    """Read a size in kB from this process's status."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise LookupError(name)


if __name__ == "__main__":
    given = sys.argv[1:]
    running = Server(int(given[1]), int(given[2]))
    measure(running, cast(Flavour, given[0]), int(given[3]))
