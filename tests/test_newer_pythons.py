"""The script that unpacks newer Pythons for `.ci/run`: its source of packages, and what it reports."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from .programs import ROOT


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("newer_pythons", ROOT / ".ci" / "newer_pythons.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


newer_pythons = load()

PARAGRAPHS = """\
Types: deb
# an old address
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main

Types: deb
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""
LINES = """\
# deb http://mirror.example/old bookworm main
deb http://mirror.example/debian-security bookworm-security main
deb [arch=amd64 signed-by=/usr/share/keyrings/a.gpg]  http://mirror.example/debian bookworm main contrib
"""


def test_the_new_source_differs_from_the_own_one_in_its_suites_only() -> None:
    name, text = newer_pythons.source({"other.list": "", "debian.sources": PARAGRAPHS}, "bookworm")
    assert name == "debian.sources"
    assert text.splitlines() == [
        "Types: deb",
        "URIs: http://mirror.example/debian",
        "Suites: unstable experimental",
        "Components: main",
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg",
    ]


def test_a_source_of_one_line_becomes_one_for_each_suite() -> None:
    name, text = newer_pythons.source({"sources.list": LINES}, "bookworm")
    start = "deb [arch=amd64 signed-by=/usr/share/keyrings/a.gpg] http://mirror.example/debian"
    assert name.endswith(".list")
    assert text.splitlines() == [f"{start} unstable main contrib", f"{start} experimental main contrib"]


@pytest.mark.parametrize(
    "texts",
    [
        {},
        {"debian.sources": PARAGRAPHS.replace("Types: deb", "Types: deb\nEnabled: no")},
        {"sources.list": LINES.replace("deb [", "# deb [")},
        {"debian.sources": PARAGRAPHS.replace("bookworm", "trixie")},
    ],
)
def test_without_a_source_of_the_own_release_there_is_none(texts: dict[str, str]) -> None:
    with pytest.raises(newer_pythons.NotAvailable, match="has Debian's release 'bookworm'"):
        newer_pythons.source(texts, "bookworm")


def test_what_cannot_be_had_is_said_and_is_no_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def source() -> tuple[str, str]:
        raise newer_pythons.NotAvailable("this is Fedora, not Debian")

    monkeypatch.setattr(newer_pythons, "own_source", source)
    newer_pythons.main(str(tmp_path), ["3.14", "3.15"])
    assert capsys.readouterr().out == "== No newer CPython is tested here: this is Fedora, not Debian\n"


def test_a_version_that_cannot_be_had_does_not_hold_up_the_next(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def unpack(pythons: object, version: str) -> str:
        if version == "3.14":
            raise newer_pythons.NotAvailable("apt-get: E: Unable to locate package")
        return f"{version}.1"

    def ready(pythons: object) -> None:
        """Nothing is to be done."""

    monkeypatch.setattr(newer_pythons.Pythons, "prepare", ready)
    monkeypatch.setattr(newer_pythons.Pythons, "unpack", unpack)
    newer_pythons.main(str(tmp_path), ["3.14", "3.15"])
    first, second = capsys.readouterr().out.splitlines()
    assert first == "== CPython 3.14 is not tested here: apt-get: E: Unable to locate package"
    assert second.startswith("== CPython 3.15.1 was unpacked, ")


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (("sh", "-c", "echo WARNING odd >&2; echo E: no such suite >&2; exit 100"), "sh: E: no such suite"),
        (("sh-that-is-missing",), "sh-that-is-missing: .*No such file"),
    ],
)
def test_a_command_that_fails_says_why(command: tuple[str, ...], why: str, tmp_path: Path) -> None:
    with pytest.raises(newer_pythons.NotAvailable, match=why):
        newer_pythons.Pythons(tmp_path).run(*command)


def test_the_time_for_all_commands_together_is_limited(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(newer_pythons, "MOST", -1.0)
    with pytest.raises(newer_pythons.NotAvailable, match="longer than"):
        newer_pythons.Pythons(tmp_path).run("sleep", "30")
