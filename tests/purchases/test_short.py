"""A little of `nox -s purchases`, as a test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_SEED = "20260614"


@pytest.mark.parametrize(
    "patterns",
    [
        ["task/*/asyncio/ok/none/steady", "scope/create/trio/*", "kill/create/*"],
        ["answers/asyncio/none", "again/*", "accounts/asyncio", "living/asyncio", "none/*"],
        ["line/create/*", "line/wait_for_otp/*", "twice/create/*"],
        ["recovers_cancelled/task", "busy_creates/task", "many_killed/asyncio/SIGKILL", "ctrl_c/create"],
    ],
    ids=["cancellations and kills", "doubts and clocks", "interrupted lines", "counts"],
)
def test_purchases_keep_their_laws(patterns: list[str]) -> None:
    command = [sys.executable, "-m", "tests.purchases.run", "--short", "--seed", _SEED, "--only", *patterns]
    done = subprocess.run(command, capture_output=True, text=True, cwd=_ROOT, timeout=300, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "all hold" in done.stdout
