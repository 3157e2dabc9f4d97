"""Handles standard streams that are closed, full, or no longer read."""

from __future__ import annotations

import contextlib
import io
import os
import sys

from .._platform import is_broken_pipe
from .exits import Exit

_SIGPIPE = 13  # Windows has no name for it


def replace_closed() -> None:
    """Replace closed streams by the null device.

    Otherwise the next file or connection would get their descriptor, and what is written to them.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # It stays open until the process ends; ``closefd=False`` avoids a warning about that.
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, closefd=False))


def escape_unencodable() -> None:
    """Write characters that a stream's encoding lacks as backslash escapes.

    So the output never fails because of one, after a code was paid for.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def report_lost_output(error: OSError, code: Exit, doubt: str = "") -> int:
    """Report that the standard output could not be written, and return the exit code.

    ``doubt`` is the hint to print if a change may have happened. The exit code is 141 if the reader of the
    output has gone, as after SIGPIPE, otherwise ``code``.
    """
    # The rest of its buffer would be written at the exit, and fail again.
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    gone = is_broken_pipe(error)
    with contextlib.suppress(OSError, ValueError):
        if not gone:
            sys.stderr.write(f"error: The output cannot be written ({error.strerror}).\n")
        if doubt:
            sys.stderr.write(f"It may have been carried out: {doubt}\n")
    return 128 + _SIGPIPE if gone else code
