"""Hypothesis tries the same examples in every run, unless more are asked for, however slow the machine is."""

from __future__ import annotations

from hypothesis import settings

from .support import RUNS

settings.register_profile("core", deadline=None, derandomize=RUNS == 1, database=None)
settings.load_profile("core")
