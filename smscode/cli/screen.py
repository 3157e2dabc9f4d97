"""The output of the command line: tables on a terminal, tab-separated lines in a pipe, JSON if asked for.

Results go to the standard output, messages to the standard error. Colour, progress and questions appear on a
terminal only.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import compress
from typing import Literal

from rich.cells import cell_len
from rich.console import Console
from rich.live import Live
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.prompt import Confirm
from rich.table import Table
from rich.text import Text

from .._fields import mask
from .._plain import plain as record
from ..money import Money
from .error_report import ErrorReport

_NARROW = 40  # columns; a narrower terminal breaks the lines itself
_SHORT = 70  # columns; in a narrower terminal a table of orders has room for short dates only
_GAP = 2  # spaces between the columns of a table
_STYLES = {"ok": "green", "warn": "yellow", "fail": "red"}
_VALUE_STYLES = {"code": "bold reverse"}  # by name: nothing on the screen is brighter than the code


class Count(int):
    """A number of things, for people with separators between the thousands."""


class Declined(Exception):
    """The user declined, or could not be asked."""


def when(at: datetime | None) -> str:
    """Return the local time of day; near the ends of the calendar the whole time with its own offset."""
    if at is None:
        return "-"
    local = _local(at)
    return at.isoformat(" ", "seconds") if local is None else local.time().isoformat("seconds")


def day(at: datetime | None) -> str:
    """Return the local date and time; near the ends of the calendar that with its own offset."""
    if at is None:
        return "-"
    local = _local(at)
    shown = at if local is None else local.replace(tzinfo=None)
    return shown.isoformat(" ", "minutes")


def short_day(at: datetime | None) -> str:
    """Return the local date and time without the year, as day does otherwise."""
    local = None if at is None else _local(at)
    return day(at) if local is None else f"{local:%m-%d %H:%M}"


def moment(seconds: float) -> datetime | None:
    """Return the date of a Unix time in seconds, None if it is out of range."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _local(at: datetime) -> datetime | None:
    """Return a time in the local time zone, None if it is out of range there."""
    try:
        return at.astimezone()
    except (OverflowError, ValueError, OSError):
        return None


def text(value: object) -> str:
    """Return the text of a cell for people."""
    if isinstance(value, Count):
        return f"{value:,}"
    return "-" if value is None or value == "" else str(value)


def raw(value: object) -> str:
    """Return the text of a cell for programs: amounts and counts are bare numbers."""
    if isinstance(value, Money):
        return format(value.amount, "f")
    return str(int(value)) if isinstance(value, Count) else text(value)


def masked(number: str | None) -> str:
    """Return a phone number of which only the ends are shown."""
    return "-" if number is None else mask(number).strip("'")


class _Console(Console):
    """A console that raises if its reader has gone, where rich would end the process."""

    def on_broken_pipe(self) -> None:
        """Raise the BrokenPipeError that is being handled."""
        raise


def _console(*, stderr: bool) -> Console:
    console = _Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    # The terminal then breaks the lines itself; rich would break prices and codes.
    console.soft_wrap = console.width < _NARROW
    return console


