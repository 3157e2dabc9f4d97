"""One call from start to end, as a generator: it decides, a driver performs.

The flow yields an effect, the driver carries it out and sends back a `EffectReply` with the time, in
seconds of any clock that only goes forward. The flow neither waits nor sends, so every rule is
tested without either.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Literal, TypeAlias, TypeVar, cast

import attrs
from attrs import field, frozen

from ..errors import (
    APIError,
    InvalidResponseError,
    NetworkError,
    RateLimitError,
    RequestTimeoutError,
    SmscodeError,
    TempBannedError,
)
from ..models import EndpointGroup
from . import answers, reconcile
from .api.call import Answer, Call, CallKind, Request, Response
from .call_events import CallReporter
from .decoding.converter import ApiVersion
from .purchases.states import Doubt, judge
from .ratelimit.limiter import Lease, NoRoom
from .ratelimit.slots import RequestEnding
from .retry import TABLE, Action, RetryPolicy, counted

T = TypeVar("T")


@frozen
class Acquire:
    """Wait until the rate limit of a group admits one more request, before ``deadline``.

    The reply is a `Lease`, or `NoRoom` at once where that cannot be. ``urgent`` goes first.
    """

    group: EndpointGroup
    deadline: float
    urgent: bool


@frozen
class Send:
    """Send the request and read its answer, all of it before ``deadline``; `Release` follows a `Response`.

    ``fresh`` asks for a new connection; ``doubt`` is to be raised when the first byte is written. The
    ``lease`` is given back when it is over, however it ends: as `ending` says, and if it is abandoned,
    by whether its first byte was written. If by then its group pauses or the account is ``banned``, the
    reply is `HeldUp`.
    """

    request: Request
    deadline: float
    fresh: bool
    doubt: Doubt
    banned: Callable[[], TempBannedError | None]
    lease: Lease | None = None


@frozen
class HeldUp:
    """That a request was not sent, because a pause or a ban began while it waited for a connection.

    The lease was given back; the call asks for another one, before all that never had their turn.
    """


@frozen
class Pause:
    """Admit no more requests of the lease's group for this many seconds.

    ``by_service`` says that the service itself refused, whose limits are known here, and not a proxy.
    """

    lease: Lease
    seconds: float
    by_service: bool


@frozen
class Release:
    """Release the connection that the last answer came on, now that the answer has been read.

    Without ``keep`` it is closed. What is not the service's own answer may be one that nothing asked for, and
    then the next request on the same connection would get the answer to this one: somebody else's order.
    """

    keep: bool


@frozen
class Sleep:
    """Wait this many seconds; with 0, only let others have their turn."""

    seconds: float


Effect: TypeAlias = Acquire | Send | Release | Pause | Sleep


@frozen
class Failure:
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


@frozen
class EffectReply:
    """What an effect came to, and when; ``result`` is None for an effect that gives nothing."""

    now: float
    result: Response | Failure | HeldUp | Lease | NoRoom | None = None


Flow: TypeAlias = Generator[Effect, EffectReply, T]


def never_banned() -> None:
    """Stand for the ban of a call that none stops."""


@frozen
class CallTerms:
    """What all attempts of a call share.

    ``began`` and ``deadline`` are the call's first and last moment; ``chance`` returns random numbers of
    0..1.
    ``limited`` says that rate limits are kept. ``watch`` reports what happens, None if nothing listens.
    ``banned`` returns the error to end with while the account may not send this.
    """

    version: ApiVersion
    policy: RetryPolicy
    began: float
    deadline: float
    chance: Callable[[], float]
    limited: bool = False
    watch: CallReporter | None = None
    banned: Callable[[], TempBannedError | None] = never_banned


def flow(call: Call[T], terms: CallTerms, doubt: Doubt | None = None) -> Flow[Answer[T]]:
    """Make a call, repeating it as the retry table allows, and give its answer or raise its error.

    The request is built once: every attempt sends the same bytes under the same idempotency key. A
    pause that would pass the deadline is not begun. ``doubt`` may come from an earlier try of the
    same purchase. An answer does not settle it: whoever stores the orders does, once they are stored.
    """
    request = call.request(terms.version)
    kind = call.endpoint.kind
    watch = terms.watch
    doubt = Doubt() if doubt is None else doubt
    troubles: dict[str, int] = {}
    sent = 0
    fresh = held_up = False
    last: SmscodeError | None = None
    now = terms.began
    while True:
        before = doubt.raised
        if (ban := terms.banned()) is not None:
            raise _left_out(ban, "TEMP_BANNED_ABUSE_GUARD", call, sent, before, doubt, now) from last
        lease = None
        if terms.limited:
            # Whoever had a turn once waits no more behind those who had none.
            urgent = before or sent > 0 or held_up
            reply = yield Acquire(call.endpoint.group, terms.deadline, urgent)
            if isinstance(reply.result, NoRoom):
                raise last or _left_out(reply.result.error(), "no room", call, sent, before, doubt, now)
            lease = cast(Lease, reply.result)
            now = reply.now
            if watch is not None:
                watch.waited(call, sent + 1, reply.now, "rate limit")
        sent += 1
        if watch is not None:
            watch.sent(call, sent)
        reply = yield Send(request, terms.deadline, fresh, doubt, terms.banned, lease)
        held_up = isinstance(reply.result, HeldUp)
        if watch is not None:
            _tell(watch, call, sent, reply)
        if held_up:
            sent -= 1
            continue
        try:
            answer = yield from _read(call, reply, terms.version)
        except SmscodeError as error:
            what = error.trouble or "unknown code"
            _label(error, call, sent, what, before, doubt, sent_at=now, now=reply.now)
            last = error
        else:
            return answer if sent == 1 else attrs.evolve(answer, attempts=sent)

        now = reply.now
        troubles[what] = troubles.get(what, 0) + 1
        rule = TABLE[what]
        wait = terms.policy.pause(rule.pace, troubles[what], last.retry_after, terms.chance())
        refused = last.status_code == 429 or isinstance(last, RateLimitError)
        paused = lease is not None and refused and not isinstance(last, TempBannedError)
        if lease is not None and paused:
            yield Pause(lease, wait, by_service=what != "throttled")
            if watch is not None:
                watch.paused(call, sent, wait)
        action = rule.action(kind)
        if action is Action.RECONCILE or (action is Action.CHECK and before):
            settled = yield from _reconciled(call, terms, last)
            if settled is not None:
                return attrs.evolve(settled, attempts=sent)
        if action in (Action.STOP, Action.CHECK) or _spent(terms, kind, troubles):
            raise last
        if reply.now + max(wait, last.retry_after or 0.0) >= terms.deadline:
            raise last
        if watch is not None:
            watch.retrying(call, sent, last, wait)
        if wait > 0 and not paused:  # the pause of the group holds this call up, too
            reply = yield Sleep(wait)
            now = reply.now
            if watch is not None:
                watch.waited(call, sent + 1, reply.now, "retry")
            if reply.now >= terms.deadline:  # reading the order took time, too
                raise last
        fresh = what == "kept-alive connection broke"


def _tell(watch: CallReporter, call: Call[object], sent: int, reply: EffectReply) -> None:
    """Report what an attempt came to."""
    if isinstance(reply.result, Response):
        watch.received(call, sent, reply.now, reply.result)
    elif isinstance(reply.result, HeldUp):
        watch.failed(call, sent, reply.now, "not sent", timed_out=False)
    else:
        failure = cast(Failure, reply.result)
        watch.failed(call, sent, reply.now, failure.kind, failure.timed_out)


def _left_out(
    error: SmscodeError, what: str, call: Call[object], sent: int, before: bool, doubt: Doubt, now: float
) -> SmscodeError:
    """Label the error of a call that is not sent, or not once more."""
    kind = "banned here" if what == "TEMP_BANNED_ABUSE_GUARD" else what
    _label(error, call, sent, kind, before, doubt, sent_at=now, now=now)
    error.trouble = what
    return error


def _read(call: Call[T], reply: EffectReply, version: ApiVersion) -> Flow[Answer[T]]:
    """Read the answer, a long one in steps between which others get their turn; then release its lane."""
    if not isinstance(reply.result, Response):
        raise cast(Failure, reply.result).error()
    steps = answers.read(call, reply.result, version)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            yield Release(keep=True)
            return cast("Answer[T]", end.value)
        except SmscodeError as error:
            yield Release(keep=isinstance(error, APIError) and error.code is not None)
            raise
        yield Sleep(0)


def _label(
    error: SmscodeError,
    call: Call[object],
    sent: int,
    what: str,
    before: bool,
    doubt: Doubt,
    *,
    sent_at: float,
    now: float,
) -> None:
    """Write the call's facts on an error, and what is known about the request by now.

    Of a purchase, `judge` decides. Of everything else doubt stays: what a later attempt was answered says
    nothing about an earlier one that may have been carried out.
    """
    error.trouble = what
    error.attempts = sent
    error.idempotency_key = call.idempotency_key
    if call.endpoint.kind is CallKind.CREATE:
        error.outcome = judge(what, doubt, before=before, sent_at=sent_at, now=now)
        return
    error.outcome = TABLE[what].outcome
    if call.endpoint.kind is CallKind.READ:
        doubt.raised = False
        return
    doubt.raised = before or error.outcome == "unknown"
    if doubt.raised:
        error.outcome = "unknown"


def _spent(terms: CallTerms, kind: CallKind, troubles: Mapping[str, int]) -> bool:
    tried = sum(times for what, times in troubles.items() if counted(TABLE[what].pace))
    return tried >= terms.policy.attempts(kind)


def _reconciled(call: Call[T], terms: CallTerms, error: SmscodeError) -> Flow[Answer[T] | None]:
    """Read the order to learn what became of a cancel or finish.

    Gives its answer if it was carried out, None if the order still waits for it. Raises `ConflictError`
    when the order ended otherwise, and the ``error`` itself when nothing can be learned.
    """
    order_call, balance_call = reconcile.reads(call)
    try:
        found = yield from flow(order_call, terms)
        state = reconcile.judge(call, found.data, found.date)
        if state == "waiting":
            return None
        if state == "done":
            account = None if balance_call is None else (yield from flow(balance_call, terms))
            return cast("Answer[T]", reconcile.result(found, account))
    except SmscodeError:
        raise error from error.__cause__
    raise reconcile.conflict(found.data, error)
