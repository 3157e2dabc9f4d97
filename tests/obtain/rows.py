"""The lines of the table."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tests.obtain.flavours import Flavour

LINE = "{:<12} {:<8} {:>6} {:>8}  {}"


@dataclass
class Row:
    """What came of the runs of one scenario in one flavour."""

    name: str
    flavour: Flavour
    count: int
    broken: list[str] = field(default_factory=list[str])
    ends: Counter[str] = field(default_factory=Counter[str])
    seconds: float = 0.0

    def __str__(self) -> str:
        told = ", ".join(f"{end} {count}" for end, count in sorted(self.ends.items()))
        verdict = "holds" if not self.broken else f"{len(self.broken)} BROKEN"
        return LINE.format(self.name, self.flavour, self.count, f"{self.seconds:.1f}", f"{verdict}; {told}")
