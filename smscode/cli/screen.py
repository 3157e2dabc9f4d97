"""What the command line shows: tables to people, tab-separated lines to a pipe, JSON to programs.

Results go to the standard output and everything said about them to the standard error. Colour, progress
and questions are for a terminal only.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import compress
from typing import Literal

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.prompt import Confirm
from rich.table import Table
from rich.text import Text

from ..core.plain import plain as record
from ..models import mask
from .trouble import Trouble

_STYLES = {"ok": "green", "warn": "yellow", "fail": "red"}


class Declined(Exception):
    """The question was answered with no, or could not be asked."""


def when(at: datetime | None) -> str:
    """Show a time on this machine's clock."""
    return "-" if at is None else at.astimezone().strftime("%H:%M:%S")


def day(at: datetime | None) -> str:
    """Show a date and time on this machine's clock."""
    return "-" if at is None else at.astimezone().strftime("%Y-%m-%d %H:%M")


def text(value: object) -> str:
    """Show a value in a cell."""
    return "-" if value is None or value == "" else str(value)


def masked(number: str | None) -> str:
    """Show a phone number where it is not the point: only its ends."""
    return "-" if number is None else mask(number).strip("'")


class Screen:
    """Where a command shows its results; ``as_json`` when it was asked for JSON."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._out = Console(highlight=False, markup=False, emoji=False)
        self._err = Console(stderr=True, highlight=False, markup=False, emoji=False)
        self.pretty: bool = not as_json and sys.stdout.isatty()
        self.live: bool = self.pretty and sys.stdin.isatty() and sys.stderr.isatty()

    def rows(
        self, values: Iterable[object], columns: Sequence[str], cells: Iterable[Sequence[object]]
    ) -> None:
        """Show several things; ``values`` for JSON, ``cells`` for the rest.

        A column whose name begins with ">" is of numbers. One with nothing in it is not shown on a terminal.
        """
        if self.as_json:
            self._json([record(value) for value in values])
            return
        shown = [[text(cell) for cell in row] for row in cells]
        if not self.pretty:
            for row in shown:
                self._line("\t".join(row))
            return
        if not shown:
            self.note("Nothing to show.")
            return
        table = Table(box=None, pad_edge=False, header_style="dim")
        used = [any(row[place] != "-" for row in shown) for place in range(len(columns))]
        for column in compress(columns, used):
            # On a narrow terminal names are broken into lines; numbers never are.
            number = column.startswith(">")
            justify: Literal["left", "right"] = "right" if number else "left"
            table.add_column(column.removeprefix(">"), justify=justify, no_wrap=number, overflow="fold")
        for row in shown:
            table.add_row(*(Text(cell) for cell in compress(row, used)))
        self._out.print(table)

    def fields(self, value: object, pairs: Mapping[str, object]) -> None:
        """Show one thing; ``value`` for JSON, ``pairs`` of names and values for the rest."""
        if self.as_json:
            self._json(record(value))
        else:
            self._pairs(pairs)

    def event(self, name: str, data: Mapping[str, object], pairs: Mapping[str, object]) -> None:
        """Show a step of something longer: a line of JSON, or ``pairs`` of names and values."""
        if self.as_json:
            self._line(json.dumps({"event": name, **{key: record(item) for key, item in data.items()}}))
        else:
            self._pairs(pairs)

    def note(self, said: str) -> None:
        """Say something that only helps people."""
        if self.live:
            self._err.print(said, style="dim")

    def warn(self, said: str) -> None:
        """Say something that must be known, also by whoever reads the standard error of a script."""
        if self.as_json:
            sys.stderr.write(json.dumps({"message": said}) + "\n")
            return
        self._err.print(said, style="yellow", soft_wrap=not self._err.is_terminal)

    def check(self, state: str, name: str, said: str) -> None:
        """Show the state of something that was checked."""
        if not self.pretty:
            self._line(f"{state}\t{name}\t{said}")
            return
        table = Table.grid(padding=(0, 2))
        table.add_column(width=4, style=_STYLES[state])
        table.add_column(width=10)
        table.add_column()
        table.add_row(state, name, Text(said))
        self._out.print(table)

    def fail(self, trouble: Trouble) -> None:
        """Say what went wrong."""
        if self.as_json:
            sys.stderr.write(json.dumps(trouble.record) + "\n")
            return
        first, *rest = trouble.lines
        self._err.print(Text.assemble(("error: ", "bold red"), first), soft_wrap=not self._err.is_terminal)
        for line in rest:
            self._err.print(line, soft_wrap=not self._err.is_terminal)

    def confirm(self, question: str, *, yes: bool) -> None:
        """Ask, unless ``yes`` was given; raise `Declined` unless the answer is yes."""
        if yes:
            return
        if not self.live:
            raise Declined(f"{question} Nobody there to ask: give --yes.")
        try:
            agreed = Confirm.ask(question, console=self._err, default=False)
        except EOFError:
            agreed = False
        if not agreed:
            raise Declined("Not confirmed; nothing was done.")

    @contextmanager
    def progress(self, said: str) -> Generator[None]:
        """Show that something takes its time, and how long it has taken, while the block runs."""
        if not self.live:
            yield
            return
        columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
        with Progress(*columns, console=self._err, transient=True) as progress:
            progress.add_task(said)
            yield

    def _pairs(self, pairs: Mapping[str, object]) -> None:
        width = max(len(name) for name in pairs)
        for name, value in pairs.items():
            if self.pretty:
                self._out.print(Text.assemble((f"{name:<{width}}  ", "dim"), text(value)))
            else:
                self._line(f"{name}\t{text(value)}")

    def _json(self, value: object) -> None:
        self._line(json.dumps(value, indent=2 if sys.stdout.isatty() else None))

    def _line(self, line: str) -> None:
        # Not by rich: it would break the line at 80 columns where there is no terminal.
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
