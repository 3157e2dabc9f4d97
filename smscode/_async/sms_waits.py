"""Waits for SMS: one of the waiting tasks polls for all of them, the others follow."""

from __future__ import annotations

import math
import threading
from collections.abc import AsyncGenerator, Iterable, Sequence
from functools import partial

from .. import webhooks
from .._concurrency import AsyncCaller, AsyncSignal
from ..core.answers import row_errors
from ..core.api import arguments, orders
from ..core.waiting.shared_poll import SharedPoll, Waiter
from ..core.waiting.sms_wait import OtpOutcome, SmsWait, is_transient
from ..errors import NotFoundError, SmscodeError
from ..models import Sms
from .driver import AsyncDriver


class AsyncSmsWaits:
    """The waits of one client. There is no background task: without a wait, nothing is sent."""

    def __init__(self, driver: AsyncDriver, interval: float, max_connections: int) -> None:
        """Set up. ``interval`` is the number of seconds between two polls, which serve all waits.

        Single reads use at most half of the connections, so that the rest is free for polls and other calls.
        """
        self._driver = driver
        self._runtime = driver.runtime
        self._shared_poll: SharedPoll[AsyncSignal] = SharedPoll(interval, max(max_connections // 2, 1))
        self._lock = (
            threading.RLock()
        )  # reentrant: a garbage collection in this thread can end an abandoned wait at any point

    def notify(self, event: object) -> None:
        """Pass a webhook's event to the waits. Raises `InvalidArgumentError` for anything else."""
        if not isinstance(event, webhooks.OrderEvent | webhooks.WebhookTest | webhooks.UnknownEvent):
            raise arguments.wrong("event", "an event of smscode.webhooks", event)
        if isinstance(event, webhooks.OrderEvent):
            with self._lock:
                self._shared_poll.notify(event)

    async def wait(self, sms_wait: SmsWait, timeout: float) -> Sms:
        """Wait until a wait ends and return its SMS; a ``timeout`` of 0 checks once."""
        self._driver.check()
        waiter = Waiter([sms_wait], AsyncSignal())
        caller = AsyncCaller(lambda _: self._leave(waiter))
        began = self._runtime.now()
        try:
            self._join(waiter)
            await self._until_one_ends(waiter, began + timeout, looks=timeout <= 0, looked=False)
        finally:
            self._leave(waiter)
            caller.finish()
        if not sms_wait.ended:
            raise sms_wait.timeout_error(self._runtime.now() - began, self._shared_poll.failure)
        return sms_wait.result()

    async def first(self, waits: Sequence[SmsWait], timeout: float) -> None:
        """Wait until one of several waits ends, at most ``timeout`` seconds (above 0)."""
        self._driver.check()
        waiter = Waiter(waits, AsyncSignal())
        caller = AsyncCaller(lambda _: self._leave(waiter))
        try:
            self._join(waiter)
            until = self._runtime.now() + timeout
            await self._until_one_ends(waiter, until, looks=False, looked=False)
        finally:
            self._leave(waiter)
            caller.finish()

    def each(self, waits: Iterable[SmsWait], timeout: float) -> AsyncGenerator[OtpOutcome]:
        """Yield the outcome of each wait when it ends; a ``timeout`` of 0 checks once.

        While the consumer handles an outcome, its waiter rests: another one polls, however long that takes.
        """
        joined: list[Waiter[AsyncSignal]] = []

        outcomes = self._each(waits, timeout, joined)
        AsyncCaller.attend(outcomes, partial(self._leave_all, joined))
        return outcomes

    async def _each(
        self, waits: Iterable[SmsWait], timeout: float, joined: list[Waiter[AsyncSignal]]
    ) -> AsyncGenerator[OtpOutcome]:
        self._driver.check()
        began = self._runtime.now()
        looked = False
        waiter = Waiter(waits, AsyncSignal())
        joined.append(waiter)
        try:
            self._join(waiter)
            while waiter.open or waiter.ended:
                await self._until_one_ends(waiter, began + timeout, looks=timeout <= 0, looked=looked)
                looked = True
                if not waiter.ended:
                    break
                while waiter.ended:
                    sms_wait = waiter.ended.popleft()
                    waiter.open.pop(sms_wait.order_id, None)  # still there if another thread was interrupted
                    yield sms_wait.outcome()
        finally:
            self._leave(waiter)
        for sms_wait in waiter.open.values():
            error = sms_wait.timeout_error(self._runtime.now() - began, self._shared_poll.failure)
            yield OtpOutcome(sms_wait.order_id, error=error)

    def _join(self, waiter: Waiter[AsyncSignal]) -> None:
        with self._lock:
            self._shared_poll.join(waiter)

    def _leave(self, waiter: Waiter[AsyncSignal]) -> None:
        with self._lock:
            self._shared_poll.leave(waiter)

    def _leave_all(self, waiters: Iterable[Waiter[AsyncSignal]]) -> None:
        for waiter in waiters:
            self._leave(waiter)

    async def _until_one_ends(
        self, waiter: Waiter[AsyncSignal], deadline: float, *, looks: bool, looked: bool
    ) -> None:
        """Wait until one of the waits ends, or the deadline has passed.

        Orders that the polls do not show are read meanwhile. A wait with a timeout of 0 ``looks`` once: it
        ends after one poll, unless it ``looked`` before, and after the reads that the poll requires.
        """
        waiter.resting = False
        try:
            async with self._runtime.helpers() as readers:
                while True:
                    readers.check()
                    now = self._runtime.now()
                    remaining, linger = deadline - now, 0.0
                    with self._lock:
                        if waiter.ended:
                            linger = self._shared_poll.linger(waiter, now)
                            if linger <= 0:
                                return
                        elif waiter.failure is not None:
                            raise waiter.failure
                        waiter.signal = signal = AsyncSignal()
                        reads = [] if linger else self._shared_poll.begin_reading(waiter, now)
                        leads = not linger and remaining > 0 and self._shared_poll.leads(waiter)
                    for order_id in reads:
                        await readers.start(partial(self._read, waiter, order_id, _timeout(remaining)))
                    if linger:
                        await self._runtime.wait(signal, linger)
                    elif leads:
                        await self._lead(waiter, signal, remaining)
                    elif remaining > 0:
                        await self._runtime.wait(signal, remaining)
                    elif looks and not looked:
                        looked = True
                        await self._poll(waiter, AsyncSignal(), 0.0)  # being woken to lead must not stop it
                    elif looks and waiter.reading:
                        await self._runtime.wait(signal, math.inf)
                    else:
                        return
        finally:
            with self._lock:
                self._shared_poll.rest(waiter)

    async def _lead(self, waiter: Waiter[AsyncSignal], signal: AsyncSignal, remaining: float) -> None:
        """Wait until the next poll is due, or do it."""
        with self._lock:
            pause = self._shared_poll.until_due(self._runtime.now())
        if pause > 0:
            await self._runtime.wait(signal, min(pause, remaining))
        else:
            await self._poll(waiter, signal, remaining)

    async def _poll(self, waiter: Waiter[AsyncSignal], signal: AsyncSignal, remaining: float) -> None:
        """Read all active orders; stop if the signal is set, because there is something else to do.

        A final error ends all waits. It is raised, unless a webhook has ended a wait of this waiter
        meanwhile.
        """
        with self._lock:
            asked = self._shared_poll.begin_poll(self._runtime.now())
            waiter.polling = True
        try:
            with self._runtime.cancel_on(signal):
                answer = await self._driver.run(orders.active(), _timeout(remaining))
                unreadable = row_errors(answer)
                with self._lock:
                    self._shared_poll.feed(answer.data, asked, self._runtime.now(), answer.date, unreadable)
        except SmscodeError as error:
            with self._lock:
                if is_transient(error):
                    self._shared_poll.postpone(self._runtime.now(), error)
                    return
                waiter.resting = True
                self._shared_poll.fail(error)
                if not waiter.ended:
                    raise
        finally:
            waiter.polling = False

    async def _read(self, waiter: Waiter[AsyncSignal], order_id: int, timeout: float | None) -> None:
        """Read an order that is not in the list. A final error ends this waiter's wait for it."""
        try:
            answer = await self._driver.run(orders.get(order_id), timeout)
        except NotFoundError as error:
            with self._lock:
                self._shared_poll.missing(order_id, error)
        except SmscodeError as error:
            with self._lock:
                if is_transient(error):
                    self._shared_poll.read_failed(order_id, error)
                else:
                    self._shared_poll.unreadable(waiter, order_id, error)
        else:
            with self._lock:
                self._shared_poll.show(answer.data, answer.date)
        finally:
            with self._lock:
                self._shared_poll.end_reading(waiter, order_id)


def _timeout(remaining: float) -> float | None:
    """Return the timeout for a call; a wait that checks once, or has no limit, uses the client's."""
    return remaining if 0 < remaining < math.inf else None
