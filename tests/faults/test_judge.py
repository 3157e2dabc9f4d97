"""The judge, proved before it judges: clients that are wrong fail it, one that is right passes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults import mutants
from tests.faults.harness import Server, running_server
from tests.faults.judge import Verdict, judge
from tests.faults.script import Draw, Script

STORM = Script("random", rate=0.3, stall=1.0)
INTENTS = [f"i-{number:06}" for number in range(1, 201)]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as server:
        yield server


def verdict_on(server: Server, buy: mutants.Buyer) -> Verdict:
    server.reset(7, STORM)
    reports = mutants.run(server, buy, INTENTS)
    return judge(server.settled(), INTENTS, reports)


def test_a_right_client_passes(server: Server) -> None:
    verdict = verdict_on(server, mutants.right)

    assert verdict.right, str(verdict)


def test_a_new_key_per_attempt_buys_twice(server: Server) -> None:
    assert verdict_on(server, mutants.fresh_keys).duplicates > 0


def test_resending_again_is_seen(server: Server) -> None:
    verdict = verdict_on(server, mutants.resend_again)

    assert verdict.resends > 0
    assert verdict.duplicates == 0


def test_forgetting_what_failed_leaves_orphans(server: Server) -> None:
    verdict = verdict_on(server, mutants.careless)

    assert verdict.orphans > 0
    assert verdict.lost > 0


def test_denying_a_purchase_is_a_lie(server: Server) -> None:
    assert verdict_on(server, mutants.liar).lies > 0


def test_the_same_seed_draws_the_same_faults() -> None:
    first, again, other = (
        [Draw(STORM, seed).fault(number) for number in range(1, 2001)] for seed in (7, 7, 8)
    )

    assert first == again
    assert first != other
    assert 0.27 < sum(fault is not None for fault in first) / len(first) < 0.33
