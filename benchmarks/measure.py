"""Taking turns: contestants are measured round by round, and compared within each round."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median

from attrs import frozen

Contestant = Callable[[], float]
"""One round of something; gives what it cost, in any unit that all of a comparison share."""


@frozen
class Rounds:
    """What the contestants cost, by name and round."""

    costs: Mapping[str, Sequence[float]]

    def median(self, name: str) -> float:
        """Return a contestant's median."""
        return median(self.costs[name])

    def ratio(self, this: str, other: str) -> float:
        """Return the median of the ratios of the rounds: what disturbs a round disturbs both."""
        return median(one / two for one, two in zip(self.costs[this], self.costs[other], strict=True))

    def show(self, unit: str, factor: float = 1.0) -> dict[str, str]:
        """Write the medians, multiplied by ``factor``, with their unit."""
        return {name: f"{self.median(name) * factor:,.4g} {unit}" for name in self.costs}


def interleave(contestants: Mapping[str, Contestant], rounds: int) -> Rounds:
    """Run each contestant once in each round; the order is reversed each time.

    The warm-up is a round that does not count; where there is only one round, it does without.
    """
    costs: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(-1 if rounds > 1 else 0, rounds):
        names = list(contestants) if number % 2 else list(contestants)[::-1]
        for name in names:
            gc.collect()
            cost = contestants[name]()
            if number >= 0:
                costs[name].append(cost)
    return Rounds(costs)


def cpu_of(function: Callable[[], object], times: int = 1) -> float:
    """Return the seconds of CPU that one call takes, in this process with all its threads."""
    began = time.process_time()
    for _ in range(times):
        function()
    return (time.process_time() - began) / times
