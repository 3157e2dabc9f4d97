"""The scenarios of `nox -s obtain`, very short, as tests, and that the judge sees what it is for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smscode.core.obtain_numbers import HeldNumbers, ObtainedNumber
from smscode.core.obtaining import Obtaining
from tests.obtain.crowd import crowd
from tests.obtain.flavours import FLAVOURS, Flavour
from tests.obtain.kills import kills
from tests.obtain.run import runs

SEED = 20_260_614

every_flavour = pytest.mark.parametrize("flavour", FLAVOURS)


@pytest.fixture(autouse=True)
def _loud() -> Iterator[None]:
    """Switch the log on again, after the runs have switched it off."""
    import logging

    yield
    logging.disable(logging.NOTSET)


@every_flavour
def test_faults_and_interruptions(flavour: Flavour) -> None:
    assert runs(flavour, 30, SEED).broken == []


@every_flavour
def test_interruptions_alone(flavour: Flavour) -> None:
    assert runs(flavour, 20, SEED, interrupted=1.0, rate=0.0).broken == []


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # the process that forks has threads
@every_flavour
def test_kills(flavour: Flavour) -> None:
    pytest.importorskip("uvicorn")
    assert kills(flavour, 2, SEED).broken == []


@pytest.mark.filterwarnings("ignore:Async generator 'httpx._content.ByteStream:ResourceWarning")  # of httpx
@every_flavour
def test_a_crowd(flavour: Flavour) -> None:
    assert crowd(flavour, 30, SEED).broken == []


# The judge


def laws(broken: list[str]) -> set[str]:
    return {law.split()[0] for law in broken}


def test_a_budget_that_is_not_kept_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def affords(self: Obtaining, cap: int | None) -> Any:
        return True
        yield

    monkeypatch.setattr(Obtaining, "_affords", affords)
    assert "budget" in laws(runs("asyncio", 30, SEED, interrupted=0.0, rate=0.0).broken)


def test_numbers_that_are_left_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ObtainedNumber, "to_cancel", property(lambda self: False))
    assert "left" in laws(runs("asyncio", 20, SEED, interrupted=0.0, rate=0.0).broken)


def test_a_code_that_is_thrown_away_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_nothing(self: HeldNumbers, number: ObtainedNumber) -> None:
        number.sms = None

    monkeypatch.setattr(HeldNumbers, "_find_code", find_nothing)
    monkeypatch.setattr(ObtainedNumber, "as_try", _without_sms(ObtainedNumber.as_try))
    assert "thrown" in laws(runs("asyncio", 40, SEED, interrupted=0.0).broken)


def _without_sms(as_try: Any) -> Any:
    from attrs import evolve

    def changed(self: ObtainedNumber, won: bool, money: Any) -> Any:
        found = as_try(self, won, money)
        return found if won else evolve(found, sms=None)

    return changed


def test_a_purchase_that_nobody_is_told_of_is_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def blind(told: object, orders: object) -> None:
        """See nothing."""

    monkeypatch.setattr("tests.obtain.flavours.look", blind)
    assert "told" in laws(runs("asyncio", 40, SEED, interrupted=1.0, rate=0.0).broken)
