"""The changes that mutation testing makes: each is one other program, and types and texts stay."""

from __future__ import annotations

import ast

import pytest

from tests.mutants.changes import changes
from tests.mutants.modules import ROOT, TESTS, files_of, modules


def made(source: str) -> set[str]:
    return {ast.unparse(ast.parse(change.after)) for change in changes("module.py", source)}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = a < b", {"x = a <= b"}),
        ("x = a + b", {"x = a - b"}),
        ("x = a and b", {"x = a or b", "x = a", "x = b"}),
        ("x = not a", {"x = a"}),
        ("x = 0.5", {"x = 1.0"}),
        ("x = True", {"x = False"}),
        ("x = min(a, b)", {"x = a", "x = b"}),
        ("x = a.strip()", {"x = a"}),
        ("x = f(a, b=c)", {"x = f(a)"}),
        ("x = [a for a in b if c]", {"x = [a for a in b]"}),
        ("x = a[b:]", {"x = a[:]"}),
        ("x.y = a", {"pass"}),
        ("raise a", {"pass"}),
        ("def f():\n    return a", {"def f():\n    return None"}),
        ("if a:\n    b", {"if True:\n    b", "if False:\n    b", "if a:\n    pass"}),
        ("x = Pace.A, Pace.B", {"x = (Pace.B, Pace.B)", "x = (Pace.A, Pace.A)"}),
        ("T = {a: f(b), c: f(d)}", {"T = {a: f(d), c: f(d)}", "T = {a: f(b), c: f(b)}"}),
    ],
)
def test_each_change_is_another_program(source: str, expected: set[str]) -> None:
    assert made(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        '"""A docstring."""',
        "x: Literal['a', 'b']",
        "def f(a: int | None) -> Literal[1]: ...",
        "raise ValueError('No such order.')",
        "from a import b",
        "__all__ = ['a']",
        "x = f'{a} of {b + 1}'",
    ],
)
def test_types_and_texts_for_people_are_left_alone(source: str) -> None:
    assert made(source) <= {"pass"}


def test_a_change_is_shown_as_the_lines_that_differ_wherever_they_stand() -> None:
    source = "class Gate:\n    def open(self):\n        x = 1, '\u00e4', a < b\n"
    (*_, change) = changes("module.py", source)
    assert change.diff == ["-        x = 1, '\u00e4', a < b", "+        x = 1, '\u00e4', (a <= b)"]
    assert change.name == "module.py Gate.open: - x = 1, '\u00e4', a < b + x = 1, '\u00e4', (a <= b)"
    assert change.after == source.replace("a < b", "(a <= b)")


def test_what_the_table_of_modules_names_exists() -> None:
    files = [file for path in modules() for file in files_of(path)]
    assert [path for path in (*TESTS, *files) if not (ROOT / path).exists()] == []
