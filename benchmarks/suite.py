"""What there is to measure, and what a measurement comes to."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Literal, TypeVar

from attrs import field, frozen

NAMES = (
    "calls",
    "bursts",
    "threads",
    "journal",
    "limits",
    "windows",
    "waiting",
    "sandbox",
    "decoding",
    "iteration",
    "startup",
)
"""The benchmarks, each a module of this package."""

T = TypeVar("T")


class Scale(StrEnum):
    """How much is measured: all that a claim needs, a first impression, or that it runs at all."""

    FULL = "full"
    QUICK = "quick"
    SMOKE = "smoke"


@frozen
class Setup:
    """What a benchmark runs with; ``vendor`` is a Python that has the vendor's SDK, where there is one."""

    scale: Scale
    vendor: str | None = None

    def pick(self, full: T, quick: T, smoke: T) -> T:
        """Choose what fits the scale."""
        return {Scale.FULL: full, Scale.QUICK: quick, Scale.SMOKE: smoke}[self.scale]


@frozen
class Figure:
    """A measured value.

    ``wanted`` is its bound, None where it is only shown. ``parts`` are what it was made of, by contestant.
    """

    what: str
    value: float
    wanted: float | None = None
    bound: Literal["at most", "at least"] = "at most"
    unit: str = ""
    parts: Mapping[str, str] = field(factory=dict[str, str])

    @property
    def held(self) -> bool | None:
        """Return True if the value is within its bound; None without one."""
        if self.wanted is None:
            return None
        return self.value <= self.wanted if self.bound == "at most" else self.value >= self.wanted


def measure(name: str, setup: Setup) -> Iterator[Figure]:
    """Run a benchmark; its figures come as they are found."""
    if name not in NAMES:
        raise ValueError(f"{name}: expected one of {', '.join(NAMES)}.")
    figures: Iterator[Figure] = importlib.import_module(f"benchmarks.{name}").run(setup)
    return figures
