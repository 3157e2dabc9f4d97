"""The runs of mutation tests: how they end, and which tests are in them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants.modules import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the runs are forked")

TESTS = """
import time
def test_short(): pass
def test_wrong(): assert False
def test_endless(): time.sleep(3600)
def test_hanging(): time.sleep(3600)
def test_long(): print("long")
def test_last(): print("last")
"""
# In a process of its own, because that of the tests has threads, which a fork leaves behind.
PROGRAM = """
import json, sys, time
from pathlib import Path
from tests.mutants.runs import Chosen, Run

def ending(only, no=(), limit=60.0):
    chosen = Chosen({"test_it.py::test_long": 5.0, "test_it.py::test_hanging": -2.9}, only, no)
    run = Run(Path(sys.argv[1]), ["-x", "-s", "test_it.py"], [chosen], limit)
    while (verdict := run.verdict()) is None:
        time.sleep(0.01)
    return verdict, run.end()

def ids(*names):
    return {f"test_it.py::{name}" for name in names}

right = ending(None, no=ids("test_wrong", "test_endless", "test_hanging"))
print(json.dumps([
    ending(ids("test_short"))[0],
    ending(ids("test_short", "test_wrong"))[0],
    ending(ids("test_endless"), limit=2.0)[0],
    ending(ids("test_hanging"))[0],
    ending(ids("test_nothing"))[0],
    right[0],
    right[1].index("last") < right[1].index("long"),
]))
"""


def test_a_run_says_how_the_chosen_tests_end(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr
    nothing = "NOT NOTICED"
    assert json.loads(done.stdout) == [
        *(nothing, "failed", "did not end", "did not end"),
        *(nothing, nothing, True),
    ]
