"""The standard streams in whatever state they are: closed, full, or with nobody left to read them."""

from __future__ import annotations

import os
import sys

from .exits import Exit

_SIGPIPE = 13  # which Windows has no name for


def open_closed() -> None:
    """Let streams that are closed lead nowhere.

    Else a file or a connection that is opened later takes their place, and gets what is written to them.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # It stays open as long as the process, and nobody is to be warned of that.
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, closefd=False))


def lost(error: OSError, code: Exit) -> int:
    """Give up the standard output, which could not be written; say why, and give the exit code.

    That is 141 where whoever read it has gone, as if that had ended the process, and else ``code``.
    """
    # What is left in its buffer would be written at the exit, and fail again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        return 128 + _SIGPIPE
    sys.stderr.write(f"error: The output cannot be written ({error.strerror}).\n")
    return code
