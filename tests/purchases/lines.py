"""KeyboardInterrupt at a line of the package, raised as the main thread is about to run it."""

from __future__ import annotations

import ast
import sys
import time
from collections import Counter
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import smscode

ROOT = str(Path(smscode.__file__).parent)

Place = tuple[str, int, int]
"""A file of the package, a line of it, and which time it is run."""


@cache
def _withs(path: str) -> dict[int, int]:
    """Return the last line of each with statement of a file, by its first one."""
    tree = ast.parse(Path(path).read_text("utf-8"))
    return {
        node.lineno: node.end_lineno or node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.With | ast.AsyncWith)
    }


class Lines:
    """Traces the lines of the package; ``seen`` has them in the order in which they came.

    The line of a with statement is traced once more when its block is left. No exception is raised
    there: an exception out of a trace function at that point leaves the lock held in CPython itself,
    which a signal does not.
    """

    def __init__(self, at: Place | int | None = None, then: int = 0) -> None:
        """Raise at a place, or at the n-th line; and once more at the n-th call that follows in the package.

        An exception out of a trace function ends the tracing, so the second one comes from a profile
        function, which sees calls.
        """
        self.seen: list[Place] = []
        self.raised_at = 0.0
        self.raised = 0
        self._at = at
        self._calls_left = then
        self._hits: Counter[tuple[str, int]] = Counter()

    def __enter__(self) -> Lines:
        if self._calls_left:
            sys.setprofile(self._call)
        sys.settrace(self._enter)
        return self

    def __exit__(self, *error: object) -> None:
        sys.settrace(None)
        sys.setprofile(None)

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        path = frame.f_code.co_filename
        if not path.startswith(ROOT):
            return None
        last, withs = 0, _withs(path)

        def trace(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal last
            if event == "line":
                line = frame.f_lineno
                leaving = line < last <= withs.get(line, 0)
                last = line
                if not leaving:
                    self._line(path, line)
            return trace

        return trace

    def _line(self, path: str, line: int) -> None:
        self._hits[path, line] += 1
        place = path, line, self._hits[path, line]
        self.seen.append(place)
        if self._at in (place, len(self.seen)):
            self._interrupt()

    def _call(self, frame: FrameType, event: str, argument: Any) -> None:
        if self.raised and event in ("call", "c_call") and frame.f_code.co_filename.startswith(ROOT):
            self._calls_left -= 1
            if self._calls_left == 0:
                self._interrupt()

    def _interrupt(self) -> None:
        self.raised_at = time.monotonic()
        self.raised += 1
        raise KeyboardInterrupt
