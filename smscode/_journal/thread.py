"""The queue and the thread of a journal, so that neither event loops nor callers wait for its disk.

What callers run here only puts items into a queue. It takes no lock, so that a `KeyboardInterrupt` at any
line leaves none taken. What the thread does with the items is in `write_loop`.
"""

from __future__ import annotations

import _thread
import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar

from .. import _platform
from .._clock import RealTime
from ..errors import ClientStateError, ConfigurationError, JournalError, SmscodeError
from . import owners
from .store import Store
from .write_loop import FORK_WAIT, Fork, QueueItem, Stop, WriteLoop
from .writes import Read, Write, again

R = TypeVar("R")

_EXIT: Final = 1.0  # seconds that the end of the process waits, for all journals together


class Writer:
    """The queue of one journal file, and the thread that serves it, which starts at the first use."""

    def __init__(self, store: Store) -> None:
        self.path: Final = store.path
        self.owner: Final = store.owner.id
        self._process = os.getpid()
        self._queue: SimpleQueue[QueueItem] = SimpleQueue()
        self._tokens = [store]  # the first thread takes it, so that only one runs
        self._started = False
        self._failure: SmscodeError | None = None  # why the thread could not be started
        self._closed = False
        self._ended = False
        self._end: SimpleQueue[None] = SimpleQueue()
        self._thread: int | None = None

    def apply(self, write: Write[R]) -> Write[R]:
        """Queue a write. One that cannot be queued fails at once."""
        error = self._begin()
        if error is None:
            self._queue.put(write)
            error = self._unserved()
        if error is not None:
            write.refuse(error)
        return write

    def abandon(self, write: Write[Any]) -> bool:
        """Withdraw a write; return True if it had not begun, so that it is never applied."""
        return os.getpid() == self._process and write.abandon()

    def ask(self, read: Callable[[Store], R]) -> R:
        """Read from the file after all writes queued before, wait for the answer, and return or raise it."""
        answered: SimpleQueue[None] = SimpleQueue()
        question = self.read(Read(read, partial(answered.put, None)))
        _platform.get(answered)
        if question.error is not None:
            raise question.error
        return question.result  # type: ignore[return-value]  # it is None only where R allows it

    def read(self, question: Read[R]) -> Read[R]:
        """Queue a read. One that cannot be queued fails at once."""
        error = self._begin()
        if error is None:
            self._queue.put(question)
            error = self._unserved()
        if error is not None and not question.done:
            question.fail(error)
        return question

    @property
    def usable(self) -> bool:
        """Whether it was not closed yet, and is of this process."""
        return not self._closed and os.getpid() == self._process

    def stop(self, patience: float, *, wait: bool) -> None:
        """Close the file as soon as the queue is written, at the latest after ``patience`` seconds.

        With ``wait`` this returns when the file is closed, or after that time; in the thread itself it never
        waits. In a forked process this does nothing.
        """
        if os.getpid() != self._process:
            return
        self._closed = True
        self._queue.put(Stop(patience))
        if wait and self._started and self._failure is None and not self._in_thread():
            self.wait(patience)
            owners.forget(self.owner)  # even if the thread still waits for its disk

    def wait(self, patience: float) -> None:
        """Wait until the thread has ended, at most ``patience`` seconds; in a forked process do nothing."""
        if not self._ended and os.getpid() == self._process:
            try:
                _platform.get(self._end, patience)
            except Empty:
                return
            self._end.put(None)  # lets the next waiter go on, too

    def before_fork(self, fork: Fork) -> None:
        """Ask the thread to stay out of SQLite during a fork; ``fork.waits`` gets an item when it does."""
        self._queue.put(fork)
        if self._ended or self._in_thread():  # it cannot take the request before the fork
            fork.waits.put(None)

    def _begin(self) -> SmscodeError | None:
        """Start the thread if it does not run yet; return the error if it cannot be used, else None."""
        if os.getpid() != self._process:
            return ConfigurationError(
                f"journal: {self.path} was opened before the process forked: open it again."
            )
        if self._closed:
            return _closed_error(self.path)
        if not self._started or self._failure is not None:
            # Not `Thread.start`, which takes locks that a KeyboardInterrupt could leave taken. If two threads
            # are started, by an interrupted caller or by two callers at once, the second one ends at once.
            self._failure = None
            try:
                _thread.start_new_thread(self._launch, ())
            except RuntimeError as error:
                return _no_thread(self.path, error)
            self._started = True
        return None

    def _unserved(self) -> SmscodeError | None:
        """Return the error if what was just queued may have come too late for the thread, else None."""
        if self._ended:
            return _closed_error(self.path)
        return self._failure and again(self._failure)

    def _launch(self) -> None:
        try:
            threading.Thread(target=self._main, name="smscode journal", daemon=True).start()
        except RuntimeError as error:
            self._failure = _no_thread(self.path, error)  # the next write tries to start it again
            self._refuse_queued(self._failure)

    def _main(self) -> None:
        if sys.platform != "win32":  # pragma: no branch  # there are none
            # Signals are left to the other threads: one that arrived here would not interrupt the main
            # thread.
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        self._run()

    def _run(self) -> None:
        try:
            store = self._tokens.pop()
        except IndexError:
            return
        self._started = True
        _running[self] = None
        self._thread = threading.get_ident()
        try:
            WriteLoop(store, self._queue).run()
        finally:
            self._ended = True
            self._refuse_queued(_closed_error(self.path))
            _running.pop(self)
            self._end.put(None)

    def _refuse_queued(self, error: SmscodeError) -> None:
        while True:
            try:
                item = self._queue.get_nowait()
            except Empty:
                return
            if isinstance(item, Write | Read):
                item.fail(again(error))
            elif isinstance(item, Fork):
                item.waits.put(None)

    def _in_thread(self) -> bool:
        return threading.get_ident() == self._thread


_running: dict[Writer, None] = {}
"""The writers with a running thread. Each thread adds and removes its own; a forked child clears them."""


def _flush() -> None:
    """At the end of the process: write what is queued, for at most `_EXIT` seconds."""
    writers = list(_running)
    for writer in writers:
        writer.stop(_EXIT, wait=False)
    end = RealTime.monotonic() + _EXIT
    for writer in writers:
        writer.wait(max(0.0, end - RealTime.monotonic()))


_forks: dict[int, list[Fork]] = {}
"""The requests of each thread that is forking now, by its id."""


def _before_fork() -> None:
    """Wait until no journal's thread is inside SQLite; a child would inherit the locks it holds there."""
    end = RealTime.monotonic() + FORK_WAIT
    forks = _forks[threading.get_ident()] = []
    for writer in list(_running):
        fork = Fork()
        forks.append(fork)
        writer.before_fork(fork)
    for fork in forks:
        with suppress(Empty):
            fork.waits.get(timeout=max(0.0, end - RealTime.monotonic()))


def _after_fork() -> None:
    """In the parent: let the threads go on."""
    for fork in _forks.pop(threading.get_ident(), ()):
        fork.forked.put(None)


def _after_fork_in_child() -> None:
    """In the child: forget the writers, whose threads run in the parent only."""
    _forks.clear()
    _running.clear()


def _closed_error(path: str) -> ClientStateError:
    return ClientStateError(f"journal: {path} is closed.")


def _no_thread(path: str, cause: BaseException) -> JournalError:
    error = JournalError(f"journal: {path}: its thread cannot be started ({cause}).")
    error.__cause__ = cause
    return error


atexit.register(_flush)
if sys.platform != "win32":  # pragma: no branch  # there nothing forks
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)
