# Generated from smscode/_async/cached_list.py by `nox -s generate`: change that file, not this one.

"""A list that is read once for all who need it, and kept for a while."""

from __future__ import annotations

import copy
import math
import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from .._concurrency import Caller, Event
from ..core.api.call import Call
from ..errors import RateLimitError, RequestTimeoutError, SmscodeError
from .driver import Driver

T = TypeVar("T")

_OWN_TIME = (RequestTimeoutError, RateLimitError)  # another's may be longer


class _Flight:
    """One reading by a ``caller``, for all who wait for it.

    When it has ``landed`` without an ``error``, there are rows, or the caller gave up.
    """

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.landed = Event()
        self.error: SmscodeError | None = None


class CachedList(Generic[T]):
    """The rows of a list. Who needs them first reads them; the others wait for that.

    If the reader is cancelled or its time is over, another of those who wait reads. Any other failure is
    everybody's. Nothing is read in the background.
    """

    def __init__(self, driver: Driver, call: Callable[[], Call[list[T]]], kept: float) -> None:
        """Set up without reading; ``kept`` is for how many seconds the rows are good."""
        self._driver = driver
        self._runtime = driver.runtime
        self._call = call
        self._kept = kept
        self._lock = threading.RLock()
        self._flight: _Flight | None = None
        self._rows: Sequence[T] | None = None
        self._good_until = -math.inf

    def rows(self, deadline: float) -> Sequence[T]:
        """Return the rows, read or waited for until ``deadline``."""
        caller = Caller(self._give_back)
        try:
            while True:
                with self._lock:
                    if self._rows is not None and self._runtime.now() < self._good_until:
                        return self._rows
                    flight = self._flight
                    leads = flight is None or flight.landed.is_set()
                    if flight is None or leads:
                        self._flight = flight = _Flight(caller)
                if leads:
                    return self._read(flight, deadline)
                if not self._runtime.wait(flight.landed, deadline - self._runtime.now()):
                    raise RequestTimeoutError(
                        "Another task's answer did not come in time.", outcome="not_sent"
                    )
                if flight.error is not None:
                    raise copy.copy(flight.error) from flight.error.__cause__
        finally:
            self._give_back(caller)
            caller.finish()

    def _read(self, flight: _Flight, deadline: float) -> Sequence[T]:
        try:
            rows = (self._driver.run(self._call(), deadline=deadline)).data
        except SmscodeError as error:
            if not isinstance(error, _OWN_TIME):
                flight.error = error
            raise
        with self._lock:
            self._good_until = -math.inf  # until the rows are there, too
            self._rows = rows
            self._good_until = self._runtime.now() + self._kept
        return rows

    def _give_back(self, caller: Caller) -> None:
        """End the reading of a call, if it has one, so that another one may read."""
        with self._lock:
            flight = self._flight
            if flight is not None and flight.caller is caller:
                flight.landed.set()  # from now on it is over
                self._flight = None
