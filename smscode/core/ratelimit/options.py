"""The documented rate limits, as options."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, cast

from attrs import field, frozen

from ... import _exact
from ..._first_models import EndpointGroup
from ..._value import Value
from ...errors import InvalidArgumentError
from ..api import arguments
from ..timeouts import check_seconds

_MOST = 10**9
_SHORTEST, _LONGEST = 0.0001, 86_400.0  # seconds; another number is probably in another unit

REDIS_SCHEMES = (
    "redis",
    "rediss",
    "unix",
    "redis+sentinel",
    "rediss+sentinel",
    "redis+cluster",
    "rediss+cluster",
)


class RedisClient(Protocol):
    """A client of redis-py: `Redis` or `RedisCluster`, of ``redis`` or ``redis.asyncio``."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command and return its reply."""
        ...


@frozen(kw_only=True, eq=False, repr=False)
class RateLimits(Value):
    """How many requests a client may send per ``window`` seconds (0.0001..86,400), by group of endpoints.

    The defaults are the documented limits. ``share`` is the part of all of them that this process may use,
    above 0 and at most 1: with four processes on one account, give each 1/4. Clients of one process on the
    same account share the limits automatically; if their numbers differ, the strictest apply to all of them
    until the client that has them is closed.

    ``redis`` is a Redis server (the ``redis`` extra) through which all processes and machines on the account
    that name it share the limits exactly: a URL or a client of redis-py, whose settings are used for a
    connection of the limits' own. URLs are redis://, rediss:// (TLS), unix://,
    redis+sentinel://HOST:PORT,HOST:PORT/SERVICE/DB and redis+cluster://HOST:PORT,HOST:PORT.

    A process that cannot reach Redis uses at most the part ``redis_fallback`` (0..1) of each limit: with
    four processes, 1/4. If only one process is cut off, the others still share the whole limit, so all
    together may exceed it by that part. With 0 it sends nothing until Redis is back.

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
    redis: str | RedisClient | None = field(default=None, repr=False)  # it may hold a password
    redis_fallback: float = 0.25

    def __attrs_post_init__(self) -> None:
        for name, least in (("share", "above 0"), ("redis_fallback", "from 0")):
            part = _exact.number(getattr(self, name))
            if part is None or not 0 <= part <= 1 or (part == 0 and least != "from 0"):
                raise InvalidArgumentError(f"rate_limits.{name}: expected a number {least}, at most 1.")
        if not _SHORTEST <= check_seconds("rate_limits.window", self.window) <= _LONGEST:
            raise InvalidArgumentError(
                f"rate_limits.window: expected seconds, {_SHORTEST:g} to {_LONGEST:,.0f} of them."
            )
        redis = cast(object, self.redis)
        if not (
            redis is None
            or (isinstance(redis, str) and redis.partition("://")[0] in REDIS_SCHEMES)
            or callable(getattr(redis, "execute_command", None))
        ):
            # Not shown: it may hold a password.
            schemes = ", ".join(f"{scheme}://" for scheme in REDIS_SCHEMES)
            raise InvalidArgumentError(
                f"rate_limits.redis: expected a URL ({schemes}) or a client of redis-py."
            )
        for group in EndpointGroup:
            arguments.integer(f"rate_limits.{group.value}", getattr(self, group.value), 1, _MOST)
            if self.of(group)[1] > _LONGEST:
                raise InvalidArgumentError(
                    f"rate_limits.share: leaves less than one request a day for {group.value}; give more."
                )

    def of(self, group: EndpointGroup) -> tuple[int, float]:
        """Return how many requests of a group are allowed, and in how many seconds.

        A share of less than one request per window is one request in so much longer a window.
        """
        numbers = (_exact.number(value) for value in (getattr(self, group.value), self.share, self.window))
        limit, share, window = cast("Iterator[float]", numbers)  # they were checked
        allowed = limit * share
        return (int(allowed), window) if allowed >= 1 else (1, window / allowed)
