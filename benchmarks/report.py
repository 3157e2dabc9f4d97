"""Figures as a table for people, and as JSON for later."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import attrs
import cattrs

from . import machine
from .suite import Figure, Scale
from .vendor import version as vendor_version


def write(figure: Figure) -> str:
    """Write a figure as one line of JSON."""
    return json.dumps(attrs.asdict(figure))


def read(line: str) -> Figure:
    """Read what `write` wrote."""
    return cattrs.structure(json.loads(line), Figure)


def amount(figure: Figure) -> str:
    """Write a figure's value."""
    return f"{figure.value:,.3g} {figure.unit}".strip()


def bound(figure: Figure) -> str:
    """Write what a figure should be."""
    if figure.wanted is None:
        return ""
    sign = {"at most": "<=", "at least": ">="}[figure.bound]
    return f"{sign} {figure.wanted:,.4g} {figure.unit}".strip()


def verdict(figure: Figure) -> str:
    """Return whether a figure is what it should be."""
    return {None: "", True: "holds", False: "FAILS"}[figure.held]


def lines(figure: Figure) -> Iterable[str]:
    """Write a figure for people, with what it was made of below."""
    yield f"  {figure.what:<78} {amount(figure):>12}  {bound(figure):>12}  {verdict(figure)}"
    for name, part in figure.parts.items():
        yield f"      {name:<40} {part:>24}"


def record(
    results: Mapping[str, Iterable[Figure]], scale: Scale, command: str, vendor: str | None
) -> dict[str, Any]:
    """Return everything that a later reader needs to believe the figures; ``vendor`` is that SDK's Python."""
    versions = machine.versions() | ({} if vendor is None else {"the vendor's SDK": vendor_version(vendor)})
    return {
        "command": command,
        "date": datetime.now(UTC).date().isoformat(),
        "scale": scale.value,
        "machine": machine.describe(),
        "versions": versions,
        "figures": {
            name: [attrs.asdict(figure) | {"held": figure.held} for figure in figures]
            for name, figures in results.items()
        },
    }
