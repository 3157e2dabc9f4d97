"""The report of an error: the service's details in words, and as JSON."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

pytest.importorskip("typer")

from smscode import ValidationError
from smscode._plain import plain
from smscode.cli.error_report import ErrorReport


@pytest.mark.parametrize(
    ("details", "said"),
    [
        ({"fields": {"url": ["too long", "not https"]}}, "url: too long, not https"),
        ({"until": "tomorrow", "tier": 2, "share": Decimal("1.5")}, "until: tomorrow; tier: 2; share: 1.5"),
        ([None, True], "null, true"),
    ],
)
def test_details_are_said_in_words_and_can_always_be_written_as_json(details: Any, said: str) -> None:
    report = ErrorReport(ValidationError("No.", details=details), "")
    assert report.lines == ("No.", said)
    assert json.loads(json.dumps(report.record))["details"] == plain(details)


def test_without_details_there_is_no_line_for_them() -> None:
    assert ErrorReport(ValidationError("No.", details={"fields": {}}), "").lines == ("No.",)
