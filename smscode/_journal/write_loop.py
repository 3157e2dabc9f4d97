"""What a journal's thread does: it takes writes and reads from the queue and serves them from the file."""

from __future__ import annotations

import logging
from collections import deque
from contextlib import suppress
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeAlias

from attrs import frozen

from .._clock import RealTime
from ..errors import ConfigurationError, JournalError, SmscodeError
from .store import Locked, Store
from .writes import Read, Write, again

_log = logging.getLogger("smscode.journal")

_BATCH: Final = 1_000  # writes in one transaction
_PAUSES: Final = (0.05, 1.0)  # seconds between attempts while the disk fails: the first and the longest
_LOCK_PAUSE: Final = 0.01  # seconds between attempts while another process has the file, beside SQLite's own
_PRUNING: Final = 3_600.0  # seconds between two searches for old rows
_PRUNING_AGAIN: Final = 60.0  # the same after a failure
_LOCKED: Final = "another process has it locked"
FORK_WAIT: Final = 10.0  # seconds that a fork waits for the threads, and these for the fork


@frozen
class Stop:
    """Asks the thread to end when all is written, at the latest after ``patience`` seconds."""

    patience: float


class Fork:
    """Asks the thread to stay out of SQLite while the process forks.

    A child would inherit the locks that SQLite holds at that moment, without the thread that releases them.
    """

    def __init__(self) -> None:
        self.waits: Final[SimpleQueue[None]] = SimpleQueue()
        self.forked: Final[SimpleQueue[None]] = SimpleQueue()

    def pause(self) -> None:
        """Report, in the journal's thread, that it is outside of SQLite, and wait until the fork is over."""
        self.waits.put(None)
        with suppress(Empty):
            self.forked.get(timeout=FORK_WAIT)


QueueItem: TypeAlias = Write[Any] | Read[Any] | Stop | Fork


class WriteLoop:
    """The loop of a journal's thread; all its methods run there.

    All writes that wait are committed in one transaction, in their order.
    """

    def __init__(self, store: Store, queue: SimpleQueue[QueueItem]) -> None:
        self._store = store
        self._queue = queue
        self._writes: deque[Write[Any]] = deque()
        self._reads: list[Read[Any]] = []
        self._pause: float | None = None  # seconds until waiting items are tried again
        self._backoff: float | None = None  # the pause after the last failure, None while all is well
        self._prune_at = RealTime.monotonic()
        self._stop_at: float | None = None

    def run(self) -> None:
        """Serve the queue until a stop is due: when nothing waits any more, or its time is over."""
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
        """Take new items, commit all writes that wait, answer all reads, and prune if that is due."""
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
                self._pause = self._backoff = None
            self._answer()
        if self._store.is_open and self._stop_at is None and RealTime.monotonic() >= self._prune_at:
            self._prune()

    def _take(self) -> None:
        """Wait for an item, or until something is due, and take all items that are there."""
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
                elif isinstance(item, Fork):
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
        """Answer the reads. Another process' lock can hold them up only while the file is being opened."""
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
        """Fail the writes, except lasting ones, which are tried again after a pause."""
        if self._backoff is None:
            _log.error("%s", error.message)
            self._backoff = _PAUSES[0]
        else:
            self._backoff = min(2 * self._backoff, _PAUSES[1])
        self._pause = self._backoff
        for write in self._writes:
            if write.lasting:
                write.give_back()
            else:
                write.fail(again(error))
        self._writes = deque(write for write in self._writes if not write.over)

    def _refuse(self, error: SmscodeError) -> None:
        """Fail all writes and reads that wait."""
        for write in self._writes:
            write.fail(again(error))
        for read in self._reads:
            read.fail(again(error))
        self._writes.clear()
        self._reads.clear()

    def _end(self) -> None:
        """Close the file; writes that still wait fail."""
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
