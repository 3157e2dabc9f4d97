"""The generator of the synchronous twins, and its check, which nothing may slip through."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_sync", ROOT / ".ci" / "generate_sync.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


generate_sync = load()

SOURCE = '''"""A shell."""

from collections.abc import AsyncIterator

from .._async.lane import AsyncLane


class AsyncShell:
    """Does things."""

    async def __aenter__(self) -> "object":
        await self.aclose()
        return self

    async def __aexit__(self, *error: object) -> None:
        async with self as other:
            async for row in self.rows():
                await (other.handle_async_request(row))

    async def aclose(self) -> None:
        """Close it.

        >>> async with AsyncShell() as shell:
        ...     await shell.aclose()
        """

    async def rows(self) -> AsyncIterator[int]:
        yield 1
        [row async for row in self.rows()]

    async def handle_async_request(self, row: int) -> None:
        """Take it."""
'''

TWIN = '''# Generated from smscode/_async/shell.py by `nox -s generate`: change that file, not this one.

"""A shell."""

from collections.abc import Iterator

from .._sync.lane import Lane


class Shell:
    """Does things."""

    def __enter__(self) -> "object":
        self.close()
        return self

    def __exit__(self, *error: object) -> None:
        with self as other:
            for row in self.rows():
                (other.handle_request(row))

    def close(self) -> None:
        """Close it.

        >>> with Shell() as shell:
        ...     shell.close()
        """

    def rows(self) -> Iterator[int]:
        yield 1
        [row for row in self.rows()]

    def handle_request(self, row: int) -> None:
        """Take it."""
'''


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project, freshly generated."""
    for folder in ("smscode/_async", "tests/_async"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "smscode/_async/shell.py").write_text(SOURCE)
    (tmp_path / "tests/_async/test_shell.py").write_text("x = 1\n")
    assert generate_sync.main([], tmp_path) == 0
    return tmp_path


def check(project: Path) -> int:
    code: int = generate_sync.main(["--check"], project)
    return code


def test_only_names_change(project: Path) -> None:
    assert (project / "smscode/_sync/shell.py").read_text() == TWIN


def test_the_check_passes_what_was_just_written(project: Path) -> None:
    assert check(project) == 0


def test_writing_again_changes_nothing(project: Path) -> None:
    before = {path: path.read_bytes() for path in project.rglob("*.py")}
    assert generate_sync.main([], project) == 0
    assert {path: path.read_bytes() for path in project.rglob("*.py")} == before


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "appended": (lambda twin: twin.write_text(twin.read_text() + "\n"), "differs"),
    "truncated": (lambda twin: twin.write_text(twin.read_text()[:-20]), "differs"),
    "edited": (lambda twin: twin.write_text(twin.read_text().replace("Does", "Did")), "differs"),
    "line ends": (lambda twin: twin.write_bytes(twin.read_bytes().replace(b"\n", b"\r\n")), "differs"),
    "missing": (lambda twin: twin.unlink(), "missing"),
    "orphan": (lambda twin: twin.with_name("orphan.py").write_text(""), "has no source"),
    "foreign file": (lambda twin: twin.with_name("notes.txt").write_text(""), "has no source"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_the_check_fails_on_a_generated_file_that_is(
    kind: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, said = CHANGES[kind]
    change(project / "smscode/_sync/shell.py")
    assert check(project) == 1
    assert said in capsys.readouterr().err


def test_the_check_fails_on_a_source_that_changed(project: Path) -> None:
    source = project / "smscode/_async/shell.py"
    source.write_text(source.read_text() + "\nX = 1\n")
    assert check(project) == 1


def test_generating_deletes_what_has_no_source(project: Path) -> None:
    orphan = project / "tests/_sync/test_old.py"
    orphan.write_text("")
    assert generate_sync.main([], project) == 0
    assert not orphan.exists()


def test_the_check_changes_nothing(project: Path) -> None:
    twin = project / "smscode/_sync/shell.py"
    twin.write_text("edited")
    check(project)
    assert twin.read_text() == "edited"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("import asyncio", "imports asyncio"),
        ("from anyio import sleep", "imports anyio"),
        ("import trio.lowlevel", "imports trio"),
        ("x = 'await nothing'", "inside a string"),
        ('x: "AsyncShell"', "inside a string"),
        ("x = f'{AsyncShell}'", "inside a"),
        ("async \\\ndef f(): ...", "at the end of a line"),
    ],
)
def test_what_has_no_synchronous_meaning_is_refused(
    line: str, why: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "smscode/_async/shell.py").write_text(SOURCE + line + "\n")
    assert generate_sync.main([], project) == 1
    assert why in capsys.readouterr().err


def test_a_rule_that_nobody_uses_is_an_error(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "smscode/_async/shell.py").write_text("x = 1\n")
    assert check(project) == 1
    assert "rules nobody uses: __aenter__" in capsys.readouterr().err


def test_the_twins_of_this_project_are_up_to_date() -> None:
    assert generate_sync.problems(ROOT) == []
