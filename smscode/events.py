"""The events with which ``on_event=`` is called, as they happen.

A call begins with `CallStarted` and ends with `CallEnded`, also if it is cancelled. In between, each attempt
is a `RequestSent` followed by a `ResponseReceived` or `RequestFailed`, and by a `Retrying` if it is to be
repeated. `Waited` reports a wait before an attempt, `GroupPaused` a pause that the service asked for.
`ObtainStepDone` is a step of `orders.obtain`, which consists of calls. No event contains a token, a query, an
id in a path, a body, a phone number or a code.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal, TypeAlias

from attrs import frozen

from .errors import Outcome
from .models import EndpointGroup

__all__ = [
    "CallEnded",
    "CallEvent",
    "CallStarted",
    "ClientEvent",
    "GroupPaused",
    "ObtainStepDone",
    "RequestFailed",
    "RequestSent",
    "ResponseReceived",
    "Retrying",
    "Waited",
]


@frozen(kw_only=True)
class CallEvent(ABC):
    """The base of all events, which identifies the call.

    ``call_id`` is the number of the call, counted over all clients of the process. ``operation`` is a name
    such as "orders.create", ``method`` and ``path`` are those of its request, with placeholders for ids. If
    an order is read to learn the result of a cancel, that request has the call's id, and its own operation.
    ``attempt`` counts from 1, and is 0 before the first attempt. All times are in seconds.
    """

    call_id: int
    operation: str
    method: str
    path: str
    attempt: int

    def __str__(self) -> str:
        return f"call {self.call_id} ({self.operation}, {self.method} {self.path}) {self._text()}"

    @abstractmethod
    def _text(self) -> str: ...


@frozen(kw_only=True)
class CallStarted(CallEvent):
    """A call has begun; ``base_url`` is the address of the service."""

    base_url: str

    def _text(self) -> str:
        return f"begins at {self.base_url}"


@frozen(kw_only=True)
class RequestSent(CallEvent):
    """A request was passed to the connection pool, where it may wait for a free connection."""

    def _text(self) -> str:
        return f"attempt {self.attempt} is sent"


@frozen(kw_only=True)
class ResponseReceived(CallEvent):
    """A response was read completely, ``seconds`` after `RequestSent`."""

    status_code: int
    request_id: str | None
    seconds: float

    def _text(self) -> str:
        request = f", request id {self.request_id}" if self.request_id else ""
        return (
            f"attempt {self.attempt} is answered with {self.status_code} after {self.seconds:.3f} s{request}"
        )


@frozen(kw_only=True)
class RequestFailed(CallEvent):
    """A request got no complete response.

    ``trouble`` is the reason, the name of a row of the table in "What happens when"; ``seconds`` have passed
    since `RequestSent`.
    """

    trouble: str
    timed_out: bool
    seconds: float

    def _text(self) -> str:
        return f"attempt {self.attempt} fails after {self.seconds:.3f} s: {self.trouble}"


@frozen(kw_only=True)
class Retrying(CallEvent):
    """The ``attempt`` will be repeated because of ``trouble``, after at least ``seconds``."""

    trouble: str
    status_code: int | None
    seconds: float

    def _text(self) -> str:
        return f"attempt {self.attempt} is repeated in {self.seconds:.3f} s: {self.trouble}"


@frozen(kw_only=True)
class Waited(CallEvent):
    """The call has waited before its next ``attempt``: for the rate limit, or between two attempts."""

    reason: Literal["rate limit", "retry"]
    seconds: float

    def _text(self) -> str:
        return f"waited {self.seconds:.3f} s before attempt {self.attempt}: {self.reason}"


@frozen(kw_only=True)
class GroupPaused(CallEvent):
    """A request was refused with HTTP 429, so its ``group`` pauses for ``seconds``, at most 300."""

    group: EndpointGroup
    seconds: float

    def _text(self) -> str:
        return f"is refused, and the group {self.group} of this account pauses for {self.seconds:.3f} s"


@frozen(kw_only=True)
class CallEnded(CallEvent):
    """A call has ended, ``seconds`` after it began.

    ``result`` is "done", "cancelled", or the ``outcome`` of the raised error, whose ``trouble`` and ``code``
    are those of the event. ``attempt`` is the last one.
    """

    result: Literal["done", "cancelled"] | Outcome
    trouble: str | None
    code: str | None
    status_code: int | None
    request_id: str | None
    seconds: float

    def _text(self) -> str:
        trouble = f": {self.trouble}" if self.trouble else ""
        return f"is {self.result} after {self.seconds:.3f} s, attempts: {self.attempt}{trouble}"


ObtainStepName: TypeAlias = Literal["find", "buy", "enter", "wait", "cancel", "finish", "resend", "read"]
"""What `orders.obtain` does: find offers, buy a number, call the caller's function, wait, and so on."""


@frozen(kw_only=True)
class ObtainStepDone(CallEvent):
    """A step of `orders.obtain` has ended, ``seconds`` after it began.

    Its ``operation`` is "orders.obtain", ``method`` and ``path`` are empty, and ``call_id`` is that of the
    whole, so the calls that it consists of have others. ``attempt`` is the number that the step is about,
    counted from 1, or 0. ``result`` is "done", for a wait "code" or "nothing", else the name of the error or
    exception.
    """

    step: ObtainStepName
    result: str
    seconds: float

    def __str__(self) -> str:
        return f"call {self.call_id} ({self.operation}) {self._text()}"

    def _text(self) -> str:
        about = f" number {self.attempt}" if self.attempt else ""
        return f"{self.step}{about}: {self.result} after {self.seconds:.3f} s"


ClientEvent: TypeAlias = (
    CallStarted
    | RequestSent
    | ResponseReceived
    | RequestFailed
    | Retrying
    | Waited
    | GroupPaused
    | CallEnded
    | ObtainStepDone
)
