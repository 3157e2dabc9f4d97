"""Waits for SMS: whoever waits first polls for all, the others follow."""

from __future__ import annotations

import math
import threading
from collections.abc import AsyncGenerator, Sequence

from .. import webhooks
from .._concurrency import AsyncEvent, AsyncSignal
from ..core import arguments, orders
from ..core.otp import OtpOutcome, Watch, WatchBoard, rides_out
from ..errors import NotFoundError, SmscodeError
from ..models import Sms
from .driver import AsyncDriver


class AsyncWaits:
    """The waits of one client. There is no background task: a client nobody waits on is silent."""

    def __init__(self, driver: AsyncDriver, interval: float) -> None:
        """Set up; ``interval`` is the seconds between two polls for all the waits together."""
        self._driver = driver
        self._runtime = driver.runtime
        self._board: WatchBoard[AsyncEvent] = WatchBoard(interval)
        self._lock = threading.Lock()

    def notify(self, event: object) -> None:
        """Tell the waits what a webhook said."""
        if not isinstance(event, webhooks.OrderEvent | webhooks.WebhookTest | webhooks.UnknownEvent):
            raise arguments.wrong("event", "an event of smscode.webhooks", event)
        if isinstance(event, webhooks.OrderEvent):
            with self._lock:
                self._board.notify(event)

    async def wait(self, watch: Watch[AsyncEvent], timeout: float) -> Sms:
        """Wait until the watch ends; 0 looks once."""
        await self._until_one_ends([watch], self._runtime.now() + timeout, looked=timeout > 0)
        if not watch.ended:
            raise watch.timed_out()
        return watch.result()

    async def each(self, watches: Sequence[Watch[AsyncEvent]], timeout: float) -> AsyncGenerator[OtpOutcome]:
        """Give how the watches end, as they do; 0 looks once.

        Between two of them nothing is waited for: the poll goes on for others, and whoever goes through
        this slowly, or leaves it early, leaves nothing behind.
        """
        deadline = self._runtime.now() + timeout
        looked = timeout > 0
        while watches:
            await self._until_one_ends(watches, deadline, looked)
            ended = [watch for watch in watches if watch.ended]
            for watch in ended or watches:
                error = watch.error if watch.ended else watch.timed_out()
                yield OtpOutcome(watch.order_id, watch.sms, error)
            looked = True
            watches = [watch for watch in watches if not watch.ended] if ended else []

    async def _until_one_ends(
        self, watches: Sequence[Watch[AsyncEvent]], deadline: float, looked: bool
    ) -> None:
        """Wait until one of the watches ends, or the time is over and the service was looked at."""
        with self._lock:
            for watch in watches:
                self._board.join(watch)
        try:
            while True:
                with self._lock:
                    if any(watch.ended for watch in watches):
                        return
                    leads = self._board.leads(watches[0])
                    signal = AsyncSignal()
                    for watch in watches:
                        watch.signal = signal
                remaining = deadline - self._runtime.now()
                if remaining > 0 and not leads:
                    await self._runtime.wait(signal, remaining)
                elif remaining > 0:
                    await self._lead(signal, watches, remaining)
                elif not looked:
                    looked = True
                    await self._poll(watches, None)
                else:
                    return
        finally:
            with self._lock:
                for watch in watches:
                    self._board.leave(watch)

    async def _lead(self, signal: AsyncEvent, watches: Sequence[Watch[AsyncEvent]], remaining: float) -> None:
        """Wait for the next poll's time, or do that poll."""
        with self._lock:
            pause = self._board.until_due(self._runtime.now())
        if pause > 0:
            await self._runtime.wait(signal, min(pause, remaining))
        else:
            await self._poll(watches, None if math.isinf(remaining) else remaining)

    async def _poll(self, watches: Sequence[Watch[AsyncEvent]], timeout: float | None) -> None:
        """Look at all active orders, then at those that are waited for but not among them.

        A failure that stays is raised, unless a webhook has ended one of the ``watches`` meanwhile.
        """
        with self._lock:
            asked = self._board.polling(self._runtime.now())
        try:
            active = (await self._driver.run(orders.active(), timeout)).data
            with self._lock:
                gone = self._board.feed(active, asked)
            for order_id in gone:
                await self._read(order_id, timeout)
        except SmscodeError as error:
            with self._lock:
                if not rides_out(error) and not any(watch.ended for watch in watches):
                    raise
                self._board.postpone(self._runtime.now(), error.retry_after or 0)

    async def _read(self, order_id: int, timeout: float | None) -> None:
        """Look at an order that left the list, or was never on it."""
        try:
            order = (await self._driver.run(orders.get(order_id), timeout)).data
        except NotFoundError as error:
            with self._lock:
                self._board.missing(order_id, error)
        else:
            with self._lock:
                self._board.feed([order], frozenset())
