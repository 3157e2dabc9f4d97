"""Which event loop runs: asyncio's, or trio's."""

from __future__ import annotations

import sys
from typing import Any


def trio_lowlevel() -> Any:
    """Give the part of trio that knows what runs, None outside of it."""
    trio = sys.modules.get("trio")
    return trio.lowlevel if trio is not None and trio.lowlevel.in_trio_task() else None
