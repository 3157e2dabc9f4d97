"""The core does no I/O and knows no clock; what is public is complete and in order."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import attrs
import pytest

import smscode
from smscode import errors, models

PACKAGE = Path(smscode.__file__).parent
PURE = sorted(
    [
        *(PACKAGE / "core").rglob("*.py"),
        *(PACKAGE / f"{name}.py" for name in ("errors", "models", "money", "webhooks", "receiver", "calls")),
    ]
)
IMPURE = {
    *(
        "httpx",
        "httpcore",
        "h11",
        "anyio",
        "asyncio",
        "trio",
        "sniffio",
        "threading",
        "concurrent",
        "multiprocessing",
    ),
    *(
        "socket",
        "ssl",
        "selectors",
        "select",
        "signal",
        "subprocess",
        "os",
        "io",
        "tempfile",
        "pathlib",
        "sqlite3",
    ),
    *("time", "random", "secrets", "logging", "http"),
}
LOCKING = {"receiver.py"}  # any number of threads may receive webhooks
CLOCKS = {"now", "utcnow", "today"}


def imported(path: Path) -> Iterator[str]:
    """Return the dotted names of the modules that a file imports, relative ones resolved."""
    package = ["smscode", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            whole = ".".join([*base, *([node.module] if node.module else [])])
            yield whole
            if node.level:
                yield from (f"{whole}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", PURE, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_module_of_the_core_imports_nothing_that_waits_or_talks(path: Path) -> None:
    names = set(imported(path))
    impure = IMPURE - {"threading"} if path.name in LOCKING else IMPURE
    assert not {name for name in names if name.partition(".")[0] in impure}
    shells = (
        "smscode._async",
        "smscode._sync",
        "smscode._http",
        "smscode._concurrency",
        "smscode.sandbox",
    )
    assert not {name for name in names if name.startswith(shells)}


@pytest.mark.parametrize("path", PURE, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_module_of_the_core_reads_no_clock_opens_no_file_and_is_never_async(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        assert not isinstance(node, (ast.AsyncFunctionDef, ast.Await, ast.AsyncWith, ast.AsyncFor))
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in ("open", "print", "input", "eval", "exec", "__import__")
            assert not (called.rpartition(".")[2] in CLOCKS and "date" in called)


def test_the_checks_above_see_the_core_and_would_notice() -> None:
    names = {path.name for path in PURE}
    assert {"flow.py", "converter.py", "retry.py", "sms_wait.py", "errors.py", "webhooks.py"} <= names
    assert len(PURE) >= 24
    assert {"ssl", "smscode.core.effects", "smscode._concurrency"} <= set(
        imported(PACKAGE / "_http" / "failures.py")
    )
    assert "smscode.errors" in set(imported(PACKAGE / "core" / "answers.py"))


def test_the_errors_import_nothing_of_the_package() -> None:
    assert not {name for name in imported(PACKAGE / "errors.py") if name.startswith("smscode")}


@pytest.mark.parametrize("module", [smscode, smscode.models, smscode.webhooks, smscode.calls])
def test_every_public_name_exists_once(module: ModuleType) -> None:
    names: list[str] = module.__all__
    assert len(set(names)) == len(names)
    for name in names:
        assert getattr(module, name) is not None


def test_the_public_names_are_in_order() -> None:
    for names in (smscode.__all__, smscode.models.__all__, smscode.calls.__all__):
        assert names == sorted(names)


def test_every_error_and_every_model_is_exported() -> None:
    classes = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type)
        and issubclass(value, BaseException)
        and value.__module__ == errors.__name__
    }
    described = {
        name
        for name, value in vars(models).items()
        if attrs.has(value)
        and value.__module__ == models.__name__
        and name not in ("Capabilities", "Model", "OrderFields")
    }
    assert described - {*models.__all__} == set(), "smscode/models.py: __all__ has not all of them"
    unexported = (classes | {*models.__all__}).difference(smscode.__all__)
    assert unexported == set(), "smscode/__init__.py: the names are missing"
    doc = errors.__doc__ or ""
    coded = {class_.__name__ for class_, _ in errors.API_ERRORS.values()} | {"PayloadTooLargeError"}
    assert {name for name in classes - coded if name not in doc} == set(), "smscode/errors.py: the tree"


@pytest.mark.parametrize("name", sorted(smscode.__all__))
def test_every_public_class_is_documented(name: str) -> None:
    value = getattr(smscode, name)
    if isinstance(value, type):
        assert (value.__doc__ or "").strip(), name