class Screen:
    """Shows the results and messages of a command, as JSON if ``as_json``."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.header: bool = False
        self._out = _console(stderr=False)
        self._err = _console(stderr=True)
        self.blocks: bool = self._out.encoding.startswith("utf")
        self.pretty: bool = not as_json and sys.stdout.isatty()
        self.live: bool = self.pretty and sys.stdin.isatty() and sys.stderr.isatty()

    @property
    def narrow(self) -> bool:
        """Whether results are shown on a terminal that has no room for whole dates in a table."""
        return self.pretty and self._out.width < _SHORT

    def rows(
        self, values: Iterable[object], columns: Sequence[str], cells: Iterable[Sequence[object]]
    ) -> None:
        """Show a table: ``values`` as JSON, ``cells`` otherwise; in a pipe after ``header`` if that is set.

        A name of a column that begins with ">" is for numbers, with "=" for ids, codes or times: neither is
        ever broken or cut. On a terminal that is too narrow for the columns each row is shown as lines, and
        empty columns are left out.
        """
        if self.as_json:
            self._json([record(value) for value in values])
            return
        if not self.pretty:
            if self.header:
                self._line("\t".join(column.lstrip(">=") for column in columns))
            for row in cells:
                self._line("\t".join(map(raw, row)))
            return
        shown = [[text(cell) for cell in row] for row in cells]
        if not shown:
            self.note("Nothing to show.")
            return
        used = [any(row[place] != "-" for row in shown) for place in range(len(columns))]
        columns = list(compress(columns, used))
        shown = [list(compress(row, used)) for row in shown]
        if _least_width(columns, shown) <= self._out.width:
            self._out.print(self._table(columns, shown), soft_wrap=False)
            return
        for number, row in enumerate(shown):
            if number:
                self._out.print()
            self._pairs(dict(zip((column.lstrip(">=") for column in columns), row, strict=True)))

    @staticmethod
    def _table(columns: Sequence[str], shown: Iterable[Sequence[str]]) -> Table:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for column in columns:
            # On a narrow terminal names are broken into lines; numbers never are.
            justify: Literal["left", "right"] = "right" if column.startswith(">") else "left"
            whole = column.startswith((">", "="))
            table.add_column(column.lstrip(">="), justify=justify, no_wrap=whole, overflow="fold")
        styles = [_VALUE_STYLES.get(column.lstrip(">="), "") for column in columns]
        for row in shown:
            table.add_row(*map(Text, row, styles))
        return table

    def fields(self, value: object, pairs: Mapping[str, object]) -> None:
        """Show one result: ``value`` as JSON, ``pairs`` of names and values otherwise."""
        if self.as_json:
            self._json(record(value))
        else:
            self._pairs(pairs)

    def event(self, name: str, data: Mapping[str, object], pairs: Mapping[str, object]) -> None:
        """Show one of several steps: ``data`` as a line of JSON, ``pairs`` of names and values otherwise."""
        if self.as_json:
            self._event(name, data)
        else:
            self._pairs(pairs)

    def step(self, name: str, data: Mapping[str, object], cells: Sequence[object]) -> None:
        """Show one of several steps in a line: ``data`` as JSON, ``cells`` otherwise; the last is a code."""
        if self.as_json:
            self._event(name, data)
        elif self.pretty:
            *first, code = map(text, cells)
            style = "" if code == "-" else _VALUE_STYLES["code"]
            self._out.print(Text.assemble(*(f"{cell}  " for cell in first), (code, style)))
        else:
            self._line("\t".join(map(raw, cells)))

    @contextmanager
    def table_while(
        self, columns: Sequence[str], rows: Callable[[], Iterable[Sequence[object]]]
    ) -> Generator[None]:
        """Show a table on a terminal while the block runs, drawn anew every second by another thread."""
        if not self.pretty:
            yield
            return

        def drawn() -> Table:
            return self._table(columns, [list(map(text, row)) for row in rows()])

        with Live(get_renderable=drawn, console=self._out, refresh_per_second=1, transient=True):
            yield

    def note(self, message: str) -> None:
        """Print a message for people only."""
        if self.live:
            self._err.print(message, style="dim")

    def say(self, message: str) -> None:
        """Print a message about money for people and logs: on the standard error, except with JSON."""
        if not self.as_json:
            with suppress(OSError):  # the standard error is closed or full
                self._err.print(message, style="dim", soft_wrap=self._unbroken)

    def warn(self, message: str) -> None:
        """Print a message that also scripts need, on the standard error, or else on the standard output."""
        try:
            if self.as_json:
                sys.stderr.write(json.dumps({"message": message}) + "\n")
            else:
                self._err.print(message, style="yellow", soft_wrap=self._unbroken)
        except OSError:  # the standard error is closed or full
            self._line(message)

    def check(self, state: str, name: str, message: str) -> None:
        """Show the result of a check."""
        if not self.pretty:
            self._line(f"{state}\t{name}\t{message}")
            return
        if self._out.soft_wrap:
            self._out.print(Text.assemble((state, _STYLES[state]), f"  {name}  {message}"))
            return
        table = Table.grid(padding=(0, 2))
        table.add_column(width=4, style=_STYLES[state])
        table.add_column(width=10)
        table.add_column()
        table.add_row(state, name, Text(message))
        self._out.print(table)

    def fail(self, report: ErrorReport) -> None:
        """Print the report of an error on the standard error, or else on the standard output."""
        first, *rest = report.lines
        try:
            if self.as_json:
                sys.stderr.write(json.dumps(report.record) + "\n")
                return
            self._err.print(Text.assemble(("error: ", "bold red"), first), soft_wrap=self._unbroken)
            for line in rest:
                self._err.print(line, soft_wrap=self._unbroken)
        except OSError:
            for line in report.lines:
                self._line(line)

    def confirm(self, question: str, *, yes: bool, instead: str = "") -> None:
        """Ask; with ``yes`` only say ``instead``, if given. Raises `Declined` unless the answer is yes."""
        if yes:
            if instead:
                self.say(instead)
            return
        if not self.live:
            raise Declined(f"{question} No terminal to ask on: give --yes.")
        try:
            agreed = Confirm.ask(question, console=self._err, default=False)
        except EOFError:
            agreed = False
        if not agreed:
            raise Declined("Not confirmed; nothing was done.")

    def refuses(self, question: str) -> bool:
        """Ask on a terminal; return True if the answer begins with n."""
        if not self.live:
            return False
        try:
            return self._err.input(question).strip().lower().startswith("n")
        except EOFError:
            return False

    @contextmanager
    def progress(self, message: str) -> Generator[None]:
        """Show a message and the time passed while the block runs."""
        if not self.live:
            yield
            return
        spinner = "dots" if self._err.encoding.startswith("utf") else "line"
        columns = SpinnerColumn(spinner), TextColumn("{task.description}"), TimeElapsedColumn()
        with Progress(*columns, console=self._err, transient=True) as progress:
            progress.add_task(message)
            yield

    def _event(self, name: str, data: Mapping[str, object]) -> None:
        self._line(json.dumps({"event": name, **{key: record(item) for key, item in data.items()}}))

    def _pairs(self, pairs: Mapping[str, object]) -> None:
        width = max(len(name) for name in pairs)
        for name, value in pairs.items():
            if self.pretty:
                shown = (text(value), _VALUE_STYLES.get(name, ""))
                self._out.print(Text.assemble((f"{name:<{width}}  ", "dim"), shown))
            else:
                self._line(f"{name}\t{raw(value)}")

    @property
    def _unbroken(self) -> bool:
        """Whether lines on the standard error are not broken here."""
        return self._err.soft_wrap or not self._err.is_terminal

    def _json(self, value: object) -> None:
        self._line(json.dumps(value, indent=2 if sys.stdout.isatty() else None))

    def _line(self, line: str) -> None:
        # Not by rich, which would break lines at 80 columns without a terminal.
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def _least_width(columns: Sequence[str], shown: Sequence[Sequence[str]]) -> int:
    """Return the least width of a table, in characters, if cells are broken at every space."""
    width = _GAP * (len(columns) - 1)
    for place, column in enumerate(columns):
        cells = (column.lstrip(">="), *(row[place] for row in shown))
        whole = column.startswith((">", "="))
        width += max(cell_len(part) for cell in cells for part in ([cell] if whole else cell.split() or [""]))
    return width
