"""What the command line shows of times: also those that have no date on this machine's clock."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest

pytest.importorskip("typer")

from smscode.cli.screen import Screen, day, moment, short_day, when

ENDS = [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)]
AHEAD, BEHIND = timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))


@pytest.fixture(params=["Pacific/Kiritimati", "America/New_York", "UTC"])
def here(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Move this machine to another time zone."""
    if sys.platform == "win32":
        pytest.skip("the time zone cannot be set")
    with monkeypatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield request.param
    time.tzset()


@pytest.mark.parametrize("zone", [UTC, AHEAD, BEHIND])
@pytest.mark.parametrize("at", ENDS)
def test_a_time_at_the_ends_of_the_calendar_is_shown_with_four_digits_of_its_year(
    here: str, at: datetime, zone: timezone
) -> None:
    at = at.replace(tzinfo=zone)
    assert day(at)[:4] in ("0001", "9999")
    assert short_day(at)
    assert len(when(at)) >= 8


def test_where_it_has_no_date_here_its_own_offset_is_shown(
    monkeypatch: pytest.MonkeyPatch, here: str
) -> None:
    shown = {"Pacific/Kiritimati": ENDS[1], "America/New_York": ENDS[0]}.get(here)
    if shown is not None:
        assert day(shown) == shown.isoformat(" ", "minutes")
        assert when(shown) == shown.isoformat(" ", "seconds")
        assert day(shown).endswith("+00:00")


def test_an_ordinary_time_is_one_of_this_machine(here: str) -> None:
    hours = {"Pacific/Kiritimati": 14, "America/New_York": -4, "UTC": 0}[here]
    at = datetime(2026, 6, 14, 4, 0, 12, tzinfo=UTC)
    local = at + timedelta(hours=hours)
    assert (day(at), when(at)) == (f"{local:%Y-%m-%d %H:%M}", f"{local:%H:%M:%S}")
    assert short_day(at) == f"{local:%m-%d %H:%M}"
    assert (day(None), short_day(None), when(None)) == ("-", "-", "-")


def test_seconds_without_a_date_are_shown_as_nothing() -> None:
    assert moment(0) == datetime(1970, 1, 1, tzinfo=UTC)
    for seconds in (1e18, -1e18, 1e300, float("inf"), float("nan")):
        assert moment(seconds) is None


def test_without_a_terminal_nothing_is_refused() -> None:
    assert not Screen(as_json=False).refuses("Another one?")
