"""The tests' Redis answers, and an outage is one."""

from __future__ import annotations

from .redis_server import RedisServer


def test_it_answers_until_it_is_stopped_and_again_once_it_is_started(redis: RedisServer) -> None:
    assert redis.answers()
    redis.stop()
    assert not redis.answers()
    redis.start()
    assert redis.answers()
