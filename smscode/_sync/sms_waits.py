# Generated from smscode/_async/sms_waits.py by `nox -s generate`: change that file, not this one.

"""Waits for SMS, and the changes of orders: one of the tasks polls for all of them, the others follow."""

from __future__ import annotations

import copy
import math
import threading
from collections.abc import Generator, Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

from .. import webhooks
from .._concurrency import Caller, Signal
from ..core.answers import row_errors
from ..core.api import arguments, orders
from ..core.waiting.order_changes import ChangeReader, OrderChange
from ..core.waiting.shared_poll import SharedPoll
from ..core.waiting.sms_wait import OtpOutcome, Participant, SmsWait, Waiter, is_transient
from ..errors import NotFoundError, SmscodeError
from ..models import Sms
from .driver import Driver

T = TypeVar("T")


class SmsWaits:
    """The waits of one client. There is no background task: without a wait, nothing is sent."""

    def __init__(self, driver: Driver, interval: float, max_connections: int) -> None:
        """Set up. ``interval`` is the number of seconds between two polls, which serve all waits.

        Single reads use at most half of the connections, so that the rest is free for polls and other calls.
        """
        self._driver = driver
        self._runtime = driver.runtime
        self._shared_poll: SharedPoll[Signal] = SharedPoll(interval, max(max_connections // 2, 1))
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

    def wait(self, sms_wait: SmsWait, timeout: float) -> Sms:
        """Wait until a wait ends and return its SMS; a ``timeout`` of 0 checks once."""
        self._driver.check()
        waiter = Waiter([sms_wait], Signal())
        caller = Caller(lambda _: self._leave(waiter))
        began = self._runtime.now()
        try:
            self._join(waiter)
            self._until_one_ends(waiter, began + timeout, looks=timeout <= 0, looked=False)
        finally:
            self._leave(waiter)
            caller.finish()
        if not sms_wait.ended:
            raise sms_wait.timeout_error(self._runtime.now() - began, self._shared_poll.failure)
        return sms_wait.result()

    def first(self, waits: Sequence[SmsWait], timeout: float) -> None:
        """Wait until one of several waits ends, at most ``timeout`` seconds (above 0)."""
        self._driver.check()
        waiter = Waiter(waits, Signal())
        caller = Caller(lambda _: self._leave(waiter))
        try:
            self._join(waiter)
            until = self._runtime.now() + timeout
            self._until_one_ends(waiter, until, looks=False, looked=False)
        finally:
            self._leave(waiter)
            caller.finish()

    def each(self, waits: Iterable[SmsWait], timeout: float) -> Generator[OtpOutcome]:
        """Yield the outcome of each wait when it ends; a ``timeout`` of 0 checks once.

        While the consumer handles an outcome, its waiter rests: another one polls, however long that takes.
        """
        return self._attended(partial(self._each, waits, timeout))

    def _each(
        self, waits: Iterable[SmsWait], timeout: float, joined: list[Participant[Signal]]
    ) -> Generator[OtpOutcome]:
        self._driver.check()
        began = self._runtime.now()
        looked = False
        waiter = Waiter(waits, Signal())
        joined.append(waiter)
        try:
            self._join(waiter)
            while waiter.open or waiter.ended:
                self._until_one_ends(waiter, began + timeout, looks=timeout <= 0, looked=looked)
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

    def changes(self, timeout: float) -> Generator[OrderChange]:
        """Yield the changes of all orders, for ``timeout`` seconds; 0 polls once.

        While the consumer handles a change, its reader rests, as in `each`.
        """
        return self._attended(partial(self._changes, timeout))

    def _changes(
        self, timeout: float, joined: list[Participant[Signal]]
    ) -> Generator[OrderChange]:
        self._driver.check()
        deadline = self._runtime.now() + timeout
        reader = ChangeReader(Signal())
        joined.append(reader)
        try:
            self._join(reader)
            while True:
                self._until_one_ends(reader, deadline, looks=timeout <= 0, looked=False)
                for order_id in reader.pending():
                    with self._lock:
                        change = reader.take(order_id)
                    if change is not None:
                        yield change
                if self._runtime.now() >= deadline:
                    break
        finally:
            self._leave(reader)
        failure = self._shared_poll.failure
        if failure is not None and not reader.begun:
            raise copy.copy(failure)

    def _attended(
        self, begin: Callable[[list[Participant[Signal]]], Generator[T]]
    ) -> Generator[T]:
        """Return an iteration; its participant, which it puts into a list, leaves however it ends."""
        joined: list[Participant[Signal]] = []
        results = begin(joined)
        Caller.attend(results, partial(self._leave_all, joined))
        return results

    def _join(self, participant: Participant[Signal]) -> None:
        with self._lock:
            self._shared_poll.join(participant)

    def _leave(self, participant: Participant[Signal]) -> None:
        with self._lock:
            self._shared_poll.leave(participant)

    def _leave_all(self, participants: Iterable[Participant[Signal]]) -> None:
        for participant in participants:
            self._leave(participant)

    def _until_one_ends(
        self, participant: Participant[Signal], deadline: float, *, looks: bool, looked: bool
    ) -> None:
        """Wait until a participant has a result, or the deadline has passed.

        Orders that the polls do not show are read meanwhile. A wait with a timeout of 0 ``looks`` once: it
        ends after one poll, unless it ``looked`` before, and after the reads that the poll requires.
        """
        participant.resting = False
        try:
            with self._runtime.helpers() as readers:
                while True:
                    readers.check()
                    now = self._runtime.now()
                    remaining, linger = deadline - now, 0.0
                    with self._lock:
                        if participant.ready:
                            linger = self._shared_poll.linger(participant, now)
                            if linger <= 0:
                                return
                        elif participant.failure is not None:
                            raise participant.failure
                        participant.signal = signal = Signal()
                        reads = [] if linger else self._shared_poll.begin_reading(participant, now)
                        leads = not linger and remaining > 0 and self._shared_poll.leads(participant)
                    for order_id in reads:
                        readers.start(partial(self._read, participant, order_id, _timeout(remaining)))
                    if linger:
                        self._runtime.wait(signal, linger)
                    elif leads:
                        self._lead(participant, signal, remaining)
                    elif remaining > 0:
                        self._runtime.wait(signal, remaining)
                    elif looks and not looked:
                        looked = True
                        # With a signal of its own: being woken to lead must not stop it.
                        self._poll(participant, Signal(), 0.0)
                    elif looks and participant.reading:
                        self._runtime.wait(signal, math.inf)
                    else:
                        return
        finally:
            with self._lock:
                self._shared_poll.rest(participant)

    def _lead(
        self, participant: Participant[Signal], signal: Signal, remaining: float
    ) -> None:
        """Wait until the next poll is due, or do it."""
        with self._lock:
            pause = self._shared_poll.until_due(self._runtime.now())
        if pause > 0:
            self._runtime.wait(signal, min(pause, remaining))
        else:
            self._poll(participant, signal, remaining)

    def _poll(
        self, participant: Participant[Signal], signal: Signal, remaining: float
    ) -> None:
        """Read all active orders; stop if the signal is set, because there is something else to do.

        A final error ends all waits. It is raised, unless a webhook has ended a wait of this participant
        meanwhile.
        """
        with self._lock:
            asked = self._shared_poll.begin_poll(self._runtime.now())
            participant.polling = True
        try:
            with self._runtime.cancel_on(signal):
                answer = self._driver.run(orders.active(), _timeout(remaining))
                unreadable = row_errors(answer)
                with self._lock:
                    self._shared_poll.feed(answer.data, asked, self._runtime.now(), answer.date, unreadable)
        except SmscodeError as error:
            with self._lock:
                if is_transient(error):
                    self._shared_poll.postpone(self._runtime.now(), error)
                    return
                participant.resting = True
                self._shared_poll.fail(error)
                if not participant.ready:
                    raise
        finally:
            participant.polling = False

    def _read(
        self, participant: Participant[Signal], order_id: int, timeout: float | None
    ) -> None:
        """Read an order that is not in the list. A final error concerns this participant."""
        try:
            answer = self._driver.run(orders.get(order_id), timeout)
        except NotFoundError as error:
            with self._lock:
                self._shared_poll.missing(order_id, error)
        except SmscodeError as error:
            with self._lock:
                if is_transient(error):
                    self._shared_poll.read_failed(order_id, error)
                else:
                    self._shared_poll.unreadable(participant, order_id, error)
        else:
            with self._lock:
                self._shared_poll.show(answer.data, answer.date)
        finally:
            with self._lock:
                self._shared_poll.end_reading(participant, order_id)


def _timeout(remaining: float) -> float | None:
    """Return the timeout for a call; a wait that checks once, or has no limit, uses the client's."""
    return remaining if 0 < remaining < math.inf else None
