"""How long a call may take."""

from __future__ import annotations

import math

from attrs import frozen

from .. import _exact
from ..errors import InvalidArgumentError
from .api.call import CallKind


def check_seconds(name: str, value: object) -> float:
    """Check a number of seconds above zero; infinity means no limit."""
    seconds = _exact.number(value)
    if seconds is None or not seconds > 0:  # written so that NaN is refused, too
        raise InvalidArgumentError(f"{name}: expected a number of seconds above 0.")
    return seconds


def check_wait(value: object, name: str = "timeout") -> float:
    """Check the seconds to wait for something; 0 means one look."""
    return 0.0 if _exact.number(value) == 0 else check_seconds(name, value)


@frozen
class Timeouts:
    """The time limits of a client, in seconds, each above 0.

    ``total`` bounds a whole call: waiting for a connection, every attempt, the pauses between them
    and reading the answer. ``create`` does that for buying, which takes the service longer.
    ``connect`` bounds one attempt's connecting, the lookup of the name and all addresses of the host
    together, and then its TLS handshake; ``read`` bounds each wait for more of the answer.
    """

    total: float = 30.0
    create: float = 90.0
    connect: float = 5.0
    read: float = 30.0

    def __attrs_post_init__(self) -> None:
        for name in ("total", "create", "connect", "read"):
            check_seconds(f"timeout.{name}", getattr(self, name))

    @classmethod
    def of(cls, value: Timeouts | float | None) -> Timeouts:
        """Read the client's ``timeout`` argument: a number is the total of every call, None no limit."""
        if isinstance(value, Timeouts):
            return value
        total = math.inf if value is None else check_seconds("timeout", value)
        return cls(total=total, create=total)

    @property
    def longest(self) -> float:
        """The seconds that a call takes at most, and ten minutes where there is no limit."""
        longest = max(self.total, self.create)
        return 600.0 if math.isinf(longest) else longest

    def budget(self, kind: CallKind, asked: float | None) -> float:
        """Return the seconds a call may take: what its caller ``asked`` for, else the client's limit."""
        if asked is not None:
            return check_seconds("timeout", asked)
        return self.create if kind is CallKind.CREATE else self.total
