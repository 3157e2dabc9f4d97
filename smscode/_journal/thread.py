"""The thread that writes a journal, so that neither event loops nor callers wait for its disk.

It commits all that waits in one transaction. Callers only put what they want into a queue; whatever they
run can be interrupted at any line, and takes no lock.
"""

from __future__ import annotations

import _thread
import atexit
import logging
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar

from attrs import frozen

from .._clock import RealTime
from ..errors import ClientStateError, ConfigurationError, JournalError, SmscodeError
from . import owners
from .store import Locked, Store
from .writes import Read, Write, again

R = TypeVar("R")

_log = logging.getLogger("smscode.journal")

_BATCH: Final = 1_000  # writes in one transaction
_PAUSES: Final = (0.05, 1.0)  # seconds between attempts while the disk fails: the first and the longest
_LOCK_PAUSE: Final = 0.01  # seconds between attempts while another process has the file, beside SQLite's own
_PRUNING: Final = 3_600.0  # seconds between two looks for old rows
_PRUNING_AGAIN: Final = 60.0  # the same after a failure
_LOCKED: Final = "another process has it locked"
_EXIT: Final = 1.0  # seconds that the end of the process waits for all journals together
_FORK: Final = 10.0  # seconds that a fork waits for the threads, and these for the fork


@frozen
class _Stop:
    patience: float


class _Fork:
    """Keeps the thread out of SQLite while the process forks.

    A child would inherit the locks that SQLite holds at that moment, with no thread to release them.
    """

    def __init__(self) -> None:
        self.waits: Final[SimpleQueue[None]] = SimpleQueue()
        self.forked: Final[SimpleQueue[None]] = SimpleQueue()

    def pause(self) -> None:
        """Wait, in the thread of the journal, until the process has forked."""
        self.waits.put(None)
        with suppress(Empty):
            self.forked.get(timeout=_FORK)


_Item = Write[Any] | Read[Any] | _Stop | _Fork


class Writer:
    """The queue and the thread of one journal file, which begins with its first use."""

    def __init__(self, store: Store) -> None:
        self.path: Final = store.path
        self.owner: Final = store.owner.id
        self._process = os.getpid()
        self._queue: SimpleQueue[_Item] = SimpleQueue()
        self._tokens = [store]  # taken by the first thread, so that there is only one
        self._started = False
        self._failure: SmscodeError | None = None  # why the thread could not be started
        self._closed = False
        self._ended = False
        self._end: SimpleQueue[None] = SimpleQueue()
        self._thread: int | None = None

    def apply(self, write: Write[R]) -> Write[R]:
        """Queue a write; it is failed at once if it cannot be."""
        error = self._begin()
        if error is None:
            self._queue.put(write)
            error = self._unserved()
        if error is not None:
            write.refuse(error)
        return write

    def abandon(self, write: Write[Any]) -> bool:
        """Return True if a write had not begun, and will not be applied."""
        return os.getpid() == self._process and write.abandon()

    def ask(self, read: Callable[[Store], R]) -> R:
        """Read from the file, after what was queued before; wait for the answer."""
        answered: SimpleQueue[None] = SimpleQueue()
        question = self.read(Read(read, partial(answered.put, None)))
        answered.get()
        if question.error is not None:
            raise question.error
        return question.result  # type: ignore[return-value]  # it is None only where R allows it

    def read(self, question: Read[R]) -> Read[R]:
        """Queue a question; it is answered with an error at once if it cannot be."""
        error = self._begin()
        if error is None:
            self._queue.put(question)
            error = self._unserved()
        if error is not None and not question.done:
            question.fail(error)
        return question

    @property
    def usable(self) -> bool:
        """Whether anything is still written, by this process."""
        return not (self._closed or self._ended) and os.getpid() == self._process

    def stop(self, patience: float, *, wait: bool = True) -> None:
        """Close the file when all is written that waits, or after ``patience`` seconds; wait for that.

        It does nothing in a forked process, and does not wait in the thread itself.
        """
        if os.getpid() != self._process:
            return
        self._closed = True
        self._queue.put(_Stop(patience))
        if wait and self._started and self._failure is None and not self._in_thread():
            self.wait(patience)
            owners.forget(self.owner)  # also where the thread is held up by a disk that it cannot write

    def wait(self, patience: float) -> None:
        """Wait until the thread has ended. In a forked process there is none."""
        if not self._ended and os.getpid() == self._process:
            try:
                self._end.get(timeout=patience)
            except Empty:
                return
            self._end.put(None)  # for others who wait; from now on they see that it has ended

    def before_fork(self, fork: _Fork) -> None:
        """Ask the thread to stay out of SQLite; the caller waits until it does."""
        if self._in_thread():
            fork.waits.put(None)
            return
        self._queue.put(fork)
        if self._ended:
            fork.waits.put(None)

    def _begin(self) -> SmscodeError | None:
        """Start the thread if that is not done yet; return why it cannot be used."""
        if os.getpid() != self._process:
            return ConfigurationError(
                f"journal: {self.path} was opened before the process forked: open it again."
            )
        if self._closed or self._ended:
            return _closed_error(self.path)
        if not self._started or self._failure is not None:
            # Not `Thread.start`: that takes locks of its own, which a KeyboardInterrupt could leave taken.
            # A second thread, after an interruption or beside another caller, ends at once.
            self._failure = None
            try:
                _thread.start_new_thread(self._launch, ())
            except RuntimeError as error:
                return _no_thread(self.path, error)
            self._started = True
        return None

    def _unserved(self) -> SmscodeError | None:
        """Return why what was just queued may have come too late for the thread."""
        if self._ended:
            return _closed_error(self.path)
        return self._failure and again(self._failure)

    def _launch(self) -> None:
        try:
            threading.Thread(target=self._main, name="smscode journal", daemon=True).start()
        except RuntimeError as error:
            self._failure = _no_thread(self.path, error)  # the next write tries again
            self._refuse_queued(self._failure)

    def _main(self) -> None:
        if hasattr(signal, "pthread_sigmask"):  # pragma: no branch  # there are none on Windows
            # A signal that this thread took would not interrupt what the main thread waits for.
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
            _Work(store, self._queue).run()
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
            elif isinstance(item, _Fork):
                item.waits.put(None)

    def _in_thread(self) -> bool:
        return threading.get_ident() == self._thread


