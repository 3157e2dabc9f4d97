"""One call from start to end, as a generator: it decides, a driver performs.

The flow yields an effect of `effects`, the driver carries it out and sends back the reply. The flow neither
waits nor sends, so every rule is tested without either. `_attempt` sends the request once, `_decide` says
what follows from a failure. What only some calls need is imported by those.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import attrs
from attrs import define, field, frozen

from .._first_models import EndpointGroup
from .._value import Value
from ..errors import APIError, RateLimitError, SmscodeError, TempBannedError
from . import answers
from .api.call import Answer, Call, CallKind, Request, Response
from .effects import Acquire, EffectReply, Failure, Flow, HeldUp, Pause, Release, Send, Sleep
from .purchases.doubt import Doubt
from .ratelimit.ban import Ban
from .ratelimit.limiter import Lease, NoRoom
from .retry import TABLE, Action, RetryPolicy, counted, outcome_of
from .versions import ApiVersion

if TYPE_CHECKING:
    from .call_events import CallReporter

T = TypeVar("T")


@frozen(eq=False, repr=False)
class CallTerms(Value):
    """What all attempts of a call share.

    ``began`` and ``deadline`` are the call's first and last moment; ``random`` returns random numbers of
    0..1.
    ``limited`` says that rate limits are kept. ``watch`` reports what happens, None if nothing listens.
    ``ban`` is the account's, which stops calls that order.
    """

    version: ApiVersion
    policy: RetryPolicy
    began: float
    deadline: float
    random: Callable[[], float]
    limited: bool = False
    watch: CallReporter | None = None
    ban: Ban = field(factory=Ban)


def flow(call: Call[T], terms: CallTerms, doubt: Doubt | None = None) -> Flow[Answer[T]]:
    """Send a call, repeating it as the retry table allows, and return its answer or raise its error.

    The request is built once: every attempt sends the same bytes under the same idempotency key. A
    pause that would pass the deadline is not begun. ``doubt`` may come from an earlier try of the
    same purchase. An answer does not settle it: whoever stores the orders does, once they are stored.
    """
    course = _Course(call, terms, Doubt() if doubt is None else doubt, terms.began)
    request = call.request(terms.version)
    while True:
        answer = yield from _attempt(course, request)
        if answer is None:
            answer = yield from _decide(course)
        if answer is not None:
            found = cast("Answer[T]", answer)
            return found if found.attempts == course.sent else attrs.evolve(found, attempts=course.sent)


@define
class _Course:
    """A call under way: what was tried so far, and what became of it.

    ``now`` is the time of the last reply, ``sent`` the number of attempts, ``doubted`` whether there was
    doubt before the last of them. ``last`` is the error that it ended with, ``reason`` its row in the retry
    table, and ``failures`` are those of all attempts. ``lease`` is its place in the rate limit. ``fresh``
    asks for a new connection.
    """

    call: Call[Any]
    terms: CallTerms
    doubt: Doubt
    now: float
    sent: int = 0
    doubted: bool = False
    held_up: bool = False
    fresh: bool = False
    lease: Lease | None = None
    last: SmscodeError | None = None
    reason: str = ""
    failures: tuple[str, ...] = ()

    @property
    def spent(self) -> bool:
        """Whether all attempts that count are used up."""
        tried = sum(counted(TABLE[reason].pace) for reason in self.failures)
        return tried >= self.terms.policy.attempts(self.call.endpoint.kind)

    def admitted(self, reply: EffectReply) -> Lease | NoRoom:
        """Note the time of the rate limit's reply, and return what it was."""
        self.now = reply.now
        return cast("Lease | NoRoom", reply.result)

    def fail(self, error: SmscodeError, now: float) -> None:
        """Note how an attempt failed."""
        if isinstance(error, TempBannedError):
            self.terms.ban.note(error, now)
        self.reason = error.trouble or "unknown code"
        self.label(error, self.reason, now)
        self.last, self.now = error, now
        self.failures += (self.reason,)

    def not_sent(self, error: SmscodeError, reason: str) -> SmscodeError:
        """Return the error of a call that is not sent, or not once more, labelled."""
        self.label(error, "banned here" if reason == "TEMP_BANNED_ABUSE_GUARD" else reason, self.now)
        error.trouble = reason
        return error

    def label(self, error: SmscodeError, reason: str, now: float) -> None:
        """Write the call's facts on an error, and what is known about the request by now.

        Of a purchase, `judge` decides. Of everything else doubt stays: what a later attempt was answered says
        nothing about an earlier one that may have been carried out.
        """
        error.trouble = reason
        error.attempts = self.sent
        error.idempotency_key = self.call.idempotency_key
        kind = self.call.endpoint.kind
        if kind is CallKind.CREATE:
            from .purchases.states import judge

            error.outcome = judge(reason, self.doubt, before=self.doubted, sent_at=self.now, now=now)
            return
        error.outcome = outcome_of(reason, kind)
        if kind is CallKind.READ:
            self.doubt.raised = False
            return
        self.doubt.raised = self.doubted or error.outcome == "unknown"
        if self.doubt.raised:
            error.outcome = "unknown"


