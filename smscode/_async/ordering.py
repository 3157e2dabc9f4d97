"""What belongs to a client's orders, made with their first use: purchases, recovery, waits for codes."""

from __future__ import annotations

from ..core.api.call import Answer, Call
from ..core.purchases.intents import OrderIntent
from ..core.purchases.spending import SpendingLimit
from ..core.settings import Settings
from ..core.versions import ApiVersion
from ..journal import SQLiteJournal
from ..models import CreatedOrders
from ..webhooks import Event, OrderEvent
from .delivery import AsyncDelivery
from .driver import AsyncDriver
from .orders import AsyncOrders
from .purchases import AsyncPurchases
from .recovery import AsyncRecovery
from .sms_waits import AsyncSmsWaits

_CLOSING = 6.0  # seconds: more than a journal takes at most


class AsyncOrdering:
    """The parts of a client that only orders need."""

    def __init__(
        self,
        driver: AsyncDriver,
        settings: Settings,
        journal: tuple[SQLiteJournal | None, bool],
        spending: SpendingLimit | None,
        poll_interval: float,
        max_connections: int,
    ) -> None:
        """Set up; the journal stores the purchases of the account, and is to be closed if that is True."""
        self._driver = driver
        stored, owned = journal
        self._journal = stored if owned else None
        self._warned = False
        self._version: ApiVersion = settings.version
        account, credential = settings.account, settings.credential
        self.purchases = AsyncPurchases(driver, stored, account, credential, spending)
        self.recovery = AsyncRecovery(driver, self.purchases)
        self.waits = AsyncSmsWaits(driver, poll_interval, max_connections)
        self.orders = AsyncOrders(driver, self.purchases, self.recovery, self.waits)

    async def buy(self, call: Call[CreatedOrders], timeout: float | None) -> Answer[CreatedOrders]:
        """Make a purchase that was described by `smscode.calls`."""

        async def buy(delivery: AsyncDelivery) -> Answer[CreatedOrders]:
            return await self.purchases.submit(OrderIntent.of(call, self._version), delivery)

        return await self.purchases.deliver(buy, timeout, call.idempotency_key)

    def notify(self, event: Event) -> None:
        """Pass a webhook's event to the waits, and to what follows the orders that were bought."""
        self.waits.notify(event)
        if isinstance(event, OrderEvent):
            self.recovery.notify(event)

    async def aclose(self) -> None:
        """Close the journal if it is the client's own, or let the last call that is under way close it.

        A warning is logged, once, if the client has purchases that are in doubt.
        """
        warning = (
            None if self._warned else self.purchases.book.warning(stored=self.purchases.journal is not None)
        )
        if warning is not None:
            self._warned = True
            self._driver.warn(warning)
        journal = self._journal
        if journal is not None:
            with self._driver.runtime.shield(_CLOSING):
                self._journal = None
                if self.purchases.close():
                    await self._driver.runtime.in_thread(journal.close)
