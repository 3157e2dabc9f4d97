"""KeyboardInterrupt at a line of the package, raised as the main thread is about to run it."""

from __future__ import annotations

import ast
import ctypes
import sys
import threading
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

    def __init__(self, at: Place | None = None, first: int = 0, then: int = 0) -> None:
        """Raise at a place; or ask for an interrupt at the ``first`` line and again ``then`` lines later."""
        self.seen: list[Place] = []
        self.raised_at = 0.0
        self._at = at
        self._asked = {first, first + then} if first else set[int]()
        self._hits: Counter[tuple[str, int]] = Counter()

    def __enter__(self) -> Lines:
        sys.settrace(self._enter)
        return self

    def __exit__(self, *error: object) -> None:
        sys.settrace(None)

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
        if place == self._at:
            self.raised_at = time.monotonic()
            sys.settrace(None)
            raise KeyboardInterrupt
        if len(self.seen) in self._asked:
            # As a signal does: it is raised at the next place where the interpreter looks for one, and
            # tracing goes on.
            self.raised_at = time.monotonic()
            main = ctypes.c_ulong(threading.main_thread().ident or 0)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(main, ctypes.py_object(KeyboardInterrupt))
