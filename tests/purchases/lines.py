"""KeyboardInterrupt at a line of the package, raised as the main thread is about to run it."""

from __future__ import annotations

import ast
import gc
import signal
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
    """Traces the lines of the package; ``seen`` has them in the order in which they came, and
    ``places`` where it raised.

    The line of a with statement is traced once more when its block is left. No exception is raised
    there: an exception out of a trace function at that point leaves the lock held in CPython itself,
    which a signal does not.
    """

    def __init__(self, at: Place | int | None = None, then: float | None = None) -> None:
        """Raise at a place, or at the n-th line; and once more ``then`` seconds later, in the clean-up.

        An exception out of a trace function ends the tracing, so the second one is a signal's. It is
        raised where the interpreter looks for signals, as long as something of the package is running.
        """
        self.seen: list[Place] = []
        self.raised_at = 0.0
        self.places: list[str] = []
        self._at = at
        self._then = then
        self._hits: Counter[tuple[str, int]] = Counter()

    def __enter__(self) -> Lines:
        if self._then is not None:
            signal.signal(signal.SIGALRM, self._once_more)
        gc.disable()  # an exception at a line of a finalizer reaches nobody
        self._before = sys.gettrace()
        sys.settrace(self._enter)
        return self

    def __exit__(self, *error: object) -> None:
        sys.settrace(self._before)
        gc.enable()
        if self._then is not None:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            signal.signal(signal.SIGALRM, signal.SIG_IGN)

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
            self._interrupt(path, line)

    def _once_more(self, number: int, frame: FrameType | None) -> None:
        while frame is not None:
            path = frame.f_code.co_filename
            if path.startswith(ROOT):
                self._interrupt(path, frame.f_lineno)
            frame = frame.f_back

    def _interrupt(self, path: str, line: int) -> None:
        self.raised_at = time.monotonic()
        self.places.append(f"{path.removeprefix(ROOT)}:{line}")
        sys.settrace(None)
        if self._then is not None and len(self.places) == 1:
            signal.setitimer(signal.ITIMER_REAL, self._then)
        raise KeyboardInterrupt
