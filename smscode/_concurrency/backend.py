"""Which event loop runs: asyncio's, or trio's."""

from __future__ import annotations

import asyncio
import sys
from typing import Any


def trio_lowlevel() -> Any:
    """Return the part of trio that knows what runs, None outside of it."""
    trio = sys.modules.get("trio")
    return trio.lowlevel if trio is not None and trio.lowlevel.in_trio_task() else None


def run_here() -> Any:
    """Return the asyncio event loop that runs here, or the token of the trio run."""
    trio = trio_lowlevel()
    return asyncio.get_running_loop() if trio is None else trio.current_trio_token()


def run_is_over(run: Any) -> bool:
    """Return True if a loop or trio run, as `run_here` returned it, was closed: its tasks never go on."""
    if isinstance(run, asyncio.AbstractEventLoop):
        return run.is_closed()
    try:
        run.run_sync_soon(_nothing, idempotent=True)
    except RuntimeError:  # trio.RunFinishedError
        return True
    return False


def _nothing() -> None:
    """Do nothing, in a trio run that is asked whether it is over."""
