# Generated from smscode/_async/ordering.py by `nox -s generate`: change that file, not this one.

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
from .delivery import Delivery
from .driver import Driver
from .orders import Orders
from .purchases import Purchases
from .recovery import Recovery
from .sms_waits import SmsWaits

_CLOSING = 6.0  # seconds: more than a journal takes at most


class Ordering:
    """The parts of a client that only orders need."""

    def __init__(
        self,
        driver: Driver,
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
        self.purchases = Purchases(driver, stored, account, credential, spending)
        self.recovery = Recovery(driver, self.purchases)
        self.waits = SmsWaits(driver, poll_interval, max_connections)
        self.orders = Orders(driver, self.purchases, self.recovery, self.waits)

    def buy(self, call: Call[CreatedOrders], timeout: float | None) -> Answer[CreatedOrders]:
        """Make a purchase that was described by `smscode.calls`."""

        def buy(delivery: Delivery) -> Answer[CreatedOrders]:
            return self.purchases.submit(OrderIntent.of(call, self._version), delivery)

        return self.purchases.deliver(buy, timeout, call.idempotency_key)

    def notify(self, event: Event) -> None:
        """Pass a webhook's event to the waits, and to what follows the orders that were bought."""
        self.waits.notify(event)
        if isinstance(event, OrderEvent):
            self.recovery.notify(event)

    def close(self) -> None:
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
                    self._driver.runtime.in_thread(journal.close)
