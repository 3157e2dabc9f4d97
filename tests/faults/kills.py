"""The row of the kills: a program dies in the middle of buying, and its journal settles the rest."""

from __future__ import annotations

import importlib.util
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.faults.flavours import Flavour
from tests.faults.harness import TOKEN, Server
from tests.faults.judge import Report, judge
from tests.faults.scenarios import Row
from tests.faults.script import Script

_ROOT = Path(__file__).resolve().parents[2]
_SCRIPT = Script("random", rate=0.1, latency=0.002, jitter=0.01, stall=0.5)


def kill_and_recover(server: Server, flavour: Flavour, count: int, seed: int) -> Row:
    """Kill a buying program many times; afterwards nothing was bought twice and nothing is forgotten."""
    if importlib.util.find_spec("smscode.journal") is None:
        return Row("kill and recover", flavour, 0, 0.0, failures=("there is no journal",), seed=seed)
    server.reset(seed, _SCRIPT)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        journal, diary = Path(folder, "journal.sqlite"), Path(folder, "diary.jsonl")
        arguments = {"base-url": server.base_url, "journal": journal, "diary": diary, "flavour": flavour}
        arguments |= {"kills": count, "seed": seed}
        command = [sys.executable, "-m", "tests.faults.killed"]
        for name, value in arguments.items():
            command += [f"--{name}", str(value)]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=_ROOT, timeout=120 + 2.0 * count, check=False
        )
        lines: list[dict[str, Any]] = [json.loads(line) for line in _lines(diary)]
        kept = texts_of(journal)
        shown = any(TOKEN.encode() in path.read_bytes() for path in Path(folder).iterdir())
    book = server.settled()
    failures = [f"run {line['run']}: {line['text'][-300:]}" for line in lines if line["what"] == "error"]
    if done.returncode:
        failures.append(f"ended with {done.returncode}: {done.stderr[-400:]}")
    if shown:
        failures.append("the token is on disk")
    ends = [line for line in lines if line["what"] == "end"]
    if len(ends) < 2 or ends[-1]["unresolved"]:
        failures.append("unresolved after recovering")
    reports = [
        Report("buy", intents[0], tuple(line["orders"]), key=line["key"])
        for line in lines
        if line["what"] == "bought"
        and (intents := [order.intent for order in book.orders if order.id in line["orders"]])
    ]
    verdict = judge(book, (), reports, kept)
    killed = json.loads(done.stdout)["killed"] if done.returncode == 0 else 0
    note = f"{len(book.orders)} orders, {len(reports)} returned before a kill"
    seconds = time.monotonic() - began
    return Row("kill and recover", flavour, killed, seconds, verdict, tuple(failures), note, seed)


def _lines(diary: Path) -> list[str]:
    return diary.read_text(encoding="utf-8").splitlines() if diary.exists() else []


def texts_of(journal: Path) -> set[str]:
    """Return every text in a journal, whatever its tables are."""
    texts: set[str] = set()
    with closing(sqlite3.connect(journal)) as file:
        tables = [name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in file.execute(f'SELECT * FROM "{table}"'):
                texts.update(cell for cell in row if isinstance(cell, str))
                texts.update(cell.decode("latin-1") for cell in row if isinstance(cell, bytes))
    return texts
