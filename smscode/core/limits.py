"""The documented rate limits, as options."""

from __future__ import annotations

from attrs import frozen

from ..errors import InvalidArgumentError
from . import arguments
from .timeouts import check_seconds
from .wire import Group

_MOST = 10**9


@frozen(kw_only=True)
class RateLimits:
    """How many requests a client may send per ``window`` seconds, by group of endpoints.

    The numbers are those of the documentation. ``share`` is the part of all of them that is for this
    process, above 0 and at most 1: with four processes on one account, give each 1/4. Clients of one
    process on the same account share the limits by themselves; where their numbers differ, the
    strictest hold for all of them.

    Raises `InvalidArgumentError` for a number out of range.
    """

    share: float = 1.0
    window: float = 60.0
    catalog: int = 5000
    balance: int = 600
    order_queries: int = 5000
    create: int = 3000
    cancel: int = 1000
    order_actions: int = 1000
    webhook_config: int = 600
    webhook_test: int = 10

    def __attrs_post_init__(self) -> None:
        if type(self.share) not in (int, float) or not 0 < self.share <= 1:
            raise InvalidArgumentError("rate_limits.share: expected a number above 0, at most 1.")
        if check_seconds("rate_limits.window", self.window) == float("inf"):
            raise InvalidArgumentError("rate_limits.window: expected a finite number of seconds.")
        for group in Group:
            arguments.integer(f"rate_limits.{group.value}", getattr(self, group.value), 1, _MOST)

    def of(self, group: Group) -> tuple[int, float]:
        """Give how many requests of a group are allowed, and in how many seconds.

        A share of less than one request per window is one request in so much longer a window.
        """
        allowed: float = getattr(self, group.value) * self.share
        return (int(allowed), self.window) if allowed >= 1 else (1, self.window / allowed)
