"""The faults of the past, as functions that put them back into the package of this process."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from attrs import evolve

from smscode import journal
from smscode._async.purchases import AsyncPurchases
from smscode._concurrency import callers, runtime
from smscode._journal import owners
from smscode._journal.owners import Census
from smscode._journal.writes import Write
from smscode._sync.purchases import Purchases
from smscode.core.purchases import records, states
from smscode.core.purchases.records import KnownKeys, PurchaseState
from smscode.errors import JournalError

_BOTH: tuple[Any, ...] = (AsyncPurchases, Purchases)


def _on_both(method: str, make: Callable[[Any], Any]) -> None:
    """Replace a method of both flavours; ``make`` is given the real one."""
    for flavour in _BOTH:
        setattr(flavour, method, make(getattr(flavour, method)))


def _on_each(method: str, later: Any, now: Any) -> None:
    """Replace an asynchronous method by one function, another one in that of its twin."""
    for flavour, function in zip(_BOTH, (later, now), strict=True):
        setattr(flavour, method, function)


def withdrawal_not_written() -> None:
    """A purchase that is left before its first byte stays open on disk."""

    def leave(self: Any, purchase: Any) -> None:
        if not purchase.bought and not purchase.doubt.raised:
            self.book.drop(purchase)

    _on_both("_leave", lambda real: leave)


def write_goes_on() -> None:
    """What is abandoned is written all the same, and nothing takes it back."""
    journal.SQLiteJournal.abandon = lambda self, write: True  # type: ignore[method-assign]


def not_sent_stays_open() -> None:
    """An error says that nothing was sent, and the purchase stays open on disk."""

    async def later(self: Any, purchase: Any, state: PurchaseState, deadline: float) -> bool:
        return True

    def now(self: Any, purchase: Any, state: PurchaseState, deadline: float) -> bool:
        return True

    _on_each("_store_end", later, now)


def refused_when_left() -> None:
    """A purchase that is left, sent or not, is noted as refused."""

    def leave(self: Any, purchase: Any) -> None:
        if not purchase.bought:
            if self.journal is not None:
                end = records.end_unbought(self.journal.owner, PurchaseState.REFUSED, time.time())
                self.change(purchase.key, end)
            self.book.drop(purchase)

    _on_both("_leave", lambda real: leave)


def settled_at_once() -> None:
    """What was bought counts as done as soon as it is answered, before its caller has it."""

    def make(real: Any) -> Any:
        def buy(self: Any, purchase: Any, created: Any) -> None:
            real(self, purchase, created)
            self.change(purchase.key, records.close(time.time()))
            self.book.hand_over(purchase, done=True)
            self.book._close(purchase)

        return buy

    _on_both("_buy", make)


def forgotten_when_left() -> None:
    """A purchase that is left after it was sent is not in `unresolved`."""

    def make(real: Any) -> Any:
        def leave(self: Any, purchase: Any) -> None:
            real(self, purchase)
            self.book.drop(purchase)

        return leave

    _on_both("_leave", make)


def no_offer_ends_doubt() -> None:
    """NO_OFFER_AVAILABLE counts as an answer for an attempt that may still arrive."""
    _verdict("NO_OFFER_AVAILABLE", settles="always")


def refusals_end_doubt() -> None:
    """A refusal that comes before the look-up of the key counts as an answer for earlier attempts."""
    for code in ("UNAUTHORIZED", "VALIDATION_ERROR", "RATE_LIMIT_EXCEEDED", "FX_RATE_UNAVAILABLE"):
        _verdict(code, settles="always")


def conflict_is_a_refusal() -> None:
    """CONFLICT, which a duplicate request gets, counts as a refusal."""
    states.VERDICTS["CONFLICT"] = states.VERDICTS["UNAUTHORIZED"]  # type: ignore[index]
    _verdict("CONFLICT", settles="always")


def _verdict(code: str, **changes: Any) -> None:
    verdicts: Any = states.VERDICTS
    verdicts[code] = evolve(verdicts[code], **changes)


def errors_speak_of_the_request() -> None:
    """An error that is found before anything is sent says "not_sent", whatever was sent before."""

    async def later(self: Any, key: Any, purchase: Any, delivery: Any) -> bool:
        return False

    def now(self: Any, key: Any, purchase: Any, delivery: Any) -> bool:
        return False

    _on_each("_knows", later, now)


def future_is_recent() -> None:
    """An age below zero counts as recent."""
    records.age_of = lambda written_at, now: now - written_at


def past_is_recent() -> None:
    """No purchase is too old."""
    records.age_of = lambda written_at, now: 0.0


def claim_takes_all() -> None:
    """Recovering one account takes the rows of all."""
    real = records.claim

    def claim(who: Any) -> Any:
        step = real(who)

        def all_of(record: Any, living: Any) -> Any:
            if record.account != who.account and not living(record.owner):
                return evolve(record, owner=who.owner), None
            return step(record, living)

        return all_of

    records.claim = claim


def other_tokens_unseen() -> None:
    """What was written under another token is not mentioned."""
    real = records.claim

    def claim(who: Any) -> Any:
        step = real(who)

        def own(record: Any, living: Any) -> Any:
            return (record, None) if record.account != who.account else step(record, living)

        return own

    records.claim = claim


def living_owner_ignored() -> None:
    """The lock file of an owner that lives is not looked at."""
    real = Census.lives

    def lives(self: Any, owner: str) -> bool:
        return (os.getpid(), owner) in owners._here and real(self, owner)

    Census.lives = lives  # type: ignore[method-assign]


def written_on_the_loop() -> None:
    """The event loop waits for the disk, with every write."""
    real = journal.SQLiteJournal.apply

    def apply(self: Any, write: Any) -> Any:
        until = time.monotonic() + 1.0
        real(self, write)
        while not write.done and time.monotonic() < until:
            time.sleep(0.001)
        return write

    journal.SQLiteJournal.apply = apply  # type: ignore[method-assign]


def disk_without_deadline() -> None:
    """A call waits for the disk, however long its time is over."""

    def make(real: Any) -> Any:
        def done(self: Any, signal: Any, write: Any, deadline: float) -> Any:
            return real(self, signal, write, deadline + 1.0)

        return done

    _on_both("done", make)


def sent_before_written() -> None:
    """A purchase is sent while it is still being written."""

    def queue(self: Any, file: Any, purchase: Any, writing: Any, deadline: float, *, fresh: bool) -> None:
        writing.known = KnownKeys()
        account = self.account_of(purchase.key)
        write: Write[KnownKeys] = Write(account, purchase.key, writing.write, durable=True)
        writing.operation = file.apply(write)
        purchase.written_at = writing.new.written_at

    async def later(
        self: Any, file: Any, purchase: Any, writing: Any, deadline: float, *, fresh: bool
    ) -> None:
        queue(self, file, purchase, writing, deadline, fresh=fresh)

    _on_each("_write", later, queue)


def said_before_written() -> None:
    """A refusal is said before it is on disk."""

    def queue(self: Any, purchase: Any) -> bool:
        if self.journal is not None:
            end = records.end_unbought(self.journal.owner, PurchaseState.REFUSED, time.time())
            self.change(purchase.key, end, durable=True)
        return True

    async def later(self: Any, purchase: Any, state: PurchaseState, deadline: float) -> bool:
        return queue(self, purchase)

    def now(self: Any, purchase: Any, state: PurchaseState, deadline: float) -> bool:
        return queue(self, purchase)

    _on_each("_store_end", later, now)


def lock_held_on_interrupt() -> None:
    """Whoever uses the journal holds a lock, which an interrupt leaves held."""
    lock = threading.Lock()
    real = journal.SQLiteJournal.apply

    def apply(self: Any, write: Any) -> Any:
        if not lock.acquire(timeout=1.0):
            write.refuse(JournalError("journal: it is busy."))
            return write
        real(self, write)
        lock.release()
        return write

    journal.SQLiteJournal.apply = apply  # type: ignore[method-assign]


def calls_end_unnoticed() -> None:
    """What a call holds is given back by the call alone, so that an interrupted clean-up loses it."""
    over = property(lambda self: self._finished)
    callers.Caller.over = over  # type: ignore[method-assign,assignment]


def interrupt_waits_for_all() -> None:
    """Ctrl-C in `create_many` waits until the calls under way have ended."""

    def for_each(self: Any, function: Callable[[Any], None], items: Sequence[Any]) -> None:
        with ThreadPoolExecutor(max_workers=max(len(items), 1)) as threads:
            list(threads.map(function, items))

    runtime.Runtime.for_each = for_each  # type: ignore[method-assign]


def changes_hold_the_loop() -> None:
    """What was bought is written while the event loop waits."""

    def change(self: Any, key: str, step: Any, *, durable: bool = False) -> None:
        if self.journal is not None:
            write = Write(self.account, key, step, durable=durable, lasting=True)
            self.journal.apply(write)
            until = time.monotonic() + 1.0
            while not write.done and time.monotonic() < until:
                time.sleep(0.001)

    _on_both("change", lambda real: change)
