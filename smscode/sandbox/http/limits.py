"""The service's rate limits: so many requests of a group within any 60 seconds."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from ...errors import InvalidArgumentError
from ...models import EndpointGroup
from .api_error import Refusal

WINDOW: Final = timedelta(seconds=60)
LIMITS: Final[Mapping[EndpointGroup, int]] = {
    EndpointGroup.CATALOG: 5_000,
    EndpointGroup.BALANCE: 600,
    EndpointGroup.ORDER_QUERIES: 5_000,
    EndpointGroup.CREATE: 3_000,
    EndpointGroup.CANCEL: 1_000,
    EndpointGroup.ORDER_ACTIONS: 1_000,
    EndpointGroup.WEBHOOK_CONFIG: 600,
    EndpointGroup.WEBHOOK_TEST: 10,
}
"""The documented numbers."""
CANCELS_PER_DAY: Final = 5_000
"""How many orders may be cancelled per day, in UTC; that there is a cap is documented, its size is not."""


class ServiceLimits:
    """Counts an account's requests, both API versions together; refused ones do not count.

    ``taken`` holds the times of the requests that the window still sees, so a request costs the same
    however many there were.
    """

    def __init__(self, limits: Mapping[EndpointGroup, int]) -> None:
        self.limits: Mapping[EndpointGroup, int] = limits
        self.taken: dict[EndpointGroup, deque[datetime]] = {group: deque() for group in limits}

    def take(self, group: EndpointGroup, now: datetime) -> None:
        """Count a request, or refuse it when the window is full."""
        taken = self.taken.get(group)
        if taken is None:
            return
        while taken and now - taken[0] >= WINDOW:
            taken.popleft()
        if len(taken) >= self.limits[group]:
            left = taken[0] + WINDOW - now if taken else WINDOW
            raise Refusal(
                "RATE_LIMIT_EXCEEDED", "Too many requests", retry_after=math.ceil(left.total_seconds())
            )
        taken.append(now)


def read_limits(chosen: bool | Mapping[str, int]) -> tuple[ServiceLimits, int | None]:
    """Make what a sandbox was told into its limits and the cap of cancels per day, None for no cap."""
    if chosen is False:
        return ServiceLimits({}), None
    given = {} if chosen is True else dict(chosen)
    for name, number in given.items():
        if name not in (*EndpointGroup, "cancels_per_day"):
            names = ", ".join((*EndpointGroup, "cancels_per_day"))
            raise InvalidArgumentError(f"rate_limits: expected the names {names}.")
        if type(number) is not int or number < 0:
            raise InvalidArgumentError(f"rate_limits[{name!r}]: expected an int of at least 0.")
    limits = {group: given.get(group, number) for group, number in LIMITS.items()}
    return ServiceLimits(limits), given.get("cancels_per_day", CANCELS_PER_DAY)


def seconds_left_today(now: datetime) -> int:
    """Return the whole seconds until the next day begins."""
    tomorrow = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return math.ceil((tomorrow - now).total_seconds())
