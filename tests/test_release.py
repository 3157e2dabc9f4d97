"""What a release needs: one version, a changelog that knows it, and workflows that run what there is."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import smscode

ROOT = Path(__file__).parent.parent
CHANGELOG = (ROOT / "CHANGELOG.md").read_text("utf-8")
HEADINGS = re.findall(r"^## (.*)$", CHANGELOG, re.MULTILINE)
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
CHECK = [sys.executable, str(ROOT / ".ci" / "check_release.py")]


def number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def test_the_version_is_stated_in_one_file_only() -> None:
    stated = re.compile(rf"(?<![\d.]){re.escape(smscode.__version__)}(?![\d.])")
    places = [path for path in (ROOT / "smscode").rglob("*.py") if stated.search(path.read_text("utf-8"))]
    assert [path.name for path in places] == ["_version.py"]
    assert not stated.search((ROOT / "pyproject.toml").read_text("utf-8").partition("[project.opt")[0])


def test_the_changelog_has_its_versions_in_order_with_the_current_one_first() -> None:
    released = [re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d", heading) for heading in HEADINGS[1:]]
    assert HEADINGS[0] == "[Unreleased]"
    assert all(released), "each is a version and a date"
    versions = [number(found[1]) for found in released if found is not None]
    assert versions == sorted(set(versions), reverse=True)
    assert versions[0] == number(smscode.__version__)


@pytest.mark.parametrize("heading", HEADINGS)
def test_each_version_has_each_kind_of_change_once(heading: str) -> None:
    section = CHANGELOG.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    kinds = re.findall(r"^### (.*)$", section, re.MULTILINE)
    assert sorted(kinds) == sorted(KINDS & {*kinds})


@pytest.mark.parametrize("tag", ["v9.9.9", smscode.__version__, ""])
def test_a_tag_that_is_not_the_version_is_refused(tag: str) -> None:
    done = subprocess.run([*CHECK, "tag", tag], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"is not v{smscode.__version__}" in done.stderr


def test_the_tag_of_the_version_has_a_dated_section_in_the_changelog() -> None:
    tag = f"v{smscode.__version__}"
    done = subprocess.run([*CHECK, "tag", tag], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"ok  {tag}\n")


def test_a_tag_without_a_dated_section_is_refused(tmp_path: Path) -> None:
    for name in (".ci/check_release.py", "smscode/_version.py"):
        (tmp_path / name).parent.mkdir()
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "CHANGELOG.md").write_text(f"## [Unreleased]\n\n## [{smscode.__version__}]\n", "utf-8")
    run = [sys.executable, str(tmp_path / ".ci" / "check_release.py"), "tag", f"v{smscode.__version__}"]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"no dated section {smscode.__version__}" in done.stderr


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_run_sessions_that_exist_and_hold_no_password(workflow: Path) -> None:
    text = workflow.read_text("utf-8")
    noxfile = (ROOT / "noxfile.py").read_text("utf-8")
    known = set(re.findall(r"^def (\w+)\(session", noxfile, re.MULTILINE))
    matrix = re.findall(r"session: \[(.*)\]", text)
    used = {name.strip('"').partition(" ")[0] for row in matrix for name in row.split(", ")}
    for line in re.findall(r"nox -s ([\w .${}-]+?)(?: -- .*)?$", text, re.MULTILINE):
        used |= {name.partition("-")[0] for name in re.sub(r"\$\{\{.*?\}\}", "", line).split()}
    assert used
    assert used - known == set()
    assert "secrets." not in text
    pinned = r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+"
    assert all(re.fullmatch(pinned, action) for action in re.findall(r"uses: (.*)", text))
    assert "id-token: write" in text or "publish" not in text


def test_there_are_workflows_for_each_change_for_every_night_and_for_the_release() -> None:
    assert [path.name for path in WORKFLOWS] == ["nightly.yml", "release.yml", "tests.yml"]
