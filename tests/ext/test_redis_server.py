"""The tests' Redis servers answer, have outages, another time of day, replicas and clusters."""

from __future__ import annotations

import shutil
import time
from typing import Any

import pytest

from .redis_server import RedisServer, redis_cluster, redis_sentinel, redis_server, wait_for


def test_it_answers_until_it_is_stopped_and_again_once_it_is_started(redis: RedisServer) -> None:
    assert redis.answers()
    redis.stop()
    assert not redis.answers()
    redis.start()
    assert redis.answers()


def test_its_clock_can_be_set() -> None:
    with redis_server(clock=True) as server:
        for step in (0, 600, -600):
            server.step_clock(step)
            seen = int(server.command("TIME").split(b"\r\n")[2])
            assert abs(seen - time.time() - step) < 5


def test_a_replica_takes_over() -> None:
    with redis_sentinel() as (master, replica, sentinel):
        asked = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "limits")
        assert str(master.port).encode() in sentinel.command(*asked)
        master.stop()
        wait_for(lambda: b"role:master" in replica.command("INFO", "replication"))
        wait_for(lambda: str(replica.port).encode() in sentinel.command(*asked))


def test_a_cluster_leads_to_the_right_server() -> None:
    with redis_cluster() as servers:
        answers = [server.command("SET", "key", "value") for server in servers]
    assert sorted(answer[:3] for answer in answers) == [b"+OK", b"-MO", b"-MO"]


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
@pytest.mark.parametrize("what", ["redis-server", "a C compiler"])
def test_what_is_missing_is_a_failure_only_in_ci(
    monkeypatch: pytest.MonkeyPatch, ci: str, outcome: Any, what: str
) -> None:
    which = shutil.which

    def nothing(name: str) -> str | None:
        return None if name == "cc" or what == "redis-server" else which(name)

    if which("redis-server") is None and what != "redis-server":
        pytest.skip("needs redis-server")
    monkeypatch.setattr(shutil, "which", nothing)
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match=f"needs {what}"), redis_server(clock=True):
        raise AssertionError