def _attempt(course: _Course, request: Request) -> Flow[Answer[Any] | None]:
    """Send the request once, when the rate limit admits it, and return its answer.

    Returns None for one that failed, of which ``course.last`` is the error. Raises where it may not be sent.
    """
    call, terms, watch = course.call, course.terms, course.terms.watch
    ban = terms.ban if call.endpoint.group is EndpointGroup.CREATE else None
    while True:
        course.doubted = course.doubt.raised
        if ban is not None and (banned := ban.error(course.now)) is not None:
            raise course.not_sent(banned, "TEMP_BANNED_ABUSE_GUARD") from course.last
        course.lease = None
        if terms.limited:
            # A call that had a turn before waits no more behind those that had none.
            urgent = course.doubted or course.sent > 0 or course.held_up
            lease = course.admitted((yield Acquire(call.endpoint.group, terms.deadline, urgent)))
            if isinstance(lease, NoRoom):
                raise course.last or course.not_sent(lease.error(), "no room")
            course.lease = lease
            if watch is not None:
                watch.waited(call, course.sent + 1, course.now, "rate limit")
        course.sent += 1
        if watch is not None:
            watch.sent(call, course.sent)
        reply = yield Send(request, terms.deadline, course.fresh, course.doubt, ban, course.lease)
        course.held_up = isinstance(reply.result, HeldUp)
        if watch is not None:
            _report(watch, call, course.sent, reply)
        if not course.held_up:
            break
        course.sent -= 1
        course.now = reply.now
    try:
        return (yield from _read(call, reply, terms.version))
    except SmscodeError as error:
        course.fail(error, reply.now)
    return None


def _decide(course: _Course) -> Flow[Answer[Any] | None]:
    """Wait as the retry table wants after a failed attempt, and return None for another one.

    Returns the answer of a cancel or finish that turns out to be done. Raises the last error where the call
    may not be repeated, its attempts are used up, or its time would be over.
    """
    call, terms, watch, last = course.call, course.terms, course.terms.watch, course.last
    assert last is not None, "there is nothing to decide before an attempt failed"
    rule = TABLE[course.reason]
    wait = terms.policy.pause(
        rule.pace, course.failures.count(course.reason), last.retry_after, terms.random()
    )
    refused = last.status_code == 429 or isinstance(last, RateLimitError)
    paused = course.lease if refused and not isinstance(last, TempBannedError) else None
    if paused is not None:
        yield Pause(paused, wait, by_service=course.reason != "throttled")
        if watch is not None:
            watch.paused(call, course.sent, wait)
    action = rule.action(call.endpoint.kind)
    if action is Action.RECONCILE or (action is Action.CHECK and course.doubted):
        settled = yield from _reconciled(call, terms, last)
        if settled is not None:
            return settled
    if action in (Action.STOP, Action.CHECK) or course.spent:
        raise last
    if course.now + max(wait, last.retry_after or 0.0) >= terms.deadline:
        raise last
    if watch is not None:
        watch.retrying(call, course.sent, last, wait)
    if wait > 0 and paused is None:  # the pause of the group holds this call up, too
        reply = yield Sleep(wait)
        course.now = reply.now
        if watch is not None:
            watch.waited(call, course.sent + 1, reply.now, "retry")
        if reply.now >= terms.deadline:  # reading the order took time, too
            raise last
    course.fresh = course.reason == "kept-alive connection broke"
    return None


def _report(watch: CallReporter, call: Call[object], sent: int, reply: EffectReply) -> None:
    """Report what an attempt came to."""
    if isinstance(reply.result, Response):
        watch.received(call, sent, reply.now, reply.result)
    elif isinstance(reply.result, HeldUp):
        watch.failed(call, sent, reply.now, "not sent", timed_out=False)
    else:
        failure = cast(Failure, reply.result)
        watch.failed(call, sent, reply.now, failure.kind, failure.timed_out)


def _read(call: Call[T], reply: EffectReply, version: ApiVersion) -> Flow[Answer[T]]:
    """Read the answer, a long one in steps that give others their turn; then release its connection."""
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


def _reconciled(call: Call[T], terms: CallTerms, error: SmscodeError) -> Flow[Answer[T] | None]:
    """Read the order to learn what became of a cancel or finish.

    Returns its answer if it was carried out, None if the order still waits for it. Raises `ConflictError`
    when the order ended otherwise, and the ``error`` itself when nothing can be learned.
    """
    from . import order_endings

    order_call, balance_call = order_endings.reads_to_settle(call)
    try:
        found = yield from flow(order_call, terms)
        state = order_endings.settled_state(call, found.data, found.date)
        if state == "waiting":
            return None
        if state == "done":
            account = None if balance_call is None else (yield from flow(balance_call, terms))
            return cast("Answer[T]", order_endings.lost_answer(found, account))
    except SmscodeError:
        raise error from error.__cause__
    raise order_endings.ended_otherwise(found.data, error)
