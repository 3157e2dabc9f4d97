"""What to do after a failed attempt, as data.

`TABLE` has a rule for every kind of failure: for each kind of call, whether to send the same bytes again,
read the order first, or raise the error; how long to wait; and what the failure means for the request. The
only criterion is whether a repetition could do something twice: reads change nothing, a purchase carries its
idempotency key, cancel and finish can be checked by reading the order, a resend cannot.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import Enum
from typing import TypeVar

from attrs import frozen

from .._value import Value
from ..errors import API_ERRORS, APIError, InvalidArgumentError, InvalidResponseError, Outcome, SmscodeError
from .api.call import CallKind
from .timeouts import check_seconds

T = TypeVar("T")


class Action(Enum):
    """What to do after an attempt that failed."""

    STOP = "stop"
    """Raise the error."""
    RESEND = "resend"
    """Send the same bytes again; a purchase under the same idempotency key."""
    RECONCILE = "reconcile"
    """Read the order, then decide."""
    CHECK = "check"
    """Read the order if an earlier attempt may have been carried out, else raise the error."""


class RetryPace(Enum):
    """How long to wait before sending again if the service does not say."""

    AT_ONCE = "at once"
    """No wait the first time; then like BACKOFF."""
    BACKOFF = "backoff"
    """A random part of a time that doubles with each failure."""
    THROTTLED = "throttled"
    """One second, then a whole window of the rate limit. Not counted as an attempt.

    If the service names a time, one second that doubles up to a window."""
    POLL = "poll"
    """One to two seconds. Not counted as an attempt."""


@frozen(eq=False, repr=False)
class Rule(Value):
    """What to do about one kind of failure."""

    read: Action
    create: Action
    transition: Action
    resend: Action
    config: Action
    test: Action
    outcome: Outcome
    pace: RetryPace = RetryPace.BACKOFF

    def action(self, kind: CallKind) -> Action:
        """Return what to do for a kind of call. One of which nothing is known is never repeated."""
        if kind is CallKind.OTHER:
            return Action.STOP
        found: Action = getattr(self, kind.value)
        return found


_STOP, _RESEND, _RECONCILE, _CHECK = Action.STOP, Action.RESEND, Action.RECONCILE, Action.CHECK


def _always(action: Action, outcome: Outcome, pace: RetryPace = RetryPace.BACKOFF) -> Rule:
    return Rule(action, action, action, action, action, action, outcome, pace)


def _in_doubt(pace: RetryPace = RetryPace.BACKOFF) -> Rule:
    """Rule for a request that may have been carried out: repeat only what cannot be done twice."""
    return Rule(_RESEND, _RESEND, _RECONCILE, _STOP, _RESEND, _STOP, "unknown", pace)


_REFUSED = _always(_STOP, "rejected")

_NOT_REFUSALS = (408, 409, 425, 429)  # they can be said of a request that was carried out, or will be


def kind_of_status(status: int) -> str:
    """Return the kind of failure that a code with this status is, if nothing more is known of the code."""
    if status >= 500:
        return "unknown code of a failing service"
    return "unknown refusal" if status >= 400 and status not in _NOT_REFUSALS else "unknown code"


def for_every_code(
    rows: Mapping[str, T], codes: Mapping[str, tuple[type[APIError], int]] = API_ERRORS
) -> dict[str, T]:
    """Return a table with a row for every code: one without a row of its own has the row of its status."""
    others = {code: rows[kind_of_status(status)] for code, (_, status) in codes.items() if code not in rows}
    return {**rows, **others}


_ROWS: Mapping[str, Rule] = {
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
    # A success with unexpected data: it was carried out, and repeating it would return the same bytes.
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
    # A refusal by the service with any other code.
    "unknown refusal": _REFUSED,
    # An error without a code, or whose status is not a refusal, does not say what was done.
    "unknown code": _always(_STOP, "unknown"),
    "unknown code of a failing service": _in_doubt(),
}

TABLE: Mapping[str, Rule] = for_every_code(_ROWS)
"""The rule for each kind of failure."""

_BY_ANYTHING = ("throttled", "body too large")  # said without the envelope, so maybe by a proxy


def outcome_of(reason: str, kind: CallKind) -> Outcome:
    """Return what a kind of failure means for a request of this kind, unless it is a purchase.

    Where nothing is known about a call, only the service's own envelope shows that it was refused.
    """
    return "unknown" if kind is CallKind.OTHER and reason in _BY_ANYTHING else TABLE[reason].outcome


def failure_kind(error: SmscodeError) -> str:
    """Return the kind of failure of an attempt's error, which is a key of `TABLE`.

    A code without a row of its own is treated like an unknown code with the same status.
    """
    if isinstance(error, InvalidResponseError):
        return _unreadable(error.status_code or 0)
    if error.code is not None and error.code in API_ERRORS and error.code in TABLE:
        return error.code
    status = error.status_code or 0
    if error.code is None and status in (413, 429):
        return "body too large" if status == 413 else "throttled"
    return kind_of_status(status) if error.code or status >= 500 else "unknown code"


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
    CallKind.OTHER: 1,
}
_MOST_ATTEMPTS = 50
_SHORTEST = 1.0
_WINDOW = 60.0
_LONGEST_POLL = 2.0
_DOUBLINGS = 64  # more than any cap needs; without a bound, 2.0 ** times would overflow
_JITTER = 0.1  # of the wait; only added, so no request is sent earlier than the service asked
LONGEST_PAUSE = 300.0
"""The longest pause in seconds, whatever ``Retry-After`` says: proxies send a day, or an epoch."""


@frozen(eq=False, repr=False)
class RetryPolicy(Value):
    """How often a failed call is repeated, and how long to wait between attempts.

    ``max_attempts`` (1..50) includes the first attempt; None means 4 for reads, 8 for purchases, 5 for cancel
    and finish, 3 for resend, 4 for webhook updates and 1 for webhook tests. The pause before attempt n+1 is
    random between 0 and ``base * 2**(n-1)`` seconds, at most ``cap``. It is at least the ``Retry-After`` of
    the service, and at most five minutes. Waiting for a rate limit, or for a purchase that the service is
    still processing, does not count as an attempt.

    Raises `InvalidArgumentError` for a value out of range.
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
        """Return the number of attempts for a call of this kind."""
        return _ATTEMPTS[kind] if self.max_attempts is None else self.max_attempts

    def pause(self, pace: RetryPace, times: int, retry_after: float | None, random: float) -> float:
        """Return the seconds to wait after the same failure has come ``times`` times (from 1).

        The pause is at least ``retry_after``, plus up to a tenth of it. It is at least one second if the
        attempt does not count, because then only the deadline ends the repetition. It is at most
        `LONGEST_PAUSE`, whatever the service asks for. ``random`` is a random number in 0..1.
        """
        floor = retry_after or 0.0
        if not counted(pace):
            floor = max(floor, _SHORTEST)
        wait = max(self._own_pause(pace, times, retry_after, random), floor * (1 + _JITTER * random))
        return min(wait, LONGEST_PAUSE)

    def _own_pause(self, pace: RetryPace, times: int, retry_after: float | None, random: float) -> float:
        doubled = 2.0 ** min(times - 1, _DOUBLINGS)
        if pace is RetryPace.THROTTLED:
            named = (retry_after or 0.0) >= _SHORTEST  # a hint of 0 is ignored: the service has just refused
            own = min(doubled, _WINDOW) if named or times == 1 else _WINDOW
            return own * (1 + _JITTER * random)
        if pace is RetryPace.AT_ONCE and times == 1:
            return 0.0
        cap = min(self.cap, _LONGEST_POLL) if pace is RetryPace.POLL else self.cap
        return random * min(cap, self.base * doubled)


def counted(pace: RetryPace) -> bool:
    """Return True if a failure of this pace counts as an attempt; only the deadline bounds the others."""
    return pace in (RetryPace.BACKOFF, RetryPace.AT_ONCE)
