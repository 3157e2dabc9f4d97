"""The package as a whole: its public names and its version."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from pathlib import Path
from typing import Any

import smscode

ROOT = Path(__file__).parent.parent
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT: dict[str, Any] = PYPROJECT["project"]


def test_the_public_names_are_sorted_and_exist() -> None:
    assert list(smscode.__all__) == sorted(smscode.__all__)
    assert all(hasattr(smscode, name) for name in smscode.__all__)


def test_the_runtime_dependencies_are_exactly_four() -> None:
    names = {re.split(r"[<>=]", requirement)[0] for requirement in PROJECT["dependencies"]}
    assert names == {"httpx", "attrs", "cattrs", "anyio"}


def test_the_extras_are_for_users_and_the_groups_for_developers() -> None:
    extras, groups = PROJECT["optional-dependencies"], PYPROJECT["dependency-groups"]
    assert {*extras} == {*("aiohttp", "cli", "fast", "fastapi", "httpx2", "otel", "redis", "sandbox"), "test"}
    assert {*groups} == {"bench", "contract", "dev", "docs", "examples", "lint", "types"}
    whole = f"smscode-async[{','.join(sorted({*extras} - {'test'}))}]"
    assert whole in extras["test"], "the tests try all features"


def test_every_extra_is_used_before_a_release_and_named_where_it_is_missing() -> None:
    text = (ROOT / ".ci" / "check_extras.py").read_text("utf-8")
    hints, checks = (
        {*re.findall(r'^ +"([\w-]+)": ', text.partition(begin)[2].partition("}")[0], re.MULTILINE)}
        for begin in ("hints = {", "CHECKS: ")
    )
    extras = {*PROJECT["optional-dependencies"]}
    assert checks == extras | {"none", "vendor-first", "vendor-last"}
    assert hints == extras - {"fast", "test"}, "fast is only faster, and nothing of the package needs test"


def test_the_version_is_stated_once() -> None:
    assert PROJECT["dynamic"] == ["version"]
    assert smscode.__version__ == importlib.metadata.version("smscode-async")


def test_the_package_tells_type_checkers_that_it_is_typed() -> None:
    assert (Path(smscode.__file__).parent / "py.typed").exists()


def test_the_clients_are_shown_under_their_public_names() -> None:
    assert repr(smscode.AsyncClient) == "<class 'smscode.AsyncClient'>"
    assert repr(smscode.Client) == "<class 'smscode.Client'>"
