"""What a flow asks its driver to do, and what the driver replies.

A flow yields an effect; the driver carries it out and sends back an `EffectReply` with the time, in seconds
of any clock that only goes forward.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Literal, TypeAlias, TypeVar

from attrs import field, frozen

from .._first_models import EndpointGroup
from .._value import Value
from ..errors import InvalidResponseError, NetworkError, RequestTimeoutError, SmscodeError
from .api.call import Request, Response
from .purchases.doubt import Doubt
from .ratelimit.ban import Ban
from .ratelimit.limiter import Lease, NoRoom
from .ratelimit.slots import RequestEnding
from .retry import TABLE

T = TypeVar("T")


@frozen(eq=False, repr=False)
class Acquire(Value):
    """Wait until the rate limit of a group admits one more request, before ``deadline``.

    The reply is a `Lease`, or `NoRoom` at once where that cannot be. ``urgent`` goes first.
    """

    group: EndpointGroup
    deadline: float
    urgent: bool


@frozen(eq=False, repr=False)
class Send(Value):
    """Send the request and read its answer, all of it before ``deadline``; `Release` follows a `Response`.

    ``fresh`` asks for a new connection; ``doubt`` is to be raised when the first byte is written. The
    ``lease`` is given back when it is over, however it ends: as `ending` says, and if it is abandoned,
    by whether its first byte was written. If by then its group pauses, or the ``ban`` of the account has
    begun, the reply is `HeldUp`.
    """

    request: Request
    deadline: float
    fresh: bool
    doubt: Doubt
    ban: Ban | None = None
    lease: Lease | None = None


@frozen(eq=False, repr=False)
class HeldUp(Value):
    """That a request was not sent, because a pause or a ban began while it waited for a connection.

    The lease was given back; the call asks for another one, before all that never had their turn.
    """


@frozen(eq=False, repr=False)
class Pause(Value):
    """Admit no more requests of the lease's group for this many seconds.

    ``by_service`` says that the service itself refused, whose limits are known here, and not a proxy.
    """

    lease: Lease
    seconds: float
    by_service: bool


@frozen(eq=False, repr=False)
class Release(Value):
    """Release the connection of the last answer, which has been read.

    Without ``keep`` it is closed. What is not the service's own answer may be one that nothing asked for, and
    then the next request on the same connection would get the answer to this one: somebody else's order.
    """

    keep: bool


@frozen(eq=False, repr=False)
class Sleep(Value):
    """Wait this many seconds; with 0, only let others have their turn."""

    seconds: float


Effect: TypeAlias = Acquire | Send | Release | Pause | Sleep


@frozen(eq=False, repr=False)
class Failure(Value):
    """Why no answer came.

    ``kind`` is a row of the retry table. ``timed_out`` says that the time was over, ``raised`` is an error of
    this package that came from below.
    """

    kind: Literal[
        "not sent",
        "cannot be sent",
        "transport failed",
        "connection broke",
        "kept-alive connection broke",
        "answer too large",
        "unreadable answer",
    ]
    reason: str
    timed_out: bool = False
    cause: Exception | None = field(default=None, repr=False)
    raised: SmscodeError | None = field(default=None, repr=False)

    def error(self) -> SmscodeError:
        """Return the error that the caller sees."""
        if self.raised is not None:
            self.raised.trouble = self.kind
            return self.raised
        class_: type[SmscodeError] = RequestTimeoutError if self.timed_out else NetworkError
        if self.kind in ("answer too large", "unreadable answer"):
            class_ = InvalidResponseError
        error = class_(self.reason, outcome=TABLE[self.kind].outcome)
        error.trouble = self.kind
        error.__cause__ = self.cause
        return error


def ending(result: Response | Failure | HeldUp) -> RequestEnding:
    """Return how a request ended for the rate limit that it counted in."""
    if isinstance(result, HeldUp):
        return RequestEnding.UNSENT
    if isinstance(result, Response):
        return RequestEnding.REFUSED if result.status_code == 429 else RequestEnding.ANSWERED
    if result.kind in ("answer too large", "unreadable answer"):
        return RequestEnding.ANSWERED
    if result.kind in ("not sent", "cannot be sent"):
        return RequestEnding.UNSENT
    return RequestEnding.LOST


EffectResult: TypeAlias = Response | Failure | HeldUp | Lease | NoRoom | None
"""None is that of an effect that gives nothing."""


@frozen(eq=False, repr=False)
class EffectReply(Value):
    """The result of an effect, and the time."""

    now: float
    result: EffectResult = None


Flow: TypeAlias = Generator[Effect, EffectReply, T]
