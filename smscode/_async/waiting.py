"""Waits for SMS: whoever waits first polls for all, the others follow."""

from __future__ import annotations

import math
import threading

from .._concurrency import AsyncEvent
from ..core import orders
from ..core.otp import Watch, WatchBoard, rides_out
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

    async def wait(self, watch: Watch[AsyncEvent], timeout: float) -> Sms:
        """Wait until the watch ends; 0 looks once."""
        deadline = self._runtime.now() + timeout
        looked = timeout > 0
        with self._lock:
            self._board.join(watch)
        try:
            while True:
                with self._lock:
                    if watch.ended:
                        return watch.result()
                    leads = self._board.leads(watch)
                    watch.signal = AsyncEvent()
                remaining = deadline - self._runtime.now()
                if remaining > 0 and not leads:
                    await self._runtime.wait(watch.signal, remaining)
                elif remaining > 0:
                    await self._lead(watch, remaining)
                elif not looked:
                    looked = True
                    await self._poll(None)
                else:
                    raise watch.timed_out()
        finally:
            with self._lock:
                self._board.leave(watch)

    async def _lead(self, watch: Watch[AsyncEvent], remaining: float) -> None:
        """Wait for the next poll's time, or do that poll."""
        with self._lock:
            pause = self._board.until_due(self._runtime.now())
        if pause > 0:
            await self._runtime.wait(watch.signal, min(pause, remaining))
        else:
            await self._poll(None if math.isinf(remaining) else remaining)

    async def _poll(self, timeout: float | None) -> None:
        """Look at all active orders, then at those that are waited for but not among them."""
        with self._lock:
            asked = self._board.polling(self._runtime.now())
        try:
            active = (await self._driver.run(orders.active(), timeout)).data
            with self._lock:
                gone = self._board.feed(active, asked)
            for order_id in gone:
                await self._read(order_id, timeout)
        except SmscodeError as error:
            if not rides_out(error):
                raise
            with self._lock:
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
