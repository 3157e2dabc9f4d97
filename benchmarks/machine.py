"""The machine: its cores, and what is installed on it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

_LIBRARIES = (
    "smscode-async",
    "httpx",
    "httpcore",
    "h11",
    "anyio",
    "attrs",
    "cattrs",
    "msgspec",
    "aiohttp",
    "httpx-aiohttp",
    "httpx2",
    "uvloop",
    "orjson",
    "pydantic",
    "aiolimiter",
    "limits",
    "pyrate-limiter",
    "throttled-py",
)


def pin(place: int) -> None:
    """Stay on one core: 0 is for what is measured, 1 for the server. Does nothing where that cannot be."""
    if not hasattr(os, "sched_setaffinity"):
        return
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, {cores[place]})


def has(library: str) -> bool:
    """Return True if a distribution is installed."""
    try:
        importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def versions() -> dict[str, str]:
    """Return the versions of everything that is compared."""
    return {name: importlib.metadata.version(name) for name in _LIBRARIES if has(name)}


def describe() -> dict[str, str | int]:
    """Return what a figure depends on besides the versions."""
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": os.cpu_count() or 0,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()
