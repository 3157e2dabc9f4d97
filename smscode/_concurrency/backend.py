"""Finds out which event loop runs, asyncio's or trio's, and whether it was closed."""

from __future__ import annotations

import asyncio
import sys
from typing import Any


def trio_lowlevel() -> Any:
    """Return ``trio.lowlevel`` inside of a trio task, else None."""
    trio = sys.modules.get("trio")
    return trio.lowlevel if trio is not None and trio.lowlevel.in_trio_task() else None


def run_here() -> Any:
    """Return the running asyncio event loop, or the token of the trio run."""
    trio = trio_lowlevel()
    return asyncio.get_running_loop() if trio is None else trio.current_trio_token()


def run_is_over(run: Any) -> bool:
    """Return True if the loop or trio run that `run_here` returned was closed, so its tasks never go on."""
    if isinstance(run, asyncio.AbstractEventLoop):
        return run.is_closed()
    try:
        run.run_sync_soon(_nothing, idempotent=True)
    except RuntimeError:  # trio.RunFinishedError
        return True
    return False


def _nothing() -> None:
    """Do nothing; scheduled in a trio run to see whether it accepts that."""
