"""What the pages for contributors say is so: their tables, and the endpoint that is added on one of them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from .programs import ROOT
from .test_layers import LAYERS

PAGES = ROOT / "docs" / "pages" / "contributing"
COMPLETE = ("tests/test_endpoints.py", "tests/core", "tests/sandbox/test_openapi.py")
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
    for name in ("smscode", "tests", "docs", ".ci"):
        shutil.copytree(ROOT / name, folder / name, ignore=unwanted)
    for name in ("README.md", "CHANGELOG.md", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    for name, change in changes.items():
        file = folder / name
        file.write_text(changed(file.read_text("utf-8"), change), encoding="utf-8")


def changes_of(page: str, folder: Path) -> None:
    """Apply the changes of a page to a copy of the project, and check that its table lists their files."""
    text = (PAGES / page).read_text("utf-8")
    changes = dict(_CHANGE.findall(text))
    assert [*changes] == re.findall(r"^\| `([\w/.]+)` \|", text, re.MULTILINE)
    in_a_copy(folder, changes)


def passed(folder: Path, *arguments: str) -> int:
    """Run tests of a copy of the project; return how many passed, which are all."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return int(re.findall(r"^(\d+) passed", done.stdout, re.MULTILINE)[0])


# Whatever lists all endpoints or codes says so in its name.


def test_the_endpoint_of_the_page_is_complete(tmp_path: Path) -> None:
    changes_of("add-an-endpoint.md", tmp_path)
    used = "tests/_async/test_operations.py"
    assert (
        passed(tmp_path, *COMPLETE, used, "-k", "messages or (every or documented) and not everything") > 100
    )


def test_the_error_code_of_the_page_is_complete(tmp_path: Path) -> None:
    changes_of("add-an-error-code.md", tmp_path)
    used = "tests/sandbox/test_codes.py"
    assert (
        passed(tmp_path, *COMPLETE, used, "-k", "NUMBER_BLOCKED or (every or documented) and not everything")
        > 100
    )


def test_the_layers_of_the_page_are_those_that_are_enforced() -> None:
    page = (PAGES / "architecture.md").read_text("utf-8")
    _, _, section = page.partition("| Modules | What is there |\n|---|---|\n")
    rows = section.partition("\n\n")[0].splitlines()
    assert [tuple(re.findall(r"`(.+?)`", row.split(" | ")[0])) for row in rows] == [*LAYERS]


def test_the_files_that_the_picture_of_a_call_names_are_there() -> None:
    picture = (ROOT / "docs" / "pages" / "pictures" / "call.svg").read_text("utf-8")
    named = re.findall(r">([\w/]+\.py|core/\w+)<", picture)
    assert len(named) > 8
    assert {name for name in named if not [*(ROOT / "smscode").glob(f"**/{name}")]} == set()


def test_the_glossary_is_in_alphabetical_order() -> None:
    words = re.findall(r"^\*\*(.+)\*\*\n:   \S", (PAGES / "glossary.md").read_text("utf-8"), re.MULTILINE)
    assert len(words) > 40
    assert words == sorted(words, key=str.casefold)


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "SECURITY.md", ".github/pull_request_template.md"])
def test_every_session_file_and_link_that_a_guide_names_is_there(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    sessions = {*re.findall(r"^def (\w+)\(session", (ROOT / "noxfile.py").read_text("utf-8"), re.MULTILINE)}
    for names in re.findall(r"`nox -s ([\w ]+?)(?: --.*?)?`", text):
        assert {*names.split()} <= sessions
    groups: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))[
        "dependency-groups"
    ]
    assert {*re.findall(r"--group (\w+)", text)} <= {*groups}
    files = [*re.findall(r"\]\(([^)#:]+)\)", text), *re.findall(r"`([\w.]+/[\w./]+)`", text)]
    assert [file for file in files if not (ROOT / file).exists()] == []


def test_the_keys_of_the_shared_limits_are_those_of_the_script() -> None:
    page = (PAGES / "shared-limits.md").read_text("utf-8")
    source = (ROOT / "smscode" / "_ratelimit" / "redis.py").read_text("utf-8")
    stated = re.findall(r"^\| `(\w+)` \| (?:hash|sorted set) \|", page, re.MULTILINE)
    assert {*stated} == {*re.findall(r'\btag \+ "(\w+)"', source)}
