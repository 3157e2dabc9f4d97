"""What differs between operating systems: locked and open files, waits that Ctrl-C ends, texts of errors.

Other modules ask this one; only what is about forks asks for the system elsewhere. So tests can load this one
as it is on another system.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Final, TypeVar

from ._clock import RealTime

T = TypeVar("T")

WINDOWS: Final = sys.platform == "win32"

LONGEST_WAIT: Final = 0.1 if WINDOWS else threading.TIMEOUT_MAX
"""Seconds that a thread may wait at a time. On Windows, Ctrl-C does not end a wait for a lock or a socket:
`KeyboardInterrupt` is raised when the wait is over."""

_REPLACING: Final = 1.0  # seconds for which a file that another program has open is tried again
_NAP: Final = 0.01

_TEXTS: Final[Mapping[int, str]] = getattr(socket, "errorTab", {})  # Windows has numbers of its own

if sys.platform == "win32":
    import msvcrt

    def lock_byte(descriptor: int) -> None:
        """Lock the first byte of a file for this process. Raises `OSError` if it is locked."""
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def lock_file(descriptor: int) -> None:
        """Lock a file for this descriptor. Raises `OSError` if it is locked."""
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def unlock_and_close(descriptor: int) -> None:
        """Close a locked file. Windows would unlock it some time after that, so this is done before."""
        with suppress(OSError):
            msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
        os.close(descriptor)

else:
    import fcntl

    def lock_byte(descriptor: int) -> None:
        """Lock a file for this process. Raises `OSError` if it is locked."""
        # SQLite locks single bytes in the same way, so the lock files of journals of format 1 are recognized.
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def lock_file(descriptor: int) -> None:
        """Lock a file for this descriptor. Raises `OSError` if it is locked."""
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def unlock_and_close(descriptor: int) -> None:
        """Close a locked file, which unlocks it."""
        os.close(descriptor)


def remove_locked(descriptor: int, path: str) -> None:
    """Delete a file that this process has locked, and release the lock.

    It is never the file that the next owner has locked: where an open file can be removed it is removed
    first, and on Windows only one that nobody has opened again can be.
    """
    if WINDOWS:
        unlock_and_close(descriptor)
    with suppress(OSError):
        os.unlink(path)
    if not WINDOWS:
        unlock_and_close(descriptor)


def replace(new: str, path: str | os.PathLike[str]) -> None:
    """Rename a file to the name of another, which it replaces. Raises `OSError`.

    On Windows this fails while another program, such as a virus scanner, has one of them open, so it is tried
    again for a second.
    """
    until = RealTime.monotonic() + _REPLACING
    while True:
        try:
            os.replace(new, path)
            return
        except PermissionError:
            if not WINDOWS or RealTime.monotonic() >= until:
                raise
        time.sleep(_NAP)


def get(queue: SimpleQueue[T], seconds: float = threading.TIMEOUT_MAX) -> T:
    """Return the next item of a queue. Raises `queue.Empty` if there is none for ``seconds``."""
    while True:
        try:
            return queue.get(timeout=min(seconds, LONGEST_WAIT))
        except Empty:
            seconds -= LONGEST_WAIT
            if seconds <= 0:
                raise


def wait(event: threading.Event) -> None:
    """Wait until an event is set."""
    while not event.wait(LONGEST_WAIT):
        pass


def error_text(number: int) -> str:
    """Return the system's text for the number of an error."""
    return _TEXTS.get(number) or os.strerror(number)


def is_broken_pipe(error: OSError) -> bool:
    """Return True if the reader of a pipe has gone. Windows says that it is an invalid argument."""
    return isinstance(error, BrokenPipeError) or (WINDOWS and error.errno == errno.EINVAL)
