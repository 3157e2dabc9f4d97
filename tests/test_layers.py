"""Which module may import which: the layers, from the lowest to the highest. The table is the documentation.

A module imports from its own layer and from those below, never from above, and no two modules import each
other. Imports for type checkers and inside of functions count like all others.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import smscode

PACKAGE = Path(smscode.__file__).parent
GENERATED = "_sync"

LAYERS: tuple[tuple[str, ...], ...] = (
    ("_version", "_clock", "_choices", "_vendor", "errors"),
    ("_platform",),  # what differs between operating systems
    # Arguments as exactly what they are; models as they are shown, as plain values and as sequences; texts
    # without what cannot be seen.
    ("_display", "_exact", "_fields", "_plain", "_rows", "_value", "_visible_text"),
    ("_pydantic", "_serialization"),  # how the models are written
    ("money",),
    ("_first_models", "models"),
    ("webhook_events", "events"),
    ("core.versions",),
    ("core.decoding",),  # from bytes to models
    ("core.api",),  # the endpoints, each described once
    ("core.timeouts",),
    ("core.retry",),
    ("core.ratelimit", "core.waiting", "core.order_status"),
    ("core.purchases",),
    ("core",),  # the flow of a call, and all that is decided without I/O
    ("calls", "webhooks", "receiver", "_sqlite", "_observer"),
    ("_journal",),
    ("journal",),
    ("_concurrency",),  # every wait, in both flavours
    ("_http", "_ratelimit"),  # the seam to HTTP; the limits in force in this process
    ("_async",),  # the clients
    ("ext",),
    ("testing", "sandbox"),
    ("demo",),
    ("cli",),
    ("__main__",),
)


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES: Mapping[str, Path] = {
    name_of(path): path for path in sorted(PACKAGE.rglob("*.py")) if GENERATED not in path.parts
}


def imports_of(name: str) -> Iterator[str]:
    """Yield the modules of the package that a module imports, "" for the package itself."""
    path = MODULES[name]
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names if alias.name.split(".")[0] == "smscode"]
            yield from (module.removeprefix("smscode").removeprefix(".") for module in found)
        elif isinstance(node, ast.ImportFrom):
            base = [part for part in package if part][: len(package) - node.level + 1] if node.level else []
            whole = [*base, *(node.module.split(".") if node.module else [])]
            if not node.level:
                if whole[:1] != ["smscode"]:
                    continue
                whole = whole[1:]
            for alias in node.names:
                inner = ".".join([*whole, alias.name]).replace(GENERATED, "_async")
                yield inner if inner in MODULES else ".".join(whole).replace(GENERATED, "_async")


GRAPH: Mapping[str, frozenset[str]] = {name: frozenset(imports_of(name)) - {name} for name in MODULES}


def layer_of(name: str) -> int:
    """Return the layer of a module: that of the longest name in the table which it is, or lies below."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        known = ".".join(parts[:length])
        for layer, names in enumerate(LAYERS):
            if known in names:
                return layer
    raise AssertionError(f"{name} is in no layer: add it to the table.")


def test_the_names_in_the_table_are_there() -> None:
    named = [name for names in LAYERS for name in names]
    assert len(named) == len({*named})
    assert {name for name in named if name not in MODULES} == set()


@pytest.mark.parametrize("name", [name for name in MODULES if name])
def test_no_module_imports_from_a_layer_above(name: str) -> None:
    above = sorted(other for other in GRAPH[name] if other and layer_of(other) > layer_of(name))
    assert above == [], f"{name} imports from above: {above}"


def test_only_what_lies_above_the_package_imports_its_public_names() -> None:
    """The package is the facade over everything, so a module that imports it stands above everything."""
    users = {name for name, found in GRAPH.items() if "" in found}
    assert users <= {"testing", "sandbox.transports.virtual"}


def test_no_two_modules_import_each_other() -> None:
    assert circles(GRAPH) == []


def circles(graph: Mapping[str, frozenset[str]]) -> list[list[str]]:
    """Return the groups of modules of which each leads to each other by its imports."""
    reached = {name: reach(graph, name) for name in graph}
    found = {
        frozenset({other for other in reached[name] if name in reached.get(other, ())})
        for name in graph
        if name in reached[name]
    }
    return sorted(sorted(circle) for circle in found)


def reach(graph: Mapping[str, frozenset[str]], name: str) -> set[str]:
    """Return what a module leads to; itself only if a circle does."""
    seen: set[str] = set()
    ahead = [*graph[name]]
    while ahead:
        other = ahead.pop()
        if other not in seen:
            seen.add(other)
            ahead += graph.get(other, ())
    return seen


def test_the_checks_above_see_circles_and_every_kind_of_import() -> None:
    graph = {"a": frozenset({"b"}), "b": frozenset({"c"}), "c": frozenset({"b"}), "d": frozenset({"a"})}
    assert circles(graph) == [["b", "c"]]
    assert "_pydantic" in GRAPH["_serialization"], "inside of a function"
    assert "core.ratelimit.limiter" in GRAPH["_concurrency.callers"], "for type checkers"
    assert {"_async.client", "errors"} <= GRAPH[""], "of the package itself"
    assert len(MODULES) > 150
