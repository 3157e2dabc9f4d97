"""Importing the package costs next to nothing; what a name stands for is imported when it is asked for."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import smscode
from smscode import errors, models

PACKAGE = Path(smscode.__file__).parent
HEAVY = ("httpx", "anyio", "attrs", "cattrs", "msgspec", "sqlite3", "decimal", "email", "hashlib")


def run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=PACKAGE.parent, timeout=400
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_imports_nothing_heavy() -> None:
    loaded = run("import sys; import smscode; print(*sys.modules)").split()
    assert not {*HEAVY} & {*loaded}
    assert {name for name in loaded if name.startswith("smscode")} == {"smscode", "smscode._version"}


def test_a_client_imports_neither_the_other_flavour_nor_the_sandbox() -> None:
    program = "import sys; from smscode import AsyncClient; AsyncClient('a-token'); print(*sys.modules)"
    loaded = run(program).split()
    assert not {"smscode._sync.client", "smscode.sandbox", "smscode.demo"} & {*loaded}
    assert "cattrs" in loaded, "it is there before the first answer comes"


def test_a_first_call_makes_only_the_models_that_it_needs() -> None:
    program = """
import sys, httpx
from smscode import Client
answer = {"success": True, "data": {"currency": "IDR", "balance": 5}}
transport = httpx.MockTransport(lambda request: httpx.Response(200, json=answer))
with Client("a-token", api_version="v1", transport=transport) as client:
    client.balance()
    print(*sys.modules)
    print(type(client.balance()).__module__)
"""
    *loaded, home = run(program).split()
    assert not {"smscode.models", "smscode.core.api.orders", "smscode._sync.orders"} & {*loaded}
    assert home == "smscode.models", "where pickle finds it"


def test_every_module_can_be_the_first_to_be_imported() -> None:
    paths = [*PACKAGE.glob("*.py"), *(PACKAGE / "core").rglob("*.py"), *(PACKAGE / "_async").glob("*.py")]
    names = [
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        for path in paths
        if path.name != "__main__.py"
    ]
    program = f"""
import importlib, os
for name in {sorted(names)!r}:
    if os.fork() == 0:
        importlib.import_module(name)
        os._exit(0)
    print(name, os.wait()[1])
"""
    if not hasattr(sys.modules["os"], "fork"):
        pytest.skip("there is no fork here")
    broken = [line for line in run(program).splitlines() if not line.endswith(" 0")]
    assert broken == []


def test_what_type_checkers_see_is_what_there_is() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text("utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen.pop("*") == "models"
    starred = {*errors.__all__, *models.__all__}
    assert {*seen, *starred, "__version__"} == set(smscode.__all__)
    for name, module in seen.items():
        found: object = importlib.import_module(f"smscode.{module or name}")
        if module:
            found = getattr(found, name)
        assert getattr(smscode, name) is found, name


def test_names_are_listed_starred_and_refused_as_of_any_module() -> None:
    names: dict[str, object] = {}
    exec("from smscode import *", names)
    assert set(smscode.__all__) <= names.keys() | {"__version__"}
    assert set(smscode.__all__) <= set(dir(smscode))
    with pytest.raises(AttributeError, match="no attribute 'AsyncKlient'"):
        getattr(smscode, "AsyncKlient")  # noqa: B009
    with pytest.raises(ImportError, match="Klient"):
        exec("from smscode import Klient")
