"""How long a call may take."""

from __future__ import annotations

import math

from attrs import frozen

from .. import _exact
from .._value import Value
from ..errors import InvalidArgumentError
from .api.call import CallKind

LEAST = 0.001
"""Seconds for a call whose time is over already, so that it fails as a call does."""


def check_seconds(name: str, value: object, *, also: str = "") -> float:
    """Check a number of seconds above zero; infinity means no limit. ``also`` is what else is allowed."""
    seconds = _exact.number(value)
    if seconds is None or not seconds > 0:  # written so that NaN is refused, too
        found = type(value).__name__ if seconds is None else f"{seconds:g}"
        raise InvalidArgumentError(f"{name}: expected a number of seconds above 0{also}, got {found}.")
    return seconds


def check_wait(value: object, name: str = "timeout") -> float:
    """Check a number of seconds to wait; 0 means to check once without waiting."""
    return 0.0 if _exact.number(value) == 0 else check_seconds(name, value, also=" (or 0 to check once)")


@frozen(eq=False, repr=False)
class Timeouts(Value):
    """The time limits of a client, in seconds, each above 0.

    ``total`` limits a whole call: waiting for a connection, all attempts, the pauses between them and reading
    the answer. ``create`` is that limit for purchases, which take the service longer. ``connect`` limits
    connecting once: name lookup and all addresses of the host together, and then the TLS handshake again.
    ``read`` limits each wait for more bytes of the answer.

    Raises `InvalidArgumentError` for a value that is not above 0.
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
        """Return the limits for a client's ``timeout``: a number is the total per call, None no limit."""
        if isinstance(value, Timeouts):
            return value
        total = math.inf if value is None else check_seconds("timeout", value)
        return cls(total=total, create=total)

    @property
    def longest(self) -> float:
        """The longest time of a call in seconds; ten minutes if there is no limit."""
        longest = max(self.total, self.create)
        return 600.0 if math.isinf(longest) else longest

    def budget(self, kind: CallKind, asked: float | None) -> float:
        """Return the limit of a call in seconds: the one ``asked`` for, else the client's."""
        if asked is not None:
            return check_seconds("timeout", asked)
        return self.create if kind is CallKind.CREATE else self.total
