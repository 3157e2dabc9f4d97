"""What to do after a failed attempt: send the same bytes again, and after how long, or stop.

The rule is a pure function of what kind of call failed, how, and how often. A call may only be
repeated when the repetition cannot do anything twice: because it reads, because its idempotency key
makes the service replay the first result, or because the failure proves that nothing was done.
"""

from __future__ import annotations

from attrs import frozen

from ..errors import (
    FxRateUnavailableError,
    InternalError,
    InvalidArgumentError,
    InvalidResponseError,
    NetworkError,
    RateLimitError,
    RequestInProgressError,
    ServiceUnavailableError,
    SmscodeError,
)
from .timeouts import check_seconds
from .wire import Kind

_ATTEMPTS = {
    Kind.READ: 4,
    Kind.CREATE: 8,
    Kind.TRANSITION: 5,
    Kind.RESEND: 3,
    Kind.CONFIG: 4,
    Kind.TEST: 1,
}
_MOST_ATTEMPTS = 50
_THROTTLED_BASE = 1.0
_POLL_CAP = 2.0
_RETRY_AFTER_JITTER = 0.1  # of the wait; added, never subtracted: nobody may knock early

REPEATABLE = frozenset({Kind.READ, Kind.CREATE, Kind.CONFIG})
"""The kinds of call that may be sent again although the first sending may have been carried out."""

_NOTHING_DONE = (RateLimitError, FxRateUnavailableError)
_PERHAPS_DONE = (NetworkError, InternalError, ServiceUnavailableError, RequestInProgressError)


@frozen
class RetryPolicy:
    """How often and how patiently a call is repeated.

    ``max_attempts`` (1..50) counts the first attempt, too; None means 4 for reads, 8 for buying,
    5 for cancel and finish, 3 for resend, 4 for webhook updates and 1 for webhook tests. The pause
    before attempt n+1 is random between 0 and ``base * 2**(n-1)`` seconds, at most ``cap``.
    """

    max_attempts: int | None = None
    base: float = 0.25
    cap: float = 8.0

    def __attrs_post_init__(self) -> None:
        if self.max_attempts is not None and (
            type(self.max_attempts) is not int or not 1 <= self.max_attempts <= _MOST_ATTEMPTS
        ):
            raise InvalidArgumentError(f"retry.max_attempts: expected an int of 1..{_MOST_ATTEMPTS} or None.")
        check_seconds("retry.base", self.base)
        check_seconds("retry.cap", self.cap)

    def attempts(self, kind: Kind) -> int:
        """Give how often a call of this kind may be sent."""
        return _ATTEMPTS[kind] if self.max_attempts is None else self.max_attempts


def may_repeat(kind: Kind, error: SmscodeError) -> bool:
    """Tell whether sending the same bytes again can help and cannot do anything twice."""
    if isinstance(error, _NOTHING_DONE):
        return True
    if isinstance(error, NetworkError) and error.outcome == "not_sent":
        return True
    if isinstance(error, InvalidResponseError):
        return kind in REPEATABLE and (error.status_code or 0) >= 500
    return kind in REPEATABLE and isinstance(error, _PERHAPS_DONE)


def pause(policy: RetryPolicy, error: SmscodeError, attempts: int, chance: float) -> float:
    """Give the seconds to wait before the next attempt; ``chance`` is a random number of 0..1."""
    if error.retry_after is not None:
        return error.retry_after * (1 + _RETRY_AFTER_JITTER * chance)
    if isinstance(error, RateLimitError):
        base, cap = max(policy.base, _THROTTLED_BASE), 60.0
    elif isinstance(error, RequestInProgressError):
        base, cap = policy.base, _POLL_CAP
    else:
        base, cap = policy.base, policy.cap
    return chance * min(cap, base * 2.0 ** (attempts - 1))


def next_pause(
    policy: RetryPolicy, kind: Kind, error: SmscodeError, attempts: int, chance: float
) -> float | None:
    """Give the seconds to wait before sending the call again, or None to stop and raise."""
    if attempts >= policy.attempts(kind) or not may_repeat(kind, error):
        return None
    return pause(policy, error, attempts, chance)
