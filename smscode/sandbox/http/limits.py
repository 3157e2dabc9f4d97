"""The service's rate limits: a number of requests per endpoint group within any 60 seconds."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from ...core.ratelimit.options import RateLimits
from ...errors import InvalidArgumentError
from ...models import EndpointGroup
from .api_error import ServiceError

WINDOW: Final = timedelta(seconds=RateLimits().window)
LIMITS: Final[Mapping[EndpointGroup, int]] = {group: RateLimits().of(group)[0] for group in EndpointGroup}
"""The documented numbers, which are also the client's defaults."""
CANCELS_PER_DAY: Final = 5_000
"""How many orders may be cancelled per day in UTC. The cap is documented, its number is not."""


class ServiceLimits:
    """Counts an account's requests, of both API versions together; rejected requests do not count.

    ``taken`` holds the times of the requests that are still inside the window, so counting one takes the same
    time however many there were before.
    """

    def __init__(self, limits: Mapping[EndpointGroup, int]) -> None:
        self.limits: Mapping[EndpointGroup, int] = limits
        self.taken: dict[EndpointGroup, deque[datetime]] = {group: deque() for group in limits}

    def take(self, group: EndpointGroup, now: datetime) -> None:
        """Count a request. Raises `ServiceError` if the window is full."""
        taken = self.taken.get(group)
        if taken is None:
            return
        while taken and now - taken[0] >= WINDOW:
            taken.popleft()
        if len(taken) >= self.limits[group]:
            left = taken[0] + WINDOW - now if taken else WINDOW
            seconds = math.ceil(left.total_seconds())
            raise ServiceError("RATE_LIMIT_EXCEEDED", "Too many requests", retry_after=seconds)
        taken.append(now)


def read_limits(chosen: bool | Mapping[str, int]) -> tuple[dict[EndpointGroup, int], int | None]:
    """Return the limits by group and the cap of cancels per day that the argument ``rate_limits`` stands for.

    Without limits the mapping is empty and the cap None. Raises `InvalidArgumentError`.
    """
    if chosen is False:
        return {}, None
    given = {} if chosen is True else dict(chosen)
    names = (*EndpointGroup, "cancels_per_day")
    for name, number in given.items():
        if name not in names:
            raise InvalidArgumentError(f"rate_limits: expected the names {', '.join(names)}.")
        if type(number) is not int or number < 0:
            raise InvalidArgumentError(f"rate_limits[{name!r}]: expected an int of at least 0.")
    limits = {group: given.get(group, number) for group, number in LIMITS.items()}
    return limits, given.get("cancels_per_day", CANCELS_PER_DAY)


def seconds_left_today(now: datetime) -> int:
    """Return the whole seconds until the next day begins."""
    tomorrow = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return math.ceil((tomorrow - now).total_seconds())
