# Generated from smscode/_async/cached_list.py by `nox -s generate`: change that file, not this one.

"""A cached list that concurrent callers read only once."""

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

# These depend on the reader's own timeout, so another caller tries again.
_OWN_TIME = (RequestTimeoutError, RateLimitError)


class _Flight:
    """One read of the list by a ``caller``, for all callers that wait for it.

    When ``landed`` is set without an ``error``, the rows are cached, or the caller gave up.
    """

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.landed = Event()
        self.error: SmscodeError | None = None


class CachedList(Generic[T]):
    """The rows of a list. The first caller reads them; concurrent callers wait for that read.

    If the reader is cancelled or times out, another caller reads. Any other error is raised to all of them.
    Nothing is read in the background.
    """

    def __init__(self, driver: Driver, call: Callable[[], Call[list[T]]], kept: float) -> None:
        """Set up without reading. ``kept`` is the number of seconds for which the rows are valid."""
        self._driver = driver
        self._runtime = driver.runtime
        self._call = call
        self._kept = kept
        self._lock = threading.RLock()
        self._flight: _Flight | None = None
        self._rows: Sequence[T] | None = None
        self._good_until = -math.inf

    def rows(self, deadline: float) -> Sequence[T]:
        """Return the rows. Raises `RequestTimeoutError` if another caller's read does not end in time."""
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
            self._good_until = -math.inf  # an interrupt before the last line must not leave old rows valid
            self._rows = rows
            self._good_until = self._runtime.now() + self._kept
        return rows

    def _give_back(self, caller: Caller) -> None:
        """End the read of a caller, if it has one, so that another one can read."""
        with self._lock:
            flight = self._flight
            if flight is not None and flight.caller is caller:
                flight.landed.set()  # first, so that an interrupt leaves no read that never ends
                self._flight = None
