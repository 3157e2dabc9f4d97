# Generated from smscode/_async/purchases.py by `nox -s generate`: change that file, not this one.

"""Purchases from their first byte to their settlement, whatever happens in between."""

from __future__ import annotations

from collections.abc import Sequence

from .._concurrency import Runtime
from ..core import bulk
from ..core.intents import IntentRegistry, OrderIntent, Recovered
from ..core.wire import Answer
from ..errors import ConfigurationError, InvalidArgumentError, SmscodeError
from ..journal import SQLiteJournal
from ..models import CreatedOrders
from .driver import Driver


class Purchases:
    """The purchases of one client."""

    def __init__(self, driver: Driver, journal: SQLiteJournal | None, account: str) -> None:
        """Set up; ``account`` tells the purchases of this account from others in the ``journal``."""
        self._driver = driver
        self._runtime: Runtime = driver.runtime
        self._journal = journal
        self._account = account
        self._registry = IntentRegistry()

    def submit(self, intent: OrderIntent, timeout: float | None) -> Answer[CreatedOrders]:
        """Send a purchase until it is settled, its time is over, or it is cancelled.

        Between the service's answer and the return there is nothing to wait for, so that no answer is
        lost to a cancellation.
        """
        self._driver.check()
        doubt = self._registry.begin(intent)
        recorded = self._journal is not None
        refused = False
        bought: tuple[int, ...] | None = None
        try:
            if self._journal is not None:
                try:
                    if self._runtime.in_thread(self._journal.record, self._account, intent):
                        doubt.raised = True
                except SmscodeError:
                    recorded = False
                    raise
            answer = self._driver.run(intent.call, timeout, doubt)
            bought = tuple(order.id for order in answer.data.orders)
            return answer
        except SmscodeError as error:
            # What the caller is told did not happen must not be bought by a later recovery.
            refused = error.outcome in ("rejected", "failed")
            raise
        finally:
            settled = self._registry.end(intent, bought=bought is not None)
            if self._journal is not None and recorded:
                if settled or refused:
                    self._journal.settle(self._account, intent, bought)
                else:
                    self._journal.leave(self._account, intent)

    def submit_all(
        self, intents: Sequence[OrderIntent], timeout: float | None
    ) -> dict[OrderIntent, CreatedOrders | SmscodeError]:
        """Send many purchases, a few at once; give what came of each.

        When this is cancelled no further one is sent. Those that were settled by then count as in doubt
        again, because nobody has their orders.
        """
        results: dict[OrderIntent, CreatedOrders | SmscodeError] = {}

        def submit(intent: OrderIntent) -> None:
            try:
                results[intent] = (self.submit(intent, timeout)).data
            except SmscodeError as error:
                results[intent] = error

        try:
            for start in range(0, len(intents), bulk.AT_ONCE):
                self._runtime.for_each(submit, intents[start : start + bulk.AT_ONCE])
        except BaseException:
            for intent in bulk.bought(results):
                self._registry.reopen(intent)
            raise
        return results

    def unresolved(self) -> tuple[OrderIntent, ...]:
        """Give the purchases that may have been carried out without anybody knowing, oldest first."""
        return self._registry.unresolved()

    def recover(self, max_age: float, timeout: float | None) -> list[Recovered]:
        """Settle what ended processes left in the journal, oldest first."""
        if self._journal is None:
            raise ConfigurationError("orders.recover: this client has no journal; give it journal=.")
        self._driver.check()
        found = self._runtime.in_thread(self._journal.claim, self._account)
        return [self._recover(intent, age <= max_age, timeout) for intent, age in found]

    def _recover(self, intent: OrderIntent, recent: bool, timeout: float | None) -> Recovered:
        if not recent:
            error = InvalidArgumentError(
                "max_age: this purchase is older, so the service may have forgotten its key and buy again.",
                idempotency_key=intent.idempotency_key,
                outcome="unknown",
            )
            return Recovered(intent, error=error)
        try:
            answer = self.submit(intent, timeout)
        except SmscodeError as error:
            return Recovered(intent, error=error)
        return Recovered(intent, orders=answer.data)
