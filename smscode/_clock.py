"""The clock by which this package waits, limits and gives up."""

from __future__ import annotations

import time
from typing import Final


class RealTime:
    """Seconds of a clock that only goes forward, also in a test that freezes the time.

    Libraries that do so (freezegun and the like) replace the functions of the `time` module and every
    module's own references to them. What is waited for here is real, so a frozen clock would never end a
    wait. That is why the function is bound once, and as an attribute of a class.
    """

    monotonic: Final = staticmethod(time.monotonic)
