"""The standard streams in whatever state they are: closed, full, or with nobody left to read them."""

from __future__ import annotations

import contextlib
import io
import os
import sys

from .exits import Exit

_SIGPIPE = 13  # which Windows has no name for


def open_closed() -> None:
    """Replace streams that are closed by ones that lead nowhere.

    Else a file or a connection that is opened later takes their place, and gets what is written to them.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # It stays open as long as the process, and nobody is to be warned of that.
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, closefd=False))


def escape() -> None:
    """Write what a stream's encoding lacks as a backslash escape.

    A code that was paid for is shown in any case.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def lost(error: OSError, code: Exit, doubt: str = "") -> int:
    """Return up the standard output, which could not be written; say why, and return the exit code.

    ``doubt`` is what to do where something may have been changed. The exit code is 141 where whoever read
    it has gone, as if that had ended the process, and else ``code``.
    """
    # What is left in its buffer would be written at the exit, and fail again.
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    gone = isinstance(error, BrokenPipeError)
    with contextlib.suppress(OSError, ValueError):
        if not gone:
            sys.stderr.write(f"error: The output cannot be written ({error.strerror}).\n")
        if doubt:
            sys.stderr.write(f"It may have been carried out: {doubt}\n")
    return 128 + _SIGPIPE if gone else code
