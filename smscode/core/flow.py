"""One call from start to end, as a generator: it decides, a driver performs.

The flow yields an effect, the driver carries it out and sends back a `Reply` with the time, in
seconds of any clock that only goes forward. The flow neither waits nor sends, so every rule is
tested without either.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Literal, TypeAlias, TypeVar

import attrs
from attrs import field, frozen

from ..errors import (
    InvalidResponseError,
    NetworkError,
    NoOfferAvailableError,
    RequestTimeoutError,
    SmscodeError,
)
from . import answers
from .codec import Version
from .retry import RetryPolicy, next_pause
from .wire import Answer, Call, Kind, Request, Response

T = TypeVar("T")


@frozen
class Send:
    """Send the request and read its answer, all of it before ``deadline``."""

    request: Request
    deadline: float


@frozen
class Sleep:
    """Wait this many seconds."""

    seconds: float


Effect: TypeAlias = Send | Sleep


@frozen
class Failure:
    """Why no answer came.

    ``not_sent``: no byte of the request left. ``ambiguous``: some may have. ``local``: it cannot be
    sent, now or later. ``unreadable``: an answer came that cannot be taken in.
    """

    kind: Literal["not_sent", "ambiguous", "local", "unreadable"]
    reason: str
    timed_out: bool = False
    cause: Exception | None = field(default=None, repr=False)

    def error(self) -> SmscodeError:
        """Make the error that the caller sees."""
        outcome: Literal["not_sent", "unknown"] = (
            "unknown" if self.kind in ("ambiguous", "unreadable") else "not_sent"
        )
        if self.kind == "unreadable":
            error: SmscodeError = InvalidResponseError(self.reason, outcome=outcome)
        elif self.timed_out:
            error = RequestTimeoutError(self.reason, outcome=outcome)
        else:
            error = NetworkError(self.reason, outcome=outcome)
        error.__cause__ = self.cause
        return error


@frozen
class Reply:
    """What an effect came to, and when; ``result`` is None for an effect that gives nothing."""

    now: float
    result: Response | Failure | None = None


Flow: TypeAlias = Generator[Effect, Reply, Answer[T]]


def flow(
    call: Call[T],
    version: Version,
    policy: RetryPolicy,
    deadline: float,
    chance: Callable[[], float],
) -> Flow[T]:
    """Make a call, repeating it as `retry` allows, and give its answer or raise its error.

    The request is built once: every attempt sends the same bytes under the same idempotency key.
    ``chance`` gives random numbers of 0..1. A pause that would pass the ``deadline`` is not begun.
    """
    request = call.request(version)
    kind = call.endpoint.kind
    attempts = 0
    unsure = False  # some attempt so far may have been carried out
    while True:
        reply = yield Send(request, deadline)
        attempts += 1
        try:
            if isinstance(reply.result, Response):
                answer = answers.read(call, reply.result, version)
                return attrs.evolve(answer, attempts=attempts)
            assert reply.result is not None
            raise reply.result.error()
        except SmscodeError as error:
            local = isinstance(reply.result, Failure) and reply.result.kind == "local"
            unsure = _note(error, call, attempts, unsure)
            wait = None if local else next_pause(policy, kind, error, attempts, chance())
            if wait is None or reply.now + wait >= deadline:
                raise
        yield Sleep(wait)


def _note(error: SmscodeError, call: Call[object], attempts: int, unsure: bool) -> bool:
    """Write the call's facts on an error; tell whether any attempt may have been carried out.

    That doubt stays: a later refusal says nothing about an earlier attempt that may have gone
    through, unless the service looked the idempotency key up to give it.
    """
    error.attempts = attempts
    error.idempotency_key = call.idempotency_key
    if call.endpoint.kind is Kind.READ:
        return False
    unsure = unsure or error.outcome == "unknown"
    looked_up = isinstance(error, NoOfferAvailableError)
    if unsure and error.outcome in ("not_sent", "rejected") and not looked_up:
        error.outcome = "unknown"
    return unsure