class _Work:
    """What the thread does: all its methods run there."""

    def __init__(self, store: Store, queue: SimpleQueue[_Item]) -> None:
        self._store = store
        self._queue = queue
        self._writes: deque[Write[Any]] = deque()
        self._reads: list[Read[Any]] = []
        self._pause: float | None = None  # seconds until what waits is tried again
        self._outage = False
        self._backoff = _PAUSES[0]
        self._prune_at = RealTime.monotonic()
        self._stop_at: float | None = None

    def run(self) -> None:
        """Work until a stop is asked for and nothing waits any more, or its patience has ended."""
        try:
            while not self._over():
                try:
                    self._turn()
                except Exception as error:
                    _log.critical("the thread of the journal has a defect", exc_info=error)
                    self._fail(self._store.failure(f"nothing was stored, by a defect ({error!r})", error))
        finally:
            self._end()

    def _over(self) -> bool:
        if self._stop_at is None:
            return False
        return not (self._writes or self._reads) or RealTime.monotonic() >= self._stop_at

    def _turn(self) -> None:
        """Do all that waits once, as far as the disk allows."""
        self._take()
        self._writes = deque(write for write in self._writes if not write.over)
        if self._writes or self._reads:
            try:
                self._store.open()
                self._commit()
            except Locked:
                self._pause = _LOCK_PAUSE
                for write in self._writes:
                    write.give_back()
            except ConfigurationError as error:
                self._refuse(error)
            except JournalError as error:
                self._fail(error)
            else:
                self._pause = None
                self._outage = False
            self._answer()
        if self._store.is_open and self._stop_at is None and RealTime.monotonic() >= self._prune_at:
            self._prune()

    def _take(self) -> None:
        """Wait until something comes or is due, and take all that is there."""
        timeout: float | None = None
        if self._writes or self._reads:
            timeout = self._pause
        elif self._store.is_open:
            timeout = max(0.0, self._prune_at - RealTime.monotonic())
        with suppress(Empty):
            item = self._queue.get(timeout=timeout)
            while True:
                if isinstance(item, Write):
                    self._writes.append(item)
                elif isinstance(item, Read):
                    self._reads.append(item)
                elif isinstance(item, _Fork):
                    item.pause()
                else:
                    stop_at = RealTime.monotonic() + item.patience
                    self._stop_at = min(stop_at, self._stop_at or stop_at)
                item = self._queue.get_nowait()

    def _commit(self) -> None:
        for _ in range(0, len(self._writes), _BATCH):
            batch = list(islice(self._writes, _BATCH))
            self._store.commit(batch)
            for _ in batch:
                self._writes.popleft()

    def _answer(self) -> None:
        """Read what is asked for. That needs no lock, but for opening the file."""
        waiting: list[Read[Any]] = []
        for read in self._reads:
            try:
                self._store.open()
                read.answer(self._store)
            except Locked:
                if read.waits_on():
                    waiting.append(read)
                    self._pause = _LOCK_PAUSE if self._pause is None else self._pause
                else:
                    read.fail(self._store.failure(_LOCKED))
            except SmscodeError as error:
                read.fail(again(error))
            except Exception as error:
                read.fail(self._store.failure(f"it could not be read, by a defect ({error!r})", error))
        self._reads = waiting

    def _prune(self) -> None:
        now = RealTime.monotonic()
        self._prune_at = now + _PRUNING_AGAIN
        try:
            self._prune_at = now if self._store.prune() else now + _PRUNING
        except (Locked, JournalError) as error:
            _log.debug("the journal is pruned later: %r", error)

    def _fail(self, error: JournalError) -> None:
        """Fail all writes but the lasting ones, which are tried again after a pause."""
        if self._outage:
            self._backoff = min(2 * self._backoff, _PAUSES[1])
        else:
            self._outage = True
            self._backoff = _PAUSES[0]
            _log.error("%s", error.message)
        self._pause = self._backoff
        for write in self._writes:
            if write.lasting:
                write.give_back()
            else:
                write.fail(again(error))
        self._writes = deque(write for write in self._writes if not write.over)

    def _refuse(self, error: SmscodeError) -> None:
        """Fail all that waits."""
        for write in self._writes:
            write.fail(again(error))
        for read in self._reads:
            read.fail(again(error))
        self._writes.clear()
        self._reads.clear()

    def _end(self) -> None:
        """Close the file. What could not be written by now is not written any more."""
        lost = sum(not write.over for write in self._writes)
        if lost:
            _log.error("journal: %s was closed before %d changes could be written", self._store.path, lost)
        self._refuse(self._store.failure("it was closed before this could be written"))
        while True:
            try:
                self._store.leave()
                break
            except Locked:
                if self._stop_at is None or RealTime.monotonic() >= self._stop_at:
                    break
            except JournalError as error:
                _log.debug("the owner's row stays: %r", error)
                break
        self._store.close()


