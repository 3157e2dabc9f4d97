"""Purchases from their arguments to the hand of their caller, whatever happens in between.

`core.purchases` decides what a failure, a refusal or an interruption means. This module keeps the order of
things: nothing is sent before it is written, nothing is waited for between an answer and its caller, and
what says "not bought" is on disk before it is said.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Protocol, TypeVar

from .._concurrency import AsyncCaller, AsyncSignal
from ..core.api import catalog
from ..core.api.arguments import KEY_PATTERN
from ..core.api.call import Answer, CallKind
from ..core.purchases import bulk, records
from ..core.purchases.book import PurchaseBook, bought_orders
from ..core.purchases.intents import OrderIntent
from ..core.purchases.records import PurchaseState, Writing
from ..core.purchases.spending import SpendingLimit, SpendingRule, uncapped
from ..core.purchases.states import FOUND_HERE, VERDICTS, Purchase, kind_of, row_after
from ..core.versions import VERSIONS
from ..errors import ClientStateError, SmscodeError
from ..journal import SQLiteJournal, Write
from ..models import CreatedOrders
from ..money import FxRate
from .delivery import AsyncDelivery
from .driver import AsyncDriver
from .purchase_rows import AsyncPurchaseRows

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_INTERRUPTED = "The call was interrupted before this purchase was sent."

MAX_AGE = 86_400.0
"""Seconds for which the service surely remembers an idempotency key."""

_RESERVE = 0.1  # the part of a call's time, at most so many seconds, reserved for the journal at its end


class AsyncBuying(Protocol[T_co]):
    """The function by which a call buys."""

    async def __call__(self, delivery: AsyncDelivery, /) -> T_co:
        """Buy, and return the result for the caller."""
        ...


class AsyncPurchases(AsyncPurchaseRows):
    """The purchases of one client."""

    def __init__(
        self,
        driver: AsyncDriver,
        journal: SQLiteJournal | None,
        account: str,
        credential: str,
        spending: SpendingLimit | None = None,
    ) -> None:
        """Set up; ``account`` and ``credential`` say which purchases in the ``journal`` are this client's."""
        super().__init__(driver.runtime, journal, account, credential, spending)
        self.book: PurchaseBook = PurchaseBook()
        self._driver = driver
        self._lock = threading.Lock() if journal is None else journal.lock
        self._deliveries: dict[AsyncDelivery, None] = {}
        self._closing = False
        self._leaving = self._leave_all  # one object for all calls: thousands may wait at once

    async def deliver(self, make: AsyncBuying[T], timeout: float | None, *keys: str | None) -> T:
        """Run what buys, and return its result as the last act: then its caller has what was bought.

        Every error that leaves it says what is known of the purchases under the ``keys``; None stands for
        one that is made up. An exception of any kind leaves what was bought in `PurchaseBook.unresolved`.
        """
        delivery = AsyncDelivery(self._leaving, fresh=keys == (None,))
        caller = delivery.caller = AsyncCaller(partial(self._let_go, delivery))
        try:
            self._deliveries[delivery] = None
            delivery.deadline = self._driver.deadline(CallKind.CREATE, timeout)
            value = await make(delivery)
            self._hand_over(delivery)
            self._end(delivery)
            caller.finish()
            return value
        except BaseException as error:
            try:
                if isinstance(error, SmscodeError) and error is not delivery.labelled:
                    await self._label(error, None, keys, delivery)
            finally:
                if not isinstance(error, SmscodeError):
                    self._leave_all(delivery, error)  # once more: another interrupt may have come in between
                self._take_back(delivery)
                self._end(delivery)
                caller.finish()
            raise

    def _let_go(self, delivery: AsyncDelivery, _: object = None) -> None:
        """Complete an interrupted clean-up."""
        if not delivery.ended:
            self._leave_all(delivery, None)
            self._take_back(delivery)
            self._end(delivery)

    def _leave_all(self, delivery: AsyncDelivery, why: BaseException | None) -> None:
        """Leave all purchases of an interrupted call; what other threads still do sends nothing new."""
        for purchase, thread in tuple(delivery.purchases.items()):
            if purchase.holder is not delivery:
                continue  # its end had begun, and another call may have it
            if why is not None or thread != delivery.thread:
                # In this order: a sender sets the doubt before it checks `forbidden`, so at least one of the
                # two sees the other, and what is withdrawn is not sent.
                purchase.doubt.forbidden = why or ClientStateError(_INTERRUPTED)
            self._leave(purchase)

    def _hand_over(self, delivery: AsyncDelivery) -> None:
        now = time.time()
        for purchase in tuple(delivery.purchases):
            if purchase.bought:
                delivery.handed[purchase] = None
                self.change(purchase.key, records.hand_over(now))
                self.book.hand_over(purchase, done=True)

    def _take_back(self, delivery: AsyncDelivery) -> None:
        for purchase in tuple(delivery.handed):
            self.book.hand_over(purchase, done=False)
            self.change(purchase.key, records.hand_over(None))

    def _end(self, delivery: AsyncDelivery) -> None:
        for purchase in tuple(delivery.purchases):
            # Before it has ended, so that no other call can have taken the purchase meanwhile.
            if purchase.holder is delivery:
                purchase.holder = None  # a cycle
            if self.journal is not None:
                place = (self.account_of(purchase.key), purchase.key)
                with self._lock:  # another thread may complete the same clean-up
                    if self.journal.holders.get(place) is delivery:
                        self.journal.holders.pop(place, None)
        delivery.ended = True
        delivery.caller = None  # it refers to the delivery
        self._deliveries.pop(delivery, None)
        self._close_journal()

    def close(self) -> bool:
        """Return True if the journal can be closed; else the last call that is under way closes it."""
        self._closing = True
        return not self._deliveries

    def _close_journal(self) -> None:
        if self._closing and not self._deliveries and self.journal is not None:
            self._closing = False
            self.journal.close(wait=False)

    async def submit(
        self,
        intent: OrderIntent,
        delivery: AsyncDelivery,
        max_age: float = MAX_AGE,
        only_open: bool = False,
        rule: SpendingRule | None = None,
    ) -> Answer[CreatedOrders]:
        """Send a purchase until it is settled, timed out, or cancelled.

        With ``only_open`` it is sent only if the journal still has it in doubt. ``rule`` is the client's
        spending limit in rupiah; None means to work it out.

        Between the service's answer and the return there is nothing to wait for, so that no answer is
        lost to a cancellation.
        """
        if self.spending is not None and rule is None and not only_open:
            rule = await self._ruled(self.spending, intent, delivery)
        purchase: Purchase | None = None
        key, deadline = intent.idempotency_key, delivery.deadline
        try:
            self._driver.check()
            purchase = self._begin(intent, delivery)
            if self.journal is None:
                self._refuse_old(purchase, max_age)
                if self.ledger is not None:
                    record = self._record("", purchase, math.inf)
                    purchase.writing = Writing(record, math.inf)
                    self.ledger.change(key, purchase.writing.write, rule, time.time())
            else:
                deadline -= min(_RESERVE, (deadline - self._runtime.now()) * _RESERVE)
                record = self._record(self.journal.owner, purchase, deadline)
                purchase.writing = Writing(record, max_age, only_open=only_open, rule=rule)
                await self._write(self.journal, purchase, purchase.writing, deadline, fresh=delivery.fresh)
            answer = await self._driver.run(intent.call, doubt=purchase.doubt, deadline=deadline)
            self._buy(purchase, answer.data)
            return answer
        except SmscodeError as error:
            delivery.labelled = error
            try:
                if error.trouble is None or error.trouble in FOUND_HERE:
                    await self._label(error, purchase, (key,), delivery)
                if purchase is not None:
                    await self._settle(purchase, error, delivery.deadline)
            except BaseException:
                if purchase is not None:
                    self._leave(purchase)
                raise
            raise
        except BaseException:
            if purchase is not None:
                self._leave(purchase)
            raise

    async def _ruled(
        self, spending: SpendingLimit, intent: OrderIntent, delivery: AsyncDelivery
    ) -> SpendingRule:
        """Return the spending limit in rupiah; read the exchange rate if it takes one.

        Raises `InvalidArgumentError` for a purchase without a cap under a limit, unless it is a repeated one.
        """
        if not intent.capped and not await self._knows([intent.idempotency_key], None, delivery):
            raise uncapped()
        if self.rate is None and VERSIONS[self._driver.version].currency != "IDR":
            # Without it the caps of dollars, and a limit in dollars, are not known in rupiah.
            self.rate: FxRate | None = await self.read_rate(delivery.deadline)
        if self._rule is None:
            self._rule = spending.in_rupiah(self.rate)
        return self._rule

    async def read_rate(self, deadline: float) -> FxRate:
        """Read the exchange rate."""
        return (await self._driver.run(catalog.exchange_rate(), deadline=deadline)).data.fx

    async def submit_all(
        self,
        intents: Sequence[OrderIntent],
        delivery: AsyncDelivery,
        timeout: float | None,
        max_age: float = MAX_AGE,
        only_open: bool = False,
    ) -> dict[OrderIntent, CreatedOrders | SmscodeError]:
        """Send many purchases, a few at once; return the result of each.

        ``timeout`` is for all of them; without one each has the client's limit.
        """
        results: dict[OrderIntent, CreatedOrders | SmscodeError] = {}
        rule: SpendingRule | None = None
        if self.spending is not None and not only_open:
            rule = await self._ruled(self.spending, intents[0], delivery)

        async def submit(intent: OrderIntent) -> None:
            try:
                results[intent] = (await self.submit(intent, delivery, max_age, only_open, rule)).data
            except SmscodeError as error:
                results[intent] = error

        for start in range(0, len(intents), bulk.AT_ONCE):
            if timeout is None:
                delivery.deadline = self._driver.deadline(CallKind.CREATE, None)
            await self._runtime.for_each(submit, intents[start : start + bulk.AT_ONCE])
        return results

    def _begin(self, intent: OrderIntent, delivery: AsyncDelivery) -> Purchase:
        """Return the entry of a purchase that this delivery makes, unless another call has it in hand."""
        place = (self.account_of(intent.idempotency_key), intent.idempotency_key)
        with self._lock:
            if self.journal is not None:
                holder = self.journal.holders.get(place, delivery)
                if holder is not delivery and not holder.over:
                    raise records.under_way("another call of this process")
            purchase = self.book.begin(intent, delivery)
            purchase.doubt.forbidden = None
            delivery.purchases[purchase] = threading.get_ident()
            if self.journal is not None:
                self.journal.holders[place] = delivery
        return purchase

    def _refuse_old(self, purchase: Purchase, max_age: float) -> None:
        """Raise `PurchaseTooOldError` if the service may have forgotten a key that was sent before."""
        now = time.time()
        if purchase.written_at is None:
            purchase.written_at = now
        elif (age := records.age_of(purchase.written_at, now)) > max_age:
            raise records.too_old(age, max_age)

    def _buy(self, purchase: Purchase, created: CreatedOrders) -> None:
        """Store the bought orders in memory, and queue them for the journal, without waiting."""
        ended = self.book.buy(purchase, created)
        if purchase.writing is not None:
            new, bought = purchase.writing.new, bought_orders(created.orders)
            self.change(purchase.key, records.buy(new, bought, time.time()))
            if ended:
                self.change(purchase.key, records.end_orders(ended, time.time()))

    def _leave(self, purchase: Purchase) -> None:
        """Leave a purchase in its state at a cancellation or an interrupt, without waiting."""
        if purchase.bought:
            return
        writing = purchase.writing
        if purchase.doubt.raised:
            purchase.doubt.ended = self._runtime.now()
            self._leave_open(purchase)
            return
        if writing is not None:
            self._take_out(purchase, writing)
        self.book.drop(purchase)

    async def _settle(self, purchase: Purchase, error: SmscodeError, deadline: float) -> None:
        """Store what an error means for a purchase. A result "not bought" is on disk when this returns."""
        if purchase.bought or purchase.finished:
            error.outcome = "unknown"  # whatever the service answers now, it was bought before
            purchase.doubt.raised = False
            if purchase.finished:
                self.book.drop(purchase)
            return
        if error.trouble == "settled meanwhile":
            purchase.doubt.raised = False
        assert error.trouble is not None
        row = row_after(error.trouble, error.outcome)
        if row == "stays":
            if error.trouble in FOUND_HERE and purchase.writing is not None:
                self._take_out(purchase, purchase.writing)  # this call sent nothing
            if not purchase.doubt.raised:
                self.book.drop(purchase)  # another call or process has it
            else:
                self._leave_open(purchase)
        elif await self._store_end(purchase, PurchaseState(row), deadline):
            self.book.drop(purchase)
        else:
            error.outcome = "unknown"
            purchase.doubt.raised = True

    async def _store_end(self, purchase: Purchase, state: PurchaseState, deadline: float) -> bool:
        """Store a withdrawal or refusal; return True once it is on disk and nothing contradicts it."""
        writing = purchase.writing
        if self.journal is None or writing is None or self._abandon(writing):
            if writing is not None:
                self.change(purchase.key, records.end_unbought(writing.new.owner, state, time.time()))
            return True
        if writing.failed:
            self._take_out(purchase, writing)  # in case the disk has it after all
            return True
        now = time.time()
        if state is PurchaseState.WITHDRAWN:
            step = writing.withdraw(now)
        else:
            step = records.end_unbought(self.journal.owner, state, now)
        signal = AsyncSignal()
        account = self.account_of(purchase.key)
        write = Write(account, purchase.key, step, durable=True, lasting=True, wake=self._waking(signal))
        self.journal.apply(write)
        try:
            return await self.done(signal, write, deadline)
        except SmscodeError:
            return False

    def label_prepared(self, error: SmscodeError, key: str | None) -> None:
        """Label the error of a purchase that could not even be prepared, by what this client knows."""
        key = _valid(key)
        error.idempotency_key = key
        # The journal cannot be read here, because that would wait for the disk.
        known = key is not None and (self.journal is not None or self.book.knows(key))
        error.outcome = "unknown" if known else "not_sent"

    async def _label(
        self,
        error: SmscodeError,
        purchase: Purchase | None,
        keys: Sequence[str | None],
        delivery: AsyncDelivery,
    ) -> None:
        """Label an error for which nothing was sent under the keys, though earlier attempts may have been."""
        kind = kind_of(error)
        error.idempotency_key = _valid(keys[0])
        verdict = VERDICTS[kind]
        known = verdict.outcome != "unknown" and await self._knows(keys, purchase, delivery)
        if known and purchase is not None:
            purchase.doubt.raised = True  # so that a purchase with the outcome "unknown" is in unresolved()
        error.outcome = verdict.outcome_open if known else verdict.outcome
        error.trouble = error.trouble or kind

    async def _knows(
        self, keys: Sequence[str | None], purchase: Purchase | None, delivery: AsyncDelivery
    ) -> bool:
        """Return True if something may have been bought under a key, as far as memory and journal know."""
        writing = None if purchase is None else purchase.writing
        if purchase is not None and not purchase.certain:
            return True
        if delivery.fresh or (writing is not None and writing.known is not None):
            return False
        for key in filter(None, map(_valid, keys)):
            if purchase is None and self.book.knows(key):
                return True
            if self.journal is not None and await self._is_stored(key, writing, delivery):
                return True
        return False


def _valid(key: object) -> str | None:
    """Return a valid idempotency key, else None: nothing can have been bought under an invalid one."""
    return key if isinstance(key, str) and KEY_PATTERN.fullmatch(key) else None
