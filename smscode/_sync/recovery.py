# Generated from smscode/_async/recovery.py by `nox -s generate`: change that file, not this one.

"""Unfinished purchases: those of processes that have ended, and those of this client."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import cast

from .._concurrency import Signal
from ..core.api import orders
from ..core.api.call import Answer
from ..core.purchases import bulk, records
from ..core.purchases.book import adopted, recovered
from ..core.purchases.intents import OrderIntent
from ..core.purchases.records import Claimant, PurchaseRecord, PurchaseState
from ..core.purchases.states import Purchase, Recovered
from ..errors import ClientStateError, ConfigurationError, JournalError, NotFoundError, SmscodeError
from ..journal import Sweep
from ..models import ActiveOrder, CanceledOrder, FinishedOrder, Order, OrderPage, OrderStatus
from ..webhooks import OrderCanceled, OrderCompleted, OrderEvent, OrderExpired
from .delivery import Delivery
from .driver import Driver
from .purchases import Purchases

_log = logging.getLogger("smscode")

_SWEEP = 60.0  # seconds between two checks for expired orders
_LOOK_BACK = 3600.0  # seconds: the tolerance for clocks that differ when the order list is searched
_OTHER_TOKEN = (
    "This purchase was written under another token at the same address, so it was not sent. If that was "
    "this account's former token, orders.submit(intent) settles it. Otherwise leave it to a client with that "
    "token: sent with this one it would be bought for this account."
)


class Recovery:
    """Knows which purchases are in doubt or bought, and follows how their orders end."""

    def __init__(self, driver: Driver, purchases: Purchases) -> None:
        self._driver = driver
        self._runtime = driver.runtime
        self._purchases = purchases
        self._book = purchases.book
        self._claims: list[Sweep[PurchaseRecord]] = []
        self._date: tuple[datetime, float] | None = (
            None  # the service's last date, and the local time of its arrival
        )
        self._sweep_at = -math.inf

    def unresolved(self) -> tuple[OrderIntent, ...]:
        """Return the purchases that are in doubt, and those whose orders were not returned."""
        return self._book.unresolved()

    def bought(self) -> tuple[Recovered, ...]:
        """Return the purchases that were bought and whose orders have not ended."""
        self._expire()
        return self._book.bought()

    def dismiss(self, intent: OrderIntent) -> None:
        """Close a purchase, whatever its state."""
        self._book.dismiss(intent.idempotency_key)
        self._purchases.change(intent.idempotency_key, records.close(time.time()))

    def see(self, answer: Answer[object]) -> None:
        """Update the purchases from an answer of the service."""
        data = answer.data
        if answer.date is not None:
            self._date = answer.date, self._runtime.now()
        if answer.fx is not None:
            self._purchases.rate = answer.fx
        if self._book.empty:
            return
        if isinstance(data, Order):
            self._end(self._book.see([data]))
        elif isinstance(data, OrderPage):
            self._end(self._book.see(data.items))
        elif isinstance(data, list):
            rows = cast("list[object]", data)
            self._end(self._book.see(row for row in rows if isinstance(row, ActiveOrder)))
        elif isinstance(data, CanceledOrder):
            self._end(self._book.end_order(data.order_id, data.status, data.refund_amount.canonical_amount))
        elif isinstance(data, FinishedOrder):
            self._end(self._book.end_order(data.order_id, data.status, 0))
        if self._runtime.now() >= self._sweep_at:
            self._expire()

    def notify(self, event: OrderEvent) -> None:
        """Update the purchases from a webhook. It can be called in any thread."""
        if isinstance(event, OrderCompleted):
            self._end(self._book.end_order(event.order_id, OrderStatus.COMPLETED, 0))
        elif isinstance(event, OrderCanceled):
            self._end(self._book.end_order(event.order_id, OrderStatus.CANCELED, None))
        elif isinstance(event, OrderExpired):
            self._end(self._book.end_order(event.order_id, OrderStatus.EXPIRED, None))

    def _expire(self) -> None:
        self._sweep_at = self._runtime.now() + _SWEEP
        if self._date is not None:
            date, said_at = self._date
            self._end(self._book.expire(date + timedelta(seconds=self._runtime.now() - said_at)))

    def _end(self, ended: Mapping[Purchase, Mapping[int, int | None]]) -> None:
        for purchase, refunds in ended.items():
            self._purchases.change(purchase.key, records.end_orders(refunds, time.time()))

    def recover(self, max_age: float, timeout: float | None) -> list[Recovered]:
        """Return the unfinished purchases of ended processes; see `orders.recover`."""

        def work(delivery: Delivery) -> list[Recovered]:
            self._driver.check()
            try:
                claimed = self._claimed(delivery)
            except JournalError as error:
                delivery.labelled = error
                error.outcome = "unknown"  # for any purchase in doubt in the journal
                raise
            in_doubt = [(row, self._unsettled(row)) for row in claimed if row.state is PurchaseState.WRITTEN]
            foreign = [(row, why) for row, why in in_doubt if why is not None]
            own = [row for row, why in in_doubt if why is None]
            intents = list(dict.fromkeys(row.intent for row in own))
            results = self._purchases.submit_all(intents, delivery, timeout, max_age, only_open=True)
            ends = [*foreign, *((row, results[row.intent]) for row in own)]
            for purchase in self._book.undelivered():
                purchase.holder = delivery
                delivery.purchases[purchase] = delivery.thread
            bought = [purchase for purchase in delivery.purchases if purchase.bought]
            self._read(bought, delivery.deadline)
            self._expire()
            return recovered(ends, bought)

        if self._purchases.journal is None:
            raise ConfigurationError("orders.recover: this client has no journal; give it journal=.")
        return self._purchases.deliver(work, timeout, None)

    def _claimed(self, delivery: Delivery) -> list[PurchaseRecord]:
        """Claim the rows of ended processes and store them in the book; return them, oldest first.

        Those of a claim whose call was interrupted come along: they belong to this process already.
        """
        purchases, journal = self._purchases, self._purchases.journal
        assert journal is not None

        def under_way(key: str) -> bool:
            holder = journal.holders.get((purchases.account, key))
            return holder is not None and not holder.over

        who = Claimant(journal.owner, purchases.account, purchases.credential, under_way)
        signal = Signal()
        claim = Sweep(records.claim(who), durable=True, wake=signal.wake)
        self._claims.append(claim)
        journal.apply(claim)
        purchases.done(signal, claim, delivery.deadline)
        claims = tuple(self._claims)
        rows = {(row.account, row.intent.idempotency_key): row for one in claims for row in one.result or ()}
        own = {row.intent.idempotency_key for row in rows.values() if row.account == purchases.account}
        for row in rows.values():
            key = row.intent.idempotency_key
            if key not in own and not self._book.knows(key):
                purchases.accounts[key] = row.account
            if row.account == purchases.account or self._unsettled(row) is None:
                ago = 0.0 if row.open_until is None else max(time.time() - row.open_until, 0.0)
                self._book.adopt(adopted(row, self._runtime.now() - ago))
        del self._claims[: len(claims)]
        return sorted(rows.values(), key=lambda row: row.written_at)

    def _unsettled(self, record: PurchaseRecord) -> SmscodeError | None:
        """Return the error for a purchase in doubt that is not sent because of its token."""
        if record.credential in ("", self._purchases.credential):
            return None
        error = ClientStateError(
            _OTHER_TOKEN, outcome="unknown", idempotency_key=record.intent.idempotency_key
        )
        error.trouble = "another token"
        return error

    def _read(self, purchases: Iterable[Purchase], deadline: float) -> None:
        """Read the orders of purchases as they are now: by pages, and one by one what is not there.

        If that fails they stay as they were last seen: what was bought is returned all the same.
        """
        found = list(purchases)
        wanted = {order_id for purchase in found for order_id in purchase.orders}
        first = min((purchase.written_at or 0.0 for purchase in found), default=0.0)
        failures: list[SmscodeError] = []

        def read(order_id: int) -> None:
            try:
                self._driver.run(orders.get(order_id), deadline=deadline)
            except NotFoundError:
                return
            except SmscodeError as error:
                failures.append(error)  # raised below: the tasks of `for_each` would put it into a group

        try:
            left = sorted(self._page_through(wanted, first, deadline))
            for start in range(0, len(left), bulk.AT_ONCE):
                self._runtime.for_each(read, left[start : start + bulk.AT_ONCE])
                if failures:
                    raise failures[0]
        except SmscodeError as error:
            _log.warning("orders.recover: the orders could not be read as they are now: %s", error)

    def _page_through(self, wanted: set[int], first: float, deadline: float) -> set[int]:
        """Read the order list back to the local time ``first``; return which of the orders are not there.

        What each page shows is taken in by `see`, and the service's date with it.
        """
        known: set[int] = set()
        while wanted:
            call = orders.list(limit=orders.LARGEST_PAGE, offset=len(known))
            page = (self._driver.run(call, deadline=deadline)).data.items
            new = {order.id for order in page} - known
            wanted = wanted - new
            known |= new
            ahead = 0.0 if self._date is None else self._date[0].timestamp() - time.time()
            back_to = first + ahead - _LOOK_BACK
            times = [order.created_at.timestamp() for order in page if order.created_at is not None]
            if not new or min(times, default=back_to) <= back_to:
                break
        return wanted