_running: dict[Writer, None] = {}
"""The writers that have a thread; changed by these threads only, and by a fork."""


def _flush() -> None:
    """Write what waits before the process ends, for a bounded time."""
    writers = list(_running)
    for writer in writers:
        writer.stop(_EXIT, wait=False)
    end = RealTime.monotonic() + _EXIT
    for writer in writers:
        writer.wait(max(0.0, end - RealTime.monotonic()))


_forks: dict[int, list[_Fork]] = {}
"""What each thread that forks now has asked for."""


def _before_fork() -> None:
    end = RealTime.monotonic() + _FORK
    forks = _forks[threading.get_ident()] = []
    for writer in list(_running):
        fork = _Fork()
        forks.append(fork)
        writer.before_fork(fork)
    for fork in forks:
        with suppress(Empty):
            fork.waits.get(timeout=max(0.0, end - RealTime.monotonic()))


def _after_fork() -> None:
    for fork in _forks.pop(threading.get_ident(), ()):
        fork.forked.put(None)


def _after_fork_in_child() -> None:
    _forks.clear()
    _running.clear()  # their threads are the parent's


def _closed_error(path: str) -> ClientStateError:
    return ClientStateError(f"journal: {path} is closed.")


def _no_thread(path: str, cause: BaseException) -> JournalError:
    error = JournalError(f"journal: {path}: its thread cannot be started ({cause}).")
    error.__cause__ = cause
    return error


atexit.register(_flush)
if sys.platform != "win32":  # pragma: no branch  # there nothing forks
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)
