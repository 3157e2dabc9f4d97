"""Whether a purchase may have been made by an attempt of which nothing is known."""

from __future__ import annotations

from attrs import define


@define
class Doubt:
    """Whether an attempt under a key is open, and when the last open one had ended.

    ``raised`` is set when the first byte of an attempt is written. It outlives the call, so that a
    cancelled purchase can be settled later. ``ended`` is in monotonic seconds. Once ``forbidden`` is set, no
    attempt is started: that exception is raised instead.
    """

    raised: bool = False
    ended: float = float("-inf")
    forbidden: BaseException | None = None
