"""Reports the progress of one call as events. Nothing is created if no listener is set."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Literal, TypedDict

from attrs import define, field

from ..errors import SmscodeError
from ..events import (
    CallEnded,
    CallStarted,
    ClientEvent,
    GroupPaused,
    RequestFailed,
    RequestSent,
    ResponseReceived,
    Retrying,
    Waited,
)
from .answers import find_request_id
from .api.call import Answer, Call, Response
from .versions import VERSIONS, ApiVersion

_ids = itertools.count(1)
_HARDLY = 0.001  # seconds; a shorter wait is not reported


def next_call_id() -> int:
    """Return the number of a call, counted over all clients of the process."""
    return next(_ids)


class _What(TypedDict):
    call_id: int
    operation: str
    method: str
    path: str
    attempt: int


@define
class CallReporter:
    """Reports the progress of one call, including the reads that it may need.

    ``now`` is the time of the last event, in monotonic seconds. ``tell`` receives the events and must not
    raise.
    """

    tell: Callable[[ClientEvent], None]
    version: ApiVersion
    now: float
    call_id: int = field(factory=next_call_id)
    began: float = 0.0
    attempt: int = 0

    def started(self, call: Call[Any], base_url: str) -> None:
        """Report that the call begins."""
        self.began = self.now
        self.tell(CallStarted(**self._what(call, 0), base_url=base_url))

    def sent(self, call: Call[Any], attempt: int) -> None:
        """Report that a request is sent."""
        self.attempt = attempt
        self.tell(RequestSent(**self._what(call, attempt)))

    def received(self, call: Call[Any], attempt: int, now: float, response: Response) -> None:
        """Report an answer."""
        what = self._what(call, attempt)
        request_id, seconds = find_request_id(response), self._passed(now)
        self.tell(
            ResponseReceived(**what, status_code=response.status_code, request_id=request_id, seconds=seconds)
        )

    def failed(self, call: Call[Any], attempt: int, now: float, failure_kind: str, timed_out: bool) -> None:
        """Report that no answer came."""
        what, seconds = self._what(call, attempt), self._passed(now)
        self.tell(RequestFailed(**what, trouble=failure_kind, timed_out=timed_out, seconds=seconds))

    def retrying(self, call: Call[Any], attempt: int, error: SmscodeError, seconds: float) -> None:
        """Report that the attempt is to be repeated."""
        what = self._what(call, attempt)
        failure_kind, status = error.trouble or "unknown code", error.status_code
        self.tell(Retrying(**what, trouble=failure_kind, status_code=status, seconds=seconds))

    def waited(
        self, call: Call[Any], attempt: int, now: float, reason: Literal["rate limit", "retry"]
    ) -> None:
        """Report how long the call waited before an attempt, if that was noticeable."""
        seconds = self._passed(now)
        if seconds >= _HARDLY:
            self.tell(Waited(**self._what(call, attempt), reason=reason, seconds=seconds))

    def paused(self, call: Call[Any], attempt: int, seconds: float) -> None:
        """Report that the call's group pauses because its request was refused."""
        self.tell(GroupPaused(**self._what(call, attempt), group=call.endpoint.group, seconds=seconds))

    def ended(self, call: Call[Any], now: float, end: Answer[Any] | BaseException) -> None:
        """Report how the call ended. An exception of another package counts as a cancellation."""
        error = end if isinstance(end, SmscodeError) else None
        known = end if isinstance(end, Answer) else error
        result: Literal["done", "cancelled"] = "done" if isinstance(end, Answer) else "cancelled"
        self.tell(
            CallEnded(
                **self._what(call, self.attempt),
                result=result if error is None else error.outcome,
                trouble=None if error is None else error.trouble,
                code=None if error is None else error.code,
                status_code=None if known is None else known.status_code,
                request_id=None if known is None else known.request_id,
                seconds=now - self.began,
            )
        )

    def _passed(self, now: float) -> float:
        """Return the seconds since the last event."""
        seconds = now - self.now
        self.now = now
        return seconds

    def _what(self, call: Call[Any], attempt: int) -> _What:
        endpoint = call.endpoint
        return _What(
            call_id=self.call_id,
            operation=endpoint.name,
            method=endpoint.method,
            path=VERSIONS[self.version].prefix + endpoint.path,
            attempt=attempt,
        )
