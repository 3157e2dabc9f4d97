"""The scenarios of `nox -s faults`, very short, as tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults import kills, run, scenarios
from tests.faults.flavours import FLAVOURS, Flavour
from tests.faults.harness import Server, running_server

SEED = 20_260_614

every_flavour = pytest.mark.parametrize("flavour", FLAVOURS)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as server:
        yield server


def assert_holds(row: scenarios.Row) -> None:
    assert row.right, f"{run.line_of(row)}\n{row.verdict}\n{row.failures}\n{row.note}"


@every_flavour
def test_random_faults(server: Server, flavour: Flavour) -> None:
    assert_holds(scenarios.random_faults(server, flavour, 200, SEED))


@every_flavour
def test_answers_cut_anywhere(server: Server, flavour: Flavour) -> None:
    assert_holds(scenarios.cut_answers(server, flavour, 67, SEED))


@every_flavour
def test_connections_closed_after_the_answer(server: Server, flavour: Flavour) -> None:
    assert_holds(scenarios.keepalive_race(server, flavour, 100, SEED))


@every_flavour
def test_a_killed_program_recovers(server: Server, flavour: Flavour) -> None:
    assert_holds(kills.kill_and_recover(server, flavour, 3, SEED))
