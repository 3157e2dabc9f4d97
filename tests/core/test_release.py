"""How a rental ends: what is sent, and what the answer means."""

from __future__ import annotations

import pytest

from smscode import (
    CancelTooEarlyError,
    ConflictError,
    NetworkError,
    NotFoundError,
    RateLimitError,
    SmscodeError,
)
from smscode.core import release
from smscode.core.release import Released, Step


def test_an_order_with_an_sms_is_finished_and_another_cancelled() -> None:
    assert (release.first_step(received=True), release.first_step(received=False)) == ("finish", "cancel")
    assert (release.done("finish"), release.done("cancel")) == (Released.FINISHED, Released.CANCELED)


@pytest.mark.parametrize(
    ("step", "error", "then"),
    [
        ("cancel", CancelTooEarlyError("x"), Released.LEFT_TO_EXPIRE),
        ("cancel", ConflictError("x"), "finish"),
        ("finish", ConflictError("x"), Released.ALREADY_RELEASED),
        ("cancel", NotFoundError("x"), Released.ALREADY_RELEASED),
        ("finish", NotFoundError("x"), Released.ALREADY_RELEASED),
    ],
)
def test_what_a_refusal_means(step: Step, error: SmscodeError, then: Released | Step) -> None:
    assert release.refused(step, error) == then


@pytest.mark.parametrize("step", ["cancel", "finish"])
@pytest.mark.parametrize("error", [NetworkError("x"), RateLimitError("x")])
def test_any_other_error_is_reported(step: Step, error: SmscodeError) -> None:
    assert release.refused(step, error) is error
