"""Hypothesis tries the same examples in every run, however slow the machine is."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("core", deadline=None, derandomize=True, database=None)
settings.load_profile("core")
