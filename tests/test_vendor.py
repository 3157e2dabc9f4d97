"""The vendor's SDK is imported as ``smscode``, too: which of both is there, and what its names are here."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import smscode
from smscode import webhooks
from smscode.__main__ import main
from smscode._vendor import NAMES, beside, missing, overwritten
from smscode.cli.exits import Exit

PACKAGE = Path(smscode.__file__).parent
COMMANDS = "To have smscode-async alone: python -m pip uninstall --yes smscode smscode-async, then python -m"


def python(where: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python where ``smscode`` is what was installed in a folder."""
    program = f"import sys; sys.path.insert(0, {str(where)!r})"
    run = ["-c", f"{program}; {arguments[0]}"] if len(arguments) == 1 else list(arguments)
    return subprocess.run([sys.executable, *run], capture_output=True, text=True, cwd=where, timeout=120)


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """Install this package in a folder."""
    shutil.copytree(PACKAGE, tmp_path / "smscode", ignore=shutil.ignore_patterns("__pycache__", "sandbox"))
    return tmp_path


def install_theirs(where: Path, *, over: bool) -> None:
    """Install what stands for the vendor's SDK in the same folder, before or after this package."""
    (where / "smscode" / "async_client.py").write_text("class AsyncSmscodeClient: ...\n")
    if over:
        program = "from smscode.async_client import AsyncSmscodeClient\n"
        (where / "smscode" / "__init__.py").write_text(program)
        (where / "smscode" / "errors.py").write_text("")


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_the_vendors_sdk_is_said_as_it_is_here(name: str) -> None:
    said = f"^{name} is a name of the vendor's SDK. Here, in smscode-async, it is "
    with pytest.raises(ImportError, match=said) as caught:
        exec(f"from smscode import {name}")
    assert str(caught.value).endswith(f" it is {NAMES[name]}.")
    with pytest.raises(AttributeError, match=said):
        getattr(smscode, name)
    assert not hasattr(smscode, name)


def test_what_names_are_called_here_is_there() -> None:
    for here in NAMES.values():
        name = here.partition(",")[0].partition(" ")[0]
        if name[0].isupper():
            assert name in smscode.__all__
        elif name.startswith("webhooks."):
            assert hasattr(webhooks, name.partition(".")[2])
    assert not NAMES.keys() & {*smscode.__all__}


def test_any_other_name_is_missing_as_of_any_module() -> None:
    assert isinstance(missing("Klient"), AttributeError)


def test_this_package_alone_is_as_it_should_be(ours: Path) -> None:
    assert (overwritten(smscode), beside(smscode)) == (None, None)
    done = python(ours, "import smscode; print(smscode.AsyncClient, smscode.__file__)")
    assert (done.stdout, done.stderr) == (f"<class 'smscode.AsyncClient'> {ours}/smscode/__init__.py\n", "")


def test_an_import_says_that_the_vendors_sdk_is_below(ours: Path) -> None:
    install_theirs(ours, over=False)
    done = python(ours, "import smscode; print(smscode.AsyncClient)")
    assert done.returncode == 0
    assert "UserWarning: smscode-async was installed over the vendor's SDK (smscode)" in done.stderr
    assert COMMANDS in done.stderr


def test_the_command_says_that_the_vendors_sdk_is_above(ours: Path) -> None:
    install_theirs(ours, over=True)
    done = python(ours, "-m", "smscode", "doctor")
    assert (done.returncode, done.stdout) == (6, "")
    assert done.stderr.startswith("smscode: The vendor's SDK (smscode) was installed over smscode-async")
    assert COMMANDS in done.stderr


def test_the_command_says_that_uninstalling_the_vendors_sdk_took_modules_with_it(ours: Path) -> None:
    for name in ("__init__", "errors", "models", "money"):
        (ours / "smscode" / f"{name}.py").unlink()
    done = python(ours, "-S", "-E", "-m", "smscode", "doctor")
    assert (done.returncode, done.stdout) == (6, "")
    assert done.stderr.startswith("smscode: Modules of smscode-async were deleted when the vendor's SDK")
    assert COMMANDS in done.stderr


def test_modules_of_both_are_told_by_what_is_there(tmp_path: Path) -> None:
    package = ModuleType("smscode")
    package.__file__ = str(tmp_path / "__init__.py")
    assert (overwritten(package), beside(package)) == (None, None)
    (tmp_path / "async_client.py").touch()
    assert "until one of them is uninstalled. To have" in str(beside(package))
    package.AsyncSmscodeClient = object  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    assert "is what is imported. To have" in str(overwritten(package))
    assert "were deleted" in str(overwritten(ModuleType("smscode")))


def test_a_command_of_modules_that_were_overwritten_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def pretended(module: ModuleType) -> str:
        return "pretended"

    monkeypatch.setattr("smscode.__main__.overwritten", pretended)
    assert main([]) == Exit.SETUP
    assert capsys.readouterr().err == "smscode: pretended\n"
