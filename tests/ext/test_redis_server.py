"""The tests' Redis answers, and an outage is one."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from .redis_server import RedisServer, redis_server


def test_it_answers_until_it_is_stopped_and_again_once_it_is_started(redis: RedisServer) -> None:
    assert redis.answers()
    redis.stop()
    assert not redis.answers()
    redis.start()
    assert redis.answers()


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_a_redis_that_is_missing_is_a_failure_only_in_ci(
    monkeypatch: pytest.MonkeyPatch, ci: str, outcome: Any
) -> None:
    def nothing(name: str) -> None:
        return None

    monkeypatch.setattr(shutil, "which", nothing)
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="needs redis-server"), redis_server():
        raise AssertionError
