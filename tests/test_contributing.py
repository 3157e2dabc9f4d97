"""What the pages for contributors say is so: their tables, and the endpoint that is added on one of them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from .programs import ROOT

PAGES = ROOT / "docs" / "pages" / "contributing"
ENDPOINT = (PAGES / "add-an-endpoint.md").read_text("utf-8")
_CHANGE = re.compile(r'^```diff title="(.+?)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)


def changed(text: str, change: str) -> str:
    """Apply a change: pieces between lines of ``@@``, each found once; one without context is appended."""
    for piece in change.split("@@\n"):
        lines = piece.splitlines(keepends=True)
        old, new = ("".join(line[1:] for line in lines if line[0] != not_in) for not_in in "+-")
        if not old:
            text += new
            continue
        assert text.count(old) == 1, f"{old!r} is there {text.count(old)} times"
        text = text.replace(old, new)
    return text


def in_a_copy(folder: Path, changes: dict[str, str]) -> None:
    """Copy the project and apply changes to its files."""
    unwanted = shutil.ignore_patterns("__pycache__")
    for name in ("smscode", "tests", ".ci"):
        shutil.copytree(ROOT / name, folder / name, ignore=unwanted)
    for name in ("README.md", "CHANGELOG.md", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    for name, change in changes.items():
        file = folder / name
        file.write_text(changed(file.read_text("utf-8"), change), encoding="utf-8")


def test_the_endpoint_of_the_page_is_complete(tmp_path: Path) -> None:
    changes = dict(_CHANGE.findall(ENDPOINT))
    assert [*changes] == re.findall(r"^\| `([\w/.]+)` \|", ENDPOINT, re.MULTILINE)
    assert len(changes) == 8
    in_a_copy(tmp_path, changes)
    tests = ("tests/test_endpoints.py", "tests/_async/test_operations.py", "-k", "messages")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert "\n5 passed" in done.stdout, (
        "its files are complete, and its test passes in both flavours and versions"
    )
