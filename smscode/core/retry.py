"""What to do after a failed attempt, as data.

`TABLE` has a rule for every kind of failure_kind: for each kind of call whether the same bytes are sent
again, the order is read first, or the error is raised; how long to wait; and what the failure_kind says
about the request. Whether a repetition can do anything twice is the only thing that decides: reads
change nothing, a purchase carries its idempotency key, cancel and finish can be checked by reading the
order, a resend cannot.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import Enum

from attrs import frozen

from ..errors import API_ERRORS, APIError, InvalidArgumentError, InvalidResponseError, Outcome, SmscodeError
from .api.call import CallKind
from .timeouts import check_seconds


class Action(Enum):
    """What follows an attempt that failed."""

    STOP = "stop"
    """Raise the error."""
    RESEND = "resend"
    """Send the same bytes again; of a purchase: under the same idempotency key."""
    RECONCILE = "reconcile"
    """Read the order, then decide."""
    CHECK = "check"
    """Read the order if an earlier attempt may have been carried out, else raise the error."""


class RetryPace(Enum):
    """How long to wait before sending again, where the service does not say it."""

    AT_ONCE = "at once"
    """Not at all the first time; then like BACKOFF."""
    BACKOFF = "backoff"
    """A random part of a time that doubles."""
    THROTTLED = "throttled"
    """A second, then a whole window of the rate limit. Not counted as an attempt.

    Where the service names a time, a second that doubles up to a window."""
    POLL = "poll"
    """One to two seconds. Not counted as an attempt."""


@frozen
class Rule:
    """What to do about one kind of failure_kind."""

    read: Action
    create: Action
    transition: Action
    resend: Action
    config: Action
    test: Action
    outcome: Outcome
    pace: RetryPace = RetryPace.BACKOFF

    def action(self, kind: CallKind) -> Action:
        """Return what to do for a kind of call."""
        found: Action = getattr(self, kind.value)
        return found


_STOP, _RESEND, _RECONCILE, _CHECK = Action.STOP, Action.RESEND, Action.RECONCILE, Action.CHECK


def _always(action: Action, outcome: Outcome, pace: RetryPace = RetryPace.BACKOFF) -> Rule:
    return Rule(action, action, action, action, action, action, outcome, pace)


def _in_doubt(pace: RetryPace = RetryPace.BACKOFF) -> Rule:
    """The request may have been carried out: repeat only what cannot be done twice."""
    return Rule(_RESEND, _RESEND, _RECONCILE, _STOP, _RESEND, _STOP, "unknown", pace)


_REFUSED = _always(_STOP, "rejected")

TABLE: Mapping[str, Rule] = {
    # No answer.
    "no room": _always(_STOP, "not_sent"),
    "not sent": _always(_RESEND, "not_sent"),
    "cannot be sent": _always(_STOP, "not_sent"),
    "transport failed": _always(_STOP, "unknown"),
    "connection broke": _in_doubt(),
    "kept-alive connection broke": _in_doubt(RetryPace.AT_ONCE),
    # An answer without the envelope of the API.
    "unreadable answer": _in_doubt(),
    "unavailable": _in_doubt(),
    "throttled": _always(_RESEND, "rejected", RetryPace.THROTTLED),
    "body too large": _always(_STOP, "rejected"),
    "refused by something else": _always(_STOP, "unknown"),
    "redirect": _always(_STOP, "unknown"),
    "answer too large": Rule(_STOP, _STOP, _RECONCILE, _STOP, _STOP, _STOP, "unknown"),
    # A success whose data is not as promised: it was carried out, and repeating it gives the same bytes.
    "unexpected data": _always(_STOP, "unknown"),
    # The documented codes.
    "UNAUTHORIZED": _REFUSED,
    "FORBIDDEN": _REFUSED,
    "NOT_FOUND": _REFUSED,
    "CONFLICT": Rule(_STOP, _STOP, _CHECK, _STOP, _STOP, _STOP, "rejected"),
    "INSUFFICIENT_BALANCE": _REFUSED,
    "CANCEL_TOO_EARLY": _REFUSED,
    "REQUEST_IN_PROGRESS": Rule(_STOP, _RESEND, _STOP, _STOP, _STOP, _STOP, "unknown", RetryPace.POLL),
    "VALIDATION_ERROR": _REFUSED,
    "PROVIDER_ERROR": _always(_STOP, "failed"),
    "NO_OFFER_AVAILABLE": _REFUSED,
    "IDEMPOTENCY_KEY_REUSED": _REFUSED,
    "RATE_LIMIT_EXCEEDED": _always(_RESEND, "rejected", RetryPace.THROTTLED),
    "TEMP_BANNED_ABUSE_GUARD": _REFUSED,
    "INTERNAL_ERROR": _in_doubt(),
    "SERVICE_UNAVAILABLE": _in_doubt(),
    "FX_RATE_UNAVAILABLE": _always(_RESEND, "rejected"),
    # A refusal by the service with a code that this package does not know.
    "unknown refusal": _REFUSED,
    # An error without a code, or with a status that is no refusal, says nothing about what was done.
    "unknown code": _always(_STOP, "unknown"),
    "unknown code of a failing service": _in_doubt(),
}
"""Every kind of failure_kind and its rule."""


def failure_kind(error: SmscodeError) -> str:
    """Name the kind of failure_kind that an error of an attempt means; see `TABLE`."""
    if isinstance(error, InvalidResponseError):
        return _unreadable(error.status_code or 0)
    if error.code is not None and error.code in API_ERRORS and error.code in TABLE:
        return error.code
    status = error.status_code or 0
    if isinstance(error, APIError) and error.code is None and status in (413, 429):
        return "body too large" if status == 413 else "throttled"
    if status >= 500:
        return "unknown code of a failing service"
    refused = bool(error.code) and status >= 400 and status not in _NOT_REFUSALS
    return "unknown refusal" if refused else "unknown code"


_NOT_REFUSALS = (408, 409, 425, 429)  # they can be said of a request that was carried out, or will be


def _unreadable(status: int) -> str:
    if status == 408 or status >= 500:
        return "unavailable"
    if status >= 400:
        return "refused by something else"
    return "redirect" if status >= 300 else "unreadable answer"


_ATTEMPTS = {
    CallKind.READ: 4,
    CallKind.CREATE: 8,
    CallKind.TRANSITION: 5,
    CallKind.RESEND: 3,
    CallKind.CONFIG: 4,
    CallKind.TEST: 1,
}
_MOST_ATTEMPTS = 50
_SHORTEST = 1.0
_WINDOW = 60.0
_LONGEST_POLL = 2.0
_DOUBLINGS = 64  # more than any cap; a purchase can be polled until a float has no room for them
_JITTER = 0.1  # of the wait; added, never subtracted: no request comes earlier than it was asked to
LONGEST_PAUSE = 300.0
"""Seconds that a hint is believed at most: proxies name a day, or an epoch instead of seconds."""


@frozen
class RetryPolicy:
    """How often and how patiently a call is repeated.

    ``max_attempts`` (1..50) counts the first attempt, too; None means 4 for reads, 8 for buying,
    5 for cancel and finish, 3 for resend, 4 for webhook updates and 1 for webhook tests. The pause
    before attempt n+1 is random between 0 and ``base * 2**(n-1)`` seconds, at most ``cap``. It is not shorter
    than the service asks for by ``Retry-After``, and five minutes at most.
    Waiting for a rate limit, or for a purchase that is still being worked on, is not an attempt.
    """

    max_attempts: int | None = None
    base: float = 0.25
    cap: float = 8.0

    def __attrs_post_init__(self) -> None:
        if self.max_attempts is not None and (
            type(self.max_attempts) is not int or not 1 <= self.max_attempts <= _MOST_ATTEMPTS
        ):
            raise InvalidArgumentError(f"retry.max_attempts: expected an int of 1..{_MOST_ATTEMPTS} or None.")
        for name in ("base", "cap"):
            if math.isinf(check_seconds(f"retry.{name}", getattr(self, name))):
                raise InvalidArgumentError(f"retry.{name}: expected a finite number of seconds.")

    def attempts(self, kind: CallKind) -> int:
        """Return how often a call of this kind may be tried."""
        return _ATTEMPTS[kind] if self.max_attempts is None else self.max_attempts

    def pause(self, pace: RetryPace, times: int, retry_after: float | None, chance: float) -> float:
        """Return the seconds to wait after the same failure has come ``times`` times (from 1).

        What the service asked for is a floor, with up to a tenth more. So is one second for what is not
        counted as an attempt, which only the deadline ends. It is `LONGEST_PAUSE` at most, whatever the hint:
        then one more request finds out. ``chance`` is a random number of 0..1.
        """
        floor = retry_after or 0.0
        if not counted(pace):
            floor = max(floor, _SHORTEST)
        wait = max(self._own_pause(pace, times, retry_after, chance), floor * (1 + _JITTER * chance))
        return min(wait, LONGEST_PAUSE)

    def _own_pause(self, pace: RetryPace, times: int, retry_after: float | None, chance: float) -> float:
        doubled = 2.0 ** min(times - 1, _DOUBLINGS)
        if pace is RetryPace.THROTTLED:
            named = (retry_after or 0.0) >= _SHORTEST  # "now" is no time: the service has just said no
            own = min(doubled, _WINDOW) if named or times == 1 else _WINDOW
            return own * (1 + _JITTER * chance)
        if pace is RetryPace.AT_ONCE and times == 1:
            return 0.0
        cap = min(self.cap, _LONGEST_POLL) if pace is RetryPace.POLL else self.cap
        return chance * min(cap, self.base * doubled)


def counted(pace: RetryPace) -> bool:
    """Return True if failure_kind of this pace uses up an attempt; the rest only the deadline bounds."""
    return pace in (RetryPace.BACKOFF, RetryPace.AT_ONCE)
