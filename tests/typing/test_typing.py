"""What type checkers accept and refuse of a user's program."""

from __future__ import annotations

import importlib.util
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from smscode import AsyncOrders, Orders
from smscode.core.api.orders import PurchaseArguments
from smscode.core.purchase_arguments import ByCatalogProduct, ByName, ByProduct
from tests.programs import programs_of

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("program.txt").read_text("utf-8")
# Not a module, because the checks of this project itself must not see it.


def by_mypy(path: Path) -> set[int]:
    """Return the lines that mypy refuses."""
    command = [sys.executable, "-m", "mypy", "--no-pretty", "--hide-error-context", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=600)
    assert done.returncode == 1, done.stdout + done.stderr
    return {int(line) for line in re.findall(r"program\.py:(\d+): error:", done.stdout)}


def by_pyright(path: Path) -> set[int]:
    """Return the lines that pyright refuses."""
    command = [sys.executable, "-m", "pyright", "--outputjson", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=600)
    assert done.returncode == 1, done.stdout + done.stderr
    found = json.loads(done.stdout)["generalDiagnostics"]
    return {each["range"]["start"]["line"] + 1 for each in found if each["severity"] == "error"}


def test_the_programs_of_the_documentation_are_typed_strictly(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    pages = [*ROOT.glob("README*.md"), *(ROOT / "docs/pages").rglob("*.md")]
    for number, program in enumerate(program for page in pages for program in programs_of(page)):
        name = re.sub(r"\W", "_", program.name)
        (tmp_path / f"{name}_{number}.py").write_text(program.source, "utf-8")
    # What other packages leave untyped is not ours to mend; a middleware of Flask is assigned to a method.
    lenient = ["--ignore-missing-imports", "--allow-untyped-decorators", "--disable-error-code=method-assign"]
    command = [sys.executable, "-m", "mypy", "--strict", "--scripts-are-modules", *lenient]
    programs = map(str, sorted(tmp_path.glob("*.py")))
    done = subprocess.run([*command, *programs], capture_output=True, text=True, cwd=ROOT, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_program_has_enough_of_both_kinds() -> None:
    lines = [line for line in PROGRAM.splitlines() if re.search(r"^ .*(client\.| = |print\()", line)]
    wrong = [line for line in lines if line.endswith("# wrong")]
    assert len(wrong) >= 40
    assert len(lines) - len(wrong) >= 40


@pytest.mark.parametrize(("checker", "find"), [("mypy", by_mypy), ("pyright", by_pyright)])
def test_wrong_uses_are_refused_and_right_ones_accepted(
    checker: str, find: Callable[[Path], set[int]], tmp_path: Path
) -> None:
    if importlib.util.find_spec(checker) is None:
        pytest.skip(f"{checker} is not installed")
    lines = PROGRAM.splitlines()
    wrong = {number for number, line in enumerate(lines, 1) if line.endswith("# wrong")}
    path = tmp_path / "program.py"
    path.write_text(PROGRAM, "utf-8")
    found = find(path)
    assert [lines[number - 1].strip() for number in sorted(wrong - found)] == [], "accepted"
    assert [lines[number - 1].strip() for number in sorted(found - wrong)] == [], "refused"


PURCHASE = inspect.signature(PurchaseArguments).parameters


def test_the_purchase_arguments_are_the_same_for_type_checkers_and_at_run_time() -> None:
    hints = {name for each in (ByProduct, ByCatalogProduct, ByName) for name in get_type_hints(each)}
    assert hints - {"idempotency_key"} == {*PURCHASE}


@pytest.mark.parametrize("orders", [AsyncOrders, Orders])
@pytest.mark.parametrize("method", ["create", "rent", "create_many"])
def test_the_methods_show_their_real_parameters(orders: Any, method: str) -> None:
    parameters = inspect.signature(getattr(orders, method)).parameters
    for name, parameter in PURCHASE.items():
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert parameters[name].default is None
        assert parameters[name].annotation == parameter.annotation
    assert {"self", "timeout", "idempotency_key"} <= parameters.keys()
    assert parameters["unnamed"].kind is inspect.Parameter.VAR_POSITIONAL  # refused, in words
    assert not any(each.kind is each.VAR_KEYWORD for each in parameters.values())
