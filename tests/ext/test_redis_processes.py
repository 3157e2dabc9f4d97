"""Processes that share a limit through Redis, as a service sees them."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("redis")

from benchmarks import fleet, windows

from .redis_server import redis_server


def test_processes_never_exceed_the_limit_not_even_when_one_is_killed() -> None:
    with redis_server() as server:
        sight = asyncio.run(fleet.watch(server.url, 4, 40, 1.0, 4.0, 2.0))
    assert windows.worst(sight.arrivals, 1.0) <= 40
    assert len(sight.arrivals) >= 40
