"""What a client does, as it happens: the events that ``on_event=`` is called with.

A call begins with `CallStarted` and ends with `CallEnded`, also when it is cancelled. In between, each
attempt is a `RequestSent` with a `ResponseReceived` or `RequestFailed`, and where it is repeated a
`Retrying`; `Waited` says what held the call up, `GroupPaused` that the service asked for a pause. No event
holds a token, a query, an id in a path, a body, a phone number or a code.
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
    "RequestFailed",
    "RequestSent",
    "ResponseReceived",
    "Retrying",
    "Waited",
]


@frozen(kw_only=True)
class CallEvent(ABC):
    """What all events hold: which call it is, and of what.

    ``call_id`` counts the calls of all clients of the process. ``operation`` is a name such as
    "orders.create", ``method`` and ``path`` its HTTP request, with placeholders for ids. An order that is
    read to learn what became of a cancel has that call's id, and an operation of its own. ``attempt`` counts
    from 1; 0 is before the first. All times are in seconds.
    """

    call_id: int
    operation: str
    method: str
    path: str
    attempt: int

    def __str__(self) -> str:
        return f"call {self.call_id} ({self.operation}, {self.method} {self.path}) {self._said()}"

    @abstractmethod
    def _said(self) -> str: ...


@frozen(kw_only=True)
class CallStarted(CallEvent):
    """A call began; ``base_url`` is the service's address."""

    base_url: str

    def _said(self) -> str:
        return f"begins at {self.base_url}"


@frozen(kw_only=True)
class RequestSent(CallEvent):
    """A request was given to the connections, where it may wait for a free one."""

    def _said(self) -> str:
        return f"attempt {self.attempt} is sent"


@frozen(kw_only=True)
class ResponseReceived(CallEvent):
    """An answer was read to its end, ``seconds`` after its request was sent."""

    status_code: int
    request_id: str | None
    seconds: float

    def _said(self) -> str:
        request = f", request id {self.request_id}" if self.request_id else ""
        return (
            f"attempt {self.attempt} is answered with {self.status_code} after {self.seconds:.3f} s{request}"
        )


@frozen(kw_only=True)
class RequestFailed(CallEvent):
    """No answer came, and ``trouble`` says why, by the name of a row of the table in "What happens when"."""

    trouble: str
    timed_out: bool
    seconds: float

    def _said(self) -> str:
        return f"attempt {self.attempt} fails after {self.seconds:.3f} s: {self.trouble}"


@frozen(kw_only=True)
class Retrying(CallEvent):
    """The ``attempt`` is to be repeated because of ``trouble``, not before ``seconds`` have passed."""

    trouble: str
    status_code: int | None
    seconds: float

    def _said(self) -> str:
        return f"attempt {self.attempt} is repeated in {self.seconds:.3f} s: {self.trouble}"


@frozen(kw_only=True)
class Waited(CallEvent):
    """The call was held up before its next ``attempt``: by the rate limit, or to give the service time."""

    reason: Literal["rate limit", "retry"]
    seconds: float

    def _said(self) -> str:
        return f"waited {self.seconds:.3f} s before attempt {self.attempt}: {self.reason}"


@frozen(kw_only=True)
class GroupPaused(CallEvent):
    """A request was refused with HTTP 429, so its ``group`` of endpoints pauses, for five minutes at most."""

    group: EndpointGroup
    seconds: float

    def _said(self) -> str:
        return f"is refused, and the group {self.group} of this account pauses for {self.seconds:.3f} s"


@frozen(kw_only=True)
class CallEnded(CallEvent):
    """A call is over, ``seconds`` after it began.

    ``result`` is "done", "cancelled", or the ``outcome`` of the error that was raised; that error's
    ``trouble`` and ``code`` come with it. ``attempt`` is the last one.
    """

    result: Literal["done", "cancelled"] | Outcome
    trouble: str | None
    code: str | None
    status_code: int | None
    request_id: str | None
    seconds: float

    def _said(self) -> str:
        trouble = f": {self.trouble}" if self.trouble else ""
        return f"is {self.result} after {self.seconds:.3f} s, attempts: {self.attempt}{trouble}"


ClientEvent: TypeAlias = (
    CallStarted | RequestSent | ResponseReceived | RequestFailed | Retrying | Waited | GroupPaused | CallEnded
)
