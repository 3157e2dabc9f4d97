"""The figures of a recorded run as Markdown: ``python -m benchmarks.table FILE``.

With ``--write``, the tables of the README and of the page about speed are written again from it.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cattrs
from attrs import evolve

from .report import amount
from .suite import Figure

ROOT = Path(__file__).parent.parent
RECORD = ROOT / "benchmarks" / "results" / "full.json"
COMMAND = "nox -s bench -- --record"

SPEED = ("calls", "bursts", "threads", "journal", "decoding", "iteration", "startup")
"""The benchmarks that are about speed; the others are about what is kept, and what the sandbox costs."""

_LIBRARIES = (
    "httpx",
    "httpx2",
    "aiohttp",
    "anyio",
    "attrs",
    "cattrs",
    "msgspec",
    "uvloop",
    "the vendor's SDK",
)
_EXPONENT = re.compile(r"[\d.]+e\+\d+")
_PART = re.compile(r"(<!-- benchmarks: (\w+) -->\n).*?(<!-- benchmarks: end -->)", re.DOTALL)


def read(file: Path) -> dict[str, Any]:
    """Read a recorded run."""
    record: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return record


def figures_of(record: Mapping[str, Any], name: str) -> list[Figure]:
    """Return the figures of a benchmark, none where it was not run."""
    return [cattrs.structure(figure, Figure) for figure in record["figures"].get(name, ())]


def compared(ratio: float) -> str:
    """Write a ratio in words: "38 times less", "31 % less", "13 % more", "2.4 times as much"."""
    if ratio >= 2:
        return f"{ratio:.2g} times as much"
    if ratio <= 0.5:
        return f"{1 / ratio:.2g} times less"
    percent = round(abs(ratio - 1) * 100)
    return f"{percent} % {'more' if ratio > 1 else 'less'}" if percent else "the same"


def shown(figure: Figure, value: float) -> str:
    """Write the value of a figure, or its bound: in words if it is a comparison."""
    return compared(value) if " / " in figure.what else amount(evolve(figure, value=value))


def goals(record: Mapping[str, Any]) -> Iterator[str]:
    """Write what has a bound, as a table, and what it was measured on."""
    yield "| Measured | Compared with | Result | Goal |"
    yield "|---|---|---|---|"
    for name in SPEED:
        for figure in figures_of(record, name):
            if figure.wanted is not None:
                result, wanted = shown(figure, figure.value), shown(figure, figure.wanted)
                result = f"**{result}**" if figure.held else f"{result}, missed"
                # A ratio below 1 as a bound is a smallest saving: "at most 0.8" is "at least 20 % less".
                bound = "at least" if wanted.endswith("less") else figure.bound
                what, _, other = figure.what.partition(" / ")
                yield f"| {what} | {other} | {result} | {bound} {wanted} |"
    machine, versions = record["machine"], record["versions"]
    libraries = ", ".join(f"{name} {versions[name]}" for name in _LIBRARIES if name in versions)
    yield ""
    on = f"{machine['cores']} cores ({machine['processor']}, {machine['system'].partition(' ')[0]})"
    yield f"Recorded on {record['date']} with {machine['implementation']} {machine['python']} on {on}:"
    yield f"{libraries}. `{COMMAND}` measures it again."


def parts(record: Mapping[str, Any]) -> Iterator[str]:
    """Write what each contestant cost, a table for each comparison."""
    for name in SPEED:
        for figure in figures_of(record, name):
            if figure.parts:
                yield f"| {figure.what.replace(' / ', ', compared with ')} | {shown(figure, figure.value)} |"
                yield "|---|---|"
                for contestant, cost in figure.parts.items():
                    yield f"| {contestant} | {_EXPONENT.sub(lambda found: f'{float(found[0]):,.0f}', cost)} |"
                yield ""


def short(record: Mapping[str, Any]) -> Iterator[str]:
    """Write the comparisons of calls with others, as a table for the README."""
    yield "| Measured | Compared with | Result |"
    yield "|---|---|---|"
    for name in ("calls", "bursts", "threads", "startup"):
        for figure in figures_of(record, name):
            if figure.wanted is not None and " / " in figure.what:
                what, _, other = figure.what.partition(" / ")
                yield f"| {what} | {other} | **{shown(figure, figure.value)}** |"


PARTS = {"goals": goals, "short": short, "parts": parts}
PAGES = (ROOT / "README.md", ROOT / "docs" / "pages" / "explanation" / "speed.md")


def renewed(text: str, record: Mapping[str, Any]) -> str:
    """Return a page with its tables made of a recorded run."""

    def part(found: re.Match[str]) -> str:
        table = "\n".join(PARTS[found[2]](record)).strip()
        return f"{found[1]}\n{table}\n\n{found[3]}"

    return _PART.sub(part, text)


def renew(record: Mapping[str, Any]) -> None:
    """Write the tables of all pages again."""
    for page in PAGES:
        page.write_text(renewed(page.read_text("utf-8"), record), "utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables, or write them where they belong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.table", description=__doc__)
    parser.add_argument(
        "file", nargs="?", type=Path, default=RECORD, help="by default that in the repository"
    )
    parser.add_argument("--write", action="store_true", help="into the README and the page about speed")
    given = parser.parse_args(arguments)
    record = read(given.file)
    if given.write:
        renew(record)
    else:
        print(*goals(record), "", *parts(record), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
