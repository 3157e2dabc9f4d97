# Generated from smscode/_async/waiting.py by `nox -s generate`: change that file, not this one.

"""Waits for SMS: whoever waits first polls for all, the others follow."""

from __future__ import annotations

import math
import threading

from .._concurrency import Event
from ..core import orders
from ..core.otp import Watch, WatchBoard, rides_out
from ..errors import NotFoundError, SmscodeError
from ..models import Sms
from .driver import Driver


class Waits:
    """The waits of one client. There is no background task: a client nobody waits on is silent."""

    def __init__(self, driver: Driver, interval: float) -> None:
        """Set up; ``interval`` is the seconds between two polls for all the waits together."""
        self._driver = driver
        self._runtime = driver.runtime
        self._board: WatchBoard[Event] = WatchBoard(interval)
        self._lock = threading.Lock()

    def wait(self, watch: Watch[Event], timeout: float) -> Sms:
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
                    watch.signal = Event()
                remaining = deadline - self._runtime.now()
                if remaining > 0 and not leads:
                    self._runtime.wait(watch.signal, remaining)
                elif remaining > 0:
                    self._lead(watch, remaining)
                elif not looked:
                    looked = True
                    self._poll(None)
                else:
                    raise watch.timed_out()
        finally:
            with self._lock:
                self._board.leave(watch)

    def _lead(self, watch: Watch[Event], remaining: float) -> None:
        """Wait for the next poll's time, or do that poll."""
        with self._lock:
            pause = self._board.until_due(self._runtime.now())
        if pause > 0:
            self._runtime.wait(watch.signal, min(pause, remaining))
        else:
            self._poll(None if math.isinf(remaining) else remaining)

    def _poll(self, timeout: float | None) -> None:
        """Look at all active orders, then at those that are waited for but not among them."""
        with self._lock:
            asked = self._board.polling(self._runtime.now())
        try:
            active = (self._driver.run(orders.active(), timeout)).data
            with self._lock:
                gone = self._board.feed(active, asked)
            for order_id in gone:
                self._read(order_id, timeout)
        except SmscodeError as error:
            if not rides_out(error):
                raise
            with self._lock:
                self._board.postpone(self._runtime.now(), error.retry_after or 0)

    def _read(self, order_id: int, timeout: float | None) -> None:
        """Look at an order that left the list, or was never on it."""
        try:
            order = (self._driver.run(orders.get(order_id), timeout)).data
        except NotFoundError as error:
            with self._lock:
                self._board.missing(order_id, error)
        else:
            with self._lock:
                self._board.feed([order], frozenset())
