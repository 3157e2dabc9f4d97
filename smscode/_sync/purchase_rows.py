# Generated from smscode/_async/purchase_rows.py by `nox -s generate`: change that file, not this one.

"""The rows of a client's purchases in its journal: written before they are sent, changed as more is known."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from .._concurrency import Runtime, Signal, Wakes
from ..core.purchases import records
from ..core.purchases.records import KnownKeys, PurchaseRecord, PurchaseState, PurchaseStep, Writing
from ..core.purchases.spending import SpendingLedger, SpendingLimit, SpendingRule
from ..core.purchases.states import Purchase
from ..errors import JournalError, SmscodeError
from ..journal import Read, SQLiteJournal, Write
from ..money import FxRate
from .delivery import Delivery

T = TypeVar("T")


class PurchaseRows:
    """The journal of one client's purchases, if it has one."""

    def __init__(
        self,
        runtime: Runtime,
        journal: SQLiteJournal | None,
        account: str,
        credential: str,
        spending: SpendingLimit | None,
    ) -> None:
        """Set up; ``account`` and ``credential`` say which purchases in the ``journal`` are this client's."""
        self.journal = journal
        self.spending = spending
        # Without a journal, a client with a limit keeps the same records in memory.
        self.ledger: SpendingLedger | None = None
        if spending is not None and journal is None:
            self.ledger = SpendingLedger(threading.RLock())
        self.account = account
        self.credential = credential
        self.rate: FxRate | None = None  # the newest one that the service stated
        self.accounts: dict[str, str] = {}  # of keys that the journal has under another name of the account
        self._rule: SpendingRule | None = None  # the limit in rupiah, once a rate for it is known
        self._runtime = runtime
        self._wakes = Wakes()

    def account_of(self, key: str) -> str:
        """Return the name of the account under which the journal has a key."""
        return self.accounts.get(key, self.account)

    def _record(self, owner: str, purchase: Purchase, deadline: float) -> PurchaseRecord:
        now, left = time.time(), deadline - self._runtime.now()
        return PurchaseRecord(
            account=self.account_of(purchase.key),
            credential=self.credential,
            intent=purchase.intent,
            owner=owner,
            written_at=now,
            cap=purchase.intent.cap(self.rate),
            open_until=None if math.isinf(left) else now + left,
        )

    def _write(
        self, journal: SQLiteJournal, purchase: Purchase, writing: Writing, deadline: float, *, fresh: bool
    ) -> None:
        """Write a purchase to the journal and get its earlier state; it is on disk when this returns."""
        signal, account = Signal(), self.account_of(purchase.key)
        rule, wake = writing.rule, self._waking(signal)
        write = Write(account, purchase.key, writing.write, durable=True, rule=rule, wake=wake)
        writing.operation = write
        journal.apply(write)
        try:
            half = (deadline - self._runtime.now()) / 2
            if not (fresh or self._runtime.wait_for_disk(signal, max(half, 0.0))):
                # If it is not written at all, this still tells the state of the key: reading needs no lock.
                writing.look = journal.find(account, purchase.key, _wake_nothing)
            known = self.done(signal, write, deadline)
        finally:
            writing.failed = write.error is not None
        purchase.written_at = known.written_at or writing.new.written_at
        if known.state is not None and not purchase.doubt.raised:
            self._learn(purchase, known)

    def _learn(self, purchase: Purchase, known: KnownKeys) -> None:
        """Add the state that an earlier process left: its attempts may still be open."""
        ago = 0.0 if known.open_until is None else max(time.time() - known.open_until, 0.0)
        purchase.doubt.ended = self._runtime.now() - ago
        purchase.doubt.raised = True

    def _waking(self, signal: Signal) -> Callable[[], None]:
        return partial(self._wakes.wake, signal)

    def done(self, signal: Signal, write: Write[T] | Read[T], deadline: float) -> T:
        """Wait until a write is on disk, or a read answered, and return its result.

        Raises `JournalError` at the deadline.
        """
        assert self.journal is not None
        left = max(deadline - self._runtime.now(), 0.0)
        if not write.done and not self._runtime.wait_for_disk(signal, left) and not write.done:
            raise JournalError(
                f"journal: {self.journal.path} could not be written in the time of the call: another process "
                "has locked it, or its disk is slow."
            )
        if write.error is not None:
            raise write.error
        result: T | None = write.result
        assert result is not None
        return result

    def change(self, key: str, step: PurchaseStep[object], *, durable: bool = False) -> None:
        """Queue a change of a purchase's row; it is tried until the journal is closed.

        Without a journal, change the record that a spending limit needs.
        """
        if self.journal is not None:
            self.journal.apply(Write(self.account_of(key), key, step, durable=durable, lasting=True))
        elif self.ledger is not None:
            self.ledger.change(key, step, None, time.time())

    def stored(self, key: str, deadline: float) -> PurchaseRecord | None:
        """Read what the journal has under a key. Raises `JournalError` at the deadline."""
        assert self.journal is not None
        signal = Signal()
        found = self.journal.find(self.account_of(key), key, self._waking(signal))
        (record,) = self.done(signal, found, deadline)
        return record

    def _take_out(self, purchase: Purchase, writing: Writing) -> None:
        """Queue the withdrawal of a row that this call wrote and did not send; an older row stays."""
        if not self._abandon(writing):
            self.change(purchase.key, writing.withdraw(time.time()), durable=True)

    def _leave_open(self, purchase: Purchase) -> None:
        if self.journal is not None:
            self.change(purchase.key, records.leave(self.journal.owner, time.time()))

    def _abandon(self, writing: Writing) -> bool:
        write = writing.operation
        return self.journal is not None and write is not None and self.journal.abandon(write)

    def _is_stored(self, key: str, writing: Writing | None, delivery: Delivery) -> bool:
        """Return True if the journal has a purchase that may have been made, or cannot be asked in time."""
        look = None if writing is None else writing.look
        try:
            if look is not None and look.done:
                (record,) = self.done(Signal(), look, delivery.deadline)
            else:
                record = self.stored(key, delivery.deadline)
        except SmscodeError:
            return True  # without an answer, it may have been made
        return record is not None and record.state in (PurchaseState.WRITTEN, PurchaseState.BOUGHT)


def _wake_nothing() -> None:
    """Do nothing: the answer is looked at later."""
