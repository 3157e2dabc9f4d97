"""What the tests of the extras share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .redis_server import RedisServer, redis_server


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """Return a Redis server of this test's own."""
    with redis_server() as server:
        yield server
